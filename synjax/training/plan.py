"""From a configuration to what has to be trained: checked completely before anything runs."""

import dataclasses
import functools
import hashlib
import itertools
import json
import math

import jax
import numpy as np

from synjax import distortion, objective
from synjax.codec import modulation, start, synonymous
from synjax.data import pipeline, sources
from synjax.perception import base, build
from synjax.training import loop

# What serves the grid: one set of parameters that is told the λ's, one for every point, or (of
# decoders) one that is trained at every λ_p between the points too.
SHARING = {
    "encoders": ("conditioned", "separate"),
    "decoders": ("conditioned", "separate", "continuous"),
}
# What each stage can hold to a target, and the axis along which the targets may differ.
TARGETS = {
    "fidelity": {"distortion": "lambda_d", "rate": "lambda_d"},
    "perception": {"distortion": "lambda_d", "perception": "lambda_p"},
    "joint": {"distortion": "lambda_d", "rate": "lambda_d", "perception": "lambda_p"},
}
# Crops, excerpts or vectors that the KLT is estimated from.
KLT_EXAMPLES = {"image": 400, "sound": 1000, "vector": 16384}


@dataclasses.dataclass(frozen=True)
class Run:
    """One set of parameters to train.

    Attributes:
      name: directory below the working directory.
      stage: `loop.Stage`.
      conditions: the (λ_d, λ_p) that it serves.
      parent: name of the run whose parameters it starts from, or None.
      seed: of everything random in its training.
    """

    name: str
    stage: loop.Stage
    conditions: tuple[loop.Condition, ...]
    parent: str | None
    seed: int

    @property
    def lambda_d(self):
        """The λ_d that it serves, increasing."""
        return tuple(sorted({condition.lambda_d for condition in self.conditions}))


