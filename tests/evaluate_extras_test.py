"""What evaluation measures on demand: a fresh critic, and LPIPS as a distortion."""

import numpy as np
import pytest

from synjax import lpips
from synjax.evaluation import evaluate, fresh_critic
from synjax.reporting import table
from synjax.training import plan


def _rows(config):
    made = plan.make(config)
    trial = made.trials[0]
    params = made.initial_params(trial.seed)
    rows, *_ = evaluate.trial_rows(made, trial, params, evaluate.subjects(config))
    return table.frame(rows)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("weights") / "lpips.npz"
    arrays = {
        name: rng.uniform(-0.05, 0.1, shape).astype(np.float32)
        for name, shape in lpips.shapes().items()
    }
    np.savez(path, **arrays)
    return path


def test_vectors_have_a_fresh_critic_when_it_is_asked_for(tiny_config):
    config = tiny_config("gaussian")
    assert "fresh_critic_w1" not in table.divergences(_rows(config))
    config["evaluation"]["fresh_critic_steps"] = 30
    results = _rows(config)
    assert "fresh_critic_w1" in table.divergences(results)
    assert np.isfinite(results[["fresh_critic_w1", "fresh_critic_w1_floor"]]).all(axis=None)
    assert (results["fresh_critic_w1_se"] > 0).all()
    assert {"knn_kl", "mmd2", "bures_w2", "gaussian_kl_reverse"} <= set(table.divergences(results))


def test_photographs_have_both_and_lpips_is_no_divergence(tiny_config, weights, monkeypatch):
    monkeypatch.setattr(fresh_critic, "TILE", 16)  # one small photograph has enough of these
    config = tiny_config("photos")
    config["evaluation"] |= {"fresh_critic_steps": 3, "lpips": str(weights), "levels": (2,)}
    results = _rows(config)
    assert set(results["level"]) == {2}
    assert "lpips" not in table.divergences(results)
    assert (results["lpips"] > 0).all() and (results["fresh_critic_w1_se"] > 0).all()
    assert {"frechet_distance", "mmd2"} <= set(table.divergences(results))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("lpips", "nowhere.npz", "no LPIPS weights at nowhere.npz"),
        ("fresh_critic_steps", -1, "integer from 0, got -1"),
        ("fresh_critic_steps", 1.5, "integer from 0, got 1.5"),
        ("levels", (0,), r"evaluation.levels must be of 1 to 1, got \(0,\)"),
        ("classical", ("gif",), "evaluation.classical has 'gif', must be of jpeg, webp, avif, jp2"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_runs(
    tiny_config, tmp_path, key, value, named
):
    from synjax.verbs import train

    config = tiny_config("gaussian")
    config["evaluation"][key] = value
    with pytest.raises(ValueError, match=named):
        train.train(config, tmp_path / "run", None)
    assert not (tmp_path / "run").exists()


def test_photographs_of_which_one_is_small_are_summed_up_by_what_all_have():
    values = [{"mse": 1.0, "mmd2": 2.0, "mmd2_floor": 1.0}, {"mse": 3.0}]
    assert evaluate._summary(values)["mse"] == 2.0
    assert "mmd2" not in evaluate._summary(values)
