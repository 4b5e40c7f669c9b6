"""Codecs that are small and were never trained: one with every part there is, one of colour."""

import jax
import numpy as np
from scipy import ndimage

from synjax.codec import bitstream, modulation, synonymous

CODEC = synonymous.Codec(
    rank=2,
    channels=1,
    groups=(3, 5, 8),
    grid=modulation.Grid((100.0,), (0.0, 1.0)),
    analysis_width=8,
    synthesis_widths=(8, 8, 8),
    prior_width=8,
    detail_width=8,
    stride=8,
    hyper=2,
    context=True,
)
COLOUR = synonymous.Codec(
    rank=2,
    channels=3,
    groups=(6, 18),
    grid=modulation.Grid((100.0,), (0.0, 1.0)),
    analysis_width=8,
    synthesis_widths=(8, 8, 8),
    prior_width=8,
    stride=16,
)


def picture(height, width, seed=0):
    """A smooth grey picture, float32 [height, width, 1]."""
    return _smooth((height, width, 1), seed, 2)


def colour_picture(height, width, seed=0):
    """A smooth colour picture, float32 [height, width, 3]."""
    return _smooth((height, width, 3), seed, 3)


def _smooth(shape, seed, width):
    height, across, channels = shape
    noise = np.random.default_rng(seed).standard_normal((height + 16, across + 16, channels))
    smooth = ndimage.gaussian_filter(noise, (width, width, 0))[8:-8, 8:-8]
    return np.clip(0.5 + width * smooth, 0, 1).astype(np.float32)


def disturbed(codec, x, amount):
    """Initial parameters, disturbed so that every network has a say."""
    # This generator is compiled several times faster than the default one.
    initial = codec.init(jax.random.key(0, impl="rbg"), x)
    rng = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda leaf: leaf + amount * rng.standard_normal(leaf.shape).astype(np.float32), initial
    )
    for part in ("analysis", "synthesis"):
        moved[part]["klt"] = initial[part]["klt"]
    return moved


def artefact():
    """The artefact of `CODEC`."""
    x = np.stack([picture(64, 64, seed) for seed in range(10, 16)])
    return bitstream.make(CODEC, disturbed(CODEC, x, 0.05), 100.0, 1.0)


SOUND = synonymous.Codec(
    rank=1,
    channels=1,
    groups=(6, 18),
    grid=modulation.Grid((1000.0,), (0.0, 1.0)),
    analysis_width=16,
    synthesis_widths=(16, 0, 0),
    prior_width=16,
    detail_width=16,
    stride=32,
    context=True,
    sample_rate=8000,
)


def sound(count, seed=0):
    """A coloured noise with pauses, float32 [count, 1]."""
    loudness = np.random.default_rng(seed).standard_normal(count + 64)
    loudness = ndimage.gaussian_filter1d(loudness, 200)[32:-32]
    return steady_sound(count, seed) * np.clip(6 * loudness, 0, 1).astype(np.float32)[:, None]


def steady_sound(count, seed=0):
    """A coloured noise, float32 [count, 1]."""
    noise = np.random.default_rng(seed).standard_normal(count + 64)
    wave = ndimage.gaussian_filter1d(noise, 1.5)[32:-32]
    return np.clip(wave, -1, 1).astype(np.float32)[:, None]
