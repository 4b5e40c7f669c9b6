"""Statistics of all pairs against closed forms and one pair at a time."""

import numpy as np
from scipy import spatial, stats

from synjax.evaluation import pairs


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_energy_distance_agrees_with_all_pairs_one_by_one():
    x, y = _normal(300, 5), 0.5 + _normal(270, 5, seed=1)
    distance = spatial.distance
    expected = 2 * distance.cdist(x, y).mean() - distance.pdist(x).mean() - distance.pdist(y).mean()
    np.testing.assert_allclose(pairs.energy_distance(x, y), expected / np.sqrt(5), rtol=1e-9)


def test_energy_distance_of_shifted_normals_is_the_closed_form():
    shift = 1.0
    x, y = _normal(4000, 1), shift + _normal(4000, 1, seed=1)
    # X - Y is normal with deviation √2, so |X - Y| is a folded normal.
    between = stats.foldnorm.mean(shift / np.sqrt(2), scale=np.sqrt(2))
    expected = 2 * between - 2 * 2 / np.sqrt(np.pi)
    np.testing.assert_allclose(pairs.energy_distance(x, y), expected, rtol=0.08)


def test_energy_distance_of_equal_distributions_is_zero_on_average():
    found = [
        pairs.energy_distance(_normal(100, 3, seed=i), _normal(100, 3, seed=1000 + i))
        for i in range(100)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 10
    assert min(found) < 0 < max(found)


def test_mmd2_agrees_with_all_pairs_one_by_one():
    x, y, width = _normal(300, 5), 0.5 + _normal(270, 5, seed=1), 1.7

    def kernel(distances):
        return np.exp(-(distances**2) / (2 * width**2)).mean()

    distance = spatial.distance
    expected = kernel(distance.pdist(x)) + kernel(distance.pdist(y))
    expected -= 2 * kernel(distance.cdist(x, y))
    np.testing.assert_allclose(pairs.mmd2(x, y, width), expected, rtol=1e-9)


def test_mmd2_of_equal_distributions_is_zero_on_average():
    found = [
        pairs.mmd2(_normal(64, 3, seed=i), _normal(64, 3, seed=1000 + i), 2.0) for i in range(100)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / 10
    assert min(found) < 0 < max(found)


def test_the_width_is_the_median_distance():
    x = _normal(400, 3)
    expected = np.median(spatial.distance.pdist(x))
    np.testing.assert_allclose(pairs.median_distance(x), expected)


def test_a_width_of_zero_has_no_kernel():
    x = np.zeros((20, 2))
    assert np.isnan(pairs.mmd2(x, x, pairs.median_distance(x)))


def test_the_median_distance_of_equal_rows_is_zero_however_they_are_rounded(monkeypatch):
    """Which way sums round is the machine's affair; here it is always up."""
    exact = pairs._squared_distances
    rounding = 300 * 4 * np.finfo(np.float32).eps
    monkeypatch.setattr(pairs, "_squared_distances", lambda *given: exact(*given) + rounding)
    row = np.random.default_rng(0).standard_normal(300).astype(np.float32)
    equal = np.repeat(row[None], 600, axis=0)
    assert pairs.median_distance(equal) == 0.0
    apart = equal + 0.01 * np.random.default_rng(1).standard_normal(equal.shape).astype(np.float32)
    expected = 0.01 * np.sqrt(2 * 300)
    np.testing.assert_allclose(pairs.median_distance(apart), expected, rtol=0.05)
