"""The paper audit: every statement evaluated on random instances, as a table.

A verdict is never written by hand: it follows from the numbers by the rule in `statement`.
"""

import textwrap
import unicodedata

from synjax.theory import statement
from synjax.theory.claims import (
    bound,
    classical,
    divergence,
    gains,
    gaussian,
    information,
    likelihood,
    lossless,
    theorem,
)

COUNT, SEED = 1000, 0
STATEMENTS = (
    *information.STATEMENTS,
    *bound.STATEMENTS,
    *lossless.STATEMENTS,
    *likelihood.STATEMENTS,
    *gaussian.STATEMENTS,
    *divergence.STATEMENTS,
    *theorem.STATEMENTS,
    *classical.STATEMENTS,
    *gains.STATEMENTS,
)

_HEADINGS = ("statement", "both sides", "worst", "binding", "verdict")
_SHARES = (17, 44, 17, 24, 28)  # of the columns in the width of a terminal
_INTRODUCTION = """\
# Audit of the paper's statements

Written by `./launch.sh audit`, seed {seed}; do not edit. Each statement is evaluated in double
precision on {count} random finite instances: non-uniform sources whose synsets have several members
and, unless a statement says otherwise, members that differ in probability. Logarithms are to base
2. Where the paper leaves two readings, each is a row of its own.

- *worst*: the largest error of an identity, or the smallest slack (right less left) of an
  inequality; where the verdict has a condition, first over the instances that meet it, then over
  all.
- *binding*: how often the statement was not trivially true, and why; how often the condition was
  met; how often both sides were equal.
- *verdict*, by rule: `holds` if no instance breaks it; `holds when …` if some do, and none of those
  that meet the condition; otherwise `fails`. Brackets say where the paper states the condition.

"""
_LEGEND = """\
The instance that breaks each statement most. Samples, synsets, y_s and ŷ_ε are numbered from 1; of
a conditional distribution, the outer parentheses run over what it is given."""


def run(count=COUNT, seed=SEED, statements=STATEMENTS):
    """Evaluates the statements on `count` instances each; the same arguments, the same results.

    Returns:
      list of statement.Result, in the paper's order.

    Raises:
      ValueError: if count is not positive.
    """
    if count < 1:
        raise ValueError(f"an audit needs at least one instance, got {count}")
    return [statement.evaluate(each, count, seed) for each in statements]


def summary(results):
    """How many statements hold, hold under a condition, and do not, in one line."""
    verdicts = [result.verdict for result in results]
    conditional = [each for each in results if each.verdict.startswith("holds when")]
    stated = sum(bool(each.statement.stated) for each in conditional)
    line = (
        f"{len(results)} statements: {verdicts.count('holds')} hold, {stated} hold under a "
        f"condition that the paper states, {len(conditional) - stated} under one that it does not, "
        f"{verdicts.count('fails')} fail"
    )
    untested = verdicts.count("untested")
    return line + (f", {untested} untested." if untested else ".")


def markdown(results, seed=SEED):
    """The results as a Markdown document; `seed` is what they were run with."""
    rows = [_cells(result) for result in results]
    lines = [
        _INTRODUCTION.format(seed=seed, count=results[0].count) + summary(results),
        "",
        "| " + " | ".join(_HEADINGS) + " |",
        "|" + "---|" * len(_HEADINGS),
    ]
    lines += ["| " + " | ".join(_escape(cell) for cell in row) + " |" for row in rows]
    lines += ["", "## Counterexamples", "", _LEGEND, ""]
    for result in results:
        lines += _counterexample(result)
    return "\n".join(lines) + "\n"


def text(results, width=138):
    """The results as a table for a terminal of `width` columns; at least 70 or so are needed."""
    room = width - 2 * (len(_SHARES) - 1)
    widths = [max(8, room * share // sum(_SHARES)) for share in _SHARES]
    lines = [_row(_HEADINGS, widths), _row(["-" * each for each in widths], widths)]
    for result in results:
        columns = [
            textwrap.wrap(cell, each) or [""]
            for cell, each in zip(_cells(result), widths, strict=True)
        ]
        height = max(map(len, columns))
        columns = [column + [""] * (height - len(column)) for column in columns]
        lines += [_row(cells, widths) for cells in zip(*columns, strict=True)] + [""]
    return "\n".join([*lines, textwrap.fill(summary(results), width)]) + "\n"


def _cells(result):
    made = result.statement
    left, right = made.sides
    return (
        f"{made.equation}: {made.claim}",
        f"{left} {made.relation} {right}",
        _worst(result),
        _binding(result),
        _verdict(result),
    )


def _verdict(result):
    """The verdict, and for a condition whether the paper has it."""
    if not result.verdict.startswith("holds when"):
        return result.verdict
    stated = result.statement.stated
    return f"{result.verdict} [{f'stated: {stated}' if stated else 'not stated'}]"


def _worst(result):
    name = "error" if result.statement.relation == statement.IDENTITY else "slack"
    every = _number(result.worst, result.statement.tolerance)
    if result.worst_met is None or not result.verdict.startswith("holds when"):
        return f"{name} {every}"
    return f"{name} {_number(result.worst_met, result.statement.tolerance)}; of all {every}"


def _binding(result):
    parts = [f"{result.active:.0%}: {result.statement.active[0]}"]
    if result.met is not None:
        parts.append(f"condition {result.met:.0%}")
    return "; ".join([*parts, f"equal {result.equal:.0%}"])


def _number(value, tolerance):
    """What the tolerance does not tell from zero is 0."""
    return "0" if abs(value) <= tolerance else statement.number(value)


def _counterexample(result):
    if result.verdict == "holds":
        return []
    made = result.statement
    broken = f"{result.violated} of {result.count} break it."
    lines = [f"**{made.equation}** {_verdict(result)}: {broken}"]
    if result.counterexample:
        lines.append(f"`{result.counterexample}`")
    if made.repair_words:
        lines.append(f"True instead: {made.repair_words}.")
    return [*lines, ""]


def _escape(cell):
    return cell.replace("|", "\\|")


def _row(cells, widths):
    padded = [_pad(cell, width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip()


def _pad(cell, width):
    """Pads to a width on screen, where accents that combine with a letter take none."""
    return cell + " " * (width - sum(not unicodedata.combining(letter) for letter in cell))
