"""The results table: one row per trial, level and data set, with fixed columns.

`frame` checks rows and puts them in order, `write` and `read` move them to and from disk without
loss, `print_table` shows the few columns that fit a terminal.
"""

import csv
import io
import math
import os
import pathlib

import pandas as pd
import rich.text

from synjax.reporting import layout

# Column -> meaning (unit). The divergences of a table stand between DIVERGENCES_AFTER and the rest.
COLUMNS = {
    "run": "name of the sweep",
    "trial": "name of the trial within its run",
    "stage": "training stage the checkpoint comes from",
    "encoder_id": "identifies encoder and prior: equal ids send equal bytes",
    "config_hash": "hash of the trial's whole configuration",
    "lambda_d": "weight of distortion in Eq. 62; names the encoder (bits per unit of distortion)",
    "lambda_p": "weight of perception in Eq. 62 (bits per unit of the trained divergence)",
    "level": "synonymous level: how many groups of the latent are sent",
    "realism": "asked of the decoder: 0 least distortion, 1 the realism of its lambda_p",
    "targets": "what training held distortion, perception or rate to (Eq. 61)",
    "lambda_d_reached": "lambda_d that a target led to, where there is one",
    "lambda_p_reached": "lambda_p that a target led to, where there is one",
    "perception": "divergence optimised in training",
    "distortion": "distortion optimised in training",
    "members": "members drawn from each synset, M",
    "seed": "seed of the trial",
    "dataset": "data set of the evaluation",
    "n": "examples evaluated",
    "status": "ok; diverged; or below_bound, a rate that theory says is impossible",
    "reason": "why it is not ok, and at which step",
    "rate_noisy": "-log2 of the density of noisy latents, as in training (bits/dim)",
    "rate_estimated": "-log2 of the probability of rounded symbols (bits/dim)",
    "rate_exact": "encoded bytes x 8, header included (bits/dim)",
    "rate_header": "header and coder flush, a part of rate_exact (bits/dim)",
    "header_bits": "header and coder flush, mean per example (bits)",
    "bpp_noisy": "-log2 of the density of noisy latents (bits per pixel; images only)",
    "bpp_estimated": "-log2 of the probability of rounded symbols (bits per pixel; images only)",
    "bpp_exact": "encoded bytes x 8, header included (bits per pixel; images only)",
    "kbps_noisy": "-log2 of the density of noisy latents (kbit/s; sounds only)",
    "kbps_estimated": "-log2 of the probability of rounded symbols (kbit/s; sounds only)",
    "kbps_exact": "encoded bytes x 8, header included (kbit/s; sounds only)",
    "mse": "squared error, mean over members (per element)",
    "mse_se": "standard error of mse over examples",
    "mse_best": "squared error of each example's best member (per element)",
    "mse_worst": "squared error of each example's worst member (per element)",
    "psnr": "peak signal-to-noise ratio, mean over examples and members (dB)",
    "ms_ssim": "multi-scale structural similarity, mean over examples and members",
    "snr": "signal-to-noise ratio, mean over examples and members (dB; sounds only)",
    "lsd": "log-spectral distance, mean over examples and members (dB; sounds only)",
    "lpips": "LPIPS, a distortion of learned weights (squeeze), mean over examples and members",
    "mse_of_mean": "mse - diversity / 2: error of the mean of all possible members (per element)",
    "diversity": "squared distance between two members, mean over pairs (per element)",
    "consistency": "share of sent symbols that analysing a member gives back (Eq. 15, 31)",
    "rate_bound": "information rate R(D, P) at the measured distortion and divergence (bits/dim)",
    "gap_to_bound": "rate_exact - rate_bound (bits/dim)",
    "bound_name": "which bound rate_bound is",
    "rate_bound_private": "bound without common randomness, at zero divergence only (bits/dim)",
    "seconds_encode": "time to encode an example (s)",
    "seconds_decode": "time to decode one member (s)",
    "jpeg_psnr": "PSNR of JPEG at equal bytes, mean over examples (dB)",
}

# Columns of each reported divergence NAME, which stand together.
DIVERGENCE_COLUMNS = {
    "{}": "divergence of the members from the source, estimated from finite samples",
    "{}_floor": "what the estimate gives for two samples of the source itself",
    "{}_se": "standard error of the estimate",
}
DIVERGENCES_AFTER = "consistency"

