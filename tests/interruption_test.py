"""A signal ends the work where nothing is lost, and the same command goes on."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from synjax import main, run
from synjax.training import interruption


def test_an_interruption_is_status_75_and_a_line_with_the_command_that_continues(
    monkeypatch, capfd
):
    def interrupted(*unused):
        raise interruption.Interrupted("interrupted by SIGTERM at step 7 of stage fidelity")

    monkeypatch.setattr(run, "evaluate", interrupted)
    assert main.main(["evaluate", "--workdir=my runs"]) == 75
    assert capfd.readouterr().err == (
        "synjax: interrupted by SIGTERM at step 7 of stage fidelity; to continue: "
        "./launch.sh evaluate '--workdir=my runs'\n"
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_only_asks_and_ctrl_c_is_told_so(capfd, number):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    with interruption.handled():
        assert not interruption.requested()
        os.kill(os.getpid(), number)
        assert interruption.requested()
        with pytest.raises(interruption.Interrupted, match=signal.Signals(number).name):
            interruption.stop("at step 3")
    assert before == [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    assert capfd.readouterr().err.count("once more") == (number == signal.SIGINT)


def test_a_signal_that_came_before_the_evaluation_ends_it_before_it_begins():
    with interruption.handled():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(interruption.Interrupted), interruption.at_once():
            raise AssertionError


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), interruption.handled():
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.requested()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)


def test_outside_the_main_thread_nothing_is_handled():
    seen = []

    def work():
        with interruption.handled():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_handled_signal_is_forgotten_afterwards():
    with interruption.handled():
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.requested()
    assert not interruption.requested()


def test_a_real_process_that_is_terminated_exits_with_status_75(environment, tmp_path):
    command = [sys.executable, "-m", "synjax.main", "train", "--config=configs/gaussian.py:tiny"]
    command += [f"--workdir={tmp_path / 'run'}", "--config.stages.fidelity.steps=1000000"]
    with subprocess.Popen(
        command,
        cwd=pathlib.Path(__file__).parents[1],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("run/encoders/*/checkpoints/0*0")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 75, error
    assert error.count("\n") == 1 and "to continue: ./launch.sh train" in error
