"""Results from elsewhere as CSV: classical codecs, published numbers.

A line with the names of the columns, then a line for each point:

    name          of the codec; a curve is made of the points that share it
    bpp           rate in bits per pixel, or
    kbps          rate of a sound in kbit/s, or
    bits_per_dim  rate in bits per element; or several
    psnr, …       metrics, at least one: the keys of `METRICS`, or a divergence that one of the
                  tables beside it reports
    lambda_p      optional, a number: tells curves of one name apart
    level         optional, a whole number from 1: likewise

A metric or an optional column may be left empty in a line.
"""

import csv
import io
import math

import pandas as pd

# Metric -> (what an axis calls it, 1 where more is better and -1 where less is).
METRICS = {
    "psnr": ("PSNR (dB)", 1),
    "ms_ssim": ("MS-SSIM", 1),
    "mse": ("mean squared error (per element)", -1),
    "mse_of_mean": ("mean squared error of the mean (per element)", -1),
    "lpips": ("LPIPS", -1),
    "snr": ("SNR (dB)", 1),
    "lsd": ("log-spectral distance (dB)", -1),
    "dists": ("DISTS", -1),
    "fid": ("FID", -1),
    # Of photographs, as `evaluation.realism` has them.
    "sliced_wasserstein": ("sliced Wasserstein distance", -1),
    "energy_distance": ("energy distance", -1),
    "frechet_distance": ("Fréchet distance", -1),
    "mmd2": ("squared MMD", -1),
}
RATES = {"bpp": "bits per pixel", "kbps": "kbit/s", "bits_per_dim": "bits per element"}
SETTINGS = ("lambda_p", "level")
MAX_BYTES = 2**26  # of a file
MOST_LEVELS = 1000


def read(path, divergences=()):
    """The points of an external CSV.

    Args:
      path: pathlib.Path.
      divergences: names that are metrics too.

    Returns:
      A DataFrame with the file's columns, "name" as text and the others as float64; what a line
      leaves empty is NaN.

    Raises:
      ValueError: naming the file, the line and the column that cannot be used, and what can.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than the {MAX_BYTES} bytes that are read")
    try:
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not CSV in UTF-8: {error}") from None
    header = [name.strip() for name in lines[0]] if lines else []
    _check_header(path, header, list(dict.fromkeys([*METRICS, *divergences])))
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {number}: {len(cells)} cells, not {len(header)}")
        row = dict(zip(header, cells, strict=True))
        rows.append({key: _value(f"{path}, line {number}", key, row[key]) for key in header})
    if not rows:
        raise ValueError(f"{path} holds no points")
    return pd.DataFrame(rows, columns=header)


def _check_header(path, header, metrics):
    known = ["name", *RATES, *SETTINGS, *metrics]
    for name in header:
        if name not in known:
            raise ValueError(f"{path}: unknown column {name!r}; allowed: {', '.join(known)}")
        if header.count(name) > 1:
            raise ValueError(f"{path}: there is more than one column {name!r}")
    if "name" not in header:
        raise ValueError(f"{path} needs a column 'name'")
    for what, names in (("rate", list(RATES)), ("metric", metrics)):
        if not set(names) & set(header):
            raise ValueError(f"{path} needs a column with a {what}: {', '.join(names)}")


def _value(where, key, cell):
    cell = " ".join(cell.split())
    if key == "name":
        if not cell:
            raise ValueError(f"{where}: 'name' is empty")
        return cell
    if not cell and key not in RATES:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {key!r} must be a finite number, got {cell!r}")
    if key in RATES and value <= 0:
        raise ValueError(f"{where}: {key!r} must be positive, got {cell!r}")
    if key == "level" and value not in range(1, MOST_LEVELS + 1):
        raise ValueError(f"{where}: 'level' must be one of 1..{MOST_LEVELS}, got {cell!r}")
    return value
