"""Which photograph or sound a draw shows, which part of it, and in which colours."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import grain
import numpy as np
from PIL import Image

# A photograph of a few is drawn in proportion to its pixels, up to this many: the two largest would
# otherwise supply two thirds of all crops.
PIXEL_CAP = 250_000
# How many batches in a row draw from one picture of many, so that it is decoded once for them all.
REUSE = 8


class ByPixels:
    """Draws one photograph of a few in proportion to min(pixels, `PIXEL_CAP`)."""

    def __init__(self, images):
        """`images` are arrays [H, W, C]."""
        weights = [min(PIXEL_CAP, image.shape[0] * image.shape[1]) for image in images]
        self._cumulative = np.cumsum(weights) / np.sum(weights)

    def __call__(self, element, rng):
        """The place of the photograph."""
        del element
        return np.searchsorted(self._cumulative, rng.random(), side="right")


class InEpochs:
    """Goes through many pictures in random orders, each for `REUSE` batches in a row.

    No batch holds a picture twice, but where there are fewer than its rows; and in every step about
    one row of `REUSE` goes on to its next picture, so that decoding is spread evenly.
    """

    def __init__(self, count, batch, seed):
        """Of `count` pictures, for batches of `batch` rows."""
        self._count, self._batch, self._seed = count, batch, seed

    def __call__(self, element, rng):
        """The place of the picture in row element % batch of step element // batch."""
        del rng
        step, row = divmod(element, self._batch)
        phase = row * REUSE // self._batch
        return _shuffled(self._count, self._seed, (step + phase) // REUSE * self._batch + row)


@functools.lru_cache(2**14)  # every place is asked for in `REUSE` steps, and dear to find
def _shuffled(count, seed, place):
    return grain.MapDataset.range(count).shuffle(seed=seed).repeat()[place]


@dataclasses.dataclass(frozen=True)
class RandomCrop(grain.transforms.RandomMap):
    """Draw a photograph and a square of it, reduce the square to [crop, crop, 3], turn it.

    Attributes:
      images: a sequence of uint8 [H, W, 3].
      choose: choose(element, rng) is the place of a photograph in `images`.
      crop: side of what is drawn.
      scale_range: the least and the largest factor by which a square is reduced.
      recolour: strength of `recoloured`.
    """

    images: Sequence[np.ndarray]
    choose: Callable
    crop: int
    scale_range: tuple[float, float]
    recolour: float

    def random_map(self, element: int, rng: np.random.Generator) -> np.ndarray:
        """A crop, uint8 [crop, crop, 3], for the draw of this number."""
        image = self.images[self.choose(element, rng)]
        height, width = image.shape[:2]
        if self.crop > self.scale_range[1] * min(height, width):
            raise ValueError(
                f"crop {self.crop} does not fit a picture of {height}x{width} at scale "
                f"{self.scale_range[1]} or below"
            )
        # Whole source pixels, so that scale 1 is an exact copy and only real reduction filters.
        side = min(round(self.crop / rng.uniform(*self.scale_range)), height, width)
        top = rng.integers(height - side + 1)
        left = rng.integers(width - side + 1)
        square = image[top : top + side, left : left + side]
        if side != self.crop:
            resized = Image.fromarray(square).resize((self.crop,) * 2, Image.Resampling.HAMMING)
            square = np.asarray(resized)
        down, right, transpose = rng.integers(2, size=3)
        if self.recolour:  # before it is turned, as numpy is fast along memory
            square = recoloured(square, self.recolour, rng)
        square = square[:: 1 - 2 * down, :: 1 - 2 * right]
        return square.transpose(1, 0, 2) if transpose else square


@dataclasses.dataclass(frozen=True)
class RandomExcerpt(grain.transforms.RandomMap):
    """Draw a sound and so many samples of it; silence is added around one that is shorter.

    Attributes:
      sounds: a sequence of float32 [T, 1].
      choose: as of `RandomCrop`.
      crop: samples.
    """

    sounds: Sequence[np.ndarray]
    choose: Callable
    crop: int

    def random_map(self, element: int, rng: np.random.Generator) -> np.ndarray:
        """An excerpt, float32 [crop, 1], for the draw of this number."""
        sound = self.sounds[self.choose(element, rng)]
        spare = len(sound) - self.crop
        at = int(rng.integers(abs(spare) + 1))
        if spare >= 0:
            return sound[at : at + self.crop]
        return np.pad(sound, [(at, -spare - at), (0, 0)])


def recoloured(square: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """The same picture in other colours: hue, saturation and contrast changed at random.

    A handful of photographs holds a handful of colours; a prior trained on them pays for every
    other one. The hue turns by N(0, (0.7·strength)²) radians about the grey axis, saturation and
    contrast are multiplied by log-normal factors of 0.25 and 0.15 times `strength`.

    Args:
      square: uint8 [H, W, 3].
      strength: positive.
      rng: source of the three draws.

    Returns:
      uint8 [H, W, 3], clipped.
    """
    angle, saturation, contrast = strength * rng.normal(size=3) * (0.7, 0.25, 0.15)
    grey = np.full((3, 3), 1 / 3)
    x, y, z = np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * cross
    matrix = np.exp(contrast) * (grey + np.exp(saturation) * turn)
    mean = np.float32(square.mean())
    pixels = (square - mean).reshape(-1, 3) @ matrix.T.astype(np.float32)
    pixels += mean
    np.clip(np.round(pixels, out=pixels), 0, 255, out=pixels)
    return pixels.astype(np.uint8).reshape(square.shape)
