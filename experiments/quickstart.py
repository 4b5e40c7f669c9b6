"""From nothing to a rate–distortion–perception table of photographs.

    ./launch.sh

Three λ_d by four λ_p at two levels: 24 rows. See `configs/photos.py` for the codec and the sweep.
"""

import itertools
import math

import experiments


def get_config(arg=""):
    """The configuration of `configs/photos.py`; `arg` is passed on."""
    config = experiments.load("configs/photos.py").get_config(arg)
    config.name = "quickstart" if not arg else f"quickstart_{arg}"
    return config


def _rises_by_more(values, errors):
    """Whether a sequence rises somewhere by more than two pooled standard errors."""
    return any(
        after - before > 2 * math.hypot(se_before, se_after)
        for (before, se_before), (after, se_after) in itertools.pairwise(
            zip(values, errors, strict=True)
        )
    )


def claims(table, config, workdir):
    """What the table must show.

    Args:
      table: DataFrame of `synjax.reporting.table`.
      config: the sweep's, a plain dict.
      workdir: its directory; all that is needed is in the table.

    Returns:
      List of (claim, whether it holds, what was measured); empty for a miniature.
    """
    del config, workdir
    if set(table.run) != {"quickstart"}:
        return []  # a miniature is too short to show anything
    ok = table[table.status == "ok"]
    columns = ok.groupby(["lambda_d", "level"], sort=True)
    found = [("24 rows, all ok", len(table) == len(ok) == 24, f"{len(ok)} of {len(table)} ok")]
    if len(ok) < len(table):
        return found

    one_rate = all(rows.rate_exact.nunique() == 1 for _, rows in columns)
    found.append(("one exact rate for each λ_d and level", one_rate, f"{columns.ngroups} columns"))

    excess = ((ok.rate_exact - ok.rate_header) / ok.rate_estimated - 1).abs().max()
    found.append(
        ("payload within 0.3 % of the estimated rate", excess < 0.003, f"at most {excess:.2%}")
    )

    falls = max(-rows.mse.diff().min() for _, rows in columns)
    found.append(
        ("mse does not fall as λ_p grows", falls <= 0, f"largest fall {max(falls, 0):.1e}")
    )
    rises = [
        key
        for key, rows in columns
        if _rises_by_more(rows.sliced_wasserstein, rows.sliced_wasserstein_se)
    ]
    found.append(
        (
            "sliced Wasserstein does not rise by more than 2 standard errors",
            not rises,
            f"{len(rises)} of {columns.ngroups} columns rise",
        )
    )

    lowest = ok[ok.lambda_d == ok.lambda_d.min()]
    for level, rows in lowest.groupby("level"):
        first, last = rows.iloc[0], rows.iloc[-1]
        above = [row.sliced_wasserstein - row.sliced_wasserstein_floor for row in (first, last)]
        ratio = above[0] / above[1]
        found.append(
            (
                f"at the smallest λ_d and level {level}, sliced Wasserstein above its floor "
                "falls at least 3 times",
                ratio >= 3 or above[1] <= 0,
                f"{above[0]:.4f} to {above[1]:.4f}, {ratio:.2f} times",
            )
        )
        fell = last.energy_distance < first.energy_distance
        found.append(
            (
                f"at the smallest λ_d and level {level}, the energy distance falls",
                fell,
                f"{first.energy_distance:.2e} to {last.energy_distance:.2e}",
            )
        )

    for by, name in (("lambda_d", "larger λ_d"), ("level", "a higher level")):
        others = ["lambda_p", "level" if by == "lambda_d" else "lambda_d"]
        better = all(
            (rows.sort_values(by).rate_exact.diff().dropna() > 0).all()
            and (rows.sort_values(by).mse.diff().dropna() < 0).all()
            for _, rows in ok.groupby(others)
        )
        found.append((f"{name} takes more rate and gives less distortion", better, "every column"))

    top = ok[(ok.lambda_p == ok.lambda_p.max()) & (ok.level == 1)]
    spread = top.diversity / top.mse
    found.append(
        (
            "members differ at the largest λ_p and level 1: diversity / mse in [0.1, 1.1]",
            spread.between(0.1, 1.1).all(),
            f"{spread.min():.2f} to {spread.max():.2f}",
        )
    )
    best = ok[(ok.lambda_p == 0) & (ok.level == ok.level.max())]
    gain = best.psnr - best.jpeg_psnr
    found.append(
        (
            "at λ_p = 0 and level 2, PSNR at least JPEG's at equal bytes",
            (gain >= 0).all(),
            ", ".join(
                f"{g:+.2f} dB at {b:.3f} bpp" for g, b in zip(gain, best.bpp_exact, strict=True)
            ),
        )
    )
    return found
