"""Wasserstein distortion of pictures (Qiu, Wagner, Ballé and Theis 2024, arXiv:2310.03629).

What it compares are the distributions of features around a place. With windows of one position it
is a distance between signals, with windows as large as the picture a distance between textures; in
between a member must have the texture of the source where the source has it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from synjax.perception import base, features

_TINY = 1e-4  # share of a feature's variance that keeps the slope of its deviation finite
_FLAT = 1e-8  # variance of a feature of which there is none
_TAPS = 3  # places, along each axis, whose mean shows a lattice


@dataclasses.dataclass(frozen=True, eq=False)
class WassersteinDistortion(base.Fixed):
    """Mean W₂² between Gaussian fits to features in windows of the source and of its members.

    The features are those of a frozen network (`features`). In each window W₂² of a feature is the
    squared difference of the two means plus that of the two standard deviations. It is divided by
    the feature's variance in the source's window, so that faint textures count like strong ones,
    plus a share of its variance in the batch, below which there is none to keep. Random features do
    not see brightness, which the distortion does.

    A network that works in cells of pixels can have the right deviation everywhere by a pattern
    that repeats from cell to cell: what noise would be is a lattice then, for which no content is
    needed. With `lattice` one more level of features shows that: the first one's means over
    3 × 3 places so many pixels apart, in which a lattice stays and a texture is reduced to a third.

    Attributes:
      window: side in pixels, a power of two that the last level of features has positions for; the
        grid of windows starts at a random place.
      floor: that share.
      lattice: period in pixels of a pattern that members must not have beyond their source, or a
        multiple of it; 0 to look for none.
      widths: filters of each level of the random network.
      seed: of the random network.
      features_path: a file for `features.load` in its place.
    """

    window: int = 8
    floor: float = 0.1
    lattice: int = 0
    widths: tuple[int, ...] = (16, 32, 64)
    seed: int = 0
    features_path: str | None = None

    def __post_init__(self):
        """Raises ValueError on a window or a floor that is none, or features of no use."""
        levels = len(self._kernels(3))
        least = 2 ** (levels - 1)
        if self.window < least or self.window & (self.window - 1):
            raise ValueError(
                f"perception.window must be a power of two from {least} with {levels} levels of "
                f"features, got {self.window}"
            )
        if self.lattice < 0:
            raise ValueError(f"perception.lattice must not be negative, got {self.lattice}")
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
        """Means and variances in windows, per level a pair of [N, h, w, C_l]."""
        reach = (_TAPS - 1) * self.lattice
        sides = [(side - self.window + 1) // self.window for side in x.shape[1:3]]
        least = 2 * self.window - 1 + reach
        if min(x.shape[1:3]) < least:
            raise ValueError(
                f"perception.window {self.window} and perception.lattice {self.lattice} need crops "
                f"of at least {least} pixels, got {x.shape[1]} x {x.shape[2]}"
            )
        rows, columns = (side * self.window for side in sides)
        begin = (0, shift[0], shift[1], 0)
        x = jax.lax.dynamic_slice(x, begin, (len(x), rows, columns, x.shape[-1]))
        levels = features.apply(self._kernels(x.shape[-1]), x)
        moments = [_in_windows(f, self.window >> level) for level, f in enumerate(levels)]
        if self.lattice:
            moments.append(_in_windows(_combed(levels[0], self.lattice), self.window))
        return moments

    def penalty(self, state, real, fake, context, key):
        """Wasserstein distortion of the members, each against its own source.

        Args:
          state: {}.
          real: unused.
          fake: [B, M, H, W, C].
          context: "source" [B, H, W, C] is used.
          key: JAX random key, of the place where windows start.

        Returns:
          Scalar, a pure number: the mean over features, windows, members and levels.
        """
        del state, real
        shift = jax.random.randint(key, (2,), 0, self.window)
        of_sources = self._moments(context["source"], shift)
        of_members = self._moments(base.pooled(fake), shift)
        total = 0.0
        for source, member in zip(of_sources, of_members, strict=True):
            mean, variance = (a[:, None] for a in source)  # [B, 1, h, w, C_l]
            own_mean, own_variance = (a.reshape(*fake.shape[:2], *a.shape[1:]) for a in member)
            batch = variance.mean((0, 1, 2, 3)) + mean.var((0, 1, 2, 3)) + _FLAT  # [C_l]
            batch = batch.reshape((1,) * (mean.ndim - 1) + batch.shape)
            deviation, own = (jnp.sqrt(v + _TINY * batch) for v in (variance, own_variance))
            squared = jnp.square(own_mean - mean) + jnp.square(own - deviation)
            total += (squared / (variance + self.floor * batch)).mean()
        return total / len(of_sources)


def _in_windows(found, side):
    """Means and variances [N, h, w, C] of features [N, H, W, C] in squares; the rest is left."""
    count, *sides, channels = found.shape
    rows, columns = (own // side for own in sides)
    blocks = found[:, : rows * side, : columns * side]
    blocks = blocks.reshape(count, rows, side, columns, side, channels)
    mean = blocks.mean((2, 4), keepdims=True)
    return mean[:, :, 0, :, 0], jnp.square(blocks - mean).mean((2, 4))


def _combed(found, period):
    """Means over `_TAPS` × `_TAPS` places `period` apart, where there are all of them."""
    for axis in (1, 2):
        left = found.shape[axis] - (_TAPS - 1) * period
        shifted = (
            jax.lax.slice_in_dim(found, tap * period, tap * period + left, axis=axis)
            for tap in range(_TAPS)
        )
        found = sum(shifted) / _TAPS
    return found
