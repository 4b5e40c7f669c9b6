"""Charts of a report: the table's own numbers, in every form that they are drawn in."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from report_rows import frame

from synjax.report import chart, slices, surface, svg
from synjax.reporting import table as table_module

SVG = "{http://www.w3.org/2000/svg}"


def _parsed(text):
    return ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))


def _line(x, y, **more):
    one = chart.Series("a <b> & c", tuple(x), tuple(y), **{"marker": "circle", **more})
    return chart.Chart("name", "A <title>", "x", "y", (one,), **{})


def test_slices_hold_every_row_that_is_ok_once_and_no_other():
    table = frame(failed=True)
    ok = set(table.index[table.status == "ok"])
    for name, one in slices.charts(table).items():
        rows = [row for series in one.series for row in series.rows]
        assert sorted(rows) == sorted(ok), name
        for series in one.series:
            for x, y, row in zip(series.x, series.y, series.rows, strict=False):
                assert {x, y} <= {float(v) for v in table.loc[row] if isinstance(v, float)}
        assert "2 of 14 rows" in one.note


def test_rate_distortion_is_a_curve_for_each_lambda_p_and_level_along_lambda_d():
    curves = [one for one in slices.charts(frame())["rate_psnr"].series if one.rows]
    assert len(curves) == 2 * 2
    for one in curves:
        assert list(one.x) == sorted(one.x) and len(one.x) == 3
    assert len({one.colour for one in curves}) == 2 and len({one.marker for one in curves}) == 2


def test_distortion_perception_is_a_curve_for_each_lambda_d_along_lambda_p():
    curves = [
        one for one in slices.charts(frame())["distortion_energy_distance"].series if one.rows
    ]
    assert len(curves) == 3 * 2 and all(len(one.x) == 2 for one in curves)


def test_a_floor_that_is_not_positive_is_told_and_not_drawn_on_a_logarithmic_axis():
    for value in (1e-6, -1e-6):
        table = frame().assign(energy_distance_floor=value)
        one = slices.charts(table)["distortion_energy_distance"]
        drawn = any(series.label.startswith("floor") for series in one.series)
        assert one.y_log and drawn == (value > 0) and ("1e-06" in one.note) == (value < 0)


def test_each_data_set_has_its_own_floor():
    one, other = (frame().assign(dataset=name, run=name) for name in ("one", "other"))
    both = [t.assign(energy_distance_floor=v) for t, v in ((one, 1e-3), (other, 1e-2))]
    series = slices.charts(table_module.merge(both))["rate_energy_distance"].series
    floors = {s.label: s.y[0] for s in series if s.label.startswith("floor")}
    assert floors == {
        f"floor of the estimate ({n})": v for n, v in (("one", 1e-3), ("other", 1e-2))
    }


def test_decibels_are_never_on_a_logarithmic_axis():
    table = frame()
    table["psnr"] = np.linspace(1.0, 40.0, len(table))
    assert not slices.charts(table)["rate_psnr"].y_log


def test_seeds_are_points_of_their_own_and_the_line_joins_their_means():
    table = frame(seeds=(0, 1))
    series = slices.charts(table)["rate_psnr"].series
    lines = [one for one in series if one.dash and not one.rows and one.label.startswith("λ_p")]
    points = [one for one in series if one.rows]
    assert len(lines) == len(points) == 4
    for line, dots in zip(lines, points, strict=True):
        assert len(dots.x) == 2 * len(line.x) and not dots.dash
        np.testing.assert_allclose(np.mean(dots.y), np.mean(line.y))


def test_bounds_of_the_table_are_drawn_where_there_are_any():
    table = frame()
    table["bpp_exact"] = math.nan
    table["rate_bound"] = table["rate_exact"] / 2
    found = [one for one in slices.charts(table)["rate_mse"].series if "R(D, P)" in one.label]
    assert len(found) == 2
    measured = set(table["rate_bound"])
    assert all(set(one.x) <= measured and not one.rows for one in found)


def test_what_its_run_says_already_is_not_said_again():
    first = frame()
    second = first.assign(run="other", members=0)
    both = table_module.merge([first, second])
    assert slices.telling(both, slices.VARIANTS) == ["run"]
    assert slices.telling(first, slices.VARIANTS) == []
    within = table_module.merge([first, first.assign(realism=0.5)])
    assert slices.telling(within, slices.VARIANTS) == ["realism"]


def test_every_divergence_that_was_not_trained_for_comes_first():
    table = frame()
    assert slices.divergences(table) == ["energy_distance", "sliced_wasserstein"]
    assert set(table.perception) == {"sliced_wasserstein"}


def test_a_sheet_is_the_grid_of_one_level_with_holes_where_trials_failed():
    table = frame(failed=True)
    sheets = surface.sheets(table)
    assert [sheet["label"] for sheet in sheets] == ["level 1", "level 2"]
    for level, sheet in enumerate(sheets, 1):
        assert np.shape(sheet["rows"]) == (4, 2)
        for i, d in enumerate(sheet["lambda_d"]):
            for j, p in enumerate(sheet["lambda_p"]):
                row = sheet["rows"][i][j]
                value = sheet["values"]["mse"][i][j]
                if row is None or table.status[row] != "ok":
                    assert value is None
                else:
                    assert tuple(table.loc[row, ["lambda_d", "lambda_p", "level"]]) == (d, p, level)
                    assert value == pytest.approx(table.mse[row], rel=1e-4)


def test_the_only_sheet_has_no_name():
    table = frame()
    (sheet,) = surface.sheets(table[table["level"] == 1])
    assert sheet["label"] == "" and np.shape(sheet["rows"]) == (3, 2)


def test_a_picture_has_a_link_for_each_point_and_is_well_formed():
    one = slices.charts(frame())["rate_psnr"]
    root = _parsed(svg.draw(one))
    links = [link.get("href") for link in root.iter(f"{SVG}a")]
    assert sorted(links) == sorted(f"#row-{n}" for s in one.series for n in s.rows)
    assert all(link.find(f"{SVG}title").text for link in root.iter(f"{SVG}a"))


@pytest.mark.parametrize("log", [False, True])
def test_points_lie_inside_the_axes_in_the_order_of_their_values(log):
    y = [0.001, 0.5, 2.0, 300.0]
    one = chart.Series("s", (1.0, 2.0, 3.0, 4.0), tuple(y), marker="circle")
    root = _parsed(svg.draw(chart.Chart("n", "t", "x", "y", (one,), y_log=log)))
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    heights = [y for _, y in places]
    assert heights == sorted(heights, reverse=True)
    assert all(svg.LEFT <= x <= svg.WIDTH - svg.RIGHT for x, _ in places)
    assert all(svg.TOP <= y <= svg.HEIGHT - svg.BOTTOM for y in heights)


def test_bars_lie_inside_the_axes():
    one = chart.Series("s", (1.0, 2.0), (1.0, 5.0), (0.5, 3.0), marker="circle")
    for log in (False, True):
        text = svg.draw(chart.Chart("n", "t", "x", "y", (one,), y_log=log))
        bars = re.findall(r'class="bar" d="M[\d.]+ ([\d.]+)V([\d.]+)"', text)
        assert len(bars) == 2
        assert all(svg.TOP <= float(y) <= svg.HEIGHT - svg.BOTTOM for bar in bars for y in bar)


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1e-12, 1e12], [-3.0, 4.0], [1e6, 1e6 + 1]])
def test_any_values_can_be_drawn(values):
    for log in (False, True):
        one = chart.Series(
            "s", tuple(values), tuple(values), marker="x", error=(1.0,) * len(values)
        )
        text = svg.draw(chart.Chart("n", "t", "x", "y", (one,), x_log=log, y_log=log))
        assert "nan" not in text and "inf" not in text
        _parsed(text)


def test_what_is_not_finite_is_left_out_and_nothing_is_a_sentence():
    nan = math.nan
    one = _line([1.0, nan, 3.0], [1.0, 2.0, nan])
    assert svg.draw(one).count("<circle") == 1
    assert svg.draw(_line([nan], [nan])).startswith("<p")
    assert chart.as_json(one)["series"][0]["x"] == [1.0, None, 3.0]


def test_names_from_files_are_text_and_never_markup():
    one = _line([1.0], [2.0], rows=(7,))
    for text in (svg.draw(one), svg.legend(one)):
        assert "<b>" not in text and "&lt;b&gt;" in text


def test_colours_are_told_apart_and_grow_lighter_in_one_direction():
    for side in (0, 1):
        colours = [pair[side] for pair in chart.palette(5)]
        assert len(set(colours)) == 5 and all(re.fullmatch("#[0-9a-f]{6}", c) for c in colours)
        weights = (0.2126, 0.7152, 0.0722)
        light = [
            sum(w * int(c[1 + 2 * i : 3 + 2 * i], 16) for i, w in enumerate(weights))
            for c in colours
        ]
        assert light == sorted(light)
