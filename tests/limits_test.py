"""Rows against the limits: what is possible passes, what is not is called out."""

import numpy as np
import pytest

from synjax.evaluation import limits
from synjax.theory import gaussian

VARIANCES = 0.6 ** np.arange(4)
LEVEL = 0.1  # distortion of every component, below all variances


def _source(count=20000, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 4)) * np.sqrt(VARIANCES)


def _test_channel(x, members=2, seed=1):
    """Members of the ideal code at perfect realism: x̂ and x alike and independent given y."""
    rng = np.random.default_rng(seed)
    mean = (1 - LEVEL / VARIANCES) * x
    mean = mean + np.sqrt(LEVEL * (1 - LEVEL / VARIANCES)) * rng.normal(size=x.shape)  # E[x | y]
    return mean + np.sqrt(LEVEL) * rng.normal(size=(members, *x.shape))


def _limits(x, synset, rate):
    return limits.gaussian_limits(
        VARIANCES, x, synset, estimated=rate, exact=rate + 0.001, rate_se=1e-4
    )


def test_the_ideal_private_code_meets_its_bound_and_is_ok():
    x = _source()
    synset = _test_channel(x)
    mse = ((synset - x) ** 2).mean()
    np.testing.assert_allclose(mse, 2 * LEVEL, rtol=0.02)
    rate = limits.private_bound(VARIANCES, mse)
    np.testing.assert_allclose(rate, np.mean(np.log2(VARIANCES / LEVEL)) / 2, rtol=0.02)
    found = _limits(x, synset, rate)
    assert "status" not in found
    # Shared randomness would make perfect realism cheaper: the information bound lies below.
    assert found["rate_bound"] < rate
    np.testing.assert_allclose(found["gap_to_bound"], rate + 0.001 - found["rate_bound"])


def test_a_rate_below_the_bound_is_called_out_with_the_numbers():
    x = _source()
    synset = _test_channel(x)
    bound = _limits(x, synset, 5.0)["rate_bound"]
    found = _limits(x, synset, bound - 0.05)
    assert found["status"] == "below_bound"
    assert "0.05 bits/dim below R(D, P)" in found["reason"]
    assert "status" not in _limits(x, synset, bound - 1e-4)  # within the standard error


def test_an_exact_rate_cannot_hide_an_impossible_estimate():
    x = _source()
    synset = _test_channel(x)
    found = limits.gaussian_limits(VARIANCES, x, synset, estimated=0.1, exact=5.0, rate_se=1e-4)
    assert found["status"] == "below_bound" and found["gap_to_bound"] > 0


def test_moment_divergence_is_zero_for_the_source_and_exact_for_a_scaled_one():
    members = _source(200_000, seed=3)
    assert limits.moment_w2(VARIANCES, members) < 1e-4
    expected = 0.25 * VARIANCES.mean()
    np.testing.assert_allclose(limits.moment_w2(VARIANCES, 0.5 * members), expected, rtol=0.02)
    shifted = members + 0.3
    np.testing.assert_allclose(limits.moment_w2(VARIANCES, shifted), 0.09, rtol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_moment_divergence_sees_a_rotation(seed):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    turned = _source(100_000, seed) @ basis
    # Trace formula, by the matrix square root of an independent library.
    from scipy import linalg

    a, b = np.diag(VARIANCES), np.cov(turned.T, bias=True)
    root = linalg.sqrtm(a)
    squared = np.trace(a + b - 2 * linalg.sqrtm(root @ b @ root).real)
    squared += np.square(turned.mean(0)).sum()
    np.testing.assert_allclose(limits.moment_w2(VARIANCES, turned), squared / 4, rtol=1e-6)


def test_without_perception_the_bound_is_reverse_water_filling():
    x = _source()
    rng = np.random.default_rng(5)
    mean = (1 - LEVEL / VARIANCES) * x
    mean = mean + np.sqrt(LEVEL * (1 - LEVEL / VARIANCES)) * rng.normal(size=x.shape)
    mse = ((mean - x) ** 2).mean()
    found = _limits(x, mean[None], 2.0)
    expected = gaussian.rate_distortion(VARIANCES, mse)
    np.testing.assert_allclose(found["rate_bound"], expected, atol=0.005)
