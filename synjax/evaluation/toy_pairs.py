"""Pairs of distributions whose divergences are known exactly, to try estimators on.

All components are independent and alike: two modes of equal weight at ±a with one deviation, the
reconstruction's moved by a shift. With a = 0 they are Gaussian. Every pair has modes or a shift,
not both.
"""

import dataclasses
import itertools
import math

import numpy as np
from scipy import integrate, special

_GRID = np.linspace(-14.0, 14.0, 56_001)  # trapezoids on it: errors far below those of estimates


@dataclasses.dataclass(frozen=True)
class Mixture:
    """½ N(shift − mode, deviation²) + ½ N(shift + mode, deviation²), `dims` times."""

    dims: int
    mode: float
    deviation: float
    shift: float = 0.0

    def sample(self, rng, count):
        """[count, dims]."""
        signs = rng.choice((-1.0, 1.0), (count, self.dims))
        normals = rng.standard_normal((count, self.dims))
        return self.shift + self.mode * signs + self.deviation * normals

    def log_density(self, x):
        """Of one component, nats."""
        of_modes = [-(((x - self.shift - m) / self.deviation) ** 2) / 2 for m in self._modes]
        return np.logaddexp(*of_modes) - math.log(2 * self.deviation * math.sqrt(2 * math.pi))

    @property
    def _modes(self):
        return -self.mode, self.mode

    def log_cdf(self, x, direction=(1.0,)):
        """Of the projection on a unit direction [n], nats."""
        moved = self.shift * np.sum(direction)
        modes = [moved]
        if self.mode:
            signs = itertools.product((-1.0, 1.0), repeat=len(direction))
            modes = [moved + self.mode * np.dot(of_modes, direction) for of_modes in signs]
        total = np.full(x.shape, -np.inf)
        for mode in modes:
            total = np.logaddexp(total, special.log_ndtr((x - mode) / self.deviation))
        return total - math.log(len(modes))


@dataclasses.dataclass(frozen=True)
class Pair:
    """A source and its reconstruction, and every divergence between them."""

    name: str
    source: Mixture
    other: Mixture

    def kl(self):
        """D_KL[source ‖ other], bits per dimension."""
        return _kl(self.source, self.other)

    def kl_reverse(self):
        """D_KL[other ‖ source], bits per dimension."""
        return _kl(self.other, self.source)

    def w2(self):
        """W2² per dimension, which of independent components is that of one."""
        return self._projected_w2(np.ones(1))

    def sliced_w2(self, directions):
        """Mean W2² of the projections on unit directions [K, dims]."""
        if not self.source.mode and not self.other.mode:
            moved = np.square((self.other.shift - self.source.shift) * directions.sum(1)).mean()
            return float(moved + (self.source.deviation - self.other.deviation) ** 2)
        return float(np.mean([self._projected_w2(direction) for direction in directions]))

    def w1(self):
        """W1 of one component; in more dimensions it has no such form."""
        gap = np.exp(self.source.log_cdf(_GRID)) - np.exp(self.other.log_cdf(_GRID))
        return float(integrate.trapezoid(np.abs(gap), _GRID))

    def energy(self):
        """Energy distance, distances divided by √n."""
        return self._contrast(_mean_distance) / math.sqrt(self.source.dims)

    def mmd2(self, width):
        """MMD² of the Gaussian kernel."""

        def kernel(deviation, squared, dims):
            spread = width**2 + deviation**2
            return (width**2 / spread) ** (dims / 2) * np.exp(-squared / (2 * spread))

        return -self._contrast(kernel)

    def _contrast(self, mean):
        """2 E h(X, Y) − E h(X, X') − E h(Y, Y'), given the mean of h for Gaussian differences."""
        x, y = self.source, self.other
        return float(2 * _mean(x, y, mean) - _mean(x, x, mean) - _mean(y, y, mean))

    def _projected_w2(self, direction):
        if not self.source.mode and not self.other.mode:
            moved = (self.other.shift - self.source.shift) * direction.sum()
            return float(moved**2 + (self.source.deviation - self.other.deviation) ** 2)
        # Both are symmetric, so that half of the line will do, where log F has all its digits.
        line = np.linspace(-7.0, 0.0, 1401)
        of_source = self.source.log_cdf(line, direction)
        moved_to = np.interp(of_source, self.other.log_cdf(line, direction), line)
        density = np.gradient(np.exp(of_source), line)
        return float(2 * integrate.trapezoid((line - moved_to) ** 2 * density, line))


def gaussian(dims, strength):
    """N(0, 1) against a Gaussian that is moved by the strength and narrowed by 1 + half of it."""
    source = Mixture(dims, 0.0, 1.0)
    return Pair("gaussian", source, Mixture(dims, 0.0, 1 / (1 + strength / 2), strength))


def mixture(dims, strength):
    """Two modes against the same whose modes lie closer together, mean and variance unchanged.

    Strength 0 is the source itself, 1 the Gaussian of its moments.
    """
    mode = math.sqrt(0.8)
    closer = mode * (1 - strength)
    other = Mixture(dims, closer, math.sqrt(1 - closer**2))
    return Pair("mixture", Mixture(dims, mode, math.sqrt(1 - mode**2)), other)


def _kl(p, q):
    log_p = p.log_density(_GRID)
    nats = integrate.trapezoid(np.exp(log_p) * (log_p - q.log_density(_GRID)), _GRID)
    return float(nats / math.log(2))


def _mean(x, y, mean):
    """Mean of h(X, Y) over the modes: given them, X − Y is Gaussian with one deviation."""
    deviation, dims = math.hypot(x.deviation, y.deviation), x.dims
    near, far = (x.shift - y.shift + x.mode - y.mode) ** 2, (x.mode + y.mode) ** 2
    if not x.mode and not y.mode:
        return mean(deviation, dims * near, dims)
    return sum(
        math.comb(dims, k) * 0.5**dims * mean(deviation, k * far + (dims - k) * near, dims)
        for k in range(dims + 1)
    )


def _mean_distance(deviation, squared, dims):
    """E‖d‖ of a Gaussian d of this deviation whose mean has this squared norm."""
    half = special.gammaln((dims + 1) / 2) - special.gammaln(dims / 2)
    bent = special.hyp1f1(-0.5, dims / 2, -squared / (2 * deviation**2))
    return deviation * math.sqrt(2) * np.exp(half) * bent
