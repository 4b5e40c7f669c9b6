"""Reported divergences between sources and reconstructions, sharing nothing with training.

Positions, directions and sample sizes here are this package's own. Each value comes with its
*floor*: the same estimate between two samples of the source. The floor is what a codec with perfect
realism would score, so value - floor is free of most of the finite-sample bias. A reconstruction
that is not finite scores NaN. What each estimate is worth: docs/estimators.md.
"""

import numpy as np

from synjax.evaluation import (
    deviates,
    frozen_features,
    gaussian_fit,
    nearest_neighbours,
    pairs,
    patches,
    sliced,
)

BLOCKS = 8  # for standard errors
FEWEST_VECTORS = 2 * BLOCKS * 2  # two in each block of each half
# How many of a sample are compared with each other.
_PHOTOGRAPH_PAIRS = 2048
_VECTOR_PAIRS = 4096
_VECTOR_KERNELS = 2048
_VECTOR_NEIGHBOURS = 8192
# Added to the variance along a direction: about that of a deviation of one grey level of 256.
_VARIANCE_FLOOR = 1e-5


def photograph_divergences(
    x: np.ndarray, members: np.ndarray, *, seed: int = 0, kernels: list | None = None
) -> dict[str, tuple[float, float]]:
    """Divergences between the patches of a photograph and those of its reconstructions.

    Two disjoint sets A and B of 4096 patch positions are drawn without replacement, aligned to no
    grid (in small images, the largest power of two that fits twice). The value is
    d(x at A, member at B), averaged over members; the floor is d(x at A, x at B).

    Of patches of 8 x 8 pixels, which lose their mean in each channel first:

    - `sliced_wasserstein`, dimensionless: random directions in pixel space would see little but the
      lowest frequencies, which carry most of the variance. So there are 64 random unit directions
      within each of three bands of DCT frequencies (u, v), u + v in 1-3, 4-7 and 8-14, over all
      channels. Along each, the squared 2-Wasserstein distance of the projections is divided by
      the variance of x's projections (A and B together) + 1e-5; then all 192 are averaged. A band
      that is missing from a reconstruction adds about 1/3.
    - `energy_distance`, in units of x: 2 E|X - Y| - E|X - X'| - E|Y - Y'| between the first 2048
      patches of each set, with Euclidean distances divided by the square root of the number of
      elements in a patch. Unbiased, so it can be negative.

    Of the features of windows of 16 x 16 pixels (`frozen_features`); left out where the photograph
    has fewer than eight windows for each feature:

    - `frechet_distance`, dimensionless: W2² of the Gaussian fits, divided by the total variance of
      x's features (A and B together) + 1e-5, because the scale of random features means nothing.
    - `mmd2`, dimensionless: with a Gaussian kernel as wide as the median distance between windows
      of x, between the first 2048 of each set. Unbiased, so it can be negative; NaN if x is flat.

    Args:
      x: source [H, W, C] in [0, 1].
      members: reconstructed synset [M, H, W, C].
      seed: chooses positions and directions.
      kernels: of the features, as `perception.features` uses them; None takes the random ones.

    Returns:
      {name: (value, floor)}.

    Raises:
      ValueError: if the shapes do not fit, or the photograph has fewer than 128 patch positions.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", JMIV 2015; Székely and
    Rizzo, "Energy statistics", JSPI 2013; Heusel et al., NeurIPS 2017; Bińkowski et al., ICLR 2018.
    """
    x, members = np.asarray(x, np.float32), np.asarray(members, np.float32)
    if x.ndim != 3 or members.ndim != 4 or members.shape[1:] != x.shape or not len(members):
        raise ValueError(
            "photograph divergences need x [H, W, C] and members [M, H, W, C], "
            f"got {x.shape} and {members.shape}"
        )
    return _of_patches(x, members, seed) | _of_features(x, members, seed, kernels)


