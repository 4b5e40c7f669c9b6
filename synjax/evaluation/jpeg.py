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
        size, decoded = _coded(pixels, quality)
        sizes.append(size)
        values.append(_psnr(pixels, decoded))
    return np.maximum.accumulate(sizes), np.maximum.accumulate(values)


def nearest(of_picture, x, size):
    """The JPEG whose file is nearest in size to a stream.

    Args:
      of_picture: from `curve`.
      x: [H, W, 3] in [0, 1], the same picture.
      size: bytes.

    Returns:
      (decoded [H, W, 3] in [0, 1], bytes, PSNR in dB).
    """
    pixels = np.round(x * 255).astype(np.uint8)
    quality = 1 + int(np.argmin(np.abs(of_picture[0] - size)))
    taken, decoded = _coded(pixels, quality)
    return decoded.astype(np.float32) / 255, taken, _psnr(pixels, decoded)


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


def _coded(pixels, quality):
    """Bytes of the file and what is decoded from it."""
    content = classical.encode("jpeg", quality, pixels)
    return len(content), classical.decode(content)


def _psnr(pixels, decoded):
    mse = max(((decoded.astype(np.float64) - pixels) ** 2).mean(), 1e-6)
    return float(10 * np.log10(255**2 / mse))
