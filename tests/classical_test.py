"""Classical codecs: real files, the metrics of a table, and the values that others measured."""

import os
import pathlib

import numpy as np
import pandas as pd
import pytest
from skimage import data as photographs

from synjax import main
from synjax.data import pipeline
from synjax.evaluation import classical
from synjax.reporting import external
from synjax.verbs import evaluate

# Means over Kodak, made elsewhere with Pillow 13.0.0: bits per pixel, PSNR, MS-SSIM.
KODAK = {
    ("jpeg", 10): (0.2684, 26.6718, 0.8942),
    ("webp", 10): (0.2744, 28.9319, 0.9385),
    ("avif", 30): (0.2440, 29.7641, 0.9542),
    ("jp2", 100): (0.2395, 26.8127, 0.8812),
}


@pytest.fixture(scope="module")
def cat():
    return photographs.chelsea()[:192, :256] / np.float32(255)


@pytest.fixture(scope="module")
def measured(cat):
    return pd.DataFrame(classical.measure(cat))


@pytest.mark.parametrize("codec", list(classical.CODECS))
def test_more_bytes_are_a_better_picture(measured, codec):
    own = measured[measured.name == codec]
    assert len(own) == len(classical.CODECS[codec][3])
    for column in ("bpp", "psnr", "ms_ssim"):
        assert own[column].is_monotonic_increasing, own[column].tolist()
    assert own.frechet_distance.iloc[-1] < 0.1 * own.frechet_distance.iloc[0]
    assert own.energy_distance.iloc[-1] < 0.1 * own.energy_distance.iloc[0]


def test_psnr_is_of_the_decoded_file(cat, measured):
    pixels = np.round(cat * 255).astype(np.uint8)
    content = classical.encode("webp", 40, pixels)
    assert content[:4] == b"RIFF"
    row = measured[(measured.name == "webp") & (measured.setting == 40)].iloc[0]
    assert row.bpp == 8 * len(content) / (192 * 256)
    error = (classical.decode(content).astype(float) - pixels) / 255
    assert row.psnr == pytest.approx(-10 * np.log10(np.mean(error**2)), abs=1e-9)


def test_newer_codecs_take_fewer_bytes(measured):
    at = {}
    for codec in classical.CODECS:
        own = measured[measured.name == codec]
        at[codec] = np.interp(33.0, own.psnr, np.log(own.bpp))
    assert at["avif"] < at["webp"] < at["jpeg"]


def test_means_are_what_external_results_are_read_from(cat, tmp_path):
    examples = [pipeline.Example("cat", cat), pipeline.Example("tac", cat[:, ::-1])]
    told = []
    single, means = classical.tabulate(examples, codecs=("jpeg",), told=told.append)
    assert told == [1, 2]
    assert len(single) == 2 * len(means) == 20 and set(single.picture) == {"cat", "tac"}
    of_one = single[single.setting == 30].psnr.mean()
    assert means[means.setting == 30].psnr.item() == pytest.approx(of_one)
    path = tmp_path / "classical.csv"
    means.drop(columns="setting").to_csv(path, index=False)
    assert len(external.read(path)) == 10


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"data": {"test": "folder:elsewhere"}}, False),
        ({"evaluation": {"classical": ["jpeg"], "limit": 2}}, False),
    ],
)
def test_what_was_measured_of_the_same_pictures_is_kept(tmp_path, changes, kept):
    held = {"data": {"test": "folder:here"}, "evaluation": {"classical": ["jpeg"], "limit": None}}
    (tmp_path / "run" / "classical").mkdir(parents=True)
    (tmp_path / "run" / "classical" / classical.MEANS).write_text("name,bpp,psnr")
    evaluate._keep_classical(held, held | changes, tmp_path / "run" / "variant", tmp_path / "out")
    copy = tmp_path / "out" / "classical" / classical.MEANS
    assert copy.exists() == kept and (not kept or copy.read_text() == "name,bpp,psnr")


def test_the_verb_writes_what_compare_takes(tmp_path, capsys, cat, monkeypatch):
    monkeypatch.setattr(
        pipeline, "evaluation_examples", lambda *unused, limit: [pipeline.Example("cat", cat)]
    )
    out = tmp_path / "classical"
    assert main.main(["classical", "photos", "--limit=1", f"--out={out}"]) == 0
    assert "avif" in capsys.readouterr().out
    compared = tmp_path / "compared"
    call = ["compare", str(out / "classical.csv"), f"--out={compared}", "--against=jpeg"]
    assert main.main(call) == 0
    assert "webp" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("kodak",), "folder:PATH, tfds:NAME or photos, got 'kodak'"),
        (("folder:/none",), "no such folder"),
        (("photos", "--lpips=/none"), "/none"),
        ((), "classical takes ADDRESS, got nothing"),
    ],
)
def test_a_wrong_call_is_one_line(capsys, arguments, named):
    assert main.main(["classical", *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1


def test_kodak_is_what_others_measured(tmp_path):
    folder = pathlib.Path(os.environ.get("SYNJAX_DATA", "/none")) / "kodak"
    if not folder.is_dir():
        pytest.skip("SYNJAX_DATA names no folder with kodak/ in it")
    from synjax.data import sources

    source = sources.build(f"folder:{folder}", split="all", directory=str(tmp_path))
    for (codec, setting), expected in KODAK.items():
        bpp, psnr = [], []
        for i in range(len(source)):
            content = classical.encode(codec, setting, source[i])
            error = classical.decode(content).astype(float) - source[i]
            bpp.append(8 * len(content) / error[..., 0].size)
            psnr.append(-10 * np.log10(np.mean(error**2) / 255**2))
        np.testing.assert_allclose([np.mean(bpp), np.mean(psnr)], expected[:2], rtol=0.01)
