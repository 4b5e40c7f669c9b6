"""From the grid of a sweep to runs and trials: which parameters serve which points."""

import dataclasses
import itertools
import math

import numpy as np

from synjax import objective
from synjax.training import schedule

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


@dataclasses.dataclass(frozen=True)
class Run:
    """One set of parameters to train.

    Attributes:
      name: directory below the working directory.
      stage: `schedule.Stage`.
      conditions: the (λ_d, λ_p) that it serves.
      parent: name of the run whose parameters it starts from, or None.
      seed: of everything random in its training.
    """

    name: str
    stage: schedule.Stage
    conditions: tuple[schedule.Condition, ...]
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


def points(sweep):
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


def check_sharing(sweep):
    """Raises ValueError where what serves the grid is none of `SHARING`."""
    for name, allowed in SHARING.items():
        if sweep[name] not in allowed:
            raise ValueError(f"sweep.{name} is {sweep[name]!r}, must be one of {allowed}")


def seeds(asked):
    """The seeds of a configuration as a tuple; raises ValueError where they are none."""
    asked = tuple(asked)
    wrong = [s for s in asked if not isinstance(s, int) or not 0 <= s < 2**31]
    if not asked or wrong or len(set(asked)) < len(asked):
        raise ValueError(f"seeds must be different integers in 0…{2**31 - 1}, got {asked}")
    return asked


def _increasing(name, values):
    values = tuple(float(value) for value in values)
    if not values:
        raise ValueError(f"{name} is empty")
    if any(value < 0 or not np.isfinite(value) for value in values):
        raise ValueError(f"{name} must be finite and not negative, got {values}")
    if list(values) != sorted(set(values)):
        raise ValueError(f"{name} must be increasing, got {values}")
    return values


def make(stages, sweep, points, grid, seed, suffix):
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
                schedule.Condition(
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
                conditions.append(schedule.Condition(d, p, f"trials/{name}", targets, span))
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
