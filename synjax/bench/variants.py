"""The configurations that are measured beside the given one."""

import dataclasses

from synjax.codec import synonymous

COMPUTE = "compute"  # the codec's setting for the type of its hidden layers


def separate(config):
    """The same codec with an encoder and a decoder of their own for every point.

    One step then works on one condition, so that steps of several trials can be stacked.

    Args:
      config: plain dict.

    Returns:
      A plain dict; `config` itself where it is so already.
    """
    sharing = {"encoders": "separate", "decoders": "separate"}
    stages = {name: stage | {"conditions": 1} for name, stage in config["stages"].items()}
    evaluation = config["evaluation"] | {"realism": (1.0,)}
    changed = {"stages": stages, "sweep": config["sweep"] | sharing, "evaluation": evaluation}
    same = stages == config["stages"] and config["sweep"] == changed["sweep"]
    return config if same else config | changed


def precise(config, precision):
    """The configuration in a precision; None where the codec has no setting for it."""
    fields = {field.name for field in dataclasses.fields(synonymous.Codec)}
    if COMPUTE not in fields:
        return config if precision == "float32" else None
    return config | {"codec": config["codec"] | {COMPUTE: precision}}
