"""A chart as a static picture, for pages without JavaScript and for paper.

Colours are variables of the page, so that the picture follows its theme; points are links to their
rows.
"""

import math

from synjax.report.markup import escape

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 68, 12, 12, 44
MOST_TICKS = 6
RADIUS = 3.6

_SHAPES = {  # in units of RADIUS
    "square": "M-.9-.9H.9V.9H-.9Z",
    "diamond": "M0-1.3L1.2 0 0 1.3-1.2 0Z",
    "triangle-up": "M0-1.2L1.2 1H-1.2Z",
    "cross": "M-.4-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2V-.4H-.4Z",
    "x": "M-1-.6L-.6-1 0-.4 .6-1 1-.6 .4 0 1 .6 .6 1 0 .4-.6 1-1 .6-.4 0Z",
    "star": "M0-1.4L.4-.4 1.4-.4 .6 .2 .9 1.2 0 .6-.9 1.2-.6 .2-1.4-.4-.4-.4Z",
    "hexagon": "M-1.1 0L-.55-1H.55L1.1 0 .55 1H-.55Z",
}
_STROKES = {"dash": "6 4", "dot": "1.5 3", "dashdot": "6 3 1.5 3"}


def draw(chart):
    """The chart as one <svg> element.

    Args:
      chart: `chart.Chart`.

    Returns:
      HTML text; a paragraph where there is nothing to draw.
    """
    shown = [one for one in chart.series if any(map(_drawable, one.x, one.y))]
    if not shown:
        return '<p class="note">Nothing was measured that could be drawn here.</p>'
    points = [pair for one in shown for pair in zip(one.x, one.y, strict=True) if _drawable(*pair)]
    across = _Axis([x for x, _ in points], chart.x_log, LEFT, WIDTH - RIGHT)
    ends = [end for one in shown for end in _ends(one) if end > 0 or not chart.y_log]
    up = _Axis([*(y for _, y in points), *ends], chart.y_log, HEIGHT - BOTTOM, TOP)
    parts = [*_frame(chart, across, up)]
    parts += [_marked(x, label, across) for x, label in chart.marks]
    parts += [_series(one, across, up) for one in shown]
    label = f"{chart.title}: {chart.y_label} against {chart.x_label}, {len(points)} points"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def legend(chart):
    """The names of the series with their looks, as a list."""
    looks = {}  # a line and its points may be two series with one label
    for one in chart.series:
        line = _line([(1, 8), (27, 8)], one) if one.dash else ""
        mark = _shape(one.marker, 14, 8) if one.marker else ""
        drawn = f"<g {_colour(one)}>{line}{mark}</g>"
        if drawn not in looks.setdefault(one.label, ""):
            looks[one.label] += drawn
    items = [
        f'<li><svg viewBox="0 0 28 16" class="key" aria-hidden="true">{drawn}</svg>'
        f"{escape(label)}</li>"
        for label, drawn in looks.items()
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


class _Axis:
    """From values to places along one side, with round numbers as ticks."""

    def __init__(self, values, log, first, last):
        self._to = math.log10 if log and min(values) > 0 else float
        self.log = self._to is math.log10
        low, high = self._to(min(values)), self._to(max(values))
        margin = (high - low or abs(high) or 1.0) * 0.05
        self._low, self._high = low - margin, high + margin
        self._first, self._last = first, last
        self.ticks = self._decades() if self.log else self._steps()

    def at(self, value):
        share = (self._to(value) - self._low) / (self._high - self._low)
        return self._first + share * (self._last - self._first)

    def _steps(self):
        span = self._high - self._low
        power = 10.0 ** math.floor(math.log10(span / MOST_TICKS))
        step = next(s * power for s in (1, 2, 5, 10) if span / (s * power) <= MOST_TICKS)
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        return [index * step for index in range(first, last + 1)]

    def _decades(self):
        whole = range(math.floor(self._low), math.ceil(self._high) + 1)
        few = (1,) if self._high - self._low > 3 else (1, 2, 5)
        ticks = [m * 10.0**power for power in whole for m in few]
        return [tick for tick in ticks if self._low <= math.log10(tick) <= self._high]


def _frame(chart, across, up):
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for tick in across.ticks:
        x = across.at(tick)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{_number(tick)}</text>'
    for tick in up.ticks:
        y = up.at(tick)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{_number(tick)}</text>'
    yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
    middle = (LEFT + right) / 2
    yield f'<text class="label" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">'
    yield f"{escape(chart.x_label)}</text>"
    middle = (TOP + bottom) / 2
    yield f'<text class="label" transform="translate(13 {middle}) rotate(-90)" '
    yield f'text-anchor="middle">{escape(chart.y_label)}</text>'


def _marked(x, label, across):
    place = across.at(x)
    left = place > WIDTH - RIGHT - 7 * len(label)  # on that side of its line it is not cut off
    text = f'x="{place - 4:.1f}" text-anchor="end"' if left else f'x="{place + 4:.1f}"'
    return (
        f'<path class="mark" d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text class="mark" {text} y="{TOP + 9}">{escape(label)}</text>'
    )


def _series(one, across, up):
    drawn = [i for i, pair in enumerate(zip(one.x, one.y, strict=True)) if _drawable(*pair)]
    places = [(across.at(one.x[i]), up.at(one.y[i])) for i in drawn]
    parts = [_line(places, one)] if one.dash and len(places) > 1 else []
    for index, (x, y) in zip(drawn, places, strict=True):
        error = one.error[index] if one.error else math.nan
        if math.isfinite(error) and error > 0:
            parts.append(_bar(x, one.y[index], error, up))
        if not one.marker:
            continue
        point = _shape(one.marker, x, y)
        if one.rows:
            title = f"{one.label}: {one.x[index]:.4g}, {one.y[index]:.4g}"
            point = f'<a href="#row-{one.rows[index]}"><title>{escape(title)}</title>{point}</a>'
        parts.append(point)
    return f"<g {_colour(one)}>{''.join(parts)}</g>"


def _line(places, one):
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dash = f' stroke-dasharray="{_STROKES[one.dash]}"' if one.dash in _STROKES else ""
    return f'<path class="line" d="M{path}"{dash}/>'


def _ends(one):
    """Both ends of every bar."""
    for x, y, error in zip(one.x, one.y, one.error, strict=False):
        if _drawable(x, y) and math.isfinite(error):
            yield from (y - error, y + error)


def _bar(x, y, error, up):
    low, high = y - error, y + error
    bottom = up.at(low) if not up.log or low > 0 else HEIGHT - BOTTOM
    return f'<path class="bar" d="M{x:.1f} {min(bottom, HEIGHT - BOTTOM):.1f}V{up.at(high):.1f}"/>'


def _shape(marker, x, y):
    if marker not in _SHAPES:
        return f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}"/>'
    place = f"translate({x:.1f} {y:.1f}) scale({RADIUS})"
    return f'<path class="point" transform="{place}" d="{_SHAPES[marker]}"/>'


def _colour(one):
    return f'class="series" style="--light:{one.colour[0]};--dark:{one.colour[1]}"'


def _number(value):
    return f"{value + 0.0:.4g}"


def _drawable(x, y):
    return math.isfinite(x) and math.isfinite(y)
