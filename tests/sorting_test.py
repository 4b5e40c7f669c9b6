"""Sorting: the order and the gradient are those of `jnp.sort`, and no index is written twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import sorting


@pytest.mark.parametrize("shape", [(7,), (3, 16), (2, 3, 9)])
def test_values_and_gradients_are_those_of_an_ordinary_sort(shape):
    x, weights = (jax.random.normal(jax.random.key(k), shape) for k in (0, 1))
    np.testing.assert_array_equal(sorting.ascending(x), jnp.sort(x, -1))
    ours, theirs = (
        jax.grad(lambda x, f=function: (f(x) * weights).sum())(x)
        for function in (sorting.ascending, lambda x: jnp.sort(x, -1))
    )
    np.testing.assert_array_equal(ours, theirs)


def test_equal_values_share_the_gradient_in_the_order_in_which_they_stand():
    gradient = jax.grad(lambda x: (sorting.ascending(x) * jnp.arange(4.0)).sum())(jnp.ones(4))
    np.testing.assert_array_equal(gradient, np.arange(4.0))


def test_the_gradient_says_that_its_indices_are_unique():
    jaxpr = jax.make_jaxpr(jax.grad(lambda x: (sorting.ascending(x) ** 2).sum()))(jnp.ones((2, 4)))
    scatters = [e for e in jaxpr.jaxpr.eqns if e.primitive.name.startswith("scatter")]
    assert scatters and all(e.params["unique_indices"] for e in scatters)
