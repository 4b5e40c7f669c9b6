"""Streams of vectors in three groups: cut, damaged and hostile ones."""

import dataclasses
import tracemalloc
import zlib

import jax
import numpy as np
import pytest

from synjax.codec import bitstream, container, modulation, parsing, synonymous

CODEC = synonymous.Codec(
    rank=0,
    channels=6,
    groups=(2, 3, 1),
    grid=modulation.Grid((100.0,), (0.0, 1.0)),
    analysis_width=8,
    synthesis_widths=(8, 8, 8),
    prior_width=8,
)


def _vectors(count, seed=0):
    deviations = 0.7 ** np.arange(6)
    normal = np.random.default_rng(seed).standard_normal((count, 6))
    return (normal * deviations).astype(np.float32)


@pytest.fixture(scope="module")
def artefact():
    # This generator is compiled several times faster than the default one.
    initial = CODEC.init(jax.random.key(0, impl="rbg"), _vectors(1000, seed=9))
    rng = np.random.default_rng(0)
    disturbed = jax.tree.map(
        lambda leaf: leaf + 0.02 * rng.standard_normal(leaf.shape).astype(np.float32), initial
    )
    return bitstream.make(CODEC, disturbed, 100.0, 1.0)


@pytest.fixture(scope="module")
def short(artefact):
    """A short stream of three groups."""
    return bitstream.encode(artefact, _vectors(2))


def _rewritten(stream, payloads=None, **changes):
    """The stream with another header, whose own checksum is right."""
    header, own = container.split(stream)
    return container.pack(dataclasses.replace(header, **changes), payloads or own)


@pytest.mark.parametrize("count", [1, 100])
def test_vectors_come_back(artefact, count):
    x = _vectors(count)
    stream = bitstream.encode(artefact, x)
    parsed = bitstream.parse(artefact, stream)
    np.testing.assert_array_equal(parsed.symbols, bitstream.analyse(artefact, x).symbols)
    assert parsed.symbols.shape == (count, 6)
    assert bitstream.render(artefact, parsed, members=3).shape == (3, count, 6)
    x_hat = bitstream.render(artefact, parsed, members=0)
    assert x_hat.shape == (1, count, 6)
    assert np.mean((x_hat - x) ** 2) < 0.1


def test_values_far_outside_the_tables_come_back(artefact):
    x = np.float32([[1e5, -3e4, 0, 2e6, 1, -2e4], [0.1] * 6, [-1e6] * 6])
    parsed = bitstream.parse(artefact, bitstream.encode(artefact, x))
    analysed = bitstream.analyse(artefact, x)
    assert np.abs(analysed.symbols).max() > 10_000
    np.testing.assert_array_equal(parsed.symbols, analysed.symbols)


def test_unusable_vectors_are_refused(artefact):
    with pytest.raises(ValueError, match=r"finite, got nan at \(1, 0\)"):
        bitstream.encode(artefact, np.array([[0.0] * 6, [np.nan] + [0.0] * 5]))
    with pytest.raises(ValueError, match="not finite or beyond"):
        bitstream.encode(artefact, np.full((2, 6), 1e12, np.float32))


@pytest.mark.parametrize("k", [1, 2])
def test_table_indices_depend_on_earlier_groups_alone(artefact, k):
    symbols = bitstream.analyse(artefact, _vectors(50)).symbols

    def scales(symbols):
        def given(part, *_):
            return parsing.group(CODEC, symbols, part.group)

        return parsing.follow(artefact, (50,), given, CODEC.levels).scales[f"group_{k}"]

    first = sum(CODEC.groups[:k])
    later, earlier = symbols.copy(), symbols.copy()
    later[:, first:] += 70
    earlier[:, first - 1] += 70
    np.testing.assert_array_equal(scales(later), scales(symbols))
    assert np.any(scales(earlier) != scales(symbols))


def test_a_header_has_24_bytes_and_11_per_group_at_most(artefact):
    for level in (1, 2, 3):
        stream = bitstream.encode(artefact, _vectors(100), level)
        size = bitstream.header_size(stream)
        assert size <= 24 + 11 * level
        assert size + sum(g.length for g in container.unpack(stream)[0].groups) == len(stream)
    group = container.Group(4, 0, 0)
    header = container.Header((2**18, 2**14, 3), 8, 1, b"1234", (group,))
    stream = container.pack(header, [b"abcd"])
    assert container.unpack(stream) == (header, len(stream) - 4)
    assert len(stream) - 4 <= 24 + 11


def test_a_stream_cut_behind_a_group_is_the_stream_of_a_lower_level(artefact):
    x = _vectors(40)
    stream = bitstream.encode(artefact, x)
    header, position = container.unpack(stream)
    full = bitstream.parse(artefact, stream)
    for level, group in enumerate(header.groups, 1):
        position += group.length
        cut = bitstream.parse(artefact, stream[:position])
        sent = bitstream.parse(artefact, bitstream.encode(artefact, x, level))
        assert cut.level == sent.level == level
        np.testing.assert_array_equal(cut.symbols, sent.symbols)
        known = sum(CODEC.groups[:level])
        np.testing.assert_array_equal(cut.symbols[:, :known], full.symbols[:, :known])
        assert not np.any(cut.symbols[:, known:])
        # The detail too is that of the lower level.
        np.testing.assert_array_equal(
            bitstream.render(artefact, cut, members=2),
            bitstream.render(artefact, full, members=2, level=level),
        )


