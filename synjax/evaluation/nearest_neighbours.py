"""Kullback-Leibler divergence from distances to nearest neighbours."""

import numpy as np
from scipy import spatial

NEIGHBOUR = 5  # the k-th: the spread falls as 1/√k, the bias grows with it
MOST_DIMENSIONS = 16  # above it a neighbour is no longer near, and the bias is most of the value


def knn_kl(x: np.ndarray, y: np.ndarray, k: int = NEIGHBOUR) -> float:
    """Estimates D_KL[p_X ‖ p_Y] from samples x [N, n] and y [M, n], bits per dimension.

    The density at each x is k over the volume up to its k-th neighbour in either sample. Consistent
    for densities; the constants of both volumes cancel, and the bias with them where the two
    densities are equally smooth. Without a density, where more than k vectors of a sample
    coincide, there is no estimate: NaN.

    Wang, Kulkarni and Verdú, "Divergence estimation for multidimensional densities via k-nearest-
    neighbor distances", IEEE Trans. Inf. Theory 2009, Eq. 5; Pérez-Cruz, ISIT 2008, Eq. 14.
    """
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    within = spatial.cKDTree(x).query(x, [k + 1])[0][:, 0]  # the first is the vector itself
    across = spatial.cKDTree(y).query(x, [k])[0][:, 0]
    if not (within.all() and across.all()):
        return float("nan")
    per_dimension = np.mean(np.log2(across) - np.log2(within))
    return float(per_dimension + np.log2(len(y) / (len(x) - 1)) / x.shape[1])
