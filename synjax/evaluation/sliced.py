"""Sliced 2-Wasserstein distance of samples (Bonneel et al., JMIV 2015)."""

import numpy as np


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, directions: np.ndarray | None) -> np.ndarray:
    """Squared 2-Wasserstein distances, [K], of two samples' projections on each direction.

    Args:
      x: a sample [N, n].
      y: another of the same size [N, n].
      directions: unit vectors [K, n]; None for the n coordinate axes.
    """
    # Sorting matches quantiles, which is optimal transport on a line.
    of_x, of_y = (
        np.ascontiguousarray(sample.T) if directions is None else directions @ sample.T
        for sample in (x, y)
    )
    gap = np.sort(of_x, axis=1) - np.sort(of_y, axis=1)
    return np.mean(np.square(gap, dtype=np.float64), axis=1)


def of_members(x, members, directions, variance):
    """Mean over directions and members [M, N, n] of the distance relative to `variance` [K]."""
    return float(np.mean([sliced_wasserstein(x, y, directions) / variance for y in members]))
