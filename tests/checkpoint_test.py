"""Checkpoints: what is restored is what was saved, or nothing."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys

import conftest
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.training import checkpoint

RUN = {"run": "0123456789ab", "seed": 0}


def _state(value):
    return {"weights": jnp.full((64, 64), value, jnp.float32), "step": jnp.asarray(3, jnp.int32)}


def _save(directory, *values):
    with checkpoint.Checkpoints(directory) as checkpoints:
        for step, value in enumerate(values, 1):
            checkpoints.save(step, _state(value), RUN)


def _restore(directory, run=RUN):
    with checkpoint.Checkpoints(directory) as checkpoints:
        return checkpoints.restore(_state(0.0), run)


def _names(directory):
    return sorted(path.name for path in directory.iterdir())


def _cut_short(directory, step):
    """What a kill in the middle of a save leaves: the directory under orbax's temporary name."""
    left = directory / f"{step:08d}{checkpoint.UNFINISHED}"
    shutil.copytree(next(p for p in sorted(directory.iterdir()) if p.name.isdecimal()), left)
    shutil.rmtree(left / "about")
    return left


def test_what_is_empty_or_lacks_a_part_is_not_done(tmp_path):
    directory = tmp_path / "c"
    _save(directory, 1.0, 2.0)
    assert checkpoint.steps_done(directory) == 2
    (directory / "00000003").mkdir()
    assert checkpoint.steps_done(directory) == 2
    (directory / "00000002" / "state" / "manifest.ocdbt").write_bytes(b"")
    assert checkpoint.steps_done(directory) == 1
    shutil.rmtree(directory / "00000001" / "about")
    assert checkpoint.steps_done(directory) == 0


SAVES = """
import sys
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
import checkpoint_test
from synjax.training import checkpoint
with checkpoint.Checkpoints(sys.argv[3]) as checkpoints:
    target = jax.device_get(checkpoint_test._state(0.0))
    assert checkpoints.restore(target, checkpoint_test.RUN)[1] == 1
    checkpoint_test._save_numpy(checkpoints, 2, 3)
"""


def _save_numpy(checkpoints, *steps):
    """As the loop does: arrays of JAX keep the devices that they were on."""
    for step in steps:
        checkpoints.save(step, jax.device_get(_state(10.0 * step)), RUN)


def test_of_several_processes_one_sets_aside_what_all_passed_over(tmp_path, environment):
    directory = tmp_path / "c"
    with checkpoint.Checkpoints(directory) as checkpoints:
        _save_numpy(checkpoints, 1, 2)
    _damage(directory / "00000002")
    _cut_short(directory, 3)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    path = os.pathsep.join(map(str, (conftest.ROOT, conftest.ROOT / "tests")))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVES, address, str(index), directory],
            env=environment | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    state, step = _restore(directory)
    assert step == 3
    np.testing.assert_array_equal(state["weights"], 30.0)
    assert _names(directory) == ["00000002", "00000002.damaged", "00000003"]


def test_a_restored_state_equals_the_saved_one(tmp_path):
    _save(tmp_path / "c", 1.5, 2.5)
    state, step = _restore(tmp_path / "c")
    assert step == 2 and checkpoint.steps_done(tmp_path / "c") == 2
    np.testing.assert_array_equal(state["weights"], 2.5)
    assert state["step"].dtype == jnp.int32


def test_no_checkpoint_is_not_an_error(tmp_path):
    assert _restore(tmp_path / "c") == (None, 0)


def test_only_the_newest_are_kept(tmp_path):
    _save(tmp_path / "c", 1.0, 2.0, 3.0, 4.0)
    assert sorted(p.name for p in (tmp_path / "c").iterdir() if p.name.isdecimal()) == [
        "00000003",
        "00000004",
    ]


def _damage(directory):
    """Changes one stored hash, as a flipped bit in the leaf would change the computed one."""
    path = next(p for p in pathlib.Path(directory).rglob("metadata") if p.parent.name == "about")
    text = path.read_text()
    position = text.index("weights") + 14
    digit = text[position]
    path.write_text(text[:position] + ("0" if digit != "0" else "1") + text[position + 1 :])


def test_a_leaf_that_does_not_match_its_hash_is_passed_over_for_an_older_checkpoint(tmp_path):
    _save(tmp_path / "c", 1.0, 2.0)
    _damage(tmp_path / "c" / "00000002")
    state, step = _restore(tmp_path / "c")
    assert step == 1
    np.testing.assert_array_equal(state["weights"], 1.0)


