"""Streams: a signal as bytes, and the synset that those bytes stand for.

Both sides compute table indices by the same compiled functions on the same padded shapes.
Parameters are arguments of those functions, so that one compilation serves all trials of a sweep.
"""

import dataclasses
import functools
import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import addresses, container, package, padding, tables

MAX_POSITIONS = 2**24  # latent positions of a stream, padding included
MEMBERS_PER_CALL = 2  # bounds memory; the synthesis network runs once per call

BitstreamError = container.BitstreamError
make = package.make


@dataclasses.dataclass(frozen=True, eq=False)
class Parsed:
    """What a stream says.

    Attributes:
      shape: of x.
      level: 1…L, the number of groups that are known.
      symbols: int32 [*S', K] without padding, zero in groups beyond the level.
    """

    shape: tuple[int, ...]
    level: int
    symbols: np.ndarray


def encode(artefact, x, level=None):
    """A signal as bytes (Eq. 9–13).

    Args:
      artefact: from `make`.
      x: [H, W, C] in [0, 1], or vectors [N, n]; floats.
      level: 1…L, the groups to send; None sends all.

    Returns:
      The stream. What is left when its last groups are cut off is a stream of a lower level.

    Raises:
      ValueError: x is empty, of the wrong shape or type, not finite or out of range, too large for
        one stream, or has a symbol that cannot be coded; a level that does not exist.
    """
    codec = artefact.codec
    level = _level(level, codec.levels)
    parsed = analyse(artefact, x)
    groups, payloads = [], []
    for k in range(level):
        symbols = _group(codec, parsed.symbols, k)
        indices = _table_indices(artefact, parsed, k)
        payload = tables.encode(artefact.tables[k], indices.ravel(), symbols.ravel())
        groups.append(
            container.Group(len(payload), zlib.crc32(payload), addresses.checksum(symbols))
        )
        payloads.append(payload)
    sample_bits = 32  # x arrives as floats
    header = container.Header(
        parsed.shape, sample_bits, codec.levels, artefact.fingerprint[:4], tuple(groups)
    )
    return container.pack(header, payloads)


def analyse(artefact, x):
    """The symbols of a signal, before coding.

    Args:
      artefact: from `make`.
      x: as for `encode`.

    Returns:
      `Parsed` at level L.

    Raises:
      ValueError: as `encode`.
    """
    codec = artefact.codec
    x = _checked(codec, x)
    place = _place(codec, x.shape)
    if place.positions > MAX_POSITIONS:
        raise ValueError(f"x of shape {x.shape} is too large for one stream")
    hard = _quantise(codec, artefact.params, place.signal(x), place.mask())
    hard = place.crop_latent(hard)
    if not np.abs(hard).max() <= tables.MAX_SYMBOL:
        raise ValueError(f"x has symbols that are not finite or beyond ±{tables.MAX_SYMBOL}")
    return Parsed(x.shape, codec.levels, hard.astype(np.int32))


def parse(artefact, stream):
    """The symbols of a stream.

    Args:
      artefact: the one that encoded.
      stream: from `encode`, whole or cut behind a group.

    Returns:
      `Parsed`, at the level of the groups that are there.

    Raises:
      BitstreamError: a stream that is cut elsewhere, damaged, or of another codec or format.
    """
    codec = artefact.codec
    header, payloads = container.split(stream)
    if header.fingerprint != artefact.fingerprint[:4] or header.levels != codec.levels:
        raise BitstreamError(
            f"codec fingerprint is {header.fingerprint.hex()}, "
            f"this codec's is {artefact.fingerprint[:4].hex()}"
        )
    shape = header.shape
    if len(shape) != max(codec.rank, 1) + 1 or shape[-1] != codec.channels:
        raise BitstreamError(f"shape {shape} is not one of this codec's")
    place = _place(codec, shape)
    if place.positions > MAX_POSITIONS:
        raise BitstreamError(f"shape {shape} is too large for one stream")
    for k, payload in enumerate(payloads):
        # No symbol is free: what so few bytes cannot hold is refused before it takes memory.
        least = artefact.tables[k].least_bits
        least = least.sum() if k == 0 else least.min() * codec.groups[k]
        if 0.99 * least * math.prod(place.latent_sizes) > 8 * len(payload) + 64:
            raise BitstreamError(
                f"shape {shape} needs more than the {len(payload)} bytes of group {k + 1}"
            )
    symbols = np.zeros((*place.latent_sizes, codec.latents), np.int32)
    parsed = Parsed(shape, len(payloads), symbols)
    for k, payload in enumerate(payloads):
        own = _group(codec, symbols, k)
        indices = _table_indices(artefact, parsed, k)
        try:
            own[:] = tables.decode(artefact.tables[k], indices.ravel(), payload).reshape(own.shape)
        except ValueError as error:
            raise BitstreamError(f"group {k + 1}: {error}") from error
        if addresses.checksum(own) != header.groups[k].symbols_checksum:
            raise BitstreamError(f"symbol checksum of group {k + 1} does not match")
    return parsed


