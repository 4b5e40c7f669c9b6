"""The one training loop: read a batch, step, log the step before, checkpoint."""

import contextlib
import dataclasses
import math
import time

import jax
import numpy as np
import optax
from absl import logging

from synjax import objective as terms
from synjax.codec import rounding
from synjax.data import pipeline
from synjax.perception import build as perception
from synjax.training import checkpoint, interruption, mesh, state, step

DUAL_RATE_END = 0.1  # of the dual rate, at the last step
SECONDS_BETWEEN_SAVES = 600  # at most, however slow a step is
STEPS_BETWEEN_LOOKS = 16  # at the clock of the first process, of several


class Diverged(RuntimeError):
    """A loss that is no longer finite; the message says where."""


@dataclasses.dataclass(frozen=True)
class Condition:
    """One (λ_d, λ_p) of a training run.

    Attributes:
      lambda_d, lambda_p: weights of Eq. 62; where a target is set, the weights it starts from.
      name: where its metrics are recorded.
      targets: of `objective.TERMS`; inf where there is none.
      span: the ends of the λ_p that a step of this condition draws from; None for its own alone.
    """

    lambda_d: float
    lambda_p: float
    name: str
    targets: tuple[float, float, float] = (math.inf,) * 3
    span: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Stage:
    """Settings of one stage, checked when it is made.

    Attributes:
      name: "fidelity" | "perception" | "joint".
      steps: optimisation steps.
      batch: examples per step, over all conditions.
      crop: side of the training crops; None for vectors.
      conditions: how many (λ_d, λ_p) a step works on; divides `batch`.
      level_weights: probability of each level, in proportion.
      level_lambda_d, level_lambda_p: see `Objective`.
      members: M, see `Objective`.
      real: "paired" | "independent", see `perception.base`.
      relaxation: see `Objective`; "none" in stage perception, which trains on what is decoded.
      learning_rate, warmup, clip: of the optimiser.
      balance, decay: see `step.make`.
      checkpoint_every: steps between checkpoints; where they take long there are more.
      lambda_p_warmup: steps in which λ_p grows linearly to its value.
      targets: term of `objective.TERMS` → what it may be at most (Eq. 61): one number, or one for
        every λ_d ("distortion", "rate") or λ_p ("perception"). Its weight is then found by dual
        ascent, from the one of the sweep.
      dual_rate: see `step.ascend`; it decays as the learning rate does, to a tenth.
      distortion: of this stage alone, as `distortion.build` takes it; None for the
        configuration's.
      amount: share of the ideal detail that the stage starts from, see `codec.detail.Amount`; None
        starts from where the parameters are. The less it is, the more the synthesis sharpens
        before it draws. Without members it is zero.
    """

    name: str
    steps: int
    batch: int
    crop: int | None
    conditions: int
    level_weights: tuple[float, ...]
    level_lambda_d: tuple[float, ...]
    level_lambda_p: tuple[float, ...]
    members: int
    real: str
    relaxation: str
    learning_rate: float
    warmup: int
    clip: float
    balance: float
    decay: float
    checkpoint_every: int
    lambda_p_warmup: int = 0
    targets: dict = dataclasses.field(default_factory=dict, hash=False)
    dual_rate: float = 0.01
    distortion: str | dict | None = dataclasses.field(default=None, hash=False)
    amount: float | None = None

    def __post_init__(self):
        """Raises ValueError naming the setting that makes no sense."""
        for name in ("steps", "batch", "conditions", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{self.name}.{name} must be at least 1, got {getattr(self, name)}"
                )
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{self.name}.{name} must be positive, got {getattr(self, name)}")
        if self.lambda_p_warmup < 0:
            raise ValueError(
                f"{self.name}.lambda_p_warmup must not be negative, got {self.lambda_p_warmup}"
            )
        self._check_targets()
        if not 0 <= self.decay < 1:
            raise ValueError(f"{self.name}.decay must be in [0, 1), got {self.decay}")
        if self.batch % self.conditions:
            raise ValueError(
                f"{self.name}.batch {self.batch} must be a multiple of "
                f"{self.name}.conditions {self.conditions}"
            )
        if self.members < 0:
            raise ValueError(f"{self.name}.members must not be negative, got {self.members}")
        if self.amount is not None and not 0 <= self.amount < math.inf:
            raise ValueError(
                f"{self.name}.amount must be finite and not negative, got {self.amount}"
            )
        perception.check_real(f"{self.name}.real", self.real)
        allowed = ("none",) if self.name == "perception" else rounding.RELAXATIONS
        if self.relaxation not in allowed:
            raise ValueError(
                f"{self.name}.relaxation is {self.relaxation!r}, must be one of "
                f"{', '.join(allowed)}"
            )
        for name in ("level_lambda_d", "level_lambda_p"):
            factors = np.asarray(getattr(self, name), float)
            if not np.all((factors >= 0) & np.isfinite(factors)):
                raise ValueError(
                    f"{self.name}.{name} must be finite and not negative, got {getattr(self, name)}"
                )
        weights = np.asarray(self.level_weights, float)
        if len(weights) == 0 or np.any(weights < 0) or not 0 < weights.sum() < math.inf:
            raise ValueError(
                f"{self.name}.level_weights must be non-negative and not all zero, "
                f"got {self.level_weights}"
            )

    def _check_targets(self):
        for term, values in self.targets.items():
            if term not in terms.TERMS:
                raise ValueError(
                    f"{self.name}.targets has {term!r}, may have {', '.join(terms.TERMS)}"
                )
            if not np.all((np.asarray(values, float) > 0) & np.isfinite(values)):
                raise ValueError(
                    f"{self.name}.targets.{term} must be positive and finite, got {values}"
                )
        if self.targets and self.conditions != 1:
            raise ValueError(
                f"{self.name}.targets find one weight for one condition: {self.name}.conditions "
                f"must be 1, got {self.conditions}"
            )
        if self.targets and not 0 < self.dual_rate < 1:
            raise ValueError(f"{self.name}.dual_rate must be in (0, 1), got {self.dual_rate}")


