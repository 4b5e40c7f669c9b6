"""What both sides of a stream predict of a part of the chain from those before it, in integers.

`priors.Conditional` in the integers of `integers`, at one (λ_d, λ_p): what λ modulates is folded
into the weights. Training sees the real-valued network, without the limits that are put here: known
values beyond ±2048 steps and activations beyond ±128 saturate, which costs rate where it happens
and nothing else. A resolution of 2⁻¹² per activation needs no rounding in the loop: what it costs
in rate is far below what the tables cost (docs/design.md).
"""

import numpy as np

from synjax.codec import integers, priors

FRACTION = 8  # binary digits of latent values, centres and scales behind the point


def network(params, features):
    """The integer form of a part's conditional density.

    Args:
      params: of `priors.Conditional`.
      features: [F] of (λ_d, λ_p).

    Returns:
      dict of `integers.Layer`.

    Raises:
      ValueError: as `integers.layer`.
    """
    features = np.asarray(features, np.float64)

    def at_lambda(module, name):
        return features @ np.asarray(module[name], np.float64)

    def weights(module, kernel_scale=1.0, bias_scale=1.0, bias=0.0):
        kernel, own = (np.asarray(module[name], np.float64) for name in ("kernel", "bias"))
        return kernel * kernel_scale, own * bias_scale + bias

    block = params["block"]
    gain = np.exp(at_lambda(block, "scale"))
    low, high = priors.LOG_SCALE_RANGE
    per_index = (priors.SCALES - 1) / (high - low)
    spread, base = np.exp(at_lambda(params, "log_spread")), at_lambda(params, "log_scale")
    out_scale = np.concatenate([spread, np.full_like(base, per_index)])
    out_bias = np.concatenate([np.zeros_like(spread), (base - low) * per_index])
    stem_scale = np.exp(-at_lambda(params, "log_input"))[:, None]
    return {
        "stem": integers.layer(*weights(params["stem"], stem_scale), input_fraction=FRACTION),
        "inner": integers.layer(*weights(block["inner"], gain, gain, at_lambda(block, "shift"))),
        "outer": integers.layer(*weights(block["outer"])),
        "out": integers.layer(
            *weights(params["out"], out_scale, out_scale, out_bias), output_fraction=FRACTION
        ),
    }


def predict(layers, values):
    """Where a part's density is centred, and how wide it is.

    Args:
      layers: from `network`.
      values: int64 [*S', C'], what is known before it, in 2^−FRACTION steps.

    Returns:
      centre int64 [*S', C] in 2^−FRACTION steps, and scale int16 [*S', C], the place in
      `priors.scale_grid` in 2^−FRACTION of its spacing.
    """
    h = integers.rectified(layers["stem"](integers.clipped(values)))
    inner = integers.rectified(layers["inner"](h))
    h = integers.rectified(h + layers["outer"](inner))
    centre, scale = np.split(layers["out"](h), 2, -1)
    return centre, np.clip(scale, 0, (priors.SCALES - 1) << FRACTION).astype(np.int16)


def table_index(scale):
    """Index of the nearest table, int32, of a scale from `predict`."""
    return (scale.astype(np.int32) + (1 << FRACTION >> 1)) >> FRACTION


def log_scale(scale):
    """A scale from `predict` as the log-scale of `priors.conditional_mixture`, float32."""
    low, high = priors.LOG_SCALE_RANGE
    spacing = (high - low) / (priors.SCALES - 1)
    return (low + scale * (spacing / 2**FRACTION)).astype(np.float32)