_TEXT = {"run", "trial", "stage", "encoder_id", "config_hash", "perception", "distortion"}
_TEXT |= {"dataset", "status", "reason", "bound_name", "targets"}
_ADDED = {"lpips", "targets", "lambda_d_reached", "lambda_p_reached", "snr", "lsd"}
_ADDED |= {"kbps_noisy", "kbps_estimated", "kbps_exact"}
_INTEGER = {"level", "members", "seed", "n"}
_REQUIRED = ["run", "trial", "stage", "encoder_id", "config_hash", "lambda_d", "lambda_p", "level"]
_REQUIRED += ["perception", "distortion", "members", "seed", "dataset", "n", "status"]
_REQUIRED_IF_OK = ["rate_noisy", "rate_estimated", "rate_exact", "header_bits", "mse"]
_ORDER = ["run", "lambda_d", "lambda_p", "realism", "level", "seed"]


def frame(rows, divergences=None):
    """Checks rows and makes the table, sorted by run, lambda_d, lambda_p, level and seed.

    Args:
      rows: list of dicts with the keys of `COLUMNS` and of each divergence. What was not measured
        may be absent. A row whose status is not "ok" needs a reason instead of measurements.
      divergences: names of the reported divergences; None finds them in the rows.

    Returns:
      A DataFrame of text, int64 and float64 columns; what a row lacks is "" or NaN.

    Raises:
      ValueError: naming the row and the key that is unknown, missing or of the wrong type.
    """
    if not rows:
        raise ValueError("a table needs at least one row")
    names = _find_divergences(rows) if divergences is None else sorted(divergences)
    columns = _columns(names)
    checked = [_check(number, row, columns) for number, row in enumerate(rows, start=1)]
    table = pd.DataFrame(checked, columns=columns).astype(_dtypes(columns))
    return table.sort_values(_ORDER, kind="stable", ignore_index=True)


def divergences(table):
    """Names of the reported divergences of a table, sorted."""
    return sorted(name for name in table.columns if f"{name}_floor" in table.columns)


def merge(tables):
    """The rows of several tables as one table; a divergence that one does not report is NaN there.

    Raises:
      ValueError: if there is none.
    """
    if not tables:
        raise ValueError("a table needs at least one table to be merged from")
    columns = _columns(sorted({name for table in tables for name in divergences(table)}))
    joined = pd.concat([table.reindex(columns=columns) for table in tables], ignore_index=True)
    joined = joined.astype(_dtypes(columns))
    return joined.sort_values(_ORDER, kind="stable", ignore_index=True)


def write(table, directory, outside=None):
    """Writes table.csv, table.parquet, table.md and table.tex, each whole or not at all.

    CSV and Parquet hold every column at full precision, Markdown and LaTeX (booktabs) a readable
    choice.

    Args:
      table: from `frame`.
      directory: is made if it is not there.
      outside: codecs from elsewhere, as `external.read` returns them, that stand below the rows in
        Markdown; or None.

    Returns:
      The four paths, in that order.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    parquet = io.BytesIO()
    table.to_parquet(parquet, engine="pyarrow", index=False)
    readable = layout.markdown(table, divergences(table), meanings(table))
    if outside is not None:
        readable += "\n" + layout.markdown_outside(outside)
    contents = {
        "table.csv": table.to_csv(index=False, lineterminator="\n").encode(),
        "table.parquet": parquet.getvalue(),
        "table.md": readable.encode(),
        "table.tex": layout.latex(table, divergences(table)).encode(),
    }
    return [replace_file(directory / name, content) for name, content in contents.items()]


def read(path):
    """Reads table.csv or table.parquet back to the frame that was written, dtypes included.

    Columns that tables did not have from the start are NaN in an older one.

    Raises:
      ValueError: if the file is missing, damaged, or does not hold exactly a table's columns.
    """
    path = pathlib.Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path}: a table is read from .csv or .parquet, not {path.suffix!r}")
    if not path.is_file():
        raise ValueError(f"no table at {path}")
    try:
        table = _read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        expected = _columns(divergences(table))
        older = [name for name in expected if name not in _ADDED or name in table.columns]
        if list(table.columns) == older:
            new = {name: "" if name in _TEXT else math.nan for name in set(expected) - set(older)}
            table = table.assign(**new)[expected]
        if list(table.columns) != expected:
            raise ValueError("its columns are not those of a results table")
        typed = table.astype(_dtypes(expected))
        if path.suffix == ".parquet" and (table.dtypes != typed.dtypes).any():
            raise ValueError("its columns are not of a results table's types")
        return typed
    except (ValueError, TypeError, OSError, csv.Error) as error:  # or derived from these
        cause = " ".join(str(error).split())
        raise ValueError(f"{path} is not a results table: {cause}") from None


def print_table(table, console):
    """Prints the columns that fit the console's width, and the reasons of failed trials below.

    Numbers are never shortened: columns that do not fit are left out and named instead.
    """
    columns = layout.compact(table, divergences(table))
    if console.options.ascii_only:
        columns = [layout.to_ascii(column) for column in columns]
    kept, left_out = layout.fit(columns, console.width)
    headings, rows = layout.lines(kept)
    if console.is_terminal:
        headings.append("-" * layout.total_width(kept))
    for line in headings:
        print_line(console, line, "bold")
    for line, status in zip(rows, table["status"], strict=True):
        print_line(console, line, "" if status == "ok" else "red")
    if left_out:
        names = ", ".join(column.name for column in left_out)
        print_line(console, f"At this width without: {names}.")
    for row in table[table["status"] != "ok"].itertuples():
        print_line(console, f"{row.trial}, level {row.level}: {row.status}: {row.reason}", "red")


def print_line(console, line, style=""):
    """Prints text that is no markup; a line that is too long is left to the terminal to wrap."""
    if console.options.ascii_only:
        line = line.encode("ascii", "replace").decode()
    console.print(rich.text.Text(line, style), soft_wrap=True)


def replace_file(path, content):
    """Puts bytes in place of a file, at once: readers see the old or the new. Returns the path."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
    return path


