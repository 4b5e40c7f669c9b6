"""Experiments that compare configurations, and decoders that serve every λ_p."""

import io
import shutil
import types

import jax
import numpy as np
import pandas as pd
import pytest
import rich.console

from synjax import sweep
from synjax.codec import bitstream, start
from synjax.reporting import table
from synjax.training import checkpoint, loop, plan, schedule
from synjax.verbs import evaluate, export, package, train


def _console():
    return rich.console.Console(file=io.StringIO())


def _variants(config):
    """A decoder with members and one without."""
    single = {**config["stages"], "perception": config["stages"]["perception"] | {"members": 0}}
    single["perception"]["level_weights"] = (1.0,)
    plain = config["perception"] | {"unbiased": False}
    alone = config["evaluation"] | {"members": 0}
    return {
        "synset": config,
        "single": config | {"stages": single, "perception": plain, "evaluation": alone},
    }


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    import conftest

    asked = conftest.load_config("configs/gaussian.py", "tiny")
    asked["sweep"] |= {"lambda_d": (7.2,), "lambda_p": (0.0, 50.0)}
    workdir = tmp_path_factory.mktemp("variants") / "run"
    seen = []

    def claims(results, config, workdir):
        seen.append((results, config["name"], workdir))
        return [("two variants", results.run.nunique() == 2, str(results.run.nunique()))]

    experiment = types.SimpleNamespace(variants=_variants, claims=claims)
    train.sweep(asked, workdir, _console(), experiment)
    return workdir, asked, experiment, seen


def test_the_table_holds_the_rows_of_all_variants(compared):
    workdir, _, _, seen = compared
    results = table.read(workdir / "table.csv")
    assert set(results.run) == {"gaussian_tiny/synset", "gaussian_tiny/single"}
    assert len(results) == 4 and set(results.status) == {"ok"}
    assert seen[0][0].equals(results) and seen[0][1] == "gaussian_tiny"
    assert (workdir / "claims.json").exists()


def test_variants_that_agree_on_an_encoder_train_it_once(compared):
    workdir, *_ = compared
    assert len(list((workdir / "encoders").iterdir())) == 1
    results = table.read(workdir / "table.csv")
    assert results.rate_exact.nunique() == 1


def test_a_decoder_without_randomness_has_one_member(compared):
    workdir, *_ = compared
    results = table.read(workdir / "table.csv")
    single = results[results.run == "gaussian_tiny/single"]
    assert set(single.members) == {0} and set(single.diversity) == {0.0}
    other = results[(results.run == "gaussian_tiny/synset") & (results.lambda_p > 0)]
    assert (other.diversity > 0).all()


def test_a_finished_comparison_is_exported_and_judged_again(compared, monkeypatch):
    workdir, asked, experiment, seen = compared
    before = (workdir / "table.csv").read_bytes()
    monkeypatch.setattr(loop, "train", None)  # nothing is left to train
    export.export(workdir, _console())
    assert (workdir / "table.csv").read_bytes() == before
    judged = len(seen)
    train.sweep(asked, workdir, _console(), experiment)
    assert len(seen) == judged + 1
    assert (workdir / "table.csv").read_bytes() == before


def test_an_experiment_is_tested_on_something_else_elsewhere(compared, tmp_path):
    workdir, out = compared[0], tmp_path / "fewer"
    evaluate.evaluate(workdir, _console(), changes={"evaluation.limit": "100"}, out=out)
    rows, fewer = (table.read(one / "table.csv") for one in (workdir, out))
    assert list(fewer.run + fewer.trial) == list(rows.run + rows.trial)
    assert set(fewer.n) == {100} and not set(rows.n) & {100}
    with pytest.raises(ValueError, match="holds another sweep .evaluation.limit is 100"):
        evaluate.evaluate(workdir, _console(), changes={"evaluation.limit": "99"}, out=out)


def test_an_experiment_grows_by_a_variant_with_other_lambda_p(compared, tmp_path):
    """Beside the same encoder, which the λ_p of one decoder for all cannot change."""
    workdir = tmp_path / "run"
    shutil.copytree(compared[0], workdir)
    files = (p for p in workdir.rglob("*") if p.is_file() and "checkpoints" in p.parts)
    before = {p: p.read_bytes() for p in files}
    rows = table.read(workdir / "table.csv")

    def variants(config):
        other = config | {"sweep": config["sweep"] | {"lambda_p": (200.0,)}}
        return {"strong": other, **_variants(config)}

    train.sweep(compared[1], workdir, _console(), types.SimpleNamespace(variants=variants))
    assert before and {p: p.read_bytes() for p in before} == before
    grown = table.read(workdir / "table.csv")
    old = grown[grown.run != "gaussian_tiny/strong"]
    pd.testing.assert_frame_equal(old.reset_index(drop=True), rows)
    assert set(grown[grown.run == "gaussian_tiny/strong"].lambda_p) == {200.0}
    assert grown.rate_exact.nunique() == 1
    with pytest.raises(ValueError, match="holds another sweep .variants is"):
        train.sweep(compared[1], workdir, _console(), compared[2])


