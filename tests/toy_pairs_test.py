"""The exact values that estimators are held to are exact."""

import numpy as np
import pytest
from scipy import integrate, stats

from synjax.evaluation import deviates, toy_pairs

PAIRS = [toy_pairs.gaussian(3, 0.7), toy_pairs.mixture(3, 0.5)]


@pytest.mark.parametrize("strength", [0.0, 0.3, 2.0])
def test_gaussians_have_their_closed_forms(strength):
    pair, scale = toy_pairs.gaussian(8, strength), 1 / (1 + strength / 2)
    forward = ((1 + strength**2) / scale**2 - 1 + 2 * np.log(scale)) / 2
    backward = (scale**2 + strength**2 - 1 - 2 * np.log(scale)) / 2
    np.testing.assert_allclose(pair.kl(), forward / np.log(2), atol=1e-9)
    np.testing.assert_allclose(pair.kl_reverse(), backward / np.log(2), atol=1e-9)
    np.testing.assert_allclose(pair.w2(), strength**2 + (1 - scale) ** 2)
    directions = deviates.directions(8, 0, 0)
    np.testing.assert_allclose(pair.sliced_w2(directions), pair.w2())


def test_equal_distributions_have_no_divergence():
    for pair in (toy_pairs.gaussian(2, 0.0), toy_pairs.mixture(2, 0.0)):
        found = [pair.kl(), pair.kl_reverse(), pair.w2(), pair.w1(), pair.energy(), pair.mmd2(1.0)]
        np.testing.assert_allclose(found, np.zeros(6), atol=1e-9)


def test_the_mixtures_keep_mean_and_variance():
    for strength in (0.0, 0.25, 1.0):
        other = toy_pairs.mixture(1, strength).other
        assert other.shift == 0
        np.testing.assert_allclose(other.mode**2 + other.deviation**2, 1.0)


def test_distances_of_a_mixture_agree_with_quantiles_of_a_root_finder():
    pair = toy_pairs.mixture(1, 0.75)
    levels = (np.arange(400_000) + 0.5) / 400_000

    def quantiles(part):
        grid = np.linspace(-6, 6, 200_001)
        modes = (-part.mode, part.mode)
        cdf = np.mean([stats.norm.cdf(grid, m, part.deviation) for m in modes], axis=0)
        return np.interp(levels, cdf, grid)

    gap = quantiles(pair.source) - quantiles(pair.other)
    np.testing.assert_allclose(pair.w2(), np.mean(gap**2), rtol=2e-4)
    np.testing.assert_allclose(pair.w1(), np.mean(np.abs(gap)), rtol=2e-4)


def test_the_kl_of_a_mixture_agrees_with_adaptive_quadrature():
    pair = toy_pairs.mixture(1, 1.0)

    def integrand(x):
        log_p = pair.source.log_density(x)
        return np.exp(log_p) * (log_p - stats.norm.logpdf(x))

    nats = integrate.quad(integrand, -9, 9, epsabs=1e-11)[0]
    np.testing.assert_allclose(pair.kl(), nats / np.log(2), rtol=1e-8)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_means_over_pairs_are_those_of_many_samples(pair):
    rng, count = np.random.default_rng(0), 400_000
    x, x2 = pair.source.sample(rng, count), pair.source.sample(rng, count)
    y, y2 = pair.other.sample(rng, count), pair.other.sample(rng, count)

    def check(exact, function, factor):
        values = factor * (2 * function(x - y) - function(x - x2) - function(y - y2))
        assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(count)

    check(pair.energy(), lambda d: np.linalg.norm(d, axis=1), 1 / np.sqrt(3))
    check(pair.mmd2(1.5), lambda d: np.exp(-np.sum(d * d, axis=1) / (2 * 1.5**2)), -1.0)


def test_a_projection_of_a_mixture_is_less_far_than_its_components():
    pair = toy_pairs.mixture(8, 1.0)
    directions = deviates.directions(8, 0, 0)[:4]
    found = pair.sliced_w2(directions)
    rng = np.random.default_rng(0)
    x, y = pair.source.sample(rng, 200_000), pair.other.sample(rng, 200_000)
    gaps = np.sort(x @ directions.T, axis=0) - np.sort(y @ directions.T, axis=0)
    np.testing.assert_allclose(found, np.mean(gaps**2), atol=1e-4)
    assert found < pair.w2() / 4
