"""How the λ's reach the networks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.codec import modulation

GRID = modulation.Grid((100.0, 400.0, 1600.0), (0.0, 1.0, 4.0))


def test_hats_are_one_hot_on_the_grid():
    grid = (1.0, 2.0, 5.0)
    rows = np.stack([modulation.hats(value, grid) for value in grid])
    np.testing.assert_array_equal(rows, np.eye(3))


def test_hats_between_grid_points_are_linear_and_sum_to_one():
    np.testing.assert_allclose(modulation.hats(3.5, (1.0, 2.0, 5.0)), [0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(modulation.hats(1.25, (1.0, 2.0, 5.0)), [0.75, 0.25, 0], atol=1e-6)


def test_hats_are_clamped_beyond_the_grid():
    np.testing.assert_array_equal(modulation.hats(0.0, (1.0, 2.0, 5.0)), [1, 0, 0])
    np.testing.assert_array_equal(modulation.hats(9.0, (1.0, 2.0, 5.0)), [0, 0, 1])


@pytest.mark.parametrize("value", [0.1, 3.0, 50.0])
def test_a_grid_of_one_point_knows_no_lambda(value):
    np.testing.assert_array_equal(modulation.hats(value, (3.0,)), [1])


def test_lambda_d_is_interpolated_by_its_logarithm():
    features = GRID.features(200.0, 0.0)  # half way from 100 to 400 in log
    np.testing.assert_allclose(features[:4], [1, 0.5, 0.5, 0], atol=1e-6)


def test_features_on_a_grid_point_select_its_rows_alone():
    for d, lambda_d in enumerate(GRID.lambda_d):
        for p, lambda_p in enumerate((1.0, 4.0)):
            expected = np.zeros(GRID.size)
            expected[[0, 1 + d, 4 + p, 6 + 2 * d + p]] = 1
            features = GRID.features(lambda_d, lambda_p)
            np.testing.assert_allclose(features, expected, atol=1e-6)


def test_everything_that_depends_on_lambda_p_vanishes_at_zero():
    features = np.asarray(GRID.features(250.0, 0.0))
    assert len(features) == GRID.size == 1 + 3 + GRID.perceptual
    np.testing.assert_array_equal(features[-GRID.perceptual :], np.zeros(GRID.perceptual))


def test_perceptual_features_sum_to_two_from_the_first_positive_lambda_p_on():
    # The hats of λ_p and their products with those of λ_d; the detail's start relies on it.
    for lambda_p in (1.0, 2.5, 4.0, 9.0):
        features = np.asarray(GRID.features(250.0, lambda_p))
        np.testing.assert_allclose(features[-GRID.perceptual :].sum(), 2.0, rtol=1e-5)


def test_a_grid_without_perception_has_no_perceptual_features():
    grid = modulation.Grid((100.0, 400.0))
    assert grid.perceptual == 0
    np.testing.assert_allclose(grid.features(400.0, 5.0), [1, 0, 1], atol=1e-6)


def test_zero_is_understood_to_be_in_the_grid():
    with_zero = modulation.Grid((100.0,), (0.0, 2.0)).features(100.0, 1.0)
    without = modulation.Grid((100.0,), (2.0,)).features(100.0, 1.0)
    np.testing.assert_array_equal(with_zero, without)


def test_rows_give_back_their_values_without_perception():
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    leaf = GRID.rows(values)
    for lambda_d, expected in zip(GRID.lambda_d, values, strict=True):
        np.testing.assert_allclose(GRID.features(lambda_d, 0.0) @ leaf, expected, atol=1e-6)


def test_features_can_be_traced():
    traced = jax.jit(GRID.features)(jnp.float32(250.0), jnp.float32(2.0))
    np.testing.assert_allclose(traced, GRID.features(250.0, 2.0), rtol=1e-5)


@pytest.mark.parametrize(
    ("lambda_d", "lambda_p", "name"),
    [
        ((), (0.0,), "lambda_d"),
        ((0.0, 1.0), (0.0,), "lambda_d"),
        ((-1.0,), (0.0,), "lambda_d"),
        ((2.0, 1.0), (0.0,), "lambda_d"),
        ((1.0, float("inf")), (0.0,), "lambda_d"),
        ((1.0,), (), "lambda_p"),
        ((1.0,), (-0.5, 1.0), "lambda_p"),
        ((1.0,), (0.0, 0.0), "lambda_p"),
        ((1.0,), (0.0, float("nan")), "lambda_p"),
    ],
)
def test_an_impossible_grid_is_refused(lambda_d, lambda_p, name):
    with pytest.raises(ValueError, match=f"{name} must be increasing, finite"):
        modulation.Grid(lambda_d, lambda_p)


def test_channelwise_acts_on_the_last_axis_only():
    scaled = modulation.channelwise(jnp.arange(3.0), jnp.ones((2, 4, 3))) * jnp.ones((2, 4, 3))
    np.testing.assert_array_equal(scaled[1, 2], [0, 1, 2])


def test_a_parameter_by_lambda_is_linear_in_the_features():
    class Module(nn.Module):
        @nn.compact
        def __call__(self, features):
            return modulation.by_lambda(self, "gain", features, 4, nn.initializers.normal())

    features = GRID.features(250.0, 2.0)
    params = Module().init(jax.random.key(0), features)
    assert params["params"]["gain"].shape == (GRID.size, 4)
    expected = np.asarray(features) @ np.asarray(params["params"]["gain"])
    np.testing.assert_allclose(Module().apply(params, features), expected, rtol=1e-5)
