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
    """`Photograph.divergences` of a photograph that is looked at once; arguments are theirs."""
    return Photograph(x, seed=seed, kernels=kernels).divergences(members)


class Photograph:
    """A source, and what all of its reconstructions are compared with, computed once.

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

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", JMIV 2015; Székely and
    Rizzo, "Energy statistics", JSPI 2013; Heusel et al., NeurIPS 2017; Bińkowski et al., ICLR 2018.
    """

    def __init__(self, x, *, seed=0, kernels=None):
        """Looks at a source.

        Args:
          x: source [H, W, C] in [0, 1].
          seed: chooses positions and directions.
          kernels: of the features, as `perception.features` uses them; None takes the random ones.

        Raises:
          ValueError: x is no photograph, or has fewer than 128 patch positions.
        """
        x = np.asarray(x, np.float32)
        if x.ndim != 3:
            raise ValueError(f"photograph divergences need x [H, W, C], got {x.shape}")
        self._shape = x.shape
        at_a, self._at_b = patches.disjoint_positions(*x.shape[:2], seed)
        self._patches, of_b = patches.cut(x, at_a), patches.cut(x, self._at_b)  # [N, C * 64]
        self._directions = patches.band_directions(x.shape[-1], seed)  # [192, C * 64]
        both = np.concatenate([self._patches, of_b])
        self._variance = np.var(both @ self._directions.T, axis=0) + _VARIANCE_FLOOR
        self._energy = pairs.Energy(self._patches[:_PHOTOGRAPH_PAIRS])
        self._floors = self._of_patches(of_b[None])

        self._kernels = kernels or frozen_features.default_kernels(x.shape[-1])
        self._windows = frozen_features.disjoint_windows(*x.shape[:2], self._kernels, seed)
        if self._windows is None:
            return
        of_x = frozen_features.of_windows(x, self._kernels)
        self._features, of_b = (of_x[at] for at in self._windows)  # [N, F]
        variance = np.concatenate([self._features, of_b]).var(axis=0).sum() + _VARIANCE_FLOOR
        # Of a distance per feature, to the total's.
        self._scale = self._features.shape[1] / variance
        few = self._features[:_PHOTOGRAPH_PAIRS]
        self._mmd2 = pairs.Mmd2(few, pairs.median_distance(few))
        self._floors |= self._of_features(of_b[None])

    def divergences(self, members):
        """Divergences between the source and its reconstructions.

        Args:
          members: reconstructed synset [M, H, W, C].

        Returns:
          {name: (value, floor)}.

        Raises:
          ValueError: if the shapes do not fit.
        """
        members = np.asarray(members, np.float32)
        if members.ndim != 4 or members.shape[1:] != self._shape or not len(members):
            raise ValueError(
                f"photograph divergences need members [M, H, W, C] of a source {self._shape}, "
                f"got {members.shape}"
            )
        found = self._of_patches(np.stack([patches.cut(m, self._at_b) for m in members]))
        if self._windows is not None:
            at = self._windows[1]
            seen = [frozen_features.of_windows(m, self._kernels)[at] for m in members]
            found |= self._of_features(np.stack(seen))
        return {name: (value, self._floors[name]) for name, value in found.items()}

    def _of_patches(self, fakes):
        """Of patches [M, N, C * 64]."""
        return {
            "sliced_wasserstein": sliced.of_members(
                self._patches, fakes, self._directions, self._variance
            ),
            "energy_distance": self._energy.mean(fakes[:, :_PHOTOGRAPH_PAIRS]),
        }

    def _of_features(self, fakes):
        """Of features [M, N, F]."""
        bures = [gaussian_fit.bures_w2(self._features, y) for y in fakes]
        return {
            "frechet_distance": float(self._scale * np.mean(bures)),
            "mmd2": self._mmd2.mean(fakes[:, :_PHOTOGRAPH_PAIRS]),
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
