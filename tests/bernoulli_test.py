"""The binary bound against published values, an optimiser and the properties of R(D, P)."""

import numpy as np
import pytest
from scipy import optimize, special

from synjax.theory import bernoulli


def _entropy(p):
    return (special.entr(p) + special.entr(1 - p)) / np.log(2)


@pytest.mark.parametrize(
    "distortion, perception, bits",
    # Blau and Michaeli 2019, at p = 1/4; rounded to 1e-6.
    [(0.15, 0.005, 0.236209), (0.15, 0.05, 0.214171), (0.25, 0.005, 0.07166)],
)
def test_the_rate_is_the_published_one(distortion, perception, bits):
    found = bernoulli.rate_distortion_perception(0.25, distortion, perception)
    assert found == pytest.approx(bits, abs=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("distortion", [0.01, 0.1, 0.25, 0.5, 0.9])
def test_without_a_bound_on_perception_the_rate_is_the_difference_of_entropies(p, distortion):
    least = min(p, 1 - p)
    expected = _entropy(p) - _entropy(distortion) if distortion < least else 0.0
    for unlimited in (1.0, np.inf):
        found = bernoulli.rate_distortion_perception(p, distortion, unlimited)
        assert found == pytest.approx(expected, abs=1e-12)


def test_no_search_over_all_binary_channels_finds_a_lower_rate():
    def rate(p, q, both):
        joint = np.array([[1 - p - q + both, q - both], [p - both, both]])
        product = np.outer(joint.sum(1), joint.sum(0))
        return special.rel_entr(np.maximum(joint, 0), product).sum() / np.log(2)

    rng = np.random.default_rng(0)
    for _ in range(60):
        p, distortion, perception = rng.uniform(0.02, 0.98), rng.uniform(0.01, 0.7), rng.uniform()
        perception = perception**3
        candidates = []
        for q in np.linspace(max(p - perception, 0), min(p + perception, 1), 401):
            least = max((p + q - distortion) / 2, 0, p + q - 1)
            if least <= min(p, q):
                candidates.append(rate(p, q, np.clip(p * q, least, min(p, q))))
        found = bernoulli.rate_distortion_perception(p, distortion, perception)
        assert min(candidates) - 1e-3 < found < min(candidates) + 1e-9


def test_distortion_above_the_source_probability_still_costs_where_realism_is_asked_for():
    p, perception = 0.25, 0.05
    free = p + (p - perception) - 2 * p * (p - perception)  # of an independent reconstruction
    assert free > p
    assert bernoulli.rate_distortion_perception(p, p + 1e-3, perception) > 1e-3
    assert 0 < bernoulli.rate_distortion_perception(p, free - 1e-3, perception) < 1e-4
    assert bernoulli.rate_distortion_perception(p, free, perception) == 0
    assert bernoulli.rate_distortion_perception(p, p, p) == 0


def test_the_rate_falls_is_convex_and_treats_both_symbols_alike():
    rng = np.random.default_rng(1)
    for _ in range(100):
        p = rng.uniform(0.05, 0.95)
        (d0, d1), (p0, p1) = rng.uniform(0.01, 0.6, 2), rng.uniform(0, 0.4, 2)
        ends = [
            bernoulli.rate_distortion_perception(p, d, t)
            for d, t in ((d0, p0), (d1, p1), ((d0 + d1) / 2, (p0 + p1) / 2))
        ]
        assert ends[2] <= (ends[0] + ends[1]) / 2 + 1e-12
        assert bernoulli.rate_distortion_perception(p, max(d0, d1), max(p0, p1)) <= min(ends)
        assert bernoulli.rate_distortion_perception(1 - p, d0, p0) == pytest.approx(ends[0])


def test_a_fair_coin_is_realistic_for_free():
    for distortion in (0.05, 0.2, 0.49):
        expected = bernoulli.rate_distortion_perception(0.5, distortion, np.inf)
        assert bernoulli.rate_distortion_perception(0.5, distortion, 0) == pytest.approx(expected)


def test_perfect_realism_of_a_biased_coin_is_a_stationary_channel():
    p, distortion = 0.3, 0.2
    # With equal marginals the channel has one free parameter, fixed by the distortion.
    expected = _entropy(p) - (
        p * _entropy(distortion / 2 / p) + (1 - p) * _entropy(distortion / 2 / (1 - p))
    )
    found = bernoulli.rate_distortion_perception(p, distortion, 0)
    assert found == pytest.approx(expected, abs=1e-12)
    slope = optimize.approx_fprime(
        [distortion], lambda d: bernoulli.rate_distortion_perception(p, d[0], 0)
    )
    assert slope[0] < 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1.1, 0.1, 0.1), "p must be in"),
        ((-0.1, 0.1, 0.1), "p must be at least 0"),
        ((np.nan, 0.1, 0.1), "p must be at least 0"),
        ((0.3, 0.0, 0.1), "distortion must be positive"),
        ((0.3, 0.1, -0.1), "perception must be at least 0"),
        (([0.3], 0.1, 0.1), "p must be a scalar"),
    ],
)
def test_meaningless_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        bernoulli.rate_distortion_perception(*arguments)
