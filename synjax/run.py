"""What the verbs do: sweep → evaluation → reporting, on a working directory."""

import dataclasses
import json
import pathlib
import time

import numpy as np

from synjax import bench as benchmark
from synjax import bounds as bounding
from synjax import sweep as sweeping
from synjax.codec import package as packaging
from synjax.evaluation import estimator_study
from synjax.evaluation import evaluate as evaluation
from synjax.reporting import (
    comparison,
    comparison_report,
    contact_sheet,
    plots,
    progress,
    table,
)
from synjax.theory import audit as auditing
from synjax.training import interruption
from synjax.training import plan as planning

ROWS = "rows.json"
VARIANTS = "variants"
CLAIMS = "claims.json"


@interruption.handled()
def train(config, workdir, console, experiment=None):
    """Trains every run of a configuration, or what is missing of it; arguments as for `sweep`."""
    for plan, home in _plans(config, workdir, experiment):
        _train(plan, home, console)


def _plans(config, workdir, experiment):
    """Checked plans and the working directories that they are trained in.

    An experiment that compares several configurations has one of each for every variant, below the
    working directory; encoders that the variants agree on are trained once.
    """
    workdir = pathlib.Path(workdir)
    if not hasattr(experiment, "variants"):
        plan = planning.make(config)
        evaluation.require(plan.config)  # what is missing is said before hours of training
        return [(plan, sweeping.open_workdir(workdir, plan.config))]
    plans = {
        name: planning.make(
            own | {"name": f"{config['name']}/{name}", "shared_encoders": "../encoders"}
        )
        for name, own in experiment.variants(config).items()
    }
    for plan in plans.values():
        evaluation.require(plan.config)
    sweeping.open_workdir(workdir, config | {VARIANTS: list(plans)})
    return [
        (plan, sweeping.open_workdir(workdir / name, plan.config)) for name, plan in plans.items()
    ]


def _homes(workdir):
    """The working directories of a sweep: itself, or those of its variants."""
    workdir = pathlib.Path(workdir)
    names = sweeping.read_config(workdir).get(VARIANTS)
    return [workdir] if names is None else [workdir / name for name in names]


def _train(plan, workdir, console, only_read=False):
    with progress.Progress(console) as bar:

        def show(run, done, metrics):
            bar.update(run.name, done, run.stage.steps, progress.describe(metrics))

        return sweeping.Trainer(plan, workdir, show, only_read).train_all()


@interruption.handled()
def sweep(config, workdir, console, experiment=None):
    """Trains, evaluates and exports; finishes what an interrupted call left.

    Args:
      config: plain dict.
      workdir: directory of the sweep.
      console: rich console.
      experiment: module of the experiment, or None. It may have `variants`: config → dict of the
        configurations to compare by name, and `claims`: (table, config) → list of (claim, whether
        it holds, what was measured).
    """
    began = time.monotonic()
    for plan, home in _plans(config, workdir, experiment):
        _evaluate(plan, _train(plan, home, console), home, console, again=False)
    results = export(workdir, console)
    if hasattr(experiment, "claims"):
        _print_claims(experiment.claims(results, config), pathlib.Path(workdir), console)
    console.print(f"Finished in {time.monotonic() - began:.0f} s.", highlight=False)


@interruption.handled()
def evaluate(workdir, console):
    """Evaluates a trained working directory again, whatever rows it holds."""
    for home in _homes(workdir):
        plan = planning.make(sweeping.read_config(home))
        outcomes = _train(plan, home, console, only_read=True)
        _evaluate(plan, outcomes, home, console, again=True)
    export(workdir, console)


@interruption.at_once()
def _evaluate(plan, outcomes, workdir, console, again):
    examples = evaluation.subjects(plan.config)
    with progress.Progress(console) as bar:
        for done, trial in enumerate(plan.trials, 1):
            directory = workdir / "trials" / trial.name
            path = directory / ROWS
            if path.exists() and not again:
                continue
            outcome = outcomes[trial.decoder]
            weights = outcomes[trial.encoder].weights, outcome.weights
            if outcome.failure:
                rows = evaluation.failed_rows(plan, trial, outcome.failure, examples)
                sheets = []
            else:
                rows, sheets = evaluation.trial_rows(plan, trial, outcome.params, examples, weights)
            for level, sheet in enumerate(sheets, 1):
                stem = directory / f"members_level_{level}"
                draw = contact_sheet.vector_sheet if sheet.vectors else contact_sheet.contact_sheet
                draw(sheet.source, sheet.members, stem, sheet.caption)
            directory.mkdir(parents=True, exist_ok=True)
            # The rows come last: where they are, everything of the trial is.
            table.replace_file(path, json.dumps(rows, indent=1, default=_plain).encode())
            bar.update("evaluation", done, len(plan.trials), trial.name)


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


