"""What is learned beside the codec: a network that scores signals, and how it is trained."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from synjax.perception import spectral

STAGES = 3  # halvings of an image inside the critic
FIELD = 36  # side of the patch of pixels that one score of an image depends on
SLOPE = 0.2
BETAS = (0.0, 0.9)  # of Adam; a critic chases a moving target, so momentum hurts (WGAN-GP, 4)


class Critic(nn.Module):
    """Scores of the places of a signal: [N, *S, C] → [N, P], P = 1 of vectors.

    Vectors go through two hidden layers. Images are halved by space-to-depth before each of three
    3x3 convolutions, which costs far less on CPU than strides, and every position is scored.
    There is no batch normalisation: a gradient penalty is per example.

    Attributes:
      width: hidden units, or channels of every stage.
      from_zero: whether all scores are zero at first.
    """

    width: int
    from_zero: bool = True

    @nn.compact
    def __call__(self, x, condition=None):
        """x: [N, n] or [N, H, W, C]; condition: None, or [N, *S', K] with S' dividing S / 8."""
        if x.ndim == 2:
            if condition is not None:
                x = jnp.concatenate([x, condition], -1)
            for layer in range(2):
                x = nn.leaky_relu(nn.Dense(self.width, name=f"hidden_{layer}")(x), SLOPE)
        else:
            for stage in range(STAGES):
                x = _halve(x)
                if condition is not None and stage == STAGES - 1:
                    x = jnp.concatenate([x, _stretched(condition, x.shape[1:3])], -1)
                x = nn.leaky_relu(nn.Conv(self.width, (3, 3), name=f"stage_{stage}")(x), SLOPE)
        # From zero, so that the first step decides the sign of the slope: from a wrong one a
        # gradient penalty, which pushes away from slope zero, would hold the critic back.
        first = nn.initializers.zeros if self.from_zero else nn.initializers.lecun_normal()
        scores = nn.Dense(1, kernel_init=first, name="score")(x)
        return scores.reshape(len(x), -1)


def _halve(x):
    """Space-to-depth: [N, H, W, C] → [N, H/2, W/2, 4·C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return jnp.moveaxis(x, 3, 2).reshape(batch, height // 2, width // 2, 4 * channels)


def _stretched(condition, sides):
    """Each position as often as fills the sides: [N, *S', K] → [N, *sides, K]."""
    for axis, side in enumerate(sides, 1):
        condition = jnp.repeat(condition, side // condition.shape[axis], axis)
    return condition


@dataclasses.dataclass(frozen=True)
class Learned:
    """A perception module with a critic; children have a `penalty` and a `_loss` of the critic.

    Attributes:
      width: of the critic.
      critic_steps: updates of the critic per step of the codec, all on the same batch.
      learning_rate: of the critic's Adam.
      spectral: whether the critic's layers are kept at spectral norm 1.
    """

    width: int = 32
    critic_steps: int = 3
    learning_rate: float = 3e-4
    spectral: bool = False

    learns = True

    def __post_init__(self):
        """Raises ValueError on a critic that cannot learn."""
        for name in ("width", "critic_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"perception.{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"perception.learning_rate must be positive, got {self.learning_rate}")

    @property
    def _optimizer(self):
        return optax.adam(self.learning_rate, *BETAS)

    @property
    def _network(self):
        # A kernel of zeros cannot be brought to norm 1.
        return Critic(self.width, from_zero=not self.spectral)

    def _example_condition(self, shape):
        """What the critic is told beside an example of a shape, [1, *S', K], or None."""
        del shape
        return None

    def _scores(self, state, x, condition=None):
        """Of x [N, *S, C]: [N, P]."""
        params = state["params"]
        if self.spectral:
            params = spectral.normalised(params, state["spectral"])
        return self._network.apply({"params": params}, x, condition)

    def init(self, key, x_spec):
        """A critic for one kind of signal.

        Args:
          key: JAX random key.
          x_spec: jax.ShapeDtypeStruct of a batch, [N, n] of vectors or [N, H, W, C] of images.

        Returns:
          The state {"params", "optimizer"}, and "spectral" where the critic's norm is kept.

        Raises:
          ValueError: neither vectors nor images, or images whose sides cannot be halved three
            times.
        """
        if len(x_spec.shape) not in (2, 4):
            raise ValueError(
                f"a critic needs vectors [N, n] or images [N, H, W, C], got shape {x_spec.shape}"
            )
        if any(side % 2**STAGES for side in x_spec.shape[1:-1]):
            raise ValueError(
                f"a critic needs images with sides that are multiples of {2**STAGES}, "
                f"got {x_spec.shape[1]} x {x_spec.shape[2]}"
            )
        shape = (1, *x_spec.shape[1:])
        example = jnp.zeros(shape, x_spec.dtype)
        params = self._network.init(key, example, self._example_condition(shape))["params"]
        state = {"params": params, "optimizer": self._optimizer.init(params)}
        if self.spectral:
            state["spectral"] = spectral.init(key, params)
        return state

    def update(self, state, real, fake, context, key):
        """Several steps of the critic on one batch.

        Args:
          state: from `init` or `update`.
          real: [N, *S, C].
          fake: [B, M, *S, C].
          context: see `base`.
          key: JAX random key.

        Returns:
          The new state, and scalars that describe the last step, see `_loss`.
        """
        # Unrolled in Python: convolutions inside lax.scan are several times slower on CPU.
        for step in range(self.critic_steps):

            def loss(params, state=state, step=step):
                own = jax.random.fold_in(key, step)
                return self._loss({**state, "params": params}, real, fake, context, own)

            gradient, metrics = jax.grad(loss, has_aux=True)(state["params"])
            updates, optimizer = self._optimizer.update(
                gradient, state["optimizer"], state["params"]
            )
            params = optax.apply_updates(state["params"], updates)
            state = {**state, "params": params, "optimizer": optimizer}
            if self.spectral:
                state["spectral"] = spectral.advance(state["spectral"], params)
        return state, metrics
