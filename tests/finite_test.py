"""Finite-alphabet bounds against closed forms, published values and a general optimiser."""

import numpy as np
import pytest
from scipy import optimize, special

from synjax.theory import bernoulli, finite, gaussian

LN2 = np.log(2)
DIVERGENCES = {
    "tv": lambda p, r: np.abs(p - r).sum() / 2,
    "kl_x_to_xhat": lambda p, r: special.rel_entr(p, r).sum() / LN2,
    "kl_xhat_to_x": lambda p, r: special.rel_entr(r, p).sum() / LN2,
}


def _grid(points, limit):
    """A standard normal on a grid, and the squared error."""
    x = np.linspace(-limit, limit, points)
    p = np.exp(-x * x / 2)
    return p / p.sum(), np.square(x[:, None] - x)


def _information(p, channel):
    return special.rel_entr(p[:, None] * channel, np.outer(p, p @ channel)).sum() / LN2


def _random_source(rng, n):
    p = rng.dirichlet(np.full(n, 2.0))
    d = rng.random((n, n)) + 0.3
    np.fill_diagonal(d, 0.0)
    return p, d


def _check_solution(p, d, distortion, perception, divergence):
    """The rate, once it is known to be what the channel has, allowed, and certified."""
    rate, channel, certificate = finite.rate_distortion_perception(
        p, d, distortion, perception, divergence
    )
    assert channel.shape == d.shape and np.all(channel >= 0)
    np.testing.assert_allclose(channel.sum(axis=1), 1, atol=1e-12)
    assert _information(p, channel) == pytest.approx(rate, abs=1e-10)
    assert p @ (channel * d).sum(axis=1) <= distortion * (1 + 1e-11)
    assert DIVERGENCES[divergence](p, p @ channel) <= perception + 1e-11
    assert 0 <= certificate < 1e-5
    return rate


def _optimised_rate(p, d, distortion, perception, divergence):
    """Bits, by SLSQP over all entries of the channel, from several starts."""
    n = p.size
    constraints = [
        {"type": "eq", "fun": lambda q: q.reshape(n, n).sum(axis=1) - 1},
        {"type": "ineq", "fun": lambda q: distortion - p @ (q.reshape(n, n) * d).sum(axis=1)},
    ]
    if divergence == "tv":  # as linear inequalities, one for every choice of signs
        signs = np.array(np.meshgrid(*[[-1, 1]] * n)).reshape(n, -1).T
        constraints.append(
            {"type": "ineq", "fun": lambda q: perception - signs @ (p @ q.reshape(n, n) - p) / 2}
        )
    else:
        constraints.append(
            {
                "type": "ineq",
                "fun": lambda q: perception - DIVERGENCES[divergence](p, p @ q.reshape(n, n)),
            }
        )
    best = np.inf
    for start in (0.2, 0.5, 0.8):
        found = optimize.minimize(
            lambda q: _information(p, q.reshape(n, n)),
            ((1 - start) * np.eye(n) + start * p).ravel(),
            bounds=[(1e-9, 1)] * n * n,
            constraints=constraints,
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        if all(np.min(c["fun"](found.x)) > -1e-7 for c in constraints):
            best = min(best, found.fun)
    return best


# Values from elsewhere.


@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("distortion", [0.02, 0.15, 0.3])
@pytest.mark.parametrize("perception", [0.0, 0.005, 0.05, np.inf])
def test_a_binary_source_has_the_closed_form(p, distortion, perception):
    found = _check_solution(np.array([1 - p, p]), 1.0 - np.eye(2), distortion, perception, "tv")
    expected = bernoulli.rate_distortion_perception(p, distortion, perception)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "distortion, perception, nats, gaussian_nats",
    # A convex programme on a 45-point grid of N(0, 1), all rounded to 1e-4.
    [
        (0.6744, 0.0694, 0.2210, 0.2230),
        (0.7082, 0.1824, 0.1812, 0.1849),
        (0.8576, 0.4191, 0.0867, 0.0943),
        (0.8986, 0.7645, 0.0572, 0.0667),
    ],
)
def test_a_kl_from_the_source_needs_less_than_the_gaussian_formula(
    distortion, perception, nats, gaussian_nats
):
    p, d = _grid(45, 4.5)
    found = LN2 * _check_solution(p, d, distortion, perception / LN2, "kl_x_to_xhat")
    assert found == pytest.approx(nats, abs=1e-4)
    formula = gaussian.rate_distortion_perception(
        [1.0], distortion, perception / LN2, "kl_x_to_xhat"
    )
    assert LN2 * formula == pytest.approx(gaussian_nats, abs=1e-4)
    assert found < LN2 * formula - 1e-3


