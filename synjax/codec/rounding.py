"""Rounding and its two training-time relaxations.

All three act on a latent that has already been divided by its step size, so the step is one.
"""

import jax
import jax.numpy as jnp

# What additive noise stands in for rounding in while training: nothing, the rate (all else rounds
# straight through), or all, the latent that is decoded too.
RELAXATIONS = ("none", "rate", "all")


def hard(y):
    """Rounds to the nearest integer; the gradient is zero almost everywhere.

    Args:
      y: latent of any shape, in quantisation steps.

    Returns:
      Integers as floats, of y's shape.
    """
    return jnp.round(y)


def straight_through(y):
    """Rounds, with the gradient of the identity (Bengio et al. 2013, arXiv:1308.3432).

    Args:
      y: latent of any shape, in quantisation steps.

    Returns:
      Integers as floats, of y's shape.
    """
    return y + jax.lax.stop_gradient(jnp.round(y) - y)


def noisy(y, key):
    """Adds uniform noise on [-1/2, 1/2): the y̆ of the paper (Ballé et al. 2017, arXiv:1611.01704).

    Args:
      y: latent of any shape, in quantisation steps.
      key: JAX random key.

    Returns:
      y̆, of y's shape.
    """
    return y + jax.random.uniform(key, y.shape, y.dtype, -0.5, 0.5)
