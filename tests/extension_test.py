"""A sweep that grows: what is trained stays, bit for bit, and the rest is as in a fresh one."""

import copy
import io
import json

import conftest
import pandas as pd
import pytest
import rich.console

from synjax import sweep
from synjax.perception import build
from synjax.reporting import plots, table
from synjax.training import ledger, loop, plan
from synjax.verbs import train, workdirs

SMALL = {"lambda_d": (7.2,), "lambda_p": (50.0,)}
LARGE = {"lambda_d": (2.4, 7.2), "lambda_p": (0.0, 50.0)}


def _console():
    return rich.console.Console(file=io.StringIO(), width=300)


def _asked(sweep, seeds):
    asked = conftest.load_config("configs/gaussian.py", "tiny")
    asked["sweep"] |= sweep
    asked["seeds"] = seeds
    for stage in asked["stages"].values():
        stage |= {"steps": 6, "checkpoint_every": 3}
    return asked


def _contents(directory):
    """Path → (time of the last change, bytes) of every file below."""
    return {
        path.relative_to(directory): (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


def _measured(path):
    results = table.read(path / "table.csv")
    columns = [name for name in results if not name.startswith("seconds")]
    return results[columns].drop(columns="config_hash")


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A small sweep, what was in its directory, the same grown, and a fresh one as large."""
    steps, compiled = {}, loop.compiled

    def shared(objective, stage, devices):
        key = objective.codec, stage
        steps[key] = steps.get(key) or compiled(objective, stage, devices)
        return steps[key]

    root = tmp_path_factory.mktemp("grown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "compiled", shared)
        for name in ("rate_distortion", "distortion_perception"):  # half of the time
            patch.setattr(plots, name, lambda *unused: [])
        train.sweep(_asked(SMALL, (3,)), root / "grown", _console())
        before, rows = _contents(root / "grown"), table.read(root / "grown" / "table.csv")
        train.sweep(_asked(LARGE, (3, 1)), root / "grown", _console())
        train.sweep(_asked(LARGE, (3, 1)), root / "fresh", _console())
    assert len(steps) == 2  # however many λ's there are, a stage is compiled once
    return root, before, rows


def test_what_was_trained_and_evaluated_is_not_touched(grown):
    root, before, _ = grown
    after = _contents(root / "grown")
    kept = [p for p in before if p.parts[0] in ("encoders", "decoders", "trials")]
    assert kept and {path: after[path] for path in kept} == {path: before[path] for path in kept}


def test_rows_merge_and_those_there_were_are_as_they_were(grown):
    root, _, rows = grown
    after = table.read(root / "grown" / "table.csv")
    assert len(after) == 8 and set(after.status) == {"ok"}
    same = after.trial.isin(rows.trial)
    pd.testing.assert_frame_equal(after[same].reset_index(drop=True), rows)
    assert after.config_hash[same].iloc[0] == plan.config_hash(_asked(SMALL, (3,)))
    assert set(after.config_hash[~same]) == {plan.config_hash(_asked(LARGE, (3, 1)))}


def test_all_rows_equal_those_of_a_fresh_sweep(grown):
    root, *_ = grown
    pd.testing.assert_frame_equal(_measured(root / "grown"), _measured(root / "fresh"))


def test_the_grown_directory_describes_itself(grown):
    root, *_ = grown
    assert sweep.read_config(root / "grown") == sweep.read_config(root / "fresh")
    assert ledger.read(root / "grown") == ledger.read(root / "fresh")
    runs, trials = ledger.observe(root / "grown", ledger.read(root / "grown"))
    assert {entry["state"] for entry in runs + trials} == {"done"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweep": {"lambda_p": (50.0,)}}, "holds another sweep .sweep.lambda_p is"),
        ({"seeds": (1, 3)}, "holds another sweep .seeds is"),
        ({"seeds": (3,)}, "holds another sweep .seeds is"),
        ({"distortion": "ms_ssim", "seeds": (3, 1, 2)}, "another sweep .distortion is 'mse' there"),
        ({"stages": {"fidelity": {"steps": 7}}}, "another sweep .stages.fidelity.steps is 6 there"),
        ({"sweep": {"decoders": "conditioned"}}, "sweep.decoders is 'separate' there"),
    ],
)
def test_another_change_is_refused_and_leaves_everything_as_it_was(grown, change, message):
    root, *_ = grown
    workdir = root / "grown"
    asked = _asked(LARGE, (3, 1))
    for key, value in change.items():
        if key == "stages":
            asked[key]["fidelity"] |= value["fidelity"]
        else:
            asked[key] = asked[key] | value if isinstance(value, dict) else value
    before = _contents(workdir)
    with pytest.raises(ValueError, match=message) as error:
        sweep.open_workdir(workdir, asked)
    assert "\n" not in str(error.value)
    assert _contents(workdir) == before


@pytest.mark.parametrize(
    ("encoders", "decoders", "axis"),
    [
        ("conditioned", "conditioned", "lambda_d"),
        ("conditioned", "conditioned", "lambda_p"),
        ("separate", "continuous", "lambda_p"),
        ("conditioned", "separate", "lambda_d"),
    ],
)
def test_what_one_set_of_parameters_serves_cannot_grow_but_seeds_can(
    encoders, decoders, axis, tmp_path
):
    sharing = {"encoders": encoders, "decoders": decoders}
    asked = _asked(LARGE | sharing, (0,))
    sweep.open_workdir(tmp_path, asked)
    before = _contents(tmp_path)
    more = copy.deepcopy(asked)
    more["sweep"][axis] = (*more["sweep"][axis], 100.0)
    with pytest.raises(ValueError, match=f"cannot be extended by sweep.{axis}: one set of param"):
        sweep.open_workdir(tmp_path, more)
    assert _contents(tmp_path) == before
    sweep.open_workdir(tmp_path, asked | {"seeds": (0, 1)})
    other = "lambda_d" if axis == "lambda_p" else "lambda_p"
    if {"lambda_d": encoders, "lambda_p": decoders}[other] == "separate":
        more["sweep"][axis] = asked["sweep"][axis]
        more["sweep"][other] = (*more["sweep"][other], 100.0)
        sweep.open_workdir(tmp_path, more | {"seeds": (0, 1)})
        assert sweep.read_config(tmp_path)["sweep"][other][-1] == 100.0


def test_targets_grow_with_their_axis_and_only_so(tmp_path):
    asked = _asked({"lambda_d": (2.4, 7.2), "lambda_p": (0.0,)}, (0,))
    asked["stages"]["fidelity"]["targets"] = {"rate": (0.5, 1.0)}
    sweep.open_workdir(tmp_path, asked)
    more = copy.deepcopy(asked)
    more["sweep"]["lambda_d"] = (1.0, 2.4, 7.2)
    more["stages"]["fidelity"]["targets"] = {"rate": (0.2, 0.5, 2.0)}
    with pytest.raises(ValueError, match="encoders/ld=7.2 would be trained otherwise"):
        sweep.open_workdir(tmp_path, more)
    more["stages"]["fidelity"]["targets"] = {"rate": (0.2, 0.5, 1.0)}
    sweep.open_workdir(tmp_path, more)
    still = copy.deepcopy(more)
    still["stages"]["fidelity"]["targets"] = {"rate": (0.3, 0.5, 1.0)}
    with pytest.raises(ValueError, match="stages.fidelity.targets.rate is"):
        sweep.open_workdir(tmp_path, still)


def test_the_hash_of_a_run_is_of_what_its_training_depends_on(monkeypatch):
    def hashes(asked):
        made = plan.make(asked)
        return {run.name: made.run_hash(run) for run in made.runs}

    small, large = hashes(_asked(SMALL, (3,))), hashes(_asked(LARGE, (3, 1)))
    assert small.items() <= large.items() and len(set(large.values())) == len(large)
    changed = _asked(SMALL, (3,))
    changed["stages"]["fidelity"]["clip"] = 2.0  # of the encoder, from which the decoder starts
    assert not set(hashes(changed).values()) & set(small.values())
    changed = _asked(SMALL, (3,))
    changed["perception"]["directions"] += 1
    encoder, decoder = (
        f"{kind}/ld=7.2{of}" for kind, of in (("encoders", ""), ("decoders", ",lp=50"))
    )
    assert hashes(changed)[encoder] == small[encoder]
    assert hashes(changed)[decoder] != small[decoder]
    assert not set(hashes(_asked(SMALL, (2, 3))).values()) & set(small.values())  # another KLT
    monkeypatch.setattr(build, "own_code", lambda options: ["edited"])
    assert hashes(_asked(SMALL, (3,)))[encoder] == small[encoder]
    assert hashes(_asked(SMALL, (3,)))[decoder] != small[decoder]


def test_a_run_whose_note_is_of_other_conditions_is_never_reused(tmp_path):
    asked = _asked(SMALL, (0,))
    made = plan.make(asked)
    [(_, home)] = workdirs.open_plans(asked, tmp_path / "run", None)
    noted = ledger.read(home)
    noted["runs"][0]["depends_on"] = "0" * 12
    (home / ledger.PLAN).write_text(json.dumps(noted))
    workdirs.open_plans(asked, home, None)  # nothing was trained: it is only noted anew
    assert ledger.read(home) == ledger.describe(made)
    (home / ledger.PLAN).write_text(json.dumps(noted))
    (home / made.directory(made.runs[0]) / "checkpoints").mkdir(parents=True)
    before = _contents(home)
    with pytest.raises(ValueError, match="encoders/ld=7.2 was trained under other conditions"):
        workdirs.open_plans(asked, home, None)
    assert _contents(home) == before
