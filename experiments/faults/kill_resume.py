"""A training that is killed at random moments ends, bit for bit, where one that is not does.

    .venv/bin/python -m experiments.faults.kill_resume --kills=20 --seed=0

For every perception module (on vectors, or on pictures where it takes nothing else) and every
number of devices, a sweep of one encoder and one decoder is killed with SIGKILL and started again
until it is done; every fourth kill waits for a save and hits it. Then the hashes of all leaves of
the checkpoints, the records but for their times, and the table must be those of a sweep that ran
through. With kills left, it starts over in a new directory.

Environment and arguments after `--` go to the trainings: `XLA_FLAGS`, or `-- --mesh=1x8`. The
numbers of `--devices` are virtual ones of the CPU; 0 leaves the devices as they are, GPUs too.
"""

import argparse
import contextlib
import csv
import json
import multiprocessing
import os
import pathlib
import platform
import random
import signal
import sys
import tempfile
import time

from configs._stand_ins import OF_PICTURES

ROOT = pathlib.Path(__file__).parents[2]
MODULES = ("sliced_wasserstein", "wgan_gp", "gan", "variational_kl", "mmd", "mixture")
MODULES += ("wasserstein_distortion",)
TIMES = ("seconds", "time", "seconds_encode", "seconds_decode")
SMALL = {f"stages.{stage}.steps": "12" for stage in ("fidelity", "perception")}
SMALL |= {f"stages.{stage}.checkpoint_every": "2" for stage in ("fidelity", "perception")}
VECTORS = {"sweep.lambda_d": "(24.0,)", "sweep.lambda_p": "(7200.0,)", "evaluation.limit": "256"}
PICTURES = {"sweep.lambda_d": "(24.0,)", "sweep.lambda_p": "(1.0,)"}
PICTURES |= {f"stages.{stage}.conditions": "1" for stage in ("fidelity", "perception")}
PICTURES |= {f"stages.{stage}.batch": "8" for stage in ("fidelity", "perception")}


def _run(arguments, devices, log):
    """In a process of its own: the command line, as `python -m synjax.main` would run it."""
    if devices:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}"
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from synjax import main

    sys.argv = ["synjax", *arguments]  # where ml_collections looks for values of the configuration
    sys.exit(main.main(arguments))


def start(workdir, module, devices, extra=()):
    """Starts the sweep of a module, or what is missing of it, as a process."""
    name = "tiny" if module == "sliced_wasserstein" else f"tiny,{module}"
    file, own = ("photos", PICTURES) if module in OF_PICTURES else ("gaussian", VECTORS)
    arguments = ["sweep", f"--config=configs/{file}.py:{name}", f"--workdir={workdir}"]
    arguments += [f"--config.{key}={value}" for key, value in (SMALL | own).items()]
    log = workdir.with_suffix(".log")
    context = multiprocessing.get_context("forkserver")  # which imports once, and forks from there
    context.set_forkserver_preload(["synjax.main"])
    process = context.Process(target=_run, args=([*arguments, *extra], devices, log))
    process.start()
    return process


def finish(process, workdir):
    """Waits for a sweep; RuntimeError with the end of its log where it fails."""
    process.join()
    if process.exitcode:
        log = workdir.with_suffix(".log").read_text()
        raise RuntimeError(f"{workdir}: status {process.exitcode}\n{log[-2000:]}")


