"""The same training on one device, on eight in every arrangement, and in two processes.

    .venv/bin/python -m experiments.devices.layouts --out=experiments/results/layouts

trains the default photograph codec for 20 steps a stage, with batches from worker processes, on one
CPU device, on eight virtual ones as 1x8, 2x4, 4x2 and 8x1, fully sharded, and in two processes of
four. Losses, symbols of the test photographs and tables are compared with those of one device.
`--tiny` has a small codec, few steps and arrangements, and no tables; `--only` some arrangements.
Exit status 1 where a bar is missed.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import socket
import subprocess
import sys
import tempfile

import jax
import numpy as np
import pandas as pd

from synjax import records, sweep
from synjax.data import pipeline, sources
from synjax.training import ledger
from synjax.training import plan as planning

STEPS, TINY_STEPS = 20, 3
# By how much, relative, the loss of any step may differ, by stage; the share of other symbols; and
# by how much the table may, relative to the largest value of a column.
BARS = {"fidelity": 1e-5, "perception": 1e-3, "symbols": 1e-5, "table": 1e-3}
# name -> (devices of a process, processes, flags)
LAYOUTS = {
    "1": (1, 1, ()),
    "1x8": (8, 1, ("--mesh=1x8",)),
    "2x4": (8, 1, ("--mesh=2x4",)),
    "4x2": (8, 1, ("--mesh=4x2",)),
    "8x1": (8, 1, ("--mesh=8x1",)),
    "2x4, sharded": (8, 1, ("--mesh=2x4", "--shard_parameters")),
    "1x8 in 2 processes": (4, 2, ("--mesh=1x8",)),
    "2x4 in 2 processes": (4, 2, ("--mesh=2x4",)),
    "2x4, sharded, in 2 processes": (4, 2, ("--mesh=2x4", "--shard_parameters")),
}
TINY = ("1", "2x4, sharded, in 2 processes")
TIMEOUT = 3600


def arguments(tiny, workdir):
    """The verb and its flags, without those that say where it runs."""
    settings = {"fidelity": (24, 64), "perception": (16, 64)}
    steps = TINY_STEPS if tiny else STEPS
    asked = ["train" if tiny else "sweep", f"--config=configs/photos.py{':tiny' if tiny else ''}"]
    asked += [f"--workdir={workdir}", "--workers=2", "--config.evaluation.limit=1"]
    for stage, (batch, crop) in settings.items():
        own = {"steps": steps, "batch": batch, "crop": crop, "checkpoint_every": steps}
        asked += [f"--config.stages.{stage}.{name}={value}" for name, value in own.items()]
    return asked


def train(layout, tiny, workdir):
    """Trains on a layout; RuntimeError with the last line where it fails."""
    devices, processes, flags = LAYOUTS[layout]
    command = [sys.executable, "-m", "synjax.main", *arguments(tiny, workdir), *flags]
    given = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{given} --xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
    }
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    started = []
    for index in range(processes):
        joined = [f"--distributed=localhost:{port},{index},{processes}"] if processes > 1 else []
        started.append(
            subprocess.Popen(
                [*command, *joined],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    failed = [o for o, p in zip(outputs, started, strict=True) if p.returncode]
    if failed:
        raise RuntimeError(f"{layout}: {failed[0].strip().splitlines()[-1]}")


def losses(workdir):
    """The loss of every step, by record, stage and step."""
    return {
        (str(path.relative_to(workdir)), entry["stage"], entry["step"]): entry["loss"]
        for path in sorted(workdir.rglob(records.FILENAME))
        for entry in records.read(path)
    }


def symbols(workdir):
    """The rounded symbols of the first test photograph, by every decoder's run."""
    config = sweep.read_config(workdir)
    plan = planning.make(config)
    outcomes = sweep.Trainer(plan, workdir, lambda *_: None, only_read=True).train_all()
    source = sources.of_config(config["data"], split="test")
    x = pipeline.evaluation_examples(source, limit=1)[0].x[None, :256, :256]
    found = []
    for trial in plan.trials:
        params = plan.codec.bind(outcomes[trial.decoder].params, trial.lambda_d, trial.lambda_p)
        latent = plan.codec.analyse(params, x)
        found.append(np.asarray(plan.codec.quantise(params, latent)["hard"]).ravel())
    return np.concatenate(found)


def table(workdir):
    """The numbers of a sweep's table."""
    rows = [
        row
        for path in sorted(workdir.glob(f"trials/*/{ledger.ROWS}"))
        for row in json.loads(path.read_text())
    ]
    numbers = pd.DataFrame(rows).select_dtypes("number")
    return numbers[[name for name in numbers if not name.startswith("seconds")]]


def compare(one, other, tiny):
    """By how much a layout differs from one device: a dict of relative differences."""
    ours, theirs = losses(one), losses(other)
    if ours.keys() != theirs.keys() or not ours:
        raise RuntimeError(f"{other} recorded other steps than {one}")
    found = {
        stage: max(abs(theirs[k] - v) / abs(v) for k, v in ours.items() if k[1] == stage)
        for stage in ("fidelity", "perception")
    }
    found["symbols"] = float(np.mean(symbols(one) != symbols(other)))
    if tiny:
        return found
    left, right = table(one), table(other)
    if not left.isna().equals(right.isna()):
        raise RuntimeError(f"{other} has numbers where {one} has none, or the reverse")
    scale = left.abs().max().clip(lower=1e-12)
    found["table"] = float(((left - right).abs().max() / scale).max())
    return found


def main(argv):
    """Trains every layout and compares; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="directory for the results")
    parser.add_argument("--tiny", action="store_true", help="a small codec, fewer layouts")
    others = [name for name in LAYOUTS if name != "1"]
    parser.add_argument("--only", nargs="+", choices=others, help="these alone, against one device")
    asked = parser.parse_args(argv)
    names = ("1", *asked.only) if asked.only else TINY if asked.tiny else LAYOUTS
    rows = {}
    with tempfile.TemporaryDirectory(prefix="synjax_layouts_") as scratch:
        for place, name in enumerate(names):
            workdir = pathlib.Path(scratch, str(place))
            train(name, asked.tiny, workdir)
            if place:
                rows[name] = compare(pathlib.Path(scratch, "0"), workdir, asked.tiny)
                print(name, rows[name], flush=True)
    missed = [
        f"{name}: {what} {row[what]:.1e} over {bar}"
        for name, row in rows.items()
        for what, bar in BARS.items()
        if row.get(what, 0) > bar  # `--tiny` has no table
    ]
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "arguments": arguments(asked.tiny, "DIR"),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "bars": BARS,
        "layouts": rows,
        "missed": missed,
    }
    out = pathlib.Path(asked.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "layouts.json").write_text(json.dumps(about, indent=1) + "\n")
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
