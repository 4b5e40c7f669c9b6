"""Sounds in files: WAV and FLAC, as waveforms [T, 1] of one channel.

What has several channels is averaged to one. Samples are float32 in [−1, 1]; integers in a file are
divided by their full scale. What goes beyond it is refused, not clipped, and so is a sound that
would be silence with the 16 bits that its users keep. The reader is libsndfile, through soundfile.
"""

import io
import pathlib

import numpy as np

SUFFIXES = (".wav", ".flac")
MAX_BYTES = 2**30  # of a file
MAX_SAMPLES = 2**28  # of all channels of a sound: 1 GiB of float32

_HALF_STEP = 2.0**-16  # of 16 bits: up to here all is rounded to zero
_WIDE = ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")  # libsndfile's kinds of more than 16 bits


def read(path):
    """The sound in a file.

    Args:
      path: a file whose suffix is one of `SUFFIXES`.

    Returns:
      float32 [T, 1] in [−1, 1], and its sample rate in Hz.

    Raises:
      ValueError: an unknown suffix; a file that is missing, empty, damaged or too large; samples
        beyond the full scale; a sound that would become silence.
    """
    path = pathlib.Path(path)
    _require_suffix(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: is larger than the {MAX_BYTES} bytes that are read")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return decode(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def decode(content):
    """What `read` returns, of the bytes of a file; ValueError where they are damaged."""
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if file.frames * file.channels > MAX_SAMPLES:
                raise ValueError(f"has {file.frames} samples, more than are read")
            samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (RuntimeError, TypeError) as error:  # soundfile's ways to refuse a file
        raise ValueError(f"is no sound that can be read ({error})") from None
    if not len(samples):
        raise ValueError("is empty")
    if not np.isfinite(samples).all():
        raise ValueError("has samples that are not finite")
    peak, x = _peak(samples), samples.mean(axis=1, keepdims=True)
    if peak > 1:
        raise ValueError(f"has a peak of {peak!s}, allowed is at most 1: scale it down")
    if peak > 0 and _peak(x) <= _HALF_STEP:
        raise ValueError(
            f"would be silence as one channel of 16 bits (channels: {samples.shape[1]}, "
            f"peak: {peak!s}); scale it up, or keep one channel"
        )
    return x, rate


def losses(path):
    """What one channel of 16 bits does not keep of a file that `read` takes; "" for nothing."""
    import soundfile

    info, found = soundfile.info(str(path)), []
    if info.channels > 1:
        found.append(f"its {info.channels} channels were averaged to one")
    if info.subtype in _WIDE:
        found.append("its samples were rounded to 16 bits")
    return ", ".join(found)


def write(path, x, rate):
    """Writes a sound without loss.

    Args:
      path: .wav or .flac; one that exists is replaced.
      x: int16, or float32 in [−1, 1] for .wav: [T, 1].
      rate: Hz.

    Raises:
      ValueError: another suffix or type.
      OSError: the file cannot be written.
    """
    import soundfile

    path = pathlib.Path(path)
    _require_suffix(path)
    kinds = {np.dtype(np.int16): "PCM_16", np.dtype(np.float32): "FLOAT"}
    if x.dtype not in kinds or (path.suffix.lower() == ".flac" and x.dtype != np.int16):
        raise ValueError(f"{path}: {x.dtype} is not written; int16 is, and float32 to .wav")
    content, form = io.BytesIO(), path.suffix.lower()[1:].upper()
    soundfile.write(content, x, rate, subtype=kinds[x.dtype], format=form)
    path.write_bytes(content.getvalue())


def _peak(x):
    return max(x.max(), -x.min())


def _require_suffix(path):
    if path.suffix.lower() not in SUFFIXES:
        suffix = path.suffix or "none"
        raise ValueError(f"{path}: the suffix is {suffix}; sounds are {', '.join(SUFFIXES)}")
