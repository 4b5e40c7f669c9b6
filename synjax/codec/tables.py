"""Integer CDF tables: all that the entropy coder sees of the model's densities.

Floats end here. A table gives −r…r an integer count each and everything else one escape entry;
an escaped value follows in Elias-gamma code, so that no value is out of range and none is clipped.
"""

import dataclasses
import functools

import constriction
import jax
import numpy as np

from synjax.codec import chain, priors

TOTAL = 2**16  # sum of a table's counts
MAX_RADIUS = 2047  # largest magnitude that a table may list
TAIL = 2.0**-14  # probability that a table may leave to its escape
MAX_SYMBOL = 2**30  # largest magnitude that can be coded

_PIECE_BITS = 16  # bits that one uniform model carries
_bin_probabilities = jax.jit(priors.bin_probabilities, static_argnums=0)


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """The coding tables of one part of the prior's chain.

    Attributes:
      counts: per table an integer array [2·r + 2]: the counts of −r…r, then of the escape; all
        positive, of sum `TOTAL`.
    """

    counts: tuple[np.ndarray, ...]

    @functools.cached_property
    def radii(self):
        """Largest magnitude that each table lists, int64 [T]."""
        return np.array([len(counts) // 2 - 1 for counts in self.counts])

    @functools.cached_property
    def least_bits(self):
        """Information content of each table's likeliest entry, float64 [T]."""
        return -np.log2([counts.max() / TOTAL for counts in self.counts])

    @functools.cached_property
    def ends(self):
        """Of each table the sums of its counts up to and with every entry."""
        return tuple(np.cumsum(counts) for counts in self.counts)

    @functools.cached_property
    def models(self):
        """The tables as the range coder wants them."""
        # Counts of TOTAL are exact in float64, and so is the coder's rescaling of their sums.
        return tuple(
            constriction.stream.model.Categorical(counts / TOTAL, perfect=False)
            for counts in self.counts
        )


def build(codec, params):
    """Tables of the densities that a codec learned.

    Args:
      codec: a `synonymous.Codec`.
      params: bound parameters.

    Returns:
      `Tables` by name of a part: a table per channel for the first, one per log-scale of
      `priors.scale_grid` for the others.

    Raises:
      ValueError: a density that is not finite.
    """
    built = {}
    for part in chain.parts(codec):
        own = params["prior"][part.name]
        if part.known:
            shape = own["log_ratio"], own["logit"]
            mixture = priors.conditional_mixture(priors.scale_grid(), shape)
        else:
            mixture = part.network(codec).apply({"params": own}, params["features"])
        probabilities = np.asarray(_bin_probabilities(MAX_RADIUS, *mixture), np.float64)
        if not np.all(np.isfinite(probabilities)):
            raise ValueError(f"the density {part.name!r} of the prior is not finite")
        built[part.name] = Tables(tuple(integer_counts(row) for row in probabilities))
    return built


def integer_counts(probabilities):
    """The integer table of a distribution over the integers around zero.

    Args:
      probabilities: [2·MAX_RADIUS + 1], of −MAX_RADIUS…MAX_RADIUS; sum at most one.

    Returns:
      Counts int32 [2·r + 2], for the smallest r that leaves less than `TAIL` to the escape.
    """
    middle = len(probabilities) // 2
    beside = probabilities[middle + 1 :] + probabilities[:middle][::-1]
    inside = np.cumsum(np.concatenate([probabilities[middle : middle + 1], beside]))
    radius = min(np.searchsorted(inside, 1 - TAIL, side="right"), middle)
    listed = probabilities[middle - radius : middle + radius + 1]
    escape = max(1 - inside[radius], 1 / TOTAL)
    shares = np.append(listed, escape) / (listed.sum() + escape)
    # Entries of less than one count are raised to one at the expense of all others, in proportion.
    factor = TOTAL
    while True:
        free = shares * factor > 1
        lowered = (TOTAL - np.sum(~free)) / shares[free].sum()
        if lowered >= factor * (1 - 1e-12):
            break
        factor = lowered
    ideal = np.maximum(shares * factor, 1)
    counts = np.floor(ideal).astype(np.int32)
    largest_remainders = np.argsort(counts - ideal, kind="stable")
    counts[largest_remainders[: TOTAL - counts.sum()]] += 1
    return counts


class Encoder:
    """Range-codes symbols into one payload, part after part."""

    def __init__(self):
        """Nothing is coded yet."""
        self._encoder = constriction.stream.queue.RangeEncoder()

    def write(self, tables, indices, symbols):
        """Codes a part: all symbols of one table after another, then what escaped.

        Args:
          tables: of the symbols' densities.
          indices: integers [n], the table of each symbol.
          symbols: integers [n].

        Raises:
          ValueError: a symbol beyond ±`MAX_SYMBOL`, or an index without a table.
        """
        symbols = np.asarray(symbols, np.int64)
        largest = np.abs(symbols).max(initial=0)
        if largest > MAX_SYMBOL:
            raise ValueError(f"symbols must be within ±{MAX_SYMBOL}, got a magnitude of {largest}")
        order, runs = _by_table(tables, indices)
        values, radii = symbols[order], tables.radii[np.asarray(indices)[order]]
        escaped = np.abs(values) > radii
        entries = np.where(escaped, 2 * radii + 1, values + radii).astype(np.int32)
        for t, run in runs:
            self._encoder.encode(entries[run], tables.models[t])
        _encode_escapes(self._encoder, values[escaped], radii[escaped])

    def payload(self):
        """What was written, bytes in little-endian words of 32 bits."""
        return self._encoder.get_compressed().astype("<u4").tobytes()


class Decoder:
    """Reads a payload part by part, in the order in which it was written."""

    def __init__(self, payload):
        """Raises ValueError: a payload that is no whole number of words."""
        if len(payload) % 4:
            raise ValueError(
                f"a payload is a whole number of 4-byte words, got {len(payload)} bytes"
            )
        words = np.frombuffer(payload, "<u4").astype(np.uint32)
        self._decoder = constriction.stream.queue.RangeDecoder(words)

    def read(self, tables, indices):
        """The symbols of a part.

        Args:
          tables: the encoder's.
          indices: the encoder's, [n].

        Returns:
          Symbols int32 [n].

        Raises:
          ValueError: an index without a table, or a payload that no encoder writes. Most wrong
            payloads decode to wrong symbols: checksums are the caller's part.
        """
        order, runs = _by_table(tables, indices)
        radii = tables.radii[np.asarray(indices)[order]]
        values = np.empty(len(order), np.int64)
        try:
            for t, run in runs:
                values[run] = self._decoder.decode(tables.models[t], run.stop - run.start)
            values -= radii
            escaped = values > radii
            values[escaped] = _decode_escapes(self._decoder, radii[escaped])
        except AssertionError as error:
            raise ValueError("the payload is no code word of these tables") from error
        if np.abs(values).max(initial=0) > MAX_SYMBOL:
            raise ValueError(f"the payload holds a symbol beyond ±{MAX_SYMBOL}")
        symbols = np.empty(len(order), np.int32)
        symbols[order] = values
        return symbols


def sample(tables, indices, uniforms):
    """Draws symbols from the densities that would have coded them, by the inverse of their CDF.

    Args:
      tables: of the densities.
      indices: integers [n], the table of each symbol.
      uniforms: uint32 [n]: the upper half chooses the entry, the lowest bit the sign of an escape,
        which is drawn as the nearest symbol that has no entry.

    Returns:
      Symbols int32 [n].

    Raises:
      ValueError: an index without a table.
    """
    order, runs = _by_table(tables, indices)
    uniforms = np.asarray(uniforms, np.uint32)[order]
    radii = tables.radii[np.asarray(indices)[order]]
    values = np.empty(len(order), np.int64)
    for t, run in runs:
        values[run] = np.searchsorted(tables.ends[t], uniforms[run] >> 16, side="right")
    values -= radii
    values = np.where((values > radii) & (uniforms % 2 == 1), -values, values)
    symbols = np.empty(len(order), np.int32)
    symbols[order] = values
    return symbols


def _by_table(tables, indices):
    """The stable order by table, and (table, slice of the ordered) for each one that occurs."""
    indices = np.asarray(indices)
    if indices.size and not 0 <= indices.min() <= indices.max() < len(tables.counts):
        raise ValueError(f"table indices must be in 0…{len(tables.counts) - 1}")
    order = np.argsort(indices.astype(np.uint16), kind="stable")  # a radix sort up to 16 bits
    ends = np.cumsum(np.bincount(indices, minlength=len(tables.counts)))
    starts = np.concatenate([[0], ends[:-1]])
    runs = [(t, slice(starts[t], ends[t])) for t in np.flatnonzero(ends > starts)]
    return order, runs


def _encode_escapes(encoder, values, radii):
    """Elias-gamma code (Elias 1975) of how far values lie beyond ±r: widths first, then digits."""
    codes = 2 * (np.abs(values) - radii) - (values > 0)  # 1 is r + 1, 2 is −(r + 1), …
    widths = np.frexp(codes.astype(np.float64))[1] - 1  # ⌊log₂⌋, exact below 2^53
    for width in range(widths.max(initial=-1) + 1):
        further = widths[widths >= width] > width
        encoder.encode(further.astype(np.int32), constriction.stream.model.Uniform(2))
    for width in np.unique(widths):
        digits = codes[widths == width] - (1 << int(width))
        for shift, size in _pieces(int(width)):
            piece = (digits >> shift) % size
            encoder.encode(piece.astype(np.int32), constriction.stream.model.Uniform(size))


def _decode_escapes(decoder, radii):
    """The inverse of `_encode_escapes`: values int64 [n] beyond ±radii."""
    widths = np.zeros(len(radii), np.int64)
    growing = np.arange(len(radii))
    while len(growing):
        further = decoder.decode(constriction.stream.model.Uniform(2), len(growing))
        growing = growing[further == 1]
        widths[growing] += 1
        if len(growing) and widths.max() > MAX_SYMBOL.bit_length():
            raise ValueError(f"the payload holds a symbol beyond ±{MAX_SYMBOL}")
    codes = np.int64(1) << widths
    for width in np.unique(widths):
        own = widths == width
        for shift, size in _pieces(int(width)):
            piece = decoder.decode(constriction.stream.model.Uniform(size), int(own.sum()))
            codes[own] += piece.astype(np.int64) << shift
    magnitudes = radii + (codes + 1) // 2
    return np.where(codes % 2, magnitudes, -magnitudes)


def _pieces(width):
    """How `width` binary digits are cut into uniform models: (shift, number of values) each."""
    return [(shift, 1 << min(_PIECE_BITS, width - shift)) for shift in range(0, width, _PIECE_BITS)]