def _read_csv(path):
    """The file as a frame of text. Not by pandas, which fills lines that were cut short."""
    content = path.read_bytes().decode()
    header, *lines = csv.reader(io.StringIO(content, newline=""), strict=True)
    if not content.endswith("\n") or any(len(line) != len(header) for line in lines):
        raise ValueError("its lines are not whole")
    table = pd.DataFrame(lines, columns=header, dtype="str")
    numbers = [name for name in header if name not in _TEXT]
    table[numbers] = table[numbers].replace("", "nan")
    return table


def _columns(names):
    """Every column of a table with these divergences, in order."""
    columns = []
    for column in COLUMNS:
        columns.append(column)
        if column == DIVERGENCES_AFTER:
            columns += [key.format(name) for name in names for key in DIVERGENCE_COLUMNS]
    return columns


def meanings(table):
    """Column -> one line on what it holds, divergences included."""
    return COLUMNS | {
        key.format(name): meaning
        for name in divergences(table)
        for key, meaning in DIVERGENCE_COLUMNS.items()
    }


def _dtypes(columns):
    kinds = {name: "float64" for name in columns}
    kinds |= dict.fromkeys(_TEXT, "str") | dict.fromkeys(_INTEGER, "int64")
    return kinds


def _find_divergences(rows):
    """Names with a value, a floor and a standard error; `_check` refuses what is left over."""
    keys = {key for row in rows for key in row} - set(COLUMNS)
    names = sorted(key.removesuffix("_floor") for key in keys if key.endswith("_floor"))
    for name in names:
        lacking = {key.format(name) for key in DIVERGENCE_COLUMNS} - keys
        if lacking:
            raise ValueError(f"divergence {name!r} lacks {', '.join(sorted(lacking))} in every row")
    return names


def _check(number, row, columns):
    """The row with every column, what it lacks as "" or NaN."""
    where = f"row {number} of the table"
    for key in row:
        if key not in columns:
            raise ValueError(
                f"{where}: unknown key {key!r}; see COLUMNS, or add its _floor and _se"
            )
    for key in _REQUIRED:
        if row.get(key) is None:
            raise ValueError(f"{where}: missing key {key!r}")
    checked = {key: _value(where, key, row.get(key)) for key in columns}
    if checked["status"] != "ok":
        if not checked["reason"]:
            raise ValueError(f"{where}: status {row['status']!r} needs a 'reason'")
        return checked
    for key in _REQUIRED_IF_OK:
        if row.get(key) is None:
            raise ValueError(f"{where}: missing key {key!r}, which status 'ok' needs")
        if not math.isfinite(checked[key]):
            raise ValueError(f"{where}: {key!r} is {checked[key]} though status is 'ok'")
    return checked


def _value(where, key, value):
    if key in _TEXT:
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{where}: {key!r} must be text, not {value!r}")
        # One line per row in every format: a multi-line reason (a traceback) is folded.
        return " ".join((value or "").split())
    if getattr(value, "shape", None) == ():  # NumPy and JAX scalars
        value = value.item()
    kinds = int if key in _INTEGER else int | float | None
    if not isinstance(value, kinds) or isinstance(value, bool):
        kind = "an integer" if key in _INTEGER else "a number"
        raise ValueError(f"{where}: {key!r} must be {kind}, not {value!r}")
    return math.nan if value is None else value
