"""Lower bounds on a KL divergence by a critic that is trained for the purpose, for the study."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp

from synjax.perception import variational_kl

WIDTH, LEARNING_RATE = 32, 3e-3


@dataclasses.dataclass(frozen=True)
class _Bent(variational_kl.VariationalKl):
    """A critic whose scores stay within ±`limit` nats: any T gives a bound, so also this one.

    Of N fakes the mean of e^T is to be trusted as long as it does not hang on one of them: with
    |T| ≤ ½ log N its variance over N is at most 1/√N, and no value is above log N, as none can be
    (McAllester and Stratos 2020, arXiv:1811.04251).
    """

    limit: float = 1.0

    def _scores(self, state, x, condition=None):
        return self.limit * jnp.tanh(super()._scores(state, x, condition) / self.limit)


@functools.partial(jax.jit, static_argnames=("bound", "steps"))
def kl_bound(x, y, seed, bound, steps):
    """A lower bound on D_KL[p_X ‖ p_Y], trained on one half of the samples.

    A quarter chooses the step, from the first on, at which the critic is best, and the last quarter
    measures it.

    Args:
      x, y: samples [N, n].
      seed: of the critic.
      bound: one of `variational_kl.BOUNDS`.
      steps: of training, each on the whole half.

    Returns:
      Bits per dimension, scalar; at most log₂ of a quarter of N for a whole vector.
    """
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)[:, None]  # a synset of one
    ends = len(x) // 2, 3 * len(x) // 4
    learn, stop, report = zip(jnp.split(x, ends), jnp.split(y, ends), strict=True)
    limit = 0.5 * math.log(len(report[0]))
    module = _Bent(WIDTH, 1, LEARNING_RATE, bound=bound, limit=limit)
    keys = jax.random.split(jax.random.key(seed), steps + 1)
    first = module.init(keys[0], jax.ShapeDtypeStruct(x.shape, x.dtype))

    def step(carry, key):
        state, best, kept = carry
        state = module.update(state, *learn, {}, key)[0]
        value = module.penalty(state, *stop, {}, key)
        kept = jax.tree.map(lambda new, old: jnp.where(value > best, new, old), state, kept)
        return (state, jnp.maximum(value, best), kept), None

    start = first, module.penalty(first, *stop, {}, keys[0]), first
    (_, _, kept), _ = jax.lax.scan(step, start, keys[1:])
    return module.penalty(kept, *report, {}, keys[0])
