"""What the directory of a sweep holds, finished or not: files are read, nothing is computed."""

import dataclasses
import pathlib

import pandas as pd

from synjax.evaluation import classical as classical_codecs
from synjax.report import curves
from synjax.reporting import calls, external, table, view_files
from synjax.training import ledger

CONFIG, CLAIMS, VARIANTS = "config.json", "claims.json", "variants"
CLASSICAL = "classical"  # directory of what `evaluation.classical` measured


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """What is known of one trial.

    Attributes:
      name: as the table has it.
      state: done, trained, running, waiting or failed.
      reason: why it is not done, or empty.
      training: `curves.Training`, or None.
      views: index of `view_files`, or None.
    """

    name: str
    state: str
    reason: str
    training: object
    views: dict | None


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """One sweep, or one variant of an experiment.

    Attributes:
      name: as the table has it.
      directory: pathlib.Path.
      config: dict.
      trials: list of `Trial`.
      frame: its rows as a table, or None.
      calls: from `calls.read`, of the whole sweep.
      claims: what the experiment says of its table: dicts with "claim", "holds", "measured".
      classical: classical codecs on the same pictures, as `reporting.external` reads them, or None.
    """

    name: str
    directory: pathlib.Path
    config: dict
    trials: list
    frame: pd.DataFrame | None
    calls: list
    claims: list
    classical: pd.DataFrame | None


def read(directories):
    """The runs of some directories, the variants of an experiment one by one.

    Args:
      directories: of sweeps, or that hold the `table.csv` and `config.json` of one.

    Returns:
      List of `Run` with different names.

    Raises:
      ValueError: there is no sweep, or a file of it is damaged.
    """
    directories = [pathlib.Path(directory) for directory in directories]
    if len({path.resolve() for path in directories}) < len(directories):
        raise ValueError(f"a run is given twice: {' '.join(map(str, directories))}")
    found = [run for directory in directories for run in _sweep(directory)]
    names = [run.name for run in found]
    return [_renamed(run) if names.count(run.name) > 1 else run for run in found]


def classical(directory):
    """What a sweep measured of classical codecs, or None."""
    path = pathlib.Path(directory) / CLASSICAL / classical_codecs.MEANS
    return external.read(path) if path.exists() else None


def outside(runs):
    """The classical codecs of all runs, or None: each codec once, of the first run that has it."""
    found = [run.classical for run in runs if run.classical is not None]
    if not found:
        return None
    joined, known = found[0], set(found[0]["name"])
    for other in found[1:]:
        joined = pd.concat([joined, other[~other["name"].isin(known)]], ignore_index=True)
        known |= set(other["name"])
    return joined


def merged(runs):
    """The table of all rows there are, or None; its index numbers them."""
    frames = [run.frame for run in runs if run.frame is not None]
    return table.merge(frames) if frames else None


def _sweep(directory):
    if not (directory / CONFIG).exists():
        raise ValueError(f"{directory} holds no sweep: there is no {CONFIG} in it")
    config = ledger.read_json(directory / CONFIG)
    called, claims = calls.read(directory), directory / CLAIMS
    claims = ledger.read_json(claims) if claims.exists() else []
    rest = called, claims, classical(directory)
    names = config.get(VARIANTS)
    if names is None:
        return [_run(directory, config, *rest)]
    homes = [directory / name for name in names if (directory / name / CONFIG).exists()]
    if not homes:
        return [_run(directory, config, *rest)]  # its table alone is left
    found = [_run(home, ledger.read_json(home / CONFIG), called, [], None) for home in homes]
    first = dataclasses.replace(found[0], claims=claims, classical=rest[-1])
    return [first, *found[1:]]


def _run(home, config, called, claims, others):
    trials, rows = [], []
    for name, state, reason, paths in _observed(home):
        directory = home / ledger.TRIALS / name
        if (directory / ledger.ROWS).exists():
            rows += ledger.read_json(directory / ledger.ROWS)
        training, views = curves.read(name, paths), view_files.read(directory)
        trials.append(Trial(name, state, reason, training, views))
    frame = table.frame(rows) if rows else None
    if frame is None and (home / "table.csv").exists():
        frame = table.read(home / "table.csv")
    name = config.get("name", home.name)
    return Run(name, home, config, trials, frame, called, claims, others)


def _observed(home):
    """(name, state, reason, directories of records) of each trial."""
    if (home / ledger.PLAN).exists():
        described = ledger.read(home)
        runs, trials = ledger.observe(home, described)
        working = {run["name"] for run in runs if run["state"] == "running"}
        for told, seen in zip(described["trials"], trials, strict=True):
            state = seen["state"]
            if state == "waiting" and {told["encoder"], told["decoder"]} & working:
                state = "running"
            paths = told.get("records", [f"{ledger.TRIALS}/{told['name']}"])
            yield told["name"], state, seen["reason"], [home / path for path in paths]
        return
    for path in sorted(home.glob(f"{ledger.TRIALS}/*/{ledger.ROWS}")):
        rows = ledger.read_json(path)
        reasons = [row["reason"] for row in rows if row["status"] == "diverged"]
        state = "failed" if reasons else "done"
        yield path.parent.name, state, "".join(reasons[:1]), [path.parent]


def _renamed(run):
    name = f"{run.name} ({run.directory})"
    frame = None if run.frame is None else run.frame.assign(run=name)
    return dataclasses.replace(run, name=name, frame=frame)
