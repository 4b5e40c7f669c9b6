"""Workers on this machine, from both sides."""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).parents[2]
PARENT = "SYNJAX_PARENT"
PATIENCE = 60  # seconds; what a worker takes to end after its parent was killed


class Subprocess:
    """Starts workers on this machine."""

    def __init__(self, jobs):
        """`jobs` share the memory of an accelerator, of which one process alone takes most."""
        share = {"XLA_PYTHON_CLIENT_MEM_FRACTION": f"{0.9 / jobs:.3f}"} if jobs > 1 else {}
        self._environment = share | os.environ | {PARENT: str(os.getpid())}

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
    """Inside, no other worker is in these directories: one whose parent was killed may still be.

    Raises:
      ValueError: another process stays in one of them for `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    with contextlib.ExitStack() as stack:
        for directory in directories:
            directory.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((directory / "lock").open("w"))
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        message = f"another process is training in {directory}"
                        raise ValueError(message) from None
                    time.sleep(0.2)
        yield
