"""Rounding and its relaxations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.codec import rounding


def _latent(count=1000):
    return jnp.asarray(np.random.default_rng(0).normal(0, 5, count).astype(np.float32))


@pytest.mark.parametrize("rounded", [rounding.hard, rounding.straight_through])
def test_rounding_gives_the_nearest_integer(rounded):
    y = _latent()
    symbols = rounded(y)
    np.testing.assert_array_equal(symbols % 1, np.zeros_like(symbols))
    assert np.max(np.abs(symbols - y)) <= 0.5


def test_hard_rounding_has_no_gradient():
    gradient = jax.grad(lambda y: jnp.sum(rounding.hard(y) ** 2))(_latent())
    np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_straight_through_rounding_has_the_gradient_of_the_identity():
    weights = _latent()[::-1]
    gradient = jax.grad(lambda y: jnp.sum(weights * rounding.straight_through(y)))(_latent())
    np.testing.assert_array_equal(gradient, weights)


def test_noise_is_uniform_on_the_unit_cell():
    y = _latent(100_000)
    error = np.asarray(rounding.noisy(y, jax.random.key(0)) - y, np.float64)
    assert np.max(np.abs(error)) <= 0.5 + 1e-5
    # Standard errors at this size: 0.0009 of the mean, 0.0003 of the variance.
    np.testing.assert_allclose(error.mean(), 0.0, atol=0.004)
    np.testing.assert_allclose(error.var(), 1 / 12, atol=0.0012)


def test_noise_is_named_by_its_key_and_lets_the_gradient_pass():
    y = _latent()
    first, again, other = (rounding.noisy(y, jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first == other) < 0.01
    gradient = jax.grad(lambda y: jnp.sum(rounding.noisy(y, jax.random.key(1))))(y)
    np.testing.assert_array_equal(gradient, np.ones_like(gradient))
