"""Verbs that show what a working directory holds: export, report, show, status."""

import json
import pathlib

from synjax import measured
from synjax import sweep as sweeping
from synjax.report import page, reading, terminal
from synjax.reporting import plots, signals, table
from synjax.reporting import status as progress_text
from synjax.training import interruption, ledger
from synjax.training import plan as planning
from synjax.verbs import workdirs

CLAIMS = "claims.json"
REPORT = "report.html"


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
    for home in workdirs.homes(workdir):
        plan = planning.make(sweeping.read_config(home))
        for trial in plan.trials:
            path = home / ledger.TRIALS / trial.name / ledger.ROWS
            if path.exists():
                rows += ledger.read_json(path)
                found.append(path.parent)
            else:
                missing.append(str(home.relative_to(workdir) / trial.name))
    if not rows:
        raise ValueError(f"no trial of {workdir} was evaluated yet: run `sweep` or `evaluate`")
    results = table.frame(rows)
    outside = reading.classical(workdir)
    before = _bytes(workdir / "table.csv")
    paths = table.write(results, workdir, outside)
    if _bytes(workdir / "table.csv") != before:
        (workdir / CLAIMS).unlink(missing_ok=True)  # they are of the table that was
    paths += signals.merge(found, workdir)
    variances = getattr(plan.source, "variances", None)
    paths += plots.rate_distortion(results, workdir / "plots", variances, outside)
    if table.divergences(results):  # none where all diverged
        paths += plots.distortion_perception(results, workdir / "plots", variances)
    verdicts = []
    if judge and (results.status == "ok").any():
        verdicts = judge(results)
        _write_claims(verdicts, workdir)
    paths.append(page.write(reading.read([workdir]), workdir / REPORT))
    table.print_table(results, console)
    if missing:
        console.print(f"Not evaluated yet: {', '.join(missing)}", highlight=False)
    console.print("Wrote", highlight=False)
    pattern = pathlib.Path(ledger.TRIALS, "*", "members_level_*.png")
    pattern = pattern if workdirs.homes(workdir) == [workdir] else "*" / pattern
    sheets = sorted(workdir.glob(str(pattern)))
    for path in paths:
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    if sheets:
        console.print(f"  {workdir / pattern}  ({len(sheets)} contact sheets)", highlight=False)
    return verdicts


def _bytes(path):
    return path.read_bytes() if path.exists() else None


def _write_claims(verdicts, workdir):
    """What the experiment says its table must show, and whether it does."""
    lines = [{"claim": c, "holds": bool(holds), "measured": m} for c, holds, m in verdicts]
    table.replace_file(workdir / CLAIMS, json.dumps(lines, indent=1).encode())


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


def status(workdir, console):
    """Prints which runs and trials of a sweep are done, running, waiting or failed, and why.

    Nothing is written, and where the sweep left its `plan.json` no data is read.

    Raises:
      ValueError: there is no sweep.
    """
    runs, trials = [], []
    measured.refuse(workdir)
    for home in workdirs.homes(workdir):
        if (home / ledger.PLAN).exists():
            described = ledger.read(home)
        else:
            described = ledger.describe(planning.make(sweeping.read_config(home)))
        observed = ledger.observe(home, described)
        progress_text.show(home, *observed, console)
        runs, trials = runs + observed[0], trials + observed[1]
    line = progress_text.summary(runs, trials)
    console.print(line, highlight=False, markup=False, soft_wrap=True)
