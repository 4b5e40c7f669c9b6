"""Rows and a directory of a sweep that look like a real one, for tests of the report."""

import json

import numpy as np

from synjax.evaluation import views
from synjax.reporting import table, view_files

LAMBDA_D, LAMBDA_P, LEVELS = (10.0, 45.0, 200.0), (0.0, 1.0), (1, 2)
REASON = 'loss is nan at step 7 </script><img src=x onerror="alert(1)">'


def name_of(lambda_d, lambda_p, seed=0):
    """As trials are named."""
    return f"ld={lambda_d:g},lp={lambda_p:g}" + (f",seed={seed}" if seed else "")


def row(lambda_d, lambda_p, level, seed=0, run="leaves", reason=""):
    """One row of the table; a reason makes it one that failed."""
    found = {
        "run": run,
        "trial": name_of(lambda_d, lambda_p, seed),
        "stage": "perception",
        "encoder_id": f"encoders/{lambda_d:g}",
        "config_hash": "0123456789ab",
        "lambda_d": lambda_d,
        "lambda_p": lambda_p,
        "level": level,
        "realism": 1.0,
        "perception": "sliced_wasserstein",
        "distortion": "mse",
        "members": 3,
        "seed": seed,
        "dataset": "leaves:test",
        "n": 1,
        "status": "diverged" if reason else "ok",
    }
    if reason:
        return found | {"reason": reason}
    rate = 0.01 * lambda_d**0.5 * level + 0.001 * seed
    mse = 0.1 / lambda_d / level * (1 + 0.3 * lambda_p) + 1e-5 * seed
    distance = mse / (1 + 5 * lambda_p)
    found |= {f"rate_{kind}": rate for kind in ("noisy", "estimated", "exact")}
    found |= {"bpp_exact": 3 * rate, "header_bits": 100.0, "mse": mse, "mse_se": mse / 20}
    found |= {"psnr": float(-10 * np.log10(mse)), "diversity": mse * lambda_p, "jpeg_psnr": 20.0}
    for name, value in (("energy_distance", distance), ("sliced_wasserstein", 2 * distance)):
        found |= {name: value, f"{name}_floor": 1e-5, f"{name}_se": value / 10}
    return found


def rows(seeds=(0,), run="leaves", failed=False):
    """The rows of a grid; with `failed` also those of a trial that failed."""
    found = [
        row(d, p, level, seed, run)
        for d in LAMBDA_D
        for p in LAMBDA_P
        for level in LEVELS
        for seed in seeds
    ]
    if failed:
        found += [row(999.0, 1.0, level, run=run, reason=REASON) for level in LEVELS]
    return found


def frame(seeds=(0,), failed=False):
    """The same as a table."""
    return table.frame(rows(seeds, failed=failed))


def write_run(directory, run="leaves", failed=False, seen=True, side=24, **config):
    """A directory with rows, views, records, a configuration and a call."""
    directory.mkdir(parents=True)
    settings = {"name": run, "codec": {"groups": [6, 26]}, "distortion": "mse"} | config
    (directory / "config.json").write_text(json.dumps(settings))
    by_trial = {}
    for one in rows(run=run, failed=failed):
        by_trial.setdefault(one["trial"], []).append(one)
    for name, own in by_trial.items():
        home = directory / "trials" / name
        home.mkdir(parents=True)
        lines = [
            {"step": s, "stage": "perception", "loss": 1 / (s + 1), "rate": 0.5, "distortion": 0.1}
            for s in range(20)
        ]
        (home / "record.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if seen and own[0]["status"] == "ok":
            _write_views(home, own, side)
        (home / "rows.json").write_text(json.dumps(own))
    return directory


def _write_views(home, own, side):
    first = own[0]
    source = np.random.default_rng(0).random((side, side, 3))
    generator = np.random.default_rng(int(10 * first["lambda_d"] + first["lambda_p"]))
    shown = []
    for one in own:
        spread = 0.3 if one["lambda_p"] else 0.0
        noise = generator.normal(0, 1, (3, side, side, 3)) * spread / one["level"]
        blur = 0.5 + (source - 0.5) * (1 - 1 / one["lambda_d"] / one["level"])
        shown.append(
            views.View(
                name='leaf <b>"0"</b>',
                level=one["level"],
                realism=1.0,
                source=source,
                members=np.clip(blur + noise, 0, 1),
                quality=(one["psnr"],) * 3,
                bytes=round(one["rate_exact"] * source.size / 8),
                metrics={key: one[key] for key in ("mse", "psnr", "bpp_exact", "rate_exact")},
                whole=(side, side),
                jpeg=np.round(source * 4) / 4,
                jpeg_bytes=321,
                jpeg_psnr=19.5,
            )
        )
    point = {key: first[key] for key in ("trial", "seed", "lambda_d", "lambda_p")}
    view_files.write(home, shown, point)
