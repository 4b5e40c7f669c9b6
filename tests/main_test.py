"""The command line as a user meets it, through real processes."""

import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
import rich.console
from PIL import Image
from skimage import data

from synjax import command_line, main, sweep
from synjax.evaluation import evaluate
from synjax.reporting import table
from synjax.training import plan
from synjax.verbs import export


def test_the_quickstart_in_miniature_ends_with_a_table_and_the_paths_of_all_it_wrote(tiny):
    workdir, done = tiny
    results = table.read(workdir / "table.csv")
    assert len(results) == 8
    assert set(results.status) == {"ok"}
    for name in ("table.csv", "table.parquet", "table.md", "table.tex"):
        assert str(workdir / name) in done.stdout
        assert (workdir / name).stat().st_size > 0
    for name in ("rate_distortion", "distortion_perception"):
        for suffix in ("png", "svg"):
            assert (workdir / "plots" / f"{name}.{suffix}").stat().st_size > 0
    assert len(list(workdir.glob("trials/*/members_level_*.png"))) == 8


def test_rows_of_one_encoder_and_level_have_exactly_one_rate(tiny):
    results = table.read(tiny[0] / "table.csv")
    for _, rows in results.groupby(["lambda_d", "level"]):
        assert rows.rate_exact.nunique() == 1
        assert rows.rate_estimated.nunique() == 1


def test_bytes_agree_with_the_estimate_beside_the_header(tiny):
    results = table.read(tiny[0] / "table.csv")
    payload = results.rate_exact - results.rate_header
    np.testing.assert_allclose(payload, results.rate_estimated, rtol=0.01)


def test_a_higher_level_costs_rate_and_buys_distortion(tiny):
    results = table.read(tiny[0] / "table.csv").set_index(["lambda_d", "lambda_p", "level"])
    low, high = results.xs(1, level="level"), results.xs(2, level="level")
    assert (high.rate_exact > low.rate_exact).all()
    assert (high.mse < low.mse).all()


def test_every_trial_and_every_encoder_keeps_a_record(tiny):
    workdir = tiny[0]
    recorded = list(workdir.glob("trials/*/record.jsonl")) + list(
        workdir.glob("encoders/*/record/record.jsonl")
    )
    assert len(recorded) == 4 + 2
    for path in recorded:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines and all({"step", "rate", "distortion"} <= set(line) for line in lines)


def test_a_second_start_trains_nothing_and_prints_the_same_table(tiny, command):
    workdir, first = tiny
    before = {p: p.stat().st_mtime_ns for p in workdir.glob("*/*/checkpoints/*")}
    written = (workdir / "table.csv").read_bytes()
    again = command("sweep", "--experiment=experiments/quickstart.py:tiny", f"--workdir={workdir}")
    assert again.returncode == 0
    assert "step" not in again.stdout
    assert (workdir / "table.csv").read_bytes() == written
    assert {p: p.stat().st_mtime_ns for p in workdir.glob("*/*/checkpoints/*")} == before


def test_other_tests_of_what_is_trained_go_elsewhere(tiny, tmp_path, capsys):
    """More β than the sweep measured: rows as they were, and new ones between them."""
    workdir, out = tiny[0], tmp_path / "more"
    before = sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*"))
    call = ["evaluate", f"--workdir={workdir}", "--config.evaluation.realism=(0.5, 1.0)"]
    call += ["--config.evaluation.levels", "(2,)", f"--out={out}"]
    assert main.main(call) == 0
    assert sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*")) == before
    old, new = (table.read(one / "table.csv") for one in (workdir, out))
    assert set(zip(new.level, new.realism, strict=True)) == {(2, 0.5), (2, 1.0)}
    measured = [c for c in old if not c.startswith("seconds") and c != "config_hash"]
    whole = new[new.realism == 1][measured].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, old[old.level == 2][measured].reset_index(drop=True))
    assert new.rate_exact.nunique() == 2  # of two λ_d: no β changes what is sent
    rows = sorted((p, p.stat().st_mtime_ns) for p in out.glob("trials/*/rows.json"))
    capsys.readouterr()
    assert main.main(call) == 0  # started again, it finds all done
    assert sorted((p, p.stat().st_mtime_ns) for p in out.glob("trials/*/rows.json")) == rows
    for other in (["status", str(out)], ["evaluate", f"--workdir={out}"]):
        assert main.main(other) == 2
        assert f"what was trained is in {workdir.resolve()}" in capsys.readouterr().err
    (out / "measured.json").write_text('{"sweep": "runs/other"}')
    assert main.main(call) == 2
    assert "holds measurements of runs/other, not of" in capsys.readouterr().err