def _of_patches(x, members, seed):
    at_a, at_b = patches.disjoint_positions(*x.shape[:2], seed)
    x_a, x_b = patches.cut(x, at_a), patches.cut(x, at_b)  # [N, C * 64]
    fakes = np.stack([patches.cut(member, at_b) for member in members])  # [M, N, C * 64]
    directions = patches.band_directions(x.shape[-1], seed)  # [192, C * 64]
    variance = np.var(np.concatenate([x_a, x_b]) @ directions.T, axis=0) + _VARIANCE_FLOOR
    a, b, fake = x_a[:_PHOTOGRAPH_PAIRS], x_b[:_PHOTOGRAPH_PAIRS], fakes[:, :_PHOTOGRAPH_PAIRS]
    return {
        "sliced_wasserstein": (
            sliced.of_members(x_a, fakes, directions, variance),
            sliced.of_members(x_a, x_b[None], directions, variance),
        ),
        "energy_distance": (pairs.mean_energy(a, fake), pairs.mean_energy(a, b[None])),
    }


def _of_features(x, members, seed, kernels):
    kernels = frozen_features.default_kernels(x.shape[-1]) if kernels is None else kernels
    windows = frozen_features.disjoint_windows(*x.shape[:2], kernels, seed)
    if windows is None:
        return {}
    of_x = frozen_features.of_windows(x, kernels)
    x_a, x_b = (of_x[at] for at in windows)  # [N, F]
    fakes = np.stack([frozen_features.of_windows(m, kernels)[windows[1]] for m in members])
    variance = np.concatenate([x_a, x_b]).var(axis=0).sum() + _VARIANCE_FLOOR
    scale = x_a.shape[1] / variance  # of a distance per feature, to the total's
    a, b, fake = x_a[:_PHOTOGRAPH_PAIRS], x_b[:_PHOTOGRAPH_PAIRS], fakes[:, :_PHOTOGRAPH_PAIRS]
    width = pairs.median_distance(a)
    return {
        "frechet_distance": (
            float(scale * np.mean([gaussian_fit.bures_w2(x_a, y) for y in fakes])),
            float(scale * gaussian_fit.bures_w2(x_a, x_b)),
        ),
        "mmd2": (pairs.mean_mmd2(a, fake, width), pairs.mean_mmd2(a, b[None], width)),
    }