def test_a_codec_is_packaged_from_the_directory_of_its_variant(compared, tmp_path):
    workdir, *_ = compared
    with pytest.raises(ValueError, match="has variants: give one of .*synset"):
        package.package(workdir, "ld=7.2,lp=50", tmp_path / "codec", _console())
    package.package(workdir / "synset", "ld=7.2,lp=50", tmp_path / "codec", _console())
    assert (tmp_path / "codec" / "artefact.json").exists()


@pytest.fixture
def column(tiny_config):
    """One decoder for a whole column of λ_p."""
    asked = tiny_config()
    asked["sweep"] |= {"lambda_d": (7.2,), "lambda_p": (0.0, 10.0, 100.0)}
    asked["sweep"]["decoders"] = "continuous"
    asked["evaluation"]["realism"] = (0.0, 0.5, 1.0)
    return asked


def test_one_decoder_gives_rows_for_every_realism(column, tmp_path):
    train.sweep(column, tmp_path / "run", _console())
    results = table.read(tmp_path / "run" / "table.csv")
    assert len(list((tmp_path / "run" / "decoders").iterdir())) == 1
    assert results.rate_exact.nunique() == 1
    own = results[results.lambda_p == 100.0].sort_values("realism")
    assert list(own.realism) == [0.0, 0.5, 1.0]
    assert list(results[results.lambda_p == 0.0].realism) == [1.0]
    lowest = results[results.lambda_p == 0.0].iloc[0]
    assert own.mse.iloc[0] == lowest.mse and own.diversity.iloc[0] == 0.0
    assert own.diversity.is_monotonic_increasing


def test_a_continuous_decoder_trains_at_every_lambda_p_of_its_column(column):
    made = plan.make(column)
    conditions = made.runs[-1].conditions
    drawn = [
        [schedule.lambda_p_of(condition, made.codec.grid, 0, index) for index in range(200)]
        for condition in conditions
    ]
    ends = sorted((min(values), max(values)) for values in drawn)
    assert 0 <= ends[0][0] < 0.1 and 99 < ends[-1][1] <= 100.0
    for (_, high), (low, _) in zip(ends, ends[1:], strict=False):
        assert high <= low < 1.2 * high + 0.5  # the spans meet and do not overlap
    assert all(np.ptp(values) > 0 for values in drawn)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lambda_p": (1.0, 10.0)}, "'continuous' needs 0 among"),
        ({"decoders": "separate"}, "evaluation.realism below 1 needs one decoder"),
        ({"decoders": "some"}, "sweep.decoders is 'some'"),
    ],
)
def test_a_column_that_cannot_be_served_is_refused(column, changes, message):
    column["sweep"] |= changes
    if "lambda_p" in changes:
        column["evaluation"]["realism"] = (1.0,)
    with pytest.raises(ValueError, match=message):
        plan.make(column)


def test_equal_encoders_have_equal_names_and_others_have_others(tiny_config):
    names = set()
    grids = [tiny_config()["sweep"] | {"lambda_p": asked} for asked in ((0.0,), (3.0, 8.0))]
    changes = [{}, {"perception": {"name": "none"}}, {"distortion": "mse"}]
    for change in (*changes, *({"sweep": grid} for grid in grids)):
        made = plan.make(tiny_config() | change)
        names.add(made.run_hash(made.runs[0]))
    assert len(names) == 1
    other = tiny_config()
    other["stages"]["fidelity"]["steps"] += 1
    made = plan.make(other)
    assert made.run_hash(made.runs[0]) not in names


def test_weights_that_are_replaced_make_other_decoders(tiny_config, tmp_path):
    path, names = tmp_path / "features.npz", set()
    asked = tiny_config("photos")
    asked["perception"] = {"name": "wasserstein_distortion", "features_path": str(path)}
    kernels = [np.ones((3, 3, 3, 4), np.float32), np.zeros((3, 3, 3, 4), np.float32)]
    for kernel in (*kernels, kernels[0]):
        np.savez(path, level_0=kernel)
        made = plan.make(asked)
        names.add(tuple(made.run_hash(run) for run in made.runs))
    assert len(names) == 2 and len({of_runs[0] for of_runs in names}) == 1  # the encoder knows none


