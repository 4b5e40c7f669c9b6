"""Ten thousand damaged streams: each is refused with a reason, or is a lower level cut clean."""

import collections
import dataclasses
import re
import struct
import time
import zlib

import numpy as np
import pytest
import small_codec

from synjax.codec import bitstream, container

COUNT = 10_000


@pytest.fixture(scope="module")
def artefact():
    return small_codec.artefact()


@pytest.fixture(scope="module")
def streams(artefact):
    """Two short streams and a longer one."""
    sizes = ((9, 14), (9, 14), (40, 33))
    return [
        bitstream.encode(artefact, small_codec.picture(*size, seed=seed))
        for seed, size in enumerate(sizes)
    ]


def _fields(stream):
    """Name of the field to which every byte belongs."""
    header, size = container.unpack(stream)
    names = ["magic"] * 4 + ["version", "sample bits", "levels"] + ["fingerprint"] * 4
    groups = len(header.groups)
    shape = size - 4 - 11 * groups - len(names)
    names += ["shape"] * shape
    for _ in range(groups):
        names += ["length"] * 3 + ["payload checksum"] * 4 + ["symbol checksum"] * 4
    names += ["header checksum"] * 4
    for k, group in enumerate(header.groups, 1):
        names += [f"payload {k}"] * group.length
    assert len(names) == len(stream)
    return names


def _flips(stream):
    """Every single bit."""
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        yield _fields(stream)[bit // 8], bytes(damaged)


def _sealed(stream, changes):
    """Bytes changed, and the checksum of the header made to fit."""
    damaged = bytearray(stream)
    for position, value in changes:
        damaged[position] = value
    size = container.unpack(stream)[1]
    damaged[size - 4 : size] = struct.pack("<I", zlib.crc32(bytes(damaged[: size - 4])))
    return bytes(damaged)


def _damaged(streams, rng):
    """(kind, field, stream) without end; what no change was made to is left out."""
    short, other, longer = streams
    for field, damaged in _flips(short):
        yield "flipped bit", field, damaged
    for stream in (short, longer):
        for length in range(len(stream)):
            yield "truncation", _fields(stream)[length], stream[:length]
    for position in range(1, len(short)):
        spliced = short[:position] + other[position:]
        if spliced not in (short, other):
            yield "splice", _fields(short)[position], spliced
    fields, size = _fields(longer), container.unpack(longer)[1]
    while True:
        start = longer[: rng.integers(0, size + 1)]
        yield "random bytes", "behind a whole start", start + rng.bytes(rng.integers(1, 300))
        position = int(rng.integers(0, len(longer)))
        run = bytearray(longer)
        end = min(position + int(rng.integers(1, 9)), len(longer))
        run[position:end] = rng.bytes(end - position)
        if bytes(run) != longer:
            yield "overwritten run", fields[position], bytes(run)
        position = int(rng.integers(0, size - 4))
        value = int(rng.integers(0, 256))
        if value != longer[position]:
            sealed = _sealed(longer, [(position, value)])
            yield "forged header", fields[position], sealed


def _kind_of(reason):
    return re.sub(r"[0-9a-f]{8}|\(.*\)|\d+", "…", reason)


def test_ten_thousand_damaged_streams_are_refused_with_a_reason(artefact, streams, capsys):
    rng = np.random.default_rng(0)
    boundaries = set()
    for stream in streams:
        header, size = container.unpack(stream)
        ends = size + np.cumsum([group.length for group in header.groups])
        boundaries |= {stream[:end] for end in ends[:-1]}
    counts, reasons, lower = collections.Counter(), collections.Counter(), 0
    began = time.monotonic()
    for (kind, field, damaged), _ in zip(_damaged(streams, rng), range(COUNT), strict=False):
        try:
            parsed = bitstream.parse(artefact, damaged)
        except bitstream.BitstreamError as error:
            reasons[field, _kind_of(str(error))] += 1
        else:
            assert damaged in boundaries, (kind, field)
            assert parsed.level < artefact.codec.levels
            lower += 1
        counts[kind] += 1
    with capsys.disabled():
        print(f"\n{sum(counts.values())} damaged streams in {time.monotonic() - began:.0f} s")
        print(", ".join(f"{kind} {count}" for kind, count in counts.items()))
        for (field, reason), count in sorted(reasons.items()):
            print(f"  {count:5d}  {field}: {reason}")
        print(f"  {lower:5d}  cut clean: the lower level")
    assert sum(counts.values()) == COUNT
    assert lower == 2 * (artefact.codec.levels - 1)  # of the two streams that were truncated
    assert min(counts.values()) > 50


def test_symbols_that_are_right_by_their_own_checksum_alone_are_refused(artefact, streams):
    """A payload of another picture with all checksums of the bytes made to fit."""
    header, payloads = container.split(streams[0])
    _, foreign = container.split(streams[1])
    for k in range(len(payloads)):
        mixed = [*payloads[:k], foreign[k], *payloads[k + 1 :]]
        groups = [
            dataclasses.replace(group, length=len(p), payload_checksum=zlib.crc32(p))
            for group, p in zip(header.groups, mixed, strict=True)
        ]
        forged = container.pack(dataclasses.replace(header, groups=tuple(groups)), mixed)
        with pytest.raises(bitstream.BitstreamError, match=f"group {k + 1}"):
            bitstream.parse(artefact, forged)
