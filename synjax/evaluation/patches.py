"""8 x 8 patches of a photograph at disjoint positions, and directions in bands of frequencies."""

import numpy as np
from scipy import fft

from synjax.evaluation import deviates

PATCH = 8
_POSITIONS = 4096  # patches per photograph and sample
_FEWEST_POSITIONS = 64
# Limits on u + v of DCT frequency (u, v): 9, 26 and 28 coefficients, the mean left out.
_BANDS = ((1, 3), (4, 7), (8, 14))


def disjoint_positions(height, width, seed):
    """Two disjoint sets of N upper left corners, each a pair (rows [N], columns [N]).

    N is 4096, or in small images the largest power of two that fits twice.

    Raises:
      ValueError: if the image has fewer than 128 positions.
    """
    rows, columns = max(height - PATCH + 1, 0), max(width - PATCH + 1, 0)
    available = rows * columns
    if available < 2 * _FEWEST_POSITIONS:
        raise ValueError(
            f"photograph divergences need {2 * _FEWEST_POSITIONS} positions of an "
            f"{PATCH} x {PATCH} patch; an image of {height} x {width} has {available}"
        )
    count = min(_POSITIONS, 2 ** int(np.log2(available // 2)))
    chosen = np.argsort(deviates.words(seed, len(_BANDS) + 1, available), kind="stable")
    corners = np.divmod(chosen[: 2 * count], columns)
    return tuple(c[:count] for c in corners), tuple(c[count:] for c in corners)


def cut(image, corners):
    """Patches [N, C * 64] of image [H, W, C] at the corners, without their channels' means."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
    patches = windows[corners]  # [N, C, 8, 8]
    patches = patches - patches.mean(axis=(2, 3), keepdims=True)
    return patches.reshape(len(patches), -1)


def band_directions(channels, seed):
    """64 unit vectors per band of DCT frequencies, [192, C * 64], in pixel coordinates."""
    frequency = np.add.outer(np.arange(PATCH), np.arange(PATCH))
    frequency = np.broadcast_to(frequency, (channels, PATCH, PATCH))
    spectra = []
    for stream, (lowest, highest) in enumerate(_BANDS, start=1):
        band = (lowest <= frequency) & (frequency <= highest)
        spectrum = np.zeros((deviates.DIRECTIONS, channels, PATCH, PATCH))
        spectrum[:, band] = deviates.directions(int(band.sum()), seed, stream)
        spectra.append(spectrum)
    pixels = fft.idctn(np.concatenate(spectra), axes=(-2, -1), norm="ortho")
    return pixels.reshape(-1, channels * PATCH * PATCH).astype(np.float32)
