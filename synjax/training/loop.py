"""The one training loop: read a batch, step, log the step before, checkpoint."""

import dataclasses
import math
import time

import jax
import numpy as np
from absl import logging

from synjax import objective as terms
from synjax.codec import rounding
from synjax.data import pipeline
from synjax.perception import build as perception
from synjax.training import checkpoint, interruption, state, step


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
      checkpoint_every: steps between checkpoints.
      lambda_p_warmup: steps in which λ_p grows linearly to its value.
      targets: term of `objective.TERMS` → what it may be at most (Eq. 61): one number, or one for
        every λ_d ("distortion", "rate") or λ_p ("perception"). Its weight is then found by dual
        ascent, from the one of the sweep.
      dual_rate: see `step.ascend`.
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


def compiled(objective, stage):
    """The jitted step and the optimiser of a stage: made once, used by every run of the stage."""
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
        dual_rate=stage.dual_rate if stage.targets else 0.0,
        lambda_p_warmup=stage.lambda_p_warmup,
    )
    return jax.jit(function, donate_argnums=0), transformation


def batches(source, stage, data, seed, start):
    """Iterator of (x, real) from step `start` on."""
    options = dict(data) if source.kind == "image" else {}
    if source.kind == "image":
        options["crop"] = stage.crop
    read = pipeline.train_batches(source, batch=stage.batch, seed=seed, start_step=start, **options)
    if stage.real == "paired" or not stage.members:
        yield from ((x, x) for x in read)
        return
    # Another seed draws other examples: an independent sample of the same source.
    other = pipeline.train_batches(
        source, batch=stage.batch, seed=seed + 1_000_003, start_step=start, **options
    )
    yield from zip(read, other, strict=True)


def train(
    *,
    stage,
    conditions,
    grid,
    step_fn,
    initial,
    source,
    data,
    seed,
    directory,
    description,
    records,
    progress,
):
    """Trains one set of parameters, or continues where an earlier call was interrupted.

    Args:
      stage: `Stage`.
      conditions: list of `Condition` that the parameters serve.
      grid: `codec.modulation.Grid` of the codec.
      step_fn: from `compiled`.
      initial: `TrainState` before the first step.
      source: of training examples.
      data: options of the input pipeline.
      seed: of batches, noise and schedule.
      directory: for checkpoints.
      description: what identifies the run, for JSON; checkpoints of another one are refused.
      records: dict from a condition's name to its `records.Record`.
      progress: called with (steps done, metrics of a step) now and then.

    Returns:
      The final `TrainState`.

    Raises:
      Diverged: a loss stopped being finite; the last good checkpoint stays.
      interruption.Interrupted: a signal asked for it; the last step is saved.
      ValueError: checkpoints exist and none is whole, or they are another run's.
    """
    with checkpoint.Checkpoints(directory) as checkpoints:
        restored, start = checkpoints.restore(initial, description)
        current = initial if restored is None else restored
        for record in records.values():
            record.resume(start, stage.name)
        pending = None  # metrics of the step before, fetched while this one runs

        def settle(pending):
            index, chosen, lambda_p, levels, metrics, began = pending
            metrics = jax.device_get(metrics)
            seconds = time.monotonic() - began
            for place, which in enumerate(chosen):
                condition = conditions[which]
                values = {
                    name: float(value[place] if np.ndim(value) else value)
                    for name, value in metrics.items()
                }
                values |= {"lambda_d": condition.lambda_d, "lambda_p": float(lambda_p[place])}
                values |= {"level": int(levels[place]), "seconds": seconds}
                records[condition.name].write(index, stage.name, values)
            means = {name: float(np.mean(value)) for name, value in metrics.items()}
            bad = sorted(name for name, value in means.items() if not math.isfinite(value))
            if bad:
                reason = f"{', '.join(bad)} not finite at step {index} of stage {stage.name}"
                logging.warning("diverged: %s", reason)
                raise Diverged(reason)
            progress(index + 1, means)

        read = batches(source, stage, data, seed, start) if start < stage.steps else None
        for index in range(start, stage.steps):
            chosen, levels = schedule(seed, index, len(conditions), stage)
            x, real = next(read)
            lambda_d = np.array([conditions[c].lambda_d for c in chosen], np.float32)
            lambda_p = np.array(
                [lambda_p_of(conditions[c], grid, seed, index) for c in chosen], np.float32
            )
            targets = np.array([conditions[c].targets for c in chosen], np.float32)
            began = time.monotonic()
            current, metrics = step_fn(
                current, x, real, lambda_d, lambda_p, levels.astype(np.int32), targets
            )
            if pending is not None:
                settle(pending)
            pending = (index, chosen, lambda_p, levels, metrics, began)
            done = index + 1
            asked = interruption.requested()
            if asked or done % stage.checkpoint_every == 0 or done == stage.steps:
                settle(pending)  # nothing that is not finite is ever saved
                pending = None
                checkpoints.save(done, current, description)
            if asked:
                interruption.stop(f"at step {done} of stage {stage.name}")
    return current
