"""The Karhunen–Loève transform: where classical transform coding ends and training starts."""

import numpy as np


def transform(samples):
    """Orthonormal basis of the sample covariance, by decreasing variance.

    Args:
      samples: [N, n].

    Returns:
      mean [n], basis [n, n] (row k is the k-th axis), variances [n] ≥ 0; float32.

    Raises:
      ValueError: fewer than two samples, or a value that is not finite.
    """
    samples = np.asarray(samples, np.float64)
    if len(samples) < 2 or not np.all(np.isfinite(samples)):
        raise ValueError("the KLT needs at least two samples, all finite")
    mean = samples.mean(0)
    centred = samples - mean
    variances, axes = np.linalg.eigh(centred.T @ centred / len(samples))
    basis = axes[:, ::-1].T
    # An eigenvector's sign is arbitrary; fixing it keeps runs reproducible across LAPACK versions.
    signs = np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(1)])
    return (
        mean.astype(np.float32),
        (basis * signs[:, None]).astype(np.float32),
        np.maximum(variances[::-1], 0).astype(np.float32),
    )


def step_size(lambda_d):
    """Quantisation step of an orthonormal coefficient at which dR/dD = −λ_d at high rate.

    From D = Δ²/12 and R = h(x) − log₂ Δ: dR/dD = −6 / (Δ² ln 2), so Δ = √(6 / (λ_d ln 2))
    (Gersho & Gray 1992, section 5.6).

    Args:
      lambda_d: positive, in bits per unit of squared error.

    Returns:
      Δ, in the units of the coefficient.
    """
    return np.sqrt(6 / (np.asarray(lambda_d, np.float64) * np.log(2)))
