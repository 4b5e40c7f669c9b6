"""The slices of the rate–distortion–perception surface: R–D, D–P and R–P, as charts."""

import itertools
import math

import numpy as np

from synjax.report import chart
from synjax.reporting import external, table

QUALITIES = ("psnr", "snr", "mse", "lsd", "ms_ssim", "lpips")
_DECIBELS = ("psnr", "snr", "lsd")  # logarithms as they are
# Rows that differ in these are never joined by a line.
VARIANTS = ("run", "dataset", "perception", "distortion", "realism", "members")
_SYMBOLS = {"lambda_d": "λ_d", "lambda_p": "λ_p"}


def rate_column(frame):
    """(column, label) of the rate: its own unit where all that was measured is of one kind."""
    ok = frame[frame["status"] == "ok"]
    for column, unit in (("bpp_exact", "bits per pixel"), ("kbps_exact", "kbit/s")):
        if len(ok) and ok[column].notna().all():
            return column, f"rate ({unit})"
    return "rate_exact", "rate (bits per element)"


def qualities(frame):
    """The qualities that were measured, the first the one to begin with."""
    return [name for name in QUALITIES if frame[name].notna().any()]


def divergences(frame):
    """The divergences that were measured, those that no trial was trained for first."""
    names = [name for name in table.divergences(frame) if frame[name].notna().any()]
    return sorted(names, key=lambda name: name in set(frame["perception"]))


def telling(frame, names):
    """Those columns that tell rows apart: where there are several runs, inside one of them."""
    several = frame["run"].nunique() > 1
    inside = frame.groupby("run")[[n for n in names if n != "run"]].nunique(dropna=False)
    return [n for n in names if (several if n == "run" else (inside[n] > 1).any())]


def label(name):
    """What an axis calls a quality or a divergence."""
    return external.METRICS[name][0] if name in external.METRICS else name.replace("_", " ")


def charts(frame, outside=None):
    """All slices of a table.

    Args:
      frame: a table; its index numbers the rows.
      outside: other codecs, as `reporting.external` reads them, or None.

    Returns:
      Dict from "rate_QUALITY" (R–D), "distortion_DIVERGENCE" (D–P) and "rate_DIVERGENCE" (R–P) to
      `chart.Chart`.
    """
    rate, rate_label = rate_column(frame)
    found = {}
    for name in qualities(frame):
        references = _references(frame, rate, name) + _others(outside, rate, name)
        found[f"rate_{name}"] = _slice(
            frame,
            rate,
            name,
            "lambda_d",
            "lambda_p",
            ("Rate and distortion", rate_label),
            references,
        )
    for name in divergences(frame):
        floor = _floor(frame, "mse", name)
        titles = "Distortion and perception", label("mse")
        found[f"distortion_{name}"] = _slice(
            frame, "mse", name, "lambda_p", "lambda_d", titles, floor
        )
        floor = _floor(frame, rate, name)
        titles = "Rate and perception", rate_label
        found[f"rate_{name}"] = _slice(frame, rate, name, "lambda_d", "lambda_p", titles, floor)
    return found


