"""What can be looked at, or heard, of a trial: a signal, members of its synset, JPEG beside them.

Small on purpose: the first few signals and members, of large pictures a square at the centre, of
long sounds some seconds of the middle.
"""

import dataclasses

import numpy as np

from synjax.codec import samples
from synjax.evaluation import hearing, jpeg
from synjax.reporting import spectrogram

SIGNALS = 4  # pictures of a trial
VECTORS = 8  # of a trial whose signals are vectors
MEMBERS = 4  # of each synset
SIDE = 256  # pixels, the longest side that is kept
SECONDS = 4  # of a sound

_METRICS = ("bpp_exact", "kbps_exact", "rate_exact", "psnr", "snr", "lsd", "mse", "ms_ssim")
_METRICS += ("lpips", "diversity", "consistency")


@dataclasses.dataclass(frozen=True, eq=False)
class Heard:
    """What can be heard of a view.

    Attributes:
      source: int16 [T, 1].
      members: int16 [M, T, 1].
      sample_rate: Hz.
    """

    source: np.ndarray
    members: np.ndarray
    sample_rate: int


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """One signal at one level and realism.

    Attributes:
      name: of the signal.
      level, realism: as in the table.
      source: [H, W, 3] or [H, W], in [0, 1]; of a sound, its spectrogram.
      members: [M, *source.shape], by address from 0 on.
      quality: of each member, in dB, over the whole signal: PSNR, or the SNR of a sound.
      bytes: of its stream; of vectors, which share a stream, the mean.
      metrics: name -> value for the whole signal; of vectors, the mean over all.
      whole: (H, W) of the signal that `source` is cut from, at `corner`.
      corner: (top, left).
      jpeg: the same place of the JPEG nearest in bytes, or None.
      jpeg_bytes, jpeg_psnr: of that file.
      heard: of a sound.
    """

    name: str
    level: int
    realism: float
    source: np.ndarray
    members: np.ndarray
    quality: tuple[float, ...]
    bytes: float
    metrics: dict
    whole: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    jpeg: np.ndarray | None = None
    jpeg_bytes: int | None = None
    jpeg_psnr: float | None = None
    heard: Heard | None = None


def of(subject, row, shown, level, realism):
    """The views of one test example at one level and realism.

    Args:
      subject: `measure.Subject`.
      row: its metrics.
      shown: (source, members): pictures [H, W, 3] and [M, H, W, 3], sounds [T, 1] and [M, T, 1],
        of vectors [K, H, W] and [M, K, H, W]; None where nothing can be shown.
      level, realism: which they were decoded at.

    Returns:
      List of `View`, copies that keep no larger array alive.
    """
    if shown is None:
        return []
    source, members = shown[0], shown[1][:MEMBERS]
    metrics = {name: float(row[name]) for name in _METRICS if name in row}
    if subject.sample_rate:
        return [_of_sound(subject, row, metrics, source, members, level, realism)]
    if subject.picture is None:
        return [_of_picture(subject, row, metrics, source, members, level, realism)]
    size = row["rate_exact"] * subject.x.shape[-1] / 8
    return [
        View(
            name=f"vector {number}",
            level=level,
            realism=realism,
            source=np.clip(source[number], 0, 1),
            members=np.clip(members[:, number], 0, 1),
            quality=_psnr(source[number], members[:, number]),
            bytes=size,
            metrics=metrics,
            whole=source.shape[1:],
        )
        for number in range(min(VECTORS, len(source)))
    ]


def _of_picture(subject, row, metrics, source, members, level, realism):
    size = round(row["rate_exact"] * source.size / 8)
    decoded, taken, quality = jpeg.nearest(subject.jpeg_curve, source, size)
    whole = source.shape[:2]
    corner = tuple(max(0, (length - SIDE) // 2) for length in whole)
    place = tuple(slice(first, first + SIDE) for first in corner)
    return View(
        name=subject.name,
        level=level,
        realism=realism,
        source=source[place].copy(),
        members=members[:, *place].copy(),
        quality=_psnr(source, members),
        bytes=size,
        metrics=metrics,
        whole=whole,
        corner=corner,
        jpeg=decoded[place].copy(),
        jpeg_bytes=taken,
        jpeg_psnr=quality,
    )


def _of_sound(subject, row, metrics, source, members, level, realism):
    rate = subject.sample_rate
    length = min(len(source), SECONDS * rate)
    first = (len(source) - length) // 2
    place = slice(first, first + length)
    heard = Heard(
        samples.of_sound(source[place], 16), samples.of_sound(members[:, place], 16), rate
    )
    return View(
        name=subject.name,
        level=level,
        realism=realism,
        source=spectrogram.picture(source[place]),
        members=np.stack([spectrogram.picture(m[place], source[place]) for m in members]),
        quality=tuple(hearing.snr(source, member[None]) for member in members),
        bytes=round(row["rate_exact"] * source.size / 8),
        metrics=metrics,
        whole=source.shape,
        corner=(first, 0),
        heard=heard,
    )


def _psnr(source, members):
    errors = ((members - source) ** 2).mean(tuple(range(1, members.ndim)))
    return tuple(map(float, -10 * np.log10(np.maximum(errors, 1e-12))))
