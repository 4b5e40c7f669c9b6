"""Sliced distances of samples are what optimal transport says."""

import numpy as np
from scipy import optimize

from synjax.evaluation import sliced


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_sliced_wasserstein_of_a_moved_sample_is_the_projected_shift_squared():
    x, shift = _normal(50, 3), np.array([0.3, -1.0, 2.0])
    directions = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    found = sliced.sliced_wasserstein(x, x + shift, directions)
    np.testing.assert_allclose(found, (directions @ shift) ** 2, rtol=1e-9)


def test_sliced_wasserstein_is_the_cheapest_matching():
    x, y = _normal(40, 2), 1.5 * _normal(40, 2, seed=1) ** 3
    directions = np.array([[0.6, -0.8]])
    costs = np.square(np.subtract.outer(x @ directions[0], y @ directions[0]))
    expected = costs[optimize.linear_sum_assignment(costs)].mean()
    np.testing.assert_allclose(sliced.sliced_wasserstein(x, y, directions), [expected])
