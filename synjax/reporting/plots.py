"""Plots of a results table: rate against distortion, distortion against divergence.

The same rows give the same bytes: no dates, no random identifiers, no settings of the user's.
"""

import contextlib
import io
import itertools
import pathlib

import matplotlib
import matplotlib.figure
import matplotlib.lines
import matplotlib.style
import numpy as np

from synjax.reporting import layout, limit_curves, table

_STYLE = {
    "svg.hashsalt": "synjax",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 5,
    "figure.dpi": 150,
    "savefig.dpi": "figure",
}
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
_OUTSIDE = ["x", "+", "1", "2", "3", "4"]
_DASHES = [
    *("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5))),
    *((0, (8, 1.5, 1, 1.5, 1, 1.5)), (0, (2, 4))),
]

# What a curve may not mix: rows that differ in these are told apart by the dash of their line.
_VARIANTS = ["run", "dataset", "perception", "distortion", "realism", "members"]

_UNITS = {
    "bpp_exact": "bits per pixel",
    "kbps_exact": "kbit/s",
    "rate_exact": "bits per element",
    "psnr": "PSNR (dB)",
    "snr": "SNR (dB)",
    "mse": "mean squared error (per element)",
}


def rate_distortion(frame, directory, variances=None, outside=None):
    """Distortion against the exact rate: a colour for each lambda_p, a marker for each level.

    Images: PSNR (dB) against bits per pixel, with JPEG at equal bytes where it was measured.
    Sounds: signal-to-noise ratio (dB) against kbit/s. Other signals: mean squared error against
    bits per element, with R(D, P) where it is known.

    Args:
      frame: a table.
      directory: where to.
      variances: of independent Gaussian components, whose limits are drawn too; or None.
      outside: other codecs of pictures, as `external.read` returns them, or None.

    Returns:
      The paths of rate_distortion.png and rate_distortion.svg.
    """
    x, y = layout.rate_and_quality(frame)
    plain = y == "mse"
    with style():
        figure = matplotlib.figure.Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        drawn = _finite(frame, x, y)
        references = []
        if y == "psnr" and drawn["jpeg_psnr"].notna().any():
            references.append(_reference(axes, drawn, [], x, "jpeg_psnr", "JPEG at equal bytes"))
        if plain and drawn["rate_bound"].notna().any():
            references.append(_reference(axes, drawn, ["lambda_p"], "rate_bound", y, "R(D, P)"))
        if variances is not None and len(drawn):
            references += limit_curves.rate_distortion(axes, variances, drawn[y])
        if outside is not None and (x, y) == ("bpp_exact", "psnr"):
            references += _others(axes, outside.dropna(subset=["bpp", "psnr"]), drawn[x])
        handles = _curves(axes, frame, drawn, x, y, ["lambda_d"], "lambda_p")
        axes.set_xlabel(f"rate ({_UNITS[x]})")
        axes.set_ylabel(_UNITS[y])
        if plain:
            _log_if_wide(axes.set_yscale, drawn[y])
        _note_missing(axes, frame, drawn)
        _legend(figure, handles + references)
        return save(figure, pathlib.Path(directory) / "rate_distortion")


def distortion_perception(frame, directory, variances=None):
    """Each reported divergence against distortion, one panel each, the floor as a dashed line.

    A colour for each lambda_d, a marker for each level, error bars of one standard error; a curve
    goes through the λ_p of a decoder and its β. Where rows have different floors, a band spans them
    and the line is their median.

    Args:
      frame: a table.
      directory: where to.
      variances: of independent Gaussian components, whose D(R, P) is drawn too; or None.

    Returns:
      The paths of distortion_perception.png and distortion_perception.svg.

    Raises:
      ValueError: if the table reports no divergence.
    """
    names = table.divergences(frame)
    if not names:
        raise ValueError("distortion_perception needs a table with at least one divergence")
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    with style():
        size = (3.9 * columns + 1.4, 3.4 * rows + 0.2)
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        handles = {}
        for axes, name in zip(panels, names, strict=False):
            drawn = _finite(frame, "mse", name)
            legend = _curves(axes, frame, drawn, "mse", name, ["lambda_p", "realism"], "lambda_d")
            handles |= {handle.get_label(): handle for handle in legend}
            floors = drawn[f"{name}_floor"].dropna()
            if len(floors):
                handles["floor"] = axes.axhline(
                    floors.median(), ls="--", lw=1, color="0.35", label="floor"
                )
                axes.axhspan(floors.min(), floors.max(), color="0.35", alpha=0.15, lw=0)
            if variances is not None and name == limit_curves.DIVERGENCE and len(drawn):
                curve = limit_curves.distortion_perception(axes, variances, drawn, name)
                handles |= {handle.get_label(): handle for handle in curve}
            axes.set_xlabel("mean squared error (per element)")
            axes.ticklabel_format(axis="x", scilimits=(-2, 3))  # many zeros would overlap
            axes.set_ylabel(name.replace("_", " "))
            _log_if_wide(axes.set_yscale, drawn[name])
            _note_missing(axes, frame, drawn)
        for axes in panels[len(names) :]:
            axes.remove()
        _legend(figure, list(handles.values()))
        return save(figure, pathlib.Path(directory) / "distortion_perception")


def comparison(points, x, y, labels, note, stem):
    """Quality against rate of curves from several sources: a colour and a marker for each.

    Runs differ in the dash of their lines. Results from elsewhere have warm colours and markers of
    their own. Error bars of one standard error over seeds.

    Args:
      points: DataFrame with the columns "curve", "run", "external", x, y and "Y_se".
      x, y: names of the columns of rate and quality.
      labels: of the two axes.
      note: a line above the plot, or an empty text.
      stem: path of the files without their suffix.

    Returns:
      The paths of stem.png and stem.svg.
    """
    with style():
        longest, count = points["curve"].str.len().max(), points["curve"].nunique()
        size = (5.8 + 0.085 * longest, max(4.6, 0.19 * count + 0.3))  # the legend needs its place
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        handles = []
        for external, palette, markers in ((False, _palette, _MARKERS), (True, _warm, _OUTSIDE)):
            chosen = points[points["external"] == external]
            dashes = dict(zip(chosen["run"].unique(), itertools.cycle(_DASHES), strict=False))
            curves = list(chosen.groupby("curve", sort=False))
            looks = zip(curves, palette(len(curves)), itertools.cycle(markers), strict=False)
            for (name, rows), colour, marker in looks:
                rows = rows.sort_values(x)
                look = {"color": colour, "marker": marker}
                look["ls"] = "-" if external else dashes[rows["run"].iloc[0]]
                axes.errorbar(rows[x], rows[y], rows[f"{y}_se"], elinewidth=0.8, capsize=2, **look)
                handles.append(_handle(name, **look))
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        _log_if_wide(axes.set_xscale, points[x])
        _log_if_wide(axes.set_yscale, points[y])
        axes.set_title(note, loc="left", fontsize=8, color="0.35", parse_math=False)
        _legend(figure, handles)
        for text in figure.legends[0].get_texts():  # names may hold a dollar sign
            text.set_parse_math(False)
        return save(figure, stem)


@contextlib.contextmanager
def style():
    """Matplotlib's own defaults and this module's, whatever the user's settings are."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def save(figure, stem):
    """Writes stem.png and stem.svg, each whole or not at all, and returns their paths."""
    stem = pathlib.Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, metadata in {"png": {"Software": None}, "svg": {"Date": None}}.items():
        content = io.BytesIO()
        figure.savefig(content, format=suffix, metadata=metadata)
        # Not with_suffix: a stem such as "d7.2" has a dot of its own.
        path = stem.with_name(f"{stem.name}.{suffix}")
        paths.append(table.replace_file(path, content.getvalue()))
    return paths


def _finite(frame, x, y):
    """The rows that can be drawn."""
    return frame[(frame["status"] == "ok") & np.isfinite(frame[x]) & np.isfinite(frame[y])]


def _curves(axes, frame, drawn, x, y, along, colour):
    """Draws a curve for each value of `colour`, each level and each variant; returns the legend.

    A point for each drawn row; the line joins the means of rows that share `along`, such as seeds,
    in its order, or from left to right where several of these columns vary. Looks are given by the
    whole frame, so that they agree between panels.
    """
    variants = _variants(frame, along)
    is_mixed = all(frame[name].nunique() > 1 for name in along) and len(along) > 1
    colours = _looks(frame, [colour], _palette(frame[colour].nunique()))
    markers = _looks(frame, ["level"], _MARKERS)
    dashes = _looks(frame, variants, _DASHES)
    legend = {}
    symbol = {"lambda_d": r"$\lambda_d$", "lambda_p": r"$\lambda_p$"}[colour]
    for key, group in drawn.groupby([colour, "level", *variants], dropna=False):
        value, level, *variant = key = _text(key)
        look = {"color": colours[key[:1]], "marker": markers[key[1:2]]}
        dash = dashes[key[2:]]
        means = group.groupby(along)[[x, y]].mean()
        means = means.sort_values(x) if is_mixed else means
        axes.plot(means[x], means[y], ls=dash, color=look["color"])
        axes.errorbar(
            group[x], group[y], group.get(f"{y}_se"), ls="", elinewidth=0.8, capsize=2, **look
        )
        legend[0, float(value)] = _handle(f"{symbol} = {value}", color=look["color"])
        legend[1, int(level)] = _handle(f"level {level}", color="0.4", ls="", marker=look["marker"])
        if variant:
            label = "\n".join(
                part if name == "run" else f"{name} {part}"
                for name, part in zip(variants, variant, strict=True)
            )
            legend[2, label] = _handle(label, color="0.4", ls=dash)
    return [legend[place] for place in sorted(legend)]


def _variants(frame, along):
    """The columns of `_VARIANTS` that tell curves apart: none that the run alone decides."""
    varying = [name for name in _VARIANTS if frame[name].nunique(dropna=False) > 1]
    of_run = frame.groupby("run")[varying].nunique(dropna=False).max()
    return [
        name
        for name in varying
        if name not in along and (name == "run" or "run" not in varying or of_run[name] > 1)
    ]


def _looks(frame, names, looks):
    """Values of these columns, as text -> look, in ascending order."""
    if not names:
        return {(): looks[0]}
    values = frame[names].drop_duplicates().sort_values(names)
    keys = map(_text, values.itertuples(index=False, name=None))
    return dict(zip(keys, itertools.cycle(looks), strict=False))


def _text(key):
    """Values as the legend shows them; NaN, which equals nothing, becomes a key that can be met."""
    return tuple(part if isinstance(part, str) else format(part, ".12g") for part in key)


def _palette(count):
    """Colours from dark to light that are told apart in every colour vision and in grey."""
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.84, max(count, 2)))[:count]


def _warm(count):
    """Colours that none of `_palette` is like."""
    return matplotlib.colormaps["autumn"](np.linspace(0, 0.7, max(count, 2)))[:count]


def _reference(axes, rows, names, x, y, label):
    """Draws what rows compare with, a line for each value of `names`; means at equal rates."""
    look = {"color": "0.5", "ls": "--", "marker": ".", "lw": 1}
    for _, group in rows.groupby(["run", "dataset", *names]):
        points = group.groupby(x)[y].mean().dropna()
        axes.plot(points.index, points, zorder=1.5, **look)
    return _handle(label, **look)


def _others(axes, outside, rates):
    """Draws other codecs at about the rates of the table."""
    near = outside[outside["bpp"].between(rates.min() / 1.5, 1.5 * rates.max())]
    names = list(near["name"].unique())
    handles = []
    for name, colour, marker in zip(names, _warm(len(names)), _OUTSIDE, strict=False):
        rows = near[near["name"] == name].sort_values("bpp")
        look = {"color": colour, "marker": marker, "lw": 1, "ls": "--"}
        axes.plot(rows["bpp"], rows["psnr"], zorder=1.5, **look)
        handles.append(_handle(name, **look))
    return handles


def _handle(label, **look):
    return matplotlib.lines.Line2D([], [], label=label, **look)


def _legend(figure, handles):
    if not handles:
        return
    lines = sum(handle.get_label().count("\n") for handle in handles)
    width, height = figure.get_size_inches()
    # What is outside of the axes takes no part in the layout: a long legend would be cut off.
    figure.set_size_inches(width, max(height, 0.22 * len(handles) + 0.16 * lines + 0.2))
    figure.legend(handles=handles, loc="outside right upper")


def _log_if_wide(set_scale, values):
    """Logarithmic from a decade on, if every value is positive."""
    if len(values) and values.min() > 0 and values.max() > 10 * values.min():
        set_scale("log")


def _note_missing(axes, frame, drawn):
    """Says how many rows the plot cannot show: nothing is dropped silently."""
    missing = len(frame) - len(drawn)
    if missing:
        note = f"{missing} of {len(frame)} rows failed or were not measured"
        axes.set_title(note, loc="left", fontsize=8, color="0.35")
