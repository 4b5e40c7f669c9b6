"""Text from files as HTML and as JSON in HTML, where none of it is ever markup."""

import html
import json


def escape(text):
    """Text that stands for itself between tags and in quoted attributes."""
    return html.escape(str(text), quote=True)


def data(value):
    """JSON for a <script> element: no `<`, so nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def table(headings, rows, caption):
    """A plain table.

    Args:
      headings: texts, or none of them.
      rows: lists of texts, the first of which heads its row.
      caption: text.
    """
    # An empty corner heads nothing, and is no heading.
    top = "".join(f'<th scope="col">{escape(h)}</th>' if h else "<td></td>" for h in headings)
    head = f"<thead><tr>{top}</tr></thead>" if headings else ""
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(text)}</td>" for text in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>{head}"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )
