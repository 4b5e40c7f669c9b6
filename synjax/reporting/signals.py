"""What the rows of a table are means of, as CSV: a line for every test picture or sound."""

import pandas as pd

from synjax.reporting import table

FILE = "signals.csv"


def write(singles, directory):
    """Writes what one trial measured of each signal; nothing where there is none.

    Args:
      singles: list of dicts, the columns that name the point and "signal" first.
      directory: of the trial.
    """
    if singles:
        content = pd.DataFrame(singles).to_csv(index=False, lineterminator="\n")
        table.replace_file(directory / FILE, content.encode())


def merge(directories, workdir):
    """Joins the files of trials to one.

    Args:
      directories: of trials; those without a file are passed over.
      workdir: where to.

    Returns:
      [its path], or nothing where no trial has any.
    """
    found = [pd.read_csv(path) for d in directories if (path := d / FILE).exists()]
    if not found:
        return []
    content = pd.concat(found, ignore_index=True).to_csv(index=False, lineterminator="\n")
    return [table.replace_file(workdir / FILE, content.encode())]
