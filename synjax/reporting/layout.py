"""How a results table is laid out for readers: which columns, which digits, Markdown and LaTeX."""

import dataclasses
import re

import numpy as np

MISSING = "–"

# Name -> (heading, unit, format). Three significant digits where the magnitude is not known.
_NUMBERS = {
    "lambda_d": ("λ_d", "", "g"),
    "lambda_p": ("λ_p", "", "g"),
    "level": ("level", "", "d"),
    "rate_exact": ("rate", "bits/dim", ".4f"),
    "bpp_exact": ("rate", "bpp", ".3f"),
    "psnr": ("PSNR", "dB", ".2f"),
    "kbps_exact": ("rate", "kbit/s", ".2f"),
    "snr": ("SNR", "dB", ".2f"),
    "lsd": ("LSD", "dB", ".2f"),
    "jpeg_psnr": ("JPEG", "dB", ".2f"),
    "ms_ssim": ("MS-SSIM", "", ".4f"),
    "lpips": ("LPIPS", "", ".4f"),
    "mse": ("MSE", "", "#.3g"),
    "mse_of_mean": ("MSE of mean", "", "#.3g"),
    "diversity/mse": ("diversity / MSE", "", ".2f"),
    "rate_bound": ("R(D, P)", "bits/dim", ".4f"),
}
_MEANINGS = {"diversity/mse": "diversity over mse: 1 for private sampling at zero divergence"}

# Columns of `external` that tables have by other names.
_OUTSIDE = {"bpp": "bpp_exact", "kbps": "kbps_exact", "bits_per_dim": "rate_exact"}

# Shown as a column where it tells rows apart, in the caption where it is the same everywhere.
_SETTINGS = ["run", "stage", "dataset", "n", "perception", "distortion", "realism", "members"]
_SETTINGS += ["seed", "bound_name"]

_AXES = ["lambda_d", "lambda_p", "level"]

