"""A signal ends the work where nothing is lost, and the same command goes on."""

import io
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types

import jax
import numpy as np
import pytest
import rich.console
from jax.experimental import multihost_utils

from synjax import main, sweep
from synjax.evaluation import classical
from synjax.evaluation import evaluate as evaluation
from synjax.training import checkpoint, interruption, loop, plan
from synjax.verbs import evaluate, export, workdirs


def test_an_interruption_is_status_75_and_a_line_with_the_command_that_continues(
    monkeypatch, capfd
):
    def interrupted(*unused):
        raise interruption.Interrupted("interrupted by SIGTERM at step 7 of stage fidelity")

    monkeypatch.setattr(evaluate, "evaluate", interrupted)
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
        before = pytest.raises(interruption.Interrupted, match="SIGTERM before the work")
        with before, interruption.at_once("the work"):
            raise AssertionError


def _terminate(*unused):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@pytest.mark.parametrize(
    ("owner", "name", "call", "where"),
    [
        (workdirs, "homes", lambda: export.export(".", None), "in the export"),
        (
            classical,
            "asked",
            lambda: evaluate.compare_with_classical({}, ".", None),
            "in the comparison with classical codecs",
        ),
    ],
)
def test_what_follows_the_evaluation_ends_at_once_too(monkeypatch, owner, name, call, where):
    monkeypatch.setattr(owner, name, _terminate)
    with pytest.raises(interruption.Interrupted, match=where), interruption.handled():
        call()


def test_several_processes_ask_before_every_trial_whoever_evaluates_it(
    monkeypatch, tmp_path, tiny_config
):
    asked, evaluated = [], []

    def requested():
        asked.append(None)
        return len(asked) == 4

    def rows(plan, trial, *unused):
        evaluated.append(trial.name)
        return [], [], [], []

    made = plan.make(tiny_config())
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(interruption, "requested", requested)
    monkeypatch.setattr(evaluation, "subjects", lambda config: None)
    monkeypatch.setattr(evaluation, "trial_rows", rows)
    outcomes = {each.name: sweep.Outcome() for each in made.runs}
    console = rich.console.Console(file=io.StringIO())
    with pytest.raises(interruption.Interrupted, match="in the evaluation"):
        evaluate.trials(made, outcomes, tmp_path, console, again=True)
    assert evaluated == [made.trials[1].name]  # the second of three, by the first of two processes


def test_what_the_first_process_says_holds_for_all(monkeypatch):
    assert interruption.first_says(True) and not interruption.first_says(False)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", lambda own: np.zeros_like(own))
    assert interruption.first_says(True) is False


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


def _terminated(environment, workdir, *flags_of_each):
    """Trains in processes until a checkpoint is there, terminates the first; (status, error)s."""
    command = [sys.executable, "-m", "synjax.main", "train", "--config=configs/gaussian.py:tiny"]
    command += [f"--workdir={workdir}", "--config.stages.fidelity.steps=1000000"]
    processes = [
        subprocess.Popen(
            [*command, *flags],
            cwd=pathlib.Path(__file__).parents[1],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for flags in flags_of_each
    ]
    try:
        deadline = time.monotonic() + 240
        while not list(workdir.glob("encoders/*/checkpoints/0*0")):
            assert not any(p.poll() for p in processes) and time.monotonic() < deadline
            time.sleep(0.05)
        processes[0].terminate()
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()  # a process whose partner is gone ignores SIGTERM
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


def test_a_real_process_that_is_terminated_exits_with_status_75(environment, tmp_path):
    ((status, error),) = _terminated(environment, tmp_path / "run", ())
    assert status == 75, error
    assert error.count("\n") == 1 and "to continue: ./launch.sh train" in error


def test_of_several_processes_one_is_terminated_and_all_save_the_same_step(environment, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    each = [(f"--distributed=localhost:{port},{index},2",) for index in range(2)]
    ended = _terminated(environment | {"JAX_PLATFORMS": "cpu"}, tmp_path / "run", *each)
    assert [status for status, _ in ended] == [75, 75], ended
    where = {re.search(r"at step (\d+)", error)[1] for _, error in ended}
    assert len(where) == 1
    saved = checkpoint.steps_done(next((tmp_path / "run").glob("encoders/*/checkpoints")))
    assert {saved} == set(map(int, where))


def test_readers_that_a_signal_ended_before_they_could_ignore_it_are_an_interruption():
    def torn():
        raise RuntimeError("Worker process was terminated unexpectedly with exit code -15")
        yield

    stack = loop._Stack(types.SimpleNamespace(name="fidelity"), [], None, None, None)
    with interruption.handled():
        with pytest.raises(RuntimeError, match="exit code -15"):
            stack._next(torn(), True)  # by itself
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(interruption.Interrupted, match="SIGTERM before stage fidelity"):
            stack._next(torn(), True)
        with pytest.raises(RuntimeError, match="exit code -15"):
            stack._next(torn(), False)  # what ran ignores signals: this is something else