def render(artefact, parsed, members=1, first=0, level=None):
    """Members of the synset that symbols stand for (Eq. 14).

    Args:
      artefact: one whose analysis and prior are the encoder's; the synthesis may differ.
      parsed: from `parse` or `analyse`.
      members: number of members; 0 gives the one reconstruction of a decoder without randomness.
      first: address j of the first member.
      level: 1…parsed.level, which groups to use; None uses all that are known.

    Returns:
      Synset [M, *S, C] or [M, N, n], float32; pictures are clipped to [0, 1].

    Raises:
      ValueError: a level that is not known, or negative members or first.
    """
    codec = artefact.codec
    level = _level(level, parsed.level)
    if members < 0 or first < 0:
        raise ValueError(f"members and first must not be negative, got {members} and {first}")
    place = _place(codec, parsed.shape)
    hard = place.latent(parsed.symbols)
    if members == 0:
        return place.crop_synset(_render(codec, artefact.params, hard, level, None))
    sent = parsed.symbols[..., : sum(codec.groups[:level])]
    key = addresses.checksum(sent)
    shape = (*place.latent_sizes, codec.uniform_channels())
    synset = np.empty((members, *parsed.shape), np.float32)
    for done in range(0, members, MEMBERS_PER_CALL):
        wanted = synset[done : done + MEMBERS_PER_CALL]
        drawn = [addresses.uniforms(key, first + done + j, shape) for j in range(len(wanted))]
        drawn += drawn[-1:] * (MEMBERS_PER_CALL - len(drawn))  # one shape for all calls
        x = _render(codec, artefact.params, hard, level, place.members(drawn, 0.5))
        wanted[:] = place.crop_synset(x)[: len(wanted)]
    return synset


def decode(artefact, stream, members=1, first=0, level=None):
    """Members of a stream's synset: `render` of `parse`; arguments and errors are theirs."""
    return render(artefact, parse(artefact, stream), members, first, level)


def header_size(stream):
    """Bytes of a stream that are not payload; raises BitstreamError if there is no whole header."""
    return container.unpack(stream)[1]


def estimated_bits(artefact, parsed):
    """What an ideal coder would need with the densities as they are.

    Args:
      artefact: the encoder's.
      parsed: from `parse` or `analyse`.

    Returns:
      −log₂ p of each group, float64 [1, L] of a picture or [N, L] of vectors; zero for groups
      beyond the level.
    """
    codec = artefact.codec
    place = _place(codec, parsed.shape)
    bits = _group_bits(codec, artefact.params, place.latent(parsed.symbols), place.mask())
    bits = np.asarray(bits, np.float64)[: 1 if codec.rank else parsed.shape[0]]
    return np.where(np.arange(codec.levels) < parsed.level, bits, 0.0)


def _place(codec, shape):
    return padding.Padding(shape, codec.stride if codec.rank else 1, codec.rank > 0)


def _group(codec, symbols, k):
    """The channels of group k (from 0) of symbols [..., K]; a view."""
    first = sum(codec.groups[:k])
    return symbols[..., first : first + codec.groups[k]]


def _level(level, available):
    if level is None:
        return available
    if level not in range(1, available + 1):
        raise ValueError(f"level must be in 1…{available}, got {level}")
    return int(level)


def _checked(codec, x):
    """Float32 of x, or a ValueError that says what is wrong with it."""
    x = np.asarray(x)
    form = "[H, W, C]" if codec.rank else "[N, n]"
    if x.ndim != max(codec.rank, 1) + 1 or x.shape[-1] != codec.channels:
        raise ValueError(f"x must be {form} with {codec.channels} channels, got shape {x.shape}")
    if x.size == 0:
        raise ValueError(f"x must not be empty, got shape {x.shape}")
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"x must be floats, got {x.dtype}")
    usable = np.isfinite(x)
    if codec.rank:
        usable &= (x >= 0) & (x <= 1)
    if not usable.all():
        where = tuple(int(i) for i in np.argwhere(~usable)[0])
        allowed = "in [0, 1]" if codec.rank else "finite"
        raise ValueError(f"x must be {allowed}, got {x[where]} at {where}")
    return x.astype(np.float32)


def _table_indices(artefact, parsed, k):
    """Index of the coding table of each symbol of group k (from 0): [*S', groups[k]]."""
    codec = artefact.codec
    if k == 0:
        own = _group(codec, parsed.symbols, 0)
        return np.broadcast_to(np.arange(own.shape[-1], dtype=np.int32), own.shape)
    place = _place(codec, parsed.shape)
    earlier = parsed.symbols[..., : sum(codec.groups[:k])]
    return place.crop_latent(_indices(codec, k, artefact.params, place.latent(earlier)))


@functools.partial(jax.jit, static_argnums=0)
def _quantise(codec, params, x, mask):
    return codec.quantise(params, codec.analyse(params, x, mask))["hard"]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _indices(codec, k, params, earlier):
    # The function is given the groups before k alone, so that both sides call it alike.
    unknown = [(0, 0)] * (earlier.ndim - 1) + [(0, codec.latents - earlier.shape[-1])]
    return codec.coding_scales(params, {"hard": jnp.pad(earlier, unknown)})[k - 1]


@functools.partial(jax.jit, static_argnums=0)
def _group_bits(codec, params, hard, mask):
    return codec.group_bits(params, {"hard": hard, "noisy": hard, "mask": mask})


@functools.partial(jax.jit, static_argnums=0)
def _render(codec, params, hard, level, uniforms):
    synset = codec.synthesise(params, codec.complete(params, {"hard": hard}, level, uniforms))
    return jnp.clip(synset, 0.0, 1.0) if codec.rank else synset
