"""A comparison in files and on a terminal: BD-rates as a matrix, points, merged tables, a plot."""

import json
import pathlib

import numpy as np

from synjax.reporting import external, layout, plots, table

MARK = "comparison.json"  # what tells a directory of this module from others
_LITTLE = 0.5  # overlap below which a number is marked


def write(comparison, pairs, directory):
    """Writes points, BD-rates, the merged tables and a plot.

    Args:
      comparison: from `comparison.load`.
      pairs: from `comparison.deltas`.
      directory: new, empty, or of an earlier comparison, whose files are replaced.

    Returns:
      The paths.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    mark = {"metric": comparison.metric, "rate": comparison.rate, "notes": comparison.notes}
    numbers = pairs.pivot(index="curve", columns="anchor", values="bd_rate")
    names = list(pairs["curve"].unique()), list(pairs["anchor"].unique())
    numbers = numbers.loc[names[0], names[1]].reset_index().rename_axis(columns=None)
    contents = {  # the mark first: what is interrupted later can be repeated
        MARK: json.dumps(mark, indent=1) + "\n",
        "points.csv": comparison.points.to_csv(index=False, lineterminator="\n"),
        "bd_rate.csv": numbers.to_csv(index=False, lineterminator="\n"),
        "bd_pairs.csv": pairs.to_csv(index=False, lineterminator="\n"),
        "bd_rate.md": _markdown(comparison, pairs),
    }
    paths = [table.replace_file(directory / n, text.encode()) for n, text in contents.items()]
    if comparison.results is not None:
        paths += table.write(comparison.results, directory)
    title = "; ".join(comparison.notes)
    points, rate, metric = comparison.points, comparison.rate, comparison.metric
    labels = f"rate ({external.RATES[rate]})", _label(metric)
    paths += plots.comparison(points, rate, metric, labels, title, directory / "curves")
    return paths


def require_own(directory, paths):
    """Raises ValueError if a directory holds something else than a comparison, or an input."""
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / MARK).is_file():
        raise ValueError(f"{directory} holds something else; choose another --out")
    for path in map(pathlib.Path, paths):
        if directory.resolve() in (path.resolve(), path.resolve().parent) and directory.exists():
            raise ValueError(f"{directory} holds {path}, which is compared; choose another --out")


def print_deltas(comparison, pairs, console):
    """Prints the BD-rates, in blocks of as many columns as fit, and why some are missing."""
    label, *columns = _matrix(comparison, pairs)
    for line in _explained(comparison, pairs):
        table.print_line(console, line)
    while columns:
        block = [label, columns.pop(0)]
        while columns and layout.total_width([*block, columns[0]]) <= console.width:
            block.append(columns.pop(0))
        if console.options.ascii_only:
            block = [layout.to_ascii(column) for column in block]
        headings, rows = layout.lines(block)
        for line in headings:
            table.print_line(console, line, "bold")
        for line in [*rows, ""]:
            table.print_line(console, line)
    for reason in _reasons(pairs):
        table.print_line(console, reason)


def _label(metric):
    known = external.METRICS.get(metric)
    return known[0] if known else metric.replace("_", " ")


def _matrix(comparison, pairs):
    """Columns: the curves, their points, and a column for each anchor, numbered."""
    names = list(pairs["curve"].unique())
    number = {name: str(place) for place, name in enumerate(names, start=1)}
    sizes = comparison.points["curve"].value_counts()
    columns = [layout.Column("curve", "curve", tuple(f"{number[n]} {n}" for n in names), "left")]
    columns.append(layout.Column("points", "points", tuple(str(sizes[name]) for name in names)))
    for anchor, rows in pairs.groupby("anchor", sort=False):
        cells = zip(rows["bd_rate"], rows["bd_rate_overlap"], strict=True)
        cells = tuple(_cell(value, overlap) for value, overlap in cells)
        columns.append(layout.Column(anchor, f"{number[anchor]}", cells))
    return columns


def _cell(value, overlap):
    if np.isnan(value):
        return layout.MISSING
    # A blank where others have their mark, so that digits stand below digits.
    return f"{value + 0.0:+.1f}{'*' if overlap < _LITTLE else ' '}"


def _explained(comparison, pairs):
    unit, metric = external.RATES[comparison.rate], comparison.metric
    lines = [
        f"BD-rate in %: how much more rate ({unit}) a curve takes than the curve of the column's "
        f"number, at equal {metric}"
    ]
    if (pairs["bd_rate"].notna() & (pairs["bd_rate_overlap"] < _LITTLE)).any():
        lines.append(f"*: less than {_LITTLE:.0%} of the joint range of {metric} is common to both")
    return [*lines, *comparison.notes]


def _reasons(pairs):
    """Why numbers are missing, each reason once."""
    counts = pairs.loc[pairs["bd_rate"].isna(), "bd_rate_reason"].value_counts(sort=False)
    return [
        f"{layout.MISSING} in {n} of {len(pairs)} pairs: {reason}" for reason, n in counts.items()
    ]


def _markdown(comparison, pairs):
    columns = _matrix(comparison, pairs)
    cells = [[layout.escape_markdown(cell.strip()) for cell in column.cells] for column in columns]
    lines = [f"{line}.  " for line in _explained(comparison, pairs)] + [""]
    lines.append(f"| {' | '.join(column.heading for column in columns)} |")
    lines.append(f"|{'|'.join('---' if c.justify == 'left' else '---:' for c in columns)}|")
    lines += [f"| {' | '.join(row)} |" for row in zip(*cells, strict=True)]
    reasons = [f"- {layout.escape_markdown(reason)}" for reason in _reasons(pairs)]
    return "\n".join([*lines, "", *reasons]).rstrip() + "\n"
