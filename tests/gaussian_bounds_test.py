"""The claims of the Gaussian experiment: they can fail, each for its own reason."""

import conftest
import numpy as np
import pandas as pd
import pytest

from synjax.theory import gaussian, scalar_quantizer

VARIANCES = tuple(0.6**i for i in range(8))
CONFIG = {"data": {"variances": VARIANCES}}


@pytest.fixture(scope="module")
def experiment():
    import experiments

    return experiments.load("experiments/gaussian_bounds.py")


def _rows(experiment):
    """A table of codecs that reach every bar: ideal scalar quantisers and posterior samplers."""
    rows = []
    points = {(7.2, p) for p in experiment.SWEPT} | {(72.0, 0.0), (72.0, 1000 * 72.0)}
    for lambda_d, lambda_p in sorted(points):
        rate, mse = scalar_quantizer.at_slope(VARIANCES, lambda_d)
        share = lambda_p / (lambda_p + lambda_d)  # of the way to perfect realism
        for seed in range(3):
            rows.append(
                {
                    "run": "gaussian_bounds",
                    "status": "ok",
                    "lambda_d": lambda_d,
                    "lambda_p": lambda_p,
                    "seed": seed,
                    "rate_estimated": rate + 0.005,
                    "mse": mse * (1 + share),
                    "mse_of_mean": mse,
                    "diversity": 2 * mse * share,
                    "gap_to_bound": 0.1,
                    "gaussian_kl": 0.1 * (1 - share),
                    "covariance_error": 0.1 * (1 - share),
                    "axis_wasserstein": 1e-2 * (1 - share) + 1e-5 * seed,
                    "axis_wasserstein_floor": 0.0,
                    "energy_distance": 1e-2 * (1 - share) + 1e-6 * seed,
                }
            )
    return pd.DataFrame(rows)


def test_ideal_codecs_reach_every_bar(experiment):
    failed = [claim for claim in experiment.claims(_rows(experiment), CONFIG, None) if not claim[1]]
    assert failed == []


@pytest.mark.parametrize(
    ("column", "change", "named"),
    [
        ("rate_estimated", lambda v: v + 0.02, "above ideal scalar quantisation"),
        ("gaussian_kl", lambda v: v + 0.004, "KL"),
        ("covariance_error", lambda v: v + 0.05, "covariance"),
        ("axis_wasserstein", lambda v: v + 3e-4, "1-D W2²"),
        ("diversity", lambda v: 0.5 * v, "diversity"),
        ("mse_of_mean", lambda v: v * np.linspace(1.0, 1.3, len(v)), "mse_of_mean"),
        ("rate_estimated", lambda v: v + 0.05, "gap to R(D/2)"),
        ("mse", lambda v: v * np.linspace(2.0, 1.0, len(v)), "mse does not fall"),
        ("energy_distance", lambda v: -v, "energy_distance does not rise"),
        ("status", lambda v: "below_bound", "no rate lies below"),
    ],
)
def test_each_bar_can_be_missed(experiment, column, change, named):
    rows = _rows(experiment)
    rows[column] = change(rows[column])
    if column == "status":
        rows.loc[1:, "status"] = "ok"
    failed = [claim for claim, holds, _ in experiment.claims(rows, CONFIG, None) if not holds]
    assert any(named in claim for claim in failed), failed


def test_isotonic_regression_is_the_nearest_ordered_sequence(experiment):
    np.testing.assert_allclose(experiment.isotonic([1.0, 3.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 4.0])


def test_the_grid_has_every_lambda_d_with_and_without_perception(experiment):
    config = experiment.get_config()
    assert tuple(config.seeds) == (0, 1, 2)
    points = {(d, 0.0) for d in config.sweep.lambda_d} | set(config.sweep.also)
    assert {(d, experiment.LARGEST * d) for d in (2.4, 7.2, 24.0, 72.0)} <= points
    assert len({p for d, p in points if d == 7.2}) == 7


def test_the_quantiser_reference_is_above_the_bound():
    rate, mse = scalar_quantizer.at_slope(VARIANCES, 7.2)
    assert rate > gaussian.rate_distortion(VARIANCES, mse)
    assert conftest.load_config("configs/gaussian.py")["data"]["variances"] == VARIANCES
