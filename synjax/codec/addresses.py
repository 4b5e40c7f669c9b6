"""Members of a synset by address: the same detail whenever and wherever it is drawn.

The address is (symbols of the groups sent, j). Bucket, tile, batch, device and parameters have no
part in it.
What is drawn are integers, from Philox-4×64-10 with the address as its key (Salmon et al. 2011,
doi:10.1145/2063384.2063405).
"""

import functools
import zlib

import numpy as np
from scipy import special

SYMBOLS, DETAIL = 0, 1  # streams of one address: the highest word of the counter
DETAIL_FRACTION = 12  # binary digits of a normal deviate behind the point
NORMALS_CHECKSUM = 1416400049  # of the table that all streams decode with


def checksum(symbols, start=0):
    """CRC32 of integers as little-endian int32, in row-major order, from an earlier one on."""
    return zlib.crc32(np.ascontiguousarray(symbols, "<i4"), start)


def uniforms(key, member, count):
    """Uniforms of the sampled groups of one member of one synset.

    Args:
      key: 0…2³² − 1, checksum of the symbols that the member shares with the others.
      member: j, 0…2⁶⁴ − 1.
      count: how many.

    Returns:
      uint32 [count].
    """
    return _words(key, member, SYMBOLS, 0, -(-count // 2)).view("<u4")[:count].astype(np.uint32)


def normals(key, member, first, count):
    """Standard normal deviates of the detail of one member of one synset.

    Args:
      key, member: as for `uniforms`.
      first: number of the first deviate, a multiple of 16.
      count: how many.

    Returns:
      int16 [count], in 2^−DETAIL_FRACTION.
    """
    words = _words(key, member, DETAIL, first // 16, -(-count // 4))
    return normal_table()[words.view("<u2")[:count]]


def _words(key, member, stream, block, count):
    """64-bit words of an address from a block of four on; little-endian uint64 [count]."""
    generator = np.random.Philox(
        key=np.array([key, member], np.uint64), counter=np.array([block, 0, 0, stream], np.uint64)
    )
    return generator.random_raw(count).astype("<u8")


@functools.cache
def normal_table():
    """Φ⁻¹ at the middles of 2¹⁶ equal shares of probability, int16 in 2^−DETAIL_FRACTION.

    Raises:
      RuntimeError: this machine computes another table, with which members would differ.
    """
    middles = (np.arange(2**16) + 0.5) / 2**16
    table = np.rint(special.ndtri(middles) * 2**DETAIL_FRACTION).astype(np.int16)
    if zlib.crc32(table.astype("<i2")) != NORMALS_CHECKSUM:
        raise RuntimeError("the table of normal deviates is not the one that streams are made for")
    return table
