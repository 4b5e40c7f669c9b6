"""The verb `estimators`: bias and spread of every estimator, where the truth is known."""

import dataclasses
import datetime
import json
import math
import pathlib
import platform
import time
from collections.abc import Callable

import jax
import matplotlib.figure
import matplotlib.ticker
import numpy as np
import pandas as pd
import scipy

from synjax.evaluation import (
    deviates,
    fresh_critic,
    gaussian_fit,
    nearest_neighbours,
    pairs,
    sliced,
    toy_pairs,
    trained_bounds,
)
from synjax.reporting import plots, table

SIZES = (64, 256, 1024, 4096, 16384)
STRENGTHS = {"gaussian": (0.0, 0.1, 0.3, 1.0, 2.0), "mixture": (0.0, 0.25, 0.5, 1.0)}
DIMS = (1, 8)
DRAWN = {"gaussian": 1.0, "mixture": 0.5}  # strengths of the plot
_MAKERS = {"gaussian": toy_pairs.gaussian, "mixture": toy_pairs.mixture}
_CRITIC_STEPS, _BOUND_STEPS, _CRITIC_REPEATS = 150, 300, 3
_MANY_REPEATS_BELOW = 1024  # N up to which samples cost little


@dataclasses.dataclass(frozen=True)
class Estimator:
    """An estimate, what it is an estimate of, and how far it can be tried.

    Attributes:
      quantity: the panel it belongs to.
      estimate: (x [N, n], y [N, n], seed) → number.
      truth: of a `toy_pairs.Pair`, the same quantity.
      kind: "unbiased", "consistent", "lower bound" or, where it sees moments alone, "moments".
      most: the largest N that it is tried with; reports give it no more.
      dims: where the truth is known.
    """

    quantity: str
    estimate: Callable
    truth: Callable
    kind: str
    most: int = SIZES[-1]
    dims: tuple[int, ...] = DIMS


def _width(dims):
    """About the median distance of two vectors of unit variance."""
    return math.sqrt(2 * dims)


def _sliced(x, y, directions):
    return sliced.of_members(x, y[None], directions, np.ones(1))


def _critic(x, y, seed):
    return fresh_critic.wasserstein1(x, y[:, None], steps=_CRITIC_STEPS, seed=seed)[0]


def _bound(x, y, seed, bound):
    return float(trained_bounds.kl_bound(x, y, seed, bound, _BOUND_STEPS))


def _directions(dims):
    return deviates.directions(dims, 0, 0)


# Further estimators go here: name → Estimator.
ESTIMATORS = {
    "gaussian_kl": Estimator(
        "KL", lambda x, y, _: gaussian_fit.gaussian_kl(x, y), lambda p: p.kl(), "moments"
    ),
    "gaussian_kl_reverse": Estimator(
        "KL", lambda x, y, _: gaussian_fit.gaussian_kl(y, x), lambda p: p.kl_reverse(), "moments"
    ),
    "knn_kl": Estimator(
        "KL",
        lambda x, y, _: nearest_neighbours.knn_kl(x, y),
        lambda p: p.kl(),
        "consistent",
        most=8192,
    ),
    "variational_kl_dv": Estimator(
        "trained bounds",
        lambda x, y, seed: _bound(x, y, seed, "dv"),
        lambda p: p.kl(),
        "lower bound",
        most=4096,
    ),
    "variational_kl_nwj": Estimator(
        "trained bounds",
        lambda x, y, seed: _bound(x, y, seed, "nwj"),
        lambda p: p.kl(),
        "lower bound",
        most=4096,
    ),
    "axis_wasserstein": Estimator(
        "transport",
        lambda x, y, _: _sliced(x, y, None),
        lambda p: p.w2(),
        "consistent",
    ),
    "sliced_wasserstein": Estimator(
        "transport",
        lambda x, y, _: _sliced(x, y, _directions(x.shape[1])),
        lambda p: p.sliced_w2(_directions(p.source.dims)),
        "consistent",
    ),
    "bures_w2": Estimator(
        "transport", lambda x, y, _: gaussian_fit.bures_w2(x, y), lambda p: p.w2(), "moments"
    ),
    "fresh_critic_w1": Estimator("transport", _critic, lambda p: p.w1(), "lower bound", dims=(1,)),
    "energy_distance": Estimator(
        "pairs",
        lambda x, y, _: pairs.energy_distance(x, y),
        lambda p: p.energy(),
        "unbiased",
        most=4096,
    ),
    "mmd2": Estimator(
        "pairs",
        lambda x, y, _: pairs.mmd2(x, y, _width(x.shape[1])),
        lambda p: p.mmd2(_width(p.source.dims)),
        "unbiased",
        most=4096,
    ),
}


def tabulate(repeats=5, seed=0, sizes=SIZES, names=tuple(ESTIMATORS), dims=DIMS):
    """Every estimator on every pair at every size.

    Args:
      repeats: samples of each, at least 2, and four times as many where N ≤ 1024; of what is
        trained on each, at most three.
      seed: of the samples.
      sizes: N, vectors of the source and of the reconstruction.
      names: keys of `ESTIMATORS`.
      dims: 1, 8 or both.

    Returns:
      DataFrame with the columns family, dims, strength, estimator, kind, n, repeats, truth, mean,
      bias, bias_se and spread (the deviation of one estimate). Rows of strength 0 are the floors.
    """
    rows = []
    for family, strengths in STRENGTHS.items():
        for dim in dims:
            for place, strength in enumerate(strengths):
                pair = _MAKERS[family](dim, strength)
                for name in names:
                    if dim not in ESTIMATORS[name].dims:
                        continue
                    identity = {"family": family, "dims": dim, "strength": strength}
                    rows += [
                        identity | row
                        for row in _of_pair(name, pair, repeats, (seed, place), sizes)
                    ]
    return pd.DataFrame(rows)


