"""How one set of weights serves a whole grid of (λ_d, λ_p).

Every λ-dependent quantity of the networks is a per-channel vector that is linear in a small
feature vector of (λ_d, λ_p). On a grid of one point this is an ordinary network, so separately
trained codecs and conditioned ones are the same code.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

# The axes of a grid whose every point has parameters of its own: they are told no λ, only whether
# λ_p is positive, and so do not depend on which others a sweep has.
OWN_LAMBDA_D = (1.0,)
OWN_LAMBDA_P = (0.0, 1e-12)


def hats(value, grid):
    """Piecewise-linear interpolation weights of `value` on `grid`, clamped at its ends.

    Args:
      value: scalar, may be traced.
      grid: increasing floats, at least one.

    Returns:
      Weights [len(grid)], non-negative, of sum one; a one-hot vector on grid points.
    """
    return jnp.stack([jnp.interp(value, np.asarray(grid), row) for row in np.eye(len(grid))])


@dataclasses.dataclass(frozen=True)
class Grid:
    """The (λ_d, λ_p) that one set of parameters is trained for.

    Attributes:
      lambda_d: increasing positive weights of the distortion.
      lambda_p: increasing non-negative weights of the perception term; 0 is always understood
        to be among them, because stage `fidelity` trains there.
    """

    lambda_d: tuple[float, ...]
    lambda_p: tuple[float, ...] = (0.0,)

    def __post_init__(self):
        """Raises ValueError on a grid that is empty, unsorted or of the wrong sign."""
        for name, grid, low in (("lambda_d", self.lambda_d, 1e-12), ("lambda_p", self.lambda_p, 0)):
            ordered = all(a < b for a, b in zip(grid, grid[1:], strict=False))
            if not (grid and ordered and np.all(np.isfinite(grid)) and grid[0] >= low):
                raise ValueError(
                    f"{name} must be increasing, finite and "
                    f"{'positive' if low else 'non-negative'}, got {grid}"
                )

    @property
    def size(self):
        """Length of the feature vector."""
        return 1 + len(self.lambda_d) + self.perceptual

    @property
    def perceptual(self):
        """How many of the features, the last ones, vanish at λ_p = 0."""
        return len(self._positive) * (1 + len(self.lambda_d))

    @property
    def _positive(self):
        return tuple(v for v in self.lambda_p if v > 0)

    def between(self, low, high, share):
        """The λ_p at a share in [0, 1] of the way from `low` to `high`.

        The way is that of the features, which are linear along it between points of the grid.
        """
        scale = self._positive[0] if self._positive else 1.0
        low, high = np.log1p(low / scale), np.log1p(high / scale)
        return float(scale * np.expm1(low + share * (high - low)))

    def features(self, lambda_d, lambda_p):
        """The feature vector: 1, hats of log λ_d, hats of λ_p > 0, and their products.

        At λ_p = 0 all entries that depend on λ_p vanish, so every λ_p starts where stage
        `fidelity` ended.

        Args:
          lambda_d: positive scalar, may be traced.
          lambda_p: non-negative scalar, may be traced.

        Returns:
          Features [size].
        """
        of_d = hats(jnp.log(lambda_d), np.log(self.lambda_d))
        if not self._positive:
            return jnp.concatenate([jnp.ones(1), of_d])
        scale = self._positive[0]
        of_p = hats(
            jnp.log1p(lambda_p / scale), np.log1p(np.asarray((0.0, *self._positive)) / scale)
        )[1:]
        return jnp.concatenate([jnp.ones(1), of_d, of_p, jnp.outer(of_d, of_p).ravel()])

    def rows(self, per_lambda_d):
        """A λ-dependent leaf [size, C] that equals `per_lambda_d` [len(lambda_d), C] at λ_p = 0."""
        per_lambda_d = np.asarray(per_lambda_d, np.float32)
        leaf = np.zeros((self.size, per_lambda_d.shape[1]), np.float32)
        leaf[1 : 1 + len(self.lambda_d)] = per_lambda_d
        return leaf


def channelwise(vector, like):
    """Vector [C] with leading axes of size one, to act on the last axis of `like` [..., C]."""
    return vector.reshape((1,) * (like.ndim - 1) + vector.shape)


def by_lambda(module, name, features, channels, init):
    """Declares a λ-dependent per-channel parameter of a Flax module and evaluates it.

    Args:
      module: the flax.linen module, inside its compact call.
      name: the parameter's name; the leaf is [len(features), channels].
      features: [F] from `Grid.features`.
      channels: number of channels.
      init: Flax initialiser of the leaf.

    Returns:
      The parameter at these λ's, [channels].
    """
    return features @ module.param(name, init, (features.shape[0], channels))
