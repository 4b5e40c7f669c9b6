"""Rate–quality curves of several tables and of results from elsewhere, side by side.

A curve of a table holds its rows of one run, λ_p and level, their seeds averaged; it is named as
trials are, `run,lp=1,level=2`. An external one holds the points of one name.
"""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd

from synjax.reporting import bd_rate, external, layout, plots, table

MARK = "comparison.json"  # what tells a directory of this module from others
_RATES = {"bpp": "bpp_exact", "bits_per_dim": "rate_exact"}
# Rows that differ in these are of different curves, too; named where a run has several values.
_VARIANTS = ("dataset", "perception", "distortion", "realism", "members")
_LITTLE = 0.5  # overlap below which a number is marked


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """What is compared.

    Attributes:
      points: DataFrame with a row per point: "curve", "run" (or name), "external", "lambda_d",
        "lambda_p", "level", "seeds", the rate, the metric, and "METRIC_se", its standard error over
        seeds.
      results: the tables as one, or None.
      rate: key of `external.RATES`.
      metric: a key of `external.METRICS` or a divergence.
      notes: lines that a reader has to know.
    """

    points: pd.DataFrame
    results: pd.DataFrame | None
    rate: str
    metric: str
    notes: tuple[str, ...]


def load(paths, metric):
    """Reads tables and external CSVs.

    Args:
      paths: of directories that hold table.csv or table.parquet, of such files, or of CSVs as
        `external` describes them.
      metric: which of their columns is the quality.

    Returns:
      A `Comparison`.

    Raises:
      ValueError: a file that cannot be read or lacks the metric, or no unit of rate that all have.
    """
    if len({pathlib.Path(path).resolve() for path in paths}) < len(paths):
        raise ValueError(f"a table is given twice: {' '.join(map(str, paths))}")
    files = {str(path): _find(path) for path in paths}
    tables = {path: table.read(file) for path, file in files.items() if not _is_external(file)}
    known = sorted({name for one in tables.values() for name in table.divergences(one)})
    others = {p: external.read(file, known) for p, file in files.items() if p not in tables}
    for path, one in {**tables, **others}.items():
        _require_metric(path, one, metric, [*external.METRICS, *known])
    rate = _shared_rate(tables, others)
    _tell_apart(tables, others)
    results = table.merge(list(tables.values())) if tables else None
    points = [] if results is None else _of_table(results, rate, metric)
    points += [point for one in others.values() for point in _of_external(one, rate, metric)]
    if not points:
        raise ValueError(f"no row is ok and has both {rate} and {metric}")
    rows = (0 if results is None else len(results)) + sum(len(one) for one in others.values())
    missing = rows - sum(point.pop("rows") for point in points)
    notes = [f"{missing} of {rows} rows failed or lack {metric}"] if missing else []
    if results is not None and results["dataset"].nunique() > 1:
        sets = ", ".join(sorted(results["dataset"].unique()))
        notes.append(f"the tables are of different data sets: {sets}")
    columns = ["curve", "run", "external", "lambda_d", "lambda_p", "level", "seeds", rate, metric]
    frame = pd.DataFrame(points, columns=[*columns, f"{metric}_se"])
    if (frame.groupby("curve")["run"].nunique() > 1).any():
        raise ValueError("an external result has the name of another curve; rename it")
    frame = frame.astype({"level": "Int64", "seeds": "Int64"})
    return Comparison(frame, results, rate, metric, tuple(notes))


def deltas(comparison, against=None):
    """BD-rate and BD-quality of every curve against every other.

    Args:
      comparison: from `load`.
      against: name of the one curve that is compared with; None for all.

    Returns:
      A DataFrame: "curve", "anchor", "bd_rate" (%), "bd_rate_overlap", "bd_rate_reason" and the
      same for "bd_quality", in units of the metric and positive where the curve is better.

    Raises:
      ValueError: there is no such curve.
    """
    curves = _curves(comparison)
    if against is not None and against not in curves:
        raise ValueError(f"there is no curve {against!r}; there are: {'; '.join(curves)}")
    rows = []
    for curve in curves.values():
        for anchor in [curves[against]] if against else curves.values():
            row = {"curve": curve.name, "anchor": anchor.name}
            for name, measure in (("bd_rate", bd_rate.bd_rate), ("bd_quality", bd_rate.bd_quality)):
                delta = measure(anchor, curve)
                row |= {name: delta.value, f"{name}_overlap": delta.overlap}
                row[f"{name}_reason"] = delta.reason
            rows.append(row)
    return pd.DataFrame(rows)


