"""What a sample is: vectors; pixels, patches or features of pictures; frames, spectra of sounds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from synjax.perception import base, features, sounds


def shifted_patches(x, size, stride, shift):
    """Patches of a grid that starts at `shift`: [B, H, W, C] → [N, size²·C].

    Neighbours overlap by size − stride. Positions outside the largest grid that fits at every
    shift below the stride are dropped.

    Args:
      x: pictures.
      size: side of a patch, a multiple of the stride.
      stride: distance of neighbours.
      shift: two integers in [0, stride), may be traced.
    """
    count, height, width, channels = x.shape
    rows, columns = (height - stride + 1) // stride, (width - stride + 1) // stride
    begin = (0, shift[0], shift[1], 0)
    x = jax.lax.dynamic_slice(x, begin, (count, rows * stride, columns * stride, channels))
    x = x.reshape(count, rows, stride, columns, stride, channels)
    blocks = jnp.moveaxis(x, 3, 2)  # [B, rows, columns, stride, stride, C]
    across = size // stride
    rows, columns = rows - across + 1, columns - across + 1
    lines = [
        jnp.concatenate([blocks[:, i : i + rows, j : j + columns] for j in range(across)], 4)
        for i in range(across)
    ]
    return jnp.concatenate(lines, 3).reshape(-1, size * size * channels)


@dataclasses.dataclass(frozen=True, eq=False)
class Spaced(base.Fixed):
    """A distance between distributions of samples.

    Attributes:
      space: what a sample is. "vector"; of pictures "pixels", of C values, "patches", of size²·C,
        and "features", one position of a frozen network; of sounds "frames", of the lapped
        transform, and "spectra", the logarithm of their power.
      patch: side of a patch in pixels, samples of a frame. The grid of patches or frames starts at
        a random place, so that the codec's own block grid cannot be played to.
      stride: distance of neighbouring patches, a divisor of `patch`; below it patches overlap, and
        the tails of the distribution are estimated from more of them.
      scales: by what pictures are shrunk, powers of two; each scale is a distance of its own, and
        a patch is as many pixels at each. Of spectra, by what frames are lengthened.
      seed: of the random network.
      features_path: a file for `features.load` in place of the random network.
    """

    space: str
    patch: int = 16
    stride: int = 8
    scales: tuple[int, ...] = (1,)
    seed: int = 0
    features_path: str | None = None

    def __post_init__(self):
        """Raises ValueError on an unknown space, or settings that do not fit it."""
        spaces = ("vector", "pixels", "patches", "features", "frames", "spectra")
        if self.space not in spaces:
            raise ValueError(f"perception.space is {self.space!r}, must be one of {spaces}")
        if self.stride < 1 or self.patch % self.stride:
            raise ValueError(
                f"perception.stride {self.stride} must divide perception.patch {self.patch}"
            )
        allowed = (1,) if self.space in ("vector", "frames") else (1, 2, 4, 8, 16)
        scales = tuple(self.scales)
        if not scales or len(set(scales)) < len(scales) or not set(scales) <= set(allowed):
            raise ValueError(
                f"perception.scales of space {self.space!r} must be different ones of {allowed}, "
                f"got {self.scales}"
            )
        if self.features_path is not None:
            if self.space != "features":
                raise ValueError(
                    f"perception.features_path needs space 'features', got {self.space!r}"
                )
            _ = self._loaded  # an unusable file is refused before anything runs

    @functools.cached_property
    def _loaded(self):
        return features.load(self.features_path)

    def sample_sets(self, x, key):
        """Samples of every scale and level.

        Args:
          x: [N, *S, C].
          key: JAX random key, of the place where patches start.

        Returns:
          A list of [N, P, n]: P samples of n values from each example.
        """
        if self.space == "vector":
            return [x[:, None]]
        if self.space in ("frames", "spectra"):
            return self._of_sounds(x, key)
        sets = []
        for scale in self.scales:
            small = x
            for _ in range(scale.bit_length() - 1):
                small = features.halve(small)
            sets += self._of_pictures(small, key)
        return [samples.reshape(len(x), -1, samples.shape[-1]) for samples in sets]

    def _of_sounds(self, x, key):
        longest = self.patch * max(self.scales)
        if x.shape[1] < 4 * longest:
            raise ValueError(
                f"perception.patch {self.patch} and its scales need crops of at least "
                f"{4 * longest} samples, got {x.shape[1]}"
            )
        shift = jax.random.randint(key, (), 0, self.patch)
        if self.space == "frames":
            return [sounds.shifted_frames(x, self.patch, shift)]
        x = jax.lax.dynamic_slice_in_dim(x, shift, x.shape[1] - self.patch + 1, axis=1)
        return [sounds.log_spectra(x, self.patch * scale) for scale in self.scales]

    def _of_pictures(self, x, key):
        if self.space == "pixels":
            return [x]
        if self.space == "patches":
            if min(x.shape[1:3]) < 2 * self.patch:
                raise ValueError(
                    f"perception.patch {self.patch} needs crops of at least {2 * self.patch} "
                    f"pixels, got {x.shape[1]} x {x.shape[2]}"
                )
            shift = jax.random.randint(key, (2,), 0, self.stride)
            return [shifted_patches(x, self.patch, self.stride, shift)]
        if self.features_path is not None:
            return features.apply(self._loaded, x)
        return features.apply(features.random_features(self.seed, channels=x.shape[-1]), x)
