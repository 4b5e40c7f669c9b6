"""One optimisation step, pure."""

import enum

import jax
import jax.numpy as jnp
import optax


class Purpose(enum.IntEnum):
    """What a random key is for; keys are addressed, never stored."""

    INIT = 0
    LOSS = 1
    CRITIC = 2
    SCHEDULE = 3


def key_for(seed, step, purpose):
    """The random key of one purpose at one step: resuming needs no stored generator."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), step), int(purpose))


def make(objective, transformation, *, balance, decay):
    """Builds the step for one stage.

    Args:
      objective: `objective.Objective`.
      transformation: optax transformation.
      balance: the losses of different λ_d are weighted by λ_d^−balance, so that one set of
        parameters is not ruled by the largest.
      decay: of the moving average, approached as (1 + t) / (10 + t).

    Returns:
      step(state, x, real, lambda_d, lambda_p, level) → (state, metrics). x and real are
      [B, *S, C] with B a multiple of G; lambda_d, lambda_p, level are [G]: the conditions of this
      step, each of which gets its share of the batch. Metrics are [G].
    """

    def total(params, critic, x, real, lambda_d, lambda_p, level, key):
        keys = jax.random.split(key, len(lambda_d))
        grouped = jax.vmap(objective, in_axes=(None, None, 0, 0, 0, 0, 0, 0))
        losses, metrics = grouped(params, critic, x, real, lambda_d, lambda_p, level, keys)
        return (losses * lambda_d**-balance).mean(), metrics

    def step(state, x, real, lambda_d, lambda_p, level):
        conditions = len(lambda_d)
        x = x.reshape(conditions, -1, *x.shape[1:])
        real = real.reshape(conditions, -1, *real.shape[1:])
        critic_key = key_for(state.seed, state.step, Purpose.CRITIC)
        critic, critic_metrics = state.critic, {}
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
        state = state.replace(
            step=state.step + 1,
            params=params,
            optimizer=optimizer,
            average=average,
            critic=critic,
        )
        metrics["gradient_norm"] = jnp.full(conditions, optax.global_norm(gradient))
        return state, metrics | critic_metrics

    return step
