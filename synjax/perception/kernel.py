"""Squared maximum mean discrepancy (Gretton et al. 2012, JMLR 13): a distance without sorting.

Means of a kernel over pairs within and between two batches are unbiased as long as the two of a
pair are independent, which within a synset they are not: its members share y_s, and where the
encoded batch is also what they are compared with, the source shares it too.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from synjax.perception import base, spaces

KERNELS = ("energy", "gaussian")


@dataclasses.dataclass(frozen=True, eq=False)
class Mmd(spaces.Spaced):
    """MMD² as a U-statistic over pairs of samples that share nothing.

    Samples of n values are ‖x − x′‖ / √n apart. No pair is of one synset or of one picture, and
    where both batches have as many examples none is of example b and synset b: "paired" batches
    need that, to "independent" ones it costs 1/B of the pairs. Crops of one photograph in
    different rows of a batch count as different.

    Attributes:
      kernel: "energy", −‖x − x′‖ / √n (Székely and Rizzo 2013), which makes MMD² the energy
        distance in units of x, or "gaussian", the mean of exp(−‖x − x′‖² / 2nh²) over bandwidths
        h, a pure number.
      bandwidths: of the Gaussian kernels.
      relative: bandwidths are in mean distances of the real samples, without gradient; as those
        are estimated from the same batch, the value is unbiased only if they are not relative.
      samples: at most so many of each batch are compared, drawn anew at every step.
    """

    kernel: str = "energy"
    bandwidths: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    relative: bool = True
    samples: int = 1024

    def __post_init__(self):
        """Raises ValueError on a kernel that is unknown or sees nothing."""
        super().__post_init__()
        if self.kernel not in KERNELS:
            raise ValueError(f"perception.kernel is {self.kernel!r}, must be one of {KERNELS}")
        if not self.bandwidths or not all(0 < h < math.inf for h in self.bandwidths):
            raise ValueError(
                f"perception.bandwidths must be positive and finite, got {self.bandwidths}"
            )
        if self.samples < 2:
            raise ValueError(f"perception.samples must be at least 2, got {self.samples}")

    def penalty(self, state, real, fake, context, key):
        """Unbiased estimate of MMD² between real and fake samples.

        Args:
          state: {}.
          real: [N, *S, C], N ≥ 2.
          fake: [B, M, *S, C], B ≥ 2.
          context: unused.
          key: JAX random key, of patches and samples.

        Returns:
          Scalar, in units of x or a pure number; negative by chance where there is no difference.

        Raises:
          ValueError: a batch of one.
        """
        del state, context
        if min(len(real), len(fake)) < 2:
            raise ValueError(
                "perception 'mmd' compares different examples: every condition needs at least 2 "
                f"of a batch, got {min(len(real), len(fake))}"
            )
        shift_key, draw_key = jax.random.split(key)
        real_sets = self.sample_sets(real, shift_key)
        fake_sets = self.sample_sets(base.pooled(fake), shift_key)
        paired, total = len(real) == len(fake), 0.0
        for index, (x, y) in enumerate(zip(real_sets, fake_sets, strict=True)):
            x_key, y_key = jax.random.split(jax.random.fold_in(draw_key, index))
            y = y.reshape(len(fake), -1, y.shape[-1])  # [B, M·P, n]
            total += self._statistic(self._draw(x, x_key), self._draw(y, y_key), paired)
        return total / len(real_sets)

    def _draw(self, rows, key):
        """At most `samples` of [R, P, n]: of the first rows, from each alike."""
        rows = rows[: self.samples]
        count = self.samples // len(rows)
        if rows.shape[1] <= count:
            return rows
        # The same sample twice does no harm where no pair is of one row.
        chosen = jax.random.randint(key, (len(rows), count, 1), 0, rows.shape[1])
        return jnp.take_along_axis(rows, chosen, 1)

    def _statistic(self, real, fake, paired):
        """MMD² of [R, P, n] and [R', P', n]; if `paired`, row b of one is kin of row b."""
        centre = jax.lax.stop_gradient(real.mean((0, 1), keepdims=True))
        real, fake = real - centre, fake - centre  # or squared distances would cancel badly
        within = _squared_distances(real, real, kin=True)
        between = _squared_distances(real, fake, kin=paired)
        generated = _squared_distances(fake, fake, kin=True)
        scale = jax.lax.stop_gradient(_mean(jnp.sqrt(within[0]), within[1]))
        real_term, cross_term, fake_term = (
            _mean(self._of_squared(squared, scale), apart)
            for squared, apart in (within, between, generated)
        )
        return real_term + fake_term - 2 * cross_term

    def _of_squared(self, squared, scale):
        if self.kernel == "energy":
            return -jnp.sqrt(squared)
        squared = squared / jnp.square(scale) if self.relative else squared
        return sum(jnp.exp(squared / (-2 * h**2)) for h in self.bandwidths) / len(self.bandwidths)


def _squared_distances(x, y, kin):
    """‖x − y‖² / n of all pairs [R·P, R'·P'], and which of them count."""
    x_row, y_row = (jnp.repeat(jnp.arange(len(z)), z.shape[1]) for z in (x, y))
    apart = x_row[:, None] != y_row[None] if kin else jnp.full((len(x_row), len(y_row)), True)
    x, y = (z.reshape(-1, z.shape[-1]) for z in (x, y))
    products = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    squared = jnp.square(x).sum(-1)[:, None] + jnp.square(y).sum(-1)[None] - 2 * products
    # The square root has no finite slope at 0.
    return jnp.maximum(jnp.where(apart, squared / x.shape[-1], 1.0), 1e-12), apart


def _mean(values, apart):
    return jnp.where(apart, values, 0.0).sum() / apart.sum()
