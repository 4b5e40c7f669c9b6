"""A sweep: the grid's runs, one after another or in stacks, restartable at any moment."""

import dataclasses
import json
import pathlib
import time

import jax
import numpy as np

from synjax import objective as terms
from synjax import records
from synjax.codec import detail, start
from synjax.reporting import table
from synjax.training import checkpoint, extension, ledger, loop, mesh, state, step

CONFIG = "config.json"


@dataclasses.dataclass
class Outcome:
    """What a finished run leaves, or why it leaves nothing.

    Attributes:
      params: averaged parameters.
      weights: of `objective.TERMS`, by which a target changed λ_d, λ_p and the rate's one; [3].
      failure: why there are none.
    """

    params: object = None
    weights: np.ndarray | None = None
    failure: str | None = None


def _outcome(final):
    """What the state after the last step, of numpy arrays, leaves."""
    return Outcome(params=final.average, weights=np.exp(final.multipliers))


def open_workdir(workdir, config):
    """Makes a working directory for a configuration, or checks that it holds it or can grow to it.

    Args:
      workdir: directory of the sweep.
      config: plain dict.

    Returns:
      The directory as a pathlib.Path.

    Raises:
      ValueError: it holds another sweep, or something else; nothing is written then.
    """
    workdir = check_workdir(workdir, config)
    text = _text(config)
    path = workdir / CONFIG
    if path.exists() and path.read_text() == text:
        return workdir
    workdir.mkdir(parents=True, exist_ok=True)
    table.replace_file(path, text.encode())
    return workdir


def _text(config):
    return json.dumps(config, indent=2, sort_keys=True, default=list) + "\n"


def check_workdir(workdir, config):
    """Raises what `open_workdir` does, and returns what it does, but writes nothing."""
    workdir = pathlib.Path(workdir)
    path = workdir / CONFIG
    if path.exists():
        try:
            held = json.loads(path.read_text())
        except ValueError:
            raise ValueError(f"{path} is not JSON: remove it or choose another workdir") from None
        extension.check(workdir, held, json.loads(_text(config)))
    elif workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise ValueError(f"{workdir} exists and holds no sweep; choose another directory")
    return workdir


def read_config(workdir):
    """The configuration of a working directory; ValueError where there is none."""
    path = pathlib.Path(workdir) / CONFIG
    if not path.exists():
        raise ValueError(f"{workdir} holds no sweep: there is no {CONFIG} in it")
    config = ledger.read_json(path)
    if not isinstance(config, dict) or not {"variants", "sweep"} & set(config):
        raise ValueError(f"{path} is no configuration: it has no key 'sweep'")
    return config


def _require_finished(directory, done, stage):
    if done >= stage.steps:
        return
    if checkpoint.steps_done(directory / "checkpoints") >= stage.steps:
        damaged = directory / "checkpoints" / f"{stage.steps:08d}"
        raise ValueError(f"{damaged} is damaged: remove it, and `sweep` trains on from step {done}")
    raise ValueError(f"{directory} is at step {done} of {stage.steps}: finish it with `sweep`")


