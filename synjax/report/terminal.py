"""A sweep in a terminal: its table, and charts of characters."""

import math
import string

import rich.text

from synjax.report import reading, slices
from synjax.reporting import table

WIDTH, HEIGHT = 60, 14  # of a chart's inside, characters
MARKS = string.digits[1:] + string.ascii_lowercase
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 32
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_cyan", "bright_yellow")


def show(runs, console):
    """Prints what there is of some runs.

    Args:
      runs: list of `reading.Run`.
      console: rich console; what is no terminal gets plain text.
    """
    frame = reading.merged(runs)
    if frame is not None:
        table.print_table(frame, console)
        charts = slices.charts(frame)
        quality = slices.qualities(frame)[:1]
        keys = [f"rate_{name}" for name in quality]
        keys += [f"distortion_{name}" for name in slices.divergences(frame)[:1]]
        for key in keys:
            for line, style in lines(charts[key], console.width):
                _print(console, line, style)
    for run in runs:
        _training(run, console)
        for trial in run.trials:
            if trial.state not in ("done", "failed"):
                _print(console, f"{trial.name}: {trial.state} {trial.reason}".rstrip(), "cyan")
            elif trial.state == "failed" and frame is None:
                _print(console, f"{trial.name}: failed: {trial.reason}", "red")
    if frame is None:
        _print(console, "No trial was evaluated yet.")


def lines(chart, width=80):
    """A chart as text: pairs (line, style), every curve with a mark of its own.

    Args:
      chart: `chart.Chart`.
      width: characters of a line.
    """
    drawn = [one for one in chart.series if one.marker]
    points = [
        (x, y, number)
        for number, one in enumerate(drawn)
        for x, y in zip(one.x, one.y, strict=True)
        if math.isfinite(x) and math.isfinite(y)
    ]
    if not points:
        return
    columns = max(10, min(WIDTH, width - 12))
    across = _scale([x for x, *_ in points], chart.x_log, columns)
    up = _scale([y for _, y, _ in points], chart.y_log, HEIGHT)
    cells = [[" "] * columns for _ in range(HEIGHT)]
    for x, y, number in points:
        row, column = HEIGHT - 1 - up(y), across(x)
        mark = MARKS[number % len(MARKS)]
        taken = cells[row][column] not in (" ", mark)
        cells[row][column] = "*" if taken else mark
    highest, lowest = max(y for _, y, _ in points), min(y for _, y, _ in points)
    log = ", logarithmic" if chart.y_log else ""
    yield "", ""
    yield f"{chart.title}: {chart.y_label}{log}", "bold"
    for row, inside in enumerate(cells):
        edge = {0: f"{highest:.3g}", HEIGHT - 1: f"{lowest:.3g}"}.get(row, "")
        yield f"{edge:>9} |{''.join(inside).rstrip()}", ""
    yield f"{'':9} +{'-' * columns}", ""
    least, most = f"{min(p[0] for p in points):.3g}", f"{max(p[0] for p in points):.3g}"
    middle = chart.x_label.center(columns - len(least) - len(most))
    yield f"{'':11}{least}{middle}{most}", ""
    for number, one in enumerate(drawn):
        yield f"{'':11}{MARKS[number % len(MARKS)]} {one.label}", COLOURS[number % len(COLOURS)]


def _scale(values, log, count):
    """Value → 0…count − 1."""
    to = math.log if log and min(values) > 0 else float
    low, high = to(min(values)), to(max(values))
    return lambda value: round((to(value) - low) / ((high - low) or 1) * (count - 1))


def _training(run, console):
    """A line for each trial: how its loss went."""
    told = [t for t in run.trials if t.training and "loss" in t.training.points]
    if not told:
        return
    _print(console, "")
    _print(console, f"Loss of {run.name}", "bold")
    name = max(len(trial.name) for trial in told)
    for trial in told:
        _, values = trial.training.points["loss"]
        spark = "" if console.options.ascii_only else f"{_spark(values)}  "
        _print(console, f"{trial.name:{name}}  {spark}{values[0]:.3g} to {values[-1]:.3g}")


def _spark(values):
    each = -(-len(values) // SPARK_WIDTH)
    means = [
        sum(values[i : i + each]) / len(values[i : i + each]) for i in range(0, len(values), each)
    ]
    low, span = min(means), (max(means) - min(means)) or 1
    text = "".join(SPARKS[round((v - low) / span * (len(SPARKS) - 1))] for v in means)
    return text.ljust(SPARK_WIDTH)


def _print(console, line, style=""):
    if console.options.ascii_only:
        line = line.replace("λ", "lambda").replace("β", "beta").encode("ascii", "replace").decode()
    console.print(rich.text.Text(line, style), soft_wrap=True)
