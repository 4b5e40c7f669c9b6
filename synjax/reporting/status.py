"""How far a sweep is, as text."""

import collections
import shlex

STYLES = {"running": "cyan", "failed": "red", "stopped": "yellow", "trained": "cyan"}


def show(name, runs, trials, console):
    """Prints the runs and trials of one working directory and a line that sums them up.

    Args:
      name: of the directory.
      runs, trials: from `training.ledger.observe`.
      console: rich console; what is no terminal gets plain text.
    """
    console.print(f"{name}", highlight=False, markup=False, soft_wrap=True)
    for kind, entries in (("run", runs), ("trial", trials)):
        width = max((len(entry["name"]) for entry in entries), default=0)
        for entry in entries:
            line = f"  {kind:5}  {entry['name']:{width}}  {entry['state']:8}{_details(entry)}"
            style = STYLES.get(entry["state"])
            console.print(line.rstrip(), style=style, highlight=False, markup=False, soft_wrap=True)
    if files := [entry["undo"] for entry in (*runs, *trials) if entry["undo"]]:
        line = f"  to try again what diverged, remove in it and start it again: {shlex.join(files)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def summary(runs, trials):
    """One line: how many runs and trials are in which state, and the share of all steps."""
    done = sum(min(run["step"], run["steps"]) for run in runs)
    share = 100 * done / max(sum(run["steps"] for run in runs), 1)
    return f"{_counts('runs', runs)}; {_counts('trials', trials)}; {share:.0f} % of all steps"


def _counts(name, entries):
    counts = collections.Counter(entry["state"] for entry in entries)
    order = ("done", "trained", "running", "stopped", "waiting", "failed")
    listed = ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
    return f"{len(entries)} {name}: {listed}"


def _details(entry):
    parts = []
    if "steps" in entry and entry["state"] in ("running", "stopped"):
        parts.append(f"step {entry['step']} of {entry['steps']}")
        if entry["idle"] is not None:
            parts.append(f"last line {entry['idle']:.0f} s ago")
    if entry["reason"]:
        parts.append(entry["reason"])
    return "  " + ", ".join(parts) if parts else ""
