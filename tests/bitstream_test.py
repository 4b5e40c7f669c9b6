"""Streams of pictures: what comes back, at what cost, and whose detail it is."""

import dataclasses
import struct
import zlib

import jax
import known_symbols
import numpy as np
import pytest
import small_codec
from scipy import special

from synjax.codec import (
    addresses,
    bitstream,
    container,
    padding,
    prediction,
    rendering,
)

CODEC, _picture = small_codec.COLOUR, small_codec.colour_picture


def _disturbed(codec):
    x = np.stack([_picture(128, 128, seed) for seed in range(10, 16)])
    return small_codec.disturbed(codec, x, 0.02)


@pytest.fixture(scope="module")
def params():
    return _disturbed(CODEC)


@pytest.fixture(scope="module")
def artefact(params):
    return bitstream.make(CODEC, params, 100.0, 1.0)


PRIORS = {
    "factorised": {"groups": (24,)},
    "hyper": {"groups": (24,), "hyper": 4},
    "grouped": {"hyper": 4, "context": True},
    "checkerboard": {"context": True},
}


@pytest.fixture(scope="module", params=PRIORS)
def other_prior(request):
    codec = dataclasses.replace(CODEC, **PRIORS[request.param])
    return bitstream.make(codec, _disturbed(codec), 100.0, 1.0)


@pytest.mark.parametrize("size", [(17, 5), (130, 64)])
def test_streams_of_every_prior_come_back(other_prior, size):
    x = _picture(*size)
    codec = other_prior.codec
    analysed = bitstream.analyse(other_prior, x)
    assert np.any(analysed.hyper) == (codec.hyper > 0)
    for level in range(1, codec.levels + 1):
        stream = bitstream.encode(other_prior, x, level)
        parsed = bitstream.parse(other_prior, stream)
        sent = sum(codec.groups[:level])
        np.testing.assert_array_equal(parsed.symbols[..., :sent], analysed.symbols[..., :sent])
        np.testing.assert_array_equal(parsed.hyper, analysed.hyper)
        ideal = bitstream.estimated_bits(other_prior, parsed).sum()
        exact = 8 * (len(stream) - bitstream.header_size(stream))
        assert 0.99 * ideal <= exact <= 1.01 * ideal + 64 * level


def test_the_device_and_the_host_agree_on_rate_and_values(other_prior):
    """The real-valued chain that is trained, and the integers that code."""
    codec = other_prior.codec
    parsed = bitstream.analyse(other_prior, _picture(128, 128))
    hyper = parsed.hyper[None].astype(np.float32) if codec.hyper else None
    hard = parsed.symbols[None].astype(np.float32)
    symbols = known_symbols.symbols_of(codec, other_prior.params, hard, hyper)
    bits = codec.group_bits(symbols)
    host = bitstream.estimated_bits(other_prior, parsed)
    np.testing.assert_allclose(bits, host, rtol=2e-3)
    values = bitstream._given(other_prior, parsed, codec.levels).values
    completed = jax.jit(codec.complete)(other_prior.params, symbols, codec.levels)
    shared = completed["shared"][0, ..., :-1]
    np.testing.assert_allclose(values / 2**prediction.FRACTION, shared, atol=0.05)
    synset = bitstream.render(other_prior, parsed, members=2)
    assert np.mean(np.abs(synset[0] - synset[1])) > 1e-3


def test_context_sees_the_other_colour_and_never_its_own(params):
    codec = dataclasses.replace(CODEC, context=True)
    one = bitstream.make(codec, _disturbed(codec), 100.0, 1.0)
    parsed = bitstream.analyse(one, _picture(128, 128))
    before = bitstream._given(one, parsed, 2).scales
    colours = np.indices((8, 8)).sum(0) % 2
    for colour, name in ((0, "group_0_rest"), (1, "group_1")):
        symbols = parsed.symbols + 40 * (colours == colour)[..., None]
        after = bitstream._given(one, dataclasses.replace(parsed, symbols=symbols), 2).scales
        assert np.any(after[name] != before[name])
    symbols = parsed.symbols.copy()
    symbols[..., 6:] += 40 * (colours == 1)[..., None]
    after = bitstream._given(one, dataclasses.replace(parsed, symbols=symbols), 2).scales
    for name in ("group_0_rest", "group_1", "group_1_rest"):
        np.testing.assert_array_equal(after[name], before[name])


