"""Checkpoints: what is restored is what was saved, or nothing."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from synjax.training import checkpoint


def _state(value):
    return {"weights": jnp.full((64, 64), value, jnp.float32), "step": jnp.asarray(3, jnp.int32)}


def _save(directory, *values):
    with checkpoint.Checkpoints(directory) as checkpoints:
        for step, value in enumerate(values, 1):
            checkpoints.save(step, _state(value), {"seed": 0})


def _restore(directory):
    with checkpoint.Checkpoints(directory) as checkpoints:
        return checkpoints.restore(_state(0.0))


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
