"""The samples in a picture file, by format: what is refused here is never decoded.

Every decoder takes the file's bytes and returns (samples, orientation): unsigned integers of 8 or
16 bits or float32, [H, W, S], where S = 2 and 4 mean alpha comes last, and EXIF's orientation 1…8.
All raise ValueError with a reason that does not name the file.
"""

import contextlib
import io
import logging
import math
import re

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 2**27  # of one picture; Pillow's own limit against bombs lies above it
ORIENTATION = 0x0112  # the tag, of EXIF and TIFF alike

_ALLOWED_SIZE = f"allowed are 1 to {MAX_PIXELS} in all"
# Pillow's mode -> what it is read as. Each is exact: palettes become the colours they stand for.
_MODES = {"1": "L", "L": "L", "LA": "LA", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}
# How the files that Pillow reads begin.
_SIGNATURES = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WebP": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
_COMPRESSIONS = {1, 5, 8, 32773, 32946}  # none, LZW, deflate, PackBits, deflate's older number
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNASSOCIATED_ALPHA = 2

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it has to say is raised as well


def png(content):
    """PNG: 1 to 8 bits as 8, 16 as 16; grey, RGB and palettes."""
    image = _opened(content, "PNG")
    if content[12:16] != b"IHDR":
        raise ValueError("is damaged, or no PNG: it does not begin with its header")
    has_key = image.mode != "P" and "transparency" in image.info  # one colour is transparent
    if content[24] < 16 and not has_key:  # the bit depth, at a fixed place of the header
        return _pixels(image, "PNG")
    import imagecodecs  # needed here alone

    with _decoding("PNG"):
        # Pillow checks all of the file and reads EXIF, but has 16 bits for grey alone, and misses a
        # transparent colour of 2 or 4 bits. Here that colour becomes an alpha channel.
        image.load()
        orientation = image.getexif().get(ORIENTATION, 1)
        return _with_channels(imagecodecs.png_decode(content)), orientation


def jpeg(content):
    """JPEG: grey and RGB; of a file with several pictures the first, which is the main one."""
    return _pixels(_opened(content, "JPEG"), "JPEG")


def webp(content):
    """WebP: RGB."""
    return _pixels(_opened(content, "WebP"), "WebP")


def tiff(content):
    """TIFF: one page of 8 or 16 bits, grey or RGB, whose compression loses nothing."""
    with _decoding("TIFF"), tifffile.TiffFile(io.BytesIO(content)) as file:
        pages, page = len(file.pages), file.pages.first
        # A damaged file may say anything: int() fails for what is no number.
        height, width, samples = map(int, (page.imagelength, page.imagewidth, page.samplesperpixel))
        colors, compression = int(page.photometric), int(page.compression)
        extra = tuple(int(kind) for kind in page.extrasamples)
        segments = [
            (int(at), int(size))
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        wanted = math.prod(page.chunked) if height and width else 0
    _check_frames(pages)
    _check_size(height, width)
    if page.bitspersample not in (8, 16) or page.sampleformat != 1 or page.imagedepth != 1:
        raise ValueError(
            f"has samples of {page.bitspersample} bits in format {page.sampleformat}; "
            "allowed are unsigned integers of 8 and 16 bits"
        )
    if colors not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise ValueError(f"has colours of kind {colors}; allowed are grey and RGB")
    if samples != (3 if colors == _RGB else 1) + len(extra) or extra not in (
        (),
        (_UNASSOCIATED_ALPHA,),
    ):
        raise ValueError(f"has {samples} channels, extra ones of kinds {extra}; allowed are 1 or 3")
    if compression not in _COMPRESSIONS:
        raise ValueError(
            f"has compression {compression}; allowed are none, LZW, deflate and PackBits"
        )
    # tifffile fills what is missing with zeros.
    if len(segments) != wanted or any(
        size < 1 or at < 1 or at + size > len(content) for at, size in segments
    ):
        raise ValueError("is cut: it does not hold all of its strips")
    with _decoding("TIFF"), tifffile.TiffFile(io.BytesIO(content)) as file:
        x = file.pages.first.asarray(maxworkers=1)
        planes = page.planarconfig == 2 and samples > 1
        x = np.moveaxis(x.reshape(samples, height, width), 0, -1) if planes else x
        x = x.reshape(height, width, samples).astype(x.dtype.newbyteorder("="))
        if colors == _WHITE_IS_ZERO:
            x[..., 0] = np.iinfo(x.dtype).max - x[..., 0]
        tag = page.tags.get(ORIENTATION)
    return x, 1 if tag is None else tag.value


def npy(content):
    """A NumPy array [H, W] or [H, W, 1 or 3]: uint8, uint16, or floats in [0, 1]; never pickled."""
    file = io.BytesIO(content)
    with _decoding("NumPy array"):
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"has shape {shape}; allowed are [H, W], [H, W, 1] and [H, W, 3]")
    _check_size(*shape[:2])
    floats = dtype.kind == "f" and dtype.itemsize <= 8
    if not floats and dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise ValueError(f"has samples of {dtype}; allowed are uint8, uint16 and floats")
    promised = file.tell() + math.prod(shape) * dtype.itemsize
    if promised != len(content):
        raise ValueError(f"has {len(content)} bytes where its header promises {promised}")
    x = np.load(io.BytesIO(content), allow_pickle=False)
    x = x.astype(np.float32 if floats else dtype.newbyteorder("="))
    if floats and not (x.min() >= 0 and x.max() <= 1):  # false for NaN
        raise ValueError("has samples that are not in [0, 1]")
    return _with_channels(x), 1


@contextlib.contextmanager
def _decoding(kind):
    """Around calls of a library: what it raises becomes one ValueError."""
    try:
        yield
    except Image.DecompressionBombError:  # raised before `_check_size` can know the size
        raise ValueError(f"has too many pixels; {_ALLOWED_SIZE}") from None
    except UnidentifiedImageError:  # its own words are an address in memory
        raise ValueError("is damaged: its header cannot be read") from None
    except Exception as error:  # decoders raise all kinds for files that are damaged
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"is damaged, or no {kind}: {reason[:200]}") from error


def _check_size(height, width):
    if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
        raise ValueError(f"has {width} × {height} pixels; {_ALLOWED_SIZE}")


def _check_frames(count):
    if count != 1:
        raise ValueError(f"has {count} frames or pages; allowed is one")


def _require_signature(content, kind):
    held = [other for other, signature in _SIGNATURES.items() if signature.match(content)]
    if held != [kind]:
        raise ValueError(f"holds a {held[0]}, not a {kind}" if held else f"holds no {kind}")


def _opened(content, kind):
    """The picture of a file as Pillow sees it, not decoded yet."""
    _require_signature(content, kind)
    with _decoding(kind):
        image = Image.open(io.BytesIO(content), formats=[kind])
        frames = 1 if kind == "JPEG" else getattr(image, "n_frames", 1)
    _check_frames(frames)
    _check_size(*image.size[::-1])
    return image


def _pixels(image, kind):
    if image.mode not in _MODES:
        raise ValueError(f"has colours of kind {image.mode}; allowed are grey, RGB and palettes")
    mode = _MODES[image.mode]
    if image.mode == "P" and "transparency" in image.info:
        mode = "RGBA"
    with _decoding(kind):
        image.load()
        orientation = image.getexif().get(ORIENTATION, 1)
        return _with_channels(np.asarray(image.convert(mode))), orientation


def _with_channels(x):
    return x[..., None] if x.ndim == 2 else x
