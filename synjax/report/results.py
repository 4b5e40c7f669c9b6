"""The table as HTML: readable cells, each with the value that it is sorted and filtered by."""

import math

from synjax.report.markup import escape
from synjax.reporting import layout, table


def html(frame, viewed=()):
    """The readable columns, a row for each of the table, `row-N` by its number.

    Args:
      frame: a table; its index numbers the rows.
      viewed: numbers of the rows that the explorer can show.
    """
    columns = layout.readable(frame, table.divergences(frame))
    meanings = table.meanings(frame)
    head = "".join(_heading(column, meanings) for column in columns)
    lines = []
    for place, number in enumerate(frame.index):
        ok = frame["status"].iloc[place] == "ok"
        cells = "".join(_cell(frame, column, place, number, i == 0, number in viewed)
                        for i, column in enumerate(columns))  # fmt: skip
        mark = "" if ok else ' class="bad"'
        lines.append(f'<tr id="row-{number}" data-row="{number}" tabindex="-1"{mark}>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Results, scrolls sideways">'
        '<table id="results"><caption class="hidden">One row for each trial and level</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _heading(column, meanings):
    text = escape(column.heading).replace("\n", "<br>")
    if len(text) > 12:
        text = text.replace("_", "_<wbr>")
    meaning = meanings.get(column.name, "")
    return (
        f'<th scope="col" data-name="{escape(column.name)}" '
        f'data-heading="{escape(column.heading.replace(chr(10), " "))}" '
        f'class="{column.justify}" title="{escape(meaning)}"><span>{text}</span></th>'
    )


def _cell(frame, column, place, number, first, viewed):
    value, text = _value(frame, column.name, place), escape(column.cells[place])
    sort = f' data-value="{value!r}"' if value is not None else ""
    if not first:
        return f'<td class="{column.justify}"{sort}>{text}</td>'
    look = (
        f' <button type="button" class="js look" data-row="{number}" '
        'title="Members" aria-label="Look at the members of this row">◉</button>'
    )
    return f'<th scope="row" class="{column.justify}"{sort}>{text}{look if viewed else ""}</th>'


def _value(frame, name, place):
    if name == "diversity/mse":
        value = frame["diversity"].iloc[place] / frame["mse"].iloc[place]
    elif frame[name].dtype.kind in "if":
        value = frame[name].iloc[place]
    else:
        return None
    return float(value) if math.isfinite(value) else None
