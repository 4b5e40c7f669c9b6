"""What the verbs do: sweep → evaluation → reporting, on a working directory."""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import time

import jax
import numpy as np

from synjax import configuration, measured
from synjax import sweep as sweeping
from synjax.bench import machine
from synjax.codec import package as packaging
from synjax.codec import samples
from synjax.data import pipeline, sounds, sources
from synjax.evaluation import classical, measure
from synjax.evaluation import evaluate as evaluation
from synjax.launching import launch, waves, workers
from synjax.report import page, reading, terminal
from synjax.reporting import (
    calls,
    contact_sheet,
    plots,
    progress,
    signals,
    spectrogram,
    table,
    view_files,
)
from synjax.reporting import status as progress_text
from synjax.training import interruption, ledger, mesh
from synjax.training import plan as planning

ROWS = ledger.ROWS
VARIANTS = "variants"
CLAIMS = "claims.json"
REPORT = "report.html"


@interruption.handled()
def train(config, workdir, console, experiment=None, devices=None, share=None):
    """Trains every run of a configuration, or what is missing of it; arguments as for `sweep`."""
    plans = _plans(config, workdir, experiment, devices)
    _say_left_out(plans, console)
    if share is not None:
        _raise_if_died(_share(plans, "train", workdir, console, share), workdir)
        return
    devices = _laid_out(devices, [plan for plan, _ in plans], console)
    for plan, home in plans:
        with _alone(_left(plan, home, evaluated=False)):
            _train(plan, home, console, devices)


def _open(workdir, config):
    """`sweep.open_workdir`, by the first process before the others."""
    if mesh.is_first():
        sweeping.open_workdir(workdir, config)
    mesh.wait(f"opened {workdir}")
    return sweeping.open_workdir(workdir, config)


def _laid_out(devices, plans, console):
    """`sweeping.fitted`; where there are several devices, it is said how they lie."""
    devices = sweeping.fitted(devices, plans)
    if devices.mesh.size > 1:
        for line in filter(None, (f"On {devices}", sweeping.copies(plans, devices))):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return devices


def _plans(config, workdir, experiment, devices=None):
    """Checked plans and the working directories that they are trained in.

    An experiment that compares several configurations has one of each for every variant, below the
    working directory; encoders that the variants agree on are trained once.
    """
    workdir = pathlib.Path(workdir)
    measured.refuse(workdir)
    if not hasattr(experiment, "variants"):
        plan = planning.make(config)
        evaluation.require(plan.config)  # what is missing is said before hours of training
        ledger.check(sweeping.check_workdir(workdir, plan.config), plan)
        sweeping.fitted(devices, [plan])
        mesh.wait("checked")  # what is made now must not be found by who still checks
        home = _open(workdir, plan.config)
        if mesh.is_first():
            ledger.write(home, plan)
        return [(plan, home)]
    plans = {
        name: planning.make(
            own | {"name": f"{config['name']}/{name}", "shared_encoders": "../encoders"}
        )
        for name, own in experiment.variants(config).items()
    }
    sweeping.check_workdir(workdir, config | {VARIANTS: list(plans)})
    for name, plan in plans.items():  # all or none of them is written
        evaluation.require(plan.config)
        ledger.check(sweeping.check_workdir(workdir / name, plan.config), plan)
    sweeping.fitted(devices, plans.values())
    mesh.wait("checked")
    _open(workdir, config | {VARIANTS: list(plans)})
    homes = [_open(workdir / name, plan.config) for name, plan in plans.items()]
    if mesh.is_first():
        for home, plan in zip(homes, plans.values(), strict=True):
            ledger.write(home, plan)
    return list(zip(plans.values(), homes, strict=True))


def _say_left_out(plans, console):
    """Prints one line for each folder of which files were left out."""
    opened = [plan.source for plan, _ in plans]
    opened += [sources.of_config(plan.config["data"], split="test") for plan, _ in plans]
    lines = dict.fromkeys(getattr(source, "left_out", "") for source in opened)
    for line in filter(None, lines):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _homes(workdir):
    """The working directories of a sweep: itself, or those of its variants."""
    workdir = pathlib.Path(workdir)
    names = sweeping.read_config(workdir).get(VARIANTS)
    return [workdir] if names is None else [workdir / name for name in names]


