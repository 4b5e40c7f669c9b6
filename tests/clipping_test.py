"""Clipping that can be trained through."""

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import clipping

X = jnp.array([-0.5, 0.25, 1.5])


def test_values_are_those_of_a_clip():
    np.testing.assert_array_equal(clipping.clip(X), [0.0, 0.25, 1.0])


def test_what_lies_outside_can_be_pulled_back_and_not_be_pushed_further():
    def pulled(target):
        return jax.grad(lambda x: ((clipping.clip(x) - target) ** 2).sum())(X)

    np.testing.assert_allclose(pulled(0.5), [-1.0, -0.5, 1.0])  # all towards a half
    np.testing.assert_allclose(pulled(-1.0), [0.0, 2.5, 4.0])  # what is at the lower end stays
    np.testing.assert_allclose(pulled(2.0), [-4.0, -3.5, 0.0])


def test_descent_finds_the_nearest_point_of_the_interval():
    x, target = jnp.array([-3.0, 0.2, 4.0]), jnp.array([0.7, 1.8, -0.4])
    gradient = jax.jit(jax.grad(lambda x: ((clipping.clip(x) - target) ** 2).sum()))
    for _ in range(300):
        x = x - 0.05 * gradient(x)
    np.testing.assert_allclose(clipping.clip(x), [0.7, 1.0, 0.0], atol=1e-3)
