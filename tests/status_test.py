"""What `status` says of a sweep, from its files alone."""

import json
import os
import time

import pytest

from synjax import main
from synjax.training import checkpoint, ledger, plan
from synjax.verbs import workdirs


@pytest.fixture
def home(tiny_config, tmp_path):
    """A sweep that was opened and not begun."""
    [(_, home)] = workdirs.open_plans(tiny_config(), tmp_path / "run", None)
    return home


def _shown(home, capsys):
    assert main.main(["status", str(home)]) == 0
    return capsys.readouterr().out


def _save(home, name, step):
    for part in checkpoint.DESCRIBED:
        path = home / name / "checkpoints" / f"{step:08d}" / part
        path.parent.mkdir(parents=True)
        path.write_text("{}")


def _record(path, stage, step, age):
    path.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": k, "stage": stage}) for k in (step - 1, step)]
    (path / ledger.RECORD).write_text("\n".join([*lines, '{"step": 1']))  # the last one is torn
    then = time.time() - age
    os.utime(path / ledger.RECORD, (then, then))


def _line(shown, name):
    return " ".join(next(line for line in shown.splitlines() if f" {name} " in line).split())


def test_a_sweep_that_was_not_begun_waits(home, capsys):
    shown = _shown(home, capsys)
    assert "6 runs: 6 waiting; 4 trials: 4 waiting; 0 % of all steps" in shown
    assert _line(shown, "encoders/ld=24") == "run encoders/ld=24 waiting"


def test_running_stopped_failed_and_done_are_told_apart(home, capsys):
    _save(home, "encoders/ld=2.4", 30)
    _save(home, "decoders/ld=2.4,lp=0", 30)
    _save(home, "decoders/ld=2.4,lp=7200", 10)
    _record(home / "trials" / "ld=2.4,lp=7200", "perception", 14, age=7)
    _save(home, "encoders/ld=24", 20)
    (home / "encoders" / "ld=24" / ledger.FAILED).write_text('{"reason": "rate not finite"}')
    shown = _shown(home, capsys)
    running = "run decoders/ld=2.4,lp=7200 running step 15 of 30, last line 7 s ago"
    assert _line(shown, "decoders/ld=2.4,lp=7200") in (running, running.replace("7 s", "8 s"))
    assert _line(shown, "encoders/ld=24") == "run encoders/ld=24 failed rate not finite"
    # What starts from it will not be trained either, and the reason is the same.
    assert _line(shown, "ld=24,lp=0") == "trial ld=24,lp=0 failed rate not finite"
    assert _line(shown, "ld=2.4,lp=0") == "trial ld=2.4,lp=0 trained not evaluated yet"
    assert "6 runs: 2 done, 1 running, 3 failed; 4 trials: 1 trained, 1 waiting, 2 failed" in shown
    _record(home / "trials" / "ld=2.4,lp=7200", "perception", 14, age=4000)
    assert "stopped step 15 of 30, last line 4000 s" in _line(
        _shown(home, capsys), "decoders/ld=2.4,lp=7200"
    )


def test_trials_are_what_their_rows_say(home, capsys):
    for name, row in (
        ("ld=2.4,lp=0", {"status": "ok"}),
        ("ld=24,lp=0", {"status": "diverged", "reason": "mse not finite"}),
        ("ld=24,lp=7200", {"status": "below_bound"}),
    ):
        path = home / "trials" / name / ledger.ROWS
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps([row]))
    shown = _shown(home, capsys)
    assert _line(shown, "ld=24,lp=0") == "trial ld=24,lp=0 failed mse not finite"
    assert _line(shown, "ld=24,lp=7200") == "trial ld=24,lp=7200 done below_bound"
    assert "4 trials: 2 done, 1 waiting, 1 failed" in shown


def test_what_diverged_is_shown_with_the_files_that_keep_it_from_being_tried_again(home, capsys):
    hint = "to try again what diverged, remove in it and start it again"
    ledger.note_death(home / "encoders" / "ld=24", "its job died")
    assert hint not in _shown(home, capsys)
    (home / "encoders" / "ld=24" / ledger.FAILED).write_text('{"reason": "rate not finite"}')
    rows = home / "trials" / "ld=24,lp=0" / ledger.ROWS
    rows.parent.mkdir(parents=True)
    rows.write_text('[{"status": "diverged", "reason": "rate not finite"}]')
    shown = _shown(home, capsys)
    assert f"{hint}: encoders/ld=24/failed.json trials/ld=24,lp=0/rows.json\n" in shown


def test_a_job_that_died_in_the_evaluation_is_a_reason_too(home, capsys):
    _save(home, "encoders/ld=24", 30)
    _save(home, "decoders/ld=24,lp=0", 30)
    ledger.note_death(home / "decoders" / "ld=24,lp=0", "its job died with status 1: out of memory")
    shown = _shown(home, capsys)
    reason = "failed its job died with status 1: out of memory"
    assert _line(shown, "ld=24,lp=0") == f"trial ld=24,lp=0 {reason}"
    assert _line(shown, "encoders/ld=24") == "run encoders/ld=24 done"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", '{"name": "a', "config.json is not JSON"),
        ("config.json", "{}", "config.json is no configuration: it has no key 'sweep'"),
        ("trials/ld=24,lp=0/rows.json", "", "rows.json is not JSON"),
        ("encoders/ld=24/failed.json", "", "failed.json is not JSON"),
        (ledger.PLAN, "{", "plan.json is not JSON"),
        (ledger.PLAN, "{}", "plan.json lists no runs and trials"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(home, capsys, name, text, said):
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    assert main.main(["status", str(home)]) == 2
    error = capsys.readouterr().err
    assert f"{home / name}" in error and said in error and error.count("\n") == 1


def test_status_reads_no_data_and_writes_nothing(home, capsys, monkeypatch):
    monkeypatch.setattr(plan, "make", None)
    before = sorted((p, p.stat().st_mtime_ns) for p in home.rglob("*"))
    _shown(home, capsys)
    assert sorted((p, p.stat().st_mtime_ns) for p in home.rglob("*")) == before


def test_a_sweep_of_an_earlier_version_has_a_status_too(home, capsys):
    shown = _shown(home, capsys)
    (home / ledger.PLAN).unlink()
    assert _shown(home, capsys) == shown
    assert not (home / ledger.PLAN).exists()


def test_variants_are_listed_one_after_another(tiny_config, tmp_path, capsys):
    class Experiment:
        @staticmethod
        def variants(config):
            return {"a": config, "b": config | {"distortion": "mse"}}

    workdirs.open_plans(tiny_config(), tmp_path / "run", Experiment)
    encoder = json.loads((tmp_path / "run" / "a" / ledger.PLAN).read_text())["runs"][0]
    assert encoder["directory"].startswith("../encoders/")
    _save(tmp_path / "run" / "a", encoder["directory"], 30)
    shown = _shown(tmp_path / "run", capsys)
    assert f"{tmp_path / 'run' / 'a'}\n" in shown and f"{tmp_path / 'run' / 'b'}\n" in shown
    assert "12 runs: 2 done, 10 waiting" in shown  # both variants share it


def test_what_is_no_sweep_is_status_2_and_one_line(tmp_path, capsys):
    for arguments in ([str(tmp_path)], [str(tmp_path / "none")], []):
        assert main.main(["status", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
