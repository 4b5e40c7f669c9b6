"""The parse path: part after part of the prior's chain, in integers, on the host.

Encoder, decoder, sampler and rate differ only in where a part's symbols come from.
"""

import dataclasses

import numpy as np

from synjax.codec import chain, prediction


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """Parts as the parse path has them.

    Attributes:
      symbols: int32 [*S', K], of the groups that were followed.
      values: int64, same shape, in 2^−`prediction.FRACTION` steps.
      hyper: int32 [*coarse S', hyper], symbols of the hyper-latent.
      scales: by name of a part int16 [*S', C] from `prediction.predict`; None for the first.
    """

    symbols: np.ndarray
    values: np.ndarray
    hyper: np.ndarray
    scales: dict[str, np.ndarray | None]


def follow(artefact, sizes, choose, level):
    """Predicts a part, asks for its symbols, and goes on from there.

    Args:
      artefact: `package.Artefact`.
      sizes: S'.
      choose: (part, centre, scale) → integers [*S', C]; centre and scale as from
        `prediction.predict`, but zeros and None for the first part. What lies outside of the part's
        positions is dropped.
      level: number of groups to follow.

    Returns:
      `Trace`.
    """
    codec = artefact.codec
    last = sum(codec.groups[:level])
    known = np.zeros((*sizes, codec.hyper + last), np.int64)
    symbols, values = np.zeros((*sizes, last), np.int32), known[..., codec.hyper :]
    hyper, scales = np.zeros((*chain.coarse_sizes(sizes), codec.hyper), np.int32), {}
    for part in chain.parts(codec):
        if part.group >= level:
            break
        shape = (*(hyper.shape[:-1] if part.is_hyper else sizes), part.channels)
        centre, scale = np.zeros(shape, np.int64), None
        if part.known:
            network = artefact.networks[part.name]
            centre, scale = prediction.predict(network, known[..., : part.known])
        chosen = np.asarray(choose(part, centre, scale), np.int32)
        scales[part.name] = scale
        value = centre + (chosen.astype(np.int64) << prediction.FRACTION)
        if part.is_hyper:
            hyper = chosen
            known[..., : codec.hyper] = chain.spread(value, sizes, np)
            continue
        own = part.positions(sizes)
        group(codec, symbols, part.group)[own] = chosen[own]
        group(codec, values, part.group)[own] = value[own]
    return Trace(symbols, values, hyper, scales)


def group(codec, channels, k):
    """The channels of group k (from 0) of [..., K]; a view."""
    first = sum(codec.groups[:k])
    return channels[..., first : first + codec.groups[k]]


def positions(part, sizes):
    """Booleans of the positions at which a part has symbols, of its own resolution."""
    return part.positions(chain.coarse_sizes(sizes) if part.is_hyper else sizes)


def table_indices(part, scale, where):
    """The coding table of every symbol of a part: int32 [N, C].

    Tables of the first part belong to channels, those of the others to scales.

    Args:
      part: `chain.Part`.
      scale: of the part, from `follow`.
      where: from `positions`; N are true.
    """
    if part.known == 0:
        channels = np.arange(part.channels, dtype=np.int32)
        return np.broadcast_to(channels, (int(where.sum()), part.channels))
    return prediction.table_index(scale[where])
