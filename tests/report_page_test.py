"""A page of a sweep: all there is, as text and pictures, with nothing that acts or is fetched."""

import html.parser
import io
import json
import re

import numpy as np
import pytest
import report_rows
import rich.console

from synjax import main
from synjax.report import (
    curves,
    deltas,
    differences,
    failures,
    markup,
    overview,
    page,
    pictures,
    reading,
    results,
    terminal,
)
from synjax.reporting import calls, layout, spectrogram, table, view_files
from synjax.verbs import export


class _Page(html.parser.HTMLParser):
    """What a browser would see without running anything."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.data = [], [], "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.data += data if data.startswith("{") else ""
        else:
            self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return report_rows.write_run(tmp_path_factory.mktemp("report") / "run", failed=True)


@pytest.fixture(scope="module")
def made(sweep):
    text = page.html(reading.read([sweep]))
    return text, _Page(text)


def test_the_page_is_one_file_below_15_mb_that_refers_to_nothing_outside(made):
    text, seen = made
    assert len(text.encode()) < page.MOST_BYTES
    for tag, attributes in seen.tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            if name in attributes:
                assert attributes[name].startswith(("#", "data:")), (tag, attributes)
    policy = next(m["content"] for m in seen.named("meta") if "content" in m and "http-equiv" in m)
    assert "default-src 'none'" in policy and "http" not in policy
    assert not re.search(r"@import|url\(", page._asset("page.css"))


def test_the_table_stands_in_the_page_row_by_row(made, sweep):
    _, seen = made
    frame = reading.merged(reading.read([sweep]))
    assert {f"row-{n}" for n in frame.index} <= {row.get("id") for row in seen.named("tr")}
    for column in layout.readable(frame, table.divergences(frame)):
        for cell in column.cells:
            assert cell in seen.text


def test_every_link_leads_somewhere_and_no_name_is_given_twice(made):
    _, seen = made
    names = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(names) == len(set(names))
    for link in seen.named("a"):
        assert link["href"].removeprefix("#") in names


def test_every_picture_has_a_text_and_every_control_a_name(made):
    _, seen = made
    assert all("alt" in image for image in seen.named("img"))
    shown = [image for image in seen.named("img") if "src" in image]
    assert len(shown) == 1 + 3 * 2 and all(image["alt"] for image in shown)
    assert all("aria-label" in s for s in seen.named("svg") if s.get("class") != "key")
    assert all(section.get("id") for section in seen.named("section"))
    assert seen.named("html")[0]["lang"] == "en"


def test_a_failed_trial_is_listed_with_its_reason_and_what_it_says_is_no_markup(made):
    text, seen = made
    assert seen.text.count("loss is nan at step 7") >= 2  # in the table, and under failures
    assert 'onerror="alert' not in "".join(str(a) for _, a in seen.tags)
    assert "<img src=x" not in text and "</script><img" not in text
    assert report_rows.REASON in json.loads(seen.data)["failed"][0]["reason"]


def test_the_data_of_the_page_are_the_rows_of_the_table(made, sweep):
    _, seen = made
    data, frame = json.loads(seen.data), reading.merged(reading.read([sweep]))
    assert data["columns"] == list(frame.columns) and len(data["rows"]) == len(frame)
    at = data["columns"].index("mse")
    measured = [row[at] for row in data["rows"]]
    np.testing.assert_array_equal(np.array(measured, float), frame["mse"])
    assert len(data["explorer"]["views"]) == 3 * 2 * 2
    for view in data["explorer"]["views"]:
        row = dict(zip(data["columns"], data["rows"][view["row"]], strict=True))
        assert (row["trial"], row["level"]) == (view["trial"], view["level"])
    gallery = {image["data-picture"] for image in seen.named("img") if "data-picture" in image}
    for view in data["explorer"]["views"]:
        for name in (*view["members"], view["spread"], view["jpeg"]):
            assert (name in gallery) != (name in data["pictures"])


def test_equal_runs_give_equal_pages(sweep):
    assert page.html(reading.read([sweep])) == page.html(reading.read([sweep]))


def test_a_run_still_going_shows_what_exists(tmp_path):
    home = report_rows.write_run(tmp_path / "run", seen=False)
    trials = sorted(path.name for path in (home / "trials").iterdir())
    (home / "trials" / trials[0] / "rows.json").unlink()
    runs = [
        {"name": n, "directory": n, "records": [], "stage": "perception", "steps": 30}
        | {"parent": None, "depends_on": "x"}
        for n in ("encoder", "decoder")
    ]
    listed = [{"name": name, "encoder": "encoder", "decoder": "decoder"} for name in trials]
    (home / "plan.json").write_text(json.dumps({"runs": runs, "trials": listed}))
    text = page.html(reading.read([home]))
    assert "Not finished: 1 waiting" in text
    assert text.count('data-row="') == 10
    for name in trials:  # its rows came first
        (home / "trials" / name / "rows.json").unlink(missing_ok=True)
    text = page.html(reading.read([home]))
    assert "Not finished: 6 waiting" in text and "There are no rows yet." in text


def test_several_runs_are_one_table_and_only_their_differences_are_listed(tmp_path):
    homes = [
        report_rows.write_run(tmp_path / name, run=name, codec={"groups": [6, 26], "hyper": hyper})
        for name, hyper in (("plain", 0), ("hyper", 16))
    ]
    runs = reading.read(homes)
    assert set(reading.merged(runs)["run"]) == {"plain", "hyper"}
    text = page.html(runs)
    assert "codec.hyper" in text and "codec.groups" not in text and "distortion</th>" not in text


def test_runs_of_one_name_are_told_apart_by_their_directories(tmp_path):
    homes = [report_rows.write_run(tmp_path / name, seen=False) for name in "ab"]
    names = {run.name for run in reading.read(homes)}
    assert names == {f"leaves ({home})" for home in homes}
    with pytest.raises(ValueError, match="given twice"):
        reading.read([homes[0], homes[0]])


def test_a_published_table_with_its_configuration_is_enough(tmp_path):
    (tmp_path / "config.json").write_text('{"name": "published"}')
    table.write(report_rows.frame(), tmp_path)
    text = page.html(reading.read([tmp_path]))
    assert text.count('data-row="') == 12 and "Versions, device and wall time were not" in text


@pytest.mark.parametrize("content", ["thesis", ""])
def test_another_file_is_not_overwritten(sweep, tmp_path, capsys, content):
    out = tmp_path / "mine.html"
    out.write_text(content)
    assert main.main(["report", str(sweep), f"--out={out}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is no report" in error and out.read_text() == content


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("report",), "report takes RUN"),
        (("report", "nowhere"), "holds no sweep"),
        (("show", "nowhere"), "holds no sweep"),
        (("show",), "show takes RUN"),
        (("report", "gs://mine/run"), "--out"),
    ],
)
def test_bad_input_is_one_clear_line(capsys, arguments, named):
    assert main.main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and named in error


def test_a_report_lands_in_the_directory_of_its_run_and_is_replaced(sweep, capsys):
    for _ in range(2):
        assert main.main(["report", str(sweep)]) == 0
    assert str(sweep / "report.html") in capsys.readouterr().out
    assert page.MARK in (sweep / "report.html").read_text()[:100]


def test_pictures_that_are_too_many_are_fewer_and_the_page_says_so(sweep):
    runs = reading.read([sweep])
    data, lossless, note = pictures.explorer(runs, 10**8)
    assert data and note == ""
    total = sum(map(len, lossless.values()))
    _, lossy, note = pictures.explorer(runs, total - 1)
    assert sum(map(len, lossy.values())) < total and "quality 90" in note
    data, none, note = pictures.explorer(runs, 100)
    assert data is None and none == {} and "0 of 1 test signals" in note


def test_the_spread_is_the_unbiased_standard_deviation_and_equal_members_have_none():
    generator = np.random.default_rng(0)
    members = list(generator.random((4, 6, 5, 3)))
    expected = np.stack(members).std(0, ddof=1)
    np.testing.assert_allclose(pictures.spread(members), expected.mean(-1), atol=1e-6)
    grey = [member[..., 0] for member in members]
    np.testing.assert_allclose(pictures.spread(grey), expected[..., 0], atol=1e-6)
    assert not pictures.spread(members[:1]).any() and not pictures.spread(members[:1] * 3).any()
    black = pictures.heat(np.zeros((6, 5)), 0.0)
    assert view_files.load(io.BytesIO(black)).reshape(-1, 3).std() == pytest.approx(
        np.array([0, 0, 3]).std(), abs=2
    )


def test_the_decibels_of_a_spectrogram_are_read_back_from_its_colours():
    x = np.random.default_rng(0).normal(0, 0.1, (2000, 1))
    whole, quiet = (spectrogram.picture(scale * x, x) for scale in (1, 0.1))
    whole, quiet = (
        spectrogram.shown_decibels(np.round(one * 255).astype(np.uint8)) for one in (whole, quiet)
    )
    assert whole.max() == spectrogram.DECIBELS
    seen = quiet > 30  # far from the least power that is told apart
    assert seen.mean() > 0.5 and np.abs(whole - quiet - 20)[seen].max() < 0.6


def test_cells_carry_the_values_that_they_are_sorted_by():
    frame = report_rows.frame(failed=True)
    cells = re.findall(r'data-value="([^"]+)"', results.html(frame))
    assert {float(value) for value in cells} >= set(frame["mse"].dropna())


def test_bd_rates_are_those_of_a_comparison_and_a_half_of_the_rate_is_minus_50():
    frame = report_rows.frame()
    half = frame.assign(run="half", bpp_exact=frame["bpp_exact"] / 2)
    text = deltas.html(table.merge([frame, half]))
    assert text.count("-50.0") == 4 and text.count("+100.0") == 4
    assert "–" in deltas.html(frame[frame["lambda_d"] == 10.0])


def test_differences_are_of_values_and_names_do_not_count():
    configs = [{"name": n, "a": {"b": v, "c": [1, 2]}} for n, v in (("x", 1.0), ("y", 2.0))]
    assert differences.between(configs) == {"a.b": ["1", "2"]}
    assert differences.between([{"a": 1}, {}]) == {"a": ["1", differences.ABSENT]}


def test_training_curves_go_on_from_stage_to_stage_and_are_thinned_to_means(tmp_path):
    for stage, steps, value in (("fidelity", 1000, 2.0), ("perception", 500, 1.0)):
        (tmp_path / stage).mkdir()
        lines = [{"step": s, "stage": stage, "loss": value} for s in range(steps)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / stage / "record.jsonl").write_text(text + '{"torn')
    paths = [tmp_path / "fidelity", tmp_path / "nothing", tmp_path / "perception"]
    one = curves.read("trial", paths)
    assert one.stages == (("fidelity", 0), ("perception", 1000))
    steps, values = one.points["loss"]
    assert len(steps) <= curves.MOST_POINTS and steps == sorted(steps) and steps[-1] < 1500
    assert set(values) <= {1.0, 2.0} | set(values[1:-1]) and values[0] == 2 and values[-1] == 1
    (loss,) = curves.charts([one]).values()
    assert loss.marks == ((0, "fidelity"), (1000, "perception"))
    assert curves.read("trial", [tmp_path / "nothing"]) is None
    assert 2.0 in values and 1.0 in values and set(values) == {1.0, 2.0}  # none of both stages
    assert values.count(1.0) > values.count(2.0) / 3


def test_what_is_0_throughout_a_stage_is_not_drawn_there(tmp_path):
    lines = [{"step": s, "stage": n, "perception": v}
             for n, v in (("fidelity", 0.0), ("perception", 3.0)) for s in range(9)]  # fmt: skip
    (tmp_path / "record.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    one = curves.read("trial", [tmp_path])
    assert one.stages == (("fidelity", 0), ("perception", 9))
    assert one.points["perception"] == ([*range(9, 18)], [3.0] * 9)


def test_the_commands_and_machines_of_a_sweep_are_kept_and_summed(tmp_path):
    machine = {"python": "3.11", "versions": {"jax": "1"}, "device": "cpu", "devices": 2}
    machine |= {"processor": "P", "cores": 4}
    for command in ("./launch.sh sweep first", "./launch.sh sweep second"):
        with calls.noted(tmp_path, command, machine):
            pass
    with pytest.raises(KeyError), calls.noted(tmp_path, "third", machine):
        raise KeyError
    with (tmp_path / calls.FILENAME).open("a") as file:
        file.write(
            'not JSON\n{"call": "x", "command": null, "date": "d", "machine": {}, "part": true}'
        )
    found = calls.read(tmp_path)
    assert [call["command"] for call in found[:2]] == [
        "./launch.sh sweep first",
        "./launch.sh sweep second",
    ]
    assert found[2]["seconds"] is not None and found[3]["seconds"] is None
    (tmp_path / "config.json").write_text('{"name": "n"}')
    text = overview.details(reading.read([tmp_path]))
    assert "./launch.sh sweep first" in text and "in 3 calls" in text and "jax 1" in text
    assert "2 × cpu; P, 4 cores" in text


def test_text_in_a_script_can_neither_end_it_nor_change():
    value = {"a": "</script><!-- \u2028 & é"}
    text = markup.data(value)
    assert "<" not in text and "\u2028" not in text and json.loads(text) == value


def test_what_is_done_is_not_among_the_failures():
    assert failures.html([], report_rows.frame()) == ""
    assert "loss is nan" in failures.html([], report_rows.frame(failed=True))


def _shown(sweep, **settings):
    console = rich.console.Console(file=io.StringIO(), **settings)
    export.show(sweep, console)
    return console.file.getvalue()


def test_show_prints_the_table_and_charts_as_plain_text_outside_a_terminal(sweep):
    text = _shown(sweep, width=100)
    assert "\x1b" not in text
    assert "λ_p 0, level 1" in text and "PSNR (dB)" in text and "loss is nan" in text
    assert all(mark in text for mark in "1234")
    assert "\x1b[" in _shown(sweep, width=100, force_terminal=True, color_system="standard")


def test_a_terminal_without_unicode_gets_ascii(sweep, monkeypatch):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    export.show(sweep, rich.console.Console(file=file, width=100))
    file.flush()
    assert b"lambda_p 0, level 1" in file.buffer.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_chart_of_characters_fits_and_marks_every_curve(width):
    from synjax.report import slices

    one = slices.charts(report_rows.frame())["rate_psnr"]
    found = [line for line, _ in terminal.lines(one, width)]
    inside = [line for line in found if "|" in line]
    assert len(inside) == terminal.HEIGHT and max(map(len, inside)) <= width
    drawn = "".join(inside)
    assert all(mark in drawn for mark in "1234")


def test_what_the_directory_of_a_run_holds_must_be_readable(tmp_path):
    home = report_rows.write_run(tmp_path / "run")
    (home / "trials" / "ld=10,lp=0" / "rows.json").write_text("[")
    with pytest.raises(ValueError, match="rows.json is not JSON"):
        reading.read([home])
