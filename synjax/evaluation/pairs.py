"""Unbiased statistics of all pairs of two samples: energy distance and MMD².

Both are E h(X, Y) terms of one form, 2 E h(X, Y) - E h(X, X') - E h(Y, Y'), with a distance for h
or a kernel with its sign changed (Sejdinovic et al., Annals of Statistics 2013).
"""

import numpy as np

_ROWS = 256  # so that a block of the Gram matrix stays in cache


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples [N, n] and [M, n], distances divided by √n.

    Unbiased: no element is compared with itself. Székely and Rizzo, JSPI 2013.
    """
    return mean_energy(x, y[None])


def mean_energy(x, members):
    """`energy_distance` of x [N, n] from each member [M, N', n], averaged."""
    return Energy(x).mean(members)


def mmd2(x: np.ndarray, y: np.ndarray, width: float) -> float:
    """E k(X, X') + E k(Y, Y') - 2 E k(X, Y) with k(x, y) = exp(-|x - y|² / (2 width²)).

    Dimensionless, of samples [N, n] and [M, n]; unbiased. Gretton et al., JMLR 2012, Eq. 3.
    """
    return mean_mmd2(x, y[None], width)


def mean_mmd2(x, members, width):
    """`mmd2` of x [N, n] from each member [M, N', n], averaged; NaN without a positive width."""
    return Mmd2(x, width).mean(members)


class Energy:
    """`energy_distance` of one x [N, n] from many samples; what is of x alone is computed once."""

    def __init__(self, x):
        self._x = x
        self._within = _within(x, np.sqrt, at_zero=0.0)

    def mean(self, members):
        """Of each member [M, N', n], averaged."""
        found = _statistic(self._x, self._within, members, np.sqrt, at_zero=0.0)
        return found / float(np.sqrt(self._x.shape[1]))


class Mmd2:
    """`mmd2` of one x [N, n] from many samples; what is of x alone is computed once."""

    def __init__(self, x, width):
        self._x = x
        self._kernel = (lambda s: np.exp(s * (-0.5 / width**2))) if width > 0 else None
        self._within = _within(x, self._kernel, at_zero=1.0) if self._kernel else None

    def mean(self, members):
        """Of each member [M, N', n], averaged; NaN without a positive width."""
        if self._kernel is None:
            return float("nan")
        return -_statistic(self._x, self._within, members, self._kernel, at_zero=1.0)


def median_distance(x: np.ndarray) -> float:
    """Median distance between two of the first 512 rows of x [N, n], the usual kernel width.

    Zero where it is no larger than what rounding makes of equal rows.
    """
    x = x[:512]
    norms = np.sum(x * x, axis=1)
    squared = np.median(_squared_distances(x, x, norms, norms)[np.triu_indices(len(x), 1)])
    rounding = 16 * np.finfo(x.dtype).eps * norms.max()
    return float(np.sqrt(squared)) if squared > rounding else 0.0


def _within(x, of_squared, at_zero):
    return (_sum(x, x, of_squared) - len(x) * at_zero) / (len(x) * (len(x) - 1))


def _statistic(x, within_x, members, of_squared, at_zero):
    found = []
    for y in members:
        within_y = _within(y, of_squared, at_zero)
        found.append(2 * _sum(x, y, of_squared) / (len(x) * len(y)) - within_x - within_y)
    return float(np.mean(found))


def _sum(x, y, of_squared):
    """Sum over all pairs of a function of the squared Euclidean distance."""
    norms_x, norms_y = np.sum(x * x, axis=1), np.sum(y * y, axis=1)
    total = 0.0
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        squared = _squared_distances(x[rows], y, norms_x[rows], norms_y)
        total += np.sum(of_squared(squared), dtype=np.float64)
    return total


def _squared_distances(x, y, norms_x, norms_y):
    return np.maximum(norms_x[:, None] + norms_y - 2.0 * (x @ y.T), 0.0)
