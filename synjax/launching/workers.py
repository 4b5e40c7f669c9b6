"""Workers on this machine, from both sides, and the lock of what one of them works on."""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import threading
import time

from absl import logging

from synjax.training import interruption

ROOT = pathlib.Path(__file__).parents[2]
PARENT = "SYNJAX_PARENT"
DEVICES = pathlib.Path("/dev")
PATIENCE = 60  # seconds; what a worker takes to end after its parent was killed


class Subprocess:
    """Starts workers on this machine, which divide its GPUs."""

    def __init__(self, divides=True):
        """`divides` is whether a worker sees only its part of the GPUs; else each sees all."""
        self._gpus = gpus() if divides else []
        self.expect(1)

    def left(self):
        """Handles of workers of an earlier start that are still there; these end with it."""
        return []

    def expect(self, count):
        """From now on at most `count` workers run at once: those of before have ended.

        Each has GPUs of its own, or where there are fewer shares one and its memory.
        """
        self._running = [None] * count
        found = self._gpus
        self._parts = [found[k::count] or found[k % max(len(found), 1) :][:1] for k in range(count)]
        self._sharing = -(-count // max(len(found), 1))

    def start(self, command):
        """Starts a worker; its handle has `status()`, None while it runs, `reason()`, `stop()`."""
        ended = (handle is None or handle.status() is not None for handle in self._running)
        place = list(ended).index(True)
        own = {PARENT: str(os.getpid())}
        if self._parts[place]:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(self._parts[place])
        # Of what they share, a process alone takes most of the memory.
        share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / self._sharing:.3f}"}
        self._running[place] = _Process(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=(share if self._sharing > 1 else {}) | os.environ | own,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is passed on once, by the parent
            )
        )
        return self._running[place]


def gpus():
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(place) for place in range(len(list(DEVICES.glob("nvidia[0-9]*"))))]
    return [one.strip() for one in named.split(",") if one.strip() not in ("", "-1")]


class _Process:
    def __init__(self, process):
        self._process = process

    def status(self):
        return self._process.poll()

    def reason(self):
        return "it printed no error"

    def stop(self):
        self._process.terminate()


def end_with_parent():
    """In a worker: SIGTERM to itself as soon as the parent, who would pass it on, is gone."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch():
        while os.getppid() == int(parent):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def alone(directories):
    """Inside, no other process is in these directories: a worker whose parent was killed may be.

    Raises:
      ValueError: another process stays in one of them for `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as stack:
        with interruption.at_once("the wait for another process"):
            for directory in directories:
                directory.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((directory / "lock").open("a"))
                _lock(file, directory, deadline)
        yield


def _lock(file, directory, deadline):
    """Locks a file of a directory for as long as it is open."""
    said = False
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ValueError(f"another process is training in {directory}") from None
        except OSError as error:  # so are the file systems of some clusters mounted
            why = error.strerror or error
            logging.warning("%s cannot be locked (%s): start nothing else in it", directory, why)
            return None
        if not said:
            logging.warning("another process is in %s: waiting %d s for it", directory, PATIENCE)
            said = True
        time.sleep(0.2)
