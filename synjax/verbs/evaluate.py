"""The verb `evaluate`: what is trained, measured again or on other tests."""

import json
import pathlib
import shutil

import jax
import numpy as np

from synjax import configuration, measured
from synjax import sweep as sweeping
from synjax.codec import samples
from synjax.data import pipeline, sounds, sources
from synjax.evaluation import classical, measure
from synjax.evaluation import evaluate as evaluation
from synjax.launching import waves
from synjax.report import reading
from synjax.reporting import contact_sheet, progress, signals, spectrogram, table, view_files
from synjax.training import interruption, ledger, mesh
from synjax.training import plan as planning
from synjax.verbs import export, workdirs


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
    workdir, homes = pathlib.Path(workdir), workdirs.homes(workdir)
    measured.refuse(workdir)
    plans = {home: _changed(home, changes or {}) for home in homes}
    target = workdir
    if out is not None:
        target = pathlib.Path(out)
        _open_elsewhere(workdir, plans, changes, target, address or workdir.resolve())
    into = {home: target / home.relative_to(workdir) for home in homes}
    elsewhere = [] if out is None else [(plan, into[home]) for home, plan in plans.items()]
    with workdirs.noted(elsewhere, target, None, command):
        for home, plan in plans.items():
            outcomes = workdirs.train(plan, home, console, devices, only_read=True)
            trials(plan, outcomes, into[home], console, again=out is None)
    mesh.wait("evaluated")
    if mesh.is_first():
        if out is not None:
            config = plans[homes[0]].config
            _keep_classical(sweeping.read_config(homes[0]), config, workdir, target)
            compare_with_classical(config, target, console)
        export.export(target, console)


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
        workdirs.open_one(home, config)
    if mesh.is_first():
        measured.begin(target, about)


@interruption.at_once("the evaluation")
def trials(plan, outcomes, workdir, console, again):
    """Evaluates this process's share of the trials of a plan, and writes rows, sheets and signals.

    Args:
      plan: `training.plan.Plan`.
      outcomes: what training left, by name of run.
      workdir: directory of the rows.
      console: rich console.
      again: whether trials that have rows are evaluated, too.

    Raises:
      interruption.Interrupted: a signal ended it; the rows so far stay.
    """
    examples = evaluation.subjects(plan.config)
    with progress.Progress(console) as bar:
        for done, trial in enumerate(plan.trials, 1):
            if interruption.requested():  # all processes ask as often, whoever evaluates it
                interruption.stop("in the evaluation")
            if done % jax.process_count() != jax.process_index():
                continue  # another process's share
            directory = workdir / ledger.TRIALS / trial.name
            path = directory / ledger.ROWS
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


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {type(value)} as JSON")


@interruption.at_once("the comparison with classical codecs")
def compare_with_classical(config, workdir, console):
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