class Trainer:
    """Trains the runs of a plan; compiled steps are shared by all runs of a stage."""

    def __init__(self, plan, workdir, progress, only_read=False, devices=None):
        """Nothing is trained yet.

        Args:
          plan: `training.plan.Plan`.
          workdir: from `open_workdir`.
          progress: called as progress(run, steps done, metrics) after every step; of runs that
            train at once, with the first of them and the means over all.
          only_read: refuse to train what is not finished; nothing is written.
          devices: as for `fitted`.

        Raises:
          ValueError: the devices cannot share a batch equally.
        """
        self._plan = plan
        self._only_read = only_read
        self._workdir = pathlib.Path(workdir)
        self._progress = progress
        self._devices = fitted(devices, [plan])
        self._compiled = {}
        self._initial = {}

    def train_all(self, known=None):
        """Trains or finishes every run; a run that diverges does not stop the others.

        Args:
          known: outcomes of runs that are done already, by name.

        Returns:
          dict from the run's name to its `Outcome`.

        Raises:
          ValueError: `only_read` and a run is not finished, or its checkpoints are damaged.
        """
        outcomes = dict(known or {})
        missing = [run for run in self._plan.runs if run.name not in outcomes]
        for runs in stacks(missing, self._devices.capacity):
            parents = [outcomes.get(run.parent) for run in runs]
            todo = []
            for run, parent in zip(runs, parents, strict=True):
                failure = (parent and parent.failure) or self._failure(run)
                if failure:
                    outcomes[run.name] = Outcome(failure=failure)
                else:
                    todo.append((run, parent))
            if todo:
                outcomes |= self._train(*zip(*todo, strict=True))
        return outcomes

    def _directory(self, run):
        return self._workdir / self._plan.directory(run)

    def _failure(self, run):
        """Why a run was given up in an earlier call, or None."""
        failed = self._directory(run) / ledger.FAILED
        return ledger.read_json(failed)["reason"] if failed.exists() else None

    def _train(self, runs, parents):
        """Outcomes, by name, of runs that fit one stack."""
        stage, seed = runs[0].stage, runs[0].seed
        if self._only_read:
            for run in runs:
                directory = self._directory(run)
                _require_finished(
                    directory, checkpoint.steps_done(directory / "checkpoints"), stage
                )
        for run, parent in zip(runs, parents, strict=True):
            begin = run.seed, run.lambda_d
            if begin not in self._initial and (parent is None or not self._initial):
                self._initial[begin] = (
                    start.blank(self._plan.codec_of(stage))
                    if self._only_read
                    else self._plan.initial_params(*begin, stage)
                )
        initial = [
            self._initial_state(run, parent) for run, parent in zip(runs, parents, strict=True)
        ]
        if self._only_read:
            # Not by the loop, which opens the records and would train on from an older checkpoint.
            return {
                run.name: self._read(run, target) for run, target in zip(runs, initial, strict=True)
            }
        jobs = [
            loop.Job(
                run.conditions,
                state,
                self._directory(run) / "checkpoints",
                self._description(run),
                self._records(run),
            )
            for run, state in zip(runs, initial, strict=True)
        ]
        try:
            finals = loop.train(
                stage=stage,
                jobs=jobs,
                grid=self._plan.codec.grid,
                step_fn=self._stage(stage)[0],
                source=self._plan.source,
                data=self._plan.config["data"]["augment"],
                seed=seed,
                devices=self._devices,
                progress=lambda done, metrics: self._progress(runs[0], done, metrics),
            )
        finally:
            for job in jobs:
                for record in job.records.values():
                    record.close()
        return {run.name: self._outcome(run, f) for run, f in zip(runs, finals, strict=True)}

    def _outcome(self, run, final):
        if not isinstance(final, loop.Diverged):
            return _outcome(final)
        if mesh.is_first():
            text = json.dumps({"reason": str(final), "time": time.time()}) + "\n"
            table.replace_file(self._directory(run) / ledger.FAILED, text.encode())
        return Outcome(failure=str(final))

    def _initial_state(self, run, parent):
        """The state before a run's first step, of numpy arrays."""
        if parent is None:
            params = self._initial[run.seed, run.lambda_d]
        else:
            params = start.serving(self._plan.codec_of(run.stage), parent.params)
        _, transformation, objective = self._stage(run.stage)
        critic_key = step.key_for(run.seed, 0, step.Purpose.INIT)

        def make(params, key):
            # A stage that draws nothing trains no amount, and none is left to who draws later.
            amount = run.stage.amount if run.stage.members else 0.0
            if amount is not None:
                params = detail.starting(params, amount)
            critic = objective.perception.init(key, self._example(run.stage))
            return state.create(params, transformation, critic, run.seed)

        if self._only_read:  # a checkpoint takes its place: only shapes are needed
            shapes = jax.eval_shape(make, params, critic_key)
            return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        initial = jax.device_get(make(params, critic_key))
        if parent is None:
            return initial
        # A target that both stages have is where the first one left it.
        kept = [term in run.stage.targets for term in terms.TERMS]
        multipliers = np.where(kept, np.log(parent.weights), 0.0).astype(np.float32)
        return initial.replace(multipliers=multipliers)

    def _description(self, run):
        """What names a run beside its checkpoints, so that no other one takes them for its own."""
        return {"run": self._plan.run_hash(run), "stage": run.stage.name, "seed": run.seed}

    def _records(self, run):
        if not mesh.is_first():
            return {}
        directory = self._directory(run)
        shared = directory != self._workdir / run.name
        home = directory if shared else self._workdir
        return {c.name: records.Record(home / c.name) for c in run.conditions}

    def _read(self, run, target):
        """The outcome of a finished run."""
        directory = self._directory(run)
        with checkpoint.Checkpoints(directory / "checkpoints") as checkpoints:
            final, done = checkpoints.restore(target, self._description(run))
        _require_finished(directory, done, run.stage)
        return _outcome(final)

    def _stage(self, stage):
        if stage.name not in self._compiled:
            # All seeds share the KLT.
            first = next(iter(self._initial.values()))
            axes = jax.device_get(first["synthesis"]["klt"])
            objective = self._plan.objective(stage, axes)
            step_fn, transformation = loop.compiled(objective, stage, self._devices)
            self._compiled[stage.name] = step_fn, transformation, objective
        return self._compiled[stage.name]

    def _example(self, stage):
        codec = self._plan.codec
        sizes = (stage.crop,) * codec.rank
        return jax.ShapeDtypeStruct((stage.batch, *sizes, codec.channels), "float32")