@pytest.fixture(scope="module")
def short(artefact):
    """A short stream of two groups."""
    return bitstream.encode(artefact, _picture(17, 5))


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
    # Far closer than the grey of a decoder that received nothing.
    assert np.mean((x_hat[0] - x) ** 2) < 0.3 * np.mean((0.5 - x) ** 2)


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 16), (np.float64, 32)])
def test_integers_are_coded_as_the_floats_they_stand_for(artefact, dtype, bits):
    top = np.iinfo(dtype).max if bits < 32 else 1
    x = (_picture(17, 5) * top).astype(dtype)
    of_floats = bitstream.analyse(artefact, (x / np.float64(top)).astype(np.float32))
    stream = bitstream.encode(artefact, x)
    np.testing.assert_array_equal(bitstream.parse(artefact, stream).symbols, of_floats.symbols)
    assert container.unpack(stream)[0].sample_bits == bits


def test_grey_is_coded_as_three_equal_channels_and_comes_back_as_one(artefact):
    x = _picture(17, 5)[..., :1]
    stream = bitstream.encode(artefact, x)
    parsed = bitstream.parse(artefact, stream)
    color = bitstream.analyse(artefact, np.concatenate([x, x, x], -1))
    np.testing.assert_array_equal(parsed.symbols, color.symbols)
    assert parsed.shape == container.unpack(stream)[0].shape == (17, 5, 1)
    for members in (0, 1, 3):
        grey = bitstream.decode(artefact, stream, members)
        assert grey.shape == (max(members, 1), 17, 5, 1)
        in_color = bitstream.render(artefact, color, members)
        np.testing.assert_allclose(grey, in_color.mean(-1, keepdims=True), atol=1e-6)


def test_several_table_indices_occur(artefact):
    """The round trips above would prove little if the tables of group 2 were all the same."""
    found = bitstream._given(artefact, bitstream.analyse(artefact, _picture(130, 64)), 2)
    assert len(np.unique(prediction.table_index(found.scales["group_1"]))) >= 5


def test_the_decoder_predicts_what_the_encoder_predicted(artefact):
    """Beside a picture's edge too, where the bucket goes on."""
    x = _picture(50, 50)
    found = bitstream._given(artefact, bitstream.analyse(artefact, x), 2)
    offset = rendering.analyse(artefact, x)["y"] - found.values / 2**prediction.FRACTION
    assert np.abs(offset).max() <= 0.5 + 1e-3


def test_buckets_are_multiples_of_128_and_coarser_up_to_a_window():
    assert padding.bucket((513, 1025, 3)) == (768, 1152, 3)
    assert padding.bucket((1, 128, 3)) == (128, 128, 3)
    assert padding.bucket((129, 512, 1)) == (256, 512, 1)
    assert padding.bucket((1000, 8)) == (1024, 8)


def test_exact_bits_are_close_to_the_ideal(artefact):
    x = _picture(128, 100)
    stream = bitstream.encode(artefact, x)
    parsed = bitstream.parse(artefact, stream)
    ideal = bitstream.estimated_bits(artefact, parsed)
    assert ideal.shape == (1, 2)
    header, _ = container.unpack(stream)
    for group, bits in zip(header.groups, ideal[0], strict=True):
        assert 0.99 * bits <= group.length * 8 <= 1.01 * bits + 64
    first = bitstream.estimated_bits(artefact, dataclasses.replace(parsed, level=1))
    np.testing.assert_allclose(first, [[ideal[0, 0], 0]])


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
    np.testing.assert_allclose(bitstream.estimated_bits(artefact, parsed)[0, 0], alone, rtol=1e-4)


def test_another_codec_refuses_the_stream(artefact, params, short):
    changed = params | {"prior": jax.tree.map(lambda leaf: leaf + 0.1, params["prior"])}
    other = bitstream.make(CODEC, changed, 100.0, 1.0)
    assert len(artefact.fingerprint) == 8 and other.fingerprint != artefact.fingerprint
    with pytest.raises(bitstream.BitstreamError, match="fingerprint"):
        bitstream.parse(other, short)


def test_another_decoder_of_the_same_prior_reads_the_stream(artefact, params, short):
    changed = params | {"detail": jax.tree.map(lambda leaf: leaf + 0.1, params["detail"])}
    other = bitstream.make(CODEC, changed, 100.0, 1.0)
    parsed = bitstream.parse(other, short)
    np.testing.assert_array_equal(parsed.symbols, bitstream.parse(artefact, short).symbols)
    assert np.any(bitstream.render(other, parsed) != bitstream.render(artefact, parsed))


