"""A codec that is small, has every part that one can have, and was never trained."""

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


def picture(height, width, seed=0):
    """A smooth grey picture, float32 [height, width, 1]."""
    noise = np.random.default_rng(seed).standard_normal((height + 16, width + 16, 1))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))[8:-8, 8:-8]
    return np.clip(0.5 + 2 * smooth, 0, 1).astype(np.float32)


def artefact():
    """Initial parameters, disturbed so that every network has a say."""
    x = np.stack([picture(64, 64, seed) for seed in range(10, 16)])
    initial = CODEC.init(jax.random.key(0, impl="rbg"), x)
    rng = np.random.default_rng(0)
    disturbed = jax.tree.map(
        lambda leaf: leaf + 0.05 * rng.standard_normal(leaf.shape).astype(np.float32), initial
    )
    for part in ("analysis", "synthesis"):
        disturbed[part]["klt"] = initial[part]["klt"]
    return bitstream.make(CODEC, disturbed, 100.0, 1.0)