def fitted(devices, plans):
    """Devices in a mesh that shares the batches of all plans equally.

    Args:
      devices: `training.mesh.Devices`; all there are, where none are given.
      plans: of `training.plan.Plan`.

    Raises:
      ValueError: a mesh that was asked for cannot share a batch.
    """
    stages = [run.stage for plan in plans for run in plan.runs]
    batches = {(f"stages.{stage.name}.batch", stage.batch) for stage in stages}
    return (devices or mesh.make()).fitting(sorted(batches))


def copies(plans, devices):
    """A line on devices that have no trial of their own and train another's; None if all have one.

    Args:
      plans: of `training.plan.Plan`.
      devices: from `fitted`.
    """
    found = {}
    for runs in (runs for plan in plans for runs in stacks(plan.runs, devices.capacity)):
        places, name = devices.padded(len(runs)), runs[0].stage.name
        found[name] = max(found.get(name, (0, 0)), (places - len(runs), places))
    found = {name: counts for name, counts in found.items() if counts[0]}
    if not found:
        return None
    where = ", ".join(f"{spare} of {of} in stage {name}" for name, (spare, of) in found.items())
    return (
        f"Warning: of the trials that train at once some are copies ({where}). What would use "
        "their devices: batches that are multiples of more devices (stages.STAGE.batch, and "
        "--mesh where it is given), or more runs that are alike (sweep.encoders and "
        "sweep.decoders 'separate')"
    )


def stacks(runs, capacity):
    """Runs that are trained at once: of one stage and seed, with equally many conditions.

    Args:
      runs: of a plan.
      capacity: at most so many at once; None for no limit.

    Returns:
      List of lists of runs, in which parents come first.
    """
    grouped = {}
    for run in runs:
        alike = run.parent is not None, run.stage.name, run.seed, len(run.conditions)
        grouped.setdefault(alike, []).append(run)
    found = []
    for alike in sorted(grouped, key=lambda alike: alike[0]):
        group = grouped[alike]
        size = capacity or len(group)
        found += [group[first : first + size] for first in range(0, len(group), size)]
    return found