def _left(plan, home, evaluated):
    """The directories of what is left to do of a plan."""
    return [home / plan.directory(run) for run in waves.left(plan, home, evaluated)]


@contextlib.contextmanager
def _alone(directories):
    """Inside, no other call works in these directories; of several processes the first sees to it.

    Raises:
      ValueError: another one does.
    """
    with contextlib.ExitStack() as held:
        refusal = None
        if mesh.is_first():
            try:
                held.enter_context(workers.alone(directories))
                for directory in directories:
                    ledger.forget_death(directory)
            except (ValueError, OSError) as error:  # the others wait, and must hear of it
                refusal = error
        if interruption.first_says(refusal is not None):
            raise refusal or ValueError("the first process cannot work here, and says why")
        yield


def _train(plan, workdir, console, devices=None, only_read=False, known=None):
    with progress.Progress(console) as bar:

        def show(run, done, metrics):
            bar.update(run.name, done, run.stage.steps, progress.describe(metrics))

        return sweeping.Trainer(plan, workdir, show, only_read, devices).train_all(known)


def _share(plans, verb, workdir, console, share):
    """Leaves what there is to do to other processes; returns how many of them died."""
    return launch.launch(plans, share, verb, pathlib.Path(workdir) / launch.LOGS, console)


def _raise_if_died(died, workdir):
    if died:
        raise launch.Died(
            f"{died} of the jobs died, what they printed is in {workdir}/{launch.LOGS}; the same "
            "command, started again, finishes what is missing"
        )


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
    measured.refuse(workdir)
    if (homes := _homes(workdir)) != [pathlib.Path(workdir)]:
        raise ValueError(f"{workdir} has variants: give one of {', '.join(map(str, homes))}")
    plan, home = planning.make(sweeping.read_config(workdir)), pathlib.Path(workdir)
    runs = {run.name: run for run in plan.runs}
    if unknown := [name for name in names if name not in runs]:
        raise ValueError(f"{workdir} has no run {unknown[0]!r}; it has {'; '.join(runs)}")
    parents = {runs[name].parent for name in names} - {None, *names}
    parts = dataclasses.replace(plan, runs=tuple(r for r in plan.runs if r.name in parents))
    needed = tuple(run for run in plan.runs if run.name in {*parents, *names})
    own = dataclasses.replace(
        plan, runs=needed, trials=tuple(t for t in plan.trials if t.decoder in names)
    )
    devices = _laid_out(devices, [own], console)
    noted = calls.noted(home, command, machine.describe(), part=True)
    with noted, _alone([home / plan.directory(runs[name]) for name in names]):
        known = _train(parts, home, console, devices, only_read=True)
        outcomes = _train(own, home, console, devices, known=known)
        if evaluated and own.trials:
            _evaluate(own, outcomes, home, console, again=False)


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
    plans = _plans(config, workdir, experiment, devices)
    _say_left_out(plans, console)
    if share is None:
        devices = _laid_out(devices, [plan for plan, _ in plans], console)
    with _noted(plans, workdir, share, command):
        if share is not None:
            died = _share(plans, "sweep", workdir, console, share)
            if died and any(list(home.glob(f"trials/*/{ROWS}")) for _, home in plans):
                export(workdir, console)
            _raise_if_died(died, workdir)
        else:
            for plan, home in plans:
                with _alone(_left(plan, home, evaluated=True)):
                    outcomes = _train(plan, home, console, devices)
                    _evaluate(plan, outcomes, home, console, again=False)
    mesh.wait("evaluated")
    if not mesh.is_first():
        return
    _compare_with_classical(plans[0][0].config, workdir, console)
    judge = getattr(experiment, "claims", None)
    verdicts = export(workdir, console, judge and (lambda results: judge(results, config, workdir)))
    _print_claims(verdicts, console)
    console.print(f"Finished in {time.monotonic() - began:.0f} s.", highlight=False)