def export(workdir, console):
    """Writes tables and plots from the rows of a working directory and prints the table.

    Returns:
      The table.

    Raises:
      ValueError: there is no sweep, or none of its trials was evaluated.
    """
    workdir = pathlib.Path(workdir)
    rows, missing = [], []
    for home in _homes(workdir):
        plan = planning.make(sweeping.read_config(home))
        for trial in plan.trials:
            path = home / "trials" / trial.name / ROWS
            if path.exists():
                rows += json.loads(path.read_text())
            else:
                missing.append(str(home.relative_to(workdir) / trial.name))
    if not rows:
        raise ValueError(f"no trial of {workdir} was evaluated yet: run `sweep` or `evaluate`")
    (workdir / CLAIMS).unlink(missing_ok=True)  # of a table that is about to be replaced
    results = table.frame(rows)
    paths = table.write(results, workdir)
    variances = getattr(plan.source, "variances", None)
    paths += plots.rate_distortion(results, workdir / "plots", variances)
    paths += plots.distortion_perception(results, workdir / "plots", variances)
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
    return results


def compare(paths, out, metric, against, console):
    """Compares the curves of tables and external results, prints their BD-rates and writes them.

    Args:
      paths: as `comparison.load` takes them.
      out: directory, new or of an earlier comparison.
      metric: the quality.
      against: name of the one curve that is compared with; None for all.
      console: rich console.
    """
    comparison_report.require_own(out, paths)
    compared = comparison.load(paths, metric)
    pairs = comparison.deltas(compared, against)
    paths = comparison_report.write(compared, pairs, out)
    comparison_report.print_deltas(compared, pairs, console)
    console.print("Wrote", highlight=False)
    for path in paths:
        console.print(f"  {path}", highlight=False, markup=False, soft_wrap=True)


def _print_claims(verdicts, workdir, console):
    """What the experiment says its table must show, and whether it does."""
    lines = []
    for claim, holds, measured in verdicts:
        lines.append({"claim": claim, "holds": bool(holds), "measured": measured})
        mark = "holds" if holds else "FAILS"
        console.print(f"{mark}  {claim}: {measured}", highlight=False, markup=False, soft_wrap=True)
    table.replace_file(workdir / CLAIMS, json.dumps(lines, indent=1).encode())


def bench(config, out, repeats, console):
    """Measures this machine and writes the result as JSON."""
    results = benchmark.measure(planning.make(config), repeats)
    path = pathlib.Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.replace_file(path, (json.dumps(results, indent=1) + "\n").encode())
    for name, value in results.items():
        console.print(f"{name}: {value}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Wrote {path}", highlight=False)


def bounds(settings, console):
    """Prints what theory allows: one rate, or a table whose CSV and plot are written.

    Args:
      settings: dict of the verb's flags, all text.
      console: rich console.
    """
    source, divergence = settings["source"], settings["divergence"]
    name = "variances" if source == "gaussian" else "probabilities"
    given = {
        key: bounding.numbers(key, settings[key])
        for key in (name, "distortion", "perception", "common_randomness")
    }
    if len(given["common_randomness"]) != 1:
        raise ValueError("common_randomness takes one number")
    results = bounding.tabulate(
        source,
        given[name],
        given["distortion"],
        given["perception"],
        divergence,
        given["common_randomness"][0],
    )
    if len(results) == 1:
        kind = "" if results.kind[0] == "exact" else "  (an upper bound of R(D, P))"
        unit = "bits/dim" if source == "gaussian" else "bits/symbol"
        console.print(f"{results.rate[0]:.6f} {unit}{kind}", highlight=False)
        return
    console.print(results.to_string(index=False, float_format="{:.6g}".format), highlight=False)
    title = f"{source}, {divergence or bounding.DIVERGENCES[source][0]}"
    for path in bounding.write(results, settings["out"], title):
        console.print(f"Wrote {path}", highlight=False, soft_wrap=True)


def audit(out, count, seed, console):
    """Evaluates every statement of the paper, prints the table and writes the document."""
    results = auditing.run(count=count, seed=seed)
    print(auditing.text(results, max(console.width, 100)))
    path = pathlib.Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.replace_file(path, auditing.markdown(results, seed=seed).encode())
    console.print(f"Wrote {path}", highlight=False, soft_wrap=True)


def estimators(out, repeats, seed, console):
    """Tries every estimator of a divergence on pairs whose divergence is known."""
    estimator_study.study(out, repeats, seed, console)
