"""Sliced 2-Wasserstein distance (Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3).

A squared distance between one-dimensional projections has a closed form, the difference of sorted
samples. Which projections decides what can be seen: a random direction in many dimensions mixes
the comb that quantisation leaves into something smooth, so the codec's own axes, along which the
comb lies, are directions too.
"""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from synjax.perception import base, features


def squared_w2(real, fake):
    """W₂² of one-dimensional samples, per direction.

    Args:
      real: [..., N] samples; sorted here.
      fake: [..., N'] samples; where N' ≠ N the quantiles of `real` are interpolated.

    Returns:
      [...], in squared units of the samples.
    """
    return _of_quantiles(jnp.sort(real, -1), jnp.sort(fake, -1))


def _of_quantiles(real, fake):
    """`squared_w2` of sorted samples."""
    if real.shape != fake.shape:
        positions = (jnp.arange(fake.shape[-1]) + 0.5) / fake.shape[-1]
        known = (jnp.arange(real.shape[-1]) + 0.5) / real.shape[-1]
        rows = real.reshape(-1, real.shape[-1])
        rows = jax.vmap(lambda row: jnp.interp(positions, known, row))(rows)
        real = rows.reshape(*real.shape[:-1], -1)
    return ((real - fake) ** 2).mean(-1)


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
class SlicedWasserstein(base.Fixed):
    """Mean W₂² over directions that are drawn anew at every step.

    Attributes:
      space: "vector" | "pixels" | "patches" | "features": what a sample is. A pixel is a sample
        of C values, a patch of size²·C, a feature one position of a frozen random network.
      directions: random unit directions per step.
      axes: rows are directions of their own [A, n], in "vector" and "patches"; the codec's KLT.
      axes_per_step: how many of them, drawn anew at every step.
      patch: side of a patch in pixels; with axes, size²·C = n. The grid of patches starts at a
        random place, so that the codec's own block grid cannot be played to.
      stride: distance of neighbouring patches, a divisor of `patch`; below it patches overlap, and
        the tails of the distribution are estimated from more of them.
      normalise: divide each axis by the deviation of the real batch along it, so that weak
        coefficients count like strong ones.
      floor: deviation that is added to it in quadrature.
      unbiased: compare the source with one member at a time and subtract what two members differ
        by: Σ_j W₂²(x, x̂_j) / M − Σ_{i<j} W₂²(x̂_i, x̂_j) / M(M − 1). Batches of one distribution
        differ, so that the plain distance is least where the members are too narrow; this one is
        least where they are right (as the Sinkhorn divergence: Genevay et al. 2018,
        arXiv:1706.00292). With "paired" batches source and members share their symbols, and most
        of the noise cancels.
      seed: of the frozen network.
    """

    space: str
    directions: int = 32
    axes: Any = None
    axes_per_step: int = 0
    patch: int = 16
    stride: int = 8
    normalise: bool = False
    floor: float = 1e-2
    unbiased: bool = False
    seed: int = 0

    def __post_init__(self):
        """Raises ValueError on an unknown space or a request that sees nothing."""
        spaces = ("vector", "pixels", "patches", "features")
        if self.space not in spaces:
            raise ValueError(f"perception.space is {self.space!r}, must be one of {spaces}")
        if self.directions < 0 or self.axes_per_step < 0:
            raise ValueError("perception.directions and axes_per_step must not be negative")
        if self.directions + self.axes_per_step == 0:
            raise ValueError("perception.directions and axes_per_step are both 0")
        if self.stride < 1 or self.patch % self.stride:
            raise ValueError(
                f"perception.stride {self.stride} must divide perception.patch {self.patch}"
            )
        if self.axes_per_step and self.axes is None:
            raise ValueError(f"perception.axes_per_step needs axes; space {self.space!r} has none")

    def _samples(self, x, key):
        """List of sample sets, each [N, n]."""
        if self.space == "vector":
            return [x]
        if self.space == "pixels":
            return [x.reshape(-1, x.shape[-1])]
        if self.space == "patches":
            if min(x.shape[1:3]) < 2 * self.patch:
                raise ValueError(
                    f"perception.patch {self.patch} needs crops of at least {2 * self.patch} "
                    f"pixels, got {x.shape[1]} x {x.shape[2]}"
                )
            shift = jax.random.randint(key, (2,), 0, self.stride)
            return [shifted_patches(x, self.patch, self.stride, shift)]
        kernels = features.random_features(self.seed, channels=x.shape[-1])
        return [h.reshape(-1, h.shape[-1]) for h in features.apply(kernels, x)]

    def _project(self, sets, key):
        """Projections [D, N] of sample sets [N, n] on this step's directions; the first is real.

        With axes, the random directions are mixtures of this step's axes, each weighted alike
        after the normalisation, so that they too see the weak coefficients.
        """
        random_key, axes_key = jax.random.split(key)
        if self.axes_per_step:
            if self.axes.shape[1] != sets[0].shape[-1]:
                raise ValueError(
                    f"perception.axes of {self.axes.shape[1]} values do not fit samples of "
                    f"{sets[0].shape[-1]}; perception.patch must be the codec's stride"
                )
            order = jax.random.permutation(axes_key, len(self.axes))
            rows = jnp.asarray(self.axes)[order[: self.axes_per_step]]
        else:
            rows = jnp.eye(sets[0].shape[-1])
        sets = [rows @ samples.T for samples in sets]
        mixed = jax.random.normal(random_key, (self.directions, len(rows)))
        mixed = mixed / jnp.linalg.norm(mixed, axis=-1, keepdims=True)
        if self.normalise:
            scale = jax.lax.rsqrt(sets[0].var(-1, keepdims=True) + self.floor**2)
            sets = [samples * scale for samples in sets]
        mixtures = [mixed @ samples for samples in sets]
        if not self.axes_per_step:
            return mixtures
        return [jnp.concatenate(pair) for pair in zip(sets, mixtures, strict=True)]

    def penalty(self, state, real, fake, context, key):
        """Mean W₂² between real and fake samples over this step's directions.

        Args:
          state: {}.
          real: [N, *S, C].
          fake: [B, M, *S, C].
          context: unused.
          key: JAX random key; the same key gives the same directions.

        Returns:
          Scalar; squared units of x per sample dimension, or a pure number if `normalise`.
        """
        del state, context
        if self.unbiased and fake.shape[1] < 2:
            raise ValueError("perception.unbiased needs at least 2 members")
        shift_key, direction_key = jax.random.split(key)
        members = list(jnp.moveaxis(fake, 1, 0)) if self.unbiased else [base.pooled(fake)]
        sampled = [self._samples(x, shift_key) for x in (real, *members)]
        total = 0.0
        for index, sets in enumerate(zip(*sampled, strict=True)):
            projections = self._project(sets, jax.random.fold_in(direction_key, index))
            total += _distance(*(jnp.sort(samples, -1) for samples in projections))
        return total / len(sampled[0])


def _distance(real, *members):
    """Mean W₂² of sorted projections: real to members, less half of that between members."""
    found = jnp.stack([_of_quantiles(real, member).mean() for member in members]).mean()
    pairs = list(itertools.combinations(members, 2))
    if not pairs:
        return found
    return found - jnp.stack([_of_quantiles(*pair).mean() for pair in pairs]).mean() / 2
