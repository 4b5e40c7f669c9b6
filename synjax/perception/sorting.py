"""Sorting whose gradient is a permutation, and known to be one."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def ascending(x):
    """`jnp.sort` along the last axis.

    The gradient that JAX derives scatters without saying that no two indices are equal; on a GPU
    that is asked for deterministic operations it then runs one element after another.

    Args:
      x: [..., N].

    Returns:
      [..., N].
    """
    return jnp.sort(x, -1)


def _forward(x):
    places = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    return jax.lax.sort((x, places), dimension=-1, num_keys=1)


def _backward(places, gradient):
    rows = gradient.reshape(-1, gradient.shape[-1])
    which = jnp.arange(len(rows))[:, None]
    places = places.reshape(rows.shape)
    scattered = jnp.zeros_like(rows).at[which, places].set(rows, unique_indices=True)
    return (scattered.reshape(gradient.shape),)


ascending.defvjp(_forward, _backward)
