"""How signals of any size fill the few shapes that functions are compiled for."""

import dataclasses
import math

import numpy as np

BUCKET = 128  # samples of x along each axis that varies
COARSE = 2 * BUCKET  # for sizes beyond half of `WINDOW`, so that fewer shapes are compiled
WINDOW = 8 * BUCKET  # side of the windows through which larger pictures pass


def bucket(shape):
    """The shape [*S, C] with every axis but the last rounded up to a bucket's."""
    return (*(_rounded_up(size) for size in shape[:-1]), shape[-1])


def _rounded_up(size):
    unit = COARSE if WINDOW // 2 < size <= WINDOW else BUCKET
    return -(-size // unit) * unit


@dataclasses.dataclass(frozen=True)
class Padding:
    """Where one signal lies in its bucket, before and behind the analysis.

    Vectors have no spatial axes; what varies is their number.

    Attributes:
      shape: of x, [H, W, C] or [N, n].
      stride: samples of x per latent position along each axis that varies.
      pictures: whether x is a picture.
    """

    shape: tuple[int, ...]
    stride: int
    pictures: bool

    @property
    def latent_sizes(self):
        """S' of a picture, (N,) of vectors."""
        return tuple(-(-size // self.stride) for size in self.shape[:-1])

    @property
    def bucket_sizes(self):
        """`latent_sizes` of the bucket."""
        return tuple(size // self.stride for size in bucket(self.shape)[:-1])

    @property
    def positions(self):
        """Latent positions in the bucket."""
        return math.prod(self.bucket_sizes)

    def signal(self, x):
        """Adds to x [*S, C] what fills its bucket: its edges, repeated."""
        widths = [(0, to - size) for to, size in zip(bucket(x.shape), x.shape, strict=True)]
        return np.pad(x, widths, mode="edge")

    def latent(self, channels, mode="constant"):
        """[*S', K] → [*bucket, K], continued by zeros, or with "edge" by its edges."""
        sizes = zip(self.bucket_sizes, self.latent_sizes, strict=True)
        return np.pad(channels, [*((0, to - size) for to, size in sizes), (0, 0)], mode=mode)
