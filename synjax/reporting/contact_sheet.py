"""A sheet of one photograph and its synset: source, members, and where the members differ.

Or of several vectors that can be shown as small grey pictures, such as digits.
"""

import math

import matplotlib.figure
import matplotlib.patches
import numpy as np
from PIL import Image

from synjax.reporting import plots

# Pixels, except the count of columns.
_SHEET_WIDTH = 1600
_TALLEST = 1200
_NARROWEST = 192
_GAP = 8
_LABEL = 18
_TITLE = 26
_DETAIL = 96
_COLUMNS = 6


def contact_sheet(source, members, path_stem, title):
    """Draws source, members and their standard deviation, and below each the same enlarged detail.

    The standard deviation over members is taken per pixel and averaged over channels; the value
    shown as white is printed above it. Pictures have their own size unless the sheet grew wider
    than 1600 pixels, small ones are enlarged by a whole factor, as is the detail, a square of about
    96 pixels at the centre.

    Args:
      source: [H, W, 3] in [0, 1].
      members: [M, H, W, 3] in [0, 1]; what lies outside is clipped in the picture only.
      path_stem: path of the files without their suffix.
      title: a line above the pictures.

    Returns:
      The paths of path_stem.png and path_stem.svg.

    Raises:
      ValueError: if the shapes do not match or a value is not finite.
    """
    source, members = np.asarray(source, np.float64), np.asarray(members, np.float64)
    if source.ndim != 3 or source.shape[-1] != 3 or not source.size:
        raise ValueError(f"a contact sheet needs a source [H, W, 3], not {list(source.shape)}")
    if members.shape[1:] != source.shape or not len(members):
        wanted = ", ".join(map(str, source.shape))
        raise ValueError(f"a contact sheet needs members [M, {wanted}], not {list(members.shape)}")
    if not (np.isfinite(source).all() and np.isfinite(members).all()):
        raise ValueError("a contact sheet needs finite pictures; some values are NaN or infinite")
    tiles = {"source": source}
    for number, member in enumerate(members, start=1):
        tiles[f"member {number}, {_psnr(source, member):.1f} dB"] = member
    spread, label = _spread(members)
    tiles[label] = spread

    rows = -(-len(tiles) // _COLUMNS)
    columns = -(-len(tiles) // rows)
    shape = _tile_shape(source.shape[:2], (_SHEET_WIDTH - _GAP) // columns - _GAP)
    detail = _Detail(source.shape[:2], shape)
    step = _LABEL + shape[0] + (_LABEL + detail.extent if detail.enlarges else 0) + _GAP
    sheet = _Sheet(columns * (shape[1] + _GAP) + _GAP, _TITLE + rows * step + _GAP, title)
    with plots.style():
        for place, (label, picture) in enumerate(tiles.items()):
            left = _GAP + place % columns * (shape[1] + _GAP)
            top = _TITLE + place // columns * step + _LABEL
            axes = sheet.picture(_resize(picture, shape), left, top, label)
            if detail.enlarges:
                label = f"detail, {detail.factor} times" if place % columns == 0 else ""
                below = top + shape[0] + _LABEL
                sheet.picture(detail.cut(picture), left, below, label)
                if place == 0:
                    detail.mark(axes)
        return plots.save(sheet.figure, path_stem)


def vector_sheet(sources, members, path_stem, title):
    """Draws a row of sources, a row for each of their members, and one of the members' spread.

    Pictures are enlarged by a whole factor; the spread is that of `contact_sheet`.

    Args:
      sources: [K, H, W] in [0, 1].
      members: [M, K, H, W] in [0, 1]; what lies outside is clipped in the picture only.
      path_stem: path of the files without their suffix.
      title: a line above the pictures.

    Returns:
      The paths of path_stem.png and path_stem.svg.

    Raises:
      ValueError: if the shapes do not match or a value is not finite.
    """
    sources, members = np.asarray(sources, np.float64), np.asarray(members, np.float64)
    if sources.ndim != 3 or not sources.size:
        raise ValueError(f"a vector sheet needs sources [K, H, W], not {list(sources.shape)}")
    if members.shape[1:] != sources.shape or not len(members):
        wanted = ", ".join(map(str, sources.shape))
        raise ValueError(f"a vector sheet needs members [M, {wanted}], not {list(members.shape)}")
    if not (np.isfinite(sources).all() and np.isfinite(members).all()):
        raise ValueError("a vector sheet needs finite pictures; some values are NaN or infinite")
    rows = {"source": sources}
    for number, member in enumerate(members, start=1):
        rows[f"member {number}, {_psnr(sources, member):.1f} dB"] = member
    spread, label = _spread(members[..., None])
    rows[label] = spread
    shape = _tile_shape(sources.shape[1:], (_SHEET_WIDTH - _GAP) // len(sources) - _GAP)
    step = _LABEL + shape[0] + _GAP
    width = max(len(sources) * (shape[1] + _GAP) + _GAP, _NARROWEST)
    sheet = _Sheet(width, _TITLE + len(rows) * step + _GAP, title)
    with plots.style():
        for row, (label, pictures) in enumerate(rows.items()):
            for column, picture in enumerate(pictures):
                left, top = _GAP + column * (shape[1] + _GAP), _TITLE + row * step + _LABEL
                sheet.picture(_resize(picture, shape), left, top, "" if column else label)
        return plots.save(sheet.figure, path_stem)


def picture_grid(pictures, labels, path_stem, title):
    """Draws pictures of any sizes, each as large as fits into a square of a sixth of the width.

    Args:
      pictures: list of [H, W, 3] in [0, 1].
      labels: what stands above each.
      path_stem: path of the files without their suffix.
      title: a line above the pictures.

    Returns:
      The paths of path_stem.png and path_stem.svg.
    """
    side = (_SHEET_WIDTH - _GAP) // _COLUMNS - _GAP
    rows, step = -(-len(pictures) // _COLUMNS), side + _LABEL + _GAP
    sheet = _Sheet(_SHEET_WIDTH, _TITLE + rows * step + _GAP, title)
    with plots.style():
        for place, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            height, width = picture.shape[:2]
            row, column = divmod(place, _COLUMNS)
            left, top = _GAP + column * (side + _GAP), _TITLE + row * step + _LABEL
            shape = _tile_shape((height, width), side * width // max(height, width))
            most = side // 7  # characters that fit above a picture
            label = label if len(label) <= most else f"…{label[1 - most :]}"
            sheet.picture(_resize(picture, shape), left, top, label)
        return plots.save(sheet.figure, path_stem)


class _Sheet:
    """A figure addressed in pixels from its upper left corner."""

    def __init__(self, width, height, title):
        self.figure = matplotlib.figure.Figure(figsize=(width / 100, height / 100), dpi=100)
        self._width, self._height = width, height
        self._text(title, _GAP, _TITLE - 8, 9)

    def picture(self, pixels, left, top, label):
        """Draws pixels ([h, w, 3] or grey [h, w], in [0, 1]) one to one, a label above them."""
        height, width = pixels.shape[:2]
        box = (left, self._height - top - height, width, height)
        scale = (self._width, self._height) * 2
        axes = self.figure.add_axes([side / whole for side, whole in zip(box, scale, strict=True)])
        axes.set_axis_off()
        # As colours: a grey colour map is off by one here and there.
        colours = np.broadcast_to(np.atleast_3d(_to_bytes(pixels)), (height, width, 3))
        axes.imshow(colours, interpolation="none")
        self._text(label, left, top - 5, 7.5)
        return axes

    def _text(self, text, left, base, size):
        # parse_math: names and titles may hold a dollar sign.
        x, y = left / self._width, 1 - base / self._height
        self.figure.text(x, y, text, fontsize=size, va="baseline", parse_math=False)


class _Detail:
    """The square that is cut from the centre of every picture and enlarged by a whole factor."""

    def __init__(self, picture_shape, tile_shape):
        self.factor = max(1, round(tile_shape[1] / _DETAIL))
        self._side = min(tile_shape[1] // self.factor, *picture_shape)
        self.extent = self._side * self.factor
        self._corner = [(length - self._side) // 2 for length in picture_shape]
        self._tile_scale = tile_shape[1] / picture_shape[1]
        self.enlarges = self.factor > self._tile_scale

    def cut(self, picture):
        y, x = self._corner
        crop = picture[y : y + self._side, x : x + self._side]
        return crop.repeat(self.factor, axis=0).repeat(self.factor, axis=1)

    def mark(self, axes):
        """Frames the detail's place in a picture drawn on these axes."""
        y, x = (corner * self._tile_scale - 0.5 for corner in self._corner)
        side = self._side * self._tile_scale
        for colour, width in (("black", 1.6), ("white", 0.7)):
            frame = matplotlib.patches.Rectangle(
                (x, y), side, side, fill=False, ec=colour, lw=width
            )
            axes.add_patch(frame)


def _tile_shape(shape, width):
    """Height and width that a picture takes where `width` pixels are free."""
    scale = min(width / shape[1], _TALLEST / shape[0])
    if scale >= 1:
        scale = min(math.ceil(_NARROWEST / shape[1]), math.floor(scale))
    return tuple(max(1, round(length * scale)) for length in shape)


def _resize(picture, shape):
    """Enlarges by a whole factor without blurring, or shrinks by averaging."""
    if shape[0] >= picture.shape[0]:
        factor = shape[0] // picture.shape[0]
        return picture.repeat(factor, axis=0).repeat(factor, axis=1)
    channels = np.atleast_3d(np.clip(picture, 0, 1)).astype(np.float32)
    shrunk = [
        Image.fromarray(channel).resize(shape[::-1], Image.Resampling.BOX)
        for channel in np.moveaxis(channels, -1, 0)
    ]
    return np.stack(shrunk, axis=-1).reshape(*shape, *picture.shape[2:])


def _spread(members):
    """Standard deviation over members relative to the value shown as white, and its label."""
    if len(members) == 1:
        return np.zeros(members.shape[1:-1]), "std. dev.: one member"
    # With M - 1 in the denominator its mean square is diversity / 2. Relative to the first member,
    # so that equal members give 0 and not the rounding error of their mean.
    spread = (members - members[0]).std(axis=0, ddof=1).mean(axis=-1)  # [H, W]
    white = np.quantile(spread, 0.995)  # a single outlier would leave the rest black
    if white == 0:
        white = spread.max()
    if white == 0:
        return spread, "std. dev.: 0 everywhere"
    return spread / white, f"std. dev., white ≥ {white:.2g}"


def _psnr(source, member):
    with np.errstate(divide="ignore"):
        return -10 * np.log10(np.mean((source - member) ** 2))


def _to_bytes(pixels):
    return np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
