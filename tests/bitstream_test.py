"""Streams: what comes back, what is refused, and whose detail it is."""

import dataclasses
import struct
import tracemalloc
import zlib

import jax
import numpy as np
import pytest
from scipy import ndimage, special

from synjax.codec import addresses, bitstream, container, modulation, padding, synonymous

PICTURES = synonymous.Codec(
    rank=2,
    channels=3,
    groups=(6, 18),
    grid=modulation.Grid((100.0,), (0.0, 1.0)),
    analysis_width=8,
    synthesis_widths=(8, 8, 8),
    prior_width=8,
    stride=16,
)
VECTORS = synonymous.Codec(
    rank=0,
    channels=6,
    groups=(2, 3, 1),
    grid=modulation.Grid((100.0,), (0.0, 1.0)),
    analysis_width=8,
    synthesis_widths=(8, 8, 8),
    prior_width=8,
)


def _picture(height, width, seed=0):
    """A smooth colour picture, float32 [height, width, 3]."""
    noise = np.random.default_rng(seed).standard_normal((height + 16, width + 16, 3))
    smooth = ndimage.gaussian_filter(noise, (3, 3, 0))[8:-8, 8:-8]
    return np.clip(0.5 + 3 * smooth, 0, 1).astype(np.float32)


def _vectors(count, seed=0):
    deviations = 0.7 ** np.arange(6)
    normal = np.random.default_rng(seed).standard_normal((count, 6))
    return (normal * deviations).astype(np.float32)


def _params(codec, x, seed=0):
    """Initial parameters, disturbed so that no network is the identity."""
    # This generator compiles fastest.
    params = codec.init(jax.random.key(0, impl="rbg"), x)
    rng = np.random.default_rng(seed)
    disturbed = jax.tree.map(
        lambda leaf: leaf + 0.02 * rng.standard_normal(leaf.shape).astype(np.float32), params
    )
    for part in ("analysis", "synthesis"):
        disturbed[part]["klt"] = params[part]["klt"]
    return disturbed


@pytest.fixture(scope="module")
def pictures():
    x = np.stack([_picture(128, 128, seed) for seed in range(10, 16)])
    return _params(PICTURES, x)


@pytest.fixture(scope="module")
def artefact(pictures):
    return bitstream.make(PICTURES, pictures, 100.0, 1.0)


@pytest.fixture(scope="module")
def vectors():
    return bitstream.make(VECTORS, _params(VECTORS, _vectors(1000, seed=9)), 100.0, 1.0)


@pytest.fixture(scope="module")
def short(artefact):
    """A short stream of two groups."""
    return bitstream.encode(artefact, _picture(17, 5))


def _rewritten(stream, payloads=None, **changes):
    """The stream with another header, whose own checksum is right."""
    header, own = container.split(stream)
    return container.pack(dataclasses.replace(header, **changes), payloads or own)


