"""Processes that read ahead end with their parent, and by nothing else."""

import signal
import subprocess
import sys
import textwrap

import conftest
import psutil
import pytest

READS = """
    import sys
    import numpy as np
    from synjax.data import pipeline

    class Counted:
        kind = "vector"

        def __len__(self):
            return 64

        def rows(self, places):
            return np.repeat(np.float32(places)[:, None], 2, axis=1)

    if __name__ == "__main__":
        for batch in pipeline.train_batches(Counted(), batch=4, seed=0, workers=1):
            print(*batch[:, 0].astype(int), flush=True)
            sys.stdin.readline()
"""


@pytest.fixture
def reader(tmp_path, environment):
    """A process that reads a batch for every line, and those that read ahead for it."""
    script = tmp_path / "reads.py"
    script.write_text(textwrap.dedent(READS))
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    path = environment | {"PYTHONPATH": str(conftest.ROOT)}
    with subprocess.Popen([sys.executable, script], env=path, **pipe) as process:
        assert process.stdout.readline()
        ahead = psutil.Process(process.pid).children(recursive=True)
        yield process, ahead
        process.kill()
    for one in ahead:
        if one.is_running():
            one.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_ends_no_reading(reader, number):
    process, ahead = reader
    for one in ahead:
        one.send_signal(number)
    before = None
    for _ in range(12):  # more than is read ahead
        process.stdin.write("\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line and line != before
        before = line


def test_none_outlives_a_parent_that_was_killed(reader):
    process, ahead = reader
    assert ahead and all(one.is_running() for one in ahead)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(ahead, timeout=60)
    assert not alive
