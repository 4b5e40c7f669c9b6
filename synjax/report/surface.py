"""The rate–distortion–perception surface: a sheet over the grid of λ_d and λ_p for each level."""

import math

from synjax.report import chart, slices
from synjax.reporting import table

_GROUPS = ("run", "dataset", "perception", "distortion", "realism", "members", "level")


def sheets(frame):
    """The sheets of a table.

    Args:
      frame: a table; its index numbers the rows.

    Returns:
      List of dicts for JSON: "label", "colour" (on light, on dark), the axes "lambda_d" [I] and
      "lambda_p" [J], "rows" [I, J], the number of the first row or None, and "values", which holds
      each column that can be an axis, and the standard errors there are, [I, J], means over seeds,
      None where nothing is.
    """
    rate, _ = slices.rate_column(frame)
    names = [rate, "rate_bound", *slices.qualities(frame), *table.divergences(frame)]
    names += [f"{name}_se" for name in names if f"{name}_se" in frame]
    telling = slices.telling(frame, _GROUPS)
    keys = telling or ["level"]
    groups = list(frame.groupby(keys, dropna=False))
    found = []
    for (key, rows), colour in zip(groups, chart.palette(len(groups)), strict=True):
        lambda_d, lambda_p = (sorted(rows[name].unique()) for name in ("lambda_d", "lambda_p"))
        first = {(row.lambda_d, row.lambda_p): row.Index for row in rows[::-1].itertuples()}
        means = rows[rows["status"] == "ok"].groupby(["lambda_d", "lambda_p"])[names].mean()
        means = means.reindex([(d, p) for d in lambda_d for p in lambda_p])
        shape = len(lambda_d), len(lambda_p)
        values = {name: _grid(means[name].to_numpy().reshape(shape)) for name in names}
        text = [f"{n} {v}" if n != "run" else str(v) for n, v in zip(keys, key, strict=True)]
        found.append(
            {
                "label": ", ".join(text) if telling else "",
                "colour": colour,
                "lambda_d": [float(value) for value in lambda_d],
                "lambda_p": [float(value) for value in lambda_p],
                "rows": [[first.get((d, p)) for p in lambda_p] for d in lambda_d],
                "values": values,
            }
        )
    return found


def _grid(values):
    return [[float(f"{v:.5g}") if math.isfinite(v) else None for v in line] for line in values]
