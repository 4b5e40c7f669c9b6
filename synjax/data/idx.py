"""Arrays of bytes in gzipped IDX files, the format that MNIST is distributed in.

A file is a header (two zeros, the type, the number of axes; then each axis as a big-endian uint32)
and the values. https://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
"""

import gzip
import math
import pathlib
import struct
import zlib

import numpy as np

UNSIGNED_BYTE = 8  # the one type that is read
MAX_BYTES = 2**28  # of the values


def read(path, axes):
    """The array in a file.

    Args:
      path: of a gzipped IDX file.
      axes: how many axes it must have.

    Returns:
      uint8, read-only, with `axes` axes.

    Raises:
      ValueError: the file is missing, damaged, cut, longer than its header says, larger than
        `MAX_BYTES`, of another type or of other axes. Names the file.
    """
    path = pathlib.Path(path)
    try:
        with gzip.open(path) as file:
            return _parse(file, axes)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except gzip.BadGzipFile as error:
        raise ValueError(f"{path}: damaged, or not gzipped: {error}") from None
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged or cut: {error}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(file, axes):
    zeros, kind, count = struct.unpack(">HBB", _exactly(file, 4))
    if zeros or kind != UNSIGNED_BYTE:
        raise ValueError("not an IDX file of unsigned bytes")
    if count != axes:
        raise ValueError(f"has {count} axes, not {axes}")
    shape = struct.unpack(f">{axes}I", _exactly(file, 4 * axes))
    size = math.prod(shape)
    if size > MAX_BYTES:
        raise ValueError(f"claims {size} bytes, more than the {MAX_BYTES} that are read")
    values = _exactly(file, size)
    if file.read(1):  # this also checks the sum at the end of the gzip stream
        raise ValueError(f"is longer than the {size} bytes that its header says")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _exactly(file, size):
    content = file.read(size)
    if len(content) < size:
        raise ValueError(f"is cut: {size} bytes were expected, {len(content)} are there")
    return content
