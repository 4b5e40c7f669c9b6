"""Photographs: trained on BSDS500, reported on Kodak, with classical codecs beside it.

    ./launch.sh sweep --experiment=experiments/kodak.py --config.data.source=folder:BSDS500 \
        --config.data.test=folder:KODAK --config.evaluation.lpips=FILE.npz --workdir=runs/kodak

BSDS500 is a folder with `train` and `val` (github.com/BIDS/BSDS500, BSDS500/data/images), KODAK one
with the 24 pictures (r0k.us/graphics/kodak). No training sees either of `val` and Kodak;
`--config.data.test=folder:BSDS500/val` is for choices. LPIPS is measured where weights are given.

One λ_d-conditioned encoder at four rates, and beside it, at the same bytes,

    fidelity       a decoder trained for least distortion alone, which the others are measured by:
                   one that serves several λ_p is not as good at λ_p = 0
    sampled        a decoder that draws detail: members of the synset (Eq. 62) at four λ_p
    deterministic  the same training without anything drawn (Eq. 66)
    texture        nothing drawn either, and of the perception terms only those that compare windows
                   of eight pixels whatever their contrast; trained longer, for little distortion.
                   The order of its weights is of an earlier run (results/kodak_texture), which
                   judged them on `val` among other measures by LPIPS; of three pairs of λ_p that
                   were measured on Kodak this is the one in between (results/kodak)
    circular       trained on LPIPS itself, where weights are given, and so not judged by it

`:tiny` is a miniature on synthetic pictures, and `:wide` has a larger codec and more steps, for a
GPU.
"""

import pathlib

import numpy as np
import pandas as pd

import experiments
from synjax.report import reading
from synjax.reporting import bd_rate, signals

CODECS = ("jpeg", "webp", "avif", "jp2")
# What is asked of it.
OVER_JPEG = 1.5  # dB
WEBP_BD_RATE = -10.0  # %
LPIPS_SHARE, LPIPS_COST = 0.75, 0.5  # of the fidelity decoder's; dB
DIVERSITY = 0.2  # of the mse
PLACES = 20  # equal mse at which two curves are compared
# `texture`: its own λ_p, weights of the perception terms, and steps.
TEXTURE_LAMBDA_P = (0.12, 0.34)
TEXTURE_WEIGHTS = {"texture": 1.5, "patches": 0.6}
TEXTURE_STEPS = 2000
PERCEPTIVE = ("sampled", "deterministic", "texture")
INDEPENDENT = ("energy_distance", "frechet_distance")


def get_config(arg=""):
    """The configuration that the variants change; `arg` is "", "wide" or "tiny".

    Raises:
      ValueError: any other `arg`.
    """
    if arg not in ("", "wide", "tiny"):
        raise ValueError(f"experiments/kodak.py takes wide or tiny after the colon, got {arg!r}")
    config = experiments.load("configs/photos.py").get_config("tiny" if arg == "tiny" else "")
    config.name = "kodak" if arg != "tiny" else "kodak_tiny"
    config.evaluation.classical = CODECS if arg != "tiny" else ("jpeg", "webp")
    if arg == "tiny":
        config.sweep.lambda_p = (1.0,)
        config.codec.update({"context": True, "hyper": 4})
        return config
    config.data.source = ""  # by flag
    # BSDS500 is kept as JPEG: reduced, its blocks cannot be seen.
    config.data.augment = {"scale_range": (0.5, 0.85), "recolour": 0.5}
    config.sweep.update({"lambda_d": (25.0, 43.0, 72.0, 115.0), "lambda_p": (0.1, 0.4, 1.6, 5.0)})
    texture = {"name": "wasserstein_distortion", "window": 8, "lattice": 8}
    # Faint textures count like strong ones in `texture`, and as what they are in `contrast`.
    contrast = {"name": "wasserstein_distortion", "window": 32, "floor": 1.0}
    patches = config.perception.to_dict()
    config.perception = {
        "name": "mixture",
        "terms": {"texture": texture, "contrast": contrast, "patches": patches},
        "weights": {"texture": 0.5, "contrast": 12.0, "patches": 0.6},
    }
    # 4.9 % less rate than two groups after as many steps, each half as long again.
    config.codec.update({"groups": (12, 36, 64, 80), "hyper": 32})
    config.codec.update(
        {"analysis_width": 64, "detail_width": 64, "synthesis_widths": (192, 96, 48)}
    )
    for stage in config.stages.values():
        stage.update({"level_lambda_d": (1.0,) * 4, "level_lambda_p": (1.0,) * 4})
    config.stages.fidelity.update(
        {"steps": 16000, "batch": 4, "conditions": 4, "level_weights": (0.02, 0.02, 0.02, 0.94)}
    )
    config.stages.fidelity.update({"decay": 0.998, "checkpoint_every": 500})
    config.stages.perception.update(
        {"steps": 1000, "level_weights": (0.05, 0.05, 0.1, 1.0), "decay": 0.99}
    )
    # From what detail starts at elsewhere the synthesis hardly learns to sharpen in so few steps.
    config.stages.perception.amount = 0.15
    config.evaluation.update({"members": 2, "levels": (4,)})
    if arg == "wide":
        config.name = "kodak_wide"
        config.codec.update(
            {"analysis_width": 128, "synthesis_widths": (256, 128, 96), "prior_width": 192}
        )
        config.stages.fidelity.update({"steps": 60000, "batch": 16, "crop": 192})
        config.stages.perception.update({"steps": 6000, "batch": 16, "crop": 192})
    return config


