"""Streams: a signal as bytes, and the synset that those bytes stand for.

Both sides choose coding tables from the same integers, on the host (`parsing`). What runs on a
device, analysis and synthesis, has no part in that (`rendering`).
"""

import dataclasses
import functools
import math
import zlib

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import (
    addresses,
    chain,
    container,
    package,
    parsing,
    prediction,
    priors,
    rendering,
    samples,
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
      hyper: int32 [*coarse S', hyper], those of the hyper-latent; no channels if there is none.
    """

    shape: tuple[int, ...]
    level: int
    symbols: np.ndarray
    hyper: np.ndarray


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
    sample_bits = samples.bits(x)
    start = _start(sample_bits, x.shape)
    groups, payloads = [], []
    for k in range(level):
        encoder = tables.Encoder()
        for part in _parts(codec, k):
            where = parsing.positions(part, found.symbols.shape[:-1])
            indices = parsing.table_indices(part, found.scales[part.name], where)
            symbols = _own(codec, found, part)[where]
            encoder.write(artefact.tables[part.name], indices.ravel(), symbols.ravel())
        payload = encoder.payload()
        whole = [_own(codec, found, part) for part in _parts(codec, k) if part.colour != 1]
        groups.append(container.Group(len(payload), zlib.crc32(payload), _checksum(whole, start)))
        payloads.append(payload)
    header = container.Header(
        x.shape, sample_bits, codec.levels, artefact.fingerprint[:4], tuple(groups)
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
    return Parsed(np.shape(x), artefact.codec.levels, found.symbols, found.hyper)


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
    if place.positions * _widest(codec) > MAX_SYMBOLS:
        raise BitstreamError(f"shape {shape} is too large for one stream")
    sizes = place.latent_sizes
    for k, payload in enumerate(payloads):
        # No symbol is free: what so few bytes cannot hold is refused before it takes memory.
        least = sum(_least_bits(artefact, part, sizes) for part in _parts(codec, k))
        if 0.99 * least > 8 * len(payload) + 64:
            raise BitstreamError(
                f"shape {shape} needs more than the {len(payload)} bytes of group {k + 1}"
            )
    start = _start(header.sample_bits, shape)
    decoders = [None] * len(payloads)
    symbols = [[] for _ in payloads]

    def decoded(part, centre, scale):
        k, where = part.group, parsing.positions(part, sizes)
        if part.colour != 1:
            symbols[k].append(np.zeros(centre.shape, np.int32))
        indices = parsing.table_indices(part, scale, where)
        try:
            decoders[k] = decoders[k] or tables.Decoder(payloads[k])
            read = decoders[k].read(artefact.tables[part.name], indices.ravel())
        except ValueError as error:
            raise BitstreamError(f"group {k + 1}: {error}") from error
        symbols[k][-1][where] = read.reshape(indices.shape)
        is_last = part == _parts(codec, k)[-1]
        if is_last and _checksum(symbols[k], start) != header.groups[k].symbols_checksum:
            raise BitstreamError(f"symbol checksum of group {k + 1} does not match")
        return symbols[k][-1]

    found = parsing.follow(artefact, sizes, decoded, len(payloads))
    missing = codec.latents - found.symbols.shape[-1]
    padded = np.pad(found.symbols, [(0, 0)] * (found.symbols.ndim - 1) + [(0, missing)])
    return Parsed(shape, len(payloads), padded, found.hyper)


def render(artefact, parsed, members=1, first=0, level=None, realism=1.0):
    """Members of the synset that symbols stand for (Eq. 14).

    Args:
      artefact: one whose analysis and prior are the encoder's; the synthesis may differ.
      parsed: from `parse` or `analyse`.
      members: number of members; 0 gives the one reconstruction of a decoder without randomness.
      first: address j of the first member.
      level: 1…parsed.level, which groups to use; None uses all that are known.
      realism: β in [0, 1], see `package.Artefact.at`.

    Returns:
      Synset [M, *S, C] or [M, N, n], float32; pictures are clipped to [0, 1].

    Raises:
      ValueError: a level that is not known, negative members or first, or a realism that the
        codec does not have.
    """
    artefact = artefact.at(realism)
    codec = artefact.codec
    level = _level(level, parsed.level)
    if members < 0 or first < 0 or first + members > 2**64:
        raise ValueError(
            f"members and first must not be negative and addresses below 2⁶⁴, got {members} "
            f"and {first}"
        )
    sent = np.ascontiguousarray(parsed.symbols[..., : sum(codec.groups[:level])])
    values = _given(artefact, dataclasses.replace(parsed, level=level), codec.levels).values
    shape = (*parsed.shape[:-1], codec.channels)

    def rendered(own):
        x = rendering.render(artefact, shape, sent, values, level, own)
        return samples.from_codec(parsed.shape, x)

    if members == 0 or not codec.detail_width:  # whose members are all the same
        return np.repeat(rendered([]), max(members, 1), axis=0)
    key = addresses.checksum(sent)
    synset = np.empty((members, *parsed.shape), np.float32)
    for done in range(0, members, MEMBERS_PER_CALL):
        wanted = synset[done : done + MEMBERS_PER_CALL]
        addressed = range(first + done, first + done + len(wanted))
        own = [rendering.member(artefact, j, key, sent, parsed.hyper, values) for j in addressed]
        own += own[-1:] * (MEMBERS_PER_CALL - len(own))  # one shape for all calls
        wanted[:] = rendered(own)[: len(wanted)]
    return synset


def decode(artefact, stream, members=1, first=0, level=None, realism=1.0):
    """Members of a stream's synset: `render` of `parse`; arguments and errors are theirs."""
    return render(artefact, parse(artefact, stream), members, first, level, realism)


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
    found = _given(artefact, parsed, parsed.level)
    count = 1 if codec.rank else parsed.shape[0]
    bits = np.zeros((count, codec.levels))
    for part in chain.parts(codec):
        if part.group < parsed.level:
            bits[:, part.group] += _part_bits(artefact, place, found, part)[:count]
    return bits


def _part_bits(artefact, place, found, part):
    """−log₂ p of a part, float64 [B] of the bucket."""
    codec, scale = artefact.codec, found.scales[part.name]
    where = parsing.positions(part, place.latent_sizes)
    arrays = {"hard": _own(codec, found, part), "where": where[..., None]}
    if scale is not None:
        arrays["log_scale"] = prediction.log_scale(scale)
    if not part.is_hyper:
        arrays = {name: place.latent(array) for name, array in arrays.items()}
    if codec.rank:
        arrays = {name: array[None] for name, array in arrays.items()}
    return np.asarray(_bits(codec, part, artefact.params, arrays), np.float64)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _bits(codec, part, params, arrays):
    hard = arrays["hard"].astype(jnp.float32)
    mixture = chain.mixture(codec, params, part, arrays.get("log_scale"), hard.ndim)
    bits = priors.bits(hard, *mixture) * arrays["where"]
    return bits.sum(tuple(range(1, bits.ndim)))


def _widest(codec):
    """Channels that one latent position takes where it takes most."""
    hidden = codec.synthesis_widths[0] if codec.rank == 0 else 0
    return max(codec.latents + codec.hyper, codec.prior_width, hidden)


def _parts(codec, k):
    """The parts of the chain that are sent in the payload of group k (from 0)."""
    return [part for part in chain.parts(codec) if part.group == k]


def _own(codec, found, part):
    """The symbols of a part, at all positions: [*S', C]."""
    return found.hyper if part.is_hyper else parsing.group(codec, found.symbols, part.group)


def _start(sample_bits, shape):
    """CRC32 of what the header says of x, from which checksums of symbols go on."""
    return zlib.crc32(np.array([sample_bits, *shape], "<i8"))


def _checksum(whole, start):
    """CRC32 of the symbols of a group: the hyper-latent's, if it is sent with it, then its own."""
    return addresses.checksum(np.concatenate([symbols.ravel() for symbols in whole]), start)


def _least_bits(artefact, part, sizes):
    """What the symbols of a part cost at least."""
    least = artefact.tables[part.name].least_bits
    per_position = least.min() * part.channels if part.known else least.sum()
    sizes = chain.coarse_sizes(sizes) if part.is_hyper else sizes
    positions = math.prod(sizes)
    return per_position * (positions if part.colour is None else positions // 2)


def _given(artefact, parsed, level):
    """The `parsing.Trace` of symbols that are known; of unsent groups the conditional mean."""
    codec = artefact.codec
    known = sum(codec.groups[: parsed.level])
    symbols = np.where(np.arange(codec.latents) < known, parsed.symbols, 0)

    def given(part, *_):
        return parsed.hyper if part.is_hyper else parsing.group(codec, symbols, part.group)

    return parsing.follow(artefact, symbols.shape[:-1], given, level)


def _analysed(artefact, x):
    """The `parsing.Trace` of a signal that was checked."""
    codec = artefact.codec
    place = rendering.place(codec, x.shape)
    if place.positions * _widest(codec) > MAX_SYMBOLS:
        raise ValueError(f"x of shape {x.shape} is too large for one stream")
    latent = rendering.analyse(artefact, x)

    def rounded(part, centre, scale):
        del scale
        own = latent["z"] if part.is_hyper else parsing.group(codec, latent["y"], part.group)
        symbols = np.rint(own - centre / 2.0**prediction.FRACTION)
        if not np.abs(symbols).max() <= tables.MAX_SYMBOL:
            raise ValueError(f"x has symbols that are not finite or beyond ±{tables.MAX_SYMBOL}")
        return symbols

    return parsing.follow(artefact, place.latent_sizes, rounded, codec.levels)


def _level(level, available):
    if level is None:
        return available
    if level not in range(1, available + 1):
        raise ValueError(f"level must be in 1…{available}, got {level}")
    return int(level)
