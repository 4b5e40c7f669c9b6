"""Training: restarts change nothing, one compilation serves all, divergence is a row."""

import collections
import io
import json
import os
import shutil
import signal
import time
import types

import checkpoint_test
import conftest
import jax
import numpy as np
import pytest
import rich.console

from synjax import sweep
from synjax.codec import start
from synjax.evaluation import evaluate
from synjax.reporting import progress, table
from synjax.training import checkpoint, interruption, loop, mesh, plan, schedule
from synjax.verbs import export, train


def _train(asked, workdir, steps_before_kill=None, devices=None):
    """Trains; raises KeyboardInterrupt after so many steps, as a user's Ctrl-C would."""
    made = plan.make(asked)
    sweep.open_workdir(workdir, asked)
    count = collections.Counter()

    def progress(of_run, done, metrics):
        count["steps"] += 1
        if steps_before_kill and count["steps"] == steps_before_kill:
            raise KeyboardInterrupt

    return sweep.Trainer(made, workdir, progress, devices=devices).train_all()


def _small(tiny_config):
    asked = tiny_config()
    asked["sweep"] |= {"lambda_d": (2.4, 24.0), "lambda_p": (0.0, 50.0)}
    return asked


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """All sweeps of this file share their stages and KLT: compile and compute them once."""
    steps, initial, patch = {}, {}, pytest.MonkeyPatch()
    compiled, initial_params = loop.compiled, plan.Plan.initial_params

    def shared(objective, stage, devices):
        key = (objective.codec, stage, devices)
        if key not in steps:
            steps[key] = compiled(objective, stage, devices)
        return steps[key]

    def once(self, seed, lambda_d, stage):
        key = (self.codec_of(stage), seed, lambda_d)
        if key not in initial:
            initial[key] = initial_params(self, seed, lambda_d, stage)
        return initial[key]

    patch.setattr(loop, "compiled", shared)
    patch.setattr(plan.Plan, "initial_params", once)
    yield
    patch.undo()


@pytest.fixture
def small(tiny_config):
    """small() is a fresh configuration of two by two Gaussian trials."""
    return lambda: _small(tiny_config)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("straight") / "run"
    asked = _small(lambda: conftest.load_config("configs/gaussian.py", "tiny"))
    return workdir, _train(asked, workdir)


def test_an_interrupted_run_ends_bit_for_bit_where_an_uninterrupted_one_does(
    uninterrupted, small, tmp_path
):
    for stop in (17, 75):
        with pytest.raises(KeyboardInterrupt):
            _train(small(), tmp_path / "run", stop)
    outcomes = _train(small(), tmp_path / "run")
    for name, outcome in uninterrupted[1].items():
        jax.tree.map(np.testing.assert_array_equal, outcome.params, outcomes[name].params)


def test_trials_of_a_stack_train_as_they_do_one_after_another(uninterrupted, small, tmp_path):
    outcomes = _train(small(), tmp_path / "run", devices=mesh.make(stack=2))
    assert list(outcomes) == list(uninterrupted[1])
    records = sorted(uninterrupted[0].rglob("record.jsonl"))
    assert len(records) == len(outcomes) == 6
    for path in records:
        losses = [
            [json.loads(line)["loss"] for line in file.read_text().splitlines()]
            for file in (path, tmp_path / "run" / path.relative_to(uninterrupted[0]))
        ]
        # Until a symbol is rounded the other way, which is felt from then on.
        if path.is_relative_to(uninterrupted[0] / "encoders"):
            np.testing.assert_allclose(*(loss[:5] for loss in losses), rtol=1e-5)
        np.testing.assert_allclose(*losses, rtol=1e-2)


