"""Measures of sounds: what is equal scores best, and what sounds alike scores better."""

import numpy as np
import pytest
import small_codec
from PIL import Image
from scipy import ndimage

from synjax.evaluation import hearing
from synjax.reporting import spectrogram


def _sounds():
    return [small_codec.steady_sound(6000, seed) for seed in range(20)]


def _pairs(change):
    return [
        (x, np.stack([change(x, 2 * j), change(x, 2 * j + 1)])) for j, x in enumerate(_sounds())
    ]


def _noisy(amount):
    def change(x, seed):
        return x + amount * np.random.default_rng(seed).standard_normal(x.shape).astype(np.float32)

    return change


def _muffled(x, seed):
    del seed
    return ndimage.gaussian_filter1d(x, 3, axis=0)


def _another(x, seed):
    return small_codec.steady_sound(len(x), 1000 + seed)


def test_the_ratio_of_signal_to_noise_is_in_decibels():
    x = small_codec.steady_sound(4000)
    members = np.stack([x + 0.1 * np.std(x), x - 0.1 * np.std(x)])
    power = np.mean(x**2) / np.var(x)
    assert hearing.snr(x, members) == pytest.approx(20 + 10 * np.log10(power), abs=1e-3)
    assert hearing.snr(x, x[None]) > 90


def test_the_log_spectral_distance_is_zero_of_the_same_and_a_gain_in_decibels():
    x = np.random.default_rng(0).standard_normal((5000, 1))
    assert hearing.log_spectral_distance(x, x[None]) == 0
    halved = hearing.log_spectral_distance(x, x[None] / 2)
    assert halved == pytest.approx(20 * np.log10(2), rel=0.02)


def test_a_full_scale_sine_has_zero_decibels():
    time = np.arange(8000)
    spectra = hearing.log_spectra(np.sin(2 * np.pi * 16 / 256 * time))
    assert spectra.shape == (62, 129)
    assert np.argmax(spectra[10]) == 16 and abs(spectra[10].max()) < 0.1


def test_very_short_sounds_have_one_frame():
    assert hearing.log_spectra(np.zeros(3)).shape == (1, 129)


def test_sounds_of_the_same_distribution_score_their_floor():
    found = hearing.divergences(_pairs(_another))
    for value, floor, error in found.values():
        assert abs(value - floor) < 4 * error


@pytest.mark.parametrize("name", ["sliced_wasserstein", "energy_distance"])
def test_what_lacks_its_high_frequencies_is_far_and_what_has_more_noise_farther(name):
    same = hearing.divergences(_pairs(_another))[name]
    little, much = (hearing.divergences(_pairs(_noisy(a)))[name] for a in (0.003, 0.03))
    muffled = hearing.divergences(_pairs(_muffled))[name]
    assert same[0] < little[0] < much[0]
    assert muffled[0] - muffled[1] > 10 * muffled[2]


def test_too_few_frames_are_left_out():
    assert hearing.divergences([(np.zeros((100, 1)), np.zeros((1, 100, 1)))] * 2) == {}


def test_a_sheet_shows_source_members_and_where_they_differ(tmp_path):
    x = small_codec.steady_sound(4000)
    paths = spectrogram.sheet(x, np.stack([x, _noisy(0.1)(x, 1)]), 8000, tmp_path / "s", "λ $ 1")
    assert [path.suffix for path in paths] == [".png", ".svg"]
    with Image.open(paths[0]) as image:
        assert image.size == (1350, 1080)
        assert len(np.unique(np.asarray(image.convert("L")))) > 100
    assert "member 2" in paths[1].read_text()


def test_a_sheet_of_one_short_member_can_be_drawn(tmp_path):
    spectrogram.sheet(np.zeros((5, 1)), np.zeros((1, 5, 1)), 8000, tmp_path / "s", "")
    assert spectrogram.picture(np.ones((50, 1))).shape[-1] == 3


@pytest.mark.parametrize(
    ("source", "members", "message"),
    [
        (np.zeros(5), np.zeros((1, 5)), "source .T, 1. and members"),
        (np.zeros((5, 1)), np.zeros((2, 6, 1)), "source .T, 1. and members"),
        (np.full((5, 1), np.nan), np.zeros((1, 5, 1)), "finite sounds"),
    ],
)
def test_what_is_no_sound_is_refused(tmp_path, source, members, message):
    with pytest.raises(ValueError, match=message):
        spectrogram.sheet(source, members, 8000, tmp_path / "s", "")
