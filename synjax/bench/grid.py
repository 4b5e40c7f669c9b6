"""What a grid costs beside its steps alone, and beside as many trainings on their own.

Four encoders serve sixteen decoders, and one compilation of a stage serves all of its runs.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import jax

from synjax import sweep
from synjax.bench import steps, timing, variants
from synjax.training import plan as planning

STEPS = 60  # of every run: a fortieth and a seventh of what configs/photos.py takes
SIDE = 4  # of the grid
BAR, BAR_STACKED = 1.1, 0.25
ALONE = 2  # trainings on their own that are measured; the others cost the same
# How JAX calls the training step where it tells what it compiles: by names in `training.mesh`.
COMPILING = ("some", "jit(some)", "on_mesh", "jit(on_mesh)")


def config_of(config, side=SIDE, count=STEPS):
    """The configuration of the grid: that of a benchmark, with a codec for every point.

    Args:
      config: plain dict.
      side: how many λ_d, and how many λ_p.
      count: steps of every run.

    Returns:
      A plain dict; λ_d in 10 … 200, λ_p 0, 0.1, 1, …
    """
    own = variants.separate(config)
    changed = {"steps": count, "warmup": 1, "checkpoint_every": count}
    stages = {name: stage | changed for name, stage in own["stages"].items()}
    axes = {
        "lambda_d": tuple(round(10 * 20 ** (i / max(side - 1, 1)), 3) for i in range(side)),
        "lambda_p": (0.0, *(10.0 ** (i - 1) for i in range(side - 1))),
    }
    return own | {"stages": stages, "seeds": (0,), "sweep": own["sweep"] | axes}


def measure(plan, settings):
    """Trains the grid in this process, and some of its points in processes of their own.

    Args:
      plan: `training.plan.Plan`.
      settings: `settings.Settings`; its repeats are of the steps, everything else runs once.

    Yields:
      Rows: dicts for JSON.
    """
    config = config_of(plan.config)
    plan = planning.make(config)
    timed = {stage.name: steps.make(plan, stage) for stage in steps.stages_of(plan)}

    def seconds():
        return {
            name: timing.median(step, settings.repeats, steps.LEAST) for name, step in timed.items()
        }

    with tempfile.TemporaryDirectory(prefix="synjax_bench_") as scratch:
        # On both sides of the grid: a machine that is shared is another one ten minutes later.
        before = seconds()
        grid, ticks = _train(plan, pathlib.Path(scratch, "grid"))
        after = seconds()
        alone = 0.0
        for row in _stages(plan, ticks, before, after):
            alone += row["steps_alone_s"]
            yield row
        beside = grid["wall_s"] - grid["start_s"] - grid["compiling_s"]
        yield {
            "what": f"grid of {len(plan.trials)} in one process",
            "runs": len(plan.runs),
            "steps_alone_s": round(alone, 2),
            **{name: round(value, 2) for name, value in grid.items()},
            "beside_steps_ms_per_run": round(1e3 * (beside - alone) / len(plan.runs), 1),
            "ratio": round(beside / alone, 3),
            "bar": BAR,
        }
        chosen = plan.trials[:: max((len(plan.trials) - 1) // (ALONE - 1), 1)][:ALONE]
        each = statistics.mean(_process(config, trial, scratch) for trial in chosen)
        start = _timed([sys.executable, "-c", "import synjax.main"])
        count = len(plan.trials)
        yield {
            "what": f"{count} processes, one for each point ({len(chosen)} measured)",
            "runs": 2 * count,
            "wall_s": round(count * each, 1),
            "start_s": round(start, 2),
        }
        yield {
            "what": "the grid, with the start of its process, over those",
            "wall_s": round(grid["wall_s"] + start, 1),
            "ratio": round((grid["wall_s"] + start) / (count * each), 3),
            "bar": None if jax.default_backend() == "cpu" else BAR_STACKED,
        }


def _train(plan, directory):
    """Seconds of the whole grid, of its start and of compiling; and when each step was done."""
    first = {"seed": plan.seed, "stage": plan.runs[0].stage}
    plan.initial_params(**first)  # compiles what it needs
    plan, again = dataclasses.replace(plan), dataclasses.replace(plan)  # without its KLT
    began = time.perf_counter()
    again.initial_params(**first)
    start = time.perf_counter() - began
    ticks, compiling = {}, []

    def tick(run, done, metrics):
        del metrics
        ticks.setdefault(run.name, []).append((done, time.perf_counter()))

    def heard(event, duration, **about):
        if about.get("fun_name") in COMPILING and event.startswith("/jax/core/compile/"):
            compiling.append(duration)

    workdir = sweep.open_workdir(directory, plan.config)
    jax.monitoring.register_event_duration_secs_listener(heard)
    began = time.perf_counter()
    sweep.Trainer(plan, workdir, tick).train_all()
    wall = time.perf_counter() - began
    jax.monitoring.unregister_event_duration_listener(heard)
    return {"wall_s": wall, "start_s": start, "compiling_s": sum(compiling)}, ticks


def _stages(plan, ticks, before, after):
    """A row for each stage: its steps alone, and how long they and their surroundings took."""
    for stage in steps.stages_of(plan):
        names = [run.name for run in plan.runs if run.stage.name == stage.name]
        step = (before[stage.name] + after[stage.name]) / 2
        within = [
            (ticks[name][-1][1] - ticks[name][0][1]) / (ticks[name][-1][0] - ticks[name][0][0])
            for name in names
            if name in ticks  # of runs that train at once the first one has them
        ]
        yield {
            "what": f"stage {stage.name}",
            "runs": len(names),
            "steps_alone_s": round(len(names) * stage.steps * step, 2),
            "step_alone_before_ms": round(1e3 * before[stage.name], 2),
            "step_alone_after_ms": round(1e3 * after[stage.name], 2),
            "step_in_a_run_ms": round(1e3 * statistics.median(within), 2),
        }


def _process(config, trial, scratch):
    """Seconds of training one point in a process of its own, which compiles everything."""
    axes = {"lambda_d": (trial.lambda_d,), "lambda_p": (trial.lambda_p,)}
    file = pathlib.Path(scratch, f"{trial.name}.json")
    file.write_text(json.dumps(config | {"sweep": config["sweep"] | axes}, default=list))
    workdir = pathlib.Path(scratch, trial.name)
    command = [sys.executable, "-m", "synjax.main", "train"]
    return _timed([*command, f"--config={file}", f"--workdir={workdir}"])


def _timed(command):
    own = {"JAX_ENABLE_COMPILATION_CACHE": "false", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{' '.join(command)} failed: {done.stderr[-500:]}")
    return time.perf_counter() - began
