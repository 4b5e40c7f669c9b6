"""From a configuration to what has to be trained: checked completely before anything runs."""

import dataclasses
import functools
import hashlib
import json
import os

import jax

from synjax import distortion, objective
from synjax.codec import modulation, package, start, synonymous
from synjax.data import pipeline, sources
from synjax.perception import base, build
from synjax.training import checks, schedule
from synjax.training import runs as running

# Crops, excerpts or vectors that the KLT is estimated from.
KLT_EXAMPLES = {"image": 400, "sound": 1000, "vector": 16384}


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a sweep needs, built from its configuration.

    Attributes:
      config: the configuration as a plain dict.
      codec: `codec.synonymous.Codec`, the same for all runs.
      source: of training examples.
      runs: `training.runs.Run`, in an order in which parents come first.
      trials: `training.runs.Trial`, rows of the table, but for levels.
    """

    config: dict
    codec: synonymous.Codec
    source: object
    runs: tuple[running.Run, ...]
    trials: tuple[running.Trial, ...]

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
        named = (run.stage.distortion or self.config["distortion"], depends.get("perception"))
        if weights := [_digest(path) for options in named for path in _files(options)]:
            depends["weights"] = weights
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
          stage: `schedule.Stage` that trains them; None for parameters that serve every λ_p.
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
          stage: `schedule.Stage`.
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
    points = running.points(sweep)
    lambda_d, lambda_p = (tuple(sorted(set(axis))) for axis in zip(*points, strict=True))
    grid = modulation.Grid(lambda_d, lambda_p)
    seeds = running.seeds(config["seeds"])
    running.check_sharing(sweep)
    told = modulation.Grid(  # what a codec can be told is a part of it
        modulation.OWN_LAMBDA_D if sweep["encoders"] == "separate" else lambda_d,
        modulation.OWN_LAMBDA_P if sweep["decoders"] == "separate" else lambda_p,
    )
    for asked in (config, *config["stages"].values()):
        distortion.build(asked.get("distortion") or config["distortion"])
    source = sources.of_config(config["data"], split="train")
    checks.test(sources.of_config(config["data"], split="test"), source)
    codec = _codec(config["codec"], source, told)
    stages = {name: _stage(name, settings) for name, settings in config["stages"].items()}
    checks.stages(stages, codec, source, config)
    checks.evaluation(config["evaluation"], list(stages.values())[-1], sweep)
    runs, trials = [], []
    for seed in seeds:
        # The first has none, so that what is trained keeps its name when seeds are added.
        suffix = "" if seed == seeds[0] else f",seed={seed}"
        of_seed = running.make(stages, sweep, points, grid, seed, suffix)
        runs, trials = runs + of_seed[0], trials + of_seed[1]
    measured = config["evaluation"].get("lambda_p") or lambda_p
    trials = [trial for trial in trials if trial.lambda_p in measured]
    return Plan(config=config, codec=codec, source=source, runs=tuple(runs), trials=tuple(trials))


def _files(options):
    """The paths of trained weights that the options of a distortion or a perception name."""
    if not isinstance(options, dict):
        return
    for name, value in options.items():
        is_path = name in ("weights", "features_path") and isinstance(value, str)
        if is_path and os.path.isfile(value):
            yield value
        yield from _files(value)


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stage(name, settings):
    """The stage of a configuration; a target that is None is none."""
    targets = settings.get("targets", {})
    set_ = {term: most for term, most in targets.items() if most is not None}
    return schedule.Stage(name=name, **settings | {"targets": set_})


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
    codec = synonymous.Codec(rank=rank, channels=shape[-1], grid=grid, **settings)
    package.require_fits(codec)
    return codec
