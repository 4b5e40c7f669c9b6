"""Adversarial critics: Wasserstein with gradient penalty, and the non-saturating game."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from synjax.perception import base, critics


@dataclasses.dataclass(frozen=True)
class WganGp(critics.Learned):
    """W₁ as a critic sees it, where examples of n elements are ‖x − x′‖ / √n apart.

    By Kantorovich and Rubinstein, W₁ is the largest mean difference that a 1-Lipschitz function
    sees between two distributions. The critic stands for that function, so the penalty estimates
    W₁ from below, up to the softness of its Lipschitz constraint. The root-mean-square distance
    makes it independent of the size of an image and gives it the units of x: a shift of every
    element by d costs |d|. At a learning rate of 1e-3 a wide critic of images swings around slope
    1. (Gulrajani et al. 2017, arXiv:1704.00028.)

    Attributes:
      weight: of the gradient penalty; `spectral` does not replace it, but bounds the critic
        between the places where the penalty looks.
    """

    weight: float = 10.0

    def __post_init__(self):
        """Raises ValueError on a critic that cannot learn."""
        super().__post_init__()
        if not self.weight > 0:
            raise ValueError(f"perception.weight must be positive, got {self.weight}")

    def penalty(self, state, real, fake, context, key):
        """What the critic tells apart; all members count alike.

        Args:
          state: from `init` or `update`; receives no gradient.
          real: [N, *S, C].
          fake: [B, M, *S, C].
          context: unused.
          key: unused.

        Returns:
          Scalar, in units of x; 0 before the first update unless `spectral`, negative where the
          critic is wrong.
        """
        del context, key
        return self._distance(jax.lax.stop_gradient(state), real, base.pooled(fake))

    def _distance(self, state, real, fake):
        return self._scores(state, real).mean() - self._scores(state, fake).mean()

    def _gradient_norms(self, state, x):
        """Norm of the critic's gradient at every example, dual to ‖·‖ / √n: [N]."""
        gradient = jax.grad(lambda x: self._scores(state, x).mean(-1).sum())(x)
        gradient = gradient.reshape(len(x), -1)
        # The square root has no finite slope at 0.
        return jnp.sqrt(gradient.shape[-1] * jnp.square(gradient).sum(-1) + 1e-12)

    def _loss(self, state, real, fake, context, key):
        """Eq. 3 of the paper, and the scalars `critic_distance` and `critic_gradient_norm`.

        The distance is in units of x; the norm is 1 + distance / (2 · weight) at the optimum.
        """
        del context
        fake = base.pooled(fake)
        pair_key, place_key = jax.random.split(key)
        count = min(len(real), len(fake))
        # Random pairs: an image and its own reconstruction have too little between them.
        pair = jax.random.randint(pair_key, (count,), 0, len(fake))
        place = jax.random.uniform(place_key, (count,) + (1,) * (real.ndim - 1), real.dtype)
        between = real[:count] * place + fake[pair] * (1 - place)
        distance = self._distance(state, real, fake)
        norms = self._gradient_norms(state, between)
        loss = self.weight * jnp.square(norms - 1).mean() - distance
        return loss, {"critic_distance": distance, "critic_gradient_norm": norms.mean()}


@dataclasses.dataclass(frozen=True)
class Gan(critics.Learned):
    """The non-saturating game (Goodfellow et al. 2014, arXiv:1406.2661), in bits.

    The critic classifies; of images it does so at every position, with a patch of
    `critics.FIELD` pixels in view. At its optimum it knows log p_X / p_X̂ there. The penalty
    −log₂ σ(score) of the fakes is 1 where it cannot tell, and is no divergence, but decreases
    where one does.

    Attributes:
      spectral: on, as nothing else bounds the slope of this critic.
      conditioned: whether the critic also sees the symbols of y_s that were sent, and the level,
        so that it compares p_X|y_s with p_X̂|y_s. It needs "paired" batches: the source of a
        synset is the one signal known to have its symbols. They get no gradient.
      groups: channels of the codec's groups; needed and used if `conditioned`.
    """

    spectral: bool = True
    conditioned: bool = False
    groups: tuple[int, ...] | None = None

    def __post_init__(self):
        """Raises ValueError on a critic that cannot learn."""
        super().__post_init__()
        if self.conditioned and not self.groups:
            raise ValueError("perception.conditioned needs the groups of a codec")

    def _example_condition(self, shape):
        if not self.conditioned:
            return None
        return jnp.zeros(
            (1, *(side // 2**critics.STAGES for side in shape[1:-1]), sum(self.groups) + 1)
        )

    def _condition(self, context):
        """What was sent, [B, *S', K + 1]: unsent groups are zero, the level a share of L."""
        if not self.conditioned:
            return None
        # Of a high rate symbols are large; this is linear where they are small.
        symbols = jnp.arcsinh(jax.lax.stop_gradient(context["symbols"]))
        group = np.repeat(np.arange(1, len(self.groups) + 1), self.groups)  # [K]
        sent = jnp.broadcast_to(group <= context["level"], symbols.shape)
        share = jnp.full((*symbols.shape[:-1], 1), 1.0) * (context["level"] / len(self.groups))
        return jnp.concatenate([jnp.where(sent, symbols, 0.0), share], -1)

    def _of_fakes(self, state, fake, condition):
        """Scores of all members, [B·M, P]."""
        if condition is not None:
            condition = jnp.repeat(condition, fake.shape[1], 0)
        return self._scores(state, base.pooled(fake), condition)

    def penalty(self, state, real, fake, context, key):
        """How surely the critic sees that the fakes are fakes.

        Args:
          state: from `init` or `update`; receives no gradient.
          real: unused.
          fake: [B, M, *S, C].
          context: "symbols" [B, *S', K] and "level" are used if `conditioned`.
          key: unused.

        Returns:
          Scalar, in bits.
        """
        del real, key
        state = jax.lax.stop_gradient(state)
        scores = self._of_fakes(state, fake, self._condition(context))
        return jax.nn.softplus(-scores).mean() / math.log(2)

    def _loss(self, state, real, fake, context, key):
        """Cross-entropy of both classes in bits, also as `critic_loss`: 2 where it cannot tell."""
        del key
        condition = self._condition(context)
        if condition is not None and len(real) != len(fake):
            raise ValueError(
                "perception.conditioned needs each synset's own source, got "
                f"{len(real)} real examples and {len(fake)} synsets"
            )
        of_real = jax.nn.softplus(-self._scores(state, real, condition)).mean()
        of_fakes = jax.nn.softplus(self._of_fakes(state, fake, condition)).mean()
        loss = (of_real + of_fakes) / math.log(2)
        return loss, {"critic_loss": loss}
