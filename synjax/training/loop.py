"""The one training loop: read a batch, step, log the step before, checkpoint."""

import contextlib
import dataclasses
import math
import time

import jax
import numpy as np
import optax
from absl import logging

from synjax.data import pipeline
from synjax.training import checkpoint, interruption, mesh, schedule, state, step

DUAL_RATE_END = 0.1  # of the dual rate, at the last step
SECONDS_BETWEEN_SAVES = 600  # at most, however slow a step is
STEPS_BETWEEN_LOOKS = 16  # at the clock of the first process, of several


class Diverged(RuntimeError):
    """A loss that is no longer finite; the message says where."""


def compiled(objective, stage, devices):
    """The jitted step and the optimiser of a stage: made once, used by every run of the stage.

    The step is one of stacks, see `mesh.Devices.compile`.
    """
    transformation = state.optimizer(
        learning_rate=stage.learning_rate,
        steps=stage.steps,
        warmup=stage.warmup,
        clip=stage.clip,
    )
    function = step.make(
        objective,
        transformation,
        balance=stage.balance,
        decay=stage.decay,
        # A multiplier that still moves when the learning rate has gone moves nothing.
        dual_rate=optax.cosine_decay_schedule(stage.dual_rate, stage.steps, DUAL_RATE_END)
        if stage.targets
        else None,
        lambda_p_warmup=stage.lambda_p_warmup,
    )
    return devices.compile(function), transformation


