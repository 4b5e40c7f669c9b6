"""The train state: a plain pytree of arrays that can be stacked, sharded, saved and hashed."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

# The KLT starts where training would end; constants of normalisation stay what they are.
LEARNING_RATE_SCALE = {"klt": 0.1, "mean": 0.1, "deviation": 0.0, "log_sigma": 0.0}
# Per-channel weights of a few entries can move faster than kernels.
FAST = {"amplitude": 10.0, "sampled_weight": 10.0}
SMALL = 2**14  # entries of a leaf, below which it is updated with others


@flax.struct.dataclass
class TrainState:
    """Everything that a step changes.

    Attributes:
      step: int32 scalar, steps done; batches and noise are addressed by it.
      seed: int32 scalar, of all randomness; here, so that one compilation serves all seeds.
      params: parameters of the codec.
      optimizer: state of the optimiser.
      average: exponential moving average of the parameters, which evaluation uses.
      critic: state of the perception module.
      multipliers: float32 [3], logarithms of the weights of `objective.TERMS` that targets set
        (Eq. 61); zeros without targets.
      excess: float32 [3], by how much these terms are above their targets of late; `step.ascend`.
    """

    step: jax.Array
    seed: jax.Array
    params: Any
    optimizer: Any
    average: Any
    critic: Any
    multipliers: jax.Array
    excess: jax.Array


def learning_rate_scales(params):
    """Factor on the learning rate for every leaf of params."""
    table = LEARNING_RATE_SCALE | FAST

    def scale(path, leaf):
        del leaf
        return table.get(path[-1].key, 1.0)

    return jax.tree_util.tree_map_with_path(scale, params)


def _sizes(params):
    """What is small is updated in one go: most leaves are biases and gains of a few numbers, and
    four programs of each take longer to compile than to run.
    """
    return jax.tree.map(lambda leaf: "small" if leaf.size < SMALL else "large", params)


def _scale_by_leaf():
    def update(updates, state, params):
        scales = learning_rate_scales(params)
        return jax.tree.map(lambda u, s: u * s, updates, scales), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def optimizer(*, learning_rate, steps, warmup, clip):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) with warm-up, cosine decay and gradient clipping.

    Args:
      learning_rate: at the end of the warm-up.
      steps: at which it has decayed to zero.
      warmup: steps of linear increase.
      clip: largest global norm of the gradient.

    Returns:
      An optax transformation.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, min(warmup, steps - 1), max(steps, 2), learning_rate * 0.01
    )
    adam = optax.scale_by_adam(0.9, 0.99)
    return optax.chain(
        optax.clip_by_global_norm(clip),
        optax.partition({"small": optax.flatten(adam), "large": adam}, _sizes),
        _scale_by_leaf(),
        optax.scale_by_learning_rate(schedule),
    )


def create(params, transformation, critic, seed):
    """The state before the first step; copies, because a step reuses the memory of its argument."""
    params = jax.tree.map(jnp.copy, params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        seed=jnp.asarray(seed, jnp.int32),
        params=params,
        optimizer=transformation.init(params),
        average=jax.tree.map(jnp.copy, params),
        critic=critic,
        multipliers=jnp.zeros(3, jnp.float32),
        excess=jnp.zeros(3, jnp.float32),
    )
