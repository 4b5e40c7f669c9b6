"""Readers see the columns they need, with sensible digits, in Markdown, LaTeX and a terminal."""

import io

import pytest
import rich.console

from synjax.reporting import table


def _row(**changes):
    """A whole row of a vector source."""
    row = {
        "run": "sweep",
        "trial": "d10_p0",
        "stage": "perception",
        "encoder_id": "e0",
        "config_hash": "c0ffee",
        "lambda_d": 10.0,
        "lambda_p": 0.0,
        "level": 1,
        "perception": "sliced_wasserstein",
        "distortion": "mse",
        "members": 4,
        "seed": 0,
        "dataset": "gaussian",
        "n": 64,
        "status": "ok",
        "rate_noisy": 1 / 3,
        "rate_estimated": 2 / 3,
        "rate_exact": 0.3,
        "header_bits": 48.0,
        "mse": 0.04,
        "mse_se": 0.001,
        "diversity": 0.01,
        "mse_of_mean": 0.035,
        "energy": 0.0314159,
        "energy_floor": 0.0012,
        "energy_se": 0.0003,
    }
    return row | changes


def _image_row(**changes):
    return (
        _row(dataset="photos", bpp_exact=0.5, psnr=28.126, ms_ssim=0.91, jpeg_psnr=27.5) | changes
    )


def _failed_row(**changes):
    measured = ("rate_", "mse", "energy", "div", "header")
    row = {key: value for key, value in _row().items() if not key.startswith(measured)}
    return row | {"status": "diverged", "reason": "loss is nan at step 120"} | changes


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def test_markdown_shows_the_readable_columns_and_drops_the_empty_ones(tmp_path):
    text = table.write(table.frame([_row(), _failed_row(level=2)]), tmp_path)[2].read_text()
    lines = text.splitlines()
    headings = _cells(lines[0])
    assert headings == [
        "λ_d",
        "λ_p",
        "level",
        "rate (bits/dim)",
        "MSE",
        "MSE of mean",
        "diversity / MSE",
        "energy",
        "energy (floor)",
        "status",
    ]
    first = dict(zip(headings, _cells(lines[2]), strict=True))
    assert first["rate (bits/dim)"] == "0.3000" and first["diversity / MSE"] == "0.25"
    assert first["MSE"] == "0.0400" and first["energy"] == "0.0314" and first["status"] == "ok"
    assert _cells(lines[3])[-1] == "diverged: loss is nan at step 120"
    assert set(_cells(lines[3])[3:-1]) == {"–"}
    assert "dataset gaussian" in text and "members 4" in text


def test_settings_that_differ_between_rows_become_columns(tmp_path):
    rows = [_row(seed=0, dataset="a"), _row(seed=1, dataset="b")]
    lines = table.write(table.frame(rows), tmp_path)[2].read_text().splitlines()
    headings = _cells(lines[0])
    shown = [
        [_cells(line)[headings.index(name)] for line in lines[2:4]] for name in ("seed", "dataset")
    ]
    assert shown == [["0", "1"], ["a", "b"]]


def test_images_show_bits_per_pixel_and_jpeg(tmp_path):
    lines = table.write(table.frame([_image_row()]), tmp_path)[2].read_text().splitlines()
    shown = dict(zip(_cells(lines[0]), _cells(lines[2]), strict=True))
    assert shown["rate (bpp)"] == "0.500" and shown["PSNR (dB)"] == "28.13"
    assert shown["JPEG (dB)"] == "27.50" and shown["MS-SSIM"] == "0.9100"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.00"), (123.0, "123"), (0.00123, "0.00123"), (-0.0314, "-0.0314"), (12.0, "12.0")],
)
def test_three_significant_digits_are_shown(tmp_path, value, shown):
    lines = table.write(table.frame([_row(energy=value)]), tmp_path)[2].read_text().splitlines()
    assert dict(zip(_cells(lines[0]), _cells(lines[2]), strict=True))["energy"] == shown


