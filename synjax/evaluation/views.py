"""What can be looked at of a trial: a test signal, members of its synset, JPEG at equal bytes.

Small on purpose: the first few signals and members, of large pictures a square at the centre.
"""

import dataclasses

import numpy as np

from synjax.evaluation import jpeg

SIGNALS = 4  # pictures of a trial
VECTORS = 8  # of a trial whose signals are vectors
MEMBERS = 4  # of each synset
SIDE = 256  # pixels, the longest side that is kept

_METRICS = ("bpp_exact", "rate_exact", "psnr", "mse", "ms_ssim", "lpips", "diversity")
_METRICS += ("consistency",)


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """One signal at one level and realism.

    Attributes:
      name: of the signal.
      level, realism: as in the table.
      source: [H, W, 3] or [H, W], in [0, 1].
      members: [M, *source.shape], by address from 0 on.
      psnr: of each member, in dB, over the whole signal.
      bytes: of its stream; of vectors, which share a stream, the mean.
      metrics: name -> value for the whole signal; of vectors, the mean over all.
      whole: (H, W) of the signal that `source` is cut from, at `corner`.
      corner: (top, left).
      jpeg: the same place of the JPEG nearest in bytes, or None.
      jpeg_bytes, jpeg_psnr: of that file.
    """

    name: str
    level: int
    realism: float
    source: np.ndarray
    members: np.ndarray
    psnr: tuple[float, ...]
    bytes: float
    metrics: dict
    whole: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    jpeg: np.ndarray | None = None
    jpeg_bytes: int | None = None
    jpeg_psnr: float | None = None


def of(subject, row, shown, level, realism):
    """The views of one test example at one level and realism.

    Args:
      subject: `evaluate.Subject`.
      row: its metrics.
      shown: (source, members) as pictures [H, W, 3] and [M, H, W, 3], or, of vectors,
        [K, H, W] and [M, K, H, W]; None where nothing can be shown.
      level, realism: which they were decoded at.

    Returns:
      List of `View`, copies that keep no larger array alive.
    """
    if shown is None:
        return []
    source, members = shown[0], shown[1][:MEMBERS]
    metrics = {name: float(row[name]) for name in _METRICS if name in row}
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
            psnr=_psnr(source[number], members[:, number]),
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
        psnr=_psnr(source, members),
        bytes=size,
        metrics=metrics,
        whole=whole,
        corner=corner,
        jpeg=decoded[place].copy(),
        jpeg_bytes=taken,
        jpeg_psnr=quality,
    )


def _psnr(source, members):
    errors = ((members - source) ** 2).mean(tuple(range(1, members.ndim)))
    return tuple(map(float, -10 * np.log10(np.maximum(errors, 1e-12))))
