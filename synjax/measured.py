"""What `evaluate --out` leaves beside its rows: which sweep they are measured of."""

import json
import pathlib

from synjax.reporting import table
from synjax.training import ledger

FILE = "measured.json"


def about(address, plans):
    """What tells one trained sweep from another, for JSON.

    Args:
      address: of its directory.
      plans: its `training.plan.Plan`s.
    """
    runs = sorted({f"{plan.run_hash(run)} {run.name}" for plan in plans for run in plan.runs})
    return {"sweep": str(address), "runs": runs}


def check(out, wanted, homes):
    """Raises ValueError where a directory is not for measurements of a sweep.

    Args:
      out: a directory, or none yet.
      wanted: what `about` returns.
      homes: `out` itself and, of variants, those in it.
    """
    path = pathlib.Path(out) / FILE
    if path.exists():
        held = ledger.read_json(path)
        if held != wanted:
            of = held.get("sweep") if isinstance(held, dict) else None
            raise ValueError(
                f"{out} holds measurements of {of}, not of what is in {wanted['sweep']}; choose "
                "another --out"
            )
    elif any((home / ledger.PLAN).exists() for home in homes):
        raise ValueError(f"{out} holds a sweep of its own; choose another --out")


def begin(out, wanted):
    """Notes what is measured in a directory that is there."""
    text = json.dumps(wanted, indent=1) + "\n"
    table.replace_file(pathlib.Path(out) / FILE, text.encode())


def refuse(workdir):
    """Raises ValueError where a directory holds measurements alone, or is in one that does."""
    for directory in (pathlib.Path(workdir), pathlib.Path(workdir).parent):
        path = directory / FILE
        if path.exists():
            raise ValueError(
                f"{workdir} holds measurements alone; what was trained is in "
                f"{ledger.read_json(path).get('sweep')}"
            )
