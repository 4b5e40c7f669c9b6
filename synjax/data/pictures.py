"""Pictures in files, as arrays [H, W, C] with C = 1 (grey) or 3 (RGB).

    suffix        read                                       written
    .png          1 to 8 and 16 bits; grey, RGB, palette     8 and 16 bits
    .jpg .jpeg    8 bits; grey, RGB                          never: it would lose what was kept
    .webp         8 bits; RGB                                8 bits, lossless; grey as RGB
    .tif .tiff    8 and 16 bits; grey, RGB; one page         8 and 16 bits
    .npy          uint8, uint16, floats in [0, 1]            uint8, uint16, float32

What loses nothing is converted: fewer than 8 bits become 8, palettes become their colours, and a
picture that lies on its side by its EXIF orientation is turned upright. Alpha, also that of a
transparent colour, needs a word of the caller. CMYK and other colour spaces, animations and further
pages are refused. Samples are what the file stores: colour profiles and gamma change nothing.
"""

import io
import pathlib
import warnings

import numpy as np
import tifffile
from PIL import Image

from synjax.data import decoders

ALPHA = ("refuse", "flatten")
MAX_BYTES = 2**30  # of a file

_DECODERS = {
    ".png": decoders.png,
    ".jpg": decoders.jpeg,
    ".jpeg": decoders.jpeg,
    ".webp": decoders.webp,
    ".tif": decoders.tiff,
    ".tiff": decoders.tiff,
    ".npy": decoders.npy,
}
_DEPTHS = {".png": (8, 16), ".webp": (8,), ".tif": (8, 16), ".tiff": (8, 16), ".npy": (8, 16, 32)}
WRITTEN = tuple(_DEPTHS)  # suffixes

# EXIF orientation -> what turns the picture upright; all others leave it as it is.
_TURNS = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def read(path, alpha="refuse"):
    """The picture in a file.

    Args:
      path: a file whose suffix tells its format.
      alpha: what to do with an alpha channel, "refuse" or "flatten": lay the picture over white,
        by its samples as they are.

    Returns:
      uint8 or uint16 [H, W, C], or float32 in [0, 1] where a .npy holds floats.

    Raises:
      ValueError: an unknown suffix; a file that is missing, empty, damaged, cut, or larger than
        `MAX_BYTES` or `decoders.MAX_PIXELS`; what this module refuses. Names the file.
    """
    path = pathlib.Path(path)
    if alpha not in ALPHA:
        raise ValueError(f"alpha must be one of {', '.join(ALPHA)}, got {alpha!r}")
    decode = _by_suffix(path, _DECODERS, "pictures are read from")
    try:
        pixels, orientation = _decoded(path, decode)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if orientation in list(_TURNS):  # a damaged one may not even have a hash
        pixels = _TURNS[orientation](pixels)
    if pixels.shape[-1] in (2, 4):
        if alpha == "refuse":
            raise ValueError(f"{path}: has an alpha channel; --alpha=flatten lays it over white")
        pixels = over_white(pixels)
    return np.ascontiguousarray(pixels)


def depths(path):
    """Bits per sample that `write` can give a file, ascending; ValueError for other suffixes."""
    return _by_suffix(pathlib.Path(path), _DEPTHS, "pictures are written to")


def write(path, x):
    """Writes a picture, without loss, in the format of the path's suffix.

    Args:
      path: the file; one that exists is replaced.
      x: uint8, uint16 or float32 [H, W, C].

    Raises:
      ValueError: a suffix or depth that is not written, or a picture too large for the format.
      OSError: the file cannot be written.
    """
    path = pathlib.Path(path)
    allowed, bits = depths(path), 8 * x.dtype.itemsize
    if x.ndim != 3 or x.shape[-1] not in (1, 3) or x.dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(f"{path}: {x.dtype} {x.shape} is no picture; allowed is [H, W, 1 or 3]")
    if bits not in allowed:
        listed = " or ".join(map(str, allowed))
        raise ValueError(f"{path}: has {bits} bits per sample; {path.suffix} takes {listed}")
    path.write_bytes(_encoded(path, x[..., 0] if x.shape[-1] == 1 else x))


def _by_suffix(path, table, purpose):
    if path.suffix.lower() not in table:
        suffix = path.suffix or "none"
        raise ValueError(f"{path}: the suffix is {suffix}; {purpose} {', '.join(table)}")
    return table[path.suffix.lower()]


def _decoded(path, decode):
    if not path.is_file():
        raise ValueError("is a directory" if path.is_dir() else "there is no such file")
    size = path.stat().st_size
    if not 0 < size <= MAX_BYTES:
        raise ValueError(f"has {size} bytes; allowed are 1 to {MAX_BYTES}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what matters, the decoders raise errors
        return decode(path.read_bytes())


def over_white(x):
    """[H, W, C + 1] with alpha → [H, W, C], rounded to the nearest."""
    top = np.iinfo(x.dtype).max
    color, opacity = x[..., :-1].astype(np.uint32), x[..., -1:].astype(np.uint32)
    # At most top² + top / 2, which 32 bits hold for 16-bit samples as well.
    return ((color * opacity + top * (top - opacity) + top // 2) // top).astype(x.dtype)


def _encoded(path, x):
    """The bytes of a file with samples [H, W] or [H, W, 3]."""
    buffer, suffix = io.BytesIO(), path.suffix.lower()
    try:
        if suffix == ".npy":
            np.save(buffer, x, allow_pickle=False)
        elif suffix in (".tif", ".tiff"):
            kind = "minisblack" if x.ndim == 2 else "rgb"
            tifffile.imwrite(buffer, x, photometric=kind, compression="zlib", metadata=None)
        elif x.dtype == np.uint16:
            import imagecodecs  # needed here alone

            return imagecodecs.png_encode(x)
        elif suffix == ".webp":
            Image.fromarray(x).save(buffer, "WEBP", lossless=True)
        else:
            Image.fromarray(x).save(buffer, "PNG")
    except (RuntimeError, ValueError, OSError) as error:
        raise ValueError(f"{path}: cannot be written: {error}") from error
    return buffer.getvalue()
