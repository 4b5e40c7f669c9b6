"""Which commands worked on a sweep, on what and for how long: `calls.jsonl` of its directory.

A line when a call begins and one when it ends, each written at once, so that several processes can
write to one file.
"""

import contextlib
import datetime
import json
import os
import pathlib
import time

FILENAME = "calls.jsonl"


@contextlib.contextmanager
def noted(directory, command, machine, part=False):
    """Notes a call for as long as it takes.

    Args:
      directory: of the sweep.
      command: as it was typed, or None where it is not known.
      machine: dict for JSON: versions, device.
      part: whether another call, which waits for this one, is noted too.
    """
    now = datetime.datetime.now(datetime.UTC)
    name, began = f"{now:%Y%m%d%H%M%S%f}-{os.getpid()}", time.monotonic()
    date = now.strftime("%Y-%m-%d %H:%M UTC")
    entry = {"call": name, "command": command, "date": date, "machine": machine, "part": part}
    _append(directory, entry)
    try:
        yield
    finally:
        _append(directory, {"call": name, "seconds": round(time.monotonic() - began, 1)})


def read(directory):
    """The calls, oldest first: dicts with "command", "date", "machine", "part", "seconds" or None.

    Lines that are damaged are left out: nothing else depends on them.
    """
    path = pathlib.Path(directory) / FILENAME
    found = {}
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
            name = entry.pop("call")
        except (ValueError, KeyError, AttributeError):
            continue
        found[name] = found.get(name, {"seconds": None}) | entry
    return [call for call in found.values() if "machine" in call]


def _append(directory, entry):
    line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    with (pathlib.Path(directory) / FILENAME).open("ab", buffering=0) as file:
        file.write(line)
