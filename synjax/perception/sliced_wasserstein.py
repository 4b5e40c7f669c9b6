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

from synjax.perception import base, sorting, spaces


def squared_w2(real, fake):
    """W₂² of one-dimensional samples, per direction.

    Args:
      real: [..., N] samples; sorted here.
      fake: [..., N'] samples; where N' ≠ N the quantiles of `real` are interpolated.

    Returns:
      [...], in squared units of the samples.
    """
    return _of_quantiles(sorting.ascending(real), sorting.ascending(fake))


def _of_quantiles(real, fake):
    """`squared_w2` of sorted samples."""
    if real.shape != fake.shape:
        positions = (jnp.arange(fake.shape[-1]) + 0.5) / fake.shape[-1]
        known = (jnp.arange(real.shape[-1]) + 0.5) / real.shape[-1]
        rows = real.reshape(-1, real.shape[-1])
        rows = jax.vmap(lambda row: jnp.interp(positions, known, row))(rows)
        real = rows.reshape(*real.shape[:-1], -1)
    return ((real - fake) ** 2).mean(-1)


@dataclasses.dataclass(frozen=True, eq=False)
class SlicedWasserstein(spaces.Spaced):
    """Mean W₂² over directions that are drawn anew at every step.

    Attributes:
      directions: random unit directions per step.
      orthogonal: draw them in groups of orthonormal ones, as many in a group as there are
        dimensions (Rowland et al. 2019, arXiv:1903.03784).
      ascent: steps by which they are turned, from where they were drawn, to where the distance is
        larger: the max-sliced distance (Deshpande et al. 2019, arXiv:1904.05877) from several
        starts. No gradient passes through the turning, and it looks at the very samples that it
        compares, so that no distance with it is free of bias.
      axes: rows are directions of their own [A, n], in "vector" and "patches"; the codec's KLT,
        whose patches have size²·C = n values. Every scale uses them.
      axes_per_step: how many of them, drawn anew at every step.
      normalise: divide each axis by the deviation of the real batch along it, so that weak
        coefficients count like strong ones.
      floor: deviation that is added to it in quadrature.
      unbiased: compare the source with one member at a time and subtract what two members differ
        by: Σ_j W₂²(x, x̂_j) / M − Σ_{i<j} W₂²(x̂_i, x̂_j) / M(M − 1). Batches of one distribution
        differ, so that the plain distance is least where the members are too narrow; this one is
        least where they are right (as the Sinkhorn divergence: Genevay et al. 2018,
        arXiv:1706.00292). With "paired" batches source and members share their symbols, and most
        of the noise cancels.
    """

    directions: int = 32
    orthogonal: bool = False
    ascent: int = 0
    axes: Any = None
    axes_per_step: int = 0
    normalise: bool = False
    floor: float = 1e-2
    unbiased: bool = False

    def __post_init__(self):
        """Raises ValueError on an unknown space or a request that sees nothing."""
        super().__post_init__()
        if self.directions < 0 or self.axes_per_step < 0:
            raise ValueError("perception.directions and axes_per_step must not be negative")
        if self.directions + self.axes_per_step == 0:
            raise ValueError("perception.directions and axes_per_step are both 0")
        if self.ascent < 0:
            raise ValueError(f"perception.ascent must not be negative, got {self.ascent}")
        if not self.directions and (self.orthogonal or self.ascent):
            raise ValueError("perception.orthogonal and ascent are about directions, which are 0")
        if self.axes_per_step and self.axes is None:
            raise ValueError(f"perception.axes_per_step needs axes; space {self.space!r} has none")

    def _drawn(self, key, dimensions):
        """Random unit directions [D, n]."""
        if not self.orthogonal:
            drawn = jax.random.normal(key, (self.directions, dimensions))
            return drawn / jnp.linalg.norm(drawn, axis=-1, keepdims=True)
        together = min(self.directions, dimensions)
        groups = -(-self.directions // together)
        # Of the QR decomposition of normal numbers, Q is uniform up to signs, and no distance
        # between projections depends on a sign.
        basis, _ = jnp.linalg.qr(jax.random.normal(key, (groups, dimensions, together)))
        return jnp.moveaxis(basis, 2, 1).reshape(-1, dimensions)[: self.directions]

    def _ascended(self, mixed, sets):
        """Unit directions [D, n] along which the samples [n, N] of the sets differ more."""
        sets = jax.lax.stop_gradient(sets)

        def found(mixed):
            return _distance(*(sorting.ascending(mixed @ samples) for samples in sets))

        for _ in range(self.ascent):
            # For a fixed coupling W₂² is a quadratic form of the direction, and its gradient the
            # next vector of the power iteration; half of the way, as the coupling turns as well.
            mixed = _unit(mixed + _unit(jax.grad(found)(mixed)))
        return jax.lax.stop_gradient(mixed)

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
        mixed = self._drawn(random_key, len(rows))
        if self.normalise:
            scale = jax.lax.rsqrt(sets[0].var(-1, keepdims=True) + self.floor**2)
            sets = [samples * scale for samples in sets]
        if self.ascent:
            mixed = self._ascended(mixed, sets)
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
        sampled = [
            [samples.reshape(-1, samples.shape[-1]) for samples in self.sample_sets(x, shift_key)]
            for x in (real, *members)
        ]
        total = 0.0
        for index, sets in enumerate(zip(*sampled, strict=True)):
            projections = self._project(sets, jax.random.fold_in(direction_key, index))
            total += _distance(*(sorting.ascending(samples) for samples in projections))
        return total / len(sampled[0])


def _unit(rows):
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=-1, keepdims=True), 1e-30)


def _distance(real, *members):
    """Mean W₂² of sorted projections: real to members, less half of that between members."""
    found = jnp.stack([_of_quantiles(real, member).mean() for member in members]).mean()
    pairs = list(itertools.combinations(members, 2))
    if not pairs:
        return found
    return found - jnp.stack([_of_quantiles(*pair).mean() for pair in pairs]).mean() / 2
