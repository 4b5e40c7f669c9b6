"""The Karhunen–Loève transform and the step size of classical coding."""

import numpy as np
import pytest

from synjax.codec import klt


def _correlated(count=500, size=12, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(size, size)) * 0.7 ** np.arange(size)
    return rng.normal(size=(count, size)) @ mixing.T + rng.normal(size=size)


def test_coefficients_are_uncorrelated_with_the_reported_variances():
    samples = _correlated()
    mean, basis, variances = klt.transform(samples)
    coefficients = (samples - mean) @ basis.T
    covariance = coefficients.T @ coefficients / len(samples)
    np.testing.assert_allclose(covariance, np.diag(variances), atol=1e-5 * variances[0])
    np.testing.assert_allclose(mean, samples.mean(0), atol=1e-5)


def test_axes_are_orthonormal_and_ordered_by_variance():
    _, basis, variances = klt.transform(_correlated())
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-6)
    assert np.all(np.diff(variances) <= 0)
    assert np.all(variances >= 0)


def test_no_other_basis_packs_more_energy_into_the_first_axes():
    samples = _correlated()
    _, _, variances = klt.transform(samples)
    singular = np.linalg.svd(samples - samples.mean(0), compute_uv=False)
    np.testing.assert_allclose(variances, singular**2 / len(samples), rtol=1e-4, atol=1e-6)


def test_the_order_of_samples_does_not_change_the_signs():
    samples = _correlated()
    shuffled = samples[np.random.default_rng(1).permutation(len(samples))]
    np.testing.assert_allclose(klt.transform(samples)[1], klt.transform(shuffled)[1], atol=1e-4)


def test_fewer_samples_than_dimensions_leave_zero_variances():
    _, basis, variances = klt.transform(_correlated(count=5))
    np.testing.assert_allclose(variances[4:], 0.0, atol=1e-9)
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-6)


@pytest.mark.parametrize("samples", [np.zeros((1, 3)), np.full((4, 3), np.nan)])
def test_too_few_or_broken_samples_are_refused(samples):
    with pytest.raises(ValueError, match="at least two samples, all finite"):
        klt.transform(samples)


@pytest.mark.parametrize("lambda_d", [2.4, 72.0, 4000.0])
def test_the_step_is_where_a_bit_less_costs_as_much_as_it_saves(lambda_d):
    # High-rate theory for one coefficient: D = Δ²/12 and R = h − log2 Δ.
    step = klt.step_size(lambda_d)
    steps = step * np.array([1 - 1e-5, 1 + 1e-5])
    slope = np.diff(-np.log2(steps)) / np.diff(steps**2 / 12)
    np.testing.assert_allclose(-slope, lambda_d, rtol=1e-6)


def test_steps_of_several_weights_are_those_of_each():
    weights = np.array([100.0, 400.0])
    np.testing.assert_allclose(klt.step_size(weights), [klt.step_size(w) for w in weights])
    np.testing.assert_allclose(klt.step_size(100.0) / klt.step_size(400.0), 2.0)
