"""The literature's experiment: digits, one frozen encoder with many decoders, and end to end.

    ./launch.sh sweep --experiment=experiments/mnist_rdp.py --config.data.path=DIR \
        --workdir=runs/mnist_rdp

DIR holds MNIST's four original files. Three rates by three λ_p, for a Wasserstein critic and for
the sliced distance: decoders beside one frozen encoder (the "universal" codec of Zhang et al. 2021,
arXiv:2106.10311), and encoders that are trained with them. All are held to the same rates (Eq. 61),
so that curves are compared at equal rate. The perception is the W1 of a fresh critic of another
architecture (Blau and Michaeli 2019, arXiv:1901.07821, tabulate such a one). One seed; `:full` has
three and error bars.

Flags under `perception` and `sweep.lambda_p` reach the sliced distance alone.
"""

import itertools

import numpy as np
from scipy import optimize

import experiments

RATES = (0.0077, 0.0108, 0.0140)  # bits per pixel: 6, 8.5 and 11 bits per digit
CRITIC = "fresh_critic_w1"
REALISM_COST = 2.0  # perfect realism at most doubles the least distortion of the same rate
TOLERANCE = 0.05


def get_config(arg=""):
    """The configuration that the variants change; `arg` is "", "full" or "tiny"."""
    if arg not in ("", "full", "tiny"):
        raise ValueError(f"experiments/mnist_rdp.py takes full or tiny, got {arg!r}")
    config = experiments.load("configs/digits.py").get_config("tiny" if arg == "tiny" else "")
    config.name = "mnist_rdp" if arg != "tiny" else "mnist_rdp_tiny"
    rates = RATES if arg != "tiny" else RATES[1:2]
    config.stages.fidelity.targets = {"rate": rates}
    if arg == "full":
        config.seeds = (0, 1, 2)
    return config


def variants(config):
    """Two perception modules by two ways to train the encoder.

    Args:
      config: plain dict.

    Returns:
      Plain dicts by name.
    """
    critic = experiments.load("configs/digits.py").get_config(
        "tiny,wgan_gp" if _is_miniature(config) else "wgan_gp"
    )
    modules = {
        "sliced": {},
        "wgan": {
            "perception": critic.perception.to_dict(),
            "sweep": config["sweep"] | {"lambda_p": critic.sweep.lambda_p},
        },
    }
    fidelity, perception = (config["stages"][name] for name in ("fidelity", "perception"))
    joint = perception | {"relaxation": "rate", "targets": fidelity["targets"]}
    # Encoders that move need their multipliers and averages to keep up.
    joint |= {"dual_rate": 0.08, "decay": 0.95, "lambda_p_warmup": 200, "steps": 1000}
    if _is_miniature(config):
        joint |= {"lambda_p_warmup": 5, "steps": perception["steps"]}
    trained = {
        "frozen": {},
        "end_to_end": {"stages": {"fidelity": fidelity, "joint": joint}},
    }
    return {
        f"{module}_{training}": config | modules[module] | trained[training]
        for module, training in itertools.product(modules, trained)
    }


def _is_miniature(config):
    return config["name"].endswith("tiny")


def claims(table, config, workdir):
    """What the table must show.

    Args:
      table: DataFrame of `synjax.reporting.table`.
      config: the experiment's, a plain dict.
      workdir: its directory; all that is needed is in the table.

    Returns:
      List of (claim, whether it holds, what was measured); empty for a miniature.
    """
    if _is_miniature(config):
        return []
    ok = table[table.status == "ok"]
    found = [("all rows ok", len(ok) == len(table), f"{len(ok)} of {len(table)}")]
    for run, rows in ok.groupby("run"):
        found += _along(run.partition("/")[2], rows)
    for module in ("sliced", "wgan"):
        frozen, joint = (ok[ok.run.str.endswith(f"{module}_{t}")] for t in ("frozen", "end_to_end"))
        found += _compared(module, frozen, joint)
    return found


