"""The Gaussian experiment in miniature, through the command line: what its table says of limits."""

import dataclasses
import json

import conftest
import numpy as np
import pytest

from synjax.evaluation import evaluate
from synjax.reporting import table
from synjax.theory import gaussian
from synjax.training import plan as planning

EXPERIMENT = "experiments/gaussian_bounds.py"


@pytest.fixture(scope="module")
def miniature(command, tmp_path_factory):
    """The working directory, the table, and what was printed."""
    workdir = tmp_path_factory.mktemp("gaussian")
    done = command("sweep", f"--experiment={EXPERIMENT}:tiny", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, table.read(workdir / "table.csv"), done.stdout


def test_every_row_is_there_and_ok(miniature):
    _, results, _ = miniature
    points = results.groupby(["lambda_d", "lambda_p"]).seed.apply(set)
    assert set(points.index) == {(2.4, 0), (2.4, 2400), (24, 0), (24, 24000)}
    assert all(seeds == {0, 1} for seeds in points)
    assert set(results.status) == {"ok"}


def test_every_row_has_its_distance_from_the_limit(miniature):
    workdir, results, _ = miniature
    variances = json.loads((workdir / "config.json").read_text())["data"]["variances"]
    for row in results.itertuples():
        assert "W2²" in row.bound_name
        assert 0 < row.rate_bound < row.rate_exact
        np.testing.assert_allclose(row.gap_to_bound, row.rate_exact - row.rate_bound, rtol=1e-9)
        # Perception costs rate: with it the bound is no smaller.
        assert row.rate_bound >= gaussian.rate_distortion(variances, row.mse) - 1e-9


def test_the_bound_for_private_sampling_stands_only_where_the_divergence_is_at_its_floor(miniature):
    _, results, _ = miniature
    assert results[results.lambda_p == 0].rate_bound_private.isna().all()


def test_the_plots_show_the_limits(miniature):
    workdir, _, _ = miniature
    drawn = (workdir / "plots" / "rate_distortion.svg").read_text()
    assert "private sampling" in drawn
    assert "ideal scalar quantiser" in drawn


def test_a_rate_below_the_limit_is_never_ok():
    """A source that claims ten times its variances needs more rate than was spent."""
    plan = planning.make(conftest.load_config("configs/gaussian.py", "tiny"))
    trial = plan.trials[0]
    examples = evaluate.subjects(plan.config)
    params = plan.initial_params(0)
    (row,), *_ = evaluate.trial_rows(plan, trial, params, examples)
    assert row["status"] == "ok"
    claimed = tuple(10 * v for v in examples[0].variances)
    examples = [dataclasses.replace(examples[0], variances=claimed)]
    (row,), *_ = evaluate.trial_rows(plan, trial, params, examples)
    assert row["status"] == "below_bound"
    assert "standard errors" in row["reason"]
