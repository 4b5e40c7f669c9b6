"""What a stage of training is, and what each of its steps works on."""

import dataclasses
import math

import numpy as np

from synjax import objective
from synjax.codec import rounding
from synjax.perception import build


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
        build.check_real(f"{self.name}.real", self.real)
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
            if term not in objective.TERMS:
                raise ValueError(
                    f"{self.name}.targets has {term!r}, may have {', '.join(objective.TERMS)}"
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


def of_step(seed, index, count, stage):
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
