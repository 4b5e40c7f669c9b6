"""Sounds: waveforms of any length through the codec and its streams."""

import dataclasses

import jax
import numpy as np
import pytest
import small_codec

from synjax.codec import bitstream, integers, padding, rendering, samples, synonymous

CODEC = small_codec.SOUND


def _batch():
    return np.stack([small_codec.sound(2048, seed) for seed in range(10, 18)])


@pytest.fixture(scope="module")
def artefact():
    params = small_codec.disturbed(CODEC, _batch(), 0.02)
    return bitstream.make(CODEC, params, 1000.0, 1.0)


def test_before_training_it_is_a_transform_codec():
    codec = dataclasses.replace(CODEC, groups=(32,))
    params = codec.bind(codec.init(jax.random.key(0), _batch()), 1000.0, 0.0)
    x = small_codec.sound(1024)[None]
    symbols = codec.quantise(params, codec.analyse(params, x))
    found = codec.synthesise(params, codec.complete(params, symbols, 1))
    assert found.shape == (1, 1, 1024, 1)
    step = np.exp(params["features"] @ params["synthesis"]["log_step"]).mean()
    error = np.mean((np.asarray(found[0]) - x) ** 2)
    # All coefficients are coded and the transform is orthonormal: a uniform error at most.
    assert 0 < error < 1.1 * step**2 / 12


@pytest.mark.parametrize("count", [1, 31, 32, 1000, 5000])
def test_a_sound_of_any_length_comes_back(artefact, count):
    x = small_codec.sound(count)
    stream = bitstream.encode(artefact, x)
    parsed = bitstream.parse(artefact, stream)
    assert parsed.shape == (count, 1)
    np.testing.assert_array_equal(parsed.symbols, bitstream.analyse(artefact, x).symbols)
    synset = bitstream.render(artefact, parsed, members=3)
    assert synset.shape == (3, count, 1) and np.abs(synset).max() <= 1
    if count >= 1000:
        assert np.mean((synset[0] - synset[1]) ** 2) > 0
    again = bitstream.render(artefact, parsed, members=1, first=2)
    np.testing.assert_array_equal(again[0], synset[2])
    size = bitstream.header_size(stream)
    one = bitstream.decode(artefact, bitstream.encode(artefact, x, 1), members=1)
    assert one.shape == (1, count, 1) and size < len(stream)


def test_estimated_bits_are_those_of_the_stream(artefact):
    x = small_codec.sound(20000)
    stream = bitstream.encode(artefact, x)
    estimated = bitstream.estimated_bits(artefact, bitstream.parse(artefact, stream)).sum()
    exact = 8 * (len(stream) - bitstream.header_size(stream))
    assert abs(exact / estimated - 1) < 0.02


def test_long_sounds_in_windows_are_what_they_are_as_a_whole(artefact, monkeypatch):
    x = small_codec.sound(7000)
    parsed = bitstream.analyse(artefact, x)
    y = rendering.analyse(artefact, x)["y"]
    whole = [bitstream.render(artefact, parsed, members=2, level=level) for level in (1, 2)]
    monkeypatch.setattr(padding, "window", lambda rank: 2048)
    assert 2 * rendering.halo(CODEC) < 2048
    np.testing.assert_allclose(rendering.analyse(artefact, x)["y"], y, atol=1e-3)
    for level, expected in zip((1, 2), whole, strict=True):
        found = bitstream.render(artefact, parsed, members=2, level=level)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_networks_that_render_see_no_further_than_the_halo(artefact):
    x = small_codec.sound(4096)
    changed = x.copy()
    changed[2048] += 0.5 - x[2048]
    apart = [rendering.analyse(artefact, each)["y"] for each in (x, changed)]
    far = np.flatnonzero(np.abs(apart[0] - apart[1]).max(-1) > 1e-5)
    frames = rendering.halo(CODEC) // CODEC.stride
    assert len(far) and np.abs(far - 2048 // CODEC.stride).max() <= frames // 2


def test_an_integer_convolution_of_a_row_is_the_real_one():
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(3, 4, 5)), rng.normal(size=5)
    layer = integers.layer(kernel, bias)
    x = rng.normal(size=(9, 4))
    found = layer(np.rint(x * 2**integers.FRACTION).astype(np.int64)) / 2**integers.FRACTION
    padded = np.pad(x, [(1, 1), (0, 0)])
    expected = sum(padded[i : i + 9] @ kernel[i] for i in range(3)) + bias
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("depth", [16, 32])
def test_samples_come_back(depth):
    x = small_codec.sound(100)
    if depth == 16:
        x = samples.of_sound(x, 16)
        assert x.dtype == np.int16
    assert samples.bits(x) == depth
    np.testing.assert_array_equal(samples.of_sound(samples.to_codec(CODEC, x), depth), x)


def test_full_scale_stays_in_range():
    loud = np.array([[-1.0], [1.0]], np.float32)
    assert samples.of_sound(loud, 16).ravel().tolist() == [-32768, 32767]
    with pytest.raises(ValueError, match="16 or 32, got 8"):
        samples.of_sound(loud, 8)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 2), np.float32), r"x must be \[T, 1\] with 1 channels"),
        (np.zeros((4, 1), np.uint8), "int16 or floats, got uint8"),
        (np.full((4, 1), 1.5, np.float32), r"in \[-1, 1\], got 1.5"),
        (np.zeros((0, 1), np.float32), "must not be empty"),
    ],
)
def test_what_is_no_sound_is_refused(artefact, x, message):
    with pytest.raises(ValueError, match=message):
        bitstream.encode(artefact, x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": 0}, "codec.sample_rate, 0, is for sounds"),
        ({"channels": 2}, "one channel, not 2"),
        ({"hyper": 2}, "codec.hyper must not be negative and is for pictures"),
        ({"stride": 48}, "power of two from 8"),
        ({"rank": 3}, "codec.rank must be 0"),
    ],
)
def test_a_codec_of_sounds_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CODEC, **changes)


def test_sounds_of_another_rate_are_another_codec(artefact):
    other = dataclasses.replace(CODEC, sample_rate=16000)
    again = bitstream.make(other, artefact.params, 1000.0, 1.0)
    assert again.fingerprint != artefact.fingerprint


def test_an_artefact_of_sounds_is_saved_and_loaded(artefact, tmp_path):
    bitstream.save(artefact, tmp_path / "codec")
    loaded = bitstream.load(tmp_path / "codec")
    assert isinstance(loaded.codec, synonymous.Codec) and loaded.codec.sample_rate == 8000
    x = small_codec.sound(500)
    assert bitstream.encode(loaded, x) == bitstream.encode(artefact, x)
