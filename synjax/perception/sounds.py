"""Samples of sounds: frames as the codec sees them, at a shift of their own, and log-spectra."""

import jax
import jax.numpy as jnp
import numpy as np

from synjax import lapped

FLOOR = 1e-5  # of a power, −50 dB of full scale: below it nobody hears a difference


def shifted_frames(x, size, shift):
    """Lapped frames of a grid that starts at `shift`: [N, T, 1] → [N, P, size].

    The first and the last frame, which overlap with nothing at their outer ends, are left out.

    Args:
      x: waveforms.
      size: samples per frame.
      shift: integer in [0, size), may be traced.
    """
    count = (x.shape[1] - size + 1) // size * size
    x = jax.lax.dynamic_slice_in_dim(x, shift, count, axis=1)
    return lapped.forward(x, size)[:, 1:-1]


def log_spectra(x, size):
    """Logarithms of power spectra: [N, T, 1] → [N, P, size / 2 + 1].

    Of Hann-windowed frames that overlap by half; a sine of amplitude 1 has a power of about 1/4 in
    its bins, and `FLOOR` is added to all powers.

    Args:
      x: waveforms, T at least size.
      size: samples per frame, even.
    """
    half = size // 2
    count = x.shape[1] // half
    halves = x[:, : count * half, 0].reshape(len(x), count, half)
    frames = jnp.concatenate([halves[:, :-1], halves[:, 1:]], -1)
    window = np.hanning(size + 1)[:-1].astype(np.float32) * np.float32(2 / size)
    spectra = jnp.fft.rfft(frames * window.reshape(1, 1, -1))
    return jnp.log(jnp.real(spectra) ** 2 + jnp.imag(spectra) ** 2 + FLOOR)
