"""Symbols as `Codec.quantise` makes them, of integers that are already known."""

import functools

import jax
import jax.numpy as jnp

from synjax.codec import chain, priors


@functools.partial(jax.jit, static_argnums=0)
def symbols_of(codec, params, hard, hyper=None):
    """Symbols without noise.

    Args:
      codec: the codec.
      params: bound parameters.
      hard: integers as floats [B, *S', K].
      hyper: those of the hyper-latent.
    """

    def choose(part, density):
        own = codec._own(part, hard, hyper)
        found = {"hard": own, "noisy": own, "within": jnp.zeros_like(own)}
        bits = priors.bits(own, *density.mixture)
        return found | {"bits": bits, "value": own + density.centre}

    found = chain.follow(codec, params, hard.shape[1:-1], choose)
    return found | {"mask": jnp.ones((*hard.shape[:-1], 1))}
