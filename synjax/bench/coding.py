"""The entropy coder, and a whole picture through it."""

import numpy as np

from synjax.bench import timing
from synjax.codec import bitstream, tables
from synjax.data import pipeline

COUNT = 300_000  # symbols


def measure(plan, settings):
    """Codes symbols of a Laplacian, and where the source has pictures the first to evaluate.

    Args:
      plan: `training.plan.Plan`.
      settings: `settings.Settings`.

    Yields:
      Rows: dicts for JSON.
    """
    trial = plan.trials[-1]
    params = plan.initial_params(plan.seed)
    artefact = bitstream.make(plan.codec, params, trial.lambda_d, trial.lambda_p)
    rng = np.random.default_rng(0)
    group = list(artefact.tables.values())[-1]
    indices = rng.integers(0, len(group.counts), COUNT).astype(np.int32)
    symbols = np.round(rng.laplace(size=COUNT)).astype(np.int32)

    def write():
        encoder = tables.Encoder()
        encoder.write(group, indices, symbols)
        return encoder.payload()

    payload = write()
    encode = timing.median(write, settings.repeats)
    decode = timing.median(lambda: tables.Decoder(payload).read(group, indices), settings.repeats)
    yield {
        "what": f"{COUNT} symbols",
        "encode_s": round(encode, 4),
        "decode_s": round(decode, 4),
        "encode_Msymbols_per_s": round(COUNT / encode / 1e6, 2),
        "decode_Msymbols_per_s": round(COUNT / decode / 1e6, 2),
    }
    if plan.codec.rank:
        x = pipeline.evaluation_examples(plan.source, limit=1)[0].x
        stream = bitstream.encode(artefact, x)
        encode = timing.median(lambda: bitstream.encode(artefact, x), settings.repeats)
        decode = timing.median(
            lambda: bitstream.decode(artefact, stream, members=1), settings.repeats
        )
        kind = ("", "sound", "picture")[plan.codec.rank]
        size = "x".join(str(size) for size in x.shape)
        yield {
            "what": f"a {kind} of {size}, one member, {len(stream)} bytes",
            "encode_s": round(encode, 3),
            "decode_s": round(decode, 3),
        }
