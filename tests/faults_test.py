"""What a machine can do to a run: one clear line, nothing lost, and the same command goes on."""

import errno
import os
import pathlib
import re
import subprocess

import jax
import loop_test
import numpy as np
import orbax.checkpoint as ocp
import pytest
from PIL import Image

from experiments.faults import kill_resume
from synjax import main, records
from synjax.training import checkpoint
from synjax.verbs import evaluate

ROOT = pathlib.Path(__file__).parents[1]
compiled_once, small = loop_test.compiled_once, loop_test.small
uninterrupted = loop_test.uninterrupted
ONE = ("--config.sweep.lambda_d=(24.0,)", "--config.sweep.lambda_p=(0.0,)")


@pytest.fixture
def filesystem(tmp_path):
    """filesystem(options) mounts a small tmpfs, or mounts it anew with other options."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"mounting a tmpfs is not permitted here: {done.stderr.strip()}")
        return place

    yield mount
    while os.path.ismount(place):
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_and_a_read_only_one_are_one_line_and_the_sweep_goes_on_later(
    command, filesystem
):
    place = filesystem("size=2m")
    arguments = ("train", "--config=configs/gaussian.py:tiny", *ONE, f"--workdir={place}/run")
    full = command(*arguments)
    assert full.returncode == 2 and full.stderr.count("\n") == 1, full.stderr
    # Checkpoints are written beside the steps: either may be the first to find no space.
    written = r"run/.*: cannot write (a checkpoint|the record): .*No space left"
    assert re.search(written, full.stderr), full.stderr
    (saved,) = place.glob("run/encoders/*/checkpoints")
    before = checkpoint.steps_done(saved)
    assert before > 0  # what was whole stays
    filesystem("remount,ro")
    read_only = command(*arguments)
    assert read_only.returncode == 2 and "Read-only file system" in read_only.stderr
    assert read_only.stderr.splitlines()[-1].startswith("synjax: ")
    assert "Traceback" not in read_only.stderr
    filesystem("remount,rw,size=64m")
    later = command(*arguments)
    assert later.returncode == 0, later.stderr
    assert f"step {before + 1}/30" in later.stdout
    assert sorted(p.name for p in saved.iterdir()) == ["00000020", "00000030"]


def _no_space(*unused, **named):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fails_after(patch, owner, name, calls):
    """Makes a method fail for want of space from its call number `calls` on."""
    method, count = getattr(owner, name), []

    def limited(*arguments, **named):
        count.append(None)
        return (method if len(count) < calls else _no_space)(*arguments, **named)

    patch.setattr(owner, name, limited)


@pytest.mark.parametrize(
    ("owner", "name", "calls"),
    [(records.Record, "write", 45), (ocp.CheckpointManager, "save", 6)],
    ids=["record", "checkpoint"],
)
def test_no_space_for_a_record_or_a_checkpoint_loses_nothing(
    uninterrupted,
    small,
    tmp_path,
    monkeypatch,
    owner,
    name,
    calls,  # noqa: F811
):
    with monkeypatch.context() as patch:
        _fails_after(patch, owner, name, calls)
        with pytest.raises(OSError, match="No space left on device"):
            loop_test._train(small(), tmp_path / "run")
    outcomes = loop_test._train(small(), tmp_path / "run")
    for run_name, outcome in uninterrupted[1].items():
        jax.tree.map(np.testing.assert_array_equal, outcome.params, outcomes[run_name].params)


def test_no_space_reaches_the_user_as_one_line_and_status_2(monkeypatch, capfd):
    monkeypatch.setattr(evaluate, "evaluate", _no_space)
    assert main.main(["evaluate", "--workdir=runs/mine"]) == 2
    assert capfd.readouterr().err == "synjax: [Errno 28] No space left on device\n"


def test_a_workdir_that_cannot_be_made_is_one_line(capfd):
    assert main.main(["train", "--config=configs/gaussian.py:tiny", "--workdir=/proc/run"]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "/proc/run" in error


@pytest.mark.parametrize("platform", ["cuda", "abacus"])
def test_a_missing_device_is_one_line(command, tmp_path, platform):
    if platform in {device.platform for device in jax.devices()}:
        pytest.skip(f"this machine has {platform}")
    arguments = ("train", "--config=configs/gaussian.py:tiny", f"--workdir={tmp_path / 'run'}")
    done = command(*arguments, JAX_PLATFORMS=platform)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"JAX_PLATFORMS={platform}" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_codec_that_finds_no_device_is_one_line(command, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    done = command("compress", tmp_path / "a.png", tmp_path / "a.syn", JAX_PLATFORMS="abacus")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "JAX_PLATFORMS=abacus" in done.stderr and not (tmp_path / "a.syn").exists()


def test_a_run_that_is_killed_twice_ends_bit_for_bit_like_one_that_is_not(
    tmp_path, monkeypatch, environment
):
    monkeypatch.chdir(ROOT)
    cached = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    for name in (*cached, "COLUMNS"):
        monkeypatch.setenv(name, environment[name])
    result = kill_resume.compare(tmp_path, "wgan_gp", devices=8, kills=2, seed=0)
    assert result["differing"] == []
    assert result["kills"] == 2 and result["during_a_save"] >= 1
    assert sum(count > 100 for count in result["compared"].values()) == 2  # leaves of two states
