"""The page in a real browser: opened from a disk, without a network, by keys and at 380 pixels."""

import json
import shutil
import time

import numpy as np
import pytest
import report_rows

from synjax.evaluation import measure, views
from synjax.report import page, reading
from synjax.reporting import view_files

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if BROWSER is None:
    pytest.skip("no Chromium is installed: the page is not tried in one", allow_module_level=True)

# Root has no sandbox; software draws WebGL.
OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HARMLESS = "willReadFrequently"  # advice to plotly


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    home = tmp_path_factory.mktemp("browser")
    run = report_rows.write_run(home / "run", failed=True)
    return page.write(reading.read([run]), home / "report.html").as_uri()


@pytest.fixture(scope="module")
def heard():
    """What the shared page logged and asked for."""
    return {"logged": [], "asked": []}


@pytest.fixture(scope="module")
def shared(browser, address, heard):
    context = browser.new_context(viewport={"width": 1200, "height": 800}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.on("console", lambda m: heard["logged"].append(m.text))
    opened.on("pageerror", lambda error: heard["logged"].append(str(error)))
    opened.on("request", lambda request: heard["asked"].append(request.url))
    opened.goto(address)
    _drawn(opened)
    return opened


def _drawn(opened):
    """Waits for the charts, which are drawn when they come into view."""
    opened.evaluate("document.getElementById('surface').scrollIntoView()")
    opened.wait_for_selector("#plot-surface canvas")
    opened.wait_for_selector("#plot-rate-quality .point")


def _until(holds, seconds=60):
    """Waits; not by the driver's own means, which the page's policy against evaluation stops."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def _slide(opened, name, place):
    opened.locator(f"#slider-{name}").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", str(place)
    )


def _source(opened, figure):
    return opened.locator(f"#view-{figure} img").get_attribute("src")


def _column(opened, name):
    return opened.evaluate(
        "name => { const heads = [...document.querySelectorAll('#results thead th')];"
        " const at = heads.findIndex(head => head.dataset.name === name);"
        " return [...document.querySelectorAll('#results tbody tr')].filter(row => !row.hidden)"
        ".map(row => row.cells[at].dataset.value ?? row.cells[at].textContent); }",
        name,
    )


def test_sliders_and_keys_change_the_pictures(shared):
    _slide(shared, "lambda_p", 1)
    seen = set()
    for place in range(3):
        _slide(shared, "lambda_d", place)
        for level in range(2):
            _slide(shared, "level", level)
            seen.add((_source(shared, "member"), shared.inner_text("#view-member figcaption")))
    assert len(seen) == 6
    source = _source(shared, "source")
    members = []
    shared.focus("#stage")
    for _ in range(4):
        members.append(_source(shared, "member"))
        shared.keyboard.press("ArrowRight")
    assert len(set(members)) == 3 and members[0] == members[3]
    shared.keyboard.press("ArrowLeft")
    assert _source(shared, "member") == members[0]
    shared.keyboard.press(" ")
    assert _source(shared, "member") == source
    shared.keyboard.press(" ")
    assert _source(shared, "member") == members[0]
    shared.keyboard.press("j")
    assert _source(shared, "member") == _source(shared, "jpeg")
    shared.keyboard.press("j")
    assert "bytes" in shared.inner_text("#explorer-status")
    assert shared.locator("#slider-level").get_attribute("aria-valuetext") == "level 2"


def test_a_sound_has_players_that_follow_the_member(browser, tmp_path):
    run = report_rows.write_run(tmp_path / "run", seen=False)
    generator = np.random.default_rng(0)
    x = 0.3 * np.sin(np.arange(4000) / 9)[:, None]
    for home in (run / "trials").iterdir():
        own = json.loads((home / "rows.json").read_text())
        members = x + generator.normal(0, 0.03, (2, *x.shape))
        subject = measure.Subject(x, name="seven", sample_rate=8000)
        row = {"rate_exact": 0.4, "snr": 17.0, "lsd": 3.25, "kbps_exact": 3.2, "mse": 1e-3}
        point = {key: own[0][key] for key in ("trial", "seed", "lambda_d", "lambda_p")}
        view_files.write(home, views.of(subject, row, (x, members), 2, 1.0), point)
    opened = browser.new_page()
    logged, asked = [], []
    opened.on("console", lambda m: logged.append(m.text))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(page.write(reading.read([run]), tmp_path / "report.html").as_uri())
    opened.focus("#stage")
    heard = opened.locator("#view-member audio")
    first = heard.get_attribute("src")
    assert first.startswith("data:audio/wav;base64,") and heard.is_visible()
    assert heard.get_attribute("aria-label") == "Member with address 0"
    _until(lambda: heard.evaluate("e => e.duration") == 0.5)  # it can be played
    opened.keyboard.press("ArrowRight")
    assert heard.get_attribute("src") not in (first, None)
    opened.keyboard.press(" ")
    source = opened.locator("#view-source audio").get_attribute("src")
    assert heard.get_attribute("src") == source
    opened.keyboard.press(" ")
    said = opened.inner_text("#view-member figcaption")
    assert "3.2 kbit/s" in said and "dB SNR" in said and "log-spectral distance 3.25 dB" in said
    assert "0.5 s at 8000 Hz" in opened.inner_text("#view-source figcaption")
    assert not [text for text in logged if HARMLESS not in text]
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    opened.close()


def test_each_run_of_a_page_has_its_own_axes(browser, tmp_path):
    runs = [report_rows.write_run(tmp_path / name) for name in ("one", "two")]
    for path in (runs[1] / "trials").glob("*/views/views.json"):
        index = json.loads(path.read_text())
        index["point"]["lambda_d"] *= 2
        index["signals"] = ["other"]
        path.write_text(json.dumps(index))
    opened = browser.new_page()
    opened.goto(page.write(reading.read(runs), tmp_path / "report.html").as_uri())
    seen = []
    for number in (0, 1, 0):
        opened.select_option("#choose-run", index=number)
        assert opened.locator("#stage").is_visible()
        seen.append((opened.inner_text("#explorer-status"), _source(opened, "member")))
    assert "λ_d 10," in seen[0][0] and "λ_d 20," in seen[1][0] and "other" in seen[1][0]
    assert seen[0] == seen[2]
    assert not opened.locator("#choose-name").is_visible()  # each has one signal
    opened.close()


def test_blinking_goes_on_until_it_is_stopped(shared):
    member = _source(shared, "member")
    shared.click("#blink-source")
    assert shared.locator("#blink-source").get_attribute("aria-pressed") == "true"
    assert _source(shared, "member") == _source(shared, "source")
    _until(lambda: _source(shared, "member") == member)
    shared.click("#blink-source")
    assert shared.locator("#blink-source").get_attribute("aria-pressed") == "false"
    assert _source(shared, "member") == member


def test_the_table_is_sorted_both_ways_with_missing_values_last(shared):
    head = shared.locator('#results th[data-name="mse"] button')
    for ascending in (True, False):
        head.click()
        values = [float(v) for v in _column(shared, "mse") if v != "–"]
        assert values == sorted(values, reverse=not ascending)
        assert _column(shared, "mse")[-2:] == ["–", "–"]
    assert shared.locator('#results th[aria-sort="descending"]').count() == 1
    assert "Sorted by MSE" in shared.inner_text("#table-status")


def test_what_is_filtered_is_copied(shared):
    shared.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shared.fill("#filter", "ok λ_p>0.5 level=2")
    assert set(_column(shared, "lambda_p")) == {"1.0"} and len(_column(shared, "level")) == 3
    copied = {}
    for name in ("csv", "markdown", "latex"):
        shared.click(f"#copy-{name}")
        said = f"copied as {name}"
        _until(lambda said=said: said in shared.inner_text("#table-status").lower())
        copied[name] = shared.evaluate("navigator.clipboard.readText()")
    lines = copied["csv"].splitlines()
    assert len(lines) == 4 and lines[0].startswith("run,trial,stage,encoder_id,config_hash")
    assert 'leaves,"ld=' in lines[1]
    assert copied["markdown"].count("\n") == 5 and "| λ_d |" in copied["markdown"]
    assert "\\toprule" in copied["latex"] and "$\\lambda_d$" in copied["latex"]
    assert copied["latex"].count(" \\\\") == 4
    shared.fill("#filter", "")
    assert len(_column(shared, "level")) == 14


def test_a_point_of_a_chart_leads_to_its_row_and_its_members(shared):
    _slide(shared, "lambda_d", 0)
    shared.evaluate(
        "document.getElementById('plot-rate-quality').emit('plotly_click',"
        " {points: [{customdata: document.querySelectorAll('#results .look')[0].dataset.row | 0}]})"
    )
    row = shared.locator("#results tr.chosen")
    assert row.count() == 1
    assert shared.evaluate("document.activeElement.classList.contains('chosen')")
    shared.locator("#results .look").last.click()
    assert shared.evaluate("document.activeElement.id") == "stage"
    chosen = row.locator("th").get_attribute("data-value")
    assert float(shared.inner_text("output[for=slider-lambda_d]")) == float(chosen)


def test_charts_follow_what_is_chosen(shared):
    titles = (
        "[...document.querySelectorAll('#plot-rate-divergence .ytitle')].map(e => e.textContent)"
    )
    assert shared.evaluate(titles) == ["energy distance"]
    shared.select_option("#divergence", index=1)
    shared.locator("#plot-rate-divergence").scroll_into_view_if_needed()
    _until(lambda: shared.evaluate(titles) == ["sliced Wasserstein distance"])
    points = "document.querySelectorAll('#plot-rate-quality .scatterlayer .point').length"
    assert shared.evaluate(points) >= 12


def test_a_failed_trial_shows_its_reason_and_runs_nothing(shared):
    assert report_rows.REASON in shared.inner_text("#failures")
    assert shared.locator("#failures img").count() == 0


def test_nothing_is_fetched_and_nothing_is_complained_of(shared, heard, address):
    assert [text for text in heard["logged"] if HARMLESS not in text] == []
    assert [one for one in heard["asked"] if not one.startswith(("data:", "blob:"))] == [address]


def test_every_control_can_be_reached_by_the_tab_key_and_has_a_name(shared):
    found = shared.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent)"
        ".map(e => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent)"
        ".trim())"
    )
    assert len(found) > 20 and all(found)
    shared.focus(".skip")
    reached = set()
    for _ in range(25):
        shared.keyboard.press("Tab")
        reached.add(shared.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"slider-lambda_d", "slider-lambda_p", "slider-level", "stage", "next"} <= reached


def test_paper_shows_the_static_charts_the_table_and_the_pictures(shared):
    shared.emulate_media(media="print")
    assert shared.locator("#surface figure.chart svg").first.is_visible()
    assert shared.locator("#results").is_visible() and shared.locator("#stage").is_visible()
    for hidden in ("nav", "#plot-surface", "#filter", "#next"):
        assert not shared.locator(hidden).first.is_visible()
    assert shared.pdf().count(b"/Type /Page\n") > 1
    shared.emulate_media(media="screen")


@pytest.mark.parametrize("javascript", [True, False])
def test_nothing_overflows_at_380_pixels(browser, address, javascript):
    context = browser.new_context(
        viewport={"width": 380, "height": 800},
        reduced_motion="reduce",
        java_script_enabled=javascript,
    )
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.goto(address)
    if javascript:
        # Not the surface, which takes software seconds to draw.
        opened.evaluate("document.getElementById('plot-rate-divergence').scrollIntoView()")
        opened.wait_for_selector("#plot-rate-divergence .point")
        assert opened.evaluate("document.documentElement.scrollWidth") <= 380
        for box in opened.locator("section, header, .plot").all():
            assert box.bounding_box()["width"] <= 380
    else:
        assert opened.locator("main").bounding_box()["width"] <= 380
        assert opened.locator("figure.chart svg").first.is_visible()
        assert opened.locator("#results").is_visible()
        assert opened.locator(".gallery img").first.is_visible()
        assert not opened.locator("#explorer").is_visible()
        assert not opened.locator("#filter").is_visible()
    context.close()
