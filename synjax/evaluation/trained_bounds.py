"""Lower bounds on a KL divergence by a critic that is trained for the purpose, for the study."""

import functools

import jax
import jax.numpy as jnp

from synjax.perception import variational_kl

WIDTH, LEARNING_RATE = 32, 3e-3


@functools.partial(jax.jit, static_argnames=("bound", "steps"))
def kl_bound(x, y, seed, bound, steps):
    """A lower bound on D_KL[p_X ‖ p_Y], trained on one half and measured on the other.

    Args:
      x, y: samples [N, n].
      seed: of the critic.
      bound: one of `variational_kl.BOUNDS`.
      steps: of training, each on the whole half.

    Returns:
      Bits per dimension, scalar.
    """
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)[:, None]  # a synset of one
    half = len(x) // 2
    module = variational_kl.VariationalKl(WIDTH, 1, LEARNING_RATE, bound=bound)
    keys = jax.random.split(jax.random.key(seed), steps + 1)
    first = module.init(keys[0], jax.ShapeDtypeStruct(x.shape, x.dtype))

    def step(state, key):
        return module.update(state, x[:half], y[:half], {}, key)[0], None

    state, _ = jax.lax.scan(step, first, keys[1:])
    return module.penalty(state, x[half:], y[half:], {}, keys[0])
