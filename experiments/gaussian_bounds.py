"""Gaussian components against their limits: rate, perfect realism, and the trade-off between.

    ./launch.sh sweep --experiment=experiments/gaussian_bounds.py --workdir=runs/gaussian_bounds

Four λ_d with and without perception, and seven λ_p at λ_d = 7.2, three seeds each. Any spectrum:
`--config.data.variances='(1.0, 0.5)'`. The bars are those of `claims`; the largest λ_p of each λ_d
is 1000 λ_d.
"""

import numpy as np
from scipy import optimize

import experiments
from synjax.theory import gaussian, scalar_quantizer

MIDDLE = 7.2  # λ_d at which λ_p is swept
SWEPT = (0.0, 0.72, 7.2, 24.0, 72.0, 720.0, 7200.0)
LARGEST = 1000.0  # the largest λ_p of every λ_d, in λ_d: perfect realism but for a thousandth


def get_config(arg=""):
    """The configuration; `arg` is passed on to `configs/gaussian.py`."""
    config = experiments.load("configs/gaussian.py").get_config(arg)
    config.name = "gaussian_bounds" if not arg else f"gaussian_bounds_{arg}"
    config.seeds = (0, 1, 2) if not arg else (0, 1)
    config.sweep.lambda_p = (0.0,)
    config.sweep.also = tuple((d, LARGEST * d) for d in config.sweep.lambda_d)
    if not arg:
        config.sweep.also += tuple((MIDDLE, p) for p in SWEPT)
    return config


def claims(table, config, workdir):
    """What the table must show.

    Args:
      table: DataFrame of `synjax.reporting.table`.
      config: the sweep's, a plain dict.
      workdir: its directory; all that is needed is in the table.

    Returns:
      List of (claim, whether it holds, what was measured); empty for a miniature.
    """
    if set(table.run) != {"gaussian_bounds"}:
        return []
    variances = np.asarray(config["data"]["variances"])
    ok = table[table.status == "ok"]
    found = [
        ("no rate lies below R(D, P)", not (table.status == "below_bound").any(), _worst_gap(ok)),
        ("all rows ok", len(ok) == len(table), f"{len(ok)} of {len(table)}"),
    ]
    means = ok.groupby(["lambda_d", "lambda_p"]).mean(numeric_only=True).reset_index()
    for lambda_d, rows in means.groupby("lambda_d"):
        found += _at(lambda_d, rows, variances)
    swept = ok[(ok.lambda_d == MIDDLE) & ok.lambda_p.isin(SWEPT)]
    if swept.lambda_p.nunique() > 2:
        found += _trade_off(swept)
    return found


def _worst_gap(ok):
    return f"smallest gap {ok.gap_to_bound.min():.4f} bits/dim"


def _at(lambda_d, rows, variances):
    """The bars at one λ_d: means over the seeds."""
    first, last = rows.iloc[0], rows.iloc[-1]
    quantiser = scalar_quantizer.rate_distortion(variances, first.mse)
    above = first.rate_estimated - quantiser
    quantiser_gap = quantiser - gaussian.rate_distortion(variances, first.mse)
    axis = last.axis_wasserstein - last.axis_wasserstein_floor
    spread = last.diversity / last.mse
    cost = last.mse_of_mean / first.mse - 1
    private = gaussian.rate_distortion(variances, last.mse / 2)
    gap = last.rate_estimated - private
    checks = (
        ("rate at most 0.015 bits/dim above ideal scalar quantisation", above <= 0.015, above),
        ("Gaussian-fit KL at most 0.003 bits/dim", last.gaussian_kl <= 0.003, last.gaussian_kl),
        ("covariance error at most 4 %", last.covariance_error <= 0.04, last.covariance_error),
        ("1-D W2² at most 2e-4 above its floor", axis <= 2e-4, axis),
        ("diversity / mse in [0.8, 1.1]", 0.8 <= spread <= 1.1, spread),
        ("mse_of_mean at most 15 % above the fidelity stage's mse", cost <= 0.15, cost),
        (
            f"gap to R(D/2) at most the quantiser's {quantiser_gap:.3f} + 0.02 bits/dim",
            gap <= quantiser_gap + 0.02,
            gap,
        ),
    )
    return [(f"λ_d {lambda_d:g}: {claim}", bool(h), f"{v:.3g}") for claim, h, v in checks]


def _trade_off(rows):
    """Distortion up and divergence down along λ_p, but for two pooled standard errors."""
    means = rows.groupby("lambda_p").mean(numeric_only=True)
    found = []
    for name, sign in (("mse", 1), ("axis_wasserstein", -1), ("energy_distance", -1)):
        values = sign * means[name].to_numpy()
        seeds = rows.groupby("lambda_p")[name].std(ddof=1) / np.sqrt(rows.seed.nunique())
        pooled = float(np.sqrt(np.mean(np.square(seeds))))
        residual = float(np.abs(values - isotonic(values)).max())
        direction = "does not fall" if sign > 0 else "does not rise"
        found.append(
            (
                f"λ_d {MIDDLE:g}: {name} {direction} along λ_p",
                residual <= 2 * pooled,
                f"isotonic residual {residual:.2g}, standard error {pooled:.2g}",
            )
        )
    spread = float(means.mse_of_mean.max() / means.mse_of_mean.min() - 1)
    claim = f"λ_d {MIDDLE:g}: mse_of_mean within 5 % along λ_p"
    return [*found, (claim, spread <= 0.05, f"{spread:.3g}")]


def isotonic(values):
    """The non-decreasing sequence nearest to `values` in squared error."""
    return optimize.isotonic_regression(values).x
