"""Streams: a signal as bytes, and the synset that those bytes stand for.

Both sides choose coding tables from the same integers, on the host (`parsing`). What runs on a
device, analysis and synthesis, has no part in that (`rendering`).
"""

import dataclasses
import functools
import math
import zlib

import jax
import numpy as np

from synjax.codec import (
    addresses,
    container,
    package,
    parsing,
    prediction,
    rendering,
    samples,
    synonymous,
    tables,
)

MAX_SYMBOLS = 2**27  # of a stream: 170 megapixels of a codec of 192 channels per 16 × 16
MEMBERS_PER_CALL = 2  # bounds memory; the synthesis network runs once per call

BitstreamError = container.BitstreamError
make = package.make
save = package.save
load = package.load


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
      x: a picture [H, W, C] or, in grey, [H, W, 1]: uint8, uint16, or floats in [0, 1]; or vectors
        [N, n], floats. The stream remembers the shape and the bits per sample.
      level: 1…L, the groups to send; None sends all.

    Returns:
      The stream. What is left when its last groups are cut off is a stream of a lower level.

    Raises:
      ValueError: x is empty, of the wrong shape or type, not finite or out of range, too large for
        one stream, or has a symbol that cannot be coded; a level that does not exist.
    """
    codec = artefact.codec
    level = _level(level, codec.levels)
    x = np.asarray(x)
    found = _analysed(artefact, samples.to_codec(codec, x))
    groups, payloads = [], []
    for k in range(level):
        symbols = parsing.group(codec, found.symbols, k)
        indices = parsing.table_indices(codec, k, found.scales[k], symbols.shape[:-1])
        encoder = tables.Encoder()
        encoder.write(artefact.tables[k], indices.ravel(), symbols.ravel())
        payload = encoder.payload()
        groups.append(
            container.Group(len(payload), zlib.crc32(payload), addresses.checksum(symbols))
        )
        payloads.append(payload)
    header = container.Header(
        x.shape, samples.bits(x), codec.levels, artefact.fingerprint[:4], tuple(groups)
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
    found = _analysed(artefact, samples.to_codec(artefact.codec, x))
    return Parsed(np.shape(x), artefact.codec.levels, found.symbols)


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
    if not samples.fits(codec, shape):
        raise BitstreamError(f"shape {shape} is not one of this codec's")
    place = rendering.place(codec, shape)
    if place.positions * codec.latents > MAX_SYMBOLS:
        raise BitstreamError(f"shape {shape} is too large for one stream")
    for k, payload in enumerate(payloads):
        # No symbol is free: what so few bytes cannot hold is refused before it takes memory.
        least = artefact.tables[k].least_bits
        least = least.sum() if k == 0 else least.min() * codec.groups[k]
        if 0.99 * least * math.prod(place.latent_sizes) > 8 * len(payload) + 64:
            raise BitstreamError(
                f"shape {shape} needs more than the {len(payload)} bytes of group {k + 1}"
            )

    def decode_group(k, centre, scale):
        indices = parsing.table_indices(codec, k, scale, place.latent_sizes)
        try:
            symbols = tables.Decoder(payloads[k]).read(artefact.tables[k], indices.ravel())
        except ValueError as error:
            raise BitstreamError(f"group {k + 1}: {error}") from error
        if addresses.checksum(symbols) != header.groups[k].symbols_checksum:
            raise BitstreamError(f"symbol checksum of group {k + 1} does not match")
        return symbols.reshape(centre.shape)

    found = parsing.follow(artefact, place.latent_sizes, decode_group, len(payloads))
    missing = codec.latents - found.symbols.shape[-1]
    symbols = np.pad(found.symbols, [(0, 0)] * (found.symbols.ndim - 1) + [(0, missing)])
    return Parsed(shape, len(payloads), symbols)


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
    sent = np.ascontiguousarray(parsed.symbols[..., : sum(codec.groups[:level])])

    def known(k, centre, scale):
        """Of unsent groups the conditional mean."""
        del scale
        return parsing.group(codec, sent, k) if k < level else np.zeros_like(centre)

    values = parsing.follow(artefact, sent.shape[:-1], known, codec.levels).values
    shape = (*parsed.shape[:-1], codec.channels)
    if members == 0:
        x = rendering.render(artefact, shape, sent, values, level, [])
        return samples.from_codec(parsed.shape, x)
    synset = np.empty((members, *parsed.shape), np.float32)
    for done in range(0, members, MEMBERS_PER_CALL):
        wanted = synset[done : done + MEMBERS_PER_CALL]
        addressed = range(first + done, first + done + len(wanted))
        own = [rendering.member(artefact, j, sent, values) for j in addressed]
        own += own[-1:] * (MEMBERS_PER_CALL - len(own))  # one shape for all calls
        x = rendering.render(artefact, shape, sent, values, level, own)
        wanted[:] = samples.from_codec(parsed.shape, x[: len(wanted)])
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
    place = rendering.place(codec, parsed.shape)
    mask = place.latent(np.ones((*place.latent_sizes, 1), np.float32))

    def given(k, *_):
        return parsing.group(codec, parsed.symbols, k)

    found = parsing.follow(artefact, place.latent_sizes, given, parsed.level)
    count = 1 if codec.rank else parsed.shape[0]
    bits = np.zeros((count, codec.levels))
    for k in range(parsed.level):
        log_scale = None if k == 0 else place.latent(prediction.log_scale(found.scales[k]))
        hard = place.latent(given(k)).astype(np.float32)
        arrays = (hard, log_scale, mask)
        if codec.rank:
            arrays = jax.tree.map(lambda array: array[None], arrays)
        of_group = _group_bits(codec, k, artefact.params, *arrays)
        bits[:, k] = np.asarray(of_group, np.float64)[:count]
    return bits


@functools.partial(jax.jit, static_argnums=(0, 1))
def _group_bits(codec, k, params, hard, log_scale, mask):
    mixture = codec.mixture(params, k, log_scale, hard.ndim)
    return synonymous.masked_bits(hard, mixture, mask)


def _analysed(artefact, x):
    """The `parsing.Trace` of a signal that was checked."""
    codec = artefact.codec
    place = rendering.place(codec, x.shape)
    if place.positions * codec.latents > MAX_SYMBOLS:
        raise ValueError(f"x of shape {x.shape} is too large for one stream")
    y = rendering.analyse(artefact, x)
    if not np.abs(y).max() <= tables.MAX_SYMBOL / 2:
        raise ValueError(f"x has symbols that are not finite or beyond ±{tables.MAX_SYMBOL}")

    def rounded(k, centre, scale):
        del scale
        return np.rint(parsing.group(codec, y, k) - centre / 2.0**prediction.FRACTION)

    return parsing.follow(artefact, place.latent_sizes, rounded, codec.levels)


def _level(level, available):
    if level is None:
        return available
    if level not in range(1, available + 1):
        raise ValueError(f"level must be in 1…{available}, got {level}")
    return int(level)
