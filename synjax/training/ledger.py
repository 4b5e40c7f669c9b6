"""What is known of a sweep without a plan: a list of its runs, and what their directories hold.

`plan.json` names the runs and trials of a working directory, and the hash of all that each run
depends on. Nothing here but `write` and what is said of deaths changes a file.
"""

import contextlib
import json
import os
import pathlib
import time

from synjax.reporting import table
from synjax.training import checkpoint

PLAN = "plan.json"
FAILED = "failed.json"
DIED = "died.json"  # of a run whose job died, until it is started again
ROWS = "rows.json"
RECORD = "record.jsonl"
TRIALS = "trials"
STOPPED_AFTER = 300  # seconds without a record line, beyond which nobody seems to train


def describe(plan):
    """The runs and trials of a `Plan`, as a dict for JSON."""
    runs = [
        {
            "name": run.name,
            "directory": plan.directory(run),
            "records": plan.records(run),
            "stage": run.stage.name,
            "steps": run.stage.steps,
            "parent": run.parent,
            "depends_on": plan.run_hash(run),
        }
        for run in plan.runs
    ]
    trials = [
        {"name": t.name, "encoder": t.encoder, "decoder": t.decoder, "records": _records(plan, t)}
        for t in plan.trials
    ]
    return {"runs": runs, "trials": trials}


def _records(plan, trial):
    """The directories of a trial's records, one for each stage that it went through."""
    own = {trial.encoder, trial.decoder}
    own |= {run.parent for run in plan.runs if run.name in own}
    return [
        record
        for run in plan.runs
        if run.name in own
        for record, condition in zip(plan.records(run), run.conditions, strict=True)
        if condition.lambda_d == trial.lambda_d
        and (condition.lambda_p == trial.lambda_p or run.stage.name == "fidelity")
    ]


def check(workdir, plan):
    """Raises ValueError where a run of a working directory was started under other conditions."""
    path = pathlib.Path(workdir) / PLAN
    if not path.exists():
        return
    asked = {run.name: run for run in plan.runs}
    for held in read(workdir)["runs"]:
        run = asked.get(held["name"])
        started = (path.parent / held["directory"] / "checkpoints").exists()
        if run is not None and started and plan.run_hash(run) != held["depends_on"]:
            raise ValueError(
                f"{path.parent / run.name} was trained under other conditions than are asked for; "
                "choose another directory"
            )


def write(workdir, plan):
    """Notes the runs of a plan in its working directory; atomic, and nothing where they are."""
    path = pathlib.Path(workdir) / PLAN
    text = json.dumps(describe(plan), indent=1) + "\n"
    if path.exists() and path.read_text() == text:
        return
    table.replace_file(path, text.encode())


def read(workdir):
    """What `describe` gave; ValueError where the file is damaged, OSError where there is none."""
    path = pathlib.Path(workdir) / PLAN
    described = read_json(path)
    if not isinstance(described, dict) or not {"runs", "trials"} <= set(described):
        raise ValueError(f"{path} lists no runs and trials: remove it, and `sweep` writes it again")
    return described


def read_json(path):
    """What a file holds; ValueError that names it where that is not JSON."""
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise ValueError(f"{path} is not JSON") from None


def note_death(directory, reason):
    """Leaves the reason for which a job died with one of its runs; what cannot be left is lost."""
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        table.replace_file(directory / DIED, (json.dumps({"reason": reason}) + "\n").encode())


def forget_death(directory):
    """A run is started again, and what was said of its death no longer holds."""
    (directory / DIED).unlink(missing_ok=True)


def is_finished(directory, steps):
    """Whether a run is trained, as far as is quickly seen, or has failed and will not be."""
    directory = pathlib.Path(directory)
    if (directory / FAILED).exists():
        return True
    return checkpoint.steps_done(directory / "checkpoints") >= steps


def observe(workdir, described):
    """How far the runs and trials of a working directory are.

    Args:
      workdir: directory.
      described: from `describe` or `read`.

    Returns:
      (runs, trials), dicts with "name", "state", "reason" and "undo", the file without which what
      diverged is tried again, relative to the directory, or None; runs also with "step", "steps"
      and "idle" (seconds since the last record line, None without one). States of runs are done,
      running, stopped, waiting and failed, of trials done, trained, waiting and failed.
    """
    workdir = pathlib.Path(workdir)
    runs = {}
    for run in described["runs"]:  # parents come first
        parent = runs.get(run["parent"])
        runs[run["name"]] = _observe_run(workdir, run)
        if parent and parent["state"] == "failed" and runs[run["name"]]["state"] != "done":
            runs[run["name"]] |= {"state": "failed", "reason": parent["reason"]}
    trials = []
    for trial in described["trials"]:
        of_runs = [runs[trial["encoder"]], runs[trial["decoder"]]]
        path = pathlib.Path(TRIALS, trial["name"], ROWS)
        found = {"name": trial["name"], "state": "waiting", "reason": "", "undo": None}
        if (workdir / path).exists():
            rows = read_json(workdir / path)
            diverged = [row for row in rows if row["status"] == "diverged"]
            found["reason"] = ", ".join(sorted({row["status"] for row in rows} - {"ok"}))
            found["state"] = "failed" if diverged else "done"
            if diverged:
                found |= {"reason": diverged[0]["reason"], "undo": str(path)}
        elif failed := [run for run in of_runs if run["state"] == "failed"]:
            found |= {"state": "failed", "reason": failed[0]["reason"]}
        elif all(run["state"] == "done" for run in of_runs):
            found |= {"state": "trained", "reason": "not evaluated yet"}
        trials.append(found)
    return list(runs.values()), trials


def _observe_run(workdir, run):
    directory = workdir / run["directory"]
    found = {"name": run["name"], "steps": run["steps"], "idle": None, "reason": "", "undo": None}
    found["step"] = checkpoint.steps_done(directory / "checkpoints")
    for name in (FAILED, DIED):
        if (directory / name).exists():
            undo = f"{run['directory']}/{name}" if name == FAILED else None
            reason = read_json(directory / name)["reason"]
            return found | {"state": "failed", "reason": reason, "undo": undo}
    if found["step"] >= run["steps"]:
        return found | {"state": "done"}
    written = [workdir / record / RECORD for record in run["records"]]
    lines = [line for path in written if (line := _last_line(path, run["stage"]))]
    if not lines:
        return found | {"state": "stopped" if found["step"] else "waiting"}
    idle = max(0.0, time.time() - max(when for when, _ in lines))
    # A line is of the step before it is done.
    found |= {"idle": idle, "step": max(found["step"], *(step + 1 for _, step in lines))}
    return found | {"state": "running" if idle < STOPPED_AFTER else "stopped"}


def _last_line(path, stage):
    """(when, step) of the last whole line of a record, if it is of this stage."""
    try:
        with path.open("rb") as file:
            when = os.fstat(file.fileno()).st_mtime
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            lines = file.read().split(b"\n")[:-1]  # what follows the last newline is being written
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        try:
            entry = json.loads(line)
            return (when, entry["step"]) if entry["stage"] == stage else None
        except ValueError:  # the first piece of what was read
            continue
    return None