def test_measurements_never_go_into_another_sweep(tiny, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(tiny[0], other)
    (next(other.glob("trials/*/rows.json"))).unlink()
    before = sorted((p, p.stat().st_mtime_ns) for p in other.rglob("*"))
    assert main.main(["evaluate", f"--workdir={tiny[0]}", f"--out={other}"]) == 2
    assert "holds a sweep of its own; choose another --out" in capsys.readouterr().err
    assert sorted((p, p.stat().st_mtime_ns) for p in other.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--config.evaluation.members=2"], "evaluate needs --out=DIR where"),
        (["--config.stages.fidelity.steps=2", "--out=x"], "can change data.test and evaluation"),
        (["--config.evaluation.member=2", "--out=x"], "no such key: evaluation.member"),
        (["--config.evaluatoin.limit=2", "--out=x"], "no such key: evaluatoin.limit"),
        (["--config.evaluation.limit=0", "--out=x"], "must be an integer from 1 or None"),
        (["--config.evaluation.lpips=3", "--out=x"], "must be a path or None, got 3"),
        (["--config.evaluation.levels=(9,)", "--out=x"], "evaluation.levels must be of 1 to 2"),
        (["--config.data.test=folder:nowhere", "--out=x"], "nowhere"),
        (["--out={tiny}"], "holds a sweep of its own; choose another --out"),
        (["--config.evaluation.members=2", "--out=gs://b/x"], "must be a directory of this"),
    ],
)
def test_tests_that_cannot_be_changed_are_refused(
    tiny, tmp_path, monkeypatch, capsys, given, message
):
    monkeypatch.chdir(tmp_path)
    given = [argument.format(tiny=tiny[0]) for argument in given]
    assert main.main(["evaluate", f"--workdir={tiny[0]}", *given]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_export_alone_rewrites_what_was_deleted(tiny, command, tmp_path):
    workdir = tmp_path / "copy"
    shutil.copytree(tiny[0], workdir)
    (workdir / "table.csv").unlink()
    assert command("export", f"--workdir={workdir}").returncode == 0
    assert (workdir / "table.csv").read_bytes() == (tiny[0] / "table.csv").read_bytes()


def test_claims_stay_with_the_table_that_they_are_of(tiny, tmp_path, capsys):
    workdir = pathlib.Path(shutil.copytree(tiny[0], tmp_path / "copy"))
    (workdir / "claims.json").write_text('[{"claim": "it is so", "holds": true, "measured": "1"}]')
    export.export(workdir, rich.console.Console())
    assert "it is so" in (workdir / "report.html").read_text()
    path = next(workdir.glob("trials/*/rows.json"))
    path.write_text(path.read_text().replace('"mse": ', '"mse": 1'))
    export.export(workdir, rich.console.Console())
    assert not (workdir / "claims.json").exists()
    assert "it is so" not in (workdir / "report.html").read_text()


def test_a_sweep_that_diverged_as_a_whole_still_has_a_table_and_a_page(tiny, tmp_path, capsys):
    workdir = pathlib.Path(shutil.copytree(tiny[0], tmp_path / "copy"))
    made = plan.make(sweep.read_config(workdir))
    examples = evaluate.subjects(made.config)
    for trial in made.trials:
        rows = evaluate.failed_rows(made, trial, "rate not finite at step 7", examples)
        (workdir / "trials" / trial.name / "rows.json").write_text(json.dumps(rows))
    claims = export.export(workdir, rich.console.Console(), judge=lambda results: 1 / 0)
    assert claims == [] and set(table.read(workdir / "table.csv").status) == {"diverged"}
    assert "rate not finite at step 7" in (workdir / "report.html").read_text()
    assert "rate not finite" in capsys.readouterr().out


SWEEP = ("sweep", "--config=configs/photos.py:tiny")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("sweeep",), ("sweeep", "sweep", "export")),
        (("sweep",), ("--config",)),
        ((*SWEEP,), ("--workdir",)),
        (("sweep", "--config=configs/nothing.py", "--workdir={}"), ("nothing.py",)),
        ((*SWEEP, "--workdir={}", "--config.codec.chanels=3"), ("chanels",)),
        ((*SWEEP, "--workdir={}", "--config.data.source=phtos"), ("phtos", "photos", "gaussian")),
        (
            (*SWEEP, "--workdir={}", "--config.perception.name=lpips"),
            ("lpips", "sliced_wasserstein", "wgan_gp"),
        ),
        ((*SWEEP, "--workdir={}", "--config.distortion=psrn"), ("psrn", "mse", "ms_ssim")),
        ((*SWEEP, "--workdir={}", "--config.sweep.lambda_d=(-1.0,)"), ("lambda_d", "-1")),
        ((*SWEEP, "--workdir={}", "--config.sweep.lambda_p=(0.0,-2.0)"), ("lambda_p", "-2")),
        ((*SWEEP, "--workdir={}", "--config.evaluation.members=0"), ("members", "0")),
        ((*SWEEP, "--workdir={}", "--config.stages.fidelity.crop=4"), ("crop", "4", "stride")),
        (
            (*SWEEP, "--workdir={}", "--config.codec.hyper=4", "--config.stages.fidelity.crop=48"),
            ("fidelity.crop 48", "stride 8, 4 of them"),
        ),
        ((*SWEEP, "--workdir={}", "--config.codec.stride=64"), ("codec.stride", "at most 32")),
        ((*SWEEP, "--workdir={}", "--config.stages.fidelity.steps=0"), ("steps", "0")),
        (("evaluate", "--workdir={}"), ("holds no sweep",)),
        (("export", "--workdir={}"), ("holds no sweep",)),
        (("sweep", "stray", "--workdir={}"), ("stray",)),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(called, tmp_path, arguments, named):
    workdir = tmp_path / "run"
    done = called(*(argument.format(workdir) for argument in arguments))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    for word in named:
        assert word in done.stderr
    assert not workdir.exists()


