"""The paper's own claims, head to head at equal rate: Eq. 62, Eq. 66 and Eq. 68.

    ./launch.sh sweep --experiment=experiments/claims.py:gaussian --workdir=runs/claims_gaussian
    ./launch.sh sweep --experiment=experiments/claims.py:digits --workdir=runs/claims_digits
    ./launch.sh sweep --experiment=experiments/claims.py:photos --workdir=runs/claims_photos

Beside one frozen encoder (one rate, to the bit) stand the decoder of least distortion (Eq. 68: the
rows of λ_p = 0), the single reconstruction without randomness (Eq. 66: `single`), and synsets of
M = 1, 2, 4, 8 members in training (Eq. 62: `m1` … `m8`). `joint` trains the encoder on Eq. 62 too.
All these are held to one rate (Eq. 61). `two_levels` is one codec with two synonymous levels,
`low_alone` a codec trained for the lower one alone, `high_alone` for the upper one; their rates are
their own. Three seeds. docs/claims.md says what came of it.
"""

import numpy as np
import pandas as pd

import experiments

SOURCES = ("gaussian", "digits", "photos")
MEMBERS = (1, 2, 4, 8)
# Per source: the rate of all that are compared, in bits per element, about that of the λ_d below;
# the groups of two levels; and divergences that no training used.
RATES = {"gaussian": 0.63, "digits": 0.014, "photos": 0.08}
LEVELS = {"gaussian": (3, 5), "digits": (8, 16), "photos": (12, 84)}
DIVERGENCES = {
    "gaussian": ("axis_wasserstein", "gaussian_kl", "energy_distance"),
    "digits": ("fresh_critic_w1", "energy_distance", "mmd2"),
    "photos": ("frechet_distance", "energy_distance", "mmd2"),
}


def get_config(arg=""):
    """The configuration that the variants change.

    Args:
      arg: one of `SOURCES`, "" for the first of them, "tiny" for that in miniature.

    Raises:
      ValueError: any other `arg`.
    """
    if arg not in ("", "tiny", *SOURCES):
        raise ValueError(f"experiments/claims.py takes {', '.join(SOURCES)} or tiny, got {arg!r}")
    tiny = "tiny" if arg == "tiny" else ""
    source = arg if arg in SOURCES else SOURCES[0]
    file = experiments.load(f"configs/{source}.py")
    config = file.get_config("tiny" if source == "photos" else tiny)
    config.name = f"claims_{source}" + (f"_{tiny}" if tiny else "")
    config.seeds = (0, 1, 2) if not tiny else (0, 1)
    config.sweep.update({"encoders": "separate", "decoders": "separate"})
    if source == "gaussian":
        config.sweep.update({"lambda_d": (7.2,), "lambda_p": (0.0, 24.0, 720.0)})
        config.perception.unbiased = False  # which M = 1 cannot be
        config.stages.perception.batch = 512 if not tiny else 64
        config.evaluation.limit = 16384 if not tiny else 1024
    elif source == "digits":
        config.sweep.update({"lambda_d": (1.5,), "lambda_p": (0.0, 20.0)})
    else:
        _photos(config)
    config.stages.fidelity.targets.rate = RATES[source]
    if not tiny:
        config.stages.perception.steps = {"gaussian": 400, "digits": 400, "photos": 160}[source]
    return config


def _photos(config):
    """scikit-image's photographs with a codec that is small enough for 24 trainings."""
    config.data = {"source": "photos", "augment": {"scale_range": (0.5, 1.0), "recolour": 1.0}}
    config.codec = config.codec.to_dict() | {
        "groups": (sum(LEVELS["photos"]),),
        "analysis_width": 32,
        "synthesis_widths": (64, 48, 32),
        "prior_width": 48,
        "detail_width": 64,
        "stride": 16,
    }
    config.perception.update({"patch": 16, "stride": 8, "axes_per_step": 64})
    config.sweep.update({"lambda_d": (45.0,), "lambda_p": (0.0, 3.0)})
    config.evaluation.update({"members": 2, "limit": 3})
    shared = {"conditions": 1, "batch": 6, "crop": 64, "level_weights": (1.0,)}
    shared |= {"level_lambda_d": (1.0,), "level_lambda_p": (1.0,), "balance": 0.0}
    config.stages.fidelity.update(shared | {"steps": 900, "warmup": 50, "checkpoint_every": 300})
    config.stages.perception.update(shared | {"warmup": 20, "checkpoint_every": 80})


