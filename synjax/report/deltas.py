"""BD-rates between the curves of a page, as a matrix."""

import numpy as np

from synjax.report import slices
from synjax.report.markup import escape
from synjax.reporting import comparison, external

MOST_CURVES = 40
LITTLE = 0.5  # overlap below which a number is marked


def html(frame, outside=None):
    """The matrix, or a sentence that says why there is none.

    Args:
      frame: a table.
      outside: other codecs, as `reporting.external` reads them; left out where they lack the
        quality or its rate is none of theirs.
    """
    metric = next(iter(slices.qualities(frame)), None)
    if metric is None:
        return "<p>No row has a quality yet.</p>"
    try:
        compared = comparison.of_table(frame.copy(), metric, _fitting(frame, metric, outside))
    except ValueError as error:
        return f"<p>{escape(error)}</p>"
    count = compared.points["curve"].nunique()
    if count > MOST_CURVES:
        return (
            f"<p>{count} curves are too many for a matrix; <code>./launch.sh compare RUN "
            "--against=CURVE</code> compares all with one.</p>"
        )
    return _matrix(comparison.deltas(compared), compared.rate, metric)


def _fitting(frame, metric, outside):
    pictures = slices.rate_column(frame)[0] == "bpp_exact"
    return outside if outside is not None and pictures and metric in outside else None


def _matrix(pairs, rate, metric):
    names = list(pairs["curve"].unique())
    numbers = {name: index for index, name in enumerate(names, 1)}
    head = "".join(f'<th scope="col" title="{escape(n)}">{i}</th>' for n, i in numbers.items())
    lines = []
    for name, rows in pairs.groupby("curve", sort=False):
        cells = "".join(_cell(row) for row in rows.itertuples())
        lines.append(f'<tr><th scope="row">{numbers[name]} {escape(name)}</th>{cells}</tr>')
    unit, quality = external.RATES[rate], slices.label(metric)
    text = (
        f"How much more rate ({unit}) the curve of the row takes than the curve of the column, at "
        f"equal {quality}, in percent: negative is better."
    )
    reasons = pairs.loc[pairs["bd_rate"].isna(), "bd_rate_reason"].value_counts(sort=False)
    notes = [f"– in {n} of {len(pairs)} pairs: {reason}" for reason, n in reasons.items()]
    if (pairs["bd_rate"].notna() & (pairs["bd_rate_overlap"] < LITTLE)).any():
        notes.insert(0, f"* less than {LITTLE:.0%} of the joint range is common to both")
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        f'<p>{escape(text)}</p><div class="scroll" tabindex="0" role="region" '
        'aria-label="BD-rates, scrolls sideways"><table class="matrix"><thead><tr>'
        f'<th scope="col">curve</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
        "</div>" + (f'<ul class="note">{items}</ul>' if items else "")
    )


def _cell(row):
    if row.curve == row.anchor:
        return '<td class="same">·</td>'
    if np.isnan(row.bd_rate):
        return f'<td title="{escape(row.bd_rate_reason)}">–</td>'
    mark = "*" if row.bd_rate_overlap < LITTLE else ""
    # From −50 % to +100 % the ground goes from one colour to the other.
    strength = min(abs(row.bd_rate) / (50 if row.bd_rate < 0 else 100), 1) * 45
    kind = "less" if row.bd_rate < 0 else "more"
    return f'<td class="{kind}" style="--s:{strength:.0f}%">{row.bd_rate:+.1f}{mark}</td>'
