"""Training curves: the records of a trial, one stage after the other, few enough to draw."""

import bisect
import dataclasses
import itertools
import math
import pathlib

from synjax import records
from synjax.report import chart

METRICS = {
    "rate": "rate (bits per element)",
    "distortion": "distortion",
    "perception": "trained divergence",
    "loss": "loss",
}
MOST_POINTS = 120  # of a curve
MOST_VALUES = 60_000  # of a page


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """What a trial's records say.

    Attributes:
      name: of the trial.
      stages: (name, first step) in order, steps counted on from stage to stage.
      points: metric -> (steps, values).
    """

    name: str
    stages: tuple
    points: dict


def read(name, paths, most=MOST_POINTS):
    """The curves of a trial.

    Args:
      name: of the trial.
      paths: of the directories of its records, in the order of its stages; what is missing or
        damaged is left out.
      most: points of each curve; more are averaged, neighbours with neighbours.

    Returns:
      A `Training`, or None without a line.
    """
    stages, found, first = [], {metric: ([], []) for metric in METRICS}, 0
    for path in paths:
        try:
            entries = records.read(pathlib.Path(path) / records.FILENAME)
        except ValueError:
            continue
        for stage in dict.fromkeys(entry["stage"] for entry in entries):
            lines = [entry for entry in entries if entry["stage"] == stage]
            stages.append((stage, first))
            for metric, (steps, values) in found.items():
                own = [(e["step"], e[metric]) for e in lines if _is_number(e.get(metric))]
                if not any(value for _, value in own):
                    continue  # 0 throughout a stage: no part of its loss
                steps += [first + step for step, _ in own]
                values += [value for _, value in own]
            first += max(entry["step"] for entry in lines) + 1
    points = {m: _thinned(*pair, stages, most) for m, pair in found.items() if any(pair[1])}
    return Training(name, tuple(stages), points) if points else None


def shortened(training, most, prefix):
    """The same with at most so many points, and a prefix to its name."""
    most, stages = min(most, MOST_POINTS), training.stages
    points = {m: _thinned(*pair, stages, most) for m, pair in training.points.items()}
    return dataclasses.replace(training, name=prefix + training.name, points=points)


def charts(trainings):
    """A chart for each metric, with a line for each trial and a mark where a stage begins.

    Args:
      trainings: of `Training`.

    Returns:
      Dict from the metric to `chart.Chart`.
    """
    colours = chart.palette(len(trainings))
    marks = {}
    for stage, first in (stage for one in trainings for stage in one.stages):
        marks.setdefault(first, {})[stage] = None
    width = max((x for one in trainings for xs, _ in one.points.values() for x in xs), default=0)
    firsts = sorted(marks)
    marks = {  # of names that would lie on each other the last is written
        first: " / ".join(marks[first]) if then - first > width / 8 else ""
        for first, then in zip(firsts, [*firsts[1:], math.inf], strict=False)
    }
    found = {}
    for metric, label in METRICS.items():
        series = [
            chart.Series(one.name, *map(tuple, one.points[metric]), colour=colour)
            for one, colour in zip(trainings, colours, strict=True)
            if metric in one.points
        ]
        if series:
            log = chart.is_wide([value for one in series for value in one.y])
            marked = tuple(sorted(marks.items())) if len(marks) <= 6 else ()
            found[metric] = chart.Chart(
                f"training-{metric}", "Training", "step", label, tuple(series),
                y_log=log, marks=marked,
            )  # fmt: skip
    return found


def _thinned(steps, values, stages, most):
    """At most `most` means of neighbours, none of two stages; short stages keep a few."""
    starts = [bisect.bisect_left(steps, first) for _, first in stages] + [len(steps)]
    few = most // 16
    middle, means = [], []
    for start, end in itertools.pairwise(starts):
        count = end - start
        own = few + (most - few * len(stages)) * count // len(steps)
        each = max(1, -(-count // max(1, own)))
        for p in range(start, end, each):
            part = slice(p, min(p + each, end))
            middle.append(sum(steps[part]) / len(steps[part]))
            means.append(sum(values[part]) / len(values[part]))
    return middle, means


def _is_number(value):
    return isinstance(value, int | float) and math.isfinite(value)
