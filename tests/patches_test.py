"""Patches are where they should be, and directions in their bands."""

import numpy as np
import pytest
from scipy import fft

from synjax.evaluation import deviates, patches


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("dims", [1, 3, 100])
def test_vector_directions_are_unit_and_orthogonal_in_groups(dims):
    directions = deviates.directions(dims, seed=0, stream=0)
    assert directions.shape == (64, dims)
    group = directions[: min(dims, 64)]
    np.testing.assert_allclose(group @ group.T, np.eye(len(group)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), np.ones(64))


def test_each_third_of_the_directions_lies_in_one_band_of_frequencies():
    directions = patches.band_directions(1, seed=0)
    spectra = fft.dctn(directions.reshape(-1, 8, 8), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(np.sum(spectra**2, axis=(1, 2)), np.ones(192), rtol=1e-5)
    frequency = np.add.outer(np.arange(8), np.arange(8))
    for band, (lowest, highest) in enumerate([(1, 3), (4, 7), (8, 14)]):
        inside = (lowest <= frequency) & (frequency <= highest)
        assert np.max(np.abs(spectra[64 * band : 64 * (band + 1), ~inside])) < 1e-6


def test_positions_are_disjoint_inside_and_repeatable():
    a, b = patches.disjoint_positions(200, 150, seed=0)
    corners = set(zip(*a, strict=True)) | set(zip(*b, strict=True))
    assert len(corners) == 2 * 4096
    rows, columns = np.array(sorted(corners)).T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 192, 0, 142)
    assert len(set(rows % 8)) == len(set(columns % 8)) == 8
    again, _ = patches.disjoint_positions(200, 150, seed=0)
    other, _ = patches.disjoint_positions(200, 150, seed=1)
    np.testing.assert_array_equal(a, again)
    assert np.any(np.array(a) != np.array(other))


def test_patches_are_cut_at_their_corners_and_lose_their_mean():
    image = _normal(20, 30, 2)
    (patch,) = patches.cut(image, (np.array([5]), np.array([17])))
    expected = np.moveaxis(image[5:13, 17:25], -1, 0)
    expected = expected - expected.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(patch.reshape(2, 8, 8), expected)
