"""Reported divergences between sources and reconstructions, sharing nothing with training.

Positions, directions and sample sizes here are this file's own. Each value comes with its
*floor*: the same estimate between two samples of the source. The floor is what a codec with perfect
realism would score, so value - floor is free of most of the finite-sample bias. A reconstruction
that is not finite scores NaN.
"""

import numpy as np
from scipy import fft, linalg, special

PATCH = 8
BLOCKS = 8  # for standard errors
_POSITIONS = 4096  # patches per photograph and sample
_FEWEST_POSITIONS = 64
# How many of a sample the energy distance compares with each other.
_PHOTOGRAPH_PAIRS = 2048
_VECTOR_PAIRS = 4096
_DIRECTIONS = 64
# Limits on u + v of DCT frequency (u, v): 9, 26 and 28 coefficients, the mean left out.
_BANDS = ((1, 3), (4, 7), (8, 14))
# Added to the variance along a direction: about that of a deviation of one grey level of 256.
_VARIANCE_FLOOR = 1e-5
# A fitted covariance with an eigenvalue below this, relative to the source's, counts as singular.
_SINGULAR = 1e-10


def photograph_divergences(
    x: np.ndarray, members: np.ndarray, *, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Divergences between the 8 x 8 patches of a photograph and those of its reconstructions.

    Two disjoint sets A and B of 4096 patch positions are drawn without replacement, aligned to no
    grid (in small images, the largest power of two that fits twice). The value is
    d(x at A, member at B), averaged over members; the floor is d(x at A, x at B). Patches lose
    their mean in each channel first.

    - `sliced_wasserstein`, dimensionless: random directions in pixel space would see little but the
      lowest frequencies, which carry most of the variance. So there are 64 random unit directions
      within each of three bands of DCT frequencies (u, v), u + v in 1-3, 4-7 and 8-14, over all
      channels. Along each, the squared 2-Wasserstein distance of the projections is divided by
      the variance of x's projections (A and B together) + 1e-5; then all 192 are averaged. A band
      that is missing from a reconstruction adds about 1/3.
    - `energy_distance`, in units of x: 2 E|X - Y| - E|X - X'| - E|Y - Y'| between the first 2048
      patches of each set, with Euclidean distances divided by the square root of the number of
      elements in a patch. Unbiased, so it can be negative.

    Args:
      x: source [H, W, C] in [0, 1].
      members: reconstructed synset [M, H, W, C].
      seed: chooses positions and directions.

    Returns:
      {name: (value, floor)}.

    Raises:
      ValueError: if the shapes do not fit, or the photograph has fewer than 128 patch positions.

    Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", JMIV 2015; Székely and
    Rizzo, "Energy statistics", JSPI 2013.
    """
    x, members = np.asarray(x, np.float32), np.asarray(members, np.float32)
    if x.ndim != 3 or members.ndim != 4 or members.shape[1:] != x.shape or not len(members):
        raise ValueError(
            "photograph divergences need x [H, W, C] and members [M, H, W, C], "
            f"got {x.shape} and {members.shape}"
        )
    at_a, at_b = _disjoint_positions(*x.shape[:2], seed)
    x_a, x_b = _patches(x, at_a), _patches(x, at_b)  # [N, C * 64]
    fakes = np.stack([_patches(member, at_b) for member in members])  # [M, N, C * 64]

    directions = _band_directions(x.shape[-1], seed)  # [192, C * 64]
    variance = np.var(np.concatenate([x_a, x_b]) @ directions.T, axis=0) + _VARIANCE_FLOOR
    a, b, fake = x_a[:_PHOTOGRAPH_PAIRS], x_b[:_PHOTOGRAPH_PAIRS], fakes[:, :_PHOTOGRAPH_PAIRS]
    return {
        "sliced_wasserstein": (
            _mean_sliced(x_a, fakes, directions, variance),
            _mean_sliced(x_a, x_b[None], directions, variance),
        ),
        "energy_distance": (_mean_energy(a, fake), _mean_energy(a, b[None])),
    }


def vector_divergences(
    x: np.ndarray, members: np.ndarray, *, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Divergences between vectors and their reconstructions.

    Even rows are half A, odd rows half B. The value compares x in A with the members in B, so that
    no pair shares a source; the floor compares x in A with x in B. Values are averaged over
    members, except that `gaussian_kl` and `covariance_error` fit all members of B at once: their
    bias can then be below their floor. The standard error is the sample deviation of the value over
    8 interleaved blocks, divided by √8; near the floor it is too large, as small samples vary more
    there.
    Trailing rows that do not fill all blocks of both halves are left out.

    - `sliced_wasserstein`, squared units of x per dimension: squared 2-Wasserstein distance of the
      projections on 64 random unit directions (orthogonal, n at a time), averaged.
    - `axis_wasserstein`, squared units of x per dimension: the same along the n coordinate axes. It
      sees quantisation combs, which random directions smear.
    - `energy_distance`, in units of x: as for photographs, of the first 4096 rows of each half.
    - `covariance_error`: ‖Σ̂ − Σ‖ / ‖Σ‖ of the samples' covariances, in the Frobenius norm.
    - `gaussian_kl`, bits per dimension: D_KL[p_X ‖ p_X̂] of Gaussians with the samples' means and
      covariances; inf if either is singular, as where a component is reconstructed as a constant.

    Args:
      x: sources [N, n].
      members: reconstructed synsets [N, M, n].
      seed: chooses directions.

    Returns:
      {name: (value, floor, standard error of the value)}.

    Raises:
      ValueError: if the shapes do not fit, or N < 16 (n + 2), too few for the blocks' covariances.
    """
    x, members = np.asarray(x, np.float64), np.asarray(members, np.float64)
    if x.ndim != 2 or members.ndim != 3 or (len(members), members.shape[2]) != x.shape:
        raise ValueError(
            "vector divergences need x [N, n] and members [N, M, n], "
            f"got {x.shape} and {members.shape}"
        )
    rows, dims = x.shape
    fewest = 2 * BLOCKS * (dims + 2)
    if rows < fewest or not members.shape[1]:
        raise ValueError(
            f"vector divergences in {dims} dimensions need at least {fewest} vectors and one "
            f"member, got {rows} and {members.shape[1]}"
        )
    rows -= rows % (2 * BLOCKS)
    x_a, x_b, fakes = x[0:rows:2], x[1:rows:2], np.moveaxis(members[1:rows:2], 1, 0)  # [M, N/2, n]
    directions = _directions(dims, seed, stream=0)
    unit = np.ones(1)
    estimates = {  # name: (estimate, rows of each half it uses)
        "sliced_wasserstein": (lambda a, f: _mean_sliced(a, f, directions, unit), rows // 2),
        "axis_wasserstein": (lambda a, f: _mean_sliced(a, f, np.eye(dims), unit), rows // 2),
        "energy_distance": (_mean_energy, min(rows // 2, _VECTOR_PAIRS)),
        "covariance_error": (lambda a, f: covariance_error(a, f.reshape(-1, dims)), rows // 2),
        "gaussian_kl": (lambda a, f: gaussian_kl(a, f.reshape(-1, dims)), rows // 2),
    }
    report = {}
    for name, (estimate, count) in estimates.items():
        a, b, fake = x_a[:count], x_b[:count], fakes[:, :count]
        blocks = [estimate(a[i::BLOCKS], fake[:, i::BLOCKS]) for i in range(BLOCKS)]
        error = np.std(blocks, ddof=1) / np.sqrt(BLOCKS) if np.isfinite(blocks).all() else np.nan
        report[name] = (estimate(a, fake), estimate(a, b[None]), float(error))
    return report


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Squared 2-Wasserstein distances, [K], of two samples' projections on each direction.

    Args:
      x: a sample [N, n].
      y: another of the same size [N, n].
      directions: unit vectors [K, n].
    """
    # Sorting matches quantiles, which is optimal transport on a line.
    gap = np.sort(directions @ x.T, axis=1) - np.sort(directions @ y.T, axis=1)
    return np.mean(np.square(gap, dtype=np.float64), axis=1)


def energy_distance(x: np.ndarray, y: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of samples [N, n] and [M, n], distances divided by √n.

    Unbiased: no element is compared with itself. Székely and Rizzo, JSPI 2013.
    """
    return _mean_energy(x, y[None])


def covariance_error(x: np.ndarray, y: np.ndarray) -> float:
    """Frobenius distance of the covariances of y [M, n] and x [N, n], relative to that of x."""
    cov_x, cov_y = (np.atleast_2d(np.cov(sample.T)) for sample in (x, y))
    return float(np.linalg.norm(cov_y - cov_x) / np.linalg.norm(cov_x))


def gaussian_kl(x: np.ndarray, y: np.ndarray) -> float:
    """D_KL of the Gaussian fit of x [N, n] from that of y [M, n], bits per dimension.

    inf if either fit is singular.
    """
    dims = x.shape[1]
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    cov_x, cov_y = np.cov(x.T).reshape(dims, dims), np.cov(y.T).reshape(dims, dims)
    spread = np.linalg.eigvalsh(cov_x)
    if spread[0] <= _SINGULAR * spread[-1]:
        return float("inf")
    # In coordinates that whiten x, y's covariance is diag(ratios).
    ratios, axes = linalg.eigh(cov_y, cov_x)
    if ratios[0] <= _SINGULAR:
        return float("inf")
    shift = axes.T @ (y.mean(axis=0) - x.mean(axis=0))
    nats = 0.5 * np.sum((1.0 + shift**2) / ratios - 1.0 + np.log(ratios))
    return float(nats / np.log(2.0) / dims)


def _mean_sliced(x, members, directions, variance):
    return float(np.mean([sliced_wasserstein(x, y, directions) / variance for y in members]))


def _mean_energy(x, members):
    within_x = _distance_sum(x, x) / (len(x) * (len(x) - 1))
    energies = []
    for y in members:
        within_y = _distance_sum(y, y) / (len(y) * (len(y) - 1))
        energies.append(2 * _distance_sum(x, y) / (len(x) * len(y)) - within_x - within_y)
    return float(np.mean(energies) / np.sqrt(x.shape[1]))


def _distance_sum(x, y):
    """Sum of Euclidean distances over all pairs."""
    norms_x, norms_y = np.sum(x * x, axis=1), np.sum(y * y, axis=1)
    total = 0.0
    for start in range(0, len(x), 256):  # so that a block of the Gram matrix stays in cache
        rows = slice(start, start + 256)
        squared = norms_x[rows, None] + norms_y - 2.0 * (x[rows] @ y.T)
        total += np.sum(np.sqrt(np.maximum(squared, 0.0)), dtype=np.float64)
    return total


def _words(seed, stream, count):
    # Raw words, because numpy promises to keep those but not the methods of Generator.
    return np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(count)


def _directions(dims, seed, stream):
    """64 random unit vectors [64, dims], in orthonormal groups of `dims`."""
    groups = -(-_DIRECTIONS // dims)
    words = _words(seed, stream, groups * dims * min(dims, _DIRECTIONS))
    normals = special.ndtri(((words >> np.uint64(11)) + 0.5) * 2.0**-53)
    bases, _ = np.linalg.qr(normals.reshape(groups, dims, -1))
    return np.swapaxes(bases, 1, 2).reshape(-1, dims)[:_DIRECTIONS]


def _band_directions(channels, seed):
    """64 unit vectors per band of DCT frequencies, [192, C * 64], in pixel coordinates."""
    frequency = np.add.outer(np.arange(PATCH), np.arange(PATCH))
    frequency = np.broadcast_to(frequency, (channels, PATCH, PATCH))
    spectra = []
    for stream, (lowest, highest) in enumerate(_BANDS, start=1):
        band = (lowest <= frequency) & (frequency <= highest)
        spectrum = np.zeros((_DIRECTIONS, channels, PATCH, PATCH))
        spectrum[:, band] = _directions(int(band.sum()), seed, stream)
        spectra.append(spectrum)
    pixels = fft.idctn(np.concatenate(spectra), axes=(-2, -1), norm="ortho")
    return pixels.reshape(-1, channels * PATCH * PATCH).astype(np.float32)


def _disjoint_positions(height, width, seed):
    """Two disjoint sets of N upper left corners, each a pair (rows [N], columns [N])."""
    rows, columns = max(height - PATCH + 1, 0), max(width - PATCH + 1, 0)
    available = rows * columns
    if available < 2 * _FEWEST_POSITIONS:
        raise ValueError(
            f"photograph divergences need {2 * _FEWEST_POSITIONS} positions of an "
            f"{PATCH} x {PATCH} patch; an image of {height} x {width} has {available}"
        )
    count = min(_POSITIONS, 2 ** int(np.log2(available // 2)))
    chosen = np.argsort(_words(seed, len(_BANDS) + 1, available), kind="stable")[: 2 * count]
    corners = np.divmod(chosen, columns)
    return tuple(c[:count] for c in corners), tuple(c[count:] for c in corners)


def _patches(image, corners):
    """Patches [N, C * 64] of image [H, W, C] at the corners, without their channels' means."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
    patches = windows[corners]  # [N, C, 8, 8]
    patches = patches - patches.mean(axis=(2, 3), keepdims=True)
    return patches.reshape(len(patches), -1)