def variants(config):
    """The codecs that are compared.

    Args:
      config: plain dict.

    Returns:
      Plain dicts by name.
    """
    source = _source(config)
    stages, sweep = config["stages"], config["sweep"]
    # The decoder of λ_p = 0 is the same for all.
    only = {"sweep": sweep | {"lambda_p": sweep["lambda_p"][1:]}}
    found = {"m2": _members(config, 2)}
    found |= {f"m{m}": _members(config, m) | only for m in MEMBERS if m != 2}
    found["single"] = _members(config, 0) | only
    joint = stages["perception"] | {"members": 2, "relaxation": "rate", "dual_rate": 0.08}
    # Encoders that move need longer, and their averages to keep up.
    joint |= {"targets": {"rate": RATES[source]}, "decay": 0.95, "steps": 5 * joint["steps"] // 2}
    found["joint"] = config | only | {"stages": {"fidelity": stages["fidelity"], "joint": joint}}
    both = {"level_weights": (0.5, 0.5)} | dict.fromkeys(
        ("level_lambda_d", "level_lambda_p"), (1.0, 1.0)
    )
    # Levels have rates of their own: nothing is held.
    free = _members(config, 2)["stages"]
    free["fidelity"] = free["fidelity"] | {"targets": {}}
    two = {name: stage | both for name, stage in free.items()}
    groups = LEVELS[source]
    for name, of_levels, own in (
        ("two_levels", two, groups),
        ("low_alone", free, groups[:1]),
        ("high_alone", free, (sum(groups),)),
    ):
        codec = config["codec"] | {"groups": own}
        found[name] = config | only | {"stages": of_levels, "codec": codec}
    return found


def _source(config):
    return {"mnist": "digits"}.get(config["data"]["source"], config["data"]["source"])


def _members(config, members):
    """The configuration with M members in training; none at all for M = 0."""
    stages = config["stages"]
    perception = stages["perception"] | {"members": members}
    evaluation = config["evaluation"]
    return config | {
        "stages": {"fidelity": stages["fidelity"], "perception": perception},
        "evaluation": evaluation | {"members": evaluation["members"] if members else 0},
    }


def claims(table, config, workdir):
    """Each comparison as the paper would have it, and whether the numbers bear it out.

    Args:
      table: DataFrame of `synjax.reporting.table`.
      config: the experiment's, a plain dict.
      workdir: its directory; all that is needed is in the table.

    Returns:
      List of (claim, whether it holds, what was measured), over seeds; empty for a miniature.
    """
    if config["name"].endswith("tiny"):
        return []
    source = _source(config)
    table = table.assign(variant=table.run.str.partition("/")[2])
    ok = table[table.status == "ok"]
    found = [("all rows ok", len(ok) == len(table), f"{len(ok)} of {len(table)}")]
    largest = ok[ok.lambda_p == ok.lambda_p.max()]
    one = largest[(largest.level == 1) & largest.variant.isin(["single", "m1", "m2", "m4", "m8"])]
    rates = one.groupby("seed").rate_exact.nunique()
    found.append(("one rate beside a frozen encoder", bool((rates == 1).all()), f"{dict(rates)}"))
    least = ok[(ok.lambda_p == 0) & (ok.variant == "m2")]
    variants = {name: largest[largest.variant == name] for name in set(table.variant)}
    pairs = [
        ("Eq. 62 with M = 2 against Eq. 68", variants["m2"], least),
        ("Eq. 66 against Eq. 68", variants["single"], least),
        ("Eq. 62 with M = 2 against Eq. 66", variants["m2"], variants["single"]),
        ("M = 1 against M = 2", variants["m1"], variants["m2"]),
        ("M = 4 against M = 2", variants["m4"], variants["m2"]),
        ("M = 8 against M = 2", variants["m8"], variants["m2"]),
        ("joint against two stages", variants["joint"], variants["m2"]),
    ]
    two = variants["two_levels"]
    pairs += [
        ("level 1 of two against its own codec", two[two.level == 1], variants["low_alone"]),
        ("level 2 of two against its own codec", two[two.level == 2], variants["high_alone"]),
    ]
    for claim, one, other in pairs:
        apart = abs(one.rate_estimated.mean() / other.rate_estimated.mean() - 1)
        found.append((f"{claim}: rates within 2 %", bool(apart <= 0.02), f"{apart:.2%}"))
        for name in DIVERGENCES[source]:
            found.append(_difference(f"{claim}: {name} falls", one, other, name))
        for name in ("mse", "consistency"):
            found.append(_difference(f"{claim}: {name} falls", one, other, name))
    return found


def _difference(claim, one, other, name):
    """Whether a column is lower by two standard errors, paired by seed."""
    pair = [rows.set_index("seed")[name] for rows in (one, other)]
    pair = pd.concat(pair, axis=1, join="inner", keys=(0, 1))
    if pair.empty:
        return claim, False, "no seed has both"
    change = pair[0] - pair[1]
    error = change.std(ddof=1) / np.sqrt(len(change))
    text = f"{pair[1].mean():.4g} to {pair[0].mean():.4g}, change {change.mean():+.2g}"
    return claim, bool(change.mean() < -2 * error), f"{text}, standard error {error:.1g}"
