"""Members of a synset by address: the same detail whenever and wherever it is drawn.

The address is (symbols sent, j). Bucket, batch, device and parameters have no part in it.
"""

import math
import zlib

import numpy as np


def checksum(symbols):
    """CRC32 of integers as little-endian int32, in row-major order."""
    return zlib.crc32(np.ascontiguousarray(symbols, "<i4"))


def uniforms(key, member, shape):
    """The uniforms of one member of one synset.

    The first 23 bits of each output of Philox-4×64-10, whose key is the address (Salmon et al.
    2011, doi:10.1145/2063384.2063405).

    Args:
      key: 0…2³² − 1, checksum of the symbols that the member shares with the others.
      member: j, 0…2⁶⁴ − 1.
      shape: [*S', K + E] of the signal without padding.

    Returns:
      float32 in (0, 1), of the form (k + ½) / 2²³.
    """
    generator = np.random.Philox(key=np.array([key, member], np.uint64))
    drawn = generator.random_raw(math.prod(shape)) >> np.uint64(64 - 23)
    return ((drawn + 0.5) / 2**23).astype(np.float32).reshape(shape)