def batches(source, stage, data, seed, start, devices):
    """Iterator of (x, real) from step `start` on, on the devices."""
    options = dict(data) if source.kind == "image" else {}
    if source.kind != "vector":
        options["crop"] = stage.crop
    options |= {"batch": stage.batch, "start_step": start, "rows": devices.rows(stage.batch)}
    options["workers"] = devices.workers

    def read(seed):
        for x in pipeline.train_batches(source, seed=seed, **options):
            yield devices.place_batch(x, stage.batch)

    if stage.real == "paired" or not stage.members:
        yield from ((x, x) for x in read(seed))
        return
    # Another seed draws other examples: an independent sample of the same source.
    yield from zip(read(seed), read(seed + 1_000_003), strict=True)


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a stack: a set of parameters to train.

    Attributes:
      conditions: tuple of `schedule.Condition` that the parameters serve.
      initial: `TrainState` before the first step, of numpy arrays.
      directory: for checkpoints.
      description: what identifies the run, for JSON; checkpoints of another one are refused.
      records: dict from a condition's name to its `records.Record`; empty to record nothing.
    """

    conditions: tuple[schedule.Condition, ...]
    initial: state.TrainState
    directory: object
    description: dict
    records: dict


def train(*, stage, jobs, grid, step_fn, source, data, seed, devices, progress):
    """Trains a stack of runs, or continues where an earlier call was interrupted.

    All see the same batches and the same noise, so that their differences are not of sampling. One
    that diverges stops alone.

    Args:
      stage: `schedule.Stage`.
      jobs: list of `Job`, with equally many conditions.
      grid: `codec.modulation.Grid` of the codec.
      step_fn: from `compiled`.
      source: of training examples.
      data: options of the input pipeline.
      seed: of batches, noise and schedule.
      devices: `mesh.Devices`.
      progress: called with (steps done, mean metrics of a step) now and then.

    Returns:
      For every job its final `TrainState` of numpy arrays, or the `Diverged` that ended it; its
      last good checkpoint stays.

    Raises:
      interruption.Interrupted: a signal asked for it; the last step is saved.
      ValueError: checkpoints exist and none is whole, or they are another run's.
    """
    with contextlib.ExitStack() as opened:
        saved = [opened.enter_context(checkpoint.Checkpoints(job.directory)) for job in jobs]
        found = [
            each.restore(job.initial, job.description)
            for each, job in zip(saved, jobs, strict=True)
        ]
        results = [job.initial if s is None else s for (s, _), job in zip(found, jobs, strict=True)]
        for start in sorted({start for _, start in found if start < stage.steps}):
            places = [place for place, (_, own) in enumerate(found) if own == start]
            stack = _Stack(stage, [jobs[p] for p in places], grid, devices, progress)
            finals = stack.advance(
                step_fn,
                [results[p] for p in places],
                [saved[p] for p in places],
                batches(source, stage, data, seed, start, devices),
                range(start, stage.steps),
                seed,
            )
            for place, final in zip(places, finals, strict=True):
                results[place] = final
    return results


class _Stack:
    """Runs that train in step: what is still finite among them, and their records."""

    def __init__(self, stage, jobs, grid, devices, progress):
        self._stage, self._jobs, self._grid = stage, jobs, grid
        self._devices, self._progress = devices, progress
        self._diverged = {}  # place among the jobs -> Diverged
        self._settled = -math.inf  # when the step before was done
        self._saved = time.monotonic()

    def advance(self, step_fn, states, saved, read, steps, seed):
        """Takes the steps, with a checkpoint of every run now and then; the final states."""
        stage, count = self._stage, len(self._jobs)
        for job in self._jobs:
            for record in job.records.values():
                record.resume(steps.start, stage.name)
        current = self._devices.place_state(states)
        pending = None  # metrics of the step before, fetched while this one runs
        for index in steps:
            chosen, inputs = self._inputs(index, seed)
            x, real = self._next(read, index == steps.start)
            began = time.monotonic()
            current, metrics = step_fn(current, x, real, *inputs)
            if mesh.needs_blocking():
                jax.block_until_ready(metrics)
            if pending is not None:
                self._settle(*pending)
            pending = (index, chosen, inputs, metrics, began)
            done = index + 1
            asked = interruption.requested()
            saves = done % stage.checkpoint_every == 0 or done == stage.steps
            if asked or saves or self._is_late(done):
                self._settle(*pending)  # nothing that is not finite is ever saved
                pending = None
                for place in self._alive():
                    states[place] = self._devices.fetch(current, place)
                    saved[place].save(done, states[place], self._jobs[place].description)
                self._saved = time.monotonic()
            if asked:
                interruption.stop(f"at step {done} of stage {stage.name}")
            if len(self._diverged) == count:
                break
        return [self._diverged.get(place, states[place]) for place in range(count)]

    def _next(self, read, is_first):
        """A batch; the signal that ended its readers before they could ignore it, if one did."""
        try:
            return next(read)
        except RuntimeError:
            if is_first and interruption.arrived():
                interruption.stop(f"before stage {self._stage.name}")
            raise

    def _is_late(self, done):
        """Whether the last save was too long ago: in all processes or in none."""
        if jax.process_count() > 1 and done % STEPS_BETWEEN_LOOKS:
            return False
        return interruption.first_says(time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES)

    def _alive(self):
        return [place for place in range(len(self._jobs)) if place not in self._diverged]

    def _inputs(self, index, seed):
        """The conditions of a step [G]; its λ_d, λ_p [T, G], levels [G], targets [T, G, 3]."""
        width = len(self._jobs[0].conditions)
        chosen, levels = schedule.of_step(seed, index, width, self._stage)
        rows = [[job.conditions[c] for c in chosen] for job in self._jobs]
        rows += rows[-1:] * (self._devices.padded(len(rows)) - len(rows))

        def table(value):
            return np.array([[value(condition) for condition in row] for row in rows], np.float32)

        return chosen, (
            table(lambda condition: condition.lambda_d),
            table(lambda condition: schedule.lambda_p_of(condition, self._grid, seed, index)),
            levels.astype(np.int32),
            table(lambda condition: condition.targets),
        )

    def _settle(self, index, chosen, inputs, metrics, began):
        """Records a step, and notes what is no longer finite."""
        metrics = jax.device_get(metrics)
        # It is sent to the device while the step before runs: of that time none is its own.
        now = time.monotonic()
        seconds, self._settled = now - max(began, self._settled), now
        _, lambda_p, levels, _ = inputs
        means = []
        for place in self._alive():
            job, own = self._jobs[place], {name: value[place] for name, value in metrics.items()}
            for group, which in enumerate(chosen):
                condition = job.conditions[which]
                values = {
                    name: float(value[group] if np.ndim(value) else value)
                    for name, value in own.items()
                }
                values |= {
                    "lambda_d": condition.lambda_d,
                    "lambda_p": float(lambda_p[place, group]),
                    "level": int(levels[group]),
                    "seconds": seconds,
                }
                if job.records:
                    job.records[condition.name].write(index, self._stage.name, values)
            mean = {name: float(np.mean(value)) for name, value in own.items()}
            bad = sorted(name for name, value in mean.items() if not math.isfinite(value))
            if bad:
                reason = f"{', '.join(bad)} not finite at step {index} of stage {self._stage.name}"
                logging.warning("diverged: %s", reason)
                self._diverged[place] = Diverged(reason)
            else:
                means.append(mean)
        if means:
            names = means[0]
            self._progress(index + 1, {n: float(np.mean([m[n] for m in means])) for n in names})