SIZES = [(1, 1), (17, 5), (130, 64)]


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_of_any_size_comes_back(artefact, size):
    x = _picture(*size)
    analysed = bitstream.analyse(artefact, x)
    stream = bitstream.encode(artefact, x)
    parsed = bitstream.parse(artefact, stream)
    assert (parsed.shape, parsed.level) == (x.shape, 2)
    assert parsed.symbols.shape == (-(-size[0] // 16), -(-size[1] // 16), 24)
    assert parsed.symbols.dtype == np.int32
    assert np.any(parsed.symbols)
    np.testing.assert_array_equal(parsed.symbols, analysed.symbols)
    x_hat = bitstream.decode(artefact, stream, members=0)
    assert x_hat.shape == (1, *x.shape)
    assert x_hat.dtype == np.float32
    assert x_hat.min() >= 0
    assert x_hat.max() <= 1
    assert np.mean((x_hat[0] - x) ** 2) < 0.3 * np.mean((x.mean() - x) ** 2) + 1e-3


@pytest.mark.parametrize("count", [1, 100])
def test_vectors_come_back(vectors, count):
    x = _vectors(count)
    stream = bitstream.encode(vectors, x)
    parsed = bitstream.parse(vectors, stream)
    np.testing.assert_array_equal(parsed.symbols, bitstream.analyse(vectors, x).symbols)
    assert parsed.symbols.shape == (count, 6)
    assert bitstream.render(vectors, parsed, members=3).shape == (3, count, 6)
    x_hat = bitstream.render(vectors, parsed, members=0)
    assert x_hat.shape == (1, count, 6)
    assert np.mean((x_hat - x) ** 2) < 0.1


def test_several_table_indices_occur(artefact):
    """The round trips above would prove little if the tables of group 2 were all the same."""
    parsed = bitstream.analyse(artefact, _picture(130, 64))
    indices = bitstream._table_indices(artefact, parsed, 1)
    assert len(np.unique(indices)) >= 5


@pytest.mark.parametrize("k", [1, 2])
def test_table_indices_depend_on_earlier_groups_alone(vectors, k):
    parsed = bitstream.analyse(vectors, _vectors(50))
    indices = bitstream._table_indices(vectors, parsed, k)
    first = sum(VECTORS.groups[:k])
    later, earlier = parsed.symbols.copy(), parsed.symbols.copy()
    later[:, first:] += 70
    earlier[:, first - 1] += 70
    later, earlier = (
        bitstream._table_indices(vectors, dataclasses.replace(parsed, symbols=changed), k)
        for changed in (later, earlier)
    )
    np.testing.assert_array_equal(later, indices)
    assert np.any(earlier != indices)


def test_the_decoder_predicts_what_the_encoder_predicted(artefact):
    """Beside a picture's edge too, where the encoder sees symbols that it does not send."""
    x = _picture(50, 50)
    parsed = bitstream.analyse(artefact, x)
    place = padding.Padding(x.shape, 16, True)
    y = jax.jit(PICTURES.analyse)(artefact.params, place.signal(x))["y"]
    centres, _ = jax.jit(PICTURES._mixtures)(artefact.params, place.latent(parsed.symbols))
    offset = place.crop_latent(y - np.concatenate(centres, -1)) - parsed.symbols
    assert np.abs(offset).max() <= 0.5 + 1e-3


def test_buckets_are_multiples_of_128():
    assert padding.bucket((1, 128, 3)) == (128, 128, 3)
    assert padding.bucket((129, 512, 1)) == (256, 512, 1)
    assert padding.bucket((1000, 8)) == (1024, 8)


def test_exact_bits_are_close_to_the_ideal(artefact):
    x = _picture(128, 100)
    stream = bitstream.encode(artefact, x)
    parsed = bitstream.parse(artefact, stream)
    ideal = bitstream.estimated_bits(artefact, parsed)
    assert ideal.shape == (2,)
    header, _ = container.unpack(stream)
    for group, bits in zip(header.groups, ideal, strict=True):
        assert 0.99 * bits <= group.length * 8 <= 1.01 * bits + 64
    first = bitstream.estimated_bits(artefact, dataclasses.replace(parsed, level=1))
    np.testing.assert_allclose(first, [ideal[0], 0])


def test_padding_costs_no_bits(artefact):
    """One latent position in a bucket of 64 costs what it would cost alone, here in NumPy."""
    parsed = bitstream.analyse(artefact, _picture(16, 16))
    symbols = parsed.symbols[0, 0, :6, None]
    features = np.asarray(artefact.params["features"], np.float64)
    leaves = jax.tree.map(np.asarray, artefact.params["prior"]["group_0"])
    offsets, log_scales = (
        (features @ leaves[name]).reshape(6, 3) for name in ("offsets", "log_scales")
    )
    edges = [special.expit((symbols + d - offsets) / np.exp(log_scales)) for d in (0.5, -0.5)]
    weights = special.softmax(leaves["logits"], -1)
    alone = -np.log2(np.sum(weights * (edges[0] - edges[1]), -1)).sum()
    np.testing.assert_allclose(bitstream.estimated_bits(artefact, parsed)[0], alone, rtol=1e-4)


def test_a_header_has_24_bytes_and_11_per_group_at_most(artefact, vectors):
    for one, x in ((artefact, _picture(130, 64)), (vectors, _vectors(100))):
        for level in range(1, one.codec.levels + 1):
            stream = bitstream.encode(one, x, level)
            size = bitstream.header_size(stream)
            assert size <= 24 + 11 * level
            assert size + sum(g.length for g in container.unpack(stream)[0].groups) == len(stream)
    group = container.Group(4, 0, 0)
    header = container.Header((2**18, 2**14, 3), 8, 1, b"1234", (group,))
    stream = container.pack(header, [b"abcd"])
    assert container.unpack(stream) == (header, len(stream) - 4)
    assert len(stream) - 4 <= 24 + 11


def test_a_stream_cut_behind_a_group_is_the_stream_of_a_lower_level(vectors):
    x = _vectors(40)
    stream = bitstream.encode(vectors, x)
    header, position = container.unpack(stream)
    full = bitstream.parse(vectors, stream)
    for level, group in enumerate(header.groups, 1):
        position += group.length
        cut = bitstream.parse(vectors, stream[:position])
        sent = bitstream.parse(vectors, bitstream.encode(vectors, x, level))
        assert cut.level == sent.level == level
        np.testing.assert_array_equal(cut.symbols, sent.symbols)
        known = sum(VECTORS.groups[:level])
        np.testing.assert_array_equal(cut.symbols[:, :known], full.symbols[:, :known])
        assert not np.any(cut.symbols[:, known:])
        # The detail too is that of the lower level.
        np.testing.assert_array_equal(
            bitstream.render(vectors, cut, members=2),
            bitstream.render(vectors, full, members=2, level=level),
        )


def test_every_other_truncation_is_refused(artefact, short):
    header, size = container.unpack(short)
    boundary = size + header.groups[0].length
    for length in range(len(short)):
        if length == boundary:
            assert bitstream.parse(artefact, short[:length]).level == 1
        else:
            with pytest.raises(bitstream.BitstreamError, match="cut"):
                bitstream.parse(artefact, short[:length])


def test_every_flipped_bit_is_found(artefact, short):
    assert len(short) < 100
    for bit in range(8 * len(short)):
        damaged = bytearray(short)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(bitstream.BitstreamError):
            bitstream.parse(artefact, bytes(damaged))


def test_bytes_after_the_last_payload_are_refused(artefact, short):
    with pytest.raises(bitstream.BitstreamError, match="1 bytes after the last payload"):
        bitstream.parse(artefact, short + b"\0")


def test_splices_of_two_streams_are_refused(artefact, short):
    other = bitstream.encode(artefact, _picture(17, 5, seed=1))
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
        bitstream.parse(artefact, _rewritten(short, groups=(groups[0], wrong)))


def test_payloads_that_decode_to_nonsense_are_refused(artefact, short):
    """Even with every checksum of the bytes in order."""
    rng = np.random.default_rng(0)
    groups = container.unpack(short)[0].groups
    for length in (1, 4, 7, 64):
        payload = rng.bytes(length)
        group = container.Group(length, zlib.crc32(payload), groups[0].symbols_checksum)
        with pytest.raises(bitstream.BitstreamError, match="group 1"):
            bitstream.parse(artefact, _rewritten(short, [payload], groups=(group,)))


def test_another_codec_refuses_the_stream(artefact, pictures, vectors, short):
    changed = pictures | {"detail": jax.tree.map(lambda leaf: leaf + 1e-3, pictures["detail"])}
    others = [bitstream.make(PICTURES, changed, 100.0, 1.0), vectors]
    others.append(bitstream.make(PICTURES, pictures, 100.0, 0.0))
    assert len({one.fingerprint for one in (artefact, *others)}) == 4
    assert len(artefact.fingerprint) == 8
    for other in others:
        with pytest.raises(bitstream.BitstreamError, match="fingerprint"):
            bitstream.parse(other, short)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape": (17, 5)}, "not one of this codec's"),
        ({"shape": (17, 5, 1)}, "not one of this codec's"),
        ({"shape": (17, 0, 3)}, "is empty"),
        ({"shape": ()}, "is empty"),
        ({"shape": (2**20, 2**20, 3)}, "too large"),
        ({"shape": (2**48, 1)}, "not one of this codec's"),
        ({"shape": (4096, 4096, 3)}, "needs more than"),
        ({"shape": (33, 5, 3)}, "group 1"),
        ({"sample_bits": 7}, "bits per sample"),
        ({"levels": 1}, "level 2 of 1"),
        ({"levels": 3}, "fingerprint"),
        ({"fingerprint": b"abcd"}, "fingerprint"),
    ],
)
def test_hostile_headers_are_refused(artefact, short, changes, reason):
    with pytest.raises(bitstream.BitstreamError, match=reason):
        bitstream.parse(artefact, _rewritten(short, **changes))