def test_latex_is_a_booktabs_table_with_equally_many_cells_in_every_row(tmp_path):
    rows = [_row(lambda_d=d, lambda_p=p) for d in (1.0, 2.0) for p in (0.0, 1.0)]
    lines = table.write(table.frame(rows), tmp_path)[3].read_text().splitlines()
    rules = [line for line in lines if line.endswith("rule")]
    assert rules == ["\\toprule", "\\midrule", "\\bottomrule"]
    body = [line for line in lines if line.endswith(r"\\")]
    (begin,) = [line for line in lines if line.startswith(r"\begin")]
    specification = begin.removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert len(body) == 1 + len(rows)
    assert {line.count("&") + 1 for line in body} == {len(specification)}
    assert lines.count(r"\addlinespace") == 1
    assert r"$\lambda_d$" in body[0]


def test_latex_escapes_what_would_not_compile(tmp_path):
    reason = r"50% of $x_1 & {y}# ~ ^ \ < > |"
    row = _failed_row(reason=reason)
    text = table.write(table.frame([row, _row(level=2)]), tmp_path)[3].read_text()
    escaped = (
        r"50\% of \$x\_1 \& \{y\}\# \textasciitilde{} \textasciicircum{} "
        r"\textbackslash{} \textless{} \textgreater{} \textbar{}"
    )
    assert f"diverged: {escaped} " in text


def test_latex_writes_exponents_as_products(tmp_path):
    text = table.write(table.frame([_row(energy=-2.5e-7)]), tmp_path)[3].read_text()
    assert r"$-2.50\times10^{-7}$" in text


def test_markdown_escapes_bars_and_tags(tmp_path):
    rows = [_failed_row(reason="a|b <i>"), _row(level=2)]
    lines = table.write(table.frame(rows), tmp_path)[2].read_text().splitlines()
    assert r"a\|b &lt;i>" in lines[2]
    assert len(_cells(lines[2])) == len(_cells(lines[0]))


def _printed(rows, width, encoding="utf-8"):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    table.print_table(table.frame(rows), rich.console.Console(file=file, width=width))
    file.flush()
    return raw.getvalue().decode(encoding)


def _many_divergences():
    names = [f"{kind}_of_features" for kind in ("energy", "frechet", "kernel", "sliced", "total")]
    keys = [name + end for name in names for end in ("", "_floor", "_se")]
    return names, dict.fromkeys(keys, 0.000123)


@pytest.mark.parametrize("width", [20, 60, 100])
def test_numbers_are_never_cut_on_a_terminal(width):
    names, values = _many_divergences()
    rows = [_image_row(lambda_d=12345.0, trial="[red]x", **values), _failed_row(level=2)]
    text = _printed(rows, width)
    assert "…" not in text and "\x1b" not in text
    line = next(line for line in text.splitlines() if "12345" in line).split()
    expected = ["12345", "0", "1", "photos", "0.500", "28.13", "27.50", "0.25"]
    assert line[0] == "12345" and line[-1] == "ok" and "0.500" in line
    if width == 100:
        assert line[:8] == expected and line.count("0.000123") >= 2
        assert all(len(printed.rstrip()) <= 100 for printed in text.splitlines())


def test_columns_that_do_not_fit_are_named():
    names, values = _many_divergences()
    text = " ".join(_printed([_image_row(**values)], 60).split())
    assert "At this width without: " in text and names[-1] in text
    assert "At this width" not in _printed([_image_row(**values)], 300)


def test_the_printed_table_ends_with_the_reasons_of_failures():
    text = _printed([_row(), _failed_row(level=2, trial="[bold]d10")], 100)
    assert text.splitlines()[-1] == "[bold]d10, level 2: diverged: loss is nan at step 120"


def test_the_printed_table_degrades_to_ascii():
    text = _printed([_row(), _failed_row(level=2, reason="λ")], 100, encoding="ascii")
    assert text.splitlines()[1].split()[0] == "lambda_d"
    assert text.splitlines()[3].split()[3:] == ["-"] * 4 + ["diverged"]
