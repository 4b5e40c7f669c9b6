"""Plots show what the table holds, say what they leave out, and are the same byte for byte."""

import math
import re

import matplotlib
import numpy as np
import pytest
from matplotlib import container
from PIL import Image

from synjax.reporting import plots, table


def _row(lambda_d=10.0, lambda_p=0.0, level=1, **changes):
    mse = 0.1 / lambda_d * (1 + lambda_p / 10) / level
    row = {
        "run": "sweep",
        "trial": f"d{lambda_d:g}_p{lambda_p:g}",
        "stage": "perception",
        "encoder_id": f"e{lambda_d:g}",
        "config_hash": "c0ffee",
        "lambda_d": lambda_d,
        "lambda_p": lambda_p,
        "level": level,
        "perception": "sliced_wasserstein",
        "distortion": "mse",
        "members": 4,
        "seed": 0,
        "dataset": "photos",
        "n": 6,
        "status": "ok",
        "rate_noisy": 0.1,
        "rate_estimated": 0.1,
        "rate_exact": 0.01 * lambda_d * level,
        "header_bits": 80.0,
        "bpp_exact": 0.03 * lambda_d * level,
        "mse": mse,
        "psnr": -10 * math.log10(mse),
        "jpeg_psnr": 20.0 + lambda_d / 10 + level,
    }
    for name in ("energy", "sliced"):
        row |= {name: mse / (1 + lambda_p), f"{name}_floor": 1e-5, f"{name}_se": 1e-6}
    return row | changes


def _rows(**changes):
    return [
        _row(d, p, level, **changes) for d in (10.0, 40.0) for p in (0.0, 4.0) for level in (1, 2)
    ]


def _vector_rows():
    gone = dict.fromkeys(["bpp_exact", "psnr", "jpeg_psnr"])
    known = {"mse_se": 1e-4}
    return [row | gone | known | {"rate_bound": 0.9 * row["rate_exact"]} for row in _rows()]


def _failed(row):
    kept = {key: value for key, value in row.items() if key in _IDENTITY}
    return kept | {"status": "diverged", "reason": "loss is nan at step 120"}


_IDENTITY = list(_row())[: list(_row()).index("status")]
_DRAW = [plots.rate_distortion, plots.distortion_perception]


@pytest.fixture
def figures(monkeypatch):
    """Figures as they are handed to be written."""
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, stem: drawn.append(figure))
    return drawn


def _points(axes):
    """Every drawn marker of the rows, as (x, y, half an error bar or None)."""
    points = []
    for bars in axes.containers:
        assert isinstance(bars, container.ErrorbarContainer)
        x, y = bars.lines[0].get_data()
        errors = [None] * len(x)
        if bars.has_yerr:
            errors = [np.ptp(s[:, 1]) / 2 for s in bars.lines[2][0].get_segments()]
        points += zip(x, y, errors, strict=True)
    return points


def _labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("draw", _DRAW)
def test_a_plot_is_written_as_png_and_svg(tmp_path, draw):
    paths = draw(table.frame(_rows()), tmp_path / "new")
    assert [path.name for path in paths] == [f"{draw.__name__}.png", f"{draw.__name__}.svg"]
    assert Image.open(paths[0]).width >= 600
    assert paths[1].read_text().rstrip().endswith("</svg>")
    assert sorted(path.parent.name for path in paths) == ["new", "new"]
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize("draw", _DRAW)
def test_the_same_rows_give_the_same_bytes_whatever_the_users_settings(tmp_path, draw):
    first = draw(table.frame(_rows()), tmp_path / "a")
    mine = {"lines.linewidth": 9, "font.size": 20, "svg.fonttype": "none", "figure.dpi": 30}
    with matplotlib.rc_context(mine):
        before = dict(matplotlib.rcParams)
        second = draw(table.frame(_rows()[::-1]), tmp_path / "b")
        assert dict(matplotlib.rcParams) == before
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert "date" not in first[1].read_text().lower()
    assert not re.search(rb"tEXtSoftware|tIME", first[0].read_bytes())


def test_rate_distortion_draws_every_row_of_images_at_its_rate_and_psnr(figures):
    frame = table.frame(_rows())
    plots.rate_distortion(frame, "unused")
    (axes,) = figures[0].axes
    drawn = sorted((x, y) for x, y, _ in _points(axes))
    np.testing.assert_array_equal(
        drawn, sorted(zip(frame["bpp_exact"], frame["psnr"], strict=True))
    )
    assert "bits per pixel" in axes.get_xlabel() and "dB" in axes.get_ylabel()
    assert _labels(figures[0]) == [
        r"$\lambda_p$ = 0",
        r"$\lambda_p$ = 4",
        "level 1",
        "level 2",
        "JPEG at equal bytes",
    ]


def test_rate_distortion_joins_each_lambda_p_and_level_along_lambda_d(figures):
    plots.rate_distortion(table.frame(_rows()), "unused")
    curves = [line for line in figures[0].axes[0].lines if line.get_linestyle() == "-"]
    assert len(curves) == 4
    rates = sorted(tuple(np.round(curve.get_xdata(), 9)) for curve in curves)
    assert rates == [(0.3, 1.2), (0.3, 1.2), (0.6, 2.4), (0.6, 2.4)]
    assert len({tuple(curve.get_color()) for curve in curves}) == 2


