"""Rate–quality curves of several tables and of results from elsewhere, side by side.

A curve of a table holds its rows of one run, λ_p and level, their seeds averaged; it is named as
trials are, `run,lp=1,level=2`. An external one holds the points of one name.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from synjax.reporting import bd_rate, external, table

_RATES = {"bpp": "bpp_exact", "kbps": "kbps_exact", "bits_per_dim": "rate_exact"}
# Rows that differ in these are of different curves, too; named where a run has several values.
_VARIANTS = ("dataset", "perception", "distortion", "realism", "members")


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
        _require_metric(path, one, metric, dict.fromkeys([*external.METRICS, *known]))
    _tell_apart(tables, others)
    return _compared(tables, others, metric)


def of_table(results, metric, outside=None):
    """The curves of one table, such as `load` would find them.

    Args:
      results: a table.
      metric: which of its columns is the quality.
      outside: other codecs, as `external.read` returns them, with the metric; or None.

    Returns:
      A `Comparison`.

    Raises:
      ValueError: no row is ok and has a rate and the metric.
    """
    others = {} if outside is None else {"others": outside}
    return _compared({"the table": results}, others, metric)


def _compared(tables, others, metric):
    rate = _shared_rate(tables, others)
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


def _curves(comparison):
    """Name -> `bd_rate.Curve`."""
    sign, curves = _better(comparison.metric), {}
    for name, rows in comparison.points.groupby("curve", sort=False):
        quality = sign * rows[comparison.metric]
        curves[name] = bd_rate.Curve(name, rows[comparison.rate].to_numpy(), quality.to_numpy())
    return curves