@interruption.at_once("the comparison with classical codecs")
def _compare_with_classical(config, workdir, console):
    """Measures the classical codecs that a configuration asks for, once for a sweep."""
    codecs, directory = classical.asked(config), pathlib.Path(workdir) / reading.CLASSICAL
    if not codecs or (directory / classical.MEANS).exists():
        return
    examples, limit = sources.of_config(config["data"], split="test"), config["evaluation"]["limit"]
    examples = pipeline.evaluation_examples(examples, limit=limit)
    weights, named = measure.extras(config).lpips, ", ".join(codecs)
    with progress.Progress(console) as bar:

        def show(done):
            bar.update("other codecs, pictures", done, len(examples), named)

        found = classical.tabulate(examples, weights, codecs, show)
    classical.write(*found, directory)


def _keep_classical(held, asked, workdir, target):
    """Copies what a sweep has of classical codecs, where the same is asked on the same pictures."""
    keys = ("classical", "limit", "lpips")
    same = held["data"].get("test") == asked["data"].get("test")
    if not same or any(held["evaluation"].get(k) != asked["evaluation"].get(k) for k in keys):
        return
    for directory in (workdir / reading.CLASSICAL, workdir.parent / reading.CLASSICAL):
        if (directory / classical.MEANS).exists() and not (target / reading.CLASSICAL).exists():
            shutil.copytree(directory, target / reading.CLASSICAL)


def _noted(plans, workdir, share, command):
    """Notes a call that has something to do; one that finds all done leaves the record alone."""
    waits = any(
        not (home / ledger.TRIALS / trial.name / ROWS).exists()
        for plan, home in plans
        for trial in plan.trials
    )
    if not waits or not mesh.is_first():
        return contextlib.nullcontext()
    facts = machine.describe()
    if share is not None:  # the devices are the workers' own
        facts = {name: facts[name] for name in ("python", "versions")}
    return calls.noted(workdir, command, facts)


@interruption.handled()
def evaluate(workdir, console, devices=None, changes=None, out=None, address=None, command=None):
    """Evaluates a trained working directory again, whatever rows it holds.

    Args:
      workdir: directory of a sweep.
      console: rich console.
      devices: `training.mesh.Devices`, as for `sweep.Trainer`.
      changes: other tests or measurements, as `configuration.changed` has them; with `out` alone.
      out: directory of what is evaluated, to be made or to go on in; None for the sweep's own.
      address: of the sweep, where `workdir` is a copy; None where it is not.
      command: as it was typed, for the record of calls.

    Raises:
      ValueError: it is not trained, a change cannot be made, or `out` holds something else.
      interruption.Interrupted: a signal ended it.
    """
    workdir, homes = pathlib.Path(workdir), _homes(workdir)
    measured.refuse(workdir)
    plans = {home: _changed(home, changes or {}) for home in homes}
    target = workdir
    if out is not None:
        target = pathlib.Path(out)
        _open_elsewhere(workdir, plans, changes, target, address or workdir.resolve())
    into = {home: target / home.relative_to(workdir) for home in homes}
    elsewhere = [] if out is None else [(plan, into[home]) for home, plan in plans.items()]
    with _noted(elsewhere, target, None, command):
        for home, plan in plans.items():
            outcomes = _train(plan, home, console, devices, only_read=True)
            _evaluate(plan, outcomes, into[home], console, again=out is None)
    mesh.wait("evaluated")
    if mesh.is_first():
        if out is not None:
            config = plans[homes[0]].config
            _keep_classical(sweeping.read_config(homes[0]), config, workdir, target)
            _compare_with_classical(config, target, console)
        export(target, console)


def _changed(home, changes):
    """The checked plan of a working directory whose runs are trained, with other measurements."""
    held = sweeping.read_config(home)
    try:
        plan = planning.make(configuration.changed(held, changes))
        evaluation.require(plan.config)
    except ValueError as error:
        raise ValueError(f"{home}: {error}") from None
    if left := waves.left(plan, home, evaluated=False):
        raise ValueError(f"{home}: {left[0].name} is not trained; finish it with `sweep`")
    return plan