def schedule(seed, index, count, stage):
    """Which conditions step `index` works on, and at which levels.

    Every condition comes up equally often: the steps walk through random permutations.

    Args:
      seed: of the run.
      index: the step.
      count: number of conditions of the run.
      stage: `Stage`.

    Returns:
      Indices of conditions and levels 1…L, both int arrays [stage.conditions].
    """
    position = index * stage.conditions + np.arange(stage.conditions)
    orders = {
        int(epoch): np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)
        for epoch in np.unique(position // count)
    }
    chosen = np.array([orders[int(p // count)][p % count] for p in position])
    weights = np.asarray(stage.level_weights, float)
    generator = np.random.Generator(np.random.Philox(key=[seed, index], counter=1 << 64))
    levels = 1 + np.searchsorted(
        np.cumsum(weights) / weights.sum(), generator.random(stage.conditions), side="right"
    )
    return chosen, levels


def lambda_p_of(condition, grid, seed, index):
    """The λ_p of a step: the condition's own, or one drawn from its span.

    Args:
      condition: `Condition`.
      grid: `codec.modulation.Grid`.
      seed: of the run.
      index: the step.
    """
    if condition.span is None:
        return condition.lambda_p
    generator = np.random.Generator(np.random.Philox(key=[seed, index], counter=2 << 64))
    return grid.between(*condition.span, generator.random())


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
      conditions: tuple of `Condition` that the parameters serve.
      initial: `TrainState` before the first step, of numpy arrays.
      directory: for checkpoints.
      description: what identifies the run, for JSON; checkpoints of another one are refused.
      records: dict from a condition's name to its `records.Record`; empty to record nothing.
    """

    conditions: tuple[Condition, ...]
    initial: state.TrainState
    directory: object
    description: dict
    records: dict


def train(*, stage, jobs, grid, step_fn, source, data, seed, devices, progress):
    """Trains a stack of runs, or continues where an earlier call was interrupted.

    All see the same batches and the same noise, so that their differences are not of sampling. One
    that diverges stops alone.

    Args:
      stage: `Stage`.
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
        chosen, levels = schedule(seed, index, width, self._stage)
        rows = [[job.conditions[c] for c in chosen] for job in self._jobs]
        rows += rows[-1:] * (self._devices.padded(len(rows)) - len(rows))

        def table(value):
            return np.array([[value(condition) for condition in row] for row in rows], np.float32)

        return chosen, (
            table(lambda condition: condition.lambda_d),
            table(lambda condition: lambda_p_of(condition, self._grid, seed, index)),
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