def test_realism_leads_from_the_decoder_of_lambda_p_zero_to_its_own(params, short):
    # An encoder that λ_p does not touch, as stage perception leaves it.
    frozen = {
        part: jax.tree_util.tree_map_with_path(_without_lambda_p, params[part])
        for part in ("analysis", "prior", "detail")
    }
    own = bitstream.make(CODEC, params | frozen, 100.0, 1.0, has_realism=True)
    lowest = bitstream.make(CODEC, params | frozen, 100.0, 0.0)
    stream = bitstream.encode(own, _picture(17, 5))
    assert stream == bitstream.encode(lowest, _picture(17, 5))
    shares = (0.0, 0.25, 0.5, 1.0)
    synsets = [bitstream.decode(own, stream, members=2, realism=share) for share in shares]
    np.testing.assert_array_equal(synsets[0], bitstream.decode(lowest, stream, members=2))
    np.testing.assert_array_equal(synsets[0][0], synsets[0][1])
    apart = [np.abs(synset[0] - synset[1]).mean() for synset in synsets]
    assert apart == sorted(apart) and apart[1] > 0
    np.testing.assert_array_equal(synsets[-1], bitstream.decode(own, stream, members=2))


def _without_lambda_p(path, leaf):
    perceptual = CODEC.grid.perceptual
    by_lambda = leaf.ndim == 2 and len(leaf) == CODEC.grid.size and path[-1].key != "kernel"
    return leaf.at[-perceptual:].set(0.0) if by_lambda else leaf


@pytest.mark.parametrize("realism", [-0.1, 1.5, float("nan")])
def test_a_realism_that_the_decoder_does_not_have_is_refused(artefact, short, realism):
    with pytest.raises(ValueError, match="realism must be in"):
        bitstream.decode(artefact, short, realism=realism)
    with pytest.raises(ValueError, match="no control of realism"):
        bitstream.decode(artefact, short, realism=0.5)


@pytest.mark.parametrize("shape", [(17, 5), (17, 5, 2), (2**20, 2**20, 3), (4096, 4096, 3)])
def test_hostile_shapes_are_refused(artefact, short, shape):
    header, payloads = container.split(short)
    stream = container.pack(dataclasses.replace(header, shape=shape), payloads)
    with pytest.raises(bitstream.BitstreamError, match=f"shape .{str(shape)[1:-1]}."):
        bitstream.parse(artefact, stream)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((0, 4, 3), np.float32), "empty"),
        (np.zeros((4, 4), np.float32), "3 channels"),
        (np.zeros((4, 4, 2), np.float32), "3 channels"),
        (np.zeros((4, 4, 3), np.int32), "floats, got int32"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, np.nan, 0.5), r"nan at \(1, 2, 1\)"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, np.inf, 0.5), r"inf at \(1, 2, 1\)"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, 1.5, 0.5), r"in \[0, 1\], got 1.5"),
        (np.where(np.arange(48).reshape(4, 4, 3) == 19, -1e-3, 0.5), r"in \[0, 1\], got -0.001"),
        (np.broadcast_to(np.float32(0), (2**17, 2**17, 3)), "too large"),
    ],
)
def test_unusable_pictures_are_refused(artefact, monkeypatch, x, reason):
    if reason == "too large":
        monkeypatch.setattr(bitstream, "MAX_SYMBOLS", 64 * CODEC.latents - 1)
        x = x[:4, :4]
    with pytest.raises(ValueError, match=reason):
        bitstream.encode(artefact, x)


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


def test_codecs_with_broken_parameters_are_refused(params):
    broken = params | {"prior": jax.tree.map(lambda leaf: leaf * np.nan, params["prior"])}
    with pytest.raises(ValueError, match="prior.*not finite"):
        bitstream.make(CODEC, broken, 100.0, 0.0)


def test_members_differ_and_do_not_depend_on_how_many_are_asked_for(artefact, monkeypatch):
    parsed = bitstream.analyse(artefact, _picture(17, 5))
    drawn = {}
    draw = addresses.normals

    def recorded(key, member, first, count):
        normals = draw(key, member, first, count)
        of_member = drawn.setdefault((key, member), {})
        np.testing.assert_array_equal(of_member.setdefault(first, normals), normals)
        return normals

    monkeypatch.setattr(addresses, "normals", recorded)
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
            patch.setattr(addresses, "normals", lambda key, *_: used.append(key) or 1 / 0)
            with pytest.raises(ZeroDivisionError):
                bitstream.render(artefact, one, level=level)
    assert used[0] == used[2] != used[1]
    ordered = b"".join(struct.pack("<i", v) for v in parsed.symbols.ravel().tolist())
    assert used[1] == zlib.crc32(ordered)


