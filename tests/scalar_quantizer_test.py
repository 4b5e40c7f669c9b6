"""Entropy-coded scalar quantisation against simulation, high-rate theory and known gaps."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from synjax.theory import gaussian, scalar_quantizer

VARIANCES = 0.6 ** np.arange(8)


def _by_integration(deviation, step):
    """Rate and MSE of one component, cell by cell, by quadrature."""
    source = stats.norm(scale=deviation)
    rate = mse = 0.0
    for k in range(-int(10 * deviation / step) - 1, int(10 * deviation / step) + 2):
        low, high = (k - 0.5) * step, (k + 0.5) * step
        mass = source.cdf(high) - source.cdf(low) if k <= 0 else source.sf(low) - source.sf(high)
        if mass < 1e-14:
            continue
        x = np.linspace(low, high, 201)
        centroid = integrate.simpson(x * source.pdf(x), x=x) / mass
        mse += integrate.simpson((x - centroid) ** 2 * source.pdf(x), x=x)
        rate -= mass * np.log2(mass)
    return rate, mse


@pytest.mark.parametrize("step", [0.3, 1.0, 2.5])
def test_rate_and_distortion_are_the_integrals_over_cells(step):
    variances = np.array([1.0, 0.4])
    expected = np.mean([_by_integration(np.sqrt(v), step) for v in variances], axis=0)
    found = scalar_quantizer.at_step(variances, step)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_a_simulated_quantiser_has_the_rate_and_distortion():
    x = np.random.default_rng(0).standard_normal(400_000)
    _, cell, counts = np.unique(np.round(x / 1.5), return_inverse=True, return_counts=True)
    centroids = np.bincount(cell, x) / counts
    rate, mse = scalar_quantizer.at_step([1.0], 1.5)
    assert stats.entropy(counts, base=2) == pytest.approx(rate, abs=0.01)
    assert np.mean((x - centroids[cell]) ** 2) == pytest.approx(mse, rel=0.01)


@pytest.mark.parametrize(
    "lambda_d, rate, mse, gap",
    # By a search over a coarse grid of steps for each component; hence the tolerances.
    [
        (2.4, 0.177, 0.2011, 0.046),
        (7.2, 0.631, 0.0909, 0.117),
        (24, 1.380, 0.0323, 0.194),
        (72, 2.264, 0.0103, 0.252),
    ],
)
def test_the_gaps_above_the_rate_distortion_bound_are_the_known_ones(lambda_d, rate, mse, gap):
    found_rate, found_mse = scalar_quantizer.at_slope(VARIANCES, lambda_d)
    assert found_rate == pytest.approx(rate, abs=5e-3)
    assert found_mse == pytest.approx(mse, rel=1e-2)
    assert found_rate - gaussian.rate_distortion(VARIANCES, found_mse) == pytest.approx(
        gap, abs=1e-3
    )
    # Rounding of `rate` and `mse`: no search may have found a lower cost than ours.
    assert found_rate + lambda_d * found_mse < rate + lambda_d * mse + 5e-4 + 5e-5 * lambda_d


@pytest.mark.parametrize("lambda_d", [0.9, 2.4, 24.0, 1e5])
def test_no_other_step_has_a_lower_cost(lambda_d):
    def cost(step):
        rate, mse = scalar_quantizer.at_step([1.0], step)
        return rate + lambda_d * mse

    (best,) = scalar_quantizer.steps_at([1.0], lambda_d)
    rivals = best * np.exp(np.linspace(-1.5, 1.5, 61))
    searched = optimize.minimize_scalar(cost, bounds=(best / 2, best * 2), method="bounded")
    assert cost(best) <= min(cost(rival) for rival in rivals)
    assert cost(best) <= searched.fun + 1e-9


def test_a_component_not_worth_a_bit_gets_no_step():
    # The slope of R(D) at rate zero is 1 / (2 σ² ln 2): no quantiser can pay below it.
    threshold = 1 / (2 * np.log(2))
    assert scalar_quantizer.steps_at([1.0], 0.99 * threshold) == np.inf
    assert scalar_quantizer.at_slope([1.0, 0.5], 0.99 * threshold) == (0.0, 0.75)


def test_at_high_rate_the_loss_is_a_quarter_bit_and_the_step_the_classical_one():
    for lambda_d in (1e4, 1e8):
        steps = scalar_quantizer.steps_at(VARIANCES, lambda_d)
        np.testing.assert_allclose(steps, np.sqrt(6 / (lambda_d * np.log(2))), rtol=2e-3)
        rate, mse = scalar_quantizer.at_slope(VARIANCES, lambda_d)
        loss = rate - gaussian.rate_distortion(VARIANCES, mse)
        assert loss == pytest.approx(np.log2(np.pi * np.e / 6) / 2, abs=2e-3)


def test_the_series_of_fine_steps_continues_the_sum_over_cells():
    below, above = 0.0099999, 0.0100001
    fine, coarse = (scalar_quantizer.at_step([1.0], step) for step in (below, above))
    assert fine[0] - coarse[0] == pytest.approx(np.log2(above / below), abs=1e-8)
    assert coarse[1] / fine[1] == pytest.approx((above / below) ** 2, abs=1e-8)


def test_the_rate_falls_is_convex_and_above_the_bound():
    distortions = np.linspace(0.002, 0.31, 40)
    rates = np.array([scalar_quantizer.rate_distortion(VARIANCES, d) for d in distortions])
    assert np.all(np.diff(rates, 2) > -1e-9)
    assert np.all(np.diff(rates) <= 0)
    bounds = [gaussian.rate_distortion(VARIANCES, d) for d in distortions]
    assert np.all(rates >= bounds)
    assert rates[-1] == 0  # above the source's mean variance


def test_the_rate_at_a_distortion_is_the_one_of_the_slope_there():
    for lambda_d in (1.0, 3.0, 100.0):
        rate, mse = scalar_quantizer.at_slope(VARIANCES, lambda_d)
        assert scalar_quantizer.rate_distortion(VARIANCES, mse) == pytest.approx(rate, abs=1e-8)
        nearby = [scalar_quantizer.rate_distortion(VARIANCES, mse * f) for f in (0.999, 1.001)]
        slope = (nearby[0] - nearby[1]) / (0.002 * mse)
        assert slope == pytest.approx(lambda_d, rel=1e-3)


def test_one_step_for_all_costs_little_more_than_the_best_steps():
    rate, mse = scalar_quantizer.at_step(VARIANCES, 0.7)
    best = scalar_quantizer.rate_distortion(VARIANCES, mse)
    assert best < rate < best + 0.05


def test_posterior_sampling_is_distributed_as_the_source_at_twice_the_distortion():
    rng = np.random.default_rng(1)
    step = 1.5
    x = rng.standard_normal(200_000)
    cell = np.round(x / step)
    low, high = stats.norm.cdf((cell - 0.5) * step), stats.norm.cdf((cell + 0.5) * step)
    sampled = stats.norm.ppf(low + (high - low) * rng.random(x.size))
    assert stats.kstest(sampled, "norm").pvalue > 1e-3
    rate, mse = scalar_quantizer.at_step([1.0], step)
    distortion = np.mean((x - sampled) ** 2)
    assert distortion == pytest.approx(2 * mse, rel=0.01)
    found = scalar_quantizer.posterior_sampling_rate_distortion([1.0], distortion)
    assert found == pytest.approx(rate, abs=0.01)


def test_posterior_sampling_is_above_the_bound_of_private_randomness():
    for distortion in (0.02, 0.2, 0.5):
        found = scalar_quantizer.posterior_sampling_rate_distortion(VARIANCES, distortion)
        assert found > gaussian.rate_distortion_perception(
            VARIANCES, distortion, 0, common_randomness=0
        )
    free = 2.001 * VARIANCES.mean()
    assert scalar_quantizer.posterior_sampling_rate_distortion(VARIANCES, free) == 0


def test_the_rate_depends_neither_on_order_nor_on_units():
    rate = scalar_quantizer.rate_distortion(VARIANCES, 0.1)
    assert scalar_quantizer.rate_distortion(VARIANCES[::-1], 0.1) == pytest.approx(rate)
    assert scalar_quantizer.rate_distortion(9 * VARIANCES, 0.9) == pytest.approx(rate)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: s.at_step([1.0, -1.0], 0.1), "variances must be positive"),
        (lambda s: s.at_step([1.0], 0.0), "step must be positive"),
        (lambda s: s.at_step([1.0], np.nan), "step must be positive"),
        (lambda s: s.at_step([1.0, 2.0], [1.0, 1.0, 1.0]), "step must be positive, and a scalar"),
        (lambda s: s.at_slope([1.0], 0.0), "lambda_d must be positive"),
        (lambda s: s.rate_distortion([1.0], 0.0), "distortion must be positive"),
        (lambda s: s.posterior_sampling_rate_distortion([1.0], -1), "distortion must be positive"),
    ],
)
def test_meaningless_arguments_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call(scalar_quantizer)