def variants(config):
    """One encoder with several kinds of decoders.

    Args:
      config: plain dict.

    Returns:
      Plain dicts by name.

    Raises:
      ValueError: pictures to train on or to report on are not named.
    """
    if not config["data"]["source"] or not (config["data"]["test"] or _is_miniature(config)):
        raise ValueError(
            "experiments/kodak.py needs --config.data.source=folder:DIR, a folder with BSDS500's "
            "train and val (github.com/BIDS/BSDS500), and --config.data.test=folder:DIR with "
            "Kodak's 24 pictures (r0k.us/graphics/kodak)"
        )
    config = _for_what_is_measured(config)
    found = {
        "fidelity": _single(config, (0.0,), perception={"name": "none"}),
        "sampled": config,
        "deterministic": _single(config, config["sweep"]["lambda_p"]),
        "texture": _texture(config),
    }
    if weights := config["evaluation"]["lpips"]:
        trained = {"distortion": {"name": "mse_lpips", "weights": weights, "share": 0.01}}
        trained["steps"] = config["stages"]["perception"]["steps"] // 2  # slow ones, at one λ_p
        found["circular"] = _single(config, (0.0,), trained, perception={"name": "none"})
    return found


def _for_what_is_measured(config):
    """Decoders are trained for the levels that are measured alone."""
    stage, levels = config["stages"]["perception"], config["evaluation"]["levels"]
    weights = enumerate(stage["level_weights"], start=1)
    kept = tuple(w if k in levels or not levels else 0.0 for k, w in weights)
    return config | {"stages": config["stages"] | {"perception": stage | {"level_weights": kept}}}


def _single(config, lambda_p, changes=(), **others):
    """One reconstruction in place of members, of a decoder of its own λ_p.

    Args:
      config: plain dict.
      lambda_p: what the decoder serves, a tuple.
      changes: of the stage that trains it.
      **others: sections in place of those of `config`.
    """
    stage = config["stages"]["perception"] | {"members": 0} | dict(changes)
    own = {
        "stages": config["stages"] | {"perception": stage},
        "sweep": config["sweep"] | {"lambda_p": lambda_p},
        "evaluation": config["evaluation"] | {"members": 0},
    }
    return config | own | others


def _texture(config):
    if _is_miniature(config):
        return _single(config, config["sweep"]["lambda_p"])
    terms = {name: config["perception"]["terms"][name] for name in TEXTURE_WEIGHTS}
    perception = config["perception"] | {"terms": terms, "weights": TEXTURE_WEIGHTS}
    changes = {"steps": TEXTURE_STEPS}
    return _single(config, TEXTURE_LAMBDA_P, changes, perception=perception)


