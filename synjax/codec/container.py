"""The layout of a stream: all that can be read, and refused, without a codec.

    4  magic                     then per group that was sent
    1  format version            3  length of its payload
    1  bits per sample of x      4  CRC32 of its payload
    1  level · 16 + groups L     4  CRC32 of its symbols, after the shape and bits of x
    4  codec fingerprint         and
    …  shape of x                4  CRC32 of everything before

The payloads of the groups follow in order. Numbers are little-endian; the shape is its number of
axes, then each size in base 128, low digits first, with the high bit set on all but the last.
"""

import dataclasses
import struct
import zlib

MAGIC = b"\x89SYN"
VERSION = 1
SAMPLE_BITS = (8, 16, 32)  # integers of 8 and 16 bits, 32-bit floats
MAX_LEVELS = 15
MAX_PAYLOAD = 2**24 - 1

_FIXED = struct.Struct("<4sBBB4s")
_GROUP = struct.Struct("<3sII")
_CHECKSUM = struct.Struct("<I")
_MAX_SHAPE_BYTES = 24 - _FIXED.size - _CHECKSUM.size
MAX_STREAM = 24 + MAX_LEVELS * (_GROUP.size + MAX_PAYLOAD)


class BitstreamError(ValueError):
    """A stream that is damaged, cut, not of this format, or not of this codec."""


@dataclasses.dataclass(frozen=True)
class Group:
    """What the header says of one group: payload bytes, and CRC32 of payload and symbols."""

    length: int
    payload_checksum: int
    symbols_checksum: int


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of a stream.

    Attributes:
      shape: of x.
      sample_bits: bits per sample of x as the encoder received it, one of `SAMPLE_BITS`.
      levels: L of the codec.
      fingerprint: first 4 bytes of the codec's.
      groups: those that were sent; their number is the stream's level.
    """

    shape: tuple[int, ...]
    sample_bits: int
    levels: int
    fingerprint: bytes
    groups: tuple[Group, ...]


def pack(header, payloads):
    """The stream of a header and its groups' payloads.

    Args:
      header: with one group per payload.
      payloads: bytes of each group, as long as the header says.

    Returns:
      The stream, bytes; its header has at most 24 + 11 bytes per group.

    Raises:
      ValueError: a payload of more than `MAX_PAYLOAD` bytes, or a shape that does not fit.
    """
    for k, group in enumerate(header.groups):
        if group.length > MAX_PAYLOAD:
            raise ValueError(
                f"the payload of group {k + 1} has {group.length} bytes, "
                f"more than the {MAX_PAYLOAD} of one stream"
            )
    shape = bytes([len(header.shape)]) + b"".join(_digits(size) for size in header.shape)
    if len(shape) > _MAX_SHAPE_BYTES:
        raise ValueError(f"shape {header.shape} does not fit the header of a stream")
    start = _FIXED.pack(
        MAGIC,
        VERSION,
        header.sample_bits,
        len(header.groups) << 4 | header.levels,
        header.fingerprint,
    )
    entries = b"".join(
        _GROUP.pack(
            group.length.to_bytes(3, "little"), group.payload_checksum, group.symbols_checksum
        )
        for group in header.groups
    )
    head = start + shape + entries
    return b"".join([head, _CHECKSUM.pack(zlib.crc32(head)), *payloads])


def unpack(stream):
    """Reads and checks a header, without touching the payloads.

    Args:
      stream: bytes.

    Returns:
      The `Header`, and its size in bytes.

    Raises:
      BitstreamError: a header that is cut, damaged, or of another format.
    """
    if stream[: len(MAGIC)] != MAGIC[: len(stream)]:
        raise BitstreamError("magic number is not that of a stream")
    if len(stream) < _FIXED.size:
        raise BitstreamError(_cut(stream))
    _, version, sample_bits, levels, fingerprint = _FIXED.unpack_from(stream)
    if version != VERSION:
        raise BitstreamError(f"format version is {version}, readable is {VERSION}")
    shape, position = _read_shape(stream, _FIXED.size)
    level, levels = levels >> 4, levels & 15
    end = position + level * _GROUP.size
    if len(stream) < end + _CHECKSUM.size:
        raise BitstreamError(_cut(stream))
    if _CHECKSUM.unpack_from(stream, end)[0] != zlib.crc32(stream[:end]):
        raise BitstreamError("header checksum does not match")
    groups = tuple(
        Group(int.from_bytes(length, "little"), payload_checksum, symbols_checksum)
        for length, payload_checksum, symbols_checksum in _GROUP.iter_unpack(stream[position:end])
    )
    if not 1 <= level <= levels:
        raise BitstreamError(f"level {level} of {levels} does not exist")
    if sample_bits not in SAMPLE_BITS:
        raise BitstreamError(f"bits per sample are {sample_bits}, allowed are {SAMPLE_BITS}")
    if not shape or min(shape) < 1:
        raise BitstreamError(f"shape {shape} is empty")
    if min(group.length for group in groups) < 1:
        raise BitstreamError("a group without payload")
    return Header(shape, sample_bits, levels, fingerprint, groups), end + _CHECKSUM.size


def split(stream):
    """Reads and checks a whole stream, or one that was cut behind any of its groups.

    Args:
      stream: bytes.

    Returns:
      The `Header`, and the payloads of the groups that are there, one at least.

    Raises:
      BitstreamError: as `unpack`; a payload that is cut or damaged, or bytes after the last.
    """
    header, position = unpack(stream)
    payloads = []
    for k, group in enumerate(header.groups):
        if payloads and position == len(stream):
            break
        payload = stream[position : position + group.length]
        if len(payload) < group.length:
            raise BitstreamError(
                f"payload of group {k + 1} is cut: {len(payload)} of {group.length} bytes"
            )
        if zlib.crc32(payload) != group.payload_checksum:
            raise BitstreamError(f"payload checksum of group {k + 1} does not match")
        payloads.append(payload)
        position += group.length
    if position < len(stream):
        raise BitstreamError(f"{len(stream) - position} bytes after the last payload")
    return header, payloads


def _cut(stream):
    return f"header is cut: the stream has {len(stream)} bytes"


def _digits(size):
    digits = []
    while size >= 128:
        digits.append(size % 128 | 128)
        size //= 128
    return bytes([*digits, size])


def _read_shape(stream, position):
    """The shape at a position, and the position behind it."""
    field = stream[position : position + _MAX_SHAPE_BYTES]
    shape, size, weight, used = [], 0, 1, 1
    while used < len(field) and len(shape) < field[0]:
        size += field[used] % 128 * weight
        weight *= 128
        if field[used] < 128:
            shape.append(size)
            size, weight = 0, 1
        used += 1
    if not field or len(shape) < field[0]:
        whole = len(field) == _MAX_SHAPE_BYTES
        raise BitstreamError("shape does not end" if whole else _cut(stream))
    return tuple(shape), position + used
