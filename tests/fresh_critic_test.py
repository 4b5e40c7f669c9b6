"""A fresh critic finds W₁ where it is known, from below, and nothing where there is nothing."""

import numpy as np
import pytest

from synjax.evaluation import fresh_critic


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _w1(x, members, steps=150, seed=0):
    return fresh_critic.wasserstein1(x, members, steps=steps, seed=seed)


def test_a_shift_costs_its_size_in_any_unit():
    x = _normal(1200, 4)
    for unit in (1.0, 100.0):
        value, floor, error = _w1(unit * x, unit * (x + 0.7)[:, None])
        assert abs(value / unit - 0.7) < 4 * error / unit
        assert 0 < error / unit < 0.1
        assert abs(floor / unit) < 0.2


def test_it_is_a_lower_bound_where_the_truth_is_the_gap_of_deviations():
    x, members = _normal(2000, 1), 2 * _normal(2000, 2, 1, seed=1)
    value, _, error = _w1(x, members)
    truth = np.sqrt(2 / np.pi)  # E|2z − z|
    assert 0.7 * truth < value < truth + 3 * error


def test_perfect_realism_scores_its_floor():
    x = _normal(800, 3)
    value, floor, error = _w1(x, x[:, None], steps=40)
    assert value == floor
    value, floor, error = _w1(x, _normal(800, 2, 3, seed=1), steps=40)
    assert abs(value) < 4 * error and abs(floor) < 6 * error


def test_it_is_the_same_each_time_and_moves_with_its_seed():
    x, members = _normal(200, 2), 1.5 * _normal(200, 1, 2, seed=1)
    first, again = (_w1(x, members, steps=20) for _ in range(2))
    assert first == again
    assert first != _w1(x, members, steps=20, seed=1)


def test_the_standard_error_is_that_of_repeated_examples():
    runs = [
        _w1(_normal(320, 2, seed=i), 1 + _normal(320, 1, 2, seed=50 + i), 60) for i in range(12)
    ]
    spread = np.std([value for value, *_ in runs], ddof=1)
    assert 0.5 < np.mean([error for *_, error in runs]) / spread < 2


def test_vectors_of_784_components_are_looked_at_as_digits():
    x = np.random.default_rng(0).uniform(size=(128, 784)).astype(np.float32)
    members = x[:, None] + 0.3
    found = _w1(x, members, steps=10)
    digits = _w1(x.reshape(-1, 28, 28, 1), members.reshape(-1, 1, 28, 28, 1), steps=10)
    assert found == digits and found[0] > 0.1


def test_tiles_of_photographs_are_their_pixels_once_each():
    x = _normal(70, 100, 3).astype(np.float32)
    tiles = fresh_critic._tiles(np.stack([x, -x]), 32)
    assert tiles.shape == (6, 2, 32, 32, 3)
    np.testing.assert_array_equal(tiles[4, 1], -x[32:64, 32:64])
    np.testing.assert_array_equal(tiles[:, 0], -tiles[:, 1])


def test_photographs_are_pooled_and_too_few_tiles_are_not_measured():
    x = np.random.default_rng(0).uniform(size=(3, 96, 288, 1)).astype(np.float32)
    pairs = [(one, one[None] + np.float32(0.25)) for one in x]
    value, floor, error = fresh_critic.of_photographs(pairs, steps=20)
    assert value > 0.1 and abs(floor) < 0.05 and error > 0
    assert np.isnan(fresh_critic.of_photographs(pairs[:2], steps=20)).all()


def test_what_is_not_finite_scores_nan():
    x = _normal(64, 2)
    assert np.isnan(_w1(x, np.full((64, 1, 2), np.inf), steps=1)).all()


def test_what_does_not_fit_is_refused():
    x = np.zeros((64, 6, 8, 1))
    with pytest.raises(ValueError, match="multiples of 4, got .6, 8."):
        _w1(x, x[:, None])
    with pytest.raises(ValueError, match="at least 64 examples.*got 63"):
        _w1(np.zeros((63, 2)), np.zeros((63, 1, 2)))
    with pytest.raises(ValueError, match=r"\(64, 1, 3\)"):
        _w1(np.zeros((64, 2)), np.zeros((64, 1, 3)))
    with pytest.raises(ValueError, match="one step"):
        _w1(np.zeros((64, 2)), np.zeros((64, 1, 2)), steps=0)