def test_a_workdir_of_another_sweep_is_left_alone(tiny, called):
    before = sorted((p, p.stat().st_mtime_ns) for p in tiny[0].rglob("*"))
    done = called(*SWEEP, f"--workdir={tiny[0]}", "--config.sweep.lambda_d=(10.0,200.0)")
    assert done.returncode == 2
    assert "lambda_d" in done.stderr and done.stderr.count("\n") == 1
    assert sorted((p, p.stat().st_mtime_ns) for p in tiny[0].rglob("*")) == before


def test_a_directory_with_other_files_is_left_alone(command, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = command(*SWEEP, f"--workdir={tmp_path}")
    assert done.returncode == 2 and "holds no sweep" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_experiment_is_a_flag_and_no_part_of_a_name():
    values, _, _ = command_line.parse("export", ["--workdir=runs/rd--experiment2"])
    assert values.workdir == "runs/rd--experiment2"


@pytest.mark.parametrize("verb", ["sweep", "train", "evaluate", "export", "bench"])
def test_help_describes_the_flags_of_each_verb(called, verb):
    done = called(verb, "--help")
    assert done.returncode == 0
    assert ("--out" if verb == "bench" else "--workdir") in done.stdout.replace("--[no]", "--")


@pytest.mark.parametrize("verb", ["package", "compress", "decompress", "inspect"])
def test_help_of_a_codec_verb_shows_what_it_takes(capsys, verb):
    assert main.main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--codec" in printed
    assert (
        f"./launch.sh {' '.join((verb, *command_line.ARGUMENTS.get(verb, ())))} [flags]" in printed
    )


def test_every_verb_is_listed_wherever_verbs_are():
    readme = (pathlib.Path(main.__file__).parents[1] / "README.md").read_text()
    for verb in set(command_line.VERBS) - {"quickstart"} | {"test"}:
        assert f"    ./launch.sh {verb} " in main.__doc__
        assert f"| `{verb}" in readme


def test_a_picture_goes_through_the_codec_of_a_trial_and_back(tiny, tmp_path, capsys):
    def run(*arguments):
        assert main.main(list(map(str, arguments))) == 0  # in this process: tests compile faster
        return capsys.readouterr().out

    picture, stream = tmp_path / "in.png", tmp_path / "out.syn"
    Image.fromarray(data.astronaut()[:60, :90]).save(picture)
    codec = f"--codec={tmp_path / 'codec'}"
    trial = table.read(tiny[0] / "table.csv").trial[0]
    before = sorted((p, p.stat().st_mtime_ns) for p in tiny[0].rglob("*"))
    assert trial in run("package", f"--workdir={tiny[0]}", f"--trial={trial}", codec)
    assert sorted((p, p.stat().st_mtime_ns) for p in tiny[0].rglob("*")) == before
    assert "bpp" in run("compress", picture, stream, codec)
    run("decompress", stream, tmp_path / "out.png", codec, "--members=2")
    for j in (0, 1):
        with Image.open(tmp_path / f"out_{j}.png") as member:
            assert np.asarray(member).shape == (60, 90, 3)


def test_packaging_names_the_trials_that_there_are(tiny, tmp_path, capsys):
    call = ["package", f"--workdir={tiny[0]}", f"--codec={tmp_path / 'codec'}"]
    assert main.main([*call, "--trial=best"]) == 2
    error = capsys.readouterr().err
    for trial in table.read(tiny[0] / "table.csv").trial:
        assert trial in error
    (tmp_path / "codec").mkdir()
    assert main.main([*call, f"--trial={trial}"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert not list((tmp_path / "codec").iterdir())


def test_a_trial_whose_last_checkpoint_is_damaged_is_not_packaged_and_not_trained(
    tiny, tmp_path, capsys
):
    workdir = pathlib.Path(shutil.copytree(tiny[0], tmp_path / "copy"))
    trial = table.read(workdir / "table.csv").trial[0]
    for checkpoints in workdir.glob("*/*/checkpoints"):
        newest = max(p for p in checkpoints.iterdir() if p.name.isdecimal())
        for path in (p for p in newest.rglob("*") if p.is_file()):
            path.write_bytes(b"")
    before = sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*"))
    call = ["package", f"--workdir={workdir}", f"--trial={trial}", f"--codec={tmp_path / 'codec'}"]
    assert main.main(call) == 2
    error = capsys.readouterr().err
    assert "checkpoint" in error or "finish it" in error
    assert sorted((p, p.stat().st_mtime_ns) for p in workdir.rglob("*")) == before
    assert not (tmp_path / "codec").exists()


def test_an_adversarial_critic_trains_through_the_command_line(command, tmp_path):
    workdir = tmp_path / "run"
    flags = ["--config.sweep.lambda_d=(24.0,)", "--config.sweep.lambda_p=(7200.0,)"]
    flags += [f"--config.stages.{stage}.steps=6" for stage in ("fidelity", "perception")]
    done = command(
        "sweep", "--config=configs/gaussian.py:tiny,wgan_gp", f"--workdir={workdir}", *flags
    )
    assert done.returncode == 0, done.stderr
    results = table.read(workdir / "table.csv")
    assert list(results.perception) == ["wgan_gp"] and set(results.status) == {"ok"}
    record = (workdir / "trials" / "ld=24,lp=7200" / "record.jsonl").read_text().splitlines()
    critic = [json.loads(line)["critic_gradient_norm"] for line in record]
    assert len(critic) == 6 and np.all(np.isfinite(critic)) and len(set(critic)) > 1