def left(workdir):
    """What a sweep has left on disk: all that must not depend on where it was killed."""
    found = {}
    for path in sorted(workdir.glob("*/*/checkpoints")):
        newest = max(p for p in path.iterdir() if p.name.isdecimal())
        about = json.loads((newest / "about" / "metadata").read_text())
        found[f"{path.relative_to(workdir)}/{newest.name}"] = about["hashes"]
    for path in sorted(workdir.rglob("record.jsonl")):
        found[str(path.relative_to(workdir))] = [
            {key: value for key, value in json.loads(line).items() if key not in TIMES}
            for line in path.read_text().splitlines()
        ]
    with (workdir / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found["table.csv"] = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
    return found


def _unfinished(workdir):
    """What is being saved, or was when a sweep was killed: (name, number of the directory)."""
    found = set()
    for path in workdir.glob("*/*/checkpoints/*.orbax-checkpoint-tmp"):
        with contextlib.suppress(FileNotFoundError):  # it is whole by now
            found.add((str(path.relative_to(workdir)), path.stat().st_ino))
    return found


def _moment(workdir, before):
    """How far a killed sweep had come."""
    steps = {
        str(path.parent.relative_to(workdir)): max(
            (int(p.name) for p in path.iterdir() if p.name.isdecimal()), default=0
        )
        for path in sorted(workdir.glob("*/*/checkpoints"))
    }
    return {
        "saved": steps,
        "unfinished": sorted(name for name, _ in _unfinished(workdir) - before),
        "rows": len(list(workdir.glob("trials/*/rows.json"))),
        "table": (workdir / "table.csv").exists(),
    }


def kill(workdir, module, devices, extra, *, delay=None, save=None):
    """Starts a sweep and kills it: `delay` seconds later, or in its save number `save`.

    Returns:
      (dict of the moment, or None where the sweep was done before; seconds that the process ran).
    """
    before, seen = _unfinished(workdir), set()
    process = start(workdir, module, devices, extra)
    began = time.monotonic()
    while process.is_alive():
        if save is None and time.monotonic() - began >= delay:
            break
        if save is not None:
            seen |= _unfinished(workdir) - before
            if len(seen) >= save:
                break
        time.sleep(0.0005 if save else 0.01)
    process.kill()
    process.join()
    seconds = time.monotonic() - began
    if process.exitcode != -signal.SIGKILL:
        finish(process, workdir)
        return None, seconds
    aim = "random" if save is None else f"save {save}"
    return {"aim": aim, "seconds": round(seconds, 3)} | _moment(workdir, before), seconds


def compare(directory, module, devices, kills, seed, extra=()):
    """Kills one sweep after another until `kills` kills are done, and compares all of them.

    Args:
      directory: to work in, new.
      module: of `MODULES`.
      devices: virtual ones, or 0.
      kills: how many.
      seed: of the moments.
      extra: arguments for the trainings.

    Returns:
      dict for JSON: the moments, how many sweeps they took, what was compared, and what differs.
    """
    draw = random.Random(f"{seed} {module} {devices}")
    straight = directory / "straight"
    began = time.monotonic()
    finish(start(straight, module, devices, extra), straight)
    whole = time.monotonic() - began
    expected = left(straight)
    moments, differing, sweeps = [], [], 0
    while len(moments) < kills:
        workdir = directory / f"killed_{sweeps}"
        sweeps += 1
        moment = {}
        while len(moments) < kills and moment is not None:
            at_save = len(moments) % 4 == 0
            when = {"save": draw.randint(1, 4)} if at_save else {"delay": draw.random() * whole}
            moment, seconds = kill(workdir, module, devices, extra, **when)
            if moment is None:
                whole = min(whole, seconds)  # the first one compiled, and took longer
            else:
                moments.append({"sweep": sweeps} | moment)
        # Also when it is done: the start restores, and holds every checkpoint to its hashes.
        finish(start(workdir, module, devices, extra), workdir)
        found = left(workdir)
        names = sorted(expected.keys() | found.keys())
        differing += [f"{workdir.name}/{n}" for n in names if expected.get(n) != found.get(n)]
    of = {name: len(value) for name, value in expected.items()}
    return {
        "module": module,
        "devices": devices,
        "seconds_uninterrupted": round(whole, 1),
        "sweeps": sweeps,
        "kills": len(moments),
        "during_a_save": sum(bool(moment["unfinished"]) for moment in moments),
        "compared": of,
        "differing": differing,
        "moments": moments,
    }


def _machine():
    import jax
    import orbax.checkpoint

    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "orbax": orbax.checkpoint.__version__,
    }


def main(argv):
    """Runs every module on every number of devices; the status is 1 where anything differs."""
    own, _, extra = " ".join(argv).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="experiments/results/kill_resume")
    parser.add_argument("--kills", type=int, default=20, help="of every module on every device")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", default=",".join(MODULES))
    parser.add_argument("--devices", default="1,8")
    asked = parser.parse_args(own.split())
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".venv" / "jax_cache"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    command = f"python -m experiments.faults.kill_resume {' '.join(argv)}"
    results = []
    path = pathlib.Path(asked.out) / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for devices in map(int, asked.devices.split(",")):
        for module in asked.modules.split(","):
            with tempfile.TemporaryDirectory() as directory:
                work = pathlib.Path(directory), module, devices, asked.kills, asked.seed
                results.append(compare(*work, extra.split()))
            print(*(f"{k}: {v}" for k, v in results[-1].items() if k != "moments"), sep=", ")
            about = {"command": command, "seed": asked.seed, **_machine()}
            path.write_text(json.dumps(about | {"results": results}, indent=1) + "\n")
    return int(any(result["differing"] for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
