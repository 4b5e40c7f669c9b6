"""The record is valid JSON, survives kills, and forgets what a resumed run writes again."""

import json
import math
import pathlib
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from absl import logging
from tensorboardX.proto import event_pb2

from synjax import records


def _events(directory):
    """Every event under a directory, in the order TensorBoard reads the files."""
    events = []
    for path in sorted(pathlib.Path(directory).glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            events.append(event_pb2.Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return events


def _shown(directory):
    """(tag, step, value) of what TensorBoard shows: a session start purges later steps."""
    shown = []
    for event in _events(directory):
        if event.HasField("session_log"):
            shown = [point for point in shown if point[1] < event.step]
        shown += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
    return shown


def _loss(stage, step):
    return 1 / (1 + step) + len(stage)


def _run(record, stage, first, last):
    for step in range(first, last):
        record.write(step, stage, {"loss": _loss(stage, step)})


@pytest.fixture
def warnings(monkeypatch):
    messages = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: messages.append(text % args))
    return messages


def test_lines_read_back_as_written(tmp_path):
    values = {"loss": 0.1, "count": 3, "finite": True, "reason": "none"}
    with records.Record(tmp_path) as record:
        record.write(7, "fidelity", values)
    assert records.read(tmp_path / "record.jsonl") == [{"step": 7, "stage": "fidelity", **values}]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, jnp.float32, jnp.bfloat16])
def test_array_scalars_are_recorded_as_the_number_they_hold(tmp_path, kind):
    with records.Record(tmp_path) as record:
        record.write(np.int64(0), "fidelity", {"x": kind(3)})
    assert records.read(tmp_path / "record.jsonl") == [{"step": 0, "stage": "fidelity", "x": 3}]


