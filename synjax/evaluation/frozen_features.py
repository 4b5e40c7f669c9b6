"""Frozen random features of the windows of a photograph, other ones than training looks at.

Protocol. A network of three levels (12, 24 and 48 filters) sees the whole picture. The mean of each
of its 84 responses over a window of 16 x 16 pixels is the window's feature: behind the rectifier a
mean tells how strong a texture is, and the covariance over windows where it is strong together with
what. Windows start at every fourth pixel, the finest that the last level allows, so they overlap: a
picture of 512 x 512 has 15,625 of them, where tiles of 64 x 64, which do not overlap, would be 64,
fewer than the covariance of 84 features has rows.
"""

import jax
import numpy as np

from synjax.evaluation import deviates
from synjax.perception import features

SEED = 5_000_011  # of the filters; training's are of small seeds and other widths
WIDTHS = (12, 24, 48)
WINDOW, STRIDE = 16, 4
POSITIONS = 4096  # windows per photograph and sample
FEWEST_PER_FEATURE = 4  # windows per feature and sample, below which a covariance is mostly noise
_STREAM = 8


def default_kernels(channels):
    """The kernels that reports use, one [3, 3, C_in, C_out] per level."""
    return features.random_features(SEED, WIDTHS, channels)


def disjoint_windows(height, width, kernels, seed):
    """Two disjoint sets of N windows, as indices [N] into those of `of_windows`.

    N is 4096, or half of the windows of a smaller photograph; None where that is less than four
    for each feature (with 84 features, below about 116 x 116 pixels).
    """
    per_window = WINDOW // STRIDE
    rows, columns = (max(side // STRIDE - per_window + 1, 0) for side in (height, width))
    available = rows * columns
    if available < 2 * FEWEST_PER_FEATURE * sum(kernel.shape[-1] for kernel in kernels):
        return None
    count = min(POSITIONS, available // 2)
    chosen = np.argsort(deviates.words(seed, _STREAM, available), kind="stable")
    return chosen[:count], chosen[count : 2 * count]


def of_windows(image, kernels):
    """Features of every window of image [H, W, C]: [rows · columns, F]."""
    pooled = []
    for level, responses in enumerate(jax.jit(features.apply)(kernels, image[None])):
        side = STRIDE >> level
        responses = np.asarray(responses[0], np.float64)
        rows, columns = image.shape[0] // STRIDE, image.shape[1] // STRIDE
        cells = responses[: rows * side, : columns * side]
        cells = cells.reshape(rows, side, columns, side, -1).mean((1, 3))
        pooled.append(_window_means(cells, WINDOW // STRIDE))
    means = np.concatenate(pooled, -1)
    return means.reshape(-1, means.shape[-1])


def _window_means(cells, size):
    """Means of size x size neighbours: [rows, columns, F] → [rows − size + 1, …, F]."""
    for axis in (0, 1):
        sums = np.cumsum(np.insert(cells, 0, 0.0, axis), axis)
        last = np.take(sums, range(size, sums.shape[axis]), axis)
        cells = (last - np.take(sums, range(sums.shape[axis] - size), axis)) / size
    return cells