def test_every_other_truncation_is_refused(artefact, short):
    header, size = container.unpack(short)
    boundaries = size + np.cumsum([group.length for group in header.groups])
    for length in range(len(short)):
        if length in boundaries:
            level = bitstream.parse(artefact, short[:length]).level
            assert boundaries[level - 1] == length
        else:
            with pytest.raises(bitstream.BitstreamError, match="cut"):
                bitstream.parse(artefact, short[:length])


def test_every_flipped_bit_is_found(artefact, short):
    assert len(short) < 120
    for bit in range(8 * len(short)):
        damaged = bytearray(short)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(bitstream.BitstreamError):
            bitstream.parse(artefact, bytes(damaged))


def test_bytes_after_the_last_payload_are_refused(artefact, short):
    with pytest.raises(bitstream.BitstreamError, match="1 bytes after the last payload"):
        bitstream.parse(artefact, short + b"\0")


def test_splices_of_two_streams_are_refused(artefact, short):
    other = bitstream.encode(artefact, _vectors(2, seed=1))
    assert bitstream.header_size(short) == bitstream.header_size(other)
    for position in range(1, len(short)):
        spliced = short[:position] + other[position:]
        if spliced not in (short, other):
            with pytest.raises(bitstream.BitstreamError):
                bitstream.parse(artefact, spliced)


def test_random_bytes_are_refused(artefact, short):
    rng = np.random.default_rng(0)
    size = bitstream.header_size(short)
    for length in range(0, 120, 3):
        for start in (b"", short[:4], short[: size // 2], short[:size]):
            with pytest.raises(bitstream.BitstreamError):
                bitstream.parse(artefact, start + rng.bytes(length))


def test_symbols_that_are_not_the_encoders_are_refused(artefact, short):
    """What a decoder with other arithmetic would see: all bytes right, and the symbols wrong."""
    groups = container.unpack(short)[0].groups
    wrong = dataclasses.replace(groups[1], symbols_checksum=groups[1].symbols_checksum ^ 1)
    with pytest.raises(bitstream.BitstreamError, match="symbol checksum of group 2"):
        bitstream.parse(artefact, _rewritten(short, groups=(groups[0], wrong, groups[2])))


def test_payloads_that_decode_to_nonsense_are_refused(artefact, short):
    """Even with every checksum of the bytes in order."""
    rng = np.random.default_rng(0)
    groups = container.unpack(short)[0].groups
    for length in (1, 4, 7, 64):
        payload = rng.bytes(length)
        group = container.Group(length, zlib.crc32(payload), groups[0].symbols_checksum)
        with pytest.raises(bitstream.BitstreamError, match="group 1"):
            bitstream.parse(artefact, _rewritten(short, [payload], groups=(group,)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape": (2,)}, "not one of this codec's"),
        ({"shape": (2, 5)}, "not one of this codec's"),
        ({"shape": (2, 6, 1)}, "not one of this codec's"),
        ({"shape": (0, 6)}, "is empty"),
        ({"shape": ()}, "is empty"),
        ({"shape": (2**40, 6)}, "too large"),
        ({"shape": (2**20, 6)}, "needs more than"),
        ({"shape": (3, 6)}, "symbol checksum of group 1"),
        ({"sample_bits": 7}, "bits per sample"),
        ({"levels": 1}, "level 3 of 1"),
        ({"levels": 4}, "fingerprint"),
        ({"fingerprint": b"abcd"}, "fingerprint"),
    ],
)
def test_hostile_headers_are_refused(artefact, short, changes, reason):
    with pytest.raises(bitstream.BitstreamError, match=reason):
        bitstream.parse(artefact, _rewritten(short, **changes))


def test_hostile_sizes_are_refused_before_they_take_memory(artefact, short):
    tracemalloc.start()
    for shape in ((2**18, 6), (2**24, 6), (2**30, 6)):
        with pytest.raises(bitstream.BitstreamError):
            bitstream.parse(artefact, _rewritten(short, shape=shape))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_another_version_is_refused_by_name(artefact, short):
    changed = bytearray(short)
    changed[4] = 9
    with pytest.raises(bitstream.BitstreamError, match="version is 9, readable is 1"):
        bitstream.parse(artefact, bytes(changed))


def test_a_payload_too_long_for_its_length_field_is_refused():
    group = container.Group(2**24, 0, 0)
    with pytest.raises(ValueError, match="16777216 bytes"):
        container.pack(container.Header((1, 1, 3), 8, 1, b"1234", (group,)), [b""])
