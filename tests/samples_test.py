"""Between the samples of a file and those of a codec."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synjax.codec import modulation, samples, synonymous

GRID = modulation.Grid((100.0,))
COLOR = synonymous.Codec(rank=2, channels=3, groups=(6,), grid=GRID)
GREY = synonymous.Codec(rank=2, channels=1, groups=(6,), grid=GRID)
VECTORS = synonymous.Codec(rank=0, channels=3, groups=(3,), grid=GRID)


@pytest.mark.parametrize("depth", [8, 16])
def test_every_integer_survives_the_way_to_a_codec_and_back(depth):
    dtype = {8: np.uint8, 16: np.uint16}[depth]
    x = np.arange(2**depth, dtype=dtype).reshape(16, -1, 1)
    assert samples.bits(x) == depth
    unit = samples.to_codec(GREY, x)
    assert unit.dtype == np.float32 and unit.min() == 0 and unit.max() == 1
    again = samples.of_depth(unit, depth)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, x)


@pytest.mark.parametrize("depth", [8, 16])
@given(value=st.floats(0, 1, width=32))
def test_integers_are_the_nearest(depth, value):
    top = 2**depth - 1
    assert abs(int(samples.of_depth(np.float32(value), depth)) - value * top) <= 0.5 + 1e-9


def test_floats_stay_what_they_are():
    x = np.random.default_rng(0).random((4, 5, 3))
    assert samples.bits(x) == 32
    np.testing.assert_array_equal(samples.to_codec(COLOR, x), x.astype(np.float32))
    np.testing.assert_array_equal(samples.of_depth(x, 32), x.astype(np.float32))


def test_grey_becomes_equal_channels_and_their_mean():
    x = np.random.default_rng(0).random((4, 5, 1), np.float32)
    as_color = samples.to_codec(COLOR, x)
    np.testing.assert_array_equal(as_color, np.concatenate([x, x, x], -1))
    synset = np.random.default_rng(1).random((2, 4, 5, 3), np.float32)
    back = samples.from_codec(x.shape, synset)
    assert back.shape == (2, 4, 5, 1)
    np.testing.assert_allclose(back[..., 0], (synset @ np.full(3, 1 / 3)), rtol=1e-6)
    assert samples.from_codec((4, 5, 3), synset) is synset


@pytest.mark.parametrize(
    ("codec", "x", "reason"),
    [
        (COLOR, np.zeros((4, 4, 2), np.uint8), "3 channels"),
        (COLOR, np.zeros((4, 4), np.uint8), "3 channels"),
        (GREY, np.zeros((4, 4, 3), np.uint8), "1 channels"),
        (VECTORS, np.zeros((4, 1), np.float32), "3 channels"),
        (VECTORS, np.zeros((4, 3), np.uint8), "floats, got uint8"),
        (COLOR, np.zeros((4, 4, 3), np.int32), "uint8, uint16 or floats, got int32"),
        (COLOR, np.zeros((4, 4, 3), bool), "uint8, uint16 or floats, got bool"),
        (COLOR, np.zeros((0, 4, 3), np.uint8), "empty"),
        (COLOR, np.full((4, 4, 1), 1.5), r"in \[0, 1\], got 1.5"),
        (VECTORS, np.full((4, 3), np.inf), "finite"),
    ],
)
def test_what_a_codec_does_not_take_is_refused(codec, x, reason):
    with pytest.raises(ValueError, match=reason):
        samples.to_codec(codec, x)


def test_vectors_may_be_larger_than_one():
    np.testing.assert_array_equal(samples.to_codec(VECTORS, np.full((2, 3), -7.0)), -7)


def test_depths_that_no_header_names_are_refused():
    with pytest.raises(ValueError, match="8, 16, 32.*got 12"):
        samples.of_depth(np.zeros(1), 12)
