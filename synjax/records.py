"""The record of a run: append-only JSON lines, with TensorBoard events beside them.

`record.jsonl` is the truth; the events under `tensorboard/STAGE/` are a view of it, one TensorBoard
run per stage because every stage counts its steps from zero. tensorboardX is imported where a
record is written, so that what only measures or reads does without it.
"""

import contextlib
import json
import math
import os
import pathlib
import time

from absl import logging

FILENAME = "record.jsonl"

# JSON has no spelling for these; strings keep the file readable by every JSON parser.
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Record:
    """Appends one line per call to `write`; every line is on its way to disk when it returns."""

    def __init__(self, directory):
        """Opens, or starts, the record in `directory`; a torn last line is cut off first."""
        self._directory = pathlib.Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._path = self._directory / FILENAME
        if self._path.exists():
            _cut_torn_line(self._path)
        self._file = self._path.open("ab")
        self._events = {}  # stage -> TensorBoard writer

    def write(self, step, stage, values):
        """Appends `values` at a step.

        Args:
          step: steps taken in this stage so far, an integer.
          stage: name of the stage; also a directory name, so a plain identifier.
          values: name -> number (Python, NumPy, or an array of shape ()) or text. Text stays out of
            the TensorBoard events.

        Raises:
          ValueError: if the stage is no identifier, or a value is neither a number nor text.
          OSError: the line or its events cannot be written.
        """
        from tensorboardX.proto import summary_pb2

        _check_stage(stage)
        values = {name: _plain(name, value) for name, value in values.items()}
        line = {"step": int(step), "stage": stage}
        line |= {name: _spell(value) for name, value in values.items()}
        scalars = [
            summary_pb2.Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
            if not isinstance(value, str)
        ]
        with self._writing():
            events = self._event_writer(stage)
            self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            self._file.flush()
            _add_event(events, step=int(step), summary=summary_pb2.Summary(value=scalars))

    def resume(self, step, stage):
        """Forgets what `stage` wrote at `step` or later: the run is about to write it again.

        With it the record of an interrupted run equals that of an uninterrupted one, but for values
        that measure time. Other stages keep their lines.

        Raises:
          ValueError: if the stage is no identifier, or an earlier line is damaged.
          OSError: the record cannot be written.
        """
        _check_stage(stage)
        with self._writing():
            self._forget(step, stage)

    def _forget(self, step, stage):
        from tensorboardX.proto import event_pb2

        lines = self._path.read_bytes().splitlines(keepends=True)
        entries = read(self._path)
        kept = [
            line
            for line, entry in zip(lines, entries, strict=True)
            if entry["stage"] != stage or entry["step"] < step
        ]
        if len(kept) < len(lines):
            self._file.close()
            rewritten = self._path.with_name(f".{FILENAME}.{os.getpid()}.tmp")
            with rewritten.open("wb") as file:
                file.writelines(kept)
                file.flush()
                os.fsync(file.fileno())
            os.replace(rewritten, self._path)
            self._file = self._path.open("ab")
        # TensorBoard hides a run's earlier events from the step of a session start on.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        _add_event(self._event_writer(stage), step=int(step), session_log=start)

    def close(self):
        """Closes the record and its events; a second call does nothing.

        Raises:
          OSError: what an earlier call could not write cannot be written now either.
        """
        with self._writing():
            self._file.close()
            while self._events:
                self._events.popitem()[1].close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @contextlib.contextmanager
    def _writing(self):
        """Names the record where it cannot be written: a stream's own error names no file."""
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise OSError(f"{self._path}: cannot write the record: {why}") from error

    def _event_writer(self, stage):
        from tensorboardX import record_writer

        if stage not in self._events:
            directory = self._directory / "tensorboard" / stage
            directory.mkdir(parents=True, exist_ok=True)
            # TensorBoard reads a run's files in the order of their names. Numbers, not the usual
            # clock and host: two openings within a second must not overwrite each other.
            number = len(list(directory.glob("events.out.tfevents.*")))
            path = directory / f"events.out.tfevents.{number:010d}"
            self._events[stage] = record_writer.RecordWriter(str(path))
            _add_event(self._events[stage], file_version="brain.Event:2")
        return self._events[stage]


def read(path):
    """Reads a record back: a list of dicts in the order written, non-finite numbers as floats.

    A torn last line, left by a kill in the middle of a write, is dropped with a warning.

    Raises:
      ValueError: if the file is missing, or a whole line is no JSON object with a step and a stage.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no record at {path}")
    whole, newline, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        logging.warning("%s: dropped a torn last line of %d bytes", path, len(torn))
    entries = []
    for number, line in enumerate(whole.split(b"\n") if newline else [], start=1):
        try:
            entry = json.loads(line)
        except ValueError:  # both of JSON and of UTF-8
            entry = None
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get("step"), int)
            and isinstance(entry.get("stage"), str)
        ):
            raise ValueError(f"{path}: line {number} is not a JSON object with a step and a stage")
        entries.append({name: _unspell(value) for name, value in entry.items()})
    return entries


def _cut_torn_line(path):
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        logging.warning("%s: dropped a torn last line of %d bytes", path, len(data) - whole)
        os.truncate(path, whole)


def _check_stage(stage):
    if not (isinstance(stage, str) and stage.isidentifier()):
        raise ValueError(f"stage must be an identifier such as 'fidelity', not {stage!r}")


def _plain(name, value):
    """An int, float, bool or str; arrays of shape () become the number they hold."""
    if name in ("step", "stage"):
        raise ValueError(f"a record value cannot be named {name!r}: every line has its own")
    if getattr(value, "shape", None) == ():
        value = value.item()
    if not isinstance(value, int | float | str):
        raise ValueError(f"record value {name!r} must be a number or text, not {value!r}")
    return value


def _spell(value):
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _unspell(value):
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def _add_event(writer, **content):
    from tensorboardX.proto import event_pb2

    writer.write(event_pb2.Event(wall_time=time.time(), **content).SerializeToString())
    writer.flush()
