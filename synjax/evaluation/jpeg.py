"""JPEG as the yardstick: PSNR at equal bytes, from real files."""

import numpy as np

from synjax.evaluation import classical


def curve(x):
    """Rate and quality of a picture under JPEG, progressive and optimised, qualities 1 to 95.

    Args:
      x: [H, W, 3] in [0, 1].

    Returns:
      bytes [95] and PSNR in dB [95], both non-decreasing.
    """
    pixels = np.round(x * 255).astype(np.uint8)
    sizes, values = [], []
    for quality in range(1, 96):
        content = classical.encode("jpeg", quality, pixels)
        sizes.append(len(content))
        decoded = classical.decode(content).astype(np.float64)
        mse = max(((decoded - pixels) ** 2).mean(), 1e-6)
        values.append(10 * np.log10(255**2 / mse))
    return np.maximum.accumulate(sizes), np.maximum.accumulate(values)


def psnr_at(of_picture, size):
    """PSNR of JPEG at a file size, interpolated over the logarithm of the size.

    Where JPEG cannot make so small a file, its smallest one counts, though it takes more bytes.

    Args:
      of_picture: from `curve`.
      size: bytes.

    Returns:
      dB.
    """
    sizes, values = of_picture
    return float(np.interp(np.log(size), np.log(sizes), values))
