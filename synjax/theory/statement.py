"""A statement of the paper as data, and the rule that turns its numbers into a verdict."""

import dataclasses
import fractions
import zlib
from collections.abc import Callable

import numpy as np

from synjax.theory import instances

IDENTITY, AT_MOST, LESS = "=", "≤", "<"
# A condition counts as tested, and a hypothesis as met, on at least this share of the instances.
_FEWEST = 0.02
_COUNTS_AS_ZERO = 1e-12


@dataclasses.dataclass(frozen=True)
class Statement:
    """left `relation` right, on every instance that `draw` makes.

    Attributes:
      equation: where the paper says it.
      claim: what it says, in words, with the reading that is evaluated.
      sides: what is computed on the left and on the right.
      relation: "=", "≤" or "<".
      draw: (bits, N) → instance, a dict of arrays [N, ...].
      left, right: instance → array [N] or [N, ...]; NaN where there is nothing to compare.
      active: words and instance → bool [N]: where the statement is not trivially true.
      condition: words and instance → bool [N]: what the statement may need to hold.
      stated: where the paper states the condition; "" if it does not.
      repair: fields to replace for something true, where the statement is not.
      repair_words: the same in words.
      tolerance: what counts as equal, where an iteration stops short of float64.
    """

    equation: str
    claim: str
    sides: tuple[str, str]
    relation: str
    draw: Callable
    left: Callable
    right: Callable
    active: tuple[str, Callable]
    condition: tuple[str, Callable] | None = None
    stated: str = ""
    repair: dict | None = None
    repair_words: str = ""
    tolerance: float = 1e-9


@dataclasses.dataclass(frozen=True)
class Result:
    """What a statement's instances showed.

    Attributes:
      statement: the statement.
      count: number of instances.
      violated: how many break it.
      worst: largest |left - right| of an identity, else the smallest right - left, in bits.
      worst_met: the same where the condition is met; None without a condition.
      active, met, equal: shares of instances: `active`, `condition`, and both sides equal.
      verdict: "holds", "holds when …", "fails" or, if hardly ever active, "untested".
      counterexample: the instance that breaks it most, written out; "" if none does.
    """

    statement: Statement
    count: int
    violated: int
    worst: float
    worst_met: float | None
    active: float
    met: float | None
    equal: float
    verdict: str
    counterexample: str


def evaluate(statement, count, seed):
    """Evaluates a statement on `count` random instances; the same seed, the same Result."""
    bits = instances.generator(seed, zlib.crc32(statement.equation.encode()))
    drawn = statement.draw(bits, count)
    left, right, slack, equal = _compare(statement, drawn, count)
    broken = _broken(statement, slack)
    active = np.broadcast_to(statement.active[1](drawn), count)
    met = None
    if statement.condition is not None:
        met = np.broadcast_to(statement.condition[1](drawn), count)
    return Result(
        statement=statement,
        count=count,
        violated=int(broken.sum()),
        worst=_worst(statement, slack),
        worst_met=None if met is None or not met.any() else _worst(statement, slack[met]),
        active=float(active.mean()),
        met=None if met is None else float(met.mean()),
        equal=float(equal.mean()),
        verdict=_verdict(statement, broken, active, met),
        counterexample=_counterexample(drawn, left, right, slack, broken),
    )


def _verdict(statement, broken, active, met):
    if active.mean() < _FEWEST:
        return "untested"
    if not broken.any():
        return "holds"
    if met is not None and met.mean() >= _FEWEST and not (broken & met).any():
        return f"holds when {statement.condition[0]}"
    return "fails"


def _compare(statement, drawn, count):
    """Both sides at each instance's worst entry, the slack there, and whether they are equal."""
    left = np.asarray(statement.left(drawn), np.float64)
    right = np.asarray(statement.right(drawn), np.float64)
    left, right = np.broadcast_arrays(left, right)
    left, right = left.reshape(count, -1), right.reshape(count, -1)
    with np.errstate(invalid="ignore"):
        gap = np.where(left == right, 0.0, right - left)  # also where both are infinite
    nothing = np.isnan(left) | np.isnan(right)
    slack = -np.abs(gap) if statement.relation == IDENTITY else gap
    equal = np.max(np.where(nothing, 0.0, np.abs(gap)), axis=1) <= statement.tolerance
    # Rounded, so that the last bits of two machines do not choose different entries.
    at = np.argmin(np.where(nothing, np.inf, slack.round(9)), axis=1)[:, None]
    left, right, slack = (np.take_along_axis(a, at, 1)[:, 0] for a in (left, right, slack))
    return left, right, slack, equal


def _broken(statement, slack):
    """A strict inequality has to be strict; the other relations may miss by the tolerance."""
    limit = statement.tolerance if statement.relation == LESS else -statement.tolerance
    return ~(slack > limit)


def _worst(statement, slack):
    return float(-np.min(slack) if statement.relation == IDENTITY else np.min(slack))


def _counterexample(drawn, left, right, slack, broken):
    if not broken.any():
        return ""
    index = int(np.argmin(np.where(broken, slack.round(6), np.inf)))
    inputs = "; ".join(f"{name} = {_write(value[index])}" for name, value in drawn.items())
    return f"{inputs}: left {number(left[index])}, right {number(right[index])}"


def number(value):
    """Three digits; what double precision cannot tell from zero is 0."""
    return "0" if abs(value) < _COUNTS_AS_ZERO else f"{value:.3g}"


def _write(value):
    """An array as nested parentheses of exact fractions, numbered from 1 where it holds indices."""
    if value.ndim:
        return f"({', '.join(_write(entry) for entry in value)})"
    if value.dtype.kind == "i":
        return str(value + 1)
    if value.dtype.kind == "b":
        return "yes" if value else "no"
    if value.dtype.kind == "U":
        return str(value)
    exact = fractions.Fraction(float(value)).limit_denominator(9999)
    return str(exact) if abs(exact - float(value)) < 1e-13 else f"{value:.4g}"
