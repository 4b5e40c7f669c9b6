"""One test signal as real bytes: what they are, what they cost and how long that took.

Nothing here depends on how much detail a decoder draws: a signal is sent once for all β.
"""

import dataclasses
import functools
import time

import jax
import numpy as np

from synjax.codec import bitstream, rendering

FLUSH_BITS = 32  # per group: the word that a range coder needs to be told apart from its successor


@dataclasses.dataclass(frozen=True, eq=False)
class Sent:
    """A signal at one level.

    Attributes:
      stream: its bytes.
      parsed: what they say, `bitstream.Parsed`.
      rates: by column of the table.
      seconds: of encoding and of parsing.
    """

    stream: bytes
    parsed: bitstream.Parsed
    rates: dict
    seconds: tuple[float, float]


def send(artefact, x, *, seed, levels):
    """Encodes and parses a signal.

    Args:
      artefact: `codec.package.Artefact`.
      x: a picture, a sound or vectors.
      seed: of the noisy rate.
      levels: that are sent.

    Returns:
      `Sent` of each level.

    Raises:
      RuntimeError: a stream did not decode to the symbols that were encoded.
    """
    symbols = bitstream.analyse(artefact, x).symbols
    noisy = _noisy(artefact, x, seed)
    found = []
    for level in levels:
        began = time.perf_counter()
        stream = bitstream.encode(artefact, x, level)
        encoded = time.perf_counter()
        parsed = bitstream.parse(artefact, stream)
        seconds = encoded - began, time.perf_counter() - encoded
        known = sum(artefact.codec.groups[:level])
        if not np.array_equal(parsed.symbols[..., :known], symbols[..., :known]):
            raise RuntimeError(f"level {level}: the decoded symbols differ from the encoded ones")
        rates = _rates(artefact, x, stream, parsed, noisy[:level].sum())
        found.append(Sent(stream, parsed, rates, seconds))
    return found


def members(artefact, sent, count):
    """The synset [M, …] of what was sent, and the seconds of encoding and of decoding one member.

    Args:
      artefact: the sender's, at some β.
      sent: `Sent`.
      count: M; 0 for the one reconstruction without randomness.

    Returns:
      (synset, dict by column of the table).
    """
    began = time.perf_counter()
    synset = bitstream.render(artefact, sent.parsed, count)
    rendered = (time.perf_counter() - began) / len(synset)
    encoded, parsed = sent.seconds
    return synset, {"seconds_encode": encoded, "seconds_decode": parsed + rendered}


def _rates(artefact, x, stream, parsed, noisy):
    """Rates in bits per element, three ways."""
    estimated = bitstream.estimated_bits(artefact, parsed).sum()
    header = 8 * bitstream.header_size(stream) + FLUSH_BITS * parsed.level
    rates = {"noisy": noisy, "estimated": estimated, "exact": 8.0 * len(stream)}
    row = {f"rate_{name}": bits / x.size for name, bits in rates.items()}
    if artefact.codec.rank == 1:
        seconds = len(x) / artefact.codec.sample_rate
        row |= {f"kbps_{name}": bits / seconds / 1000 for name, bits in rates.items()}
    if artefact.codec.rank == 2:
        pixels = x.shape[0] * x.shape[1]
        row |= {f"bpp_{name}": bits / pixels for name, bits in rates.items()}
    return row | {"rate_header": header / x.size, "header_bits": header}


def _noisy(artefact, x, seed):
    """Bits of each group with noise in place of rounding, as in training: [L]."""
    batch, mask = x, None
    if artefact.codec.rank:  # repeated edges and silence are cheap: what was added must not count
        place = rendering.place(artefact.codec, x.shape)
        batch, mask = place.signal(x)[None], place.latent(np.ones((*place.latent_sizes, 1)))[None]
    key = jax.random.key(seed)
    bits = np.asarray(_noisy_bits(artefact.codec, artefact.params, batch, key, mask), np.float64)
    return bits.sum(0)


@functools.partial(jax.jit, static_argnums=0)
def _noisy_bits(codec, params, x, key, mask=None):
    symbols = codec.quantise(params, codec.analyse(params, x, mask), key)
    return codec.group_bits(symbols)
