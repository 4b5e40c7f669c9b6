"""Divergences of the Gaussians that have two samples' means and covariances."""

import numpy as np
from scipy import linalg

# A fitted covariance with an eigenvalue below this, relative to the source's, counts as singular.
_SINGULAR = 1e-10


def gaussian_kl(x: np.ndarray, y: np.ndarray) -> float:
    """D_KL of the Gaussian fit of x [N, n] from that of y [M, n], bits per dimension.

    inf if either fit is singular.
    """
    dims = x.shape[1]
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    cov_x, cov_y = covariance(x), covariance(y)
    if singular(cov_x):
        return float("inf")
    # In coordinates that whiten x, y's covariance is diag(ratios).
    ratios, axes = linalg.eigh(cov_y, cov_x)
    if ratios[0] <= _SINGULAR:
        return float("inf")
    shift = axes.T @ (y.mean(axis=0) - x.mean(axis=0))
    nats = 0.5 * np.sum((1.0 + shift**2) / ratios - 1.0 + np.log(ratios))
    return float(nats / np.log(2.0) / dims)


def bures_w2(x: np.ndarray, y: np.ndarray) -> float:
    """W2² of the Gaussian fits of x [N, n] and y [M, n], squared units of x per dimension.

    Of all pairs of distributions with these moments none are closer, so that it is a lower bound
    of W2² (Gelbrich, "On a formula for the L2 Wasserstein metric between measures", 1990).
    """
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    cov_x, cov_y = covariance(x), covariance(y)
    values, axes = np.linalg.eigh(cov_x)
    root = axes * np.sqrt(np.maximum(values, 0.0)) @ axes.T
    # tr √(A½ B A½) is the sum of the roots of its eigenvalues.
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_y @ root), 0.0)).sum()
    squared = np.trace(cov_x) + np.trace(cov_y) - 2.0 * overlap
    squared += np.square(y.mean(axis=0) - x.mean(axis=0)).sum()
    return float(max(squared, 0.0) / x.shape[1])


def covariance_error(x: np.ndarray, y: np.ndarray) -> float:
    """Frobenius distance of the covariances of y [M, n] and x [N, n], relative to that of x."""
    cov_x, cov_y = covariance(x), covariance(y)
    return float(np.linalg.norm(cov_y - cov_x) / np.linalg.norm(cov_x))


def singular(covariance):
    """Whether a covariance [n, n] has, but for rounding, a direction without variance."""
    spread = np.linalg.eigvalsh(covariance)
    return bool(spread[0] <= _SINGULAR * spread[-1])


def covariance(x):
    """Covariance [n, n] of a sample [N, n]."""
    return np.cov(x.T).reshape(x.shape[1], x.shape[1])
