"""Divergences of fitted Gaussians against closed forms."""

import numpy as np
import pytest

from synjax.evaluation import gaussian_fit


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_gaussian_kl_of_an_affine_copy_is_the_closed_form():
    x = _normal(500, 3) @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 0.3], [0.0, 0.0, 0.1]])
    y = x @ np.array([[0.9, 0.0, 0.1], [0.2, 1.1, 0.0], [0.0, 0.3, 1.3]]) + [0.1, -0.4, 0.2]
    p, q, gap = np.cov(x.T), np.cov(y.T), y.mean(0) - x.mean(0)
    inverse = np.linalg.inv(q)
    log_ratio = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
    nats = 0.5 * (np.trace(inverse @ p) + gap @ inverse @ gap - 3 + log_ratio)
    np.testing.assert_allclose(gaussian_fit.gaussian_kl(x, y), nats / np.log(2) / 3, rtol=1e-8)


def test_gaussian_kl_runs_from_the_source_to_the_reconstruction():
    x = _normal(200, 1)
    x -= x.mean()
    widened, narrowed = gaussian_fit.gaussian_kl(x, 2 * x), gaussian_fit.gaussian_kl(2 * x, x)
    np.testing.assert_allclose(widened, (1 / 4 - 1 + np.log(4)) / 2 / np.log(2))
    np.testing.assert_allclose(narrowed, (4 - 1 - np.log(4)) / 2 / np.log(2))


def test_gaussian_kl_is_infinite_when_a_component_is_constant():
    x = _normal(200, 2)
    assert gaussian_fit.gaussian_kl(x, x * [1.0, 0.0]) == np.inf
    assert gaussian_fit.gaussian_kl(x * [1.0, 0.0], x) == np.inf


def test_the_covariance_error_is_relative_and_sees_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 3)) * np.array([1.0, 0.5, 0.25])
    np.testing.assert_allclose(gaussian_fit.covariance_error(x, 1.1 * x), 0.21, rtol=1e-6)
    assert gaussian_fit.covariance_error(x, x) == 0
    mixed = x.copy()
    mixed[:, 1] = 0.5 * x[:, 0]  # the same variances, fully correlated
    covariances = [np.cov(sample.T) for sample in (x, mixed)]
    expected = np.linalg.norm(covariances[1] - covariances[0]) / np.linalg.norm(covariances[0])
    np.testing.assert_allclose(gaussian_fit.covariance_error(x, mixed), expected)
    assert expected > 0.5


def test_both_directions_of_the_kl_are_zero_only_where_the_moments_agree():
    x = _normal(400, 3)
    assert abs(gaussian_fit.gaussian_kl(x, x[::-1])) < 1e-12
    assert gaussian_fit.gaussian_kl(x, x + [0.1, 0, 0]) > 1e-4


def test_bures_w2_of_commuting_covariances_is_the_gap_of_deviations_squared():
    x = _normal(500, 3)
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T  # exactly white
    scales, shift = np.array([0.5, 2.0, 0.0]), np.array([1.0, 0.0, -0.5])
    expected = (np.sum((1 - scales) ** 2) + shift @ shift) / 3
    np.testing.assert_allclose(gaussian_fit.bures_w2(x, scales * x + shift), expected)


def test_bures_w2_of_a_symmetric_positive_map_is_what_the_map_moves():
    # Such a map is the gradient of a convex function, hence optimal (Brenier).
    x = _normal(300, 3) @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 0.3], [0.0, 0.0, 0.1]])
    x -= x.mean(0)
    root = np.array([[1.5, 0.2, 0.1], [0.2, 0.7, 0.3], [0.1, 0.3, 1.1]])
    moved = np.sum((x @ root - x) ** 2) / (len(x) - 1) / 3
    np.testing.assert_allclose(gaussian_fit.bures_w2(x, x @ root), moved, rtol=1e-9)


@pytest.mark.parametrize("estimate", [gaussian_fit.gaussian_kl, gaussian_fit.bures_w2])
def test_what_is_not_finite_has_no_fit(estimate):
    x = _normal(20, 2)
    broken = x.copy()
    broken[3, 1] = np.inf
    assert np.isnan(estimate(x, broken)) and np.isnan(estimate(broken, x))