def test_hostile_sizes_are_refused_before_they_take_memory(artefact, short):
    tracemalloc.start()
    for shape in ((2**14, 2**14, 3), (2**18, 2**13, 3), (2**20, 2**20, 3)):
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


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((0, 4, 3), np.float32), "empty"),
        (np.zeros((4, 4), np.float32), "3 channels"),
        (np.zeros((4, 4, 1), np.float32), "3 channels"),
        (np.zeros((4, 4, 3), np.uint8), "floats, got uint8"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, np.nan, 0.5), r"nan at \(1, 2, 1\)"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, np.inf, 0.5), r"inf at \(1, 2, 1\)"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, 1.5, 0.5), r"in \[0, 1\], got 1.5"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, -1e-3, 0.5), r"in \[0, 1\], got -0.001"),
        (np.broadcast_to(np.float32(0), (2**17, 2**17, 3)), "too large"),
    ],
)
def test_unusable_pictures_are_refused(artefact, monkeypatch, x, reason):
    if reason == "too large":
        monkeypatch.setattr(bitstream, "MAX_POSITIONS", 63)
        x = x[:4, :4]
    with pytest.raises(ValueError, match=reason):
        bitstream.encode(artefact, x)


def test_unusable_vectors_are_refused(vectors):
    with pytest.raises(ValueError, match=r"finite, got nan at \(1, 0\)"):
        bitstream.encode(vectors, np.array([[0.0] * 6, [np.nan] + [0.0] * 5]))
    with pytest.raises(ValueError, match="not finite or beyond"):
        bitstream.encode(vectors, np.full((2, 6), 1e12, np.float32))


