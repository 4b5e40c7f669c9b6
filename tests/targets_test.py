"""Eq. 61: distortion, perception or rate held to a target, the multipliers found by dual ascent."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax import sweep
from synjax.training import loop, mesh, plan, step

INF = math.inf


def _asked(tiny_config, stage, targets, steps):
    asked = tiny_config()
    asked["sweep"] |= {"lambda_d": (7.2,), "lambda_p": (0.0, 100.0)}
    asked["stages"]["fidelity"] |= {"steps": 60, "checkpoint_every": 60}
    asked["stages"][stage] |= {
        "steps": steps,
        "checkpoint_every": steps,
        "targets": targets,
        "dual_rate": 0.03,
    }
    return asked


def _trained(asked, workdir, until):
    """Outcomes by run and the last tenth of the record of one."""
    made = plan.make(asked)
    sweep.open_workdir(workdir, asked)
    outcomes = sweep.Trainer(made, workdir, lambda *_: None).train_all()
    run = made.runs[until]
    lines = (workdir / run.conditions[0].name / "record.jsonl").read_text().splitlines()
    entries = [e for e in map(json.loads, lines) if e["stage"] == run.stage.name]
    return outcomes[run.name], entries[-max(len(entries) // 10, 1) :]


def test_a_multiplier_rises_above_its_target_falls_below_and_stays_where_there_is_none():
    values, targets = jnp.array([1.4, 0.8, 3.0]), jnp.array([1.0, 1.0, INF])
    moved, excess = step.ascend(jnp.zeros(3), jnp.zeros(3), values, targets, 0.1)
    damping = step.DAMPING * step.SMOOTHING
    np.testing.assert_allclose(moved, np.array([0.4, -0.2, 0.0]) * (0.1 + damping), atol=1e-7)
    np.testing.assert_allclose(excess, np.array([0.4, -0.2, 0.0]) * step.SMOOTHING, atol=1e-7)


def test_the_largest_step_does_not_depend_on_the_units():
    for scale in (1e-6, 1.0, 1e6):
        values, targets = scale * jnp.full(3, 50.0), scale * jnp.ones(3)
        moved, _ = step.ascend(jnp.zeros(3), -step.LARGEST * jnp.ones(3), values, targets, 0.1)
        most = step.LARGEST * (0.1 + 2 * step.DAMPING * step.SMOOTHING)
        np.testing.assert_allclose(moved, most, rtol=1e-6)


def test_dual_ascent_ends_where_the_constraint_is_tight():
    # min over d of w·d + 1/d has d = w^-½: the constraint d ≤ ½ is tight at w = 4.
    multipliers = excess = jnp.zeros(3)
    for _ in range(1600):
        values = jnp.exp(-multipliers / 2)
        targets = jnp.array([0.5, INF, INF])
        multipliers, excess = step.ascend(multipliers, excess, values, targets, 0.1)
    np.testing.assert_allclose(jnp.exp(multipliers), [4.0, 1.0, 1.0], rtol=1e-4)


def test_a_codec_that_answers_late_does_not_swing_about_its_target(monkeypatch):
    # ln d follows −h/3, h the logarithm of the multiplier, with a time constant of 250 steps.
    def overshoot(damping):
        monkeypatch.setattr(step, "DAMPING", damping)
        multipliers = excess = jnp.zeros(3)
        ascend, value, lowest = jax.jit(lambda *given: step.ascend(*given)), 0.0, 0.0
        for _ in range(1500):
            values, targets = jnp.full(3, np.exp(value)), jnp.array([0.8, INF, INF])
            multipliers, excess = ascend(multipliers, excess, values, targets, 0.03)
            value += (-float(multipliers[0]) / 3 - value) / 250
            lowest = min(lowest, value)
        return np.log(0.8) - lowest

    damped = overshoot(step.DAMPING)
    assert damped < 0.02 < 0.05 < overshoot(0.0)


@pytest.mark.parametrize("rate", [0.3, 0.8])
def test_an_encoder_is_held_to_a_rate(tiny_config, tmp_path, rate):
    asked = _asked(tiny_config, "fidelity", {"rate": rate}, 600)
    outcome, last = _trained(asked, tmp_path / "run", 0)
    assert abs(np.mean([entry["rate_rounded"] for entry in last]) / rate - 1) < 0.03
    # At λ_d = 7.2 the rate lies between the two.
    assert (outcome.weights[2] > 1) == (rate < 0.5)
    assert outcome.weights[0] == outcome.weights[1] == 1


def test_a_decoder_is_held_to_a_divergence(tiny_config, tmp_path):
    free = _asked(tiny_config, "perception", {}, 400)
    _, last = _trained(free, tmp_path / "free", -1)
    without = np.mean([entry["perception"] for entry in last])
    asked = _asked(tiny_config, "perception", {"perception": 4 * without}, 400)
    outcome, last = _trained(asked, tmp_path / "held", -1)
    assert outcome.weights[1] < 1  # so much realism is not asked for
    assert abs(np.mean([entry["perception"] for entry in last]) / (4 * without) - 1) < 0.35


def test_targets_follow_the_axis_that_they_replace(tiny_config):
    asked = _asked(tiny_config, "fidelity", {"rate": (0.2, 0.4)}, 10)
    asked["sweep"]["lambda_d"] = (2.4, 24.0)
    asked["stages"]["perception"]["targets"] = {"perception": (0.5, 0.1)}
    made = plan.make(asked)
    encoders = [run.conditions[0].targets for run in made.runs if run.parent is None]
    assert encoders == [(INF, INF, 0.2), (INF, INF, 0.4)]
    decoders = {(t.lambda_d, t.lambda_p): t.targets for t in made.trials}
    assert decoders[2.4, 0.0] == (INF, INF, 0.2)  # at λ_p = 0 nothing is asked of the divergence
    assert decoders[24.0, 100.0] == (INF, 0.1, 0.4)


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("fidelity", {"targets": {"perception": 0.1}}, "stages.fidelity.targets has 'perception'"),
        ("perception", {"targets": {"rate": 0.1}}, "stages.perception.targets has 'rate'"),
        ("fidelity", {"targets": {"bytes": 1}}, "may have distortion, perception, rate"),
        ("fidelity", {"targets": {"rate": 0.0}}, "targets.rate must be positive"),
        ("fidelity", {"targets": {"rate": (0.1, 0.2, 0.3)}}, "3 entries, the sweep has 1"),
        ("fidelity", {"targets": {"rate": 0.1}, "dual_rate": 0.0}, "dual_rate must be in"),
        ("perception", {"lambda_p_warmup": -1}, "lambda_p_warmup must not be negative"),
    ],
)
def test_a_target_that_makes_no_sense_is_named(tiny_config, stage, changes, message):
    asked = _asked(tiny_config, "fidelity", {}, 10)
    asked["stages"][stage] |= changes
    with pytest.raises(ValueError, match=message):
        plan.make(asked)


def test_lambda_p_grows_to_its_value_during_the_warm_up(tiny_config):
    asked = _asked(tiny_config, "perception", {}, 8)
    made = plan.make(asked)
    run = made.runs[-1]
    losses = []
    for warmup in (0, 4):
        stage = loop.dataclasses.replace(run.stage, lambda_p_warmup=warmup)
        params = made.initial_params(0)
        objective = made.objective(stage, np.asarray(params["synthesis"]["klt"]))
        devices = mesh.make()
        function, transformation = loop.compiled(objective, stage, devices)
        held = devices.place_state([loop.state.create(params, transformation, {}, 0)])
        x, real = next(loop.batches(made.source, stage, {}, 0, 0, devices))
        arguments = np.float32([[7.2]]), np.float32([[100.0]]), np.int32([1])
        _, metrics = function(held, x, real, *arguments, np.full((1, 1, 3), INF, np.float32))
        losses.append(metrics)
    share = losses[1]["perception"] * 100.0 / 4
    without = losses[1]["rate"] + 7.2 * losses[1]["distortion"]
    np.testing.assert_allclose(losses[1]["loss"], without + share, rtol=1e-5)
    np.testing.assert_allclose(losses[0]["loss"], without + 4 * share, rtol=1e-5)