def vector_divergences(
    x: np.ndarray, members: np.ndarray, *, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Divergences between vectors and their reconstructions.

    Even rows are half A, odd rows half B. The value compares x in A with the members in B, so that
    no pair shares a source; the floor compares x in A with x in B. Values are averaged over
    members, except that those of fitted moments fit all members of B at once: their bias can then
    be below their floor. The standard error is the sample deviation of the value over
    8 interleaved blocks, divided by √8; near the floor it is too large, as small samples vary more
    there.
    Trailing rows that do not fill all blocks of both halves are left out.

    - `sliced_wasserstein`, squared units of x per dimension: squared 2-Wasserstein distance of the
      projections on 64 random unit directions (orthogonal, n at a time), averaged.
    - `axis_wasserstein`, squared units of x per dimension: the same along the n coordinate axes. It
      sees quantisation combs, which random directions smear.
    - `energy_distance`, in units of x: as for photographs, of the first 4096 rows of each half.
    - `mmd2`, dimensionless: with a Gaussian kernel as wide as the median distance between vectors
      of x, of the first 2048 rows of each half. Unbiased, so it can be negative; NaN if most
      vectors of x are equal.

    Of fitted moments, where N ≥ 16 (n + 2), so that the covariance of a block has full rank:

    - `covariance_error`: ‖Σ̂ − Σ‖ / ‖Σ‖ of the samples' covariances, in the Frobenius norm.
    - `bures_w2`, squared units of x per dimension: W2² of Gaussians with the samples' moments.
    - `gaussian_kl`, bits per dimension: D_KL[p_X ‖ p_X̂] of these Gaussians; inf where a component
      is reconstructed as a constant. Left out if the source itself has no density.
    - `gaussian_kl_reverse`: D_KL[p_X̂ ‖ p_X] likewise.

    Of nearest neighbours, where n ≤ 16 and N ≥ 112:

    - `knn_kl`, bits per dimension: D_KL[p_X ‖ p_X̂] by the fifth neighbours in the first 8192 rows
      of each half; NaN where many vectors coincide.

    Args:
      x: sources [N, n].
      members: reconstructed synsets [N, M, n].
      seed: chooses directions.

    Returns:
      {name: (value, floor, standard error of the value)}.

    Raises:
      ValueError: if the shapes do not fit, or N < 32.
    """
    x, members = np.asarray(x, np.float64), np.asarray(members, np.float64)
    if x.ndim != 2 or members.ndim != 3 or (len(members), members.shape[2]) != x.shape:
        raise ValueError(
            "vector divergences need x [N, n] and members [N, M, n], "
            f"got {x.shape} and {members.shape}"
        )
    rows, dims = x.shape
    if rows < FEWEST_VECTORS or not members.shape[1]:
        raise ValueError(
            f"vector divergences need at least {FEWEST_VECTORS} vectors and one member, "
            f"got {rows} and {members.shape[1]}"
        )
    rows -= rows % (2 * BLOCKS)
    x_a, x_b, fakes = x[0:rows:2], x[1:rows:2], np.moveaxis(members[1:rows:2], 1, 0)  # [M, N/2, n]
    report = {}
    for name, (estimate, most) in _vector_estimates(x_a, seed).items():
        count = min(rows // 2, most)
        a, b, fake = x_a[:count], x_b[:count], fakes[:, :count]
        blocks = [estimate(a[i::BLOCKS], fake[:, i::BLOCKS]) for i in range(BLOCKS)]
        error = np.std(blocks, ddof=1) / np.sqrt(BLOCKS) if np.isfinite(blocks).all() else np.nan
        report[name] = (estimate(a, fake), estimate(a, b[None]), float(error))
    return report


def _vector_estimates(x, seed):
    """{name: (estimate of a half x [N, n] and members [M, N, n], rows it uses at most)}."""
    rows, dims = x.shape
    directions, unit = deviates.directions(dims, seed, stream=0), np.ones(1)
    width = pairs.median_distance(x)
    estimates = {
        "sliced_wasserstein": (lambda a, f: sliced.of_members(a, f, directions, unit), rows),
        "axis_wasserstein": (lambda a, f: sliced.of_members(a, f, None, unit), rows),
        "energy_distance": (pairs.mean_energy, _VECTOR_PAIRS),
        "mmd2": (lambda a, f: pairs.mean_mmd2(a, f, width), _VECTOR_KERNELS),
    }
    if rows >= BLOCKS * (dims + 2):
        estimates["covariance_error"] = (_of_all(gaussian_fit.covariance_error), rows)
        estimates["bures_w2"] = (_of_all(gaussian_fit.bures_w2), rows)
        if not gaussian_fit.singular(gaussian_fit.covariance(x)):
            estimates["gaussian_kl"] = (_of_all(gaussian_fit.gaussian_kl), rows)
            reverse = _of_all(lambda a, f: gaussian_fit.gaussian_kl(f, a))
            estimates["gaussian_kl_reverse"] = (reverse, rows)
    k = nearest_neighbours.NEIGHBOUR
    if dims <= nearest_neighbours.MOST_DIMENSIONS and rows >= BLOCKS * (k + 2):
        estimates["knn_kl"] = (
            lambda a, f: float(np.mean([nearest_neighbours.knn_kl(a, y) for y in f])),
            _VECTOR_NEIGHBOURS,
        )
    return estimates


def _of_all(estimate):
    """An estimate that takes all members as one sample."""
    return lambda a, fakes: estimate(a, fakes.reshape(-1, a.shape[1]))
