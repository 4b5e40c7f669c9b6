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
from synjax.training import checkpoint, loop, state, step

CONFIG = "config.json"
FAILED = "failed.json"


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
    """Makes a working directory for a configuration, or checks that it holds this one.

    Args:
      workdir: directory of the sweep.
      config: plain dict.

    Returns:
      The directory as a pathlib.Path.

    Raises:
      ValueError: it holds another sweep, or something else; nothing is written then.
    """
    workdir = pathlib.Path(workdir)
    text = json.dumps(config, indent=2, sort_keys=True, default=list) + "\n"
    path = workdir / CONFIG
    if path.exists():
        try:
            held = json.loads(path.read_text())
        except ValueError:
            raise ValueError(f"{path} is not JSON: remove it or choose another workdir") from None
        differences = _differences(held, json.loads(text))
        if differences:
            listed = "; ".join(differences)
            raise ValueError(f"{workdir} holds another sweep ({listed}); choose another --workdir")
        return workdir
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise ValueError(f"{workdir} exists and holds no sweep; choose another --workdir")
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)
    return workdir


def read_config(workdir):
    """The configuration of a working directory; ValueError where there is none."""
    path = pathlib.Path(workdir) / CONFIG
    if not path.exists():
        raise ValueError(f"{workdir} holds no sweep: there is no {CONFIG} in it")
    return json.loads(path.read_text())


def _differences(held, asked, prefix=""):
    if isinstance(held, dict) and isinstance(asked, dict):
        found = []
        for key in sorted(set(held) | set(asked)):
            found += _differences(held.get(key), asked.get(key), f"{prefix}{key}.")
        return found
    return [] if held == asked else [f"{prefix[:-1]} is {held!r} there, {asked!r} here"]


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

    def train_all(self):
        """Trains or finishes every run; a run that diverges does not stop the others.

        Returns:
          dict from the run's name to its `Outcome`.

        Raises:
          ValueError: `only_read` and a run is not finished, or its checkpoints are damaged.
        """
        outcomes = {}
        for run in self._plan.runs:
            parent = outcomes.get(run.parent)
            if parent is not None and parent.failure:
                outcomes[run.name] = Outcome(failure=parent.failure)
                continue
            outcomes[run.name] = self._train(run, parent)
        return outcomes

    def _directory(self, run):
        """Where a run lives: encoders that other sweeps can use too, under what made them."""
        shared = self._plan.config.get("shared_encoders")
        if shared and run.stage.name == "fidelity":
            return self._workdir / shared / self._plan.run_hash(run)
        return self._workdir / run.name

    def _train(self, run, parent):
        directory = self._directory(run)
        failed = directory / FAILED
        if failed.exists():
            return Outcome(failure=json.loads(failed.read_text())["reason"])
        done = checkpoint.steps_done(directory / "checkpoints")
        if self._only_read:
            _require_finished(directory, done, run.stage)
        if run.seed not in self._initial:
            self._initial[run.seed] = self._plan.initial_params(run.seed)
        params = self._initial[run.seed] if parent is None else parent.params
        step_fn, transformation, objective = self._stage(run.stage)
        example = self._example(run.stage)
        critic_key = step.key_for(run.seed, 0, step.Purpose.INIT)
        critic = objective.perception.init(critic_key, example)
        initial = state.create(params, transformation, critic, run.seed)
        if parent is not None:  # a target that both stages have is where the first one left it
            kept = [term in run.stage.targets for term in terms.TERMS]
            multipliers = np.where(kept, np.log(parent.weights), 0.0).astype(np.float32)
            initial = initial.replace(multipliers=jnp.asarray(multipliers))
        description = {
            "run": self._plan.run_hash(run),
            "stage": run.stage.name,
            "seed": run.seed,
        }
        if self._only_read:
            # Not by the loop, which opens the records and would train on from an older checkpoint.
            with checkpoint.Checkpoints(directory / "checkpoints") as checkpoints:
                final, done = checkpoints.restore(initial, description)
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
                description=description,
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
