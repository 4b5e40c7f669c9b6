"""How signals of any size fill the few shapes that functions are compiled for."""

import dataclasses
import math

import numpy as np

BUCKET = 128  # samples of x along each axis that varies


def bucket(shape):
    """The shape [*S, C] with every axis but the last rounded up to a multiple of `BUCKET`."""
    return (*(-(-size // BUCKET) * BUCKET for size in shape[:-1]), shape[-1])


@dataclasses.dataclass(frozen=True)
class Padding:
    """Where one signal lies in its bucket, before and behind the analysis.

    A picture is a batch of one. Vectors are a batch without spatial axes, and what varies is their
    number. Signals and latents come without the batch axis, and leave with it.

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
        """Adds to x [*S, C] what fills its bucket, [B, *S, C]: its edges, repeated."""
        widths = [(0, to - size) for to, size in zip(bucket(x.shape), x.shape, strict=True)]
        return self._batch(np.pad(x, widths, mode="edge"))

    def latent(self, channels, value=0.0):
        """[*S', K] → float32 [B, *S', K], continued by `value`."""
        sizes = zip(self.bucket_sizes, self.latent_sizes, strict=True)
        widths = [*((0, to - size) for to, size in sizes), (0, 0)]
        channels = np.asarray(channels, np.float32)
        return self._batch(np.pad(channels, widths, constant_values=value))

    def mask(self):
        """[B, *S', 1]: ones where the signal is."""
        return self.latent(np.ones((*self.latent_sizes, 1)))

    def members(self, per_member, value):
        """[*S', K] of each member → float32 [B, M, *S', K], continued by `value`."""
        return np.stack([self.latent(channels, value) for channels in per_member], 1)

    def crop_latent(self, latent):
        """[B, *S', K] → [*S', K] of the signal alone."""
        latent = np.asarray(latent)
        latent = latent[0] if self.pictures else latent
        return latent[tuple(slice(size) for size in self.latent_sizes)]

    def crop_synset(self, synset):
        """[B, M, *S, C] → [M, *S, C] of the signal alone."""
        synset = np.asarray(synset)
        synset = synset[0] if self.pictures else synset.swapaxes(0, 1)
        return synset[(slice(None), *(slice(size) for size in self.shape[:-1]))]

    def _batch(self, x):
        return x[None] if self.pictures else x
