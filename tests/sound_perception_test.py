"""Distances between distributions of sounds."""

import jax
import numpy as np
import pytest
import small_codec

from synjax import lapped
from synjax.perception import build, sounds


def _batch(seed=0, count=8):
    return np.stack([small_codec.steady_sound(1024, 100 * seed + i) for i in range(count)])


def _module(name="sliced_wasserstein", **options):
    options = {"patch": 32} | options
    if name == "sliced_wasserstein":
        options = {"directions": 32} | options
    return build.build(name, kind="sound", axes=np.eye(32, dtype="f"), **options)


def _value(module, real, fake, seed=0):
    return float(module.penalty({}, real, fake[:, None], {}, jax.random.key(seed)))


@pytest.mark.parametrize("shift", [0, 7, 31])
def test_frames_are_those_of_the_codec_at_a_shift(shift):
    x = _batch()
    found = sounds.shifted_frames(x, 32, shift)
    whole = lapped.forward(x[:, shift : shift + 31 * 32], 32)
    assert found.shape == (8, 29, 32)
    np.testing.assert_allclose(found, whole[:, 1:-1], atol=1e-6)


def test_a_tone_is_a_peak_of_its_log_spectrum():
    time = np.arange(2048)
    tone = np.sin(2 * np.pi * 8 / 64 * time).astype(np.float32)[None, :, None]
    spectra = np.asarray(sounds.log_spectra(tone, 64))
    assert spectra.shape == (1, 63, 33)
    assert (spectra.argmax(-1) == 8).all()
    np.testing.assert_allclose(np.exp(spectra.max()), 0.25, rtol=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"space": "frames", "axes_per_step": 16},
        {"space": "spectra", "scales": (1, 4)},
        {"name": "mmd", "space": "spectra", "samples": 128},
    ],
    ids=["frames", "spectra", "mmd"],
)
def test_sounds_of_another_loudness_are_further_away_than_others_of_the_same(options):
    module = _module(**options)
    real, alike = _batch(), _batch(1)
    assert _value(module, real, alike) < _value(module, real, 0.5 * alike)
    gradient = jax.grad(lambda y: module.penalty({}, real, y[:, None], {}, jax.random.key(0)))
    slope = np.asarray(gradient(0.5 * alike))
    assert np.isfinite(slope).all() and np.abs(slope).max() > 0


def test_a_gradient_exists_in_silence():
    module, real = _module(space="spectra"), _batch()
    gradient = jax.grad(lambda y: module.penalty({}, real, y[:, None], {}, jax.random.key(0)))
    assert np.isfinite(np.asarray(gradient(np.zeros_like(real)))).all()


@pytest.mark.parametrize("name", ["wgan_gp", "gan", "variational_kl"])
def test_there_is_no_critic_of_sounds(name):
    with pytest.raises(ValueError, match=f"perception '{name}' has no critic of sounds; there are"):
        build.build(name, kind="sound")


def test_a_crop_that_is_too_short_is_named():
    with pytest.raises(ValueError, match="crops of at least 512 samples, got 256"):
        _value(_module(space="spectra", scales=(1, 4)), _batch()[:, :256], _batch()[:, :256])
    with pytest.raises(ValueError, match="perception.space of a signal of kind 'sound'"):
        _module(space="patches")