def test_a_line_says_which_checkpoints_were_passed_over_and_why(tmp_path, caplog):
    directory = tmp_path / "c"
    _save(directory, 1.0, 2.0)
    _damage(directory / "00000002")
    (directory / "00000009").mkdir()
    _cut_short(directory, 4)
    before = _names(directory)
    caplog.clear()
    assert _restore(directory)[1] == 1
    lines = [line for line in caplog.messages if "passed over" in line]
    assert len(lines) == 1
    for name, why in (("00000002", "hash"), ("00000009", "empty"), ("00000004", "cut short")):
        assert f"{name}" in lines[0] and why in lines[0]
    assert _names(directory) == before  # opening and reading remove nothing


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_whatever_file_is_damaged_what_is_restored_was_saved(tmp_path, harm):
    _save(tmp_path / "whole", 1.0, 2.0)
    newest = tmp_path / "whole" / "00000002"
    files = sorted(p.relative_to(newest) for p in newest.rglob("*") if p.is_file())
    steps = []
    for number, name in enumerate(files):
        directory = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", directory)
        path = directory / "00000002" / name
        content = bytearray(path.read_bytes())
        if harm == "remove":
            path.unlink()
        elif harm == "truncate":
            path.write_bytes(content[: len(content) // 2])
        else:
            content[len(content) // 2] ^= 1 << number % 8
            path.write_bytes(content)
        state, step = _restore(directory)
        steps.append(step)
        assert step in (1, 2)
        np.testing.assert_array_equal(state["weights"], float(step))
        assert int(state["step"]) == 3
    assert 1 in steps  # most of the files matter


def test_every_flipped_bit_of_a_leaf_is_found(tmp_path):
    random = jax.random.normal(jax.random.key(0), (64, 64))  # noise: what zstd leaves as it is
    state = {"weights": random}
    for number in range(8):
        directory = tmp_path / str(number)
        with checkpoint.Checkpoints(directory) as checkpoints:
            checkpoints.save(1, jax.tree.map(jnp.zeros_like, state), RUN)
            checkpoints.save(2, state, RUN)
        data = max((directory / "00000002").rglob("*"), key=lambda p: p.stat().st_size)
        content = bytearray(data.read_bytes())
        content[(number + 1) * len(content) // 10] ^= 1 << number
        data.write_bytes(content)
        with checkpoint.Checkpoints(directory) as checkpoints:
            assert checkpoints.restore(state, RUN)[1] == 1


def test_a_passed_over_step_is_saved_again_and_stays_aside(tmp_path):
    directory = tmp_path / "c"
    _save(directory, 1.0, 2.0)
    _damage(directory / "00000002")
    damaged = checkpoint.leaf_hashes({"x": np.frombuffer(_content(directory / "00000002"), "u1")})
    (directory / "00000003").mkdir()
    _cut_short(directory, 2)
    with checkpoint.Checkpoints(directory) as checkpoints:
        assert checkpoints.restore(_state(0.0), RUN)[1] == 1
        for step in (2, 3):
            checkpoints.save(step, _state(10.0 * step), RUN)
    state, step = _restore(directory)
    assert step == 3
    np.testing.assert_array_equal(state["weights"], 30.0)
    assert _names(directory) == ["00000002", "00000002.damaged", "00000003", "00000003.damaged"]
    aside = np.frombuffer(_content(directory / "00000002.damaged"), "u1")
    assert checkpoint.leaf_hashes({"x": aside}) == damaged


def test_a_step_that_is_damaged_twice_is_kept_twice(tmp_path):
    directory = tmp_path / "c"
    _save(directory, 1.0)
    for value in (2.0, 3.0, 4.0):
        (directory / "00000002").mkdir()
        with checkpoint.Checkpoints(directory) as checkpoints:
            checkpoints.restore(_state(0.0), RUN)
            checkpoints.save(2, _state(value), RUN)
        shutil.rmtree(directory / "00000002")
    assert _names(directory) == [
        "00000001",
        "00000002.1.damaged",
        "00000002.2.damaged",
        "00000002.damaged",
    ]


def _content(directory):
    return b"".join(p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file())


def test_a_save_cut_short_before_any_was_complete_is_a_start_from_nothing(tmp_path, caplog):
    _save(tmp_path / "c", 1.0)
    _cut_short(tmp_path / "c", 1)
    shutil.rmtree(tmp_path / "c" / "00000001")
    assert _restore(tmp_path / "c") == (None, 0)
    assert "00000001" in caplog.text and "cut short" in caplog.text
    with checkpoint.Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.restore(_state(0.0), RUN)
        checkpoints.save(1, _state(5.0), RUN)
    assert _names(tmp_path / "c") == ["00000001"]


def test_a_checkpoint_under_the_name_of_another_step_is_damaged(tmp_path):
    _save(tmp_path / "c", 1.0, 2.0)
    (tmp_path / "c" / "00000002").rename(tmp_path / "c" / "00000007")
    assert _restore(tmp_path / "c")[1] == 1


def test_a_checkpoint_of_another_configuration_is_refused_and_left_alone(tmp_path):
    _save(tmp_path / "c", 1.0, 2.0)
    before = _content(tmp_path / "c")
    with pytest.raises(ValueError, match="another configuration.*0123456789ab, not ffff"):
        _restore(tmp_path / "c", RUN | {"run": "ffff"})
    assert _content(tmp_path / "c") == before


def test_a_state_that_the_next_step_reuses_is_saved_as_it_was(tmp_path):
    step = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    state = {"weights": jnp.zeros((512, 512)), "step": jnp.zeros((), jnp.int32)}
    with checkpoint.Checkpoints(tmp_path / "c", keep=20) as checkpoints:
        for index in range(1, 9):
            state = step(state)
            checkpoints.save(index, state, RUN)
            for _ in range(3):
                state = step(state)
        saved = checkpoints.restore(state, RUN)
    assert saved[1] == 8 and int(saved[0]["step"]) == 1 + 7 * 4
    np.testing.assert_array_equal(saved[0]["weights"], 1.0 + 7 * 4)


def test_an_empty_directory_is_passed_over(tmp_path):
    _save(tmp_path / "c", 1.0)
    (tmp_path / "c" / "00000009").mkdir()
    assert _restore(tmp_path / "c")[1] == 1


def test_when_none_is_whole_it_says_so_and_deletes_nothing(tmp_path):
    _save(tmp_path / "c", 1.0)
    _damage(tmp_path / "c" / "00000001")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="no whole checkpoint"):
        _restore(tmp_path / "c")
    assert set(before) <= set(tmp_path.rglob("*"))