def test_values_far_outside_the_tables_come_back(vectors):
    x = np.float32([[1e5, -3e4, 0, 2e6, 1, -2e4], [0.1] * 6, [-1e6] * 6])
    parsed = bitstream.parse(vectors, bitstream.encode(vectors, x))
    analysed = bitstream.analyse(vectors, x)
    assert np.abs(analysed.symbols).max() > 10_000
    np.testing.assert_array_equal(parsed.symbols, analysed.symbols)


@pytest.mark.parametrize("level", [0, 3, -1, 1.5])
def test_levels_that_do_not_exist_are_refused(artefact, short, level):
    with pytest.raises(ValueError, match="level must be in 1…2"):
        bitstream.encode(artefact, _picture(5, 5), level)
    with pytest.raises(ValueError, match="level must be in 1…2"):
        bitstream.decode(artefact, short, level=level)


def test_members_that_do_not_exist_are_refused(artefact, short):
    for wrong in ({"members": -1}, {"first": -1}):
        with pytest.raises(ValueError, match="must not be negative"):
            bitstream.decode(artefact, short, **wrong)


def test_codecs_with_broken_parameters_are_refused(pictures):
    broken = pictures | {"prior": jax.tree.map(lambda leaf: leaf * np.nan, pictures["prior"])}
    with pytest.raises(ValueError, match="prior.*not finite"):
        bitstream.make(PICTURES, broken, 100.0, 0.0)


