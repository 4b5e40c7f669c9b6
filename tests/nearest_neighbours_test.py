"""The nearest-neighbour KL finds closed forms, and knows where it has none."""

import numpy as np
import pytest
from scipy import spatial

from synjax.evaluation import nearest_neighbours


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_it_agrees_with_distances_one_by_one():
    x, y, k = _normal(60, 3), 1.5 * _normal(80, 3, seed=1), 4
    within = np.sort(spatial.distance.cdist(x, x))[:, k]
    across = np.sort(spatial.distance.cdist(x, y))[:, k - 1]
    nats = 3 * np.mean(np.log(across / within)) + np.log(80 / 59)
    found = nearest_neighbours.knn_kl(x, y, k)
    np.testing.assert_allclose(found, nats / np.log(2) / 3)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1.0, 1.0), (0.0, 2.0)])
def test_it_finds_the_kl_of_normals_in_low_dimension(dims, shift, scale):
    found = [
        nearest_neighbours.knn_kl(
            _normal(4000, dims, seed=i), shift + scale * _normal(4000, dims, seed=100 + i)
        )
        for i in range(8)
    ]
    exact = ((1 + shift**2) / scale**2 - 1 + 2 * np.log(scale)) / 2 / np.log(2)
    assert abs(np.mean(found) - exact) < 3 * np.std(found, ddof=1) / np.sqrt(8) + 0.02


def test_it_does_not_change_when_both_samples_are_scaled():
    x, y = _normal(200, 4), 0.5 + _normal(200, 4, seed=1)
    found = nearest_neighbours.knn_kl(3 * x, 3 * y)
    np.testing.assert_allclose(found, nearest_neighbours.knn_kl(x, y))


def test_it_sees_a_comb_that_has_the_right_moments():
    x = _normal(4000, 1)
    comb = np.round(_normal(4000, 1, seed=1)) + 0.01 * _normal(4000, 1, seed=2)
    assert nearest_neighbours.knn_kl(x, comb / np.sqrt(1 + 1 / 12)) > 1


def test_coinciding_or_broken_vectors_have_no_density():
    x = _normal(100, 2)
    assert np.isnan(nearest_neighbours.knn_kl(np.round(x[:, :1]), x[:, :1]))
    broken = x.copy()
    broken[0] = np.nan
    assert np.isnan(nearest_neighbours.knn_kl(x, broken))