def _is_miniature(config):
    return config["name"].endswith("tiny")


def claims(table, config, workdir):
    """What the table must show, in real bytes, as means over the test pictures.

    Args:
      table: DataFrame of `synjax.reporting.table`.
      config: the experiment's, a plain dict.
      workdir: its directory, with what was measured of classical codecs and of every picture.

    Returns:
      List of (claim, whether it holds, what was measured); empty for a miniature.
    """
    if _is_miniature(config):
        return []
    found = [("all rows ok", set(table.status) == {"ok"}, f"{(table.status == 'ok').sum()} rows")]
    rows = table[table.status == "ok"].assign(variant=table.run.str.partition("/")[2])
    rows = rows[rows.level == rows.level.max()].sort_values("lambda_d")
    fidelity = rows[rows.variant == "fidelity"]
    pictures = pd.read_csv(pathlib.Path(workdir) / signals.FILE)
    found += _fidelity(fidelity, pictures, reading.classical(workdir))
    of = {name: rows[(rows.variant == name) & (rows.lambda_p > 0)] for name in PERCEPTIVE}
    found += _perception(fidelity, of["texture"], rows[rows.variant == "circular"])
    return found + _sampling(fidelity, of["sampled"], of["deterministic"])


def _fidelity(rows, pictures, others):
    """The decoder of least distortion against classical codecs, at the mean bytes of all."""
    bytes_ = ", ".join(f"{bpp:.3f}" for bpp in rows.bpp_exact)
    over = {name: _over(rows, others[others["name"] == name]) for name in ("jpeg", "webp")}
    found = [
        (
            f"PSNR at least {OVER_JPEG} dB over JPEG's at equal bytes",
            over["jpeg"].min() >= OVER_JPEG,
            f"{_list(over['jpeg'])} dB at {bytes_} bpp",
        ),
        (
            "PSNR at least WebP's at equal bytes",
            over["webp"].min() >= 0,
            f"{_list(over['webp'])} dB",
        ),
    ]
    own = pictures[pictures.trial.isin(rows.trial) & (pictures.run == rows.run.iloc[0])]
    own = own[own.level == rows.level.iloc[0]]
    above = (own.psnr - own.jpeg_psnr).to_numpy()
    found.append(
        (
            "PSNR above JPEG's on every picture at every rate, at the picture's own bytes",
            above.min() > 0,
            f"least {above.min():+.2f} dB, {(above > 0).sum()} of {len(above)}",
        ),
    )
    for quality in ("psnr", "ms_ssim", "lpips"):
        if rows[quality].isna().all():
            continue  # LPIPS without weights, which `_perception` says
        sign = -1 if quality == "lpips" else 1
        ours = bd_rate.Curve("synjax", rows.bpp_exact, sign * rows[quality])
        deltas = {}
        for name, points in others.groupby("name", sort=False):
            curve = bd_rate.Curve(name, points.bpp, sign * points[quality])
            deltas[name] = bd_rate.bd_rate(curve, ours)
        holds = quality != "psnr" or deltas["webp"].value <= WEBP_BD_RATE
        bar = f", at most {WEBP_BD_RATE:g} % against webp" if quality == "psnr" else ""
        text = ", ".join(f"{name} {d.reason or f'{d.value:+.1f} %'}" for name, d in deltas.items())
        found.append((f"BD-rate in {quality}{bar}", bool(holds), text))
    return found


def _over(rows, points):
    """PSNR over a codec's, whose means over the pictures are interpolated at equal bytes."""
    points = points.sort_values("bpp")
    theirs = np.interp(np.log(rows.bpp_exact), np.log(points.bpp), points.psnr)
    return rows.psnr.to_numpy() - theirs  # NaN where anything is, which no claim outlives