def _of_pair(name, pair, repeats, key, sizes):
    chosen = ESTIMATORS[name]
    truth = chosen.truth(pair)
    for n in sizes:
        if n > chosen.most:
            continue
        count = repeats if n > _MANY_REPEATS_BELOW else 4 * repeats
        if chosen.kind == "lower bound":  # each is trained
            count = min(count, _CRITIC_REPEATS)
        found = []
        for repeat in range(count):
            rng = np.random.default_rng([*key, pair.source.dims, n, repeat])
            x, y = pair.source.sample(rng, n), pair.other.sample(rng, n)
            found.append(chosen.estimate(x, y, repeat))
        spread = float(np.std(found, ddof=1))
        yield {
            "estimator": name,
            "kind": chosen.kind,
            "n": n,
            "repeats": count,
            "truth": truth,
            "mean": float(np.mean(found)),
            "bias": float(np.mean(found)) - truth,
            "bias_se": spread / math.sqrt(count),
            "spread": spread,
        }


def write(results, directory, provenance):
    """Writes estimators.csv, estimators.md, estimators.png, estimators.svg and provenance.json.

    Args:
      results: from `tabulate`.
      directory: where to.
      provenance: dict of what it takes to repeat the results.

    Returns:
      The paths.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    contents = {
        "estimators.csv": results.to_csv(index=False, lineterminator="\n", float_format="%.6g"),
        "estimators.md": markdown(results),
        "provenance.json": json.dumps(provenance, indent=1) + "\n",
    }
    paths = [table.replace_file(directory / k, v.encode()) for k, v in contents.items()]
    with plots.style():
        return paths + plots.save(figure(results), directory / "estimators")


def markdown(results):
    """One line per pair and estimator: the truth, and bias ± spread at each size."""
    sizes = sorted(results["n"].unique())
    lines = [
        "Bias ± spread of one estimate, by the number of vectors N on each side. KL in bits and",
        "W2² in squared units, per dimension; strength 0, the source against itself, is the floor.",
        "",
        "| pair | strength | estimator | truth | " + " | ".join(f"N = {n}" for n in sizes) + " |",
        "|---|---|---|---|" + "---|" * len(sizes),
    ]
    keys = ["family", "dims", "strength", "estimator"]
    for (family, dims, strength, name), group in results.groupby(keys, sort=False):
        by_size = group.set_index("n")
        cells = [
            f"{by_size.bias[n]:+.2g} ± {by_size.spread[n]:.1g}" if n in by_size.index else ""
            for n in sizes
        ]
        head = f"| {family}, {dims}-d | {strength:g} | `{name}` | {abs(group.truth.iloc[0]):.3g} | "
        lines.append(head + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def figure(results):
    """Relative bias and spread against N: a row per pair at one strength, a column per quantity."""
    titles = {
        "KL": "KL divergence",
        "trained bounds": "KL, trained lower bounds",
        "transport": "transport distances",
        "pairs": "statistics of pairs",
    }
    panels = [(family, dims) for family in STRENGTHS for dims in DIMS]
    made = matplotlib.figure.Figure(figsize=(12.5, 9.5), layout="constrained")
    grid = made.subplots(len(panels), len(titles), sharex=True, sharey=True, squeeze=False)
    for row, (family, dims) in zip(grid, panels, strict=True):
        shown = results[(results.family == family) & (results.dims == dims)]
        shown = shown[shown.strength == DRAWN[family]]
        for axes, quantity in zip(row, titles, strict=True):
            names = [n for n, e in ESTIMATORS.items() if e.quantity == quantity]
            for place, name in enumerate(names):
                rows = shown[shown.estimator == name]
                moved = rows.n * 1.12 ** (place - (len(names) - 1) / 2)  # bars side by side
                axes.errorbar(
                    moved,
                    100 * rows.bias / rows.truth,
                    100 * rows.spread / rows.truth,
                    color=f"C{place}",
                    marker="os^D"[place],
                    markersize=4,
                    capsize=2,
                    linewidth=1,
                    label=name,
                )
            axes.axhline(0, color="0.3", linewidth=0.8)
            axes.set_xscale("log", base=4)
            axes.set_yscale("symlog", linthresh=100, linscale=2)
        row[0].set_ylabel(f"{family} ({DRAWN[family]:g}), {dims}-d\nerror, % of the truth")
    for axes, title in zip(grid[0], titles.values(), strict=True):
        axes.set_title(title)
        axes.legend(loc="upper right", fontsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("vectors on each side, N")
        axes.set_xticks(SIZES, [str(n) for n in SIZES])
        axes.minorticks_off()
    grid[0][0].set_yticks([-100, -50, 0, 50, 100, 1000], ["−100", "−50", "0", "50", "100", "1000"])
    return made


def study(directory, repeats, seed, console):
    """Tries every estimator and writes what came out, with how to repeat it."""
    began = time.monotonic()
    results = tabulate(repeats=repeats, seed=seed)
    provenance = {
        "command": f"./launch.sh estimators --out={directory} --repeats={repeats} --seed={seed}",
        "seed": seed,
        "repeats": repeats,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(time.monotonic() - began),
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }
    for path in write(results, directory, provenance):
        console.print(f"Wrote {path}", highlight=False, soft_wrap=True)