def test_without_a_perception_weight_all_members_are_the_reconstruction(params):
    plain = bitstream.make(CODEC, params, 100.0, 0.0)
    amplitudes = plain.params["synthesis"]["amount"]["amplitude"]
    assert np.any(amplitudes)
    parsed = bitstream.analyse(plain, _picture(17, 5))
    synset = bitstream.render(plain, parsed, members=2)
    np.testing.assert_allclose(synset[0], synset[1], atol=1e-6)
    one = bitstream.render(plain, parsed, members=0)
    np.testing.assert_allclose(synset[:1], one, atol=1e-5)


def test_one_compilation_serves_all_trials_and_all_sizes_of_a_bucket(artefact, params):
    other = bitstream.make(CODEC, params, 100.0, 0.0)

    def everything(one, x):
        parsed = bitstream.parse(one, bitstream.encode(one, x))
        bitstream.estimated_bits(one, parsed)
        for level in (1, 2):
            bitstream.render(one, parsed, members=0, level=level)
            for members in (1, 2, 3):
                bitstream.render(one, parsed, members=members, level=level)

    functions = (rendering._analyse, rendering._render, bitstream._bits)
    everything(artefact, _picture(60, 60))
    before = [function._cache_size() for function in functions]
    for one, size in ((other, (60, 60)), (artefact, (1, 128)), (other, (77, 3))):
        everything(one, _picture(*size))
    assert [function._cache_size() for function in functions] == before


@pytest.mark.parametrize("size", [(400, 300), (90, 700)])
def test_large_pictures_in_windows_are_what_they_are_as_a_whole(artefact, monkeypatch, size):
    """The window is smaller here; its halo is the one that the networks need."""
    x = _picture(*size)
    y = rendering.analyse(artefact, x)["y"]
    parsed = bitstream.analyse(artefact, x)
    levels = (1, 2)
    whole = [bitstream.render(artefact, parsed, members=2, level=level) for level in levels]
    monkeypatch.setattr(padding, "window", lambda rank: 384)
    place = rendering.place(CODEC, x.shape)
    assert max(place.bucket_sizes) * 16 > padding.window(2) > 2 * rendering.halo(CODEC)
    np.testing.assert_allclose(rendering.analyse(artefact, x)["y"], y, atol=1e-3)
    for level, expected in zip(levels, whole, strict=True):
        found = bitstream.render(artefact, parsed, members=2, level=level)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("other_prior", ["grouped"], indirect=True)
def test_the_hyper_latent_of_a_large_picture_is_that_of_the_whole(other_prior, monkeypatch):
    x = _picture(700, 100)
    z = rendering.analyse(other_prior, x)["z"]
    monkeypatch.setattr(padding, "window", lambda rank: 512)
    found = rendering.analyse(other_prior, x)["z"]
    np.testing.assert_allclose(found, z, atol=1e-3)
    assert np.std(z) > 0.01


@pytest.mark.parametrize(("stride", "hyper"), [(64, 0), (64, 2), (128, 0)])
def test_strides_whose_windows_would_be_all_halo_are_refused(params, stride, hyper):
    codec = dataclasses.replace(CODEC, stride=stride, hyper=hyper)
    with pytest.raises(ValueError, match="codec.stride must be at most 32"):
        bitstream.make(codec, params, 100.0, 1.0)


def test_a_halo_that_is_too_small_would_be_seen(artefact, monkeypatch):
    """The test above can fail."""
    x = _picture(400, 300)
    y = rendering.analyse(artefact, x)["y"]
    monkeypatch.setattr(padding, "window", lambda rank: 128)
    monkeypatch.setattr(rendering, "halo", lambda codec: 0)
    assert np.abs(rendering.analyse(artefact, x)["y"] - y).max() > 1e-2


def test_members_of_a_codec_without_detail_are_its_one_reconstruction():
    codec = dataclasses.replace(CODEC, detail_width=0)
    x = small_codec.colour_picture(48, 32)
    params = codec.init(jax.random.key(0, impl="rbg"), small_codec.colour_picture(512, 512)[None])
    artefact = bitstream.make(codec, params, 100.0, 1.0)
    stream = bitstream.encode(artefact, x)
    one, two = (bitstream.decode(artefact, stream, members=members) for members in (0, 2))
    np.testing.assert_array_equal(two, np.concatenate([one, one]))
    assert np.mean((one - x) ** 2) < 0.01
