"""A signal asks for an end, and the work comes to one at which nothing is lost.

SIGTERM is what clusters and clouds send some seconds before they kill; SIGINT is Ctrl-C.
"""

import contextlib
import dataclasses
import os
import signal
import threading

import jax
import numpy as np
from jax.experimental import multihost_utils

STATUS = 75  # EX_TEMPFAIL of sysexits.h: the same command, started again, goes on.


class Interrupted(RuntimeError):
    """The work stopped because a signal asked for it; the message says where."""


@dataclasses.dataclass
class _Asked:
    signal: str | None = None  # the one that came
    at_once: str | None = None  # the work that it ends where it stands
    steps: int = 0  # calls of `requested` in runs of several processes


_asked = _Asked()


@contextlib.contextmanager
def handled():
    """Inside, SIGTERM and the first SIGINT only ask; a second SIGINT is KeyboardInterrupt.

    Handlers can be set in the main thread alone; in another one this does nothing. Where
    `jax.distributed` was started, SIGTERM stays with JAX, which tells all processes of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (
        [signal.SIGINT] if jax.distributed.is_initialized() else [signal.SIGINT, signal.SIGTERM]
    )
    before = {number: signal.signal(number, _ask) for number in numbers}
    try:
        yield
    finally:
        _asked.signal = None
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask(number, frame):
    del frame
    if number == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if jax.distributed.is_initialized():
            os.kill(os.getpid(), signal.SIGTERM)
            return
    _asked.signal = signal.Signals(number).name
    if _asked.at_once:
        raise Interrupted(f"interrupted by {_asked.signal} in {_asked.at_once}")
    if number == signal.SIGINT:  # not by print: the signal may have come in the middle of one
        os.write(2, b"synjax: finishing this step and saving; once more to stop at once\n")


@contextlib.contextmanager
def at_once(work):
    """Inside, a signal raises `Interrupted` wherever it finds the work; all writes are atomic.

    Of several processes each would end elsewhere: there a signal ends no work at once, and who has
    much to do asks `requested` now and then.

    Args:
      work: what it is, for the message.
    """
    if _asked.signal:
        raise Interrupted(f"interrupted by {_asked.signal} before {work}")
    _asked.at_once = work
    try:
        yield
    finally:
        _asked.at_once = None


def requested():
    """Whether to save and stop after this step; to be asked once a step.

    In a run of several processes all get the same answer at the same step, if all ask as often.
    """
    if jax.process_count() == 1:
        return _asked.signal is not None
    _asked.steps += 1  # of all stages together: JAX agrees on a count that only grows
    return multihost_utils.reached_preemption_sync_point(_asked.steps)


def arrived():
    """Whether a signal came to this process; what the others know of it is not asked."""
    return _asked.signal is not None


def first_says(answer):
    """Whether the first process says yes: what its clock or its files tell it holds for all."""
    if jax.process_count() == 1:
        return answer
    return bool(multihost_utils.broadcast_one_to_all(np.int32(answer)))


def stop(where):
    """Raises `Interrupted` once everything up to `where` is saved."""
    raise Interrupted(f"interrupted by {_asked.signal or 'SIGTERM'} {where}")
