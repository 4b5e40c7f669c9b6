"""Gaussian bounds against published values, a general optimiser and the properties of R(D, P)."""

import itertools

import numpy as np
import pytest
from scipy import optimize

from synjax.theory import gaussian

LN2 = np.log(2)
VECTOR = np.array([4.0, 1.0, 0.25, 0.05])
DIVERGENCES = ("w2", "kl_x_to_xhat", "kl_xhat_to_x")


def _random_cases(count, seed=0):
    rng = np.random.default_rng(seed)
    for divergence, _ in itertools.product(DIVERGENCES, range(count)):
        variances = np.exp(1.5 * rng.standard_normal(rng.integers(1, 12)))
        distortion = variances.mean() * rng.uniform(0.02, 1.3)
        perception = 10 ** rng.uniform(-4, -0.3) * (variances.mean() if divergence == "w2" else 1)
        yield variances, distortion, perception, divergence


def _optimised_rate(variances, distortion, perception, divergence):
    """Nats in total, by SLSQP over reconstruction variances v and covariances c."""
    n = variances.size

    def divergences(v):
        ratio = v / variances
        return {
            "w2": np.square(np.sqrt(variances) - np.sqrt(v)),
            "kl_x_to_xhat": (1 / ratio - 1 + np.log(ratio)) / 2,
            "kl_xhat_to_x": (ratio - 1 - np.log(ratio)) / 2,
        }[divergence].sum()

    def split(z):
        v = variances * np.exp(z[:n])
        return v, np.tanh(z[n:])

    constraints = [
        lambda z: (
            distortion
            - np.sum(variances + split(z)[0] - 2 * split(z)[1] * np.sqrt(variances * split(z)[0]))
        ),
        lambda z: perception - divergences(split(z)[0]),
    ]
    found = optimize.minimize(
        lambda z: -np.log1p(-np.square(split(z)[1])).sum() / 2,
        np.concatenate([np.full(n, -0.3), np.full(n, 0.7)]),
        constraints=[{"type": "ineq", "fun": c} for c in constraints],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    assert found.success, found.message
    return found.fun


# Published and verified values.


@pytest.mark.parametrize(
    "distortion, perception, nats",
    # Zhang et al. 2021, theorem 1; rounded to 1e-6.
    [
        (0.3, 0.0, 0.640967),
        (0.3, 0.01, 0.60825),
        (0.6, 0.01, 0.300633),
        (0.6, 0.05, 0.269831),
        (0.9, 0.0, 0.180126),
        (0.9, 0.2, 0.072267),
        (1.2, 0.2, 0.00458),
        (1.2, 0.5, 0.0),
    ],
)
def test_the_scalar_rate_at_a_wasserstein_distance_is_the_published_one(
    distortion, perception, nats
):
    found = gaussian.rate_distortion_perception([1.0], distortion, perception)
    assert found * LN2 == pytest.approx(nats, abs=1e-6)


@pytest.mark.parametrize(
    "distortion, perception, nats",
    # The scalar formula at the least variance v with D_KL = P, v = 1 / −W₋₁(−exp(−1 − 2P)).
    [(0.6, 0.02, 0.292799), (0.6, 0.1, 0.265475), (0.9, 0.3, 0.084356)],
)
def test_the_scalar_rate_at_a_kl_from_the_source_is_the_lambert_formula(
    distortion, perception, nats
):
    found = gaussian.rate_distortion_perception([1.0], distortion, perception / LN2, "kl_x_to_xhat")
    assert found * LN2 == pytest.approx(nats, abs=1e-6)
    assert gaussian.BOUND_KIND["kl_x_to_xhat"] == "upper"


@pytest.mark.parametrize(
    "distortion, perception, divergence, nats",
    # Dual bisection, agreeing with SLSQP to 2.3e-13; all summed over four components.
    [
        (1, 0.05, "w2", 1.830906),
        (2, 0.2, "w2", 0.913116),
        (0.5, 0.02, "w2", 2.905077),
        (1, 0.1, "kl_x_to_xhat", 1.879427),
        (2, 0.3, "kl_x_to_xhat", 0.958288),
        (1, 0.0, "w2", 2.002351),
        (1, np.inf, "w2", 1.742969),
    ],
)
def test_the_rate_of_a_vector_is_the_one_of_dual_bisection(
    distortion, perception, divergence, nats
):
    perception /= 4 if divergence == "w2" else 4 * LN2
    found = gaussian.rate_distortion_perception(VECTOR, distortion / 4, perception, divergence)
    assert found * 4 * LN2 == pytest.approx(nats, abs=1e-6)


@pytest.mark.parametrize("nats", [0.5, 1.0])
@pytest.mark.parametrize("shared", [0.0, 0.3, 2.0, np.inf])
def test_the_scalar_distortion_of_perfect_realism_is_the_closed_form(nats, shared):
    # Saldi et al. 2015: D = 2 (1 − √((1 − e^{−2R}) (1 − e^{−2 (R + R_c)}))).
    expected = 2 - 2 * np.sqrt(-np.expm1(-2 * nats) * -np.expm1(-2 * (nats + shared)))
    found = gaussian.distortion_rate_perception(
        [1.0], nats / LN2, 0, common_randomness=shared / LN2
    )
    assert found == pytest.approx(expected, abs=1e-10)
    rounded = {(0.5, 0): 0.7358, (0.5, np.inf): 0.4099, (1, 0): 0.2707, (1, np.inf): 0.1403}
    if (nats, shared) in rounded:
        assert found == pytest.approx(rounded[nats, shared], abs=6e-5)


# An independent optimiser.


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("distortion, perception", [(0.6, 0.03), (1.2, 0.15), (2.4, 0.3)])
def test_no_general_optimiser_finds_a_lower_rate(distortion, perception, divergence):
    variances = np.array([2.0, 0.7, 0.3])
    expected = _optimised_rate(variances, distortion, perception, divergence)
    per_dim = perception / (3 if divergence == "w2" else 3 * LN2)
    found = gaussian.rate_distortion_perception(variances, distortion / 3, per_dim, divergence)
    assert found * 3 * LN2 == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("rate, shared", [(0.8, 0.3), (2.0, 1.5), (0.1, 4.0)])
def test_limited_common_randomness_is_shared_out_as_an_optimiser_would(rate, shared):
    variances = np.array([2.0, 0.7, 0.1])

    # Rates are squares, r = z², so that √(1 − e^{−2r}) is smooth at 0.
    def distortion(z):
        correlation = np.sqrt(np.prod(-np.expm1(-2 * z.reshape(2, 3) ** 2), axis=0))
        return 2 * np.sum(variances * (1 - np.prod(np.sign(z).reshape(2, 3), axis=0) * correlation))

    found = optimize.minimize(
        distortion,
        np.sqrt(np.repeat([rate, rate + shared], 3) / [3, 4, 5, 3, 4, 5]),
        constraints=[
            {"type": "ineq", "fun": lambda z: rate - np.sum(z[:3] ** 2)},
            {"type": "ineq", "fun": lambda z: rate + shared - np.sum(z[3:] ** 2)},
        ],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    unit = 3 * LN2
    ours = gaussian.distortion_rate_perception(
        variances, rate / unit, 0, common_randomness=shared / unit
    )
    assert 3 * ours == pytest.approx(found.fun, abs=1e-5)
    assert 3 * ours <= found.fun + 1e-8


# Properties.


def test_the_distortion_is_the_inverse_of_the_rate():
    for variances, distortion, perception, divergence in _random_cases(25):
        rate = gaussian.rate_distortion_perception(variances, distortion, perception, divergence)
        if rate > 0:
            back = gaussian.distortion_rate_perception(variances, rate, perception, divergence)
            assert back == pytest.approx(distortion, rel=1e-8)


def test_the_distortion_is_the_inverse_of_the_rate_with_common_randomness():
    for shared in (0.0, 0.01, 0.5, 20.0):
        for distortion in (0.05, 0.7, 2.0):
            rate = gaussian.rate_distortion_perception(
                VECTOR, distortion, 0, common_randomness=shared
            )
            back = gaussian.distortion_rate_perception(VECTOR, rate, 0, common_randomness=shared)
            assert back == pytest.approx(distortion, rel=1e-8)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_rate_falls_and_is_convex_along_any_line(divergence):
    rng = np.random.default_rng(0)
    for _ in range(10):
        (d0, d1), (p0, p1) = rng.uniform(0.05, 2.5, 2), rng.uniform(0.001, 0.5, 2)
        ends = [
            gaussian.rate_distortion_perception(VECTOR, d, p, divergence)
            for d, p in ((d0, p0), (d1, p1), ((d0 + d1) / 2, (p0 + p1) / 2))
        ]
        assert ends[2] <= (ends[0] + ends[1]) / 2 + 1e-9
        corner = gaussian.rate_distortion_perception(VECTOR, max(d0, d1), max(p0, p1), divergence)
        assert corner <= min(ends) + 1e-9


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_without_a_bound_on_perception_the_rate_is_reverse_water_filling(divergence):
    for distortion in (0.01, 0.3, 1.2, 1.325, 2.0):
        found = gaussian.rate_distortion_perception(VECTOR, distortion, np.inf, divergence)
        assert found == gaussian.rate_distortion(VECTOR, distortion)
        level = optimize.brentq(
            lambda w, d=distortion: np.minimum(VECTOR, w).mean() - min(d, VECTOR.mean()), 0, 4
        )
        expected = np.log2(np.maximum(VECTOR / level, 1)).mean() / 2
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_perfect_realism_is_the_limit_of_small_divergences(divergence):
    for distortion in (0.1, 1.0, 2.0):
        limit = gaussian.rate_distortion_perception(VECTOR, distortion, 0, divergence)
        near = gaussian.rate_distortion_perception(VECTOR, distortion, 1e-10, divergence)
        assert limit - 1e-4 < near < limit


def test_an_independent_sample_of_the_source_costs_nothing():
    twice = 2 * VECTOR.mean()
    for shared in (0.0, 0.5, np.inf):
        for factor, free in ((1.0, True), (0.999, False)):
            rate = gaussian.rate_distortion_perception(
                VECTOR, twice * factor, 0, common_randomness=shared
            )
            assert (rate == 0) == free
        found = gaussian.distortion_rate_perception(VECTOR, 0, 0, common_randomness=shared)
        assert found == pytest.approx(twice)


def test_private_sampling_costs_twice_the_distortion_and_common_randomness_buys_it_back():
    for distortion in (0.05, 0.8, 2.0):
        rates = [
            gaussian.rate_distortion_perception(VECTOR, distortion, 0, common_randomness=shared)
            for shared in (0.0, 0.1, 1.0, 30.0, np.inf)
        ]
        assert rates[0] == pytest.approx(gaussian.rate_distortion(VECTOR, distortion / 2))
        assert np.all(np.diff(rates[:4]) < 0)
        assert rates[3] == pytest.approx(rates[4], abs=1e-9)
        assert rates[4] >= gaussian.rate_distortion(VECTOR, distortion)


def test_the_rate_depends_neither_on_order_nor_on_units():
    for variances, distortion, perception, divergence in _random_cases(5, seed=1):
        rate = gaussian.rate_distortion_perception(variances, distortion, perception, divergence)
        shuffled = gaussian.rate_distortion_perception(
            variances[::-1], distortion, perception, divergence
        )
        scaled = gaussian.rate_distortion_perception(
            9 * variances, 9 * distortion, perception * (9 if divergence == "w2" else 1), divergence
        )
        assert shuffled == pytest.approx(rate, abs=1e-10)
        assert scaled == pytest.approx(rate, abs=1e-10)


def test_extreme_arguments_keep_the_bounds_in_order():
    rng = np.random.default_rng(3)
    for divergence, _ in itertools.product(DIVERGENCES, range(12)):
        variances = 10 ** rng.uniform(-12, 4, rng.integers(1, 20))
        distortion = variances.mean() * 10 ** rng.uniform(-12, 0.3)
        perception, shared = 10 ** rng.uniform(-30, 3), 10 ** rng.uniform(-6, 2)
        rates = [
            gaussian.rate_distortion(variances, distortion),
            gaussian.rate_distortion_perception(variances, distortion, perception, divergence),
            gaussian.rate_distortion_perception(variances, distortion, 0),
            gaussian.rate_distortion_perception(variances, distortion, 0, common_randomness=shared),
            gaussian.rate_distortion(variances, distortion / 2),
        ]
        assert np.all(np.diff(rates) > -1e-9)


def test_equal_components_have_the_rate_of_one():
    for _, distortion, perception, divergence in _random_cases(5, seed=2):
        one, three = (
            gaussian.rate_distortion_perception([2.0] * n, distortion, perception, divergence)
            for n in (1, 3)
        )
        assert three == pytest.approx(one, abs=1e-10)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(variances=[1.0, 0.0]), "variances must be positive"),
        (dict(variances=[1.0, np.nan]), "variances must be positive"),
        (dict(variances=1.0), r"variances must have shape \[n\]"),
        (dict(variances=[]), r"variances must have shape \[n\]"),
        (dict(distortion=0), "distortion must be positive"),
        (dict(distortion=np.nan), "distortion must be positive"),
        (dict(distortion=[0.1, 0.2]), "distortion must be a scalar"),
        (dict(distortion=None), "distortion must be positive"),
        (dict(perception=-1e-9), "perception must be at least 0"),
        (dict(perception=np.nan), "perception must be at least 0"),
        (dict(divergence="kl"), "divergence must be one of w2, kl_xhat_to_x, kl_x_to_xhat"),
        (dict(perception=0, common_randomness=-1), "common_randomness must be at least 0"),
        (dict(common_randomness=0.0), "common_randomness must be inf where perception is not 0"),
    ],
)
def test_meaningless_arguments_are_refused_by_name(arguments, message):
    usual = dict(variances=VECTOR, distortion=0.5, perception=0.1)
    with pytest.raises(ValueError, match=message):
        gaussian.rate_distortion_perception(**usual | arguments)


def test_a_meaningless_rate_is_refused_by_name():
    with pytest.raises(ValueError, match="rate must be at least 0 and finite, got inf"):
        gaussian.distortion_rate_perception(VECTOR, np.inf, 0.1)
    with pytest.raises(ValueError, match="distortion must be positive"):
        gaussian.rate_distortion(VECTOR, -1.0)
