"""How signals of any size fill the few shapes that functions are compiled for."""

import dataclasses
import math

import numpy as np

BUCKET = 128  # samples of x along each axis that varies
SOUND_BUCKET = 4096  # a sound has one axis, along which samples are many


def unit(rank):
    """Samples to whose multiples an axis of signals with this many spatial axes is rounded up."""
    return SOUND_BUCKET if rank == 1 else BUCKET


def window(rank):
    """Side of the windows through which larger signals pass."""
    return (16 if rank == 1 else 8) * unit(rank)


def bucket(shape, rank=2):
    """The shape [*S, C] with every axis but the last rounded up to a bucket's."""
    return (*(_rounded_up(size, rank) for size in shape[:-1]), shape[-1])


def _rounded_up(size, rank):
    most = window(rank)
    coarse = 2 if most // 2 < size <= most else 1  # so that fewer shapes are compiled
    return -(-size // (coarse * unit(rank))) * coarse * unit(rank)


@dataclasses.dataclass(frozen=True)
class Padding:
    """Where one signal lies in its bucket, before and behind the analysis.

    Vectors have no spatial axes; what varies is their number.

    Attributes:
      shape: of x, [H, W, C], [T, 1] or [N, n].
      stride: samples of x per latent position along each axis that varies.
      rank: spatial axes of x.
    """

    shape: tuple[int, ...]
    stride: int
    rank: int

    @property
    def latent_sizes(self):
        """S', or (N,) of vectors."""
        return tuple(-(-size // self.stride) for size in self.shape[:-1])

    @property
    def bucket_sizes(self):
        """`latent_sizes` of the bucket."""
        return tuple(size // self.stride for size in bucket(self.shape, self.rank)[:-1])

    @property
    def positions(self):
        """Latent positions in the bucket."""
        return math.prod(self.bucket_sizes)

    def signal(self, x):
        """Adds to x [*S, C] what fills its bucket: its edges, repeated."""
        full = bucket(x.shape, self.rank)
        widths = [(0, to - size) for to, size in zip(full, x.shape, strict=True)]
        return np.pad(x, widths, mode="edge")

    def latent(self, channels, mode="constant"):
        """[*S', K] → [*bucket, K], continued by zeros, or with "edge" by its edges."""
        sizes = zip(self.bucket_sizes, self.latent_sizes, strict=True)
        return np.pad(channels, [*((0, to - size) for to, size in sizes), (0, 0)], mode=mode)
