"""Frozen convolution features: what a perception module can look at besides pixels.

Random filters need no training data and no download, and respond to edges and textures that a
distance between pixels or patches misses. Filters that were trained elsewhere come from a file.
"""

import io
import math
import pathlib
import zipfile
import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from scipy import special

LARGEST = 2**26  # bytes of a file of kernels, packed and unpacked
_SIZE = 3
_NEGATIVE_SLOPE = 0.2


def random_features(
    seed: int, widths: Sequence[int] = (16, 32), channels: int = 3
) -> list[jax.Array]:
    """Kernels, one [3, 3, C_in, C_out] per level, with `widths` as the numbers of filters.

    Filters of a level are orthogonal as far as their number allows, with He's gain, so that the
    levels have comparable variances. Those of the first level sum to zero over each input channel:
    an image of one colour gives zero. The kernels depend only on the raw words of a Philox
    generator, so a seed names the same features in every version of numpy and JAX.

    Raises:
      ValueError: if the seed is negative, there are no levels, or a width or `channels` is below 1.

    He et al., "Delving deep into rectifiers", ICCV 2015, Eq. 14 (leaky slope 0.2); Saxe,
    McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning", ICLR 2014.
    """
    if seed < 0 or not widths or min(widths) < 1 or channels < 1:
        raise ValueError(
            "random features need seed >= 0, at least one width, and widths and channels >= 1, "
            f"got seed={seed}, widths={tuple(widths)}, channels={channels}"
        )
    gain = np.sqrt(2.0 / (1.0 + _NEGATIVE_SLOPE**2))
    kernels = []
    for level, (c_in, c_out) in enumerate(zip((channels, *widths), widths, strict=False)):
        filters = _orthogonal_filters(seed, level, c_in, c_out, zero_mean=level == 0)
        kernels.append(jnp.asarray(gain * filters, jnp.float32))
    return kernels


def load(path: str) -> list[jax.Array]:
    """Kernels of a user's network, in the form that `apply` takes.

    The file is .npz or .safetensors and holds arrays level_0, level_1, … of floats
    [3, 3, C_in, C_out], each with as many inputs as the level before has filters.

    Raises:
      ValueError: no such file, another suffix, more than `LARGEST` bytes, damage, or arrays of
        other names, shapes or types, or that are not finite.
    """
    path = pathlib.Path(path)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix not in readers:
        raise ValueError(f"features {path} must be a .npz or .safetensors file")
    try:
        size = path.stat().st_size
        arrays = readers[path.suffix](path) if size <= LARGEST else None
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"features {path} cannot be read: {error}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error) as error:
        raise ValueError(f"features {path} are damaged: {error}") from error
    except safetensors.SafetensorError as error:
        raise ValueError(f"features {path} are damaged: {error}") from error
    if arrays is None:
        raise ValueError(f"features {path} have {size} bytes, more than {LARGEST}")
    wanted = [f"level_{level}" for level in range(len(arrays))]
    if not arrays or set(arrays) != set(wanted):
        raise ValueError(f"features {path} must hold level_0, level_1, …, got {sorted(arrays)}")
    kernels, inputs = [], None
    for name in wanted:
        kernel = arrays[name]
        if kernel.dtype.kind != "f" or kernel.ndim != 4 or kernel.shape[:2] != (_SIZE, _SIZE):
            raise ValueError(
                f"{name} of features {path} must be floats [3, 3, C_in, C_out], "
                f"got {kernel.dtype} {kernel.shape}"
            )
        if 0 in kernel.shape or (inputs is not None and kernel.shape[2] != inputs):
            raise ValueError(
                f"{name} of features {path} has shape {kernel.shape}, but the level before has "
                f"{inputs} filters"
            )
        if not np.all(np.abs(kernel) <= np.finfo(np.float32).max):
            raise ValueError(f"{name} of features {path} is not finite in single precision")
        inputs = kernel.shape[3]
        kernels.append(jnp.asarray(kernel, jnp.float32))
    return kernels