@pytest.mark.parametrize("distortion, perception", [(0.5, 0.03), (0.9, 0.1), (1.2, 0.05)])
def test_a_fine_grid_has_the_exact_gaussian_rate_for_a_kl_to_the_source(distortion, perception):
    expected = gaussian.rate_distortion_perception([1.0], distortion, perception, "kl_xhat_to_x")
    gaps = []
    for points, limit in ((15, 3.0), (61, 5.0)):
        p, d = _grid(points, limit)
        found = _check_solution(p, d, distortion, perception, "kl_xhat_to_x")
        gaps.append(abs(found - expected))
    assert gaps[1] < 1e-4 and gaps[1] < gaps[0]


@pytest.mark.parametrize("distortion", [0.2, 0.9, 1.4])
def test_a_fine_grid_has_the_exact_gaussian_rate_of_perfect_realism(distortion):
    p, d = _grid(61, 5.0)
    expected = gaussian.rate_distortion_perception([1.0], distortion, 0)
    found = _check_solution(p, d, distortion, 0.0, "tv")
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("perception", [0.01, 0.1])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_general_optimiser_finds_a_lower_rate(divergence, perception, seed):
    p, d = _random_source(np.random.default_rng(seed), 3)
    distortion = 0.5 * (p @ d @ p)
    found = _check_solution(p, d, distortion, perception, divergence)
    expected = _optimised_rate(p, d, distortion, perception, divergence)
    assert found == pytest.approx(expected, abs=2e-5)
    assert found < expected + 1e-6


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_without_a_bound_on_perception_both_algorithms_agree(divergence):
    rng = np.random.default_rng(3)
    for n in (2, 4, 7):
        p, d = _random_source(rng, n)
        for factor in (0.05, 0.4, 0.8):
            distortion = factor * np.min(p @ d)
            found = _check_solution(p, d, distortion, np.inf, divergence)
            rate, channel, certificate = finite.rate_distortion(p, d, distortion)
            assert rate == pytest.approx(found, abs=2e-5)
            assert _information(p, channel) == pytest.approx(rate, abs=1e-10)
            assert p @ (channel * d).sum(axis=1) <= distortion * (1 + 1e-11)
            assert 0 <= certificate < 2e-5


def test_blahut_arimoto_has_the_closed_form_of_a_uniform_source_with_hamming_distortion():
    for n, distortion in ((2, 0.1), (5, 0.3), (5, 0.79)):
        expected = np.log2(n) - distortion * np.log2(n - 1)
        expected -= (special.entr(distortion) + special.entr(1 - distortion)) / LN2
        rate, *_ = finite.rate_distortion(np.full(n, 1 / n), 1 - np.eye(n), distortion)
        assert rate == pytest.approx(expected, abs=1e-9)


def test_blahut_arimoto_takes_a_reconstruction_alphabet_of_its_own():
    # An erasure, at distortion 1 whatever was sent, is the third reconstruction.
    d = np.array([[0.0, 50.0, 1.0], [50.0, 0.0, 1.0]])
    for distortion in (0.2, 0.7):
        rate, *_ = finite.rate_distortion([0.5, 0.5], d, distortion)
        assert rate == pytest.approx(1 - distortion, abs=1e-5)
    assert finite.rate_distortion([0.5, 0.5], d, 1.0)[0] == 0


# Properties.


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_rate_falls_and_is_convex_along_any_line(divergence):
    rng = np.random.default_rng(5)
    p, d = _random_source(rng, 4)
    for _ in range(5):
        (d0, d1), (p0, p1) = rng.uniform(0.05, 0.5, 2), rng.uniform(0.001, 0.3, 2)
        ends = [
            _check_solution(p, d, distortion, perception, divergence)
            for distortion, perception in ((d0, p0), (d1, p1), ((d0 + d1) / 2, (p0 + p1) / 2))
        ]
        assert ends[2] <= (ends[0] + ends[1]) / 2 + 1e-6
        corner = _check_solution(p, d, max(d0, d1), max(p0, p1), divergence)
        assert corner <= min(ends) + 1e-6


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_processing_the_reconstruction_finds_no_way_below_the_bound(divergence):
    rng = np.random.default_rng(6)
    p, d = _random_source(rng, 5)
    _, channel, _ = finite.rate_distortion_perception(p, d, 0.15, 0.01, divergence)
    for strength in (0.05, 0.3):
        noise = (1 - strength) * np.eye(5) + strength * rng.dirichlet(np.ones(5), 5)
        processed = channel @ noise
        reached = p @ (processed * d).sum(axis=1)
        diverged = DIVERGENCES[divergence](p, p @ processed)
        bound = _check_solution(p, d, reached, diverged, divergence)
        assert bound <= _information(p, processed) + 1e-6
        assert _information(p, processed) < _information(p, channel)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_renaming_the_symbols_changes_nothing(divergence):
    p, d = _random_source(np.random.default_rng(7), 5)
    order = np.array([3, 0, 4, 1, 2])
    rate, channel, _ = finite.rate_distortion_perception(p, d, 0.1, 0.02, divergence)
    other, renamed, _ = finite.rate_distortion_perception(
        p[order], d[np.ix_(order, order)], 0.1, 0.02, divergence
    )
    assert other == pytest.approx(rate, abs=1e-6)
    np.testing.assert_allclose(renamed, channel[np.ix_(order, order)], atol=1e-3)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_symbol_that_never_occurs_matters_only_as_a_reconstruction(divergence):
    p, d = _random_source(np.random.default_rng(8), 3)
    wider = np.pad(d, (0, 1), constant_values=10.0)  # a reconstruction no one wants
    for perception in (0.0, 0.05, np.inf):
        expected = _check_solution(p, d, 0.1, perception, divergence)
        found = _check_solution(np.append(p, 0.0), wider, 0.1, perception, divergence)
        assert found == pytest.approx(expected, abs=1e-6)
    # A compromise between all symbols, but one that the source never shows.
    wider = np.pad(d, (0, 1), constant_values=0.05)
    welcome = _check_solution(np.append(p, 0.0), wider, 0.1, np.inf, divergence)
    forbidden = _check_solution(np.append(p, 0.0), wider, 0.1, 0.0, divergence)
    assert welcome < 1e-6 < forbidden


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_rate_is_zero_where_an_independent_reconstruction_will_do(divergence):
    p, d = _random_source(np.random.default_rng(9), 4)
    assert _check_solution(p, d, 1.01 * (p @ d @ p), 0.0, divergence) < 1e-9
    assert _check_solution(p, d, 0.97 * (p @ d @ p), 0.0, divergence) > 1e-5


