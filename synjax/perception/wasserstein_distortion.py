"""Wasserstein distortion (Qiu, Wagner, Ballé and Theis 2024, arXiv:2310.03629), of one width.

The distributions that it compares are those of features around a place: with windows of a single
position it is a distance between signals, with windows as large as the signal a distance between
textures. In between, a member must have the texture of the source where the source has it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from synjax.perception import base, features


@dataclasses.dataclass(frozen=True, eq=False)
class WassersteinDistortion(base.Fixed):
    """Mean W₂² between Gaussian fits to features in windows of a picture and of its members.

    Features of a frozen network (`features`). Of each feature in each window W₂² is the squared
    difference of the means and of the standard deviations; it is divided by the feature's variance
    in the source's windows of this batch, or in the window itself (`local`), so that smooth areas
    count like busy ones.

    Attributes:
      window: side in pixels, a power of two from that of the last level's features; windows start
        at a random place.
      local: what is divided by.
      floor: share of the feature's variance in the batch that is added to that of a window.
      widths: filters of each level of the random network.
      seed: of the random network.
      features_path: a file for `features.load` in its place.
    """

    window: int = 16
    local: bool = False
    floor: float = 0.1
    widths: tuple[int, ...] = (16, 32, 64)
    seed: int = 0
    features_path: str | None = None

    def __post_init__(self):
        """Raises ValueError on a window that is none, or features that cannot be used."""
        levels = len(self._kernels(3))
        if self.window < 2 ** (levels - 1) or self.window & (self.window - 1):
            raise ValueError(
                f"perception.window must be a power of two from {2 ** (levels - 1)} with {levels} "
                f"levels of features, got {self.window}"
            )
        if not self.floor > 0:
            raise ValueError(f"perception.floor must be positive, got {self.floor}")

    @functools.cached_property
    def _loaded(self):
        return features.load(self.features_path)

    def _kernels(self, channels):
        if self.features_path is not None:
            return self._loaded
        return features.random_features(self.seed, tuple(self.widths), channels)

    def _moments(self, x, shift):
        """Mean and variance of every feature in every window: pairs of [N, h, w, C_l]."""
        count, height, width, channels = x.shape
        rows, columns = (
            (side - self.window + 1) // self.window * self.window for side in (height, width)
        )
        if min(rows, columns) < self.window:
            raise ValueError(
                f"perception.window {self.window} needs crops of at least {2 * self.window - 1} "
                f"pixels, got {height} x {width}"
            )
        moments = []
        x = jax.lax.dynamic_slice(x, (0, *shift, 0), (count, rows, columns, channels))
        for level, found in enumerate(features.apply(self._kernels(channels), x)):
            side = self.window >> level
            blocks = found.reshape(count, rows // self.window, side, columns // self.window, side, -1)
            mean = blocks.mean((2, 4))
            variance = ((blocks - mean[:, :, None, :, None]) ** 2).mean((2, 4))
            moments.append((mean, variance))
        return moments

    def penalty(self, state, real, fake, context, key):
        """Wasserstein distortion between sources and their members.

        Args:
          state: {}.
          real: unused; the sources are the context's.
          fake: [B, M, H, W, C].
          context: "source" [B, H, W, C] is used.
          key: JAX random key, of the place where windows start.

        Returns:
          Scalar, a pure number.
        """
        del state, real
        source, members = context["source"], base.pooled(fake)
        shift = jax.random.randint(key, (2,), 0, self.window)
        total = 0.0
        own, of_members = self._moments(source, shift), self._moments(members, shift)
        for (mean, variance), (mean_hat, variance_hat) in zip(own, of_members, strict=True):
            # Of the whole batch: what a window's features vary by, and the windows' means.
            scale = variance.mean((0, 1, 2)) + mean.var((0, 1, 2)) + 1e-8  # [C_l]
            tiny = 1e-4 * scale
            per = variance + self.floor * scale if self.local else scale
            terms = [jnp.repeat(a, fake.shape[1], 0) for a in (mean, jnp.sqrt(variance + tiny))]
            mean, deviation = terms
            per = jnp.repeat(per, fake.shape[1], 0) if self.local else per
            squared = (mean - mean_hat) ** 2 + (deviation - jnp.sqrt(variance_hat + tiny)) ** 2
            total += (squared / per).mean()
        return total / len(own)
