"""Sounds: how far a decoded waveform is from its source, and decoded ones from sounds as such.

Spectra here are this package's own, of frames that no training uses.
"""

import numpy as np

from synjax.evaluation import deviates, pairs, sliced

FRAME = 256  # samples, that overlap by half: 32 ms of speech at 8 kHz
FEWEST = 16  # frames in each half of a test set, below which nothing is reported
_MOST = 4096  # frames of each half
_PAIRS = 2048  # of them for the energy distance
_BLOCKS = 8
_POWER_FLOOR = 1e-6  # −60 dB of full scale
_VARIANCE_FLOOR = 1e-3


def log_spectra(x):
    """Power in dB of full scale: waveforms [..., T] → [..., P, FRAME / 2 + 1].

    Of Hann-windowed frames, the last one filled up with silence; a full-scale sine has about 0 dB.
    """
    hop = FRAME // 2
    count = max(1, -(-x.shape[-1] // hop) - 1)
    missing = (count + 1) * hop - x.shape[-1]
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, max(missing, 0))])
    at = np.arange(count)[:, None] * hop + np.arange(FRAME)
    spectra = np.fft.rfft(x[..., at] * np.hanning(FRAME + 1)[:-1]) * (4 / FRAME)
    return 10 * np.log10(np.abs(spectra) ** 2 + _POWER_FLOOR)


def snr(x, members):
    """Signal-to-noise ratio in dB, mean over members.

    Args:
      x: [T, 1].
      members: [M, T, 1].
    """
    errors = ((members - x) ** 2).mean((1, 2))
    return float(np.mean(10 * np.log10((np.mean(x**2) + 1e-12) / (errors + 1e-12))))


def log_spectral_distance(x, members):
    """Root mean square over frequencies of the difference in dB, mean over frames and members.

    Gray and Markel, "Distance measures for speech processing" (1976); shapes as for `snr`.
    """
    apart = log_spectra(members[..., 0]) - log_spectra(x[:, 0])
    return float(np.sqrt((apart**2).mean(-1)).mean())


def divergences(sounds, seed=0):
    """Divergences between the log-spectra of sources and of their reconstructions.

    Sounds in even places give the sources, those in odd places the members, so that nothing is
    compared with its own source; the floor compares sources with sources. Each half gives at most
    4096 frames, evenly spaced. The standard error is the sample deviation over 8 interleaved
    blocks, divided by √8.

    - `sliced_wasserstein`, dimensionless: along 64 random unit directions, the squared
      2-Wasserstein distance over the variance of the sources' projections.
    - `energy_distance`, dB: 2 E|X − Y| − E|X − X'| − E|Y − Y'| of the first 2048 frames, distances
      divided by the square root of the number of frequencies. Unbiased, so it can be negative.

    Args:
      sounds: list of (x [T, 1], members [M, T, 1]).
      seed: chooses directions.

    Returns:
      {name: (value, floor, standard error)}; empty where a half has fewer than `FEWEST` frames.
    """
    a = _thinned([log_spectra(x[:, 0]) for x, _ in sounds[0::2]])
    b = _thinned([log_spectra(x[:, 0]) for x, _ in sounds[1::2]])
    if a is None or b is None:
        return {}
    count = min(len(a), len(b))
    count -= count % _BLOCKS
    fakes = [
        _thinned([log_spectra(members[m, :, 0]) for _, members in sounds[1::2]])[:count]
        for m in range(len(sounds[0][1]))
    ]
    a, b, fakes = a[:count], b[:count], np.stack(fakes)
    directions = deviates.directions(a.shape[1], seed, stream=0)
    variance = np.var(np.concatenate([a, b]) @ directions.T, axis=0) + _VARIANCE_FLOOR
    estimates = {
        "sliced_wasserstein": (lambda x, f: sliced.of_members(x, f, directions, variance), count),
        "energy_distance": (pairs.mean_energy, _PAIRS),
    }
    report = {}
    for name, (estimate, most) in estimates.items():
        x, y, f = a[:most], b[:most], fakes[:, :most]
        blocks = [estimate(x[i::_BLOCKS], f[:, i::_BLOCKS]) for i in range(_BLOCKS)]
        error = float(np.std(blocks, ddof=1) / np.sqrt(_BLOCKS))
        report[name] = (estimate(x, f), estimate(x, y[None]), error)
    return report


def _thinned(spectra):
    """All frames of several sounds, at most `_MOST` of them, evenly spaced; None for too few."""
    frames = np.concatenate(spectra) if spectra else np.empty((0, 0))
    if len(frames) < FEWEST:
        return None
    return frames[np.linspace(0, len(frames) - 1, min(len(frames), _MOST)).astype(int)]
