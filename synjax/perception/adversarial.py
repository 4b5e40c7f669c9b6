"""Wasserstein critic with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

By Kantorovich and Rubinstein, W₁ is the largest mean difference that a 1-Lipschitz function sees
between two distributions. A critic that is trained beside the codec stands for that function, so
the penalty estimates W₁ from below, up to the softness of its Lipschitz constraint.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from synjax.perception import base

STAGES = 3  # halvings of an image inside the critic
SLOPE = 0.2
BETAS = (0.0, 0.9)  # of Adam; a critic chases a moving target, so momentum hurts (the paper, 4)


class Critic(nn.Module):
    """A scalar per example: [N, *S, C] → [N].

    Vectors go through two hidden layers. Images are halved by space-to-depth before each of three
    3x3 convolutions, which costs far less on CPU than strides, and the scores of all positions
    are averaged. There is no batch normalisation: the gradient penalty is per example.

    Attributes:
      width: hidden units, or channels of every stage.
    """

    width: int

    @nn.compact
    def __call__(self, x):
        """x: [N, n] or [N, H, W, C]."""
        if x.ndim == 2:
            for layer in range(2):
                x = nn.leaky_relu(nn.Dense(self.width, name=f"hidden_{layer}")(x), SLOPE)
        else:
            for stage in range(STAGES):
                x = nn.Conv(self.width, (3, 3), name=f"stage_{stage}")(_halve(x))
                x = nn.leaky_relu(x, SLOPE)
        # From zero, so that the first step decides the sign of the slope: from a wrong one the
        # gradient penalty, which pushes away from slope zero, would hold the critic back.
        scores = nn.Dense(1, kernel_init=nn.initializers.zeros, name="score")(x)
        return scores.reshape(len(x), -1).mean(-1)


def _halve(x):
    """Space-to-depth: [N, H, W, C] → [N, H/2, W/2, 4·C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return jnp.moveaxis(x, 3, 2).reshape(batch, height // 2, width // 2, 4 * channels)


@dataclasses.dataclass(frozen=True)
class WganGp:
    """W₁ as an adversarial critic sees it, where examples of n elements are ‖x − x′‖ / √n apart.

    This root-mean-square distance makes the penalty independent of the size of an image and gives
    it the units of x: a shift of every element by d costs |d|.

    Attributes:
      width: of the critic.
      critic_steps: updates of the critic per step of the codec, all on the same batch.
      learning_rate: of the critic's Adam; at 1e-3 a wide critic of images swings around slope 1.
      weight: of the gradient penalty.
    """

    width: int = 32
    critic_steps: int = 3
    learning_rate: float = 3e-4
    weight: float = 10.0

    def __post_init__(self):
        """Raises ValueError on a critic that cannot learn."""
        for name in ("width", "critic_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"perception.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "weight"):
            if not getattr(self, name) > 0:
                raise ValueError(f"perception.{name} must be positive, got {getattr(self, name)}")

    @property
    def _optimizer(self):
        return optax.adam(self.learning_rate, *BETAS)

    def _critic(self, params, x):
        return Critic(self.width).apply({"params": params}, x)

    def init(self, key, x_spec):
        """A critic for one kind of signal.

        Args:
          key: JAX random key.
          x_spec: jax.ShapeDtypeStruct of a batch, [N, n] of vectors or [N, H, W, C] of images.

        Returns:
          The state {"params", "optimizer"}.

        Raises:
          ValueError: neither vectors nor images, or images whose sides cannot be halved three
            times.
        """
        if len(x_spec.shape) not in (2, 4):
            raise ValueError(
                "perception 'wgan_gp' needs vectors [N, n] or images [N, H, W, C], "
                f"got shape {x_spec.shape}"
            )
        if any(side % 2**STAGES for side in x_spec.shape[1:-1]):
            raise ValueError(
                f"perception 'wgan_gp' needs images with sides that are multiples of "
                f"{2**STAGES}, got {x_spec.shape[1]} x {x_spec.shape[2]}"
            )
        example = jnp.zeros((1, *x_spec.shape[1:]), x_spec.dtype)
        params = Critic(self.width).init(key, example)["params"]
        return {"params": params, "optimizer": self._optimizer.init(params)}

    def penalty(self, state, real, fake, context, key):
        """What the critic tells apart; all members count alike.

        Args:
          state: from `init` or `update`; receives no gradient.
          real: [N, *S, C].
          fake: [B, M, *S, C].
          context: unused.
          key: unused.

        Returns:
          Scalar, in units of x; 0 before the first update, negative where the critic is wrong.
        """
        del context, key
        params = jax.lax.stop_gradient(state["params"])
        return self._critic(params, real).mean() - self._critic(params, base.pooled(fake)).mean()

    def _gradient_norms(self, params, x):
        """Norm of the critic's gradient at every example, dual to ‖·‖ / √n: [N]."""
        gradient = jax.grad(lambda x: self._critic(params, x).sum())(x).reshape(len(x), -1)
        # The square root has no finite slope at 0.
        return jnp.sqrt(gradient.shape[-1] * jnp.square(gradient).sum(-1) + 1e-12)

    def _loss(self, params, real, fake, between):
        """Eq. 3 of the paper; `between` are interpolates of real and fake."""
        distance = self._critic(params, real).mean() - self._critic(params, fake).mean()
        norms = self._gradient_norms(params, between)
        loss = self.weight * jnp.square(norms - 1).mean() - distance
        return loss, {"critic_distance": distance, "critic_gradient_norm": norms.mean()}

    def update(self, state, real, fake, context, key):
        """Several steps of the critic on one batch.

        Args:
          state: from `init` or `update`.
          real: [N, *S, C].
          fake: [B, M, *S, C].
          context: unused.
          key: JAX random key.

        Returns:
          The new state, and the scalars `critic_distance` (units of x) and `critic_gradient_norm`
          (1 + critic_distance / (2 · weight) at the optimum) of the last step.
        """
        del context
        fake = base.pooled(fake)
        params, optimizer = state["params"], state["optimizer"]
        pair_key, place_key = jax.random.split(key)
        count = min(len(real), len(fake))
        # Random pairs: an image and its own reconstruction have too little between them.
        pairs = jax.random.randint(pair_key, (self.critic_steps, count), 0, len(fake))
        places = jax.random.uniform(
            place_key, (self.critic_steps, count) + (1,) * (real.ndim - 1), real.dtype
        )
        gradient_of = jax.grad(self._loss, has_aux=True)
        # Unrolled in Python: convolutions inside lax.scan are several times slower on CPU.
        for pair, place in zip(pairs, places, strict=True):
            between = real[:count] * place + fake[pair] * (1 - place)
            gradient, metrics = gradient_of(params, real, fake, between)
            updates, optimizer = self._optimizer.update(gradient, optimizer, params)
            params = optax.apply_updates(params, updates)
        return {"params": params, "optimizer": optimizer}, metrics