_LATEX_SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"}
_LATEX_SPECIAL |= {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    MISSING: "--",
}
_LATEX_HEADING = {"λ_d": r"$\lambda_d$", "λ_p": r"$\lambda_p$", "R(D, P)": "$R(D, P)$"}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column as text: a heading of one or more lines, and a cell for each row."""

    name: str
    heading: str
    cells: tuple[str, ...]
    justify: str = "right"

    def width(self):
        """Characters of its widest line."""
        return max(len(line) for line in (*self.heading.split("\n"), *self.cells))


def readable(table, divergences):
    """The columns of the Markdown and LaTeX tables; empty ones are left out."""
    columns = [_number(table, name) for name in _AXES] + _telling_settings(table)
    for name in ["rate_exact", "bpp_exact", "kbps_exact", "rate_bound"]:
        columns.append(_number(table, name))
    for name in ["psnr", "jpeg_psnr", "ms_ssim", "lpips", "snr", "lsd"]:
        columns.append(_number(table, name))
    columns += [_number(table, name) for name in ["mse", "mse_of_mean", "diversity/mse"]]
    for name in divergences:
        columns.append(_divergence(table, name, name))
        columns.append(_divergence(table, f"{name}_floor", f"{name}\n(floor)"))
    failures = [
        status if status == "ok" else f"{status}: {reason}"
        for status, reason in zip(table["status"], table["reason"], strict=True)
    ]
    columns.append(Column("status", "status", tuple(failures), "left"))
    return [column for column in columns if not _empty(column)]


def compact(table, divergences):
    """The few columns of a terminal: one rate, one quality, every divergence without its floor."""
    columns = [_number(table, name) for name in _AXES] + _telling_settings(table)
    columns += [_number(table, name) for name in rate_and_quality(table)]
    columns += [_number(table, name) for name in ["jpeg_psnr", "diversity/mse"]]
    columns = [dataclasses.replace(c, heading=c.heading.replace(" / ", "\n/ ")) for c in columns]
    columns += [_divergence(table, name, name.replace("_", "\n")) for name in divergences]
    columns.append(Column("status", "status", tuple(table["status"]), "left"))
    return [column for column in columns if not _empty(column)]


def rate_and_quality(table):
    """The columns that a field reads first: of pictures, of sounds, or of any other signal."""
    for pair in (("bpp_exact", "psnr"), ("kbps_exact", "snr")):
        if all(table[name].notna().any() for name in pair):
            return pair
    return "rate_exact", "mse"


def fit(columns, width):
    """Splits columns into those that fit `width` characters, two apart, and those left out.

    What tells rows apart, the rate and the status stay whatever the width.
    """
    kept = list(columns)
    measured = [c for c in columns if c.name not in {*_AXES, *_SETTINGS, "status"}]
    left_out = []
    while total_width(kept) > width and len(measured) > 1:
        left_out.insert(0, measured.pop())
        kept.remove(left_out[0])
    return kept, left_out


def total_width(columns):
    """Characters of a line with these columns, two apart."""
    return sum(column.width() for column in columns) + 2 * (len(columns) - 1)


def to_ascii(column):
    """The column without the signs of this module that an ASCII terminal cannot show."""
    cells = tuple("-" if cell == MISSING else cell for cell in column.cells)
    return dataclasses.replace(column, heading=column.heading.replace("λ", "lambda"), cells=cells)


def lines(columns):
    """Plain text, columns two apart: the lines of the heading, and a line for each row."""
    heights = [column.heading.count("\n") + 1 for column in columns]
    padded = []
    for column, height in zip(columns, heights, strict=True):
        # Headings stand on the first row, not under the ceiling.
        texts = [""] * (max(heights) - height) + column.heading.split("\n") + list(column.cells)
        align = str.rjust if column.justify == "right" else str.ljust
        padded.append([align(text, column.width()) for text in texts])
    text = ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]
    return text[: max(heights)], text[max(heights) :]


def markdown(table, divergences, meanings):
    """A Markdown table, its caption, and the meaning (name -> text) of each measured column."""
    columns = readable(table, divergences)
    lines = _markdown_rows(columns)
    meanings = meanings | _MEANINGS
    lines += ["", escape_markdown(_caption(table)), ""]
    lines += [
        f"- {_markdown_heading(column)}: {escape_markdown(meanings[column.name])}"
        for column in columns
    ]
    return "\n".join(lines) + "\n"


def markdown_outside(outside):
    """A Markdown table of codecs from elsewhere, as `external.read` returns them."""
    columns = [Column("name", "codec", tuple(outside["name"]), "left")]
    for name in outside.columns.drop("name"):
        heading, unit, form = _NUMBERS.get(_OUTSIDE.get(name, name), (name, "", "#.3g"))
        heading += f"\n({unit})" if unit else ""
        columns.append(Column(name, heading, _format(outside[name], form)))
    kept = [column for column in columns if not _empty(column)]
    return "\n".join(["Other codecs on the same signals:", "", *_markdown_rows(kept)]) + "\n"


def _markdown_heading(column):
    return escape_markdown(column.heading.replace("\n", " "))


def _markdown_rows(columns):
    headings = [_markdown_heading(column) for column in columns]
    rows = [[escape_markdown(cell) for cell in row] for row in _rows(columns)]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    rules = [
        "-" * (width - 1) + ":" if c.justify == "right" else "-" * width
        for c, width in zip(columns, widths, strict=True)
    ]
    lines = []
    for row in [headings, rules, *rows]:
        padded = [
            cell.rjust(width) if c.justify == "right" else cell.ljust(width)
            for c, cell, width in zip(columns, row, widths, strict=True)
        ]
        lines.append(f"| {' | '.join(padded)} |")
    return lines


def latex(table, divergences):
    """A LaTeX tabular with the rules of booktabs; a thin space parts the values of lambda_d."""
    columns = readable(table, divergences)
    headings = [_latex_heading(column.heading) for column in columns]
    lines = [f"% {_caption(table)}", r"% Needs \usepackage{booktabs}."]
    lines.append(f"\\begin{{tabular}}{{{''.join(column.justify[0] for column in columns)}}}")
    lines += [r"\toprule", " & ".join(headings) + r" \\", r"\midrule"]
    previous = table["lambda_d"].iloc[0]
    for row, lambda_d in zip(_rows(columns), table["lambda_d"], strict=True):
        if lambda_d != previous:
            lines.append(r"\addlinespace")
        previous = lambda_d
        lines.append(" & ".join(_latex_cell(cell) for cell in row) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _rows(columns):
    return zip(*(column.cells for column in columns), strict=True)


def _number(table, name):
    heading, unit, form = _NUMBERS[name]
    values = table["diversity"] / table["mse"] if name == "diversity/mse" else table[name]
    return Column(name, heading + (f"\n({unit})" if unit else ""), _format(values, form))


def _divergence(table, name, heading):
    return Column(name, heading, _format(table[name], "#.3g"))


def _format(values, form):
    # The alternate form keeps trailing zeros, and also a point after a whole number.
    return tuple(
        MISSING if np.isnan(value) else format(value, form).rstrip(".") for value in values
    )


def _telling_settings(table):
    """The settings that differ between rows."""
    columns = []
    for name in _SETTINGS:
        if len(_distinct(table, name)) > 1:
            text = table[name].dtype.kind not in "if"
            values = ["" if value != value else str(value) for value in table[name]]
            cells = tuple(value or MISSING for value in values)
            columns.append(Column(name, name, cells, "left" if text else "right"))
    return columns


def _distinct(table, name):
    return [value for value in table[name].dropna().unique() if value != ""]


def _caption(table):
    """The settings that all rows share."""
    shared = {name: _distinct(table, name) for name in _SETTINGS}
    return ", ".join(f"{name} {values[0]}" for name, values in shared.items() if len(values) == 1)


def _empty(column):
    return all(cell == MISSING for cell in column.cells)


def escape_markdown(text):
    """Text that stands for itself in a cell of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _escape_latex(text):
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def _latex_heading(heading):
    name, _, unit = heading.partition("\n")
    escaped = _LATEX_HEADING.get(name, _escape_latex(name))
    return f"{escaped} {_escape_latex(unit)}".strip()


def _latex_cell(cell):
    """Escapes a cell; a number in exponent notation becomes a product."""
    product = re.fullmatch(r"(-?\d(?:\.\d*)?)e([+-]\d+)", cell)
    if product:
        return f"${product[1]}\\times10^{{{int(product[2])}}}$"
    # A hyphen before digits is a minus sign.
    return f"${cell}$" if re.fullmatch(r"-\d+(\.\d*)?", cell) else _escape_latex(cell)