def _errors(rows, name):
    """Pooled standard error of a mean: over seeds, or the rows' own where there is one seed."""
    groups = rows.groupby("lambda_p")[name]
    if rows.seed.nunique() > 1:
        errors = groups.std(ddof=1) / np.sqrt(rows.seed.nunique())
    else:
        errors = rows.groupby("lambda_p")[f"{name}_se"].mean()
    return float(np.sqrt(np.mean(np.square(errors))))


def _along(run, rows):
    """Of one variant: both directions of the trade-off, the order of rates, the cost of realism."""
    found = []
    for name, sign in (("mse", 1), (CRITIC, -1)):
        worst = 0.0
        for _, column in rows.groupby("lambda_d"):
            values = sign * column.groupby("lambda_p")[name].mean().to_numpy()
            residual = np.abs(values - optimize.isotonic_regression(values).x).max()
            worst = max(worst, residual / _errors(column, name))
        what = "distortion rises" if sign > 0 else "perception falls"
        found.append((f"{run}: {what} along λ_p", worst <= 2, f"residual {worst:.2f} s.e."))
    means = rows.groupby(["lambda_d", "lambda_p"])[["mse", CRITIC]].mean()
    curves = [means.loc[lambda_d].sort_values(CRITIC) for lambda_d in sorted(set(rows.lambda_d))]
    above = [_above(*pair) for pair in itertools.pairwise(curves)]
    found.append(
        (
            f"{run}: at equal perception a higher rate has less distortion",
            all(least > 0 for least in above),
            ", ".join(f"at least {least:+.4f} apart" for least in above),
        )
    )
    cost = means.mse.groupby("lambda_d").agg(lambda column: column.iloc[-1] / column.iloc[0])
    found.append(
        (
            f"{run}: the largest λ_p costs at most {REALISM_COST:g} times the distortion",
            bool((cost <= REALISM_COST * (1 + TOLERANCE)).all()),
            ", ".join(f"{value:.2f}" for value in cost),
        )
    )
    return found


def _above(lower, higher):
    """By how much the mse of a lower rate lies above a higher one's, at least, at equal W1.

    Where the curves share no W1, the nearest points are compared.
    """
    low = max(lower[CRITIC].min(), higher[CRITIC].min())
    high = min(lower[CRITIC].max(), higher[CRITIC].max())
    at = np.linspace(low, max(low, high), 50)
    of_lower, of_higher = (np.interp(at, rows[CRITIC], rows.mse) for rows in (lower, higher))
    return float((of_lower - of_higher).min())


def _compared(module, frozen, joint):
    """One frozen encoder against encoders of their own: the rates, and distortion and W1."""
    points = ["lambda_p", "lambda_d"]
    columns = ["rate_estimated", "mse", CRITIC]
    ours, theirs = (rows.groupby(points)[columns].mean() for rows in (frozen, joint))
    apart = float((ours.rate_estimated / theirs.rate_estimated - 1).abs().max())
    found = [
        (f"{module}: frozen and end to end at rates within 2 %", apart <= 0.02, f"{apart:.2%}")
    ]
    for name in ("mse", CRITIC):
        gaps = []
        for lambda_p, column in ours.groupby("lambda_p"):
            curve = theirs[theirs.index.get_level_values("lambda_p") == lambda_p]
            curve = curve.sort_values("rate_estimated")
            # At the frozen encoder's rates, along the curve of the others; no further than it goes.
            inside = column.rate_estimated.between(
                0.98 * curve.rate_estimated.min(), 1.02 * curve.rate_estimated.max()
            )
            column = column[inside]
            other = np.interp(
                np.log(column.rate_estimated), np.log(curve.rate_estimated), np.log(curve[name])
            )
            gaps += list(column[name] / np.exp(other) - 1)
        what = "distortion" if name == "mse" else "W1"
        if not gaps:
            found.append((f"{module}: frozen and end to end share a rate", False, "none"))
            continue
        found.append(
            (
                f"{module}: at equal rate and λ_p the frozen encoder costs at most 5 % {what}",
                float(np.mean(gaps)) <= 0.05,
                f"mean {np.mean(gaps):+.1%}, {min(gaps):+.1%} to {max(gaps):+.1%}, "
                f"{len(gaps)} of {len(ours)} points",
            )
        )
    return found
