"""The study in miniature: each estimator is what it is called."""

import json

import numpy as np
import pandas as pd
import pytest

from synjax import command_line
from synjax.evaluation import estimator_study, fresh_critic, toy_pairs, trained_bounds

PAIRS = ("energy_distance", "mmd2")
MOMENTS = ("gaussian_kl", "gaussian_kl_reverse", "bures_w2")


def _table(names, **options):
    return estimator_study.tabulate(names=names, **options)


@pytest.mark.parametrize("dims", [1, 8])
def test_the_unbiased_ones_are_unbiased_within_three_standard_errors(dims):
    # So many because the distribution near zero is skewed.
    results = _table(PAIRS, repeats=150, sizes=(64,), dims=(dims,))
    assert set(results.kind) == {"unbiased"} and set(results.repeats) == {600}
    assert (results.bias.abs() < 3 * results.bias_se).all()


def test_the_fresh_critic_stays_below_the_truth_and_comes_near_it():
    for make, strength in [(toy_pairs.gaussian, 1.0), (toy_pairs.mixture, 1.0)]:
        pair, rng = make(1, strength), np.random.default_rng(0)
        x, y = pair.source.sample(rng, 4096), pair.other.sample(rng, 4096)
        value, _, error = fresh_critic.wasserstein1(x, y[:, None], steps=200)
        assert 0.5 * pair.w1() < value < pair.w1() + 3 * error, pair.name


@pytest.mark.parametrize("bound", ["dv", "nwj"])
def test_trained_bounds_stay_below_the_kl_and_come_near_it(bound):
    for make, strength in [(toy_pairs.gaussian, 0.3), (toy_pairs.mixture, 1.0)]:
        pair, found = make(1, strength), []
        for repeat in range(8):
            rng = np.random.default_rng(repeat)
            x, y = pair.source.sample(rng, 4096), pair.other.sample(rng, 4096)
            found.append(float(trained_bounds.kl_bound(x, y, repeat, bound, 200)))
        error = np.std(found, ddof=1) / np.sqrt(len(found))
        assert 0.5 * pair.kl() < np.mean(found) < pair.kl() + 3 * error, pair.name


def test_fitted_moments_stay_below_the_truth_above_their_floor_and_find_it_for_gaussians():
    results = _table(("bures_w2",), repeats=4, sizes=(4096,))
    for _, group in results.groupby(["family", "dims"]):
        floor = group[group.strength == 0]["mean"].iloc[0]
        assert (group["mean"] - floor < group.truth + 3 * group.bias_se).all()
    gaussians = results[(results.family == "gaussian") & (results.strength == 2)]
    assert (gaussians.bias.abs() < 4 * gaussians.bias_se).all()


def test_fitted_moments_do_not_see_what_has_the_same_moments():
    results = _table(MOMENTS, repeats=2, sizes=(4096,), dims=(1,))
    mixtures = results[(results.family == "mixture") & (results.strength == 1)]
    assert (mixtures["mean"] < 0.05 * mixtures.truth).all()


@pytest.mark.parametrize("name", ["knn_kl", "axis_wasserstein", "sliced_wasserstein"])
def test_the_consistent_ones_come_closer_as_the_samples_grow(name):
    results = _table((name,), repeats=5, sizes=(64, 4096), dims=(1,))
    for (_, strength), group in results.groupby(["family", "strength"]):
        few, many = group.sort_values("n")[["bias", "spread"]].abs().sum(axis=1)
        assert many < few, strength


def test_nothing_is_tried_on_more_than_reports_use_or_where_the_truth_is_unknown():
    results = _table(("knn_kl", "mmd2"), repeats=2, sizes=(64, 16384), dims=(1,))
    assert results.n.max() == 64
    assert _table(("fresh_critic_w1",), dims=(8,)).empty


def test_the_results_are_written_with_a_table_a_plot_and_how_to_repeat_them(tmp_path):
    results = _table(("gaussian_kl", *PAIRS), repeats=2, sizes=(64, 256))
    again = _table(("gaussian_kl",), repeats=2, sizes=(64, 256))
    alike = results[results.estimator == "gaussian_kl"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alike, again)
    paths = estimator_study.write(results, tmp_path, {"seed": 0})
    assert [path.suffix for path in paths] == [".csv", ".md", ".json", ".png", ".svg"]
    assert len(pd.read_csv(paths[0])) == len(results) == 2 * (5 + 4) * 3 * 2
    assert "| gaussian, 8-d | 0.3 | `mmd2` |" in paths[1].read_text()
    assert json.loads(paths[2].read_text()) == {"seed": 0}
    assert paths[3].stat().st_size > 10_000


def test_the_verb_has_its_flags():
    values, _, _ = command_line.parse("estimators", ["--out=x", "--repeats=2", "--seed=3"])
    assert (values.out, values.repeats, values.seed) == ("x", 2, 3)
    with pytest.raises(ValueError, match="repeats"):
        command_line.parse("estimators", ["--repeats=1"])
