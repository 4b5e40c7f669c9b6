"""A contact sheet shows a synset pixel by pixel, and where its members differ."""

import math

import numpy as np
import pytest
from PIL import Image

from synjax.reporting import contact_sheet


def _pictures(height, width, count, seed=0):
    generator = np.random.default_rng(seed)
    source = generator.integers(0, 256, (height, width, 3))
    members = generator.integers(0, 256, (count, height, width, 3))
    return source / 255, members / 255


def _holds(sheet, block):
    """Whether the sheet holds the block of pixels one to one."""
    height, width = block.shape[:2]
    corner = (sheet[: 1 - height or None, : 1 - width or None] == block[0, 0]).all(axis=-1)
    return any(
        np.array_equal(sheet[y : y + height, x : x + width], block)
        for y, x in zip(*np.nonzero(corner), strict=True)
    )


def _pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_contact_sheet_shows_pictures_pixel_by_pixel_and_their_detail(tmp_path):
    source, members = _pictures(200, 220, 2)
    paths = contact_sheet.contact_sheet(source, members, tmp_path / "d7.2_p0.1", "a $ title")
    assert [path.name for path in paths] == ["d7.2_p0.1.png", "d7.2_p0.1.svg"]
    sheet = _pixels(paths[0])
    for member in members:  # the source carries the frame of the detail
        assert _holds(sheet, np.round(member * 255).astype(np.uint8))
    for picture in (source, *members):
        crop = np.round(picture[45:155, 55:165] * 255).astype(np.uint8)
        assert _holds(sheet, crop.repeat(2, axis=0).repeat(2, axis=1))
    assert not _holds(sheet, np.round(members[0].T[..., :3] * 255).astype(np.uint8))


def test_small_pictures_are_enlarged_by_a_whole_factor(tmp_path):
    source, members = _pictures(16, 32, 3)
    sheet = _pixels(contact_sheet.contact_sheet(source, members, tmp_path / "s", "small")[0])
    for picture in (source, *members):
        pixels = np.round(picture * 255).astype(np.uint8)
        assert _holds(sheet, pixels.repeat(6, axis=0).repeat(6, axis=1))


@pytest.mark.parametrize("shape", [(300, 900), (900, 300), (64, 2000)])
@pytest.mark.parametrize("count", [1, 4, 11])
def test_a_contact_sheet_is_at_most_1600_pixels_wide(tmp_path, shape, count):
    source, members = _pictures(*shape, count)
    paths = contact_sheet.contact_sheet(source, members, tmp_path / "s", "wide")
    assert Image.open(paths[0]).width <= 1600


def test_the_spread_is_the_standard_deviation_with_its_scale_printed(tmp_path):
    source = np.full((100, 200, 3), 0.5)
    members = np.stack([source, source])
    members[0, :, 100:] += 0.1
    members[1, :, 100:] -= 0.1
    paths = contact_sheet.contact_sheet(source, members, tmp_path / "s", "halves")
    spread = np.zeros((100, 200, 3), np.uint8)
    spread[:, 100:] = 255
    assert _holds(_pixels(paths[0]), spread)
    # Two members 0.2 apart: their unbiased variance is 0.2 ** 2 / 2.
    assert f"white ≥ {0.2 / math.sqrt(2):.2g}" in paths[1].read_text()


@pytest.mark.filterwarnings("error")
def test_equal_members_and_a_single_one_have_a_black_spread(tmp_path):
    source, members = _pictures(40, 40, 1)
    for count, label in ((1, "one member"), (3, "0 everywhere")):
        paths = contact_sheet.contact_sheet(
            source, members.repeat(count, axis=0), tmp_path / "s", "equal"
        )
        assert label in paths[1].read_text()
        assert _holds(_pixels(paths[0]), np.zeros((200, 200, 3), np.uint8))


def test_contact_sheets_are_the_same_byte_for_byte(tmp_path):
    pictures = _pictures(150, 120, 2)
    first = contact_sheet.contact_sheet(*pictures, tmp_path / "a", "title")
    second = contact_sheet.contact_sheet(*pictures, tmp_path / "b", "title")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.parametrize(
    ("source", "members"),
    [
        (np.zeros((8, 8)), np.zeros((2, 8, 8))),
        (np.zeros((8, 8, 3)), np.zeros((8, 8, 3))),
        (np.zeros((8, 8, 3)), np.zeros((2, 8, 9, 3))),
        (np.zeros((8, 8, 3)), np.zeros((0, 8, 8, 3))),
        (np.zeros((8, 8, 3)), np.full((1, 8, 8, 3), np.nan)),
        (np.zeros((0, 8, 3)), np.zeros((1, 0, 8, 3))),
    ],
)
def test_pictures_that_do_not_fit_are_refused(tmp_path, source, members):
    with pytest.raises(ValueError, match="a contact sheet needs"):
        contact_sheet.contact_sheet(source, members, tmp_path / "s", "title")
    assert not list(tmp_path.iterdir())
