"""Pictures in files: what comes back exactly, what is converted, what is refused in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from synjax.data import decoders, pictures


def _noise(height, width, channels, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top + 1, (height, width, channels), dtype)


def _png(depth, kind, rows, width, *chunks):
    """A PNG by its specification, so that no library checks itself: rows of packed samples."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _png16(x, *chunks):
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[x.shape[-1]]
    return _png(16, kind, [row.astype(">u2").tobytes() for row in x], x.shape[1], *chunks)


def _saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def _refused(path, *words, **options):
    with pytest.raises(ValueError) as caught:
        pictures.read(path, **options)
    line = str(caught.value)
    assert "\n" not in line and str(path) in line and "object at" not in line
    for word in words:
        assert word in line, line


KEPT = [
    (suffix, bits, channels)
    for suffix in (".png", ".webp", ".tif", ".TIFF", ".npy")
    for bits in pictures.depths(f"x{suffix}")
    for channels in (1, 3)
    if (suffix, channels) != (".webp", 1)
]


@pytest.mark.parametrize(("suffix", "bits", "channels"), KEPT)
@settings(max_examples=10)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 9))
def test_what_is_written_comes_back_exactly(
    tmp_path_factory, suffix, bits, channels, height, width, seed
):
    if bits == 32:
        x = np.random.default_rng(seed).random((height, width, channels), np.float32)
    else:
        x = _noise(height, width, channels, {8: np.uint8, 16: np.uint16}[bits], seed)
    path = tmp_path_factory.getbasetemp() / f"kept{suffix}"
    pictures.write(path, x)
    again = pictures.read(path)
    assert again.dtype == x.dtype
    np.testing.assert_array_equal(again, x)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_of_16_bits_has_the_samples_that_its_specification_says(tmp_path, channels):
    x = _noise(7, 5, channels, np.uint16)
    read = pictures.read(_file(tmp_path, "x.png", _png16(x)))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, x)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_of_8_bits_is_read_by_others_as_it_was_written(tmp_path, channels):
    x = _noise(7, 5, channels)
    pictures.write(tmp_path / "x.png", x)
    with Image.open(tmp_path / "x.png") as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(x.shape), x)


@pytest.mark.parametrize(("bits", "levels"), [(1, [0, 255]), (2, [0, 85, 170, 255])])
def test_fewer_than_8_bits_become_8_with_black_and_white_at_the_ends(tmp_path, bits, levels):
    per_byte = 8 // bits
    packed = sum(v << (8 - bits * (v + 1)) for v in range(len(levels)))
    content = _png(bits, 0, [[packed]], min(per_byte, len(levels)))
    read = pictures.read(_file(tmp_path, "x.png", content))
    assert (read.dtype, read.ravel().tolist()) == (np.uint8, levels)


