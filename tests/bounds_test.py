"""The verb `bounds`: what it accepts, and that its numbers are the theory's."""

import math

import numpy as np
import pandas as pd
import pytest

from synjax import bounds
from synjax.theory import bernoulli, finite, gaussian


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", [0.5]),
        ("1,2,inf", [1, 2, math.inf]),
        ("0:1:3", [0, 0.5, 1]),
        ("3,0:1:2", [3, 0, 1]),
    ],
)
def test_numbers_lists_and_ranges_are_read(text, expected):
    assert bounds.numbers("distortion", text) == expected


@pytest.mark.parametrize("text", ["", "x", "1,,2", "0:1", "0:1:1", "0:1:x", "0:1:100000000"])
def test_anything_else_is_refused_by_name(text):
    with pytest.raises(ValueError, match="^distortion takes numbers"):
        bounds.numbers("distortion", text)


def test_a_table_holds_the_theorys_numbers_for_every_pair():
    variances = [1.0, 0.25]
    found = bounds.tabulate("gaussian", variances, [0.1, 0.3], [0.0, 0.05])
    assert list(found.columns) == ["distortion", "perception", "rate", "kind"]
    for row in found.itertuples():
        expected = gaussian.rate_distortion_perception(variances, row.distortion, row.perception)
        assert row.rate == expected and row.kind == "exact"
    assert len(found) == 4


def test_the_papers_direction_is_labelled_an_upper_bound():
    found = bounds.tabulate("gaussian", [1.0], [0.5], [0.1], "kl_x_to_xhat")
    assert list(found.kind) == ["upper"]


def test_private_randomness_halves_the_distortion():
    found = bounds.tabulate("gaussian", [1.0], [0.5], [0.0], common_randomness=0.0)
    np.testing.assert_allclose(found.rate, gaussian.rate_distortion([1.0], 0.25), rtol=1e-6)


def test_a_binary_source_is_a_finite_one():
    of_bernoulli = bounds.tabulate("bernoulli", [0.25], [0.1], [0.02])
    of_finite = bounds.tabulate("finite", [0.75, 0.25], [0.1], [0.02])
    np.testing.assert_allclose(of_bernoulli.rate, of_finite.rate, atol=1e-5)
    assert of_bernoulli.rate[0] == bernoulli.rate_distortion_perception(0.25, 0.1, 0.02)
    assert 0 <= of_finite.certificate[0] < 1e-5
    hamming = np.array([[0.0, 1.0], [1.0, 0.0]])
    rate, _, _ = finite.rate_distortion_perception(np.array([0.75, 0.25]), hamming, 0.1, 0.02)
    assert of_finite.rate[0] == rate


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cauchy", [1.0], [1.0], [1.0]), "source is 'cauchy', must be one of gaussian"),
        (("gaussian", [1.0], [1.0], [1.0], "tv"), "must be one of w2, kl_x_to_xhat"),
        (("bernoulli", [0.2, 0.8], [0.1], [0.1]), "bernoulli takes one probability"),
        (("bernoulli", [0.2], [0.1], [0.1], None, 0.0), "for source 'gaussian' only"),
        (("gaussian", [1.0], [-1.0], [0.1]), "distortion"),
        (("finite", [0.5, 0.6], [0.1], [0.1]), "p_x"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        bounds.tabulate(*arguments)
    assert "\n" not in str(refusal.value)


def test_the_command_prints_one_number_or_writes_a_table_and_a_plot(called, tmp_path):
    done = called("bounds", "--variances=1,0.25", "--distortion=0.2", "--perception=0.01")
    assert done.returncode == 0, done.stderr
    expected = gaussian.rate_distortion_perception([1.0, 0.25], 0.2, 0.01)
    assert done.stdout == f"{expected:.6f} bits/dim\n"
    out = tmp_path / "bounds"
    done = called("bounds", "--distortion=0.1:0.9:5", "--perception=0,inf", f"--out={out}")
    assert done.returncode == 0, done.stderr
    written = pd.read_csv(out / "bounds.csv")
    assert len(written) == 10 and (out / "bounds.png").stat().st_size > 1000
    refused = called("bounds", "--distortion=0")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert called("bounds").returncode == 2


def test_the_audit_command_prints_every_statement_and_writes_the_document(called, tmp_path):
    out = tmp_path / "audit.md"
    done = called("audit", "--count=20", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert "holds when" in done.stdout and "fails" in done.stdout
    assert out.read_text().startswith("# Audit of the paper's statements")
