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
PATIENCE = 60  # seconds; what a worker takes to end after its parent was killed


class Subprocess:
    """Starts workers on this machine."""

    def __init__(self, jobs):
        """`jobs` share the memory of an accelerator, of which one process alone takes most."""
        share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / jobs:.3f}"} if jobs > 1 else {}
        self._environment = share | os.environ | {PARENT: str(os.getpid())}

    def left(self):
        """Handles of workers of an earlier start that are still there; these end with it."""
        return []

    def start(self, command):
        """Starts a worker; its handle has `status()`, None while it runs, `reason()`, `stop()`."""
        return _Process(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is passed on once, by the parent
            )
        )


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
