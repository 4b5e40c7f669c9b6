"""The runs of a sweep in several processes: the same table, and nothing lost when one dies."""

import contextlib
import errno
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types

import conftest
import pandas as pd
import pytest
import rich.console
import submitit

from synjax import main
from synjax.launching import launch, slurm, waves, workers
from synjax.reporting import plots, table
from synjax.training import checkpoint, interruption, ledger, mesh, plan
from synjax.verbs import train, workdirs


def _console():
    return rich.console.Console(file=io.StringIO(), width=300)


@pytest.fixture(scope="module")
def asked():
    """One encoder and two decoders, of few steps."""
    asked = conftest.load_config("configs/gaussian.py", "tiny")
    asked["sweep"] |= {"lambda_d": (7.2,), "lambda_p": (0.0, 50.0)}
    for stage in asked["stages"].values():
        stage |= {"steps": 6, "checkpoint_every": 3}
    return asked


@pytest.fixture(scope="module")
def inline(asked, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("inline") / "run"
    with pytest.MonkeyPatch.context() as patch:
        _without_plots(patch)
        train.sweep(asked, workdir, _console())
    return workdir


def _without_plots(patch):
    """They take half of the time, and nobody looks at them here."""
    for name in ("rate_distortion", "distortion_perception"):
        patch.setattr(plots, name, lambda *unused: [])


@pytest.fixture(scope="module")
def left(asked, environment, tmp_path_factory):
    """What a sweep of two processes leaves when the one with λ_p = 50 dies: workdir, out, err."""
    workdir = tmp_path_factory.mktemp("left") / "run"
    config = workdir.with_name("config.json")
    config.write_text(json.dumps(asked))
    start = workers.Subprocess.start

    def dies(self, command):
        return start(self, command if "lp=50" not in command[-1] else [*command[:4], "false"])

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        _without_plots(patch)
        _compile_alike(patch, environment)
        patch.setattr(workers.Subprocess, "start", dies)
        flags = [f"--config={config}", f"--workdir={workdir}", "--launcher=subprocess", "--jobs=2"]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            assert main.main(["sweep", *flags]) == 1
    return workdir, out.getvalue(), err.getvalue()


def _compile_alike(patch, environment):
    """Workers compile as this process does, and from the same cache."""
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setenv("JAX_NUMPY_RANK_PROMOTION", "raise")


def _measured(workdir):
    results = table.read(workdir / "table.csv")
    return results[[name for name in results if not name.startswith("seconds")]]


def _files(directory):
    return sorted((p, p.stat().st_mtime_ns) for p in directory.rglob("*") if p.is_file())


def test_processes_give_the_rows_that_one_process_gives(left, inline):
    whole = _measured(inline)
    expected = whole[whole.lambda_p == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(_measured(left[0]), expected)


def test_a_dead_job_ends_the_command_with_status_1_and_one_line(left):
    _, out, err = left
    assert err.count("\n") == 1 and "1 of the jobs died" in err
    assert "decoders/ld=7.2,lp=50, died with status 1: it printed no error" in out
    assert "Not evaluated yet: ld=7.2,lp=50" in out


def test_submitit_does_what_is_missing_and_nothing_else(left, inline, asked, tmp_path, environment):
    workdir = pathlib.Path(shutil.copytree(left[0], tmp_path / "run"))
    before = _files(workdir / "decoders" / "ld=7.2,lp=0")
    logs = len(list((workdir / launch.LOGS).glob("*.out")))
    executor = submitit.LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=10)
    with pytest.MonkeyPatch.context() as patch:
        _without_plots(patch)
        _compile_alike(patch, environment)
        for _ in range(2):  # the second time nothing is left
            train.sweep(asked, workdir, _console(), share=launch.Share(slurm.Slurm(executor), 1))
    pd.testing.assert_frame_equal(_measured(workdir), _measured(inline))
    assert len(list((workdir / launch.LOGS).glob("*.out"))) == logs + 1
    assert _files(workdir / "decoders" / "ld=7.2,lp=0") == before


def test_status_shows_what_is_done_and_what_is_not_and_touches_nothing(left, capsys):
    before = _files(left[0])
    assert main.main(["status", str(left[0])]) == 0
    shown = capsys.readouterr().out
    died = "failed    its job died with status 1: it printed no error\n"
    assert f"run    decoders/ld=7.2,lp=50  {died}" in shown and "\x1b" not in shown
    assert f"trial  ld=7.2,lp=50  {died}" in shown
    assert "3 runs: 2 done, 1 failed; 2 trials: 1 done, 1 failed; 67 % of all steps" in shown
    assert _files(left[0]) == before


class _Stub:
    """A launcher whose workers do nothing, but note what they were started for, or die."""

    def __init__(self, dies=""):
        self.dies, self.started, self.peak, self._running = dies, [], 0, []

    def left(self):
        return []

    def expect(self, count):
        pass

    def start(self, command):
        names = command[-1].removeprefix("--runs=").split(";")
        self.started.append(names)
        code = "import sys; print('so it is', file=sys.stderr); sys.exit(3)"
        code = code if self.dies and self.dies in command[-1] else "import time; time.sleep(0.3)"
        handle = workers.Subprocess().start([*command[:4], sys.executable, "-c", code])
        self._running = [h for h in self._running if h.status() is None] + [handle]
        self.peak = max(self.peak, len(self._running))
        return handle


def _pretend(home, made, names):
    for each in made.runs:
        if each.name in names:
            step = home / made.directory(each) / "checkpoints" / f"{each.stage.steps:08d}"
            for name in checkpoint.DESCRIBED:
                (step / name).parent.mkdir(parents=True)
                (step / name).write_text("{}")


@pytest.fixture
def made(tiny_config):
    asked = tiny_config()
    asked["sweep"] |= {"lambda_d": (2.4, 7.2, 24.0), "lambda_p": (0.0, 50.0)}
    return plan.make(asked)


def test_encoders_come_first_and_the_runs_of_a_stage_are_split_evenly(made, tmp_path):
    cut = waves.waves([(made, tmp_path)], 2, evaluated=False)
    first = next(cut)
    assert sorted(len(job.names) for job in first) == [1, 2]
    names = {name for job in first for name in job.names}
    assert names == {each.name for each in made.runs if each.parent is None}
    _pretend(tmp_path, made, names - {"encoders/ld=24"})  # one of them died
    second = next(cut)
    assert sorted(len(job.names) for job in second) == [2, 2]
    parents = {each.name: each.parent for each in made.runs}
    assert {parents[n] for job in second for n in job.names} == names - {"encoders/ld=24"}


def test_a_run_whose_last_checkpoint_is_empty_is_trained_again(made, tmp_path):
    names = [each.name for each in made.runs]
    _pretend(tmp_path, made, names)
    (tmp_path / "encoders/ld=24/checkpoints/00000030" / checkpoint.DESCRIBED[0]).write_text("")
    first = next(waves.waves([(made, tmp_path)], 2, evaluated=False))
    assert [job.names for job in first] == [("encoders/ld=24",)]


def test_encoders_that_variants_share_are_in_one_job(tiny_config, tmp_path):
    shared = tiny_config() | {"shared_encoders": "../encoders"}
    plans = [(plan.make(shared), tmp_path / name) for name in ("a", "b")]
    first = next(waves.waves(plans, 1, evaluated=False))
    assert [job.home for job in first] == [tmp_path / "a"]


def test_flags_of_devices_are_for_the_workers(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(train, "train", lambda *arguments: asked.extend(arguments))
    flags = ["--launcher=subprocess", "--jobs=3", "--mesh=2x4", "--stack=0"]
    config = "--config=configs/gaussian.py:tiny"
    assert main.main(["train", config, f"--workdir={tmp_path}", *flags]) == 0
    devices, share = asked[-2:]
    assert devices is None and share.jobs == 3 and share.flags == ("--mesh=2x4", "--stack=0")
    command = waves.Job(tmp_path, ("a", "b")).command("train", share.flags)
    assert command[3:] == [
        "train",
        "--mesh=2x4",
        "--stack=0",
        f"--workdir={tmp_path}",
        "--runs=a;b",
    ]


def test_a_job_that_dies_is_reported_and_the_others_go_on(made, tmp_path):
    stub, console = _Stub(dies="ld=7.2"), _console()
    plans = [(made, tmp_path)]
    died = launch.launch(plans, launch.Share(stub, 3), "train", tmp_path / "jobs", console)
    printed = console.file.getvalue()
    assert died == 1 and len(stub.started) == 3 and stub.peak <= 3
    assert "encoders/ld=7.2, died with status 3: so it is" in printed
    assert printed.count(", done in ") == 2
    runs, _ = ledger.observe(tmp_path, ledger.describe(made))
    reasons = {entry["name"]: entry["reason"] for entry in runs if entry["state"] == "failed"}
    assert reasons["encoders/ld=7.2"] == "its job died with status 3: so it is"
    assert len(reasons) == 3  # and its decoders
    with workdirs.alone([tmp_path / "encoders" / "ld=7.2"]):  # who starts it again
        assert {entry["state"] for entry in ledger.observe(tmp_path, ledger.describe(made))[0]} == {
            "waiting"
        }


def test_a_signal_to_the_parent_reaches_the_workers(made, tmp_path):
    script = f"""
import sys, rich.console
sys.path.insert(0, {str(conftest.ROOT)!r})
from synjax.launching import launch, waves, workers
from synjax.training import interruption
class Sleeps(workers.Subprocess):
    def start(self, command):
        return super().start([*command[:4], "sh", "-c", "echo $$ >&2; exec sleep 600"])
waves.waves = lambda *a, **k: [[waves.Job({str(tmp_path)!r}, ("a",)) for _ in range(3)]]
waves.Job.command = lambda self, verb, flags: []
import pathlib
try:
    logs = pathlib.Path({str(tmp_path / "jobs")!r})
    with interruption.handled():
        launch.launch([], launch.Share(Sleeps(), 2), "train", logs, rich.console.Console())
except interruption.Interrupted:
    sys.exit(interruption.STATUS)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=conftest.ROOT)
    logs = [tmp_path / "jobs" / f"000{k}.err" for k in (0, 1)]
    _wait(lambda: all(log.exists() and log.read_text().endswith("\n") for log in logs))
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(60) == interruption.STATUS
    for log in logs:
        with pytest.raises(ProcessLookupError):
            os.kill(int(log.read_text()), 0)
    assert not (tmp_path / "jobs" / "0002.out").exists()  # what had not begun does not


def _wait(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("visible", "jobs", "own", "share"),
    [
        ("0,1,2,3", 4, ["0", "1", "2", "3"], None),
        ("4,5,6", 2, ["4,6", "5"], None),
        ("GPU-a, GPU-b", 4, ["GPU-a", "GPU-b", "GPU-a", "GPU-b"], "0.450"),
        ("2", 3, ["2", "2", "2"], "0.300"),
        ("", 2, ["", ""], "0.450"),
        (None, 2, ["0,2", "1"], None),
    ],
)
def test_workers_divide_the_gpus(monkeypatch, tmp_path, visible, jobs, own, share):
    if visible is None:  # those of /dev
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(workers, "DEVICES", tmp_path / "dev")
        (tmp_path / "dev").mkdir()
        for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm", "null"):
            (tmp_path / "dev" / name).touch()
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    launcher = workers.Subprocess()
    launcher.expect(jobs)

    def started(name):
        says = 'echo "$CUDA_VISIBLE_DEVICES $XLA_PYTHON_CLIENT_MEM_FRACTION" >"$0"; exec sleep 60'
        handle = launcher.start(["/bin/sh", "-c", says, str(tmp_path / name)])
        _wait(lambda: (tmp_path / name).exists() and (tmp_path / name).read_text())
        return handle, (tmp_path / name).read_text().rstrip("\n")

    handles, said = zip(*(started(str(place)) for place in range(jobs)), strict=True)
    assert list(said) == [f"{one} {share or ''}" for one in own]
    handles[-1].stop()
    _wait(lambda: handles[-1].status() is not None)
    again, one = started("again")  # who ended leaves its GPUs to the next
    assert one == said[-1]
    for handle in (*handles[:-1], again):
        handle.stop()
    launcher.expect(1)  # a stage with one job
    assert started("alone")[1] == " ".join([",".join(dict.fromkeys(workers.gpus())), ""])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7,8")
    launcher = workers.Subprocess(divides=False)
    launcher.expect(2)
    assert started("whole")[1] == "7,8 0.450"


def test_a_worker_ends_when_its_parent_is_gone(tmp_path):
    code = "from synjax.launching import workers; import time; workers.end_with_parent(); "
    code += "time.sleep(600)"
    script = "import os, subprocess, sys; os.environ['SYNJAX_PARENT'] = str(os.getpid()); "
    script += f"print(subprocess.Popen([sys.executable, '-c', {code!r}]).pid)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=conftest.ROOT, stdout=subprocess.PIPE, timeout=60
    )

    def is_gone():
        try:
            os.kill(int(done.stdout), 0)
        except ProcessLookupError:
            return True
        return False

    _wait(is_gone)


def test_two_workers_are_never_in_one_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.3)
    with workers.alone([tmp_path / "a", tmp_path / "b"]):
        refused = pytest.raises(ValueError, match="another process is training in .*b")
        with refused, workers.alone([tmp_path / "c", tmp_path / "b"]):
            pass
        with workers.alone([tmp_path / "c"]):
            pass
    with workers.alone([tmp_path / "b"]):
        pass


def test_a_second_call_trains_nothing_and_says_so(made, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.3)
    monkeypatch.setattr(workdirs, "train", pytest.fail)
    workdirs.open_plans(made.config, tmp_path, None)
    busy = tmp_path / made.directory(made.runs[-1])
    for verb in (train.train, train.sweep):
        refused = pytest.raises(ValueError, match=f"another process is training in {busy}")
        with workers.alone([busy]), refused:
            verb(made.config, tmp_path, _console())


def test_of_several_processes_the_first_asks_for_all(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.3)
    monkeypatch.setattr(mesh, "is_first", lambda: False)
    with workers.alone([tmp_path]):
        with workdirs.alone([tmp_path]):
            pass
        monkeypatch.setattr(interruption, "first_says", lambda refused: True)
        with pytest.raises(ValueError, match="the first process"), workdirs.alone([tmp_path]):
            pass


def test_what_is_done_is_neither_locked_nor_read(inline, asked, monkeypatch):
    assert workdirs.left(plan.make(asked), inline, evaluated=True) == []
    for name in ("alone", "train"):
        monkeypatch.setattr(workdirs, name, pytest.fail)
    _without_plots(monkeypatch)
    before = _measured(inline)
    train.sweep(asked, inline, _console())
    pd.testing.assert_frame_equal(_measured(inline), before)


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, caplog):
    def refuses(*unused):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(workers.fcntl, "flock", refuses)
    with workers.alone([tmp_path]):
        assert f"{tmp_path} cannot be locked (Function not implemented)" in caplog.text


class _Job:
    """A job of submitit as a parent that is started again finds it."""

    state, cancelled, looks = "RUNNING", [], 0

    def __init__(self, folder, job_id):
        self.job_id = job_id

    def done(self):
        _Job.looks += 1
        return self.job_id == "11" or (self.job_id == "12" and (_Job.looks > 8 or _Job.cancelled))

    def exception(self):
        return None

    def cancel(self):
        _Job.cancelled.append(self.job_id)


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """A launcher whose earlier start submitted job 11, which is done, and 12, which runs."""
    for job in (11, 12):
        (tmp_path / f"{job}_submitted.pkl").touch()
    monkeypatch.setattr(_Job, "looks", 0)
    monkeypatch.setattr(_Job, "cancelled", [])
    executor = types.SimpleNamespace(folder=tmp_path, job_class=_Job)
    return launch.Share(slurm.Slurm(executor), 1)


def test_jobs_of_an_earlier_start_are_waited_for(submitted, tmp_path):
    console = _console()
    assert launch.launch([], submitted, "train", tmp_path / "jobs", console) == 0
    assert console.file.getvalue() == "Waiting for the jobs of an earlier start: 12\n"
    assert _Job.looks > 8 and _Job.cancelled == []


def test_a_signal_ends_the_jobs_of_an_earlier_start_too(submitted, tmp_path, monkeypatch):
    monkeypatch.setattr(interruption, "requested", lambda: True)
    with pytest.raises(interruption.Interrupted):
        launch.launch([], submitted, "train", tmp_path / "jobs", _console())
    assert _Job.cancelled == ["12"]


def test_jobs_that_slurm_forgot_are_not_waited_for(submitted, monkeypatch):
    monkeypatch.setattr(_Job, "state", "UNKNOWN")
    assert submitted.launcher.left() == []


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--jobs=2"], "--jobs needs --launcher"),
        (["--slurm=time=3"], "--slurm needs --launcher=slurm"),
        (["--launcher=slurm", "--slurm=partion=gpu"], "no setting 'partion', may have account"),
        (["--launcher=slurm", "--slurm=gpu"], "takes NAME=VALUE"),
        (["--launcher=slurm", "--slurm=time=3"], "needs srun"),
        (["--launcher=cloud"], "inline"),
        (["--launcher=subprocess", "--distributed=auto"], "--distributed needs --launcher=inline"),
        (["--launcher=subprocess", "--jobs=0"], "jobs"),
        (["--runs=a"], "holds no sweep"),
    ],
)
def test_a_launcher_that_cannot_be_is_one_clear_line(flags, named, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    config = "--config=configs/gaussian.py:tiny"
    assert main.main(["sweep", config, f"--workdir={tmp_path / 'run'}", *flags]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_settings_of_slurm_reach_sbatch(tmp_path, monkeypatch):
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    made = slurm.executor(tmp_path / "jobs", "partition=gpu,time=240,nodelist=a,b,gpus_per_node=1")
    wanted = {"partition": "gpu", "time": 240, "nodelist": "a,b", "gpus_per_node": 1}
    assert wanted.items() <= made.parameters.items()
    assert not (tmp_path / "jobs").exists()


def test_a_worker_refuses_runs_that_there_are_not_or_whose_parent_is_missing(
    inline, asked, tmp_path, capsys
):
    assert main.main(["train", f"--workdir={inline}", "--runs=encoders/ld=3"]) == 2
    assert "it has encoders/ld=7.2; decoders/ld=7.2,lp=0" in capsys.readouterr().err
    workdir = tmp_path / "run"
    (tmp_path / "config.json").write_text(json.dumps(asked))
    workdirs.open_plans(asked, workdir, None)
    assert main.main(["train", f"--workdir={workdir}", "--runs=decoders/ld=7.2,lp=0"]) == 2
    assert "is at step 0 of 6" in capsys.readouterr().err
    assert ledger.observe(workdir, ledger.read(workdir))[0][1]["state"] == "waiting"
