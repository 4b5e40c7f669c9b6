"""Curves of several tables and of external results: BD-rates, points and a plot that agree."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from synjax.reporting import bd_rate, comparison, comparison_report, external, plots, table

RATES = {10.0: 0.1, 40.0: 0.25, 160.0: 0.6}  # by lambda_d


def _row(lambda_d, lambda_p=0.0, level=1, seed=0, *, factor=1.0, **changes):
    rate = RATES[lambda_d] * factor
    row = {
        "run": "sweep",
        "trial": f"{lambda_d},{lambda_p},{seed}",
        "stage": "perception",
        "encoder_id": "e",
        "config_hash": "c",
        "lambda_d": lambda_d,
        "lambda_p": lambda_p,
        "level": level,
        "realism": 1.0,
        "perception": "sliced_wasserstein",
        "distortion": "mse",
        "members": 4,
        "seed": seed,
        "dataset": "photos:test",
        "n": 3,
        "status": "ok",
        "rate_noisy": rate / 3,
        "rate_estimated": rate / 3,
        "rate_exact": rate / 3,
        "bpp_exact": rate,
        "header_bits": 80.0,
        "mse": 0.001 / RATES[lambda_d],
        "psnr": 30 + 6 * math.log2(RATES[lambda_d]),
    }
    return row | changes


def _table(directory, rows):
    table.write(table.frame(rows), directory)
    return directory


def _grid(**changes):
    return [_row(d, **changes) for d in RATES]


def _csv(path, text):
    path.write_text(text)
    return path


EXTERNAL = "name,bpp,psnr\n" + "".join(
    f"classic,{rate * 2:.6g},{30 + 6 * math.log2(rate):.6g}\n" for rate in RATES.values()
)


def test_a_table_is_compared_with_results_from_elsewhere(tmp_path):
    run = _table(tmp_path / "run", _grid() + _grid(lambda_p=1.0, factor=1.5))
    outside = _csv(tmp_path / "outside.csv", EXTERNAL)
    found = comparison.load([run, outside], "psnr")
    curves = ["sweep,lp=0,level=1", "sweep,lp=1,level=1", "classic"]
    assert list(found.points.curve.unique()) == curves and found.rate == "bpp"
    assert not found.notes
    pairs = comparison.deltas(found).set_index(["curve", "anchor"])
    takes = dict(zip(curves, (1, 1.5, 2), strict=True))
    for (curve, anchor), row in pairs.iterrows():
        expected = 100 * (takes[curve] / takes[anchor] - 1)
        np.testing.assert_allclose(row.bd_rate, expected, atol=1e-3)
        np.testing.assert_allclose(row.bd_quality, 6 * np.log2(takes[anchor] / takes[curve]), 1e-3)
    one = comparison.deltas(found, "classic").set_index(["curve", "anchor"])
    assert list(one.index) == [(curve, "classic") for curve in curves]
    assert one.equals(pairs.loc[one.index])


def test_less_is_better_for_a_distortion(tmp_path):
    rows = _grid() + _grid(lambda_p=1.0, factor=1.5)
    pairs = comparison.deltas(comparison.load([_table(tmp_path / "a", rows)], "mse"))
    worse = pairs[(pairs.curve == "sweep,lp=1,level=1") & (pairs.anchor == "sweep,lp=0,level=1")]
    np.testing.assert_allclose(worse.bd_rate, 50)
    assert (worse.bd_quality < 0).all()


def test_seeds_are_averaged_with_their_standard_error_and_missing_rows_are_counted(tmp_path):
    rows = _grid() + [_row(d, seed=1, psnr=31 + 6 * math.log2(RATES[d])) for d in (10.0, 40.0)]
    gone = dict.fromkeys(["bpp_exact", "psnr", "mse", "rate_exact"])
    rows.append(_row(160.0, seed=1, status="diverged", reason="loss is nan", **gone))
    found = comparison.load([_table(tmp_path / "a", rows)], "psnr")
    assert list(found.points.seeds) == [2, 2, 1]
    expected = [30.5 + 6 * math.log2(rate) for rate in (0.1, 0.25)]
    np.testing.assert_allclose(found.points.psnr[:2], expected)
    np.testing.assert_allclose(found.points.psnr_se, [0.5, 0.5, np.nan])
    assert found.notes == ("1 of 6 rows failed or lack psnr",)


def test_what_differs_within_a_run_parts_its_curves_and_is_named(tmp_path):
    rows = _grid() + _grid(level=2) + _grid(realism=0.5)
    found = comparison.load([_table(tmp_path / "a", rows)], "psnr")
    assert set(found.points.curve) == {
        "sweep,lp=0,level=1,realism=1",
        "sweep,lp=0,level=2,realism=1",
        "sweep,lp=0,level=1,realism=0.5",
    }
    assert found.points.groupby("curve").size().eq(3).all()


def test_runs_and_codecs_of_one_name_are_told_apart_by_their_paths(tmp_path):
    inputs = [_table(tmp_path / name, _grid()) for name in ("a", "b")]
    inputs += [_csv(tmp_path / name, EXTERNAL) for name in ("c.csv", "d.csv")]
    found = comparison.load(inputs, "psnr")
    runs = [f"sweep ({path}),lp=0,level=1" for path in inputs[:2]]
    assert set(found.points.curve) == {*runs, *(f"classic ({path})" for path in inputs[2:])}
    assert found.points.groupby("curve").size().eq(3).all()


def test_merged_tables_keep_every_row_and_divergence():
    first = table.frame([_row(10.0, energy=0.1, energy_floor=0.01, energy_se=0.001)])
    second = table.frame(_grid(run="other", sliced=0.2, sliced_floor=0.02, sliced_se=0.002))
    merged = table.merge([second, first])
    assert table.divergences(merged) == ["energy", "sliced"]
    assert list(merged.run) == ["other"] * 3 + ["sweep"]
    for one in (first, second):
        rows = merged[merged.run == one.run[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[one.columns], one)
    assert merged.energy[:3].isna().all() and merged.sliced[3:].isna().all()


def test_external_curves_may_have_settings_and_gaps_of_their_own(tmp_path):
    text = "name, level,psnr,bits_per_dim,lambda_p,lpips\nx,1,30,0.1,,\nx,2,31,0.2,0.5,0.3\n\n"
    points = external.read(_csv(tmp_path / "x.csv", text))
    assert list(points.columns) == ["name", "level", "psnr", "bits_per_dim", "lambda_p", "lpips"]
    found = comparison.load([tmp_path / "x.csv"], "psnr")
    assert list(found.points.curve) == ["x,level=1", "x,lp=0.5,level=2"]
    assert found.rate == "bits_per_dim"
    assert comparison.load([tmp_path / "x.csv"], "lpips").notes == (
        "1 of 2 rows failed or lack lpips",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs a column 'name'"),
        ("bpp,psnr\n1,30\n", "needs a column 'name'"),
        ("name,psnr\nx,30\n", "needs a column with a rate: bpp, kbps, bits_per_dim"),
        ("name,bpp\nx,1\n", "needs a column with a metric: psnr"),
        ("name,bpp,psnr\n", "holds no points"),
        ("name,bpp,psrn\nx,1,30\n", "unknown column 'psrn'; allowed: name, bpp"),
        ("name,bpp,psnr,psnr\nx,1,30,31\n", "more than one column 'psnr'"),
        ("name,bpp,psnr\nx,1,30\ny,1\n", "line 3: 2 cells, not 3"),
        ("name,bpp,psnr\nx,1,thirty\n", "line 2: 'psnr' must be a finite number, got 'thirty'"),
        ("name,bpp,psnr\nx,1,inf\n", "line 2: 'psnr' must be a finite number, got 'inf'"),
        ("name,bpp,psnr\nx,,30\n", "line 2: 'bpp' must be a finite number, got ''"),
        ("name,bpp,psnr\nx,0,30\n", "line 2: 'bpp' must be positive, got '0'"),
        ("name,bpp,psnr\n ,1,30\n", "line 2: 'name' is empty"),
        ("name,bpp,psnr,level\nx,1,30,1.5\n", "line 2: 'level' must be one of 1..1000"),
        ("name,bpp,psnr\n\udcff,1,30\n", "is not CSV in UTF-8"),
    ],
)
def test_external_results_that_cannot_be_used_say_where_in_one_line(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError) as caught:
        external.read(path)
    assert str(path) in str(caught.value) and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inputs_that_do_not_go_together_are_refused(tmp_path):
    run = _table(tmp_path / "run", _grid())
    vectors = _table(tmp_path / "v", [row | {"bpp_exact": None, "psnr": None} for row in _grid()])
    outside = _csv(tmp_path / "x.csv", "name,bpp,psnr,mse\nx,1,30,0.1\n")
    failed = _table(tmp_path / "f", _grid(status="below_bound", reason="impossible"))
    twin = _csv(tmp_path / "t.csv", 'name,bpp,psnr\n"sweep,lp=0,level=1",1,30\n')
    for inputs, metric, message in (
        ([run, tmp_path / "." / "run"], "psnr", "given twice"),
        ([tmp_path / "nothing"], "psnr", "no table at"),
        ([tmp_path], "psnr", "holds no table.csv"),
        ([run], "lpips", "has no 'lpips'; its metrics: psnr, mse"),
        ([vectors], "psnr", "has no 'psnr'; its metrics: mse"),
        ([vectors, outside], "mse", "no unit in common: .*v has bits_per_dim; .*x.csv has bpp"),
        ([failed], "psnr", "no row is ok and has both bpp and psnr"),
        ([run, twin], "psnr", "the name of another curve"),
    ):
        with pytest.raises(ValueError, match=message):
            comparison.load(inputs, metric)
    with pytest.raises(ValueError, match="no curve 'y'; there are: x"):
        comparison.deltas(comparison.load([outside], "psnr"), "y")


def test_what_is_written_again_is_the_same_byte_for_byte_and_nothing_else_is_touched(tmp_path):
    run, out = _table(tmp_path / "run", _grid()), tmp_path / "out"
    found = comparison.load(
        [run, _csv(tmp_path / "a$b.csv", EXTERNAL.replace("c,", "$|,"))], "psnr"
    )
    pairs = comparison.deltas(found)
    paths = comparison_report.write(found, pairs, out)
    assert set(paths) == set(out.iterdir())
    before = {path: path.read_bytes() for path in paths}
    comparison_report.require_own(out, [run])
    comparison_report.write(found, pairs, out)
    assert before == {path: path.read_bytes() for path in out.iterdir()}
    assert "| 2 classi$\\| |" in (out / "bd_rate.md").read_text()
    pd.testing.assert_frame_equal(table.read(out / "table.csv"), table.read(run / "table.csv"))
    again = comparison.load([out], "psnr")
    assert list(again.points.curve.unique()) == ["sweep,lp=0,level=1"]
    with pytest.raises(ValueError, match="which is compared"):
        comparison_report.require_own(out, [out])
    for taken in (run, run / "table.csv"):
        with pytest.raises(ValueError, match="holds something else|not a directory"):
            comparison_report.require_own(taken, [])
    comparison_report.require_own(tmp_path / "new", [run])


def test_a_plot_has_room_for_all_its_curves(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, stem: figures.append(figure))
    for count in (2, 30):
        rows = [row for p in range(count) for row in _grid(lambda_p=float(p), factor=1 + p / 9)]
        found = comparison.load([_table(tmp_path / str(count), rows)], "psnr")
        plots.comparison(found.points, "bpp", "psnr", ("x", "y"), "", tmp_path / "plot")
        figure = figures.pop()
        figure.draw_without_rendering()
        [legend], [axes] = figure.legends, figure.axes
        assert len(axes.containers) == len(legend.get_texts()) == count
        box = legend.get_window_extent()
        assert box.y0 >= 0 and box.x1 <= figure.bbox.x1 + 1


def test_the_verb_compares_a_real_run_with_a_csv(tiny, called, tmp_path):
    results = table.read(tiny[0] / "table.csv")
    rows = results[(results.lambda_p == results.lambda_p.min()) & (results.level == 2)]
    lines = [f"doubled,{2 * row.bpp_exact!r},{row.psnr!r}\n" for row in rows.itertuples()]
    outside = _csv(tmp_path / "outside.csv", "name,bpp,psnr\n" + "".join(lines))
    out = tmp_path / "out"
    done = called("compare", tiny[0], outside, f"--out={out}", "--against=doubled")
    assert done.returncode == 0, done.stderr
    for path in out.iterdir():
        assert str(path) in done.stdout
    mark = json.loads((out / comparison_report.MARK).read_text())
    assert (mark["metric"], mark["rate"]) == ("psnr", "bpp")
    pairs = pd.read_csv(out / "bd_pairs.csv").set_index("curve")
    points = pd.read_csv(out / "points.csv")
    assert len(points) == len(results) + len(rows)
    curve = f"{results.run[0]},lp={results.lambda_p.min():g},level=2"
    np.testing.assert_allclose(pairs.bd_rate[[curve, "doubled"]], [-50, 0], atol=1e-6)
    assert "-50.0" in done.stdout
    matrix = pd.read_csv(out / "bd_rate.csv", index_col="curve")
    assert list(matrix.columns) == ["doubled"] and set(matrix.index) == set(points.curve)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--out={}",), "TABLE"),
        (("nothing", "--out={}"), "no table at nothing"),
        (("configs", "--out={}"), "holds no table.csv"),
        (("requirements.txt", "--out={}"), "read from .csv or .parquet"),
        (("requirements.txt",), "--out=DIR"),
        (("requirements.txt", "--out=tests"), "holds something else"),
    ],
)
def test_the_verb_refuses_bad_input_in_one_line(called, tmp_path, arguments, named):
    out = tmp_path / "out"
    done = called("compare", *(argument.format(out) for argument in arguments))
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and named in done.stderr
    assert not out.exists()


def test_a_curve_without_a_number_gets_a_reason_in_every_form(tmp_path):
    found = comparison.load([_table(tmp_path / "a", [_row(10.0)])], "psnr")
    pairs = comparison.deltas(found)
    text = "sweep,lp=0,level=1 has 1 point, 2 are needed"
    assert list(pairs.bd_rate_reason) == [text] and pairs.bd_rate.isna().all()
    assert bd_rate.FEWEST == 2
    comparison_report.write(found, pairs, tmp_path / "out")
    assert f"- – in 1 of 1 pairs: {text}" in (tmp_path / "out" / "bd_rate.md").read_text()
