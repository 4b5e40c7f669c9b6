"""The parse path: group after group, from what is predicted and the symbols to the next group.

Encoder, decoder, sampler and rate differ only in where a group's symbols come from.
"""

import dataclasses

import numpy as np

from synjax.codec import prediction


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """Groups as the parse path has them.

    Attributes:
      symbols: int32 [*S', K], of the groups that were followed.
      values: int64, same shape, in 2^−`prediction.FRACTION` steps.
      scales: per group int16 [*S', groups[k]] from `prediction.predict`; None for the first.
    """

    symbols: np.ndarray
    values: np.ndarray
    scales: tuple[np.ndarray | None, ...]


def follow(artefact, sizes, choose, level):
    """Predicts a group, asks for its symbols, and goes on from there.

    Args:
      artefact: `package.Artefact`.
      sizes: S'.
      choose: (k, centre, scale) → integers [*S', groups[k]], k from 0; centre and scale as from
        `prediction.predict`, but zeros and None for the first group.
      level: number of groups to follow.

    Returns:
      `Trace`.
    """
    codec = artefact.codec
    symbols = np.empty((*sizes, sum(codec.groups[:level])), np.int32)
    values = np.empty(symbols.shape, np.int64)
    scales = []
    for k in range(level):
        centre, scale = np.zeros((*sizes, codec.groups[0]), np.int64), None
        if k:
            known = values[..., : sum(codec.groups[:k])]
            centre, scale = prediction.predict(artefact.networks[k - 1], known)
        chosen = np.asarray(choose(k, centre, scale), np.int32)
        group(codec, symbols, k)[:] = chosen
        group(codec, values, k)[:] = centre + (chosen.astype(np.int64) << prediction.FRACTION)
        scales.append(scale)
    return Trace(symbols, values, tuple(scales))


def group(codec, channels, k):
    """The channels of group k (from 0) of [..., K]; a view."""
    first = sum(codec.groups[:k])
    return channels[..., first : first + codec.groups[k]]


def table_indices(codec, k, scale, sizes):
    """The coding table of every symbol of group k: int32 [*S', groups[k]].

    Tables of the first group belong to channels, those of the others to scales.
    """
    if k == 0:
        return np.broadcast_to(
            np.arange(codec.groups[0], dtype=np.int32), (*sizes, codec.groups[0])
        )
    return prediction.table_index(scale)