def _open_elsewhere(workdir, plans, changes, target, address):
    """Makes the directories of an evaluation that goes elsewhere, once all of them are checked."""
    # The directory before those in it: where there are some, it must be known what it is for.
    root = configuration.changed(sweeping.read_config(workdir), changes or {})
    configs = {workdir: root} | {home: plan.config for home, plan in plans.items()}
    configs = {target / home.relative_to(workdir): config for home, config in configs.items()}
    about = measured.about(address, plans.values())
    measured.check(target, about, configs)
    for home, config in configs.items():
        sweeping.check_workdir(home, config)
    mesh.wait("checked")
    for home, config in configs.items():
        _open(home, config)
    if mesh.is_first():
        measured.begin(target, about)


def status(workdir, console):
    """Prints which runs and trials of a sweep are done, running, waiting or failed, and why.

    Nothing is written, and where the sweep left its `plan.json` no data is read.

    Raises:
      ValueError: there is no sweep.
    """
    runs, trials = [], []
    measured.refuse(workdir)
    for home in _homes(workdir):
        if (home / ledger.PLAN).exists():
            described = ledger.read(home)
        else:
            described = ledger.describe(planning.make(sweeping.read_config(home)))
        observed = ledger.observe(home, described)
        progress_text.show(home, *observed, console)
        runs, trials = runs + observed[0], trials + observed[1]
    line = progress_text.summary(runs, trials)
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@interruption.at_once("the evaluation")
def _evaluate(plan, outcomes, workdir, console, again):
    examples = evaluation.subjects(plan.config)
    with progress.Progress(console) as bar:
        for done, trial in enumerate(plan.trials, 1):
            if interruption.requested():  # all processes ask as often, whoever evaluates it
                interruption.stop("in the evaluation")
            if done % jax.process_count() != jax.process_index():
                continue  # another process's share
            directory = workdir / "trials" / trial.name
            path = directory / ROWS
            if path.exists() and not again:
                continue
            outcome = outcomes[trial.decoder]
            weights = outcomes[trial.encoder].weights, outcome.weights
            if outcome.failure:
                rows = evaluation.failed_rows(plan, trial, outcome.failure, examples)
                sheets, shown, singles = [], [], []
            else:
                rows, sheets, shown, singles = evaluation.trial_rows(
                    plan, trial, outcome.params, examples, weights
                )
            for sheet in sheets:
                _draw(sheet, directory / f"members_level_{sheet.level}")
            point = {"trial": trial.name, "seed": trial.seed}
            point |= {"lambda_d": trial.lambda_d, "lambda_p": trial.lambda_p}
            view_files.write(directory, shown, point)
            directory.mkdir(parents=True, exist_ok=True)
            signals.write(singles, directory)
            # The rows come last: where they are, everything of the trial is.
            table.replace_file(path, json.dumps(rows, indent=1, default=_plain).encode())
            bar.update("evaluation", done, len(plan.trials), trial.name)


def _draw(sheet, stem):
    """Writes a sheet; of a sound, the sounds too, in a directory of the same name."""
    shown = sheet.source, sheet.members
    if not sheet.sample_rate:
        draw = contact_sheet.vector_sheet if sheet.vectors else contact_sheet.contact_sheet
        draw(*shown, stem, sheet.caption)
        return
    spectrogram.sheet(*shown, sheet.sample_rate, stem, sheet.caption)
    stem.mkdir(exist_ok=True)
    heard = {"source": sheet.source}
    heard |= {f"member_{j}": member for j, member in enumerate(sheet.members)}
    for name, sound in heard.items():
        sounds.write(stem / f"{name}.wav", samples.of_sound(sound, 16), sheet.sample_rate)


def package(workdir, trial_name, codec, console):
    """Writes the codec of a trial as an artefact.

    Args:
      workdir: of a sweep that trained the trial.
      trial_name: as the table names it.
      codec: directory to make.
      console: rich console.

    Raises:
      ValueError: no such trial, or one that is not trained or has diverged; the directory exists.
    """
    measured.refuse(workdir)
    if (homes := _homes(workdir)) != [pathlib.Path(workdir)]:
        raise ValueError(f"{workdir} has variants: give one of {', '.join(map(str, homes))}")
    plan = planning.make(sweeping.read_config(workdir))
    trials = {trial.name: trial for trial in plan.trials}
    if trial_name not in trials:
        raise ValueError(f"{workdir} has no trial {trial_name!r}; it has {'; '.join(trials)}")
    packaging.require_new(codec)
    trial = trials[trial_name]
    needed = tuple(run for run in plan.runs if run.name in (trial.encoder, trial.decoder))
    plan = dataclasses.replace(plan, runs=needed)
    outcome = _train(plan, pathlib.Path(workdir), console, only_read=True)[trial.decoder]
    if outcome.failure:
        raise ValueError(f"trial {trial.name} has no codec: {outcome.failure}")
    points = trial.lambda_d, trial.lambda_p
    artefact = packaging.make(plan.codec, outcome.params, *points, plan.has_realism)
    packaging.save(artefact, codec)
    fingerprint = artefact.fingerprint[:4].hex()
    size = sum(path.stat().st_size for path in pathlib.Path(codec).iterdir())
    line = f"{codec}: codec {fingerprint} of trial {trial.name}, {size} bytes"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value)} as JSON")