def test_the_record_of_an_interrupted_run_has_every_step_once(uninterrupted, small, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _train(small(), tmp_path / "run", 17)
    _train(small(), tmp_path / "run")
    for path in uninterrupted[0].rglob("record.jsonl"):
        again = tmp_path / "run" / path.relative_to(uninterrupted[0])
        straight, resumed = (
            [{k: v for k, v in json.loads(line).items() if k != "seconds" and k != "time"}]
            for p in (path, again)
            for line in [p.read_text().splitlines()[-1]]
        )
        assert straight == resumed
        steps = [json.loads(line)["step"] for line in again.read_text().splitlines()]
        assert steps == sorted(set(steps))


def test_a_step_that_takes_long_is_saved_and_the_end_is_the_same(
    uninterrupted, small, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "SECONDS_BETWEEN_SAVES", 0)
        _train(small(), tmp_path / "run", 18)
    (saved,) = tmp_path.glob("run/encoders/*/checkpoints")
    assert checkpoint.steps_done(saved) == 17  # without the clock it would be 10
    outcomes = _train(small(), tmp_path / "run")
    for name, outcome in uninterrupted[1].items():
        jax.tree.map(np.testing.assert_array_equal, outcome.params, outcomes[name].params)


def test_several_processes_look_at_the_clock_together(monkeypatch):
    stack = loop._Stack(None, [], None, None, None)
    asked = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(interruption, "first_says", lambda late: asked.append(late) or True)
    assert [done for done in range(1, 40) if stack._is_late(done)] == [16, 32]
    assert asked == [False, False]  # the clock of this one


def test_a_last_checkpoint_that_is_damaged_is_named_by_who_needs_it(tmp_path):
    saved = tmp_path / "checkpoints"
    checkpoint_test._save(saved, 1.0, 2.0)
    checkpoint_test._damage(saved / "00000002")
    trainer = types.SimpleNamespace(
        _directory=lambda run: tmp_path, _description=lambda run: checkpoint_test.RUN
    )
    needed = types.SimpleNamespace(stage=types.SimpleNamespace(steps=2))
    damaged = f"{saved}/00000002 is damaged: remove it, and `sweep` trains on from step 1"
    with pytest.raises(ValueError, match=damaged):
        sweep.Trainer._read(trainer, needed, checkpoint_test._state(0.0))


def test_a_signal_saves_the_step_it_came_in_and_nothing_is_trained_twice(
    uninterrupted, small, tmp_path, monkeypatch
):
    update, calls = progress.Progress.update, []

    def signalled(self, name, done, *rest):
        calls.append((name, done))
        if len(calls) == 17:
            os.kill(os.getpid(), signal.SIGTERM)
        update(self, name, done, *rest)

    monkeypatch.setattr(progress.Progress, "update", signalled)
    console = rich.console.Console(file=io.StringIO())
    with pytest.raises(interruption.Interrupted, match="SIGTERM at step 18 of stage fidelity"):
        train.train(small(), tmp_path / "run", console)
    assert checkpoint.steps_done(tmp_path / "run" / calls[0][0] / "checkpoints") == 18
    train.train(small(), tmp_path / "run", console)
    assert len(calls) == len(set(calls)) == 6 * 30
    outcomes = _train(small(), tmp_path / "run")
    for name, outcome in uninterrupted[1].items():
        jax.tree.map(np.testing.assert_array_equal, outcome.params, outcomes[name].params)


def test_a_signal_during_the_evaluation_ends_it_and_the_rows_so_far_stay(
    uninterrupted, small, tmp_path, monkeypatch
):
    calls = []

    def signalled(plan, trial, *unused):
        calls.append(trial.name)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(100)
        return [{"trial": trial.name}], [], [], []

    monkeypatch.setattr(evaluate, "trial_rows", signalled)
    monkeypatch.setattr(export, "export", lambda *unused: None)
    workdir = shutil.copytree(uninterrupted[0], tmp_path / "run")
    console = rich.console.Console(file=io.StringIO())
    began = time.monotonic()
    with pytest.raises(interruption.Interrupted, match="SIGTERM in the evaluation"):
        train.sweep(small(), workdir, console)
    assert time.monotonic() - began < 100
    assert [path.parent.name for path in sorted(workdir.glob("trials/*/rows.json"))] == calls[:2]
    train.sweep(small(), workdir, console)
    assert calls[3:] == [trial.name for trial in plan.make(small()).trials][2:]


def test_one_compilation_per_stage_serves_the_whole_grid(small, tmp_path, monkeypatch):
    made = []
    compiled = loop.compiled

    def counted(*args):
        function, transformation = compiled(*args)
        made.append(function)
        return function, transformation

    monkeypatch.setattr(loop, "compiled", counted)
    asked = small()
    for stage in asked["stages"].values():
        stage["steps"] = 2
    _train(asked, tmp_path / "run")
    assert len(made) == 2
    assert [function._cache_size() for function in made] == [1, 1]


def test_a_grid_without_perception_trains_and_is_saved(small, tmp_path):
    asked = small()
    asked["sweep"]["lambda_p"] = (0.0,)
    for stage in asked["stages"].values():
        stage["steps"] = 2
    first, again = (_train(asked, tmp_path / "run") for _ in range(2))
    assert len(first) == 4 and all(outcome.failure is None for outcome in first.values())
    for name, outcome in first.items():
        jax.tree.map(np.testing.assert_array_equal, outcome.params, again[name].params)


def test_encoder_prior_and_detail_do_not_change_in_the_perception_stage(uninterrupted, small):
    made = plan.make(small())
    for trial in made.trials:
        encoder, decoder = (
            uninterrupted[1][name].params for name in (trial.encoder, trial.decoder)
        )
        encoder = start.serving(made.codec, encoder)
        for key in ("analysis", "prior", "detail"):
            jax.tree.map(np.testing.assert_array_equal, encoder[key], decoder[key])
        moved = [
            np.any(a != b)
            for a, b in zip(
                jax.tree.leaves(encoder["synthesis"]),
                jax.tree.leaves(decoder["synthesis"]),
                strict=True,
            )
        ]
        assert any(moved)


def test_a_trial_that_diverges_keeps_its_row_and_the_others_go_on(small, tmp_path, monkeypatch):
    asked = small()
    asked["evaluation"]["limit"] = 512
    compiled = loop.compiled

    def poisoned(objective, stage, devices):
        function, transformation = compiled(objective, stage, devices)

        def step(state, x, real, lambda_d, lambda_p, level, targets):
            state, metrics = function(state, x, real, lambda_d, lambda_p, level, targets)
            late = int(state.step[0]) > 15  # a checkpoint is behind it
            bad = stage.name == "perception" and lambda_d[0, 0] > 20 and lambda_p[0, 0] > 0
            if bad and late:
                metrics["loss"] = metrics["loss"] * np.nan
            return state, metrics

        return step, transformation

    monkeypatch.setattr(loop, "compiled", poisoned)
    train.sweep(asked, tmp_path / "run", rich.console.Console(file=io.StringIO()))
    results = table.read(tmp_path / "run" / "table.csv")
    bad = results[results.status != "ok"]
    assert len(results) == 4 and len(bad) == 1
    row = bad.iloc[0]
    bad_record = f"trials/{row.trial}/record.jsonl"
    assert (row.lambda_d, row.lambda_p, row.status) == (24.0, 50.0, "diverged")
    assert "loss not finite at step 15 of stage perception" in row.reason
    assert np.isnan(row.mse)
    steps = [checkpoint.steps_done(p) for p in sorted(tmp_path.glob("run/decoders/*/checkpoints"))]
    assert steps == [30, 30, 30, 10]  # the last good one of the bad trial stays
    lines = (tmp_path / "run" / bad_record).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(16))


def test_every_condition_and_level_comes_up_as_often_as_asked(tiny_config):
    stage = plan.make(tiny_config("photos")).runs[1].stage
    count = 12
    drawn = [schedule.of_step(0, index, count, stage) for index in range(600)]
    conditions = np.concatenate([chosen for chosen, _ in drawn])
    levels = np.concatenate([levels for _, levels in drawn])
    assert set(np.bincount(conditions, minlength=count)) == {600 * stage.conditions // count}
    share = np.mean(levels == 2)
    assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(len(levels))


def test_the_schedule_is_a_function_of_seed_and_step(tiny_config):
    stage = plan.make(tiny_config("photos")).runs[1].stage
    first, again, other = (schedule.of_step(seed, 7, 12, stage) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0], again[0])
    assert any(
        not np.array_equal(
            schedule.of_step(1, i, 12, stage)[0], schedule.of_step(0, i, 12, stage)[0]
        )
        for i in range(5)
    )
    assert other[0].shape == (stage.conditions,)