def write(comparison, pairs, directory):
    """Writes points, BD-rates, the merged tables and a plot.

    Args:
      comparison: from `load`.
      pairs: from `deltas`.
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


def _find(path):
    path = pathlib.Path(path)
    if not path.is_dir():
        if not path.is_file():
            raise ValueError(f"no table at {path}")
        return path
    for name in ("table.parquet", "table.csv"):
        if (path / name).is_file():
            return path / name
    raise ValueError(f"{path} holds no table.csv or table.parquet: run `export`")


def _is_external(file):
    if file.suffix != ".csv":
        return False
    with file.open("rb") as content:
        first = content.readline(2**16).decode(errors="replace")
    return not first.startswith("run,trial,")


def _require_metric(path, one, metric, known):
    measured = [name for name in known if name in one.columns and one[name].notna().any()]
    if metric not in measured:
        raise ValueError(f"{path} has no {metric!r}; its metrics: {', '.join(measured) or 'none'}")


def _shared_rate(tables, others):
    held = {p: [r for r, c in _RATES.items() if one[c].notna().any()] for p, one in tables.items()}
    held |= {p: [r for r in _RATES if r in one.columns] for p, one in others.items()}
    for rate in _RATES:
        if all(rate in rates for rates in held.values()):
            return rate
    listed = "; ".join(f"{path} has {' and '.join(rates)}" for path, rates in held.items())
    raise ValueError(f"the rates have no unit in common: {listed}")


def _tell_apart(tables, others):
    """Puts the path behind the names of runs and codecs that more than one input uses."""
    inputs = [(path, one, "run") for path, one in tables.items()]
    inputs += [(path, one, "name") for path, one in others.items()]
    names = [name for _, one, key in inputs for name in one[key].unique()]
    for path, one, key in inputs:
        one[key] = [f"{n} ({path})" if names.count(n) > 1 else n for n in one[key]]


def _of_table(results, rate, metric):
    column = _RATES[rate]
    usable = results[
        (results["status"] == "ok") & np.isfinite(results[[column, metric]]).all(axis=1)
    ]
    telling = {
        run: [name for name in _VARIANTS if rows[name].nunique(dropna=False) > 1]
        for run, rows in results.groupby("run")
    }
    keys = ["run", *_VARIANTS, "lambda_p", "level", "lambda_d"]
    points = []
    for key, rows in usable.groupby(keys, dropna=False):
        key = dict(zip(keys, key, strict=True))
        variants = {name: key[name] for name in telling[key["run"]]}
        name = _name(key["run"], lp=key["lambda_p"], level=key["level"], **variants)
        count = len(rows)
        error = rows[metric].std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
        point = {"curve": name, "run": key["run"], "external": False, "lambda_d": key["lambda_d"]}
        point |= {"lambda_p": key["lambda_p"], "level": key["level"]}
        point |= {"seeds": rows["seed"].nunique(), "rows": count}
        point |= {rate: rows[column].mean(), metric: rows[metric].mean(), f"{metric}_se": error}
        points.append(point)
    return points


def _of_external(one, rate, metric):
    points = []
    for row in one[one[metric].notna()].to_dict("records"):
        settings = {
            key: row[key] for key in external.SETTINGS if not np.isnan(row.get(key, np.nan))
        }
        shown = {"lp" if key == "lambda_p" else key: value for key, value in settings.items()}
        point = {"curve": _name(row["name"], **shown), "run": row["name"], "external": True}
        points.append(point | settings | {rate: row[rate], metric: row[metric], "rows": 1})
    return points


def _name(first, **settings):
    texts = [v if isinstance(v, str) else format(v, ".12g") for v in settings.values()]
    return ",".join([first, *(f"{key}={t}" for key, t in zip(settings, texts, strict=True))])


def _better(metric):
    return external.METRICS[metric][1] if metric in external.METRICS else -1


def _label(metric):
    known = external.METRICS.get(metric)
    return known[0] if known else metric.replace("_", " ")


def _curves(comparison):
    """Name -> `bd_rate.Curve`."""
    sign, curves = _better(comparison.metric), {}
    for name, rows in comparison.points.groupby("curve", sort=False):
        quality = sign * rows[comparison.metric]
        curves[name] = bd_rate.Curve(name, rows[comparison.rate].to_numpy(), quality.to_numpy())
    return curves


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