@dataclasses.dataclass(frozen=True)
class Trial:
    """One (λ_d, λ_p) and seed of the table, and the runs that its two halves come from.

    Attributes:
      name: of its directory, and in the table.
      lambda_d, lambda_p: weights of Eq. 62, or what targets started from.
      encoder, decoder: names of runs; the same where they were trained as one.
      seed: of both.
      targets: that any stage was held to, in the order of `objective.TERMS`; inf for none.
    """

    name: str
    lambda_d: float
    lambda_p: float
    encoder: str
    decoder: str
    seed: int
    targets: tuple[float, float, float] = (math.inf,) * 3

    @property
    def is_joint(self):
        """Whether encoder and decoder were trained as one."""
        return self.encoder == self.decoder


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a sweep needs, built from its configuration.

    Attributes:
      config: the configuration as a plain dict.
      codec: `codec.synonymous.Codec`, the same for all runs.
      source: of training examples.
      runs: in an order in which parents come first.
      trials: rows of the table, but for levels.
    """

    config: dict
    codec: synonymous.Codec
    source: object
    runs: tuple[Run, ...]
    trials: tuple[Trial, ...]

    @property
    def seed(self):
        """The first of the seeds, which also draws the examples of the KLT that all seeds share."""
        return self.config["seeds"][0]

    @property
    def config_hash(self):
        """Twelve hexadecimal digits that name the configuration."""
        return config_hash(self.config)

    @property
    def has_realism(self):
        """Whether decoders serve all λ_p from 0 on, beside an encoder that knows none of them."""
        served = {condition.lambda_p for condition in self.runs[-1].conditions}
        return self.runs[-1].stage.name == "perception" and 0 in served and len(served) > 1

    def run_hash(self, run):
        """Names all that a run depends on: equal names, equal parameters.

        Which other λ's and seeds the sweep has is not among it, unless the run serves them too.
        """
        stage = {k: v for k, v in self.config["stages"][run.stage.name].items() if k != "targets"}
        data = {k: v for k, v in self.config["data"].items() if v is not None and k != "test"}
        depends = {"data": data, "distortion": self.config["distortion"]}
        if fingerprint := getattr(self.source, "fingerprint", None):  # of files that may change
            depends |= {"contents": fingerprint}
        codec = repr(self.codec_of(run.stage))
        depends |= {"codec": codec, "stage": stage, "targets": sorted(run.stage.targets)}
        if self.codec.compute != "float32":  # what is not said has the name it always had
            depends |= {"compute": self.codec.compute}
        served = [dataclasses.replace(condition, name="") for condition in run.conditions]
        depends |= {"conditions": repr(served), "seed": run.seed, "first": self.seed}
        if run.stage.name != "fidelity":
            depends["perception"] = self.config["perception"]
            if code := build.own_code(self.config["perception"]):
                depends["perception_code"] = code
        for parent in (other for other in self.runs if other.name == run.parent):
            depends["parent"] = self.run_hash(parent)
        return config_hash(depends)

    def directory(self, run):
        """Where a run lives, from the sweep's directory: encoders that other sweeps can use too,
        under what made them.
        """
        shared = self.config.get("shared_encoders")
        if shared and run.stage.name == "fidelity":
            return f"{shared}/{self.run_hash(run)}"
        return run.name

    def records(self, run):
        """The directories of a run's records, from the sweep's directory."""
        home = self.directory(run)
        prefix = "" if home == run.name else f"{home}/"
        return [prefix + condition.name for condition in run.conditions]

    def examples(self):
        """Examples that the KLT is estimated from, [N, *S, C]."""
        count = KLT_EXAMPLES[self.source.kind]
        kind = self.source.kind
        options = dict(self.config["data"]["augment"]) if kind == "image" else {}
        if kind != "vector":
            options["crop"] = self.runs[0].stage.crop
        count = min(count, len(self.source)) if kind == "vector" else count
        read = pipeline.train_batches(
            self.source, batch=count, seed=self.seed, threads=0, **options
        )
        return next(read)

    def codec_of(self, stage):
        """The codec as a stage trains it: `fidelity` knows no λ_p, so that its encoder depends on
        none and serves sweeps over any.
        """
        if stage.name != "fidelity":
            return self.codec
        own = dataclasses.replace(self.codec.grid, lambda_p=(0.0,))
        return dataclasses.replace(self.codec, grid=own)

    def initial_params(self, seed, lambda_d=None, stage=None):
        """Parameters before training, from the KLT of `examples`.

        Args:
          seed: of what is drawn.
          lambda_d: all that the parameters serve, a tuple; None for those of the first run.
          stage: `loop.Stage` that trains them; None for parameters that serve every λ_p.
        """
        codec = self.codec if stage is None else self.codec_of(stage)
        own = dataclasses.replace(codec.grid, lambda_d=lambda_d or self.runs[0].lambda_d)
        codec = dataclasses.replace(codec, grid=own)
        return start.params(codec, jax.random.key(seed), self._sample)

    @functools.cached_property
    def _sample(self):
        """What all runs start from: the KLT of `examples`."""
        return start.statistics_of(self.codec, self.examples())

    def objective(self, stage, axes):
        """Eq. 62 as a stage sees it.

        Args:
          stage: `loop.Stage`.
          axes: the codec's KLT [E, E], directions for a sliced distance.
        """
        if stage.name == "fidelity":
            perception = base.NoPerception()
        else:
            options = dict(self.config["perception"])
            name = options.pop("name")
            perception = build.build(
                name,
                kind=self.source.kind,
                axes=axes,
                groups=self.codec.groups,
                picture=getattr(self.source, "picture", None),
                real=stage.real,
                **options,
            )
        return objective.Objective(
            codec=self.codec_of(stage),
            distortion=distortion.build(stage.distortion or self.config["distortion"]),
            perception=perception,
            members=stage.members,
            relaxation=stage.relaxation,
            level_lambda_d=stage.level_lambda_d,
            level_lambda_p=stage.level_lambda_p,
            frozen=("analysis", "prior", "detail") if stage.name == "perception" else (),
            rounded_rate="rate" in stage.targets,
        )


def config_hash(config):
    """Twelve hexadecimal digits of the SHA-256 of a configuration in canonical JSON."""
    text = json.dumps(config, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make(config):
    """The plan of a configuration.

    Args:
      config: plain dict, as `configs/` describe it.

    Returns:
      A `Plan`.

    Raises:
      ValueError: a setting that is unknown, missing or makes no sense; nothing has run by then.
    """
    sweep = config["sweep"]
    points = _points(sweep)
    lambda_d, lambda_p = (tuple(sorted(set(axis))) for axis in zip(*points, strict=True))
    grid = modulation.Grid(lambda_d, lambda_p)
    seeds = _seeds(config["seeds"])
    for name, allowed in SHARING.items():
        if sweep[name] not in allowed:
            raise ValueError(f"sweep.{name} is {sweep[name]!r}, must be one of {allowed}")
    told = modulation.Grid(  # what a codec can be told is a part of it
        modulation.OWN_LAMBDA_D if sweep["encoders"] == "separate" else lambda_d,
        modulation.OWN_LAMBDA_P if sweep["decoders"] == "separate" else lambda_p,
    )
    for asked in (config, *config["stages"].values()):
        distortion.build(asked.get("distortion") or config["distortion"])
    source = sources.of_config(config["data"], split="train")
    _check_test(sources.of_config(config["data"], split="test"), source)
    codec = _codec(config["codec"], source, told)
    stages = {name: _stage(name, settings) for name, settings in config["stages"].items()}
    _check_stages(stages, codec, source, config)
    _check_evaluation(config["evaluation"], list(stages.values())[-1], sweep)
    runs, trials = [], []
    for seed in seeds:
        # The first has none, so that what is trained keeps its name when seeds are added.
        suffix = "" if seed == seeds[0] else f",seed={seed}"
        of_seed = _runs(stages, sweep, points, grid, seed, suffix)
        runs, trials = runs + of_seed[0], trials + of_seed[1]
    measured = config["evaluation"].get("lambda_p") or lambda_p
    trials = [trial for trial in trials if trial.lambda_p in measured]
    return Plan(config=config, codec=codec, source=source, runs=tuple(runs), trials=tuple(trials))


def _stage(name, settings):
    """The stage of a configuration; a target that is None is none."""
    targets = settings.get("targets", {})
    set_ = {term: most for term, most in targets.items() if most is not None}
    return loop.Stage(name=name, **settings | {"targets": set_})


def _points(sweep):
    """The (λ_d, λ_p) of a sweep: its grid, and what it wants besides."""
    lambda_d = _increasing("sweep.lambda_d", sweep["lambda_d"])
    lambda_p = _increasing("sweep.lambda_p", sweep["lambda_p"])
    points = set(itertools.product(lambda_d, lambda_p))
    for point in sweep["also"]:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise ValueError(f"sweep.also must hold pairs (λ_d, λ_p), got {point!r}")
        points.add(tuple(_increasing("sweep.also", (value,))[0] for value in point))
    if sweep["also"] and (sweep["encoders"], sweep["decoders"]) != ("separate",) * 2:
        raise ValueError("sweep.also needs sweep.encoders and sweep.decoders to be 'separate'")
    return sorted(points)


def _seeds(seeds):
    seeds = tuple(seeds)
    wrong = [s for s in seeds if not isinstance(s, int) or not 0 <= s < 2**31]
    if not seeds or wrong or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different integers in 0…{2**31 - 1}, got {seeds}")
    return seeds


def _increasing(name, values):
    values = tuple(float(value) for value in values)
    if not values:
        raise ValueError(f"{name} is empty")
    if any(value < 0 or not np.isfinite(value) for value in values):
        raise ValueError(f"{name} must be finite and not negative, got {values}")
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must be increasing, got {values}")
    return values


def _codec(settings, source, grid):
    known = {field.name for field in dataclasses.fields(synonymous.Codec)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"codec has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")
    rank = {"vector": 0, "sound": 1, "image": 2}[source.kind]
    settings = {
        name: tuple(value) if isinstance(value, list | tuple) else value
        for name, value in settings.items()
    }
    shape = source[0].shape
    if rank == 1:
        settings["sample_rate"] = source.sample_rate
    if rank == 0:
        settings["stride"] = 1
        settings["groups"] = settings["groups"] or (shape[-1],)  # all components in one group
    return synonymous.Codec(rank=rank, channels=shape[-1], grid=grid, **settings)


def _check_stages(stages, codec, source, config):
    sweep = config["sweep"]
    allowed = (("fidelity", "perception"), ("fidelity", "joint"), ("joint",))
    if tuple(stages) not in allowed:
        raise ValueError(f"stages are {tuple(stages)}, must be one of {allowed}")
    for stage in stages.values():
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
        wrong = [term for term in stage.targets if term not in TARGETS[stage.name]]
        if wrong:
            raise ValueError(
                f"stages.{stage.name}.targets has {wrong[0]!r}, may have "
                f"{', '.join(TARGETS[stage.name])}"
            )
        if stage.name == "fidelity" and stage.members:
            raise ValueError("stages.fidelity.members must be 0: detail is sampled in perception")
        if codec.rank:
            if stage.crop < codec.stride or stage.crop % codec.stride:
                raise ValueError(
                    f"stages.{stage.name}.crop {stage.crop} must be a multiple of the codec's "
                    f"stride {codec.stride}"
                )
            augment = dict(config["data"]["augment"]) if source.kind == "image" else {}
            # Reading one batch runs every check of the pipeline before hours are spent.
            next(
                pipeline.train_batches(
                    source, batch=1, crop=stage.crop, seed=0, threads=0, **augment
                )
            )
    options = dict(config["perception"])
    name = options.pop("name")
    last = list(stages.values())[-1]
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
    _check_shapes(module, codec, last)


def _check_shapes(module, codec, stage):
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


def _check_test(test, source):
    """Raises ValueError where a codec for one source cannot be tested on another."""
    for name, known in (("kind", "{}s"), ("sample_rate", "sounds of {} Hz")):
        asked, trained = (getattr(each, name, None) for each in (test, source))
        if asked != trained:
            raise ValueError(
                f"data.test has {known.format(asked)}, data.source {known.format(trained)}"
            )


def _check_evaluation(evaluation, last, sweep):
    """Raises ValueError on an evaluation that the last stage did not train for."""
    members, realism = evaluation["members"], tuple(evaluation.get("realism", (1.0,)))
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
    measured = tuple(evaluation.get("lambda_p", ()))
    if not set(measured) <= set(sweep["lambda_p"]):
        raise ValueError(
            f"evaluation.lambda_p must be of sweep.lambda_p, {sweep['lambda_p']}, got {measured}"
        )
    limit = evaluation["limit"]
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"evaluation.limit must be an integer from 1 or None, got {limit!r}")
    weights = evaluation.get("lpips")
    if not isinstance(weights, str | None):
        raise ValueError(f"evaluation.lpips must be a path or None, got {weights!r}")


def _targets(stage, point, axes):
    """The targets of a stage at a point, in the order of `objective.TERMS`; inf for none."""
    found = []
    for term in objective.TERMS:
        values = stage.targets.get(term, math.inf)
        if isinstance(values, list | tuple):
            axis = TARGETS[stage.name][term]
            if len(values) != len(axes[axis]):
                raise ValueError(
                    f"stages.{stage.name}.targets.{term} has {len(values)} entries, the sweep has "
                    f"{len(axes[axis])} values of {axis}"
                )
            values = values[axes[axis].index(point[axis])]
        found.append(float(values))
    if point["lambda_p"] == 0:
        found[1] = math.inf  # a weight of zero stays zero
    return tuple(found)


def _span(grid, lambda_p, column):
    """The λ_p that are nearer to `lambda_p` than to its neighbours in a column."""
    place = column.index(lambda_p)
    before, after = column[max(place - 1, 0)], column[min(place + 1, len(column) - 1)]
    return grid.between(before, lambda_p, 0.5), grid.between(lambda_p, after, 0.5)


def _name(**grids):
    return ",".join(f"{key}=" + "+".join(f"{v:g}" for v in grid) for key, grid in grids.items())


def _runs(stages, sweep, points, grid, seed, suffix):
    """Runs and trials of the points under the sharing that the sweep asks for."""
    lambda_d = tuple(sorted({d for d, _ in points}))
    d_sets = [lambda_d] if sweep["encoders"] == "conditioned" else [(d,) for d in lambda_d]
    axes = {"lambda_d": lambda_d, "lambda_p": tuple(sorted({p for _, p in points}))}
    continuous = sweep["decoders"] == "continuous"
    if continuous and axes["lambda_p"][0] > 0:
        raise ValueError("sweep.decoders 'continuous' needs 0 among sweep.lambda_p")
    two_stages = "fidelity" in stages
    stage = list(stages.values())[-1]
    runs, trials = [], []
    for d_set in d_sets:
        encoder = f"encoders/{_name(ld=d_set)}{suffix}"
        if two_stages:
            conditions = tuple(
                loop.Condition(
                    d,
                    0.0,
                    f"encoders/{_name(ld=(d,))}{suffix}/record",
                    _targets(stages["fidelity"], {"lambda_d": d, "lambda_p": 0.0}, axes),
                )
                for d in d_set
            )
            runs.append(_run(encoder, stages["fidelity"], conditions, None, seed))
        lambda_p = tuple(sorted({p for d, p in points if d in d_set}))
        p_sets = [(p,) for p in lambda_p] if sweep["decoders"] == "separate" else [lambda_p]
        for p_set in p_sets:
            decoder = f"decoders/{_name(ld=d_set, lp=p_set)}{suffix}"
            conditions = []
            for d, p in ((d, p) for d in d_set for p in p_set if (d, p) in points):
                name = _name(ld=(d,), lp=(p,)) + suffix
                point = {"lambda_d": d, "lambda_p": p}
                targets = _targets(stage, point, axes)
                of_all = [_targets(other, point, axes) for other in stages.values()]
                span = _span(grid, p, p_set) if continuous else None
                conditions.append(loop.Condition(d, p, f"trials/{name}", targets, span))
                owner = encoder if stage.name == "perception" else decoder
                asked = tuple(min(own) for own in zip(*of_all, strict=True))
                trials.append(Trial(name, d, p, owner, decoder, seed, asked))
            parent = encoder if two_stages else None
            runs.append(_run(decoder, stage, tuple(conditions), parent, seed))
    return runs, sorted(trials, key=lambda t: (t.lambda_d, t.lambda_p))


def _run(name, stage, conditions, parent, seed):
    if stage.conditions > len(conditions):
        raise ValueError(
            f"stages.{stage.name}.conditions is {stage.conditions}, but a run of this sweep "
            f"serves only {len(conditions)}"
        )
    if stage.targets and len(conditions) > 1:
        raise ValueError(
            f"stages.{stage.name}.targets find one weight for one point: set sweep.encoders and "
            "sweep.decoders to 'separate'"
        )
    return Run(name, stage, conditions, parent, seed)
