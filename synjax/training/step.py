"""One optimisation step, pure."""

import enum

import jax
import jax.numpy as jnp
import optax

from synjax import objective as terms


class Purpose(enum.IntEnum):
    """What a random key is for; keys are addressed, never stored."""

    INIT = 0
    LOSS = 1
    CRITIC = 2
    SCHEDULE = 3


def key_for(seed, step, purpose):
    """The random key of one purpose at one step: resuming needs no stored generator."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), step), int(purpose))


# The codec answers a multiplier some hundred steps late, so that ascent alone swings about its
# target. A part in proportion to the excess damps that, as in Stooke, Achiam, Abbeel, "Responsive
# safety in reinforcement learning by PID Lagrangian methods" (2020), arXiv:2007.03964; smoothed,
# because the excess of a single batch is mostly noise.
DAMPING = 6.0
SMOOTHING = 0.05
LARGEST = 0.5  # what is further away is approached as if it were so far


def ascend(multipliers, excess, values, targets, rate):
    """Dual ascent on the constraints value ≤ target of Eq. 61, in logarithms of the multipliers.

    A multiplier grows while its value is above the target and shrinks while it is below, by a
    factor of at most exp(LARGEST·(rate + 2·DAMPING·SMOOTHING)) a step, whatever the units.

    Args:
      multipliers: logarithms, [3].
      excess: moving average of value / target − 1, within ±`LARGEST`, before this step, [3].
      values: of `objective.TERMS` at this step, [3].
      targets: positive, [3]; inf where there is no constraint, and the multiplier stays.
      rate: positive.

    Returns:
      The new logarithms and the new average.
    """
    now = jnp.where(jnp.isfinite(targets), jnp.clip(values / targets - 1, -LARGEST, LARGEST), 0.0)
    smoothed = excess + SMOOTHING * (now - excess)
    return multipliers + rate * now + DAMPING * (smoothed - excess), smoothed


def make(objective, transformation, *, balance, decay, dual_rate=None, lambda_p_warmup=0):
    """Builds the step for one stage.

    Args:
      objective: `objective.Objective`.
      transformation: optax transformation.
      balance: the losses of different λ_d are weighted by λ_d^−balance, so that one set of
        parameters is not ruled by the largest.
      decay: of the moving average, approached as (1 + t) / (10 + t).
      dual_rate: schedule, step → the rate of `ascend`; None for stages without targets.
      lambda_p_warmup: steps in which λ_p grows linearly to its value.

    Returns:
      step(state, x, real, lambda_d, lambda_p, level, targets) → (state, metrics). x and real are
      [B, *S, C] with B a multiple of G; lambda_d, lambda_p, level are [G]: the conditions of this
      step, each of which gets its share of the batch. targets [G, 3] are for `ascend`; with a
      dual_rate G is 1. Metrics are [G].
    """

    def total(params, critic, x, real, lambda_d, lambda_p, level, key, weights):
        keys = jax.random.split(key, len(lambda_d))
        own = x, real, lambda_d, lambda_p, level, keys
        if len(lambda_d) == 1:
            # Not by vmap: with an axis of one XLA's code for CPUs is slower (bench/cpu's README).
            found = objective(params, critic, *(leaf[0] for leaf in own), weights)
            losses, metrics = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], found)
        else:
            grouped = jax.vmap(objective, in_axes=(None, None, *[0] * len(own), None))
            losses, metrics = grouped(params, critic, *own, weights)
        return (losses * lambda_d**-balance).mean(), metrics

    def step(state, x, real, lambda_d, lambda_p, level, targets):
        conditions = len(lambda_d)
        x = x.reshape(conditions, -1, *x.shape[1:])
        real = real.reshape(conditions, -1, *real.shape[1:])
        critic_key = key_for(state.seed, state.step, Purpose.CRITIC)
        critic, critic_metrics = state.critic, {}
        weights = jnp.exp(state.multipliers)
        held = targets[0]
        if lambda_p_warmup:
            ramp = jnp.minimum((state.step + 1) / lambda_p_warmup, 1.0)
            weights = weights.at[1].multiply(ramp)
            # Of a divergence that is not yet asked for no multiplier can be found.
            held = held.at[1].set(jnp.where(ramp < 1, jnp.inf, held[1]))
        gradient_of = jax.value_and_grad(total, has_aux=True)
        (_, metrics), gradient = gradient_of(
            state.params,
            critic,
            x,
            real,
            lambda_d,
            lambda_p,
            level,
            key_for(state.seed, state.step, Purpose.LOSS),
            weights,
        )
        fake, context = metrics.pop("fake"), metrics.pop("context")
        if critic:
            # Adversarial modules take one condition a step, so that a critic has one adversary.
            real, fake, context = jax.tree.map(lambda leaf: leaf[0], (real, fake, context))
            fake = jax.lax.stop_gradient(fake)
            critic, critic_metrics = objective.perception.update(
                critic, real, fake, context, critic_key
            )
        updates, optimizer = transformation.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        count = state.step.astype(jnp.float32)
        rate = 1 - jnp.minimum(decay, (1 + count) / (10 + count))
        # In this form the average of what does not change does not change by a single bit.
        average = jax.tree.map(lambda a, p: a + rate * (p - a), state.average, params)
        multipliers, excess = state.multipliers, state.excess
        if dual_rate is not None:
            measured = metrics | {"rate": metrics.get("rate_rounded", metrics["rate"])}
            values = jnp.stack([jnp.asarray(measured[name])[0] for name in terms.TERMS])
            rate = dual_rate(state.step)
            multipliers, excess = ascend(multipliers, excess, values, held, rate)
        state = state.replace(
            step=state.step + 1,
            params=params,
            optimizer=optimizer,
            average=average,
            critic=critic,
            multipliers=multipliers,
            excess=excess,
        )
        metrics["gradient_norm"] = jnp.full(conditions, optax.global_norm(gradient))
        return state, metrics | critic_metrics

    return step
