"""What of a configuration makes no sense together, said before anything runs."""

import jax
import numpy as np

from synjax.codec import chain
from synjax.data import pipeline
from synjax.perception import build
from synjax.training import runs

STAGES = (("fidelity", "perception"), ("fidelity", "joint"), ("joint",))


def stages(asked, codec, source, config):
    """Raises ValueError where stages do not fit each other, the codec or the examples.

    Args:
      asked: `schedule.Stage` by name.
      codec: `codec.synonymous.Codec`.
      source: of training examples.
      config: plain dict.
    """
    if tuple(asked) not in STAGES:
        raise ValueError(f"stages are {tuple(asked)}, must be one of {STAGES}")
    for stage in asked.values():
        _stage(stage, codec)
        if codec.rank:
            _crop(stage, codec, source, config)
    _perception(list(asked.values())[-1], codec, source, config)


def _stage(stage, codec):
    if stage.members and not codec.detail_width:
        raise ValueError(
            f"stages.{stage.name}.members must be 0 where codec.detail_width is: no detail is "
            f"there to be drawn, got {stage.members}"
        )
    for name in ("level_weights", "level_lambda_d", "level_lambda_p"):
        if len(getattr(stage, name)) != codec.levels:
            raise ValueError(
                f"stages.{stage.name}.{name} has {len(getattr(stage, name))} entries, the "
                f"codec has {codec.levels} levels"
            )
    wrong = [term for term in stage.targets if term not in runs.TARGETS[stage.name]]
    if wrong:
        raise ValueError(
            f"stages.{stage.name}.targets has {wrong[0]!r}, may have "
            f"{', '.join(runs.TARGETS[stage.name])}"
        )
    if stage.name == "fidelity" and stage.members:
        raise ValueError("stages.fidelity.members must be 0: detail is sampled in perception")


def _crop(stage, codec, source, config):
    unit = chain.unit(codec)
    if stage.crop < unit or stage.crop % unit:
        coarse = f", {chain.COARSE} of them with a hyper-latent" if codec.hyper else ""
        raise ValueError(
            f"stages.{stage.name}.crop {stage.crop} must be a multiple of the codec's "
            f"stride {codec.stride}{coarse}"
        )
    augment = dict(config["data"]["augment"]) if source.kind == "image" else {}
    # Reading one batch runs every check of the pipeline before hours are spent.
    next(pipeline.train_batches(source, batch=1, crop=stage.crop, seed=0, threads=0, **augment))


def _perception(last, codec, source, config):
    """Checks the perception module, and that what it sees in the last stage suits it."""
    sweep, options = config["sweep"], dict(config["perception"])
    name = options.pop("name")
    known = {"axes": np.eye(codec.coefficients), "groups": codec.groups, "real": last.real}
    known["picture"] = getattr(source, "picture", None)
    module = build.build(name, kind=source.kind, **known, **options)
    separate = sweep["decoders"] == "separate" and (
        sweep["encoders"] == "separate" or len(sweep["lambda_d"]) == 1
    )
    if module.learns and not (separate and last.conditions == 1):
        raise ValueError(
            f"perception {name!r} trains a critic against one decoder: set "
            "sweep.encoders and sweep.decoders to 'separate' and "
            f"stages.{last.name}.conditions to 1"
        )
    _shapes(module, codec, last)


def _shapes(module, codec, stage):
    """Raises ValueError where a perception module does not take what the stage will show it."""
    sides = (stage.crop,) * codec.rank
    count = stage.batch // stage.conditions
    real = jax.ShapeDtypeStruct((count, *sides, codec.channels), "float32")
    members = max(stage.members, 1)
    fake = jax.ShapeDtypeStruct((count, members, *real.shape[1:]), "float32")
    places = (side // codec.stride for side in sides)
    symbols = jax.ShapeDtypeStruct((count, *places, codec.latents), "float32")
    key = jax.random.key(0)

    def penalty(real, fake, symbols):
        context = {"source": real, "symbols": symbols, "level": 1}
        return module.penalty(module.init(key, real), real, fake, context, key)

    jax.eval_shape(penalty, real, fake, symbols)


def test(asked, source):
    """Raises ValueError where a codec for one source cannot be tested on another."""
    for name, known in (("kind", "{}s"), ("sample_rate", "sounds of {} Hz")):
        tested, trained = (getattr(each, name, None) for each in (asked, source))
        if tested != trained:
            raise ValueError(
                f"data.test has {known.format(tested)}, data.source {known.format(trained)}"
            )


def evaluation(asked, last, sweep):
    """Raises ValueError on an evaluation that the last stage did not train for."""
    members, realism = asked["members"], tuple(asked.get("realism", (1.0,)))
    if members < 0 or (members == 0) != (last.members == 0):
        raise ValueError(
            f"evaluation.members must be 0 where stages.{last.name}.members is (a decoder without "
            f"randomness), and positive elsewhere, got {members} and {last.members}"
        )
    numbers = all(isinstance(beta, int | float) for beta in realism)
    if not realism or not numbers or any(not 0 <= beta <= 1 for beta in realism):
        raise ValueError(f"evaluation.realism must be numbers in [0, 1], got {realism}")
    serves_all = last.name == "perception" and sweep["decoders"] != "separate"
    if set(realism) != {1.0} and not (serves_all and 0 in sweep["lambda_p"]):
        raise ValueError(
            "evaluation.realism below 1 needs one decoder for all λ_p from 0 on, beside a frozen "
            "encoder: stages fidelity and perception, 0 among sweep.lambda_p, and sweep.decoders "
            "'conditioned' or 'continuous'"
        )
    measured = tuple(asked.get("lambda_p", ()))
    if not set(measured) <= set(sweep["lambda_p"]):
        raise ValueError(
            f"evaluation.lambda_p must be of sweep.lambda_p, {sweep['lambda_p']}, got {measured}"
        )
    limit = asked["limit"]
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"evaluation.limit must be an integer from 1 or None, got {limit!r}")
    weights = asked.get("lpips")
    if not isinstance(weights, str | None):
        raise ValueError(f"evaluation.lpips must be a path or None, got {weights!r}")
