"""Sounds as overlapping frames: an orthonormal transform of waveforms of whole frames.

The local cosine bases of Malvar ("Lapped transforms for efficient transform/subband coding", 1990)
and of Coifman and Meyer (1991), which audio coding knows as the MDCT: at every border between two
frames the samples on both sides, half a frame each, are rotated into one another by a sine window,
and each frame is then transformed by a DCT-IV. At the two ends of the waveform nothing is rotated,
so that the transform is orthonormal on a finite signal too: squared errors of coefficients are
those of samples.
"""

import functools

import jax.numpy as jnp
import numpy as np


@functools.cache
def _cosines(size):
    """The DCT-IV, symmetric and orthonormal: [size, size]."""
    half = np.arange(size) + 0.5
    return (np.sqrt(2 / size) * np.cos(np.pi / size * np.outer(half, half))).astype(np.float32)


@functools.cache
def _window(size):
    """Rising and falling halves of the window at the size // 2 samples behind a border."""
    angle = np.pi / 4 + np.pi / (4 * size) * (2 * np.arange(size // 2) + 1)
    return np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def _rotated(frames, sign):
    """Rotates the samples around every border between frames [..., F, size]."""
    if frames.shape[-2] == 1:
        return frames
    size = frames.shape[-1]
    half = size // 2
    rising, falling = (w.reshape((1,) * (frames.ndim - 1) + w.shape) for w in _window(size))
    left = frames[..., :-1, half:][..., ::-1]  # before a border, nearest first
    right = frames[..., 1:, :half]
    # A DCT-IV continues evenly to the left of a frame and oddly to the right of it.
    before = rising * left - sign * falling * right
    after = rising * right + sign * falling * left
    first, last = frames[..., :1, :half], frames[..., -1:, half:]
    lower = jnp.concatenate([first, after], -2)
    upper = jnp.concatenate([before[..., ::-1], last], -2)
    return jnp.concatenate([lower, upper], -1)


def forward(x, size):
    """Coefficients of a waveform.

    Args:
      x: [..., T, 1], T a multiple of size.
      size: samples per frame, even.

    Returns:
      [..., T / size, size], low frequencies first.
    """
    frames = x.reshape(*x.shape[:-2], -1, size)
    return _rotated(frames, 1.0) @ _cosines(size)


def inverse(coefficients):
    """The waveform [..., F·size, 1] of coefficients [..., F, size]; the inverse of `forward`."""
    frames = _rotated(coefficients @ _cosines(coefficients.shape[-1]), -1.0)
    return frames.reshape(*frames.shape[:-2], -1, 1)
