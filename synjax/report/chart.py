"""A chart as data: what the static picture and the interactive one both draw."""

import dataclasses
import math

import matplotlib

MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = ("#6b7280", "#9aa3b2")


@dataclasses.dataclass(frozen=True)
class Series:
    """Points that belong together, in the order of their line.

    Attributes:
      label: as the legend has it.
      x, y: values, equally many.
      error: standard errors of y, or empty for none; NaN where there is none.
      rows: of the table, one for each point; or empty.
      colour: (on a light ground, on a dark one).
      marker: of `MARKERS`, or empty for a line alone.
      dash: of `DASHES`, or empty for points alone.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()
    rows: tuple[int, ...] = ()
    colour: tuple[str, str] = GREY
    marker: str = ""
    dash: str = "solid"


@dataclasses.dataclass(frozen=True)
class Chart:
    """Two axes and what is drawn between them.

    Attributes:
      name: identifies it in the page.
      title: above it.
      x_label, y_label: with units.
      series: of `Series`.
      x_log, y_log: whether an axis is logarithmic.
      marks: (x, label) of vertical lines.
      note: what a reader has to know, or empty.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_log: bool = False
    y_log: bool = False
    marks: tuple[tuple[float, str], ...] = ()
    note: str = ""


def as_json(chart):
    """The chart as a dict for JSON: five significant digits, None for what is not finite."""
    found = dataclasses.asdict(chart)
    for one in found["series"]:
        for name in ("x", "y", "error"):
            one[name] = [_short(value) for value in one[name]]
    return found


def palette(count):
    """Colours in order, told apart in every colour vision: (on light, on dark) for each."""
    maps = matplotlib.colormaps["viridis"]
    places = [index / max(count - 1, 1) for index in range(count)]
    return [
        tuple(_hex(maps(a + (b - a) * p)) for a, b in ((0.0, 0.8), (0.38, 1.0))) for p in places
    ]


def is_wide(values):
    """Whether values call for a logarithmic axis: positive, and a decade apart or more."""
    values = [value for value in values if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) > 10 * min(values)


def _hex(colour):
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def _short(value):
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None