def _slice(frame, x, y, along, colour, titles, references):
    """A curve for each value of `colour`, level and variant, in the order of `along`."""
    drawn = _finite(frame, x, y)
    variants = telling(frame, VARIANTS)
    levels = sorted(frame["level"].unique())
    values = sorted(frame[colour].unique())
    colours = dict(zip(values, chart.palette(len(values)), strict=True))
    markers = dict(zip(levels, itertools.cycle(chart.MARKERS), strict=False))
    dashes = {}
    series = []
    for key, rows in drawn.groupby([colour, "level", *variants], dropna=False):
        value, level, *variant = key
        dash = dashes.setdefault(tuple(map(str, variant)), _dash(len(dashes)))
        rows = rows.sort_values(along)
        text = [f"{_SYMBOLS[colour]} {value:g}"]
        text += [f"level {level}"] if len(levels) > 1 else []
        text += [_named(n, v) for n, v in zip(variants, variant, strict=True)]
        look = {"label": ", ".join(text), "colour": colours[value]}
        points = {
            "error": tuple(rows.get(f"{y}_se", ())),
            "rows": tuple(map(int, rows.index)),
            "marker": markers[level],
        }
        if rows[along].is_unique:
            points["dash"] = dash
        else:  # seeds: the line joins their means
            means = rows.groupby(along)[[x, y]].mean()
            line = tuple(means[x]), tuple(means[y])
            series.append(chart.Series(x=line[0], y=line[1], dash=dash, **look))
            points["dash"] = ""
        series.append(chart.Series(x=tuple(rows[x]), y=tuple(rows[y]), **look, **points))
    missing = len(frame) - len(drawn)
    notes = [f"{missing} of {len(frame)} rows failed or were not measured."] if missing else []
    y_log = y not in _DECIBELS and chart.is_wide(drawn[y])
    if y_log:  # an estimate without bias has a floor about 0
        low = [one for one in references if max(one.y) <= 0]
        notes += [f"The {one.label} is {one.y[0]:.2g}, below a logarithmic axis." for one in low]
        references = [one for one in references if one not in low]
    return chart.Chart(
        f"{x}-{y}",
        titles[0],
        titles[1],
        label(y),
        (*series, *references),
        x_log=x == "mse" and chart.is_wide(drawn[x]),
        y_log=y_log,
        note=" ".join(notes),
    )


def _references(frame, rate, quality):
    """What R–D curves compare with: JPEG at equal bytes, R(D, P) at the measured D and P."""
    found = []
    groups = ["run", "dataset"]
    if quality == "psnr":
        for (_, dataset), rows in _finite(frame, rate, "jpeg_psnr").groupby(groups):
            means = rows.groupby(rate)["jpeg_psnr"].mean()
            line = tuple(means.index), tuple(means)
            name = f"JPEG at equal bytes{_on(dataset, frame)}"
            found.append(chart.Series(name, *line, dash="dash"))
    if quality == "mse" and rate == "rate_exact":
        for (*_, value), rows in _finite(frame, "rate_bound", "mse").groupby([*groups, "lambda_p"]):
            rows = rows.sort_values("mse")
            line = tuple(rows["rate_bound"]), tuple(rows["mse"])
            name = f"R(D, P) at the D and P of λ_p {value:g}"
            found.append(chart.Series(name, *line, dash="dot"))
    return found


def _others(outside, rate, quality):
    """A curve for each other codec, where its rate and the quality are known."""
    if outside is None or rate != "bpp_exact" or quality not in outside:
        return []
    known = outside.dropna(subset=["bpp", quality]).sort_values("bpp")
    return [
        chart.Series(name, tuple(rows["bpp"]), tuple(rows[quality]), dash="dash")
        for name, rows in known.groupby("name", sort=False)
    ]


def _floor(frame, x, name):
    """What the estimate gives for the source itself, where finite samples leave it, by data set."""
    found = []
    for dataset, rows in _finite(frame, x, f"{name}_floor").groupby("dataset"):
        value = float(rows[f"{name}_floor"].median())
        ends = float(rows[x].min()), float(rows[x].max())
        label = f"floor of the estimate{_on(dataset, frame)}"
        found.append(chart.Series(label, ends, (value, value), dash="dash"))
    return found


def _on(dataset, frame):
    """What a label says of the data set where there are several."""
    return f" ({dataset})" if frame["dataset"].nunique() > 1 else ""


def _finite(frame, x, y):
    ok = frame["status"] == "ok"
    return frame[ok & np.isfinite(frame[x].astype(float)) & np.isfinite(frame[y].astype(float))]


def _dash(count):
    return chart.DASHES[count % len(chart.DASHES)]


def _named(name, value):
    if name == "run":
        return str(value)
    if isinstance(value, float):
        return f"{'β' if name == 'realism' else name} {'–' if math.isnan(value) else f'{value:g}'}"
    return f"{name} {value}"