def report(directories, out, console):
    """Writes one page of several sweeps, finished or not.

    Args:
      directories: of sweeps.
      out: path of the page; None for `report.html` in the sweep's directory or, of several, here.
      console: rich console.

    Raises:
      ValueError: there is no sweep, or the path holds something else.
    """
    if out is None:
        out = pathlib.Path(directories[0] if len(directories) == 1 else ".") / REPORT
    path = page.write(reading.read(directories), page.require_own(out))
    line = f"{path}  ({path.stat().st_size / 1e6:.1f} MB)"
    console.print(f"Wrote\n  {line}", highlight=False, markup=False, soft_wrap=True)


def show(workdir, console):
    """Prints the table of a sweep and small charts, of what there is so far."""
    terminal.show(reading.read([workdir]), console)


@interruption.at_once("the export")
def export(workdir, console, judge=None):
    """Writes tables, plots and the page from the rows of a working directory, prints the table.

    Args:
      workdir: of a sweep.
      console: rich console.
      judge: table → claims, as an experiment has them; they are written for the page.

    Returns:
      What `judge` said, or an empty list.

    Raises:
      ValueError: there is no sweep, or none of its trials was evaluated.
    """
    workdir = pathlib.Path(workdir)
    rows, found, missing = [], [], []
    for home in _homes(workdir):
        plan = planning.make(sweeping.read_config(home))
        for trial in plan.trials:
            path = home / "trials" / trial.name / ROWS
            if path.exists():
                rows += ledger.read_json(path)
                found.append(path.parent)
            else:
                missing.append(str(home.relative_to(workdir) / trial.name))
    if not rows:
        raise ValueError(f"no trial of {workdir} was evaluated yet: run `sweep` or `evaluate`")
    (workdir / CLAIMS).unlink(missing_ok=True)  # of a table that is about to be replaced
    results = table.frame(rows)
    outside = reading.classical(workdir)
    paths = table.write(results, workdir, outside)
    paths += signals.merge(found, workdir)
    variances = getattr(plan.source, "variances", None)
    paths += plots.rate_distortion(results, workdir / "plots", variances, outside)
    paths += plots.distortion_perception(results, workdir / "plots", variances)
    verdicts = judge(results) if judge else []
    if judge:
        _write_claims(verdicts, workdir)
    paths.append(page.write(reading.read([workdir]), workdir / REPORT))
    table.print_table(results, console)
    if missing:
        console.print(f"Not evaluated yet: {', '.join(missing)}", highlight=False)
    console.print("Wrote", highlight=False)
    pattern = pathlib.Path("trials", "*", "members_level_*.png")
    pattern = pattern if _homes(workdir) == [workdir] else "*" / pattern
    sheets = sorted(workdir.glob(str(pattern)))
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    if sheets:
        console.print(f"  {workdir / pattern}  ({len(sheets)} contact sheets)", highlight=False)
    return verdicts


def _write_claims(verdicts, workdir):
    """What the experiment says its table must show, and whether it does."""
    lines = [{"claim": c, "holds": bool(holds), "measured": m} for c, holds, m in verdicts]
    table.replace_file(workdir / CLAIMS, json.dumps(lines, indent=1).encode())


def _print_claims(verdicts, console):
    for claim, holds, told in verdicts or ():
        mark = "holds" if holds else "FAILS"
        console.print(f"{mark}  {claim}: {told}", highlight=False, markup=False, soft_wrap=True)