def test_every_line_is_strict_json_even_when_values_are_not_finite(tmp_path):
    values = {"a": math.nan, "b": jnp.float32(math.inf), "c": -np.inf}
    with records.Record(tmp_path) as record:
        record.write(0, "fidelity", values)
    (line,) = (tmp_path / "record.jsonl").read_text().splitlines()
    strict = json.loads(line, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert (strict["a"], strict["b"], strict["c"]) == ("nan", "inf", "-inf")
    (entry,) = records.read(tmp_path / "record.jsonl")
    assert math.isnan(entry["a"]) and entry["b"] == math.inf and entry["c"] == -math.inf


def test_a_line_is_on_disk_before_the_record_is_closed(tmp_path):
    with records.Record(tmp_path) as record:
        record.write(0, "fidelity", {"loss": 1.0})
        assert len(records.read(tmp_path / "record.jsonl")) == 1
        assert _shown(tmp_path / "tensorboard" / "fidelity") == [("loss", 0, 1.0)]


def test_an_interrupted_run_leaves_the_record_of_an_uninterrupted_one(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with records.Record(whole) as record:
        _run(record, "fidelity", 0, 6)
        _run(record, "perception", 0, 6)
    with records.Record(broken) as record:
        _run(record, "fidelity", 0, 6)
        _run(record, "perception", 0, 5)
    with records.Record(broken) as record:  # the last checkpoint was written after step 2
        record.resume(2, "perception")
        _run(record, "perception", 2, 6)
    assert (whole / "record.jsonl").read_bytes() == (broken / "record.jsonl").read_bytes()
    for stage in ("fidelity", "perception"):
        events = pathlib.Path("tensorboard") / stage
        assert len(_shown(whole / events)) == 6
        assert _shown(whole / events) == _shown(broken / events)


def test_resuming_keeps_the_lines_of_other_stages(tmp_path):
    with records.Record(tmp_path) as record:
        _run(record, "fidelity", 0, 4)
        _run(record, "perception", 0, 4)
        record.resume(0, "perception")
        record.write(0, "perception", {"loss": 5.0})
    entries = records.read(tmp_path / "record.jsonl")
    assert [(e["stage"], e["step"]) for e in entries] == [
        *(("fidelity", step) for step in range(4)),
        ("perception", 0),
    ]
    assert entries[-1]["loss"] == 5.0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["record.jsonl"]


def test_reopening_appends_and_never_overwrites_events(tmp_path):
    for step in range(3):
        with records.Record(tmp_path) as record:
            _run(record, "fidelity", step, step + 1)
    assert [entry["step"] for entry in records.read(tmp_path / "record.jsonl")] == [0, 1, 2]
    assert [step for _, step, _ in _shown(tmp_path / "tensorboard" / "fidelity")] == [0, 1, 2]


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_a_torn_last_line_is_dropped_with_a_warning(tmp_path, warnings, kept):
    path = tmp_path / "record.jsonl"
    with records.Record(tmp_path) as record:
        _run(record, "fidelity", 0, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    torn = b"".join(lines[:2]) + lines[2][:kept]
    path.write_bytes(torn)
    assert [entry["step"] for entry in records.read(path)] == [0, 1]
    assert path.read_bytes() == torn  # reading changes nothing
    with records.Record(tmp_path) as record:
        _run(record, "fidelity", 2, 3)
    assert path.read_bytes() == b"".join(lines)
    assert len(warnings) == 2 and all("torn" in message for message in warnings)


def test_a_record_torn_in_its_first_line_is_empty(tmp_path, warnings):
    (tmp_path / "record.jsonl").write_bytes(b'{"step": 0, "st')
    assert records.read(tmp_path / "record.jsonl") == []
    records.Record(tmp_path).close()
    assert (tmp_path / "record.jsonl").read_bytes() == b""
    assert len(warnings) == 2


@pytest.mark.parametrize("damage", [b"{not json}", b"[1]", b'{"step": 1}', b"\xff", b""])
def test_damage_before_the_last_line_is_refused_and_named(tmp_path, damage):
    path = tmp_path / "record.jsonl"
    path.write_bytes(b'{"step": 0, "stage": "fidelity"}\n' + damage + b"\n")
    with pytest.raises(ValueError, match="line 2"):
        records.read(path)


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no record"):
        records.read(tmp_path / "record.jsonl")


@pytest.mark.parametrize("value", [[1.0], None, np.ones(2), np.ones(1), {"a": 1}])
def test_values_that_are_no_numbers_are_refused_and_leave_no_line(tmp_path, value):
    with records.Record(tmp_path) as record:
        with pytest.raises(ValueError, match="'x'"):
            record.write(0, "fidelity", {"x": value})
        assert records.read(tmp_path / "record.jsonl") == []


@pytest.mark.parametrize("name", ["step", "stage"])
def test_values_cannot_take_the_names_of_the_line(tmp_path, name):
    with records.Record(tmp_path) as record, pytest.raises(ValueError, match=name):
        record.write(0, "fidelity", {name: 1})


@pytest.mark.parametrize("stage", ["../fidelity", "", "a b", None])
def test_a_stage_that_is_no_identifier_is_refused(tmp_path, stage):
    with records.Record(tmp_path) as record:
        with pytest.raises(ValueError, match="stage"):
            record.write(0, stage, {})
        with pytest.raises(ValueError, match="stage"):
            record.resume(0, stage)


def test_text_is_recorded_but_is_no_event(tmp_path):
    with records.Record(tmp_path) as record:
        record.write(3, "fidelity", {"loss": math.nan, "reason": "loss is nan"})
    ((tag, step, value),) = _shown(tmp_path / "tensorboard" / "fidelity")
    assert (tag, step) == ("loss", 3) and math.isnan(value)


def test_a_record_that_cannot_be_written_is_named(tmp_path):
    record = records.Record(tmp_path)
    record.write(0, "fidelity", {"loss": 1.0})
    with open("/dev/full", "ab") as full:
        record._file = full
        named = r"record\.jsonl: cannot write the record: No space left on device"
        with pytest.raises(OSError, match=named):
            record.write(1, "fidelity", {"loss": 0.5})
        with pytest.raises(OSError, match=named):
            record.close()
    assert len(records.read(tmp_path / "record.jsonl")) == 1


def test_closing_twice_is_harmless(tmp_path):
    record = records.Record(tmp_path)
    record.close()
    record.close()
