"""The lapped transform is a rotation: nothing is lost, and errors keep their energy."""

import numpy as np
import pytest

from synjax import lapped


def _wave(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 1)).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("size", [2, 16, 64])
def test_the_inverse_gives_the_waveform_back(frames, size):
    x = _wave(3, frames * size)
    coefficients = lapped.forward(x, size)
    assert coefficients.shape == (3, frames, size)
    np.testing.assert_allclose(lapped.inverse(coefficients), x, atol=2e-6)


def test_it_is_orthonormal():
    identity = np.eye(40, dtype=np.float32)[..., None]
    matrix = np.asarray(lapped.forward(identity, 8)).reshape(40, 40)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(40), atol=1e-6)


def test_a_basis_function_is_smooth_across_its_borders():
    size, frames = 32, 5
    unit = np.zeros((frames, size), np.float32)
    unit[2, 3] = 1
    wave = np.asarray(lapped.inverse(unit))[:, 0]
    assert np.abs(np.diff(wave)).max() < 0.12  # a block's edge would be a jump of sqrt(2 / 32)
    begin, end = 2 * size - size // 2, 3 * size + size // 2
    assert np.abs(wave[begin : begin + 4]).max() > 1e-4  # it reaches half a frame further
    np.testing.assert_array_equal(np.r_[wave[:begin], wave[end:]], 0)


def test_a_tone_is_a_few_coefficients():
    size = 64
    time = np.arange(64 * size)
    tone = np.sin(2 * np.pi * 0.0713 * time).astype(np.float32)[:, None]
    energies = np.sort(np.asarray(lapped.forward(tone, size))[5:-5].ravel() ** 2)[::-1]
    kept = energies[: len(energies) // 16].sum() / energies.sum()
    blocks = tone.reshape(-1, size) @ lapped._cosines(size)
    without = np.sort(blocks[5:-5].ravel() ** 2)[::-1]
    assert kept > 0.97 > without[: len(without) // 16].sum() / without.sum()


def test_what_lies_two_frames_away_is_not_seen():
    x = _wave(6 * 16)
    changed = x.copy()
    changed[3 * 16 + 8] += 1
    difference = np.abs(lapped.forward(changed, 16) - lapped.forward(x, 16)).max(-1)
    assert np.flatnonzero(difference > 1e-6).tolist() == [3, 4]