def test_the_jpeg_reference_holds_one_value_for_each_rate(figures):
    plots.rate_distortion(table.frame(_rows()), "unused")
    (jpeg,) = [line for line in figures[0].axes[0].lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(jpeg.get_xdata(), [0.3, 0.6, 1.2, 2.4])
    np.testing.assert_allclose(jpeg.get_ydata(), [22, 23, 25, 26])


def test_without_jpeg_there_is_no_reference(figures):
    plots.rate_distortion(table.frame(_rows(jpeg_psnr=None)), "unused")
    assert not any("JPEG" in label for label in _labels(figures[0]))


def test_vectors_show_squared_error_and_the_bound(figures):
    frame = table.frame(_vector_rows())
    plots.rate_distortion(frame, "unused")
    (axes,) = figures[0].axes
    expected = sorted(zip(frame["rate_exact"], frame["mse"], frame["mse_se"], strict=True))
    np.testing.assert_allclose(sorted(_points(axes)), expected, rtol=1e-6)
    assert "bits per element" in axes.get_xlabel() and "R(D, P)" in _labels(figures[0])
    bounds = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(bounds) == 2  # one for each lambda_p
    for bound, (_, rows) in zip(bounds, frame.groupby("lambda_p"), strict=True):
        points = sorted(zip(rows["rate_bound"], rows["mse"], strict=True))
        np.testing.assert_allclose(bound.get_xydata(), points)


def test_every_divergence_has_a_panel_with_its_floor_and_error_bars(figures):
    frame = table.frame(_rows())
    plots.distortion_perception(frame, "unused")
    panels = figures[0].axes
    assert [axes.get_ylabel() for axes in panels] == ["energy", "sliced"]
    for axes, name in zip(panels, ["energy", "sliced"], strict=True):
        expected = sorted(zip(frame["mse"], frame[name], frame[f"{name}_se"], strict=True))
        np.testing.assert_allclose(sorted(_points(axes)), expected, rtol=1e-6)
        (floor,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        np.testing.assert_allclose(floor.get_ydata(), 1e-5)
    labels = [r"$\lambda_d$ = 10", r"$\lambda_d$ = 40", "level 1", "level 2", "floor"]
    assert _labels(figures[0]) == labels


def test_seeds_are_points_and_the_line_joins_their_means(figures):
    rows = [_row(d, seed=s, psnr=20.0 + s) for d in (10.0, 40.0) for s in (0, 1)]
    plots.rate_distortion(table.frame(rows), "unused")
    axes = figures[0].axes[0]
    assert len(_points(axes)) == 4
    (curve,) = [line for line in axes.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(curve.get_ydata(), [20.5, 20.5])


def test_curves_do_not_mix_settings_that_differ(figures):
    rows = [_row(d, realism=r, dataset=s) for d in (10.0, 40.0) for r in (0.5, 1.0) for s in "ab"]
    plots.rate_distortion(table.frame(rows), "unused")
    labels = _labels(figures[0])
    wanted = {f"dataset {s}\nrealism {r}" for s in "ab" for r in ("0.5", "1")}
    assert wanted <= set(labels) and len(labels) == len(set(labels))
    assert all(len(bars.lines[0].get_xdata()) == 2 for bars in figures[0].axes[0].containers)


@pytest.mark.parametrize("draw", _DRAW)
def test_failed_rows_are_counted_not_hidden(figures, draw):
    rows = _rows()
    measured = rows[1] | {"status": "diverged", "reason": "after its last evaluation"}
    draw(table.frame([_failed(rows[0]), measured, *rows[2:]]), "unused")
    for axes in figures[0].axes:
        assert len(_points(axes)) == len(rows) - 2
        assert axes.get_title(loc="left").startswith(f"2 of {len(rows)} rows")


@pytest.mark.parametrize("draw", _DRAW)
@pytest.mark.filterwarnings("error")
def test_one_row_and_no_usable_row_still_make_a_plot(tmp_path, draw):
    failed = table.frame([_failed(row) for row in _rows()], divergences=["energy"])
    for frame in (table.frame([_row()]), failed):
        assert all(path.stat().st_size > 1000 for path in draw(frame, tmp_path))


def test_negative_divergences_are_drawn(figures):
    rows = _rows()
    rows[0]["energy"] = -1e-6  # an unbiased estimate may be
    plots.distortion_perception(table.frame(rows), "unused")
    assert figures[0].axes[0].get_yscale() == "linear"
    assert min(y for _, y, _ in _points(figures[0].axes[0])) == -1e-6


def test_a_table_without_divergences_has_no_divergence_plot(tmp_path):
    row = {key: value for key, value in _row().items() if not key.startswith(("energy", "sliced"))}
    with pytest.raises(ValueError, match="at least one divergence"):
        plots.distortion_perception(table.frame([row]), tmp_path)