def test_a_palette_becomes_its_colours(tmp_path):
    palette = (b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    content = _png(8, 3, [[0, 1], [1, 1]], 2, palette)
    read = pictures.read(_file(tmp_path, "x.png", content))
    a, b = [10, 20, 30], [200, 100, 50]
    assert read.tolist() == [[a, b], [b, b]]


def test_jpeg_is_read_in_grey_and_in_colour(tmp_path):
    x = np.full((16, 16, 3), 100, np.uint8)
    grey = _file(tmp_path, "grey.jpg", _saved(Image.fromarray(x[..., 0]), "JPEG"))
    color = _file(tmp_path, "color.JPEG", _saved(Image.fromarray(x), "JPEG"))
    assert pictures.read(grey).shape == (16, 16, 1)
    np.testing.assert_allclose(pictures.read(color).astype(int), x, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_on_its_side_is_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    x = _noise(4, 6, 3)
    upright = np.asarray(ImageOps.exif_transpose(_with_exif(x, exif)))
    wide = x.astype(np.uint16) * 257
    for name, content in (
        ("x.png", _saved(Image.fromarray(x), "PNG", exif=exif)),
        ("x.webp", _saved(Image.fromarray(x), "WEBP", lossless=True, exif=exif)),
        ("x.tif", _saved(Image.fromarray(x), "TIFF", tiffinfo={0x0112: orientation})),
        ("wide.png", _png16(wide, (b"eXIf", exif.tobytes()[6:]))),
    ):
        read = pictures.read(_file(tmp_path, name, content))
        factor = 257 if read.dtype == np.uint16 else 1
        np.testing.assert_array_equal(read, upright.astype(int) * factor, err_msg=name)


def _with_exif(x, exif):
    image = Image.open(io.BytesIO(_saved(Image.fromarray(x), "PNG", exif=exif)))
    image.load()
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_refused_unless_it_is_flattened_over_white(tmp_path, dtype, channels):
    top = np.iinfo(dtype).max
    x = _noise(3, 4, channels + 1, dtype)
    x[0, :, -1], x[1, :, -1], x[2, :, :] = top, 0, [0] * channels + [top // 3]
    if dtype == np.uint16:
        content = _png16(x)
    else:
        content = _saved(Image.fromarray(x, {2: "LA", 4: "RGBA"}[channels + 1]), "PNG")
    kind = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(tmp_path / "x.tif", x, photometric=kind, extrasamples=["unassalpha"])
    for path in (_file(tmp_path, "x.png", content), tmp_path / "x.tif"):
        _refused(path, "alpha", "--alpha=flatten")
        flat = pictures.read(path, alpha="flatten")
        assert (flat.dtype, flat.shape) == (dtype, (3, 4, channels))
        np.testing.assert_array_equal(flat[0], x[0, :, :-1])
        assert np.all(flat[1] == top)
        assert np.all(flat[2] == top - top // 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flattened_samples_are_the_nearest(tmp_path, dtype):
    x = _noise(20, 20, 4, dtype)
    tifffile.imwrite(tmp_path / "x.tif", x, photometric="rgb", extrasamples=["unassalpha"])
    opacity = x[..., 3:] / np.iinfo(dtype).max
    ideal = x[..., :3] * opacity + np.iinfo(dtype).max * (1 - opacity)
    flat = pictures.read(tmp_path / "x.tif", alpha="flatten")
    assert np.abs(flat - ideal).max() <= 0.5 + 1e-6


def test_a_palette_with_transparency_counts_as_alpha(tmp_path):
    chunks = (b"PLTE", bytes([0, 0, 0, 200, 100, 50])), (b"tRNS", bytes([0]))
    path = _file(tmp_path, "x.png", _png(8, 3, [[0, 1]], 2, *chunks))
    _refused(path, "alpha")
    assert pictures.read(path, alpha="flatten").tolist() == [[[255] * 3, [200, 100, 50]]]


@pytest.mark.parametrize(
    ("bits", "rows", "key"),
    [
        (1, [[0b01000000]], [0]),
        (2, [[0b00011011]], [1]),
        (4, [[0x3F]], [3]),
        (8, [[5, 9]], [9]),
        (8, [[1, 2, 3, 1, 2, 4]], [1, 2, 3]),
        (16, [[1, 0, 1, 1]], [256]),
        (16, [[0, 1, 0, 2, 0, 3, 0, 1, 0, 2, 1, 3]], [1, 2, 3]),
    ],
)
def test_a_transparent_colour_counts_as_alpha(tmp_path, bits, rows, key):
    kind, width = {1: 0, 3: 2}[len(key)], 4 if bits == 2 else 2
    plain = pictures.read(_file(tmp_path, "plain.png", _png(bits, kind, rows, width)))
    transparency = (b"tRNS", struct.pack(f">{len(key)}H", *key))
    path = _file(tmp_path, "key.png", _png(bits, kind, rows, width, transparency))
    _refused(path, "alpha channel; --alpha=flatten")
    top = np.iinfo(plain.dtype).max
    scaled = np.array(key) * top // (2**bits - 1)  # fewer than 8 bits become 8
    is_key = np.all(plain == scaled, axis=-1, keepdims=True)
    assert is_key.sum() == 1
    flat = pictures.read(path, alpha="flatten")
    assert flat.dtype == plain.dtype
    np.testing.assert_array_equal(flat, np.where(is_key, top, plain))


def test_a_transparent_colour_is_flattened_as_the_same_picture_with_alpha(tmp_path):
    x = _noise(20, 20, 4)
    x[..., :3] //= 64  # so that the colour is there more than once
    x[..., 3] = np.where(np.all(x[..., :3] == x[0, 0, :3], axis=-1), 0, 255)
    Image.fromarray(x).save(tmp_path / "alpha.png")
    key = tuple(map(int, x[0, 0, :3]))
    Image.fromarray(x[..., :3]).save(tmp_path / "key.png", transparency=key)
    flat = [pictures.read(tmp_path / name, alpha="flatten") for name in ("key.png", "alpha.png")]
    np.testing.assert_array_equal(*flat)


def test_an_unknown_treatment_of_alpha_is_refused(tmp_path):
    with pytest.raises(ValueError, match="refuse, flatten, got 'ignore'"):
        pictures.read(tmp_path / "x.png", alpha="ignore")


def test_white_is_zero_and_separate_planes_are_understood(tmp_path):
    x = _noise(5, 6, 3, np.uint16)
    planes = np.moveaxis(x, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(pictures.read(tmp_path / "a.tif"), x)
    tifffile.imwrite(tmp_path / "b.tif", 65535 - x[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(pictures.read(tmp_path / "b.tif"), x[..., :1])
    tifffile.imwrite(tmp_path / "c.tif", x, photometric="rgb", byteorder=">", tile=(16, 16))
    np.testing.assert_array_equal(pictures.read(tmp_path / "c.tif"), x)


def _frames(kind):
    images = [Image.fromarray(_noise(8, 8, 3, seed=k)) for k in range(2)]
    return _saved(images[0], kind, save_all=True, append_images=images[1:])


def _tiff(x, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, x, **options)
    return buffer.getvalue()


def _array(x, **options):
    buffer = io.BytesIO()
    np.save(buffer, x, **options)
    return buffer.getvalue()


def _without_strip(content):
    """A TIFF in which the second strip has no bytes."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        tag = file.pages.first.tags["StripByteCounts"]
    size = {3: 2, 4: 4}[tag.dtype]
    at = tag.valueoffset + size
    return content[:at] + bytes(size) + content[at + size :]


RGB = _noise(8, 8, 3)
OTHERS = {
    "cmyk.jpg": (_saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"), "CMYK", "RGB"),
    "moving.png": (_frames("PNG"), "2 frames"),
    "moving.webp": (_frames("WEBP"), "2 frames"),
    "pages.tif": (_frames("TIFF"), "2 frames"),
    "cmyk.tif": (_tiff(_noise(8, 8, 4), photometric="separated"), "kind 5", "RGB"),
    "palette.tif": (_saved(Image.fromarray(RGB).quantize(4), "TIFF"), "kind 3"),
    "bits.tif": (_tiff(RGB[..., 0] > 9, photometric="minisblack"), "1 bits", "8 and 16"),
    "signed.tif": (_tiff(RGB.astype(np.int16), photometric="rgb"), "unsigned"),
    "floats.tif": (_tiff(RGB / np.float32(255), photometric="rgb"), "32 bits", "8 and 16"),
    "wide.tif": (_tiff(RGB.astype(np.uint32), photometric="rgb"), "32 bits"),
    "lossy.tif": (_saved(Image.fromarray(RGB), "TIFF", compression="jpeg"), "allowed are"),
    "premultiplied.tif": (
        _tiff(_noise(8, 8, 4), photometric="rgb", extrasamples=["assocalpha"]),
        "4 channels",
    ),
    "holes.tif": (
        _without_strip(_tiff(RGB, photometric="rgb", rowsperstrip=3)),
        "all of its strips",
    ),
    "pickled.npy": (_array(np.array([[print]]), allow_pickle=True), "object"),
    "zipped.npy": (b"PK\x03\x04" + bytes(40), "no NumPy array"),
    "signed.npy": (_array(RGB.astype(np.int64)), "int64", "uint16"),
    "loud.npy": (_array(RGB.astype(np.float32)), "[0, 1]"),
    "nan.npy": (_array(np.full((2, 2), np.nan)), "[0, 1]"),
    "volume.npy": (_array(np.zeros((2, 2, 2, 3))), "(2, 2, 2, 3)", "[H, W, 3]"),
    "alpha.npy": (_array(_noise(2, 2, 4)), "(2, 2, 4)", "[H, W, 3]"),
    "nothing.npy": (_array(np.zeros((0, 4, 3))), "4 × 0"),
    "more.npy": (_array(RGB) + b"0", "promises"),
    "jpeg.png": (_saved(Image.fromarray(RGB), "JPEG"), "holds a JPEG, not a PNG"),
    "png.jpg": (_saved(Image.fromarray(RGB), "PNG"), "holds a PNG, not a JPEG"),
    "webp.png": (_saved(Image.fromarray(RGB), "WEBP"), "holds a WebP, not a PNG"),
    "png.tif": (_saved(Image.fromarray(RGB), "PNG"), "no TIFF"),
    "text.webp": (b"once upon a time", "holds no WebP"),
    "torn.png": (_saved(Image.fromarray(RGB), "PNG")[:14], "damaged: its header cannot be read"),
    "empty.png": (b"", "0 bytes"),
    "stream.syn": (b"\x89SYN", ".syn", ".png", ".npy"),
    "nosuffix": (b"", "none", ".png"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_kept_is_refused_with_the_reason(tmp_path, name):
    content, *words = OTHERS[name]
    _refused(_file(tmp_path, name, content), *words)
    _refused(tmp_path / name, *words, alpha="flatten")


def test_files_that_are_not_there_are_refused(tmp_path):
    _refused(tmp_path / "x.png", "no such file")
    (tmp_path / "folder.png").mkdir()
    _refused(tmp_path / "folder.png", "directory")


def _huge_png(side):
    row = zlib.compress(bytes(100))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", row), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts
    )


def test_bombs_are_refused_by_what_they_promise(tmp_path, monkeypatch):
    side = 11586  # the square is just too large
    allowed = f"pixels; allowed are 1 to {decoders.MAX_PIXELS} in all"
    _refused(_file(tmp_path, "x.png", _huge_png(side)), f"{side} × {side} {allowed}")
    # Larger than what Pillow itself opens.
    _refused(_file(tmp_path, "x.png", _huge_png(16_000)), f"x.png: has too many {allowed}")
    tiff = _tiff(np.zeros((4, 4), np.uint8), photometric="minisblack", rowsperstrip=4)
    with tifffile.TiffFile(io.BytesIO(tiff)) as file:
        at = [file.pages.first.tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    changed = bytearray(tiff)
    for offset in at:
        changed[offset : offset + 2] = struct.pack("<H", side)
    _refused(_file(tmp_path, "x.tif", changed), f"{side} × {side}")
    array = _array(np.zeros((4, 4), np.uint8)).replace(b"(4, 4), }        ", b"(19999, 19999), }")
    _refused(_file(tmp_path, "x.npy", array), "19999 × 19999")
    monkeypatch.setattr(pictures, "MAX_BYTES", 99)
    _refused(_file(tmp_path, "long.png", bytes(100)), "100 bytes", "99")


WHOLE = {
    "x.png": _saved(Image.fromarray(RGB), "PNG"),
    "wide.png": _png16(_noise(8, 8, 3, np.uint16)),
    "x.jpg": _saved(Image.fromarray(RGB), "JPEG", quality=95),
    "x.webp": _saved(Image.fromarray(RGB), "WEBP", lossless=True),
    "x.tif": _tiff(RGB, photometric="rgb", rowsperstrip=3, compression="zlib", metadata=None),
    "raw.tif": _tiff(RGB, photometric="rgb", rowsperstrip=3, metadata=None),
    "x.npy": _array(RGB),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_was_cut_is_refused(tmp_path, name):
    whole = WHOLE[name]
    assert pictures.read(_file(tmp_path, name, whole)).shape == (8, 8, 3)
    for size in [*range(1, 40), *range(40, int(0.9 * len(whole)), 7)]:
        _refused(_file(tmp_path, name, whole[:size]))


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_a_picture_or_a_reason_and_nothing_else(tmp_path_factory, name, data):
    changed = bytearray(WHOLE[name])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at : at + 4] = data.draw(st.binary(min_size=1, max_size=4))
    path = _file(tmp_path_factory.getbasetemp(), f"damaged_{name}", bytes(changed))
    try:
        x = pictures.read(path, alpha="flatten")
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert x.ndim == 3 and x.shape[-1] in (1, 3)


@pytest.mark.parametrize(
    ("name", "x", "words"),
    [
        ("x.jpg", RGB, "suffix is .jpg; pictures are written to .png"),
        ("x.syn", RGB, "suffix is .syn"),
        ("x.webp", RGB.astype(np.uint16), "16 bits per sample; .webp takes 8"),
        ("x.png", RGB / np.float32(255), "32 bits per sample; .png takes 8 or 16"),
        ("x.png", RGB[..., :2], "no picture"),
        ("x.npy", RGB.astype(np.int32), "no picture"),
        ("x.webp", np.zeros((1, 16384, 3), np.uint8), "cannot be written"),
    ],
)
def test_what_a_format_cannot_hold_is_not_written(tmp_path, name, x, words):
    with pytest.raises(ValueError, match=words):
        pictures.write(tmp_path / name, x)
    assert not list(tmp_path.iterdir())
