"""Charts as figures: what a page shows without JavaScript, and on paper."""

from synjax.report import svg
from synjax.report.markup import escape

LONGEST_LEGEND = 14


def html(charts, shown, more):
    """Figures, the first few open and the others behind a summary.

    Args:
      charts: dict of `chart.Chart`.
      shown: keys of those that are always seen.
      more: what the others are called.
    """
    first = "".join(_figure(charts[key]) for key in shown)
    rest = "".join(_figure(one) for key, one in charts.items() if key not in shown)
    behind = f"<details><summary>{escape(more)}</summary><div class=figures>{rest}</div></details>"
    return f'<div class="figures">{first}</div>{behind if rest else ""}'


def _figure(chart):
    title = f"{chart.title}: {chart.y_label}"
    legend = svg.legend(chart)
    labels = {one.label for one in chart.series}
    if len(labels) > LONGEST_LEGEND:
        legend = f"<details><summary>{len(labels)} curves</summary>{legend}</details>"
    note = f'<p class="note">{escape(chart.note)}</p>' if chart.note else ""
    return (
        f'<figure class="chart" data-chart="{escape(chart.name)}">'
        f"<figcaption>{escape(title)}</figcaption>"
        f"{svg.draw(chart)}{legend}{note}</figure>"
    )