def _read_npz(path):
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise ValueError(f"it unpacks to more than {LARGEST} bytes")
        for entry in archive.infolist():
            packed = io.BytesIO(archive.read(entry))
            # numpy takes the memory that a header asks for before it looks for the numbers.
            version = np.lib.format.read_magic(packed)
            if version != (1, 0):
                raise ValueError(f"{entry.filename} is of .npy version {version}")
            shape, _, dtype = np.lib.format.read_array_header_1_0(packed)
            held = len(packed.getbuffer()) - packed.tell()
            if dtype.hasobject or math.prod(shape) * dtype.itemsize != held:
                raise ValueError(f"{entry.filename} does not hold the numbers that it names")
            packed.seek(0)
            arrays[entry.filename.removesuffix(".npy")] = np.load(packed, allow_pickle=False)
    return arrays


def _read_safetensors(path):
    # The library checks every size against the file's before it takes memory.
    return safetensors.numpy.load(path.read_bytes())


def apply(kernels: Sequence[jax.Array], x: jax.Array) -> list[jax.Array]:
    """Features of x [B, H, W, C] at every level, [B, ⌊H / 2^l⌋, ⌊W / 2^l⌋, C_l] for l = 0, 1, ….

    Each level is a 3 x 3 convolution (edges repeated) and a leaky rectifier; the next level sees
    its 2 x 2 means, without an odd last row or column.

    Raises:
      ValueError: if x is not a batch of images with the kernels' channels, or too small to halve.
    """
    channels = kernels[0].shape[2]
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(f"these features need x [B, H, W, {channels}], got shape {x.shape}")
    smallest = 2 ** (len(kernels) - 1)
    if min(x.shape[1:3]) < smallest:
        raise ValueError(
            f"{len(kernels)} levels of features need images of at least "
            f"{smallest} x {smallest} pixels, got {x.shape[1]} x {x.shape[2]}"
        )
    levels = []
    for kernel in kernels:
        if levels:
            x = halve(levels[-1])
        # Zero padding would draw an edge around every image.
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        response = jax.lax.conv_general_dilated(
            padded, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        levels.append(jax.nn.leaky_relu(response, _NEGATIVE_SLOPE))
    return levels


def _orthogonal_filters(seed, level, c_in, c_out, zero_mean):
    """[3, 3, C_in, C_out] of unit filters, in float64."""
    taps = _SIZE * _SIZE
    normals = _normals(seed, level, (c_out, c_in, taps))
    rank = taps * c_in
    if zero_mean:
        normals = normals - normals.mean(axis=-1, keepdims=True)
        rank = (taps - 1) * c_in
    rows = normals.reshape(c_out, c_in * taps)
    blocks = []
    for start in range(0, c_out, rank):  # no more than `rank` filters can be orthogonal
        basis, triangle = np.linalg.qr(rows[start : start + rank].T)
        blocks.append(basis * np.sign(np.diag(triangle)))  # makes the factorisation unique
    filters = np.concatenate(blocks, axis=1).reshape(c_in, _SIZE, _SIZE, c_out)
    return np.moveaxis(filters, 0, 2)


def _normals(seed, level, shape):
    # From the raw words: numpy promises to keep those, but not Generator.standard_normal.
    generator = np.random.Philox(key=np.array([seed, level], np.uint64))
    words = generator.random_raw(int(np.prod(shape)))
    return special.ndtri(((words >> np.uint64(11)) + 0.5) * 2.0**-53).reshape(shape)


def halve(x):
    """2 x 2 means, without an odd last row or column: [B, H, W, C] → [B, ⌊H / 2⌋, ⌊W / 2⌋, C]."""
    batch, height, width, channels = x.shape
    height, width = height // 2, width // 2
    x = x[:, : 2 * height, : 2 * width]
    return x.reshape(batch, height, 2, width, 2, channels).mean(axis=(2, 4))