def _perception(fidelity, texture, circular):
    """LPIPS, in which nothing was trained but `circular`, and divergences, at identical bytes.

    At each rate by the row of `texture` that costs most within `LPIPS_COST`: chosen by PSNR alone.
    """
    shares, falls, told = [], [], []
    for own in fidelity.itertuples():
        near = texture[texture.lambda_d == own.lambda_d]
        near = near[near.psnr >= own.psnr - LPIPS_COST]
        if near.empty:
            shares, falls = [*shares, np.inf], [*falls, np.inf]
            told.append(f"no row at λ_d {own.lambda_d:g}")
            continue
        one = near.loc[near.psnr.idxmin()]
        shares.append(one.lpips / own.lpips)
        told.append(f"{shares[-1]:.3f} for {one.psnr - own.psnr:+.2f} dB")
        falls += [one[name] / getattr(own, name) for name in INDEPENDENT]
    unmeasured = "" if fidelity.lpips.notna().all() else "not measured: evaluation.lpips is not set"
    found = [
        (
            f"LPIPS at most {LPIPS_SHARE} of the fidelity decoder's for at most {LPIPS_COST} dB",
            np.max(shares) <= LPIPS_SHARE,
            unmeasured or ", ".join(told),
        ),
        (
            "there, divergences that nothing was trained on fall as well",
            np.max(falls) < 1,
            f"to {_list(falls, '.2f')} of the fidelity decoder's",
        ),
    ]
    if len(circular):
        shares = circular.lpips.to_numpy() / fidelity.lpips.to_numpy()
        costs = circular.psnr.to_numpy() - fidelity.psnr.to_numpy()
        text = ", ".join(f"{s:.2f} for {c:+.2f} dB" for s, c in zip(shares, costs, strict=True))
        found.append(("beside it, circular: training on LPIPS lowers it", shares.max() < 1, text))
    return found


def _sampling(fidelity, sampled, single):
    """Members against one reconstruction, at equal bytes and equal mse."""
    most = sampled[sampled.lambda_p == sampled.lambda_p.max()]
    shares = (most.diversity / most.mse).to_numpy()
    found = [
        (
            f"members differ: diversity / mse at least {DIVERSITY} at the largest λ_p",
            shares.min() >= DIVERSITY,
            _list(shares, ".2f"),
        ),
    ]
    for name in INDEPENDENT:
        found_of = [_ratios(own, sampled, single, name) for own in fidelity.itertuples()]
        of_curve = [ratios for ratios, _ in found_of]
        means = [_mean(ratios) for ratios in of_curve]
        between = [_mean(ratios[is_between]) for ratios, is_between in found_of]
        below = ", ".join(str(np.sum(ratios < 1)) for ratios in of_curve)
        claim = f"sampling pays: {name} below the deterministic decoder's at equal bytes and mse"
        found += [
            (f"{claim}, in the mean", np.max(means) < 1, f"{_list(means, '.2f')} of it"),
            (
                f"{claim}, in the mean between rows of both",
                np.max(between) < 1,
                f"{_list(between, '.2f')} of it",
            ),
            (
                f"{claim}, everywhere",
                np.max(of_curve) < 1,
                f"at {below} of {PLACES} mse, at most {np.max(of_curve):.2f} of it",
            ),
        ]
    return found


def _ratios(own, sampled, single, name):
    """A divergence of the sampled decoder over the deterministic one's at `PLACES` equal mse.

    Both curves start at the fidelity decoder's row, `own`; between rows logarithms are
    interpolated, as far as the shorter curve goes.

    Returns:
      The ratios, and whether each lies between rows of both: where one of them has none since
      `own`, a straight line stands for it.
    """
    curves, first = [], []
    for rows in (sampled, single):
        rows = rows[rows.lambda_d == own.lambda_d]
        first.append(rows.mse.min())
        points = sorted([(own.mse, getattr(own, name)), *zip(rows.mse, rows[name], strict=True)])
        mse, values = np.transpose(points)
        curves.append((mse, np.log(values)))
    most = min(mse[-1] for mse, _ in curves)
    at = np.linspace(own.mse, most, PLACES + 1)[1:]
    ours, theirs = (np.interp(at, *curve) for curve in curves)
    return np.exp(ours - theirs), at >= max(first)


def _mean(ratios):
    """Their geometric mean; NaN of none, which no claim outlives."""
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else np.nan


def _list(values, form="+.2f"):
    return ", ".join(format(float(value), form) for value in values)