def test_rare_symbols_and_small_distortions_are_no_trouble():
    p = np.array([1e-9, 0.3, 1e-5, 0.7 - 1e-5 - 1e-9])
    for divergence in DIVERGENCES:
        for perception in (0.0, 1e-6, 0.1, np.inf):
            rate = _check_solution(p, 1.0 - np.eye(4), 1e-4, perception, divergence)
            assert 0.87 < rate < special.entr(p).sum() / LN2


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_extreme_bounds_on_perception_are_as_good_as_0_and_inf(divergence):
    p, d = _grid(15, 3.0)
    for extreme, limit in ((1e-14, 0.0), (1e4, np.inf)):
        found = _check_solution(p, d, 0.5, extreme, divergence)
        assert found == pytest.approx(_check_solution(p, d, 0.5, limit, divergence), abs=1e-5)


def test_fourteen_points_of_a_45_point_source_are_certified():
    p, d = _grid(45, 4.0)
    for divergence in DIVERGENCES:
        for distortion in np.linspace(0.1, 1.3, 14):
            _check_solution(p, d, distortion, 0.1, divergence)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(p_x=[0.5, 0.6]), "p_x must sum to 1"),
        (dict(p_x=[1.5, -0.5]), "p_x must not be negative"),
        (dict(p_x=[np.nan, 1.0]), "p_x must not be negative or NaN"),
        (dict(p_x=[[0.5, 0.5]]), r"p_x must have shape \[n\]"),
        (dict(p_x=[1.0]), "distortion_matrix must have a row for each of p_x"),
        (dict(distortion_matrix=np.ones((2, 3))), r"distortion_matrix must have shape \[n, n\]"),
        (dict(distortion_matrix=[[0, np.inf], [1, 0]]), "distortion_matrix must be non-negative"),
        (dict(distortion_matrix=[[0, -1], [1, 0]]), "distortion_matrix must be non-negative"),
        (dict(distortion=0.0), "distortion must be positive"),
        (dict(perception=-0.1), "perception must be at least 0"),
        (dict(perception=np.nan), "perception must be at least 0"),
        (dict(divergence="w2"), "divergence must be one of tv, kl_x_to_xhat, kl_xhat_to_x"),
    ],
)
def test_meaningless_arguments_are_refused_by_name(arguments, message):
    usual = dict(p_x=[0.5, 0.5], distortion_matrix=1 - np.eye(2), distortion=0.1, perception=0.1)
    with pytest.raises(ValueError, match=message):
        finite.rate_distortion_perception(**usual | arguments)


def test_a_distortion_out_of_reach_is_refused():
    p, d = np.array([0.4, 0.6]), np.array([[0.2, 1.0], [1.0, 0.3]])
    with pytest.raises(ValueError, match="distortion must be above 0.26"):
        finite.rate_distortion(p, d, 0.25)
    swapped = 1.0 - np.array([[0.0, 1.0], [1.0, 0.0]])  # alike costs 1, different nothing
    # Always different would need p_X̂ = (0.6, 0.4), at a total variation of 0.2.
    for perception in (0.0, 0.1):
        with pytest.raises(ValueError, match="distortion is below what any channel"):
            finite.rate_distortion_perception(p, swapped, 0.05, perception)
    assert _check_solution(p, swapped, 0.05, 0.2, "tv") > 0
