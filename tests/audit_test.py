"""The audit can fail: flipped statements change their verdicts, and the document is current."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest

from synjax.theory import audit, statement
from synjax.theory.statement import AT_MOST, IDENTITY, LESS

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "paper_audit.md"
COUNT = 300
NAMES = [each.equation for each in audit.STATEMENTS]


@pytest.fixture(scope="module")
def results():
    return {result.statement.equation: result for result in audit.run()}


def _verdict(made):
    return statement.evaluate(made, COUNT, 0).verdict


def _flip(made):
    """The other sign of an identity, the other direction of an inequality."""
    if made.relation == IDENTITY:
        return dataclasses.replace(made, right=lambda drawn: -made.right(drawn))
    return dataclasses.replace(made, left=made.right, right=made.left)


# Every statement of the paper.


@pytest.mark.parametrize("made", audit.STATEMENTS, ids=NAMES)
def test_a_flipped_statement_has_another_verdict(made):
    before = _verdict(made)
    # What fails, fails flipped too, or holds: it is put right first, and then flipped.
    if before == "fails":
        made = dataclasses.replace(made, **made.repair)
        assert _verdict(made) == "holds"
        before = "holds"
    assert _verdict(_flip(made)) != before


@pytest.mark.parametrize("made", audit.STATEMENTS, ids=NAMES)
def test_a_side_moved_by_a_little_breaks_the_statement(made):
    if _verdict(made) == "fails":
        made = dataclasses.replace(made, **made.repair)
    sign = -1 if made.relation != IDENTITY else 1
    worst = statement.evaluate(made, COUNT, 0)
    margin = max(worst.worst, worst.worst_met or 0, 0) if made.relation != IDENTITY else 0
    moved = dataclasses.replace(made, right=lambda d: made.right(d) + sign * (margin + 1e-4))
    assert _verdict(moved) == "fails"


@pytest.mark.parametrize("made", audit.STATEMENTS, ids=NAMES)
def test_a_statement_is_tested_where_it_bites(made, results):
    result = results[made.equation]
    assert result.count >= 1000
    assert result.active >= 0.3
    assert result.verdict != "untested"
    if made.condition is not None:
        assert 0.2 <= result.met <= 1


@pytest.mark.parametrize("made", audit.STATEMENTS, ids=NAMES)
def test_what_does_not_hold_has_a_counterexample_and_what_fails_a_repair(made, results):
    result = results[made.equation]
    assert bool(result.counterexample) == (result.verdict != "holds") == (result.violated > 0)
    assert (made.repair is not None) == (result.verdict == "fails") == bool(made.repair_words)
    if made.stated:
        assert result.verdict.startswith("holds when")


def test_no_two_statements_share_a_name():
    assert len(set(NAMES)) == len(NAMES)


def test_the_verdicts_do_not_depend_on_the_seed(results):
    for other in audit.run(seed=1):
        assert other.verdict == results[other.statement.equation].verdict


@pytest.mark.parametrize("number", [*range(7, 10), *range(20, 24), *range(25, 38), 39])
def test_every_statement_of_the_inference_part_is_there(number):
    assert _covered(number)


@pytest.mark.parametrize(
    "number", [*range(40, 49), *range(50, 57), 57, 58, 59, 60, 61, 62, *range(63, 67), 68, 69, 70]
)
def test_every_statement_of_the_tradeoff_part_is_there(number):
    assert _covered(number)


def _covered(number):
    for name in NAMES:
        found = [int(each) for each in re.findall(r"\((\d+)\)", name)]
        spans = [(int(a), int(b)) for a, b in re.findall(r"\((\d+)\)[^,]*?–\((\d+)\)", name)]
        if number in found or any(low <= number <= high for low, high in spans):
            return True
    return False


# What was found, and what the rest of the project relies on.


def test_with_independent_detail_the_gain_is_never_strict(results):
    assert results["(69) as sent, strict"].violated == results["(69) as sent, strict"].count
    assert results["(70) strict"].violated == results["(70) strict"].count


def test_the_multipliers_agree_in_nats_and_not_in_bits(results):
    assert "nats" in results["(59), (62)"].verdict
    assert results["(59), (62) in bits"].verdict == "fails"


# The rule, on statements made for it.


def _toy(relation, left, right, **fields):
    return statement.Statement(
        equation="toy",
        claim="",
        sides=("", ""),
        relation=relation,
        draw=lambda bits, count: {"i": np.arange(count).astype(float)},
        left=left,
        right=right,
        **({"active": ("always", lambda d: np.ones(len(d["i"]), bool))} | fields),
    )


def _early(limit):
    return ("early", lambda d: d["i"] < limit)


@pytest.mark.parametrize(
    ("relation", "gap", "expected"),
    [
        (IDENTITY, 0, "holds"),
        (IDENTITY, 1e-12, "holds"),
        (IDENTITY, 1e-6, "fails"),
        (IDENTITY, -1e-6, "fails"),
        (AT_MOST, 0, "holds"),
        (AT_MOST, 1, "holds"),
        (AT_MOST, -1e-6, "fails"),
        (LESS, 1, "holds"),
        (LESS, 0, "fails"),
        (LESS, 1e-12, "fails"),
        (AT_MOST, np.nan, "fails"),
        (AT_MOST, np.inf, "holds"),
    ],
)
def test_the_verdict_follows_from_the_slack(relation, gap, expected):
    made = _toy(relation, lambda d: d["i"], lambda d: d["i"] + gap)
    assert _verdict(made) == expected


def test_a_condition_counts_if_it_covers_what_holds_and_not_what_breaks():
    def made(limit):
        return _toy(
            IDENTITY, lambda d: d["i"], lambda d: np.minimum(d["i"], 100), condition=_early(limit)
        )

    assert _verdict(made(50)) == "holds when early"
    assert _verdict(made(101)) == "holds when early"
    assert _verdict(made(102)) == "fails"
    assert _verdict(made(1)) == "fails"  # met too seldom to say


def test_a_condition_that_is_not_needed_is_not_mentioned():
    made = _toy(IDENTITY, lambda d: d["i"], lambda d: d["i"], condition=_early(50))
    assert _verdict(made) == "holds"


def test_what_is_never_put_to_the_test_is_untested():
    made = _toy(IDENTITY, lambda d: d["i"], lambda d: d["i"], active=_early(1))
    assert _verdict(made) == "untested"


def test_one_entry_of_many_breaks_an_instance_and_entries_without_values_do_not():
    left = np.zeros((COUNT, 3))
    right = np.where(np.arange(3) == 1, np.nan, left)
    assert _verdict(_toy(IDENTITY, lambda d: left, lambda d: right)) == "holds"
    right[7, 2] = 0.5
    result = statement.evaluate(_toy(IDENTITY, lambda d: left, lambda d: right), COUNT, 0)
    assert (result.verdict, result.violated, result.worst) == ("fails", 1, 0.5)
    assert result.counterexample == "i = 7: left 0, right 0.5"


def test_equal_infinities_are_equal():
    infinite = np.full(COUNT, np.inf)
    assert _verdict(_toy(IDENTITY, lambda d: infinite, lambda d: infinite)) == "holds"


# The document.


def test_the_document_is_current(results):
    assert DOCUMENT.read_text() == audit.markdown(list(results.values())), (
        "docs/paper_audit.md is not what the audit writes"
    )


def test_an_audit_repeats_itself():
    first, again = (audit.markdown(audit.run(count=50)) for _ in range(2))
    assert first == again


def test_another_seed_draws_other_instances():
    first, other = (
        audit.run(count=20, seed=seed, statements=audit.STATEMENTS[3:4]) for seed in (0, 1)
    )
    assert first[0].counterexample != other[0].counterexample


def test_the_markdown_table_has_five_columns_in_every_row(results):
    rows = [line for line in audit.markdown(list(results.values())).splitlines() if line[:1] == "|"]
    assert len(rows) == 2 + len(audit.STATEMENTS)
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_the_table_for_a_terminal_names_every_statement_and_fits(results):
    table = audit.text(list(results.values()))
    narrow = audit.text(list(results.values()), width=90)
    assert max(map(len, narrow.splitlines())) < 100
    for name in NAMES:
        assert name.split(" ")[0][:10] in table
    assert max(map(len, table.splitlines())) < 150
    assert " ".join(narrow.split()).endswith(audit.summary(list(results.values())))


def test_an_audit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one instance, got 0"):
        audit.run(count=0)
