"""The verbs `train` and `sweep`, and a worker's part of them."""

import dataclasses
import pathlib
import time

from synjax import sweep as sweeping
from synjax.bench import machine
from synjax.launching import launch, workers
from synjax.reporting import calls
from synjax.training import interruption, ledger, mesh
from synjax.training import plan as planning
from synjax.verbs import evaluate, export, workdirs


@interruption.handled()
def train(config, workdir, console, experiment=None, devices=None, share=None):
    """Trains every run of a configuration, or what is missing of it; arguments as for `sweep`."""
    plans = workdirs.open_plans(config, workdir, experiment, devices)
    workdirs.say_left_out(plans, console)
    if share is not None:
        _raise_if_died(_share(plans, "train", workdir, console, share), workdir)
        return
    devices = workdirs.laid_out(devices, [plan for plan, _ in plans], console)
    for plan, home in plans:
        with workdirs.alone(workdirs.left(plan, home, evaluated=False)):
            workdirs.train(plan, home, console, devices)


@interruption.handled()
def work(workdir, names, evaluated, console, devices=None, command=None):
    """Does the part of one worker: trains some runs and evaluates what is complete by them.

    Args:
      workdir: directory of a sweep, that of a variant where it has any.
      names: of runs, whose parents are trained.
      evaluated: whether trials are evaluated, too.
      console: rich console.
      devices: `training.mesh.Devices`, as for `sweep.Trainer`.
      command: as it was typed, for the record of calls.

    Raises:
      ValueError: there are no such runs, or a parent is not trained.
    """
    workers.end_with_parent()
    home = workdirs.only(workdir)
    plan = planning.make(sweeping.read_config(home))
    runs = {run.name: run for run in plan.runs}
    if unknown := [name for name in names if name not in runs]:
        raise ValueError(f"{workdir} has no run {unknown[0]!r}; it has {'; '.join(runs)}")
    parents = {runs[name].parent for name in names} - {None, *names}
    parts = dataclasses.replace(plan, runs=tuple(r for r in plan.runs if r.name in parents))
    needed = tuple(run for run in plan.runs if run.name in {*parents, *names})
    own = dataclasses.replace(
        plan, runs=needed, trials=tuple(t for t in plan.trials if t.decoder in names)
    )
    devices = workdirs.laid_out(devices, [own], console)
    noted = calls.noted(home, command, machine.describe(), part=True)
    with noted, workdirs.alone([home / plan.directory(runs[name]) for name in names]):
        known = workdirs.train(parts, home, console, devices, only_read=True)
        outcomes = workdirs.train(own, home, console, devices, known=known)
        if evaluated and own.trials:
            evaluate.trials(own, outcomes, home, console, again=False)


@interruption.handled()
def sweep(config, workdir, console, experiment=None, devices=None, share=None, command=None):
    """Trains, evaluates and exports; finishes what an interrupted call left.

    Args:
      config: plain dict.
      workdir: directory of the sweep.
      console: rich console.
      experiment: module of the experiment, or None. It may have `variants`: config → dict of the
        configurations to compare by name, and `claims`: (table, config, workdir) → list of
        (claim, whether it holds, what was measured).
      devices: `training.mesh.Devices`, as for `sweep.Trainer`.
      share: `launching.launch.Share`; None to do it all here.
      command: as it was typed, for the record of calls.

    Raises:
      launch.Died: some jobs died; the table holds the rows of the others.
      interruption.Interrupted: a signal ended the sweep, and its jobs.
    """
    began = time.monotonic()
    plans = workdirs.open_plans(config, workdir, experiment, devices)
    workdirs.say_left_out(plans, console)
    if share is None:
        devices = workdirs.laid_out(devices, [plan for plan, _ in plans], console)
    with workdirs.noted(plans, workdir, share, command):
        if share is not None:
            died = _share(plans, "sweep", workdir, console, share)
            rows = f"{ledger.TRIALS}/*/{ledger.ROWS}"
            if died and any(list(home.glob(rows)) for _, home in plans):
                export.export(workdir, console)
            _raise_if_died(died, workdir)
        else:
            for plan, home in plans:
                left = workdirs.left(plan, home, evaluated=True)
                if not interruption.first_says(bool(left)):
                    continue  # a codec that is done need not be read
                with workdirs.alone(left):
                    outcomes = workdirs.train(plan, home, console, devices)
                    evaluate.trials(plan, outcomes, home, console, again=False)
    mesh.wait("evaluated")
    if not mesh.is_first():
        return
    evaluate.compare_with_classical(plans[0][0].config, workdir, console)
    judge = getattr(experiment, "claims", None)
    verdicts = export.export(
        workdir, console, judge and (lambda results: judge(results, config, workdir))
    )
    _print_claims(verdicts, console)
    console.print(f"Finished in {time.monotonic() - began:.0f} s.", highlight=False)


def _share(plans, verb, workdir, console, share):
    """Leaves what there is to do to other processes; returns how many of them died."""
    return launch.launch(plans, share, verb, pathlib.Path(workdir) / launch.LOGS, console)


def _raise_if_died(died, workdir):
    if died:
        raise launch.Died(
            f"{died} of the jobs died, what they printed is in {workdir}/{launch.LOGS}; the same "
            "command, started again, finishes what is missing"
        )


def _print_claims(verdicts, console):
    for claim, holds, told in verdicts or ():
        mark = "holds" if holds else "FAILS"
        console.print(f"{mark}  {claim}: {told}", highlight=False, markup=False, soft_wrap=True)
