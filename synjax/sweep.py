"""A sweep: the grid's runs, one after another, restartable at any moment."""

import dataclasses
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

from synjax import objective as terms
from synjax import records
from synjax.training import checkpoint, extension, ledger, loop, state, step

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
    """On the host: arrays that a step returned are tied to a device, and the next stage would be
    compiled once for those and again for its own.
    """
    return Outcome(
        params=jax.device_get(final.average), weights=np.exp(jax.device_get(final.multipliers))
    )


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
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
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
        raise ValueError(f"{workdir} exists and holds no sweep; choose another --workdir")
    return workdir


def read_config(workdir):
    """The configuration of a working directory; ValueError where there is none."""
    path = pathlib.Path(workdir) / CONFIG
    if not path.exists():
        raise ValueError(f"{workdir} holds no sweep: there is no {CONFIG} in it")
    return json.loads(path.read_text())


def _require_finished(directory, done, stage):
    if done < stage.steps:
        raise ValueError(f"{directory} is at step {done} of {stage.steps}: finish it with `sweep`")


class Trainer:
    """Trains the runs of a plan; compiled steps are shared by all runs of a stage."""

    def __init__(self, plan, workdir, progress, only_read=False):
        """Nothing is trained yet.

        Args:
          plan: `training.plan.Plan`.
          workdir: from `open_workdir`.
          progress: called as progress(run, steps done, metrics) after every step.
          only_read: refuse to train what is not finished; nothing is written.
        """
        self._plan = plan
        self._only_read = only_read
        self._workdir = pathlib.Path(workdir)
        self._progress = progress
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
        for run in self._plan.runs:
            if run.name in outcomes:
                continue
            parent = outcomes.get(run.parent)
            if parent is not None and parent.failure:
                outcomes[run.name] = Outcome(failure=parent.failure)
                continue
            outcomes[run.name] = self._train(run, parent)
        return outcomes

    def _directory(self, run):
        return self._workdir / self._plan.directory(run)

    def _train(self, run, parent):
        directory = self._directory(run)
        failed = directory / ledger.FAILED
        if failed.exists():
            return Outcome(failure=json.loads(failed.read_text())["reason"])
        done = checkpoint.steps_done(directory / "checkpoints")
        if self._only_read:
            _require_finished(directory, done, run.stage)
        start = run.seed, run.lambda_d
        if start not in self._initial and (parent is None or not self._initial):
            self._initial[start] = self._plan.initial_params(*start)
        params = self._initial[start] if parent is None else parent.params
        step_fn, transformation, objective = self._stage(run.stage)
        example = self._example(run.stage)
        critic_key = step.key_for(run.seed, 0, step.Purpose.INIT)
        critic = objective.perception.init(critic_key, example)
        initial = state.create(params, transformation, critic, run.seed)
        if parent is not None:  # a target that both stages have is where the first one left it
            kept = [term in run.stage.targets for term in terms.TERMS]
            multipliers = np.where(kept, np.log(parent.weights), 0.0).astype(np.float32)
            initial = initial.replace(multipliers=jnp.asarray(multipliers))
        if self._only_read:
            # Not by the loop, which opens the records and would train on from an older checkpoint.
            with checkpoint.Checkpoints(directory / "checkpoints") as checkpoints:
                final, done = checkpoints.restore(initial)
            _require_finished(directory, done, run.stage)
            return _outcome(final)
        shared = directory != self._workdir / run.name
        home = directory if shared else self._workdir
        opened = {c.name: records.Record(home / c.name) for c in run.conditions}
        try:
            final = loop.train(
                stage=run.stage,
                conditions=run.conditions,
                grid=self._plan.codec.grid,
                step_fn=step_fn,
                initial=initial,
                source=self._plan.source,
                data=self._plan.config["data"]["augment"],
                seed=run.seed,
                directory=directory / "checkpoints",
                records=opened,
                progress=lambda done, metrics: self._progress(run, done, metrics),
            )
        except loop.Diverged as error:
            failed.parent.mkdir(parents=True, exist_ok=True)
            failed.write_text(json.dumps({"reason": str(error), "time": time.time()}) + "\n")
            return Outcome(failure=str(error))
        finally:
            for record in opened.values():
                record.close()
        return _outcome(final)

    def _stage(self, stage):
        if stage.name not in self._compiled:
            # All seeds share the KLT.
            first = next(iter(self._initial.values()))
            axes = jax.device_get(first["synthesis"]["klt"])
            objective = self._plan.objective(stage, axes)
            step_fn, transformation = loop.compiled(objective, stage)
            self._compiled[stage.name] = step_fn, transformation, objective
        return self._compiled[stage.name]

    def _example(self, stage):
        codec = self._plan.codec
        sizes = (stage.crop,) * codec.rank
        return jax.ShapeDtypeStruct((stage.batch, *sizes, codec.channels), "float32")