def test_members_differ_and_do_not_depend_on_how_many_are_asked_for(artefact, monkeypatch):
    parsed = bitstream.analyse(artefact, _picture(17, 5))
    drawn = {}
    draw = addresses.uniforms

    def recorded(key, member, shape):
        uniforms = draw(key, member, shape)
        np.testing.assert_array_equal(drawn.setdefault((key, member), uniforms), uniforms)
        return uniforms

    monkeypatch.setattr(addresses, "uniforms", recorded)
    five = bitstream.render(artefact, parsed, members=5)
    assert len(drawn) == 5
    for a in range(5):
        for b in range(a):
            assert np.mean(np.abs(five[a] - five[b])) > 1e-3
    for members, first in ((1, 3), (2, 1), (3, 2)):
        some = bitstream.render(artefact, parsed, members=members, first=first)
        np.testing.assert_allclose(some, five[first : first + members], atol=1e-6)
    assert len(drawn) == 5  # the same addresses, and `recorded` compared what they gave


def test_detail_belongs_to_the_symbols_that_are_rendered(artefact):
    parsed = bitstream.analyse(artefact, _picture(17, 5))
    used = []
    for one, level in ((parsed, 1), (parsed, 2), (dataclasses.replace(parsed, level=1), None)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(addresses, "uniforms", lambda key, j, shape: used.append(key) or 1 / 0)
            with pytest.raises(ZeroDivisionError):
                bitstream.render(artefact, one, level=level)
    assert used[0] == used[2] != used[1]
    ordered = b"".join(struct.pack("<i", v) for v in parsed.symbols.ravel().tolist())
    assert used[1] == zlib.crc32(ordered)


def test_without_a_perception_weight_all_members_are_the_reconstruction(pictures):
    plain = bitstream.make(PICTURES, pictures, 100.0, 0.0)
    amplitudes = plain.params["detail"]["amplitude"]
    assert np.any(amplitudes)
    parsed = bitstream.analyse(plain, _picture(17, 5))
    synset = bitstream.render(plain, parsed, members=2)
    np.testing.assert_allclose(synset[0], synset[1], atol=1e-6)
    one = bitstream.render(plain, parsed, members=0)
    np.testing.assert_allclose(synset[:1], one, atol=1e-5)


def _philox(counter, key):
    """Philox-4×64-10 in plain integers, from the paper's definition."""
    mask = 2**64 - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        low, high = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = high >> 64 ^ b ^ k0, high & mask, low >> 64 ^ d ^ k1, low & mask
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return a, b, c, d


def test_uniforms_are_those_of_philox():
    # The published known answer for a counter and key of zero.
    assert _philox((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )
    key, member = 0xDEADBEEF, 3
    raw = [v for block in (1, 2, 3) for v in _philox((block, 0, 0, 0), (key, member))]
    expected = np.array([((v >> 41) + 0.5) / 2**23 for v in raw])
    uniforms = addresses.uniforms(key, member, (2, 6))
    assert uniforms.dtype == np.float32
    np.testing.assert_array_equal(uniforms.ravel(), expected)


def test_one_compilation_serves_all_trials_and_all_sizes_of_a_bucket(artefact, pictures):
    other = bitstream.make(PICTURES, pictures, 100.0, 0.0)

    def everything(one, x):
        parsed = bitstream.parse(one, bitstream.encode(one, x))
        bitstream.estimated_bits(one, parsed)
        for level in (1, 2):
            bitstream.render(one, parsed, members=0, level=level)
            for members in (1, 2, 3):
                bitstream.render(one, parsed, members=members, level=level)

    functions = ("_quantise", "_indices", "_group_bits", "_render")
    everything(artefact, _picture(60, 60))
    before = [getattr(bitstream, name)._cache_size() for name in functions]
    for one, size in ((other, (60, 60)), (artefact, (1, 128)), (other, (77, 3))):
        everything(one, _picture(*size))
    assert [getattr(bitstream, name)._cache_size() for name in functions] == before