def test_an_encoder_serves_decoders_of_any_lambda_p(tiny_config, tmp_path):
    """What it learns does not depend on them, and each of them starts where it ended."""
    found = []
    for lambda_p in ((0.0,), (2.0, 50.0)):
        asked = tiny_config("photos")
        asked["sweep"] |= {"lambda_p": lambda_p}
        asked["stages"]["fidelity"] |= {"steps": 2, "checkpoint_every": 2}
        asked["stages"]["perception"] |= {"steps": 1, "learning_rate": 1e-12}
        made = plan.make(asked)
        workdir = sweep.open_workdir(tmp_path / str(len(found)), asked)
        outcomes = sweep.Trainer(made, workdir, lambda *_: None).train_all()
        encoder, decoder = (outcomes[run.name].params for run in made.runs)
        found.append(encoder)
        codec, x = made.codec, made.examples()[:1]
        for point in ((25.0, lambda_p[-1]), (200.0, 0.0)):
            params = codec.bind(decoder, *point)
            mean = codec.quantise(params, codec.analyse(params, x))
            x_hat = codec.synthesise(params, codec.complete(params, mean, 2))
            codec_of = made.codec_of(made.runs[0].stage)
            own = codec_of.bind(encoder, point[0], 0.0)
            symbols = codec_of.quantise(own, codec_of.analyse(own, x))
            np.testing.assert_array_equal(symbols["hard"], mean["hard"])
            same = codec_of.synthesise(own, codec_of.complete(own, symbols, 2))
            np.testing.assert_allclose(x_hat, same, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.parametrize(("members", "amount"), [(2, 0.2), (0, 0.0)])
def test_a_stage_starts_from_the_amount_of_detail_that_it_is_told(
    tiny_config, tmp_path, members, amount
):
    """Without members from none, so that nothing untrained is drawn from its decoder."""
    asked = tiny_config()
    asked["sweep"] |= {"lambda_d": (7.2,), "lambda_p": (50.0,)}
    asked["stages"]["fidelity"]["steps"] = 2
    asked["stages"]["perception"] |= {"steps": 1, "learning_rate": 1e-9, "amount": 0.2}
    asked["stages"]["perception"]["members"] = asked["evaluation"]["members"] = members
    asked["perception"]["unbiased"] = bool(members)
    made = plan.make(asked)
    sweep.open_workdir(tmp_path / "run", asked)
    outcomes = sweep.Trainer(made, tmp_path / "run", lambda *_: None).train_all()
    encoder, decoder = (outcomes[run.name].params["synthesis"]["amount"] for run in made.runs)
    assert not encoder  # it knows no λ_p
    for name in ("amplitude", "sampled_weight"):
        np.testing.assert_allclose(decoder[name], amount / 2, rtol=1e-5)
    if not members:
        artefact = bitstream.make(made.codec, outcomes[made.runs[-1].name].params, 7.2, 50.0)
        stream = bitstream.encode(artefact, made.examples()[:64])
        one, two = (bitstream.decode(artefact, stream, members=m) for m in (0, 2))
        np.testing.assert_array_equal(two, np.broadcast_to(one, two.shape))


def test_joint_training_after_fidelity_moves_the_encoder_too(tiny_config, tmp_path):
    asked = tiny_config()
    asked["sweep"] |= {"lambda_d": (7.2,), "lambda_p": (0.0, 50.0)}
    last = asked["stages"].pop("perception") | {"relaxation": "rate"}
    asked["stages"]["joint"] = last
    made = plan.make(asked)
    assert [run.stage.name for run in made.runs] == ["fidelity", "joint", "joint"]
    assert all(trial.is_joint for trial in made.trials)
    sweep.open_workdir(tmp_path / "run", asked)
    outcomes = sweep.Trainer(made, tmp_path / "run", lambda *_: None).train_all()
    first, last = (outcomes[run.name].params for run in made.runs[:2])
    first = start.serving(made.codec, first)
    for part in ("analysis", "prior", "synthesis"):
        leaves = zip(jax.tree.leaves(first[part]), jax.tree.leaves(last[part]), strict=True)
        assert any(np.any(before != after) for before, after in leaves), part
    assert checkpoint.steps_done(tmp_path / "run" / made.runs[1].name / "checkpoints") == 30
