"""What the processes that read ahead do about signals.

A cluster sends SIGTERM, and a terminal Ctrl-C, to all processes of a job. What becomes of it is for
the trainer to decide, which still has a step to finish; if it is killed, they end with it.
"""

import multiprocessing
import os
import signal
import threading


def begin(index, count):
    """To be called in each of `count` processes: no signal ends it, the end of its parent does."""
    del index, count
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    parent.join()
    os._exit(1)
