"""What a configuration asks to be trained."""

import contextlib
import copy
import types

import jax
import numpy as np
import pytest

from synjax.training import checks, plan


def test_separate_encoders_and_decoders_are_one_run_per_point(tiny_config):
    made = plan.make(tiny_config())
    stages = [run.stage.name for run in made.runs]
    assert stages.count("fidelity") == 2 and stages.count("perception") == 4
    assert all(len(run.conditions) == 1 for run in made.runs)


def test_conditioned_encoders_and_decoders_are_one_run_each(tiny_config):
    made = plan.make(tiny_config("photos"))
    assert [run.stage.name for run in made.runs] == ["fidelity", "perception"]
    assert [len(run.conditions) for run in made.runs] == [2, 4]


def test_one_decoder_per_lambda_p_can_follow_a_conditioned_encoder(tiny_config):
    asked = tiny_config("photos")
    asked["sweep"]["decoders"] = "separate"
    asked["stages"]["perception"]["conditions"] = 1
    made = plan.make(asked)
    assert [len(run.conditions) for run in made.runs] == [2, 2, 2]


def test_points_beside_the_grid_are_trials_of_their_own(tiny_config):
    asked = tiny_config()
    asked["sweep"] |= {"lambda_p": (0.0,), "also": ((2.4, 240.0), (24.0, 0.0), (7.2, 5.0))}
    made = plan.make(asked)
    found = [(trial.lambda_d, trial.lambda_p) for trial in made.trials]
    assert found == [(2.4, 0.0), (2.4, 240.0), (7.2, 5.0), (24.0, 0.0)]
    assert [run.stage.name for run in made.runs].count("fidelity") == 3


def test_every_seed_trains_everything_anew(tiny_config):
    asked = tiny_config()
    alone = plan.make(asked)
    asked["seeds"] = (0, 3)
    both = plan.make(asked)
    assert len(both.runs) == 2 * len(alone.runs) and len(both.trials) == 2 * len(alone.trials)
    names = [run.name for run in both.runs] + [trial.name for trial in both.trials]
    assert len(set(names)) == len(names)
    for trial in both.trials:
        runs = {run.name: run for run in both.runs}
        assert runs[trial.encoder].seed == runs[trial.decoder].seed == trial.seed
        assert runs[trial.decoder].parent == trial.encoder
    assert [trial.name for trial in alone.trials][0] == "ld=2.4,lp=0"


def test_all_components_are_one_group_unless_groups_are_given(tiny_config):
    asked = tiny_config()
    asked["data"]["variances"] = (1.0, 0.5, 0.25)
    assert plan.make(asked).codec.groups == (3,)
    asked["codec"]["groups"] = (2,)
    assert plan.make(asked).codec.groups == (2,)


def test_separate_encoders_have_one_architecture_and_each_starts_at_its_own_step(tiny_config):
    made = plan.make(tiny_config())
    starts = [made.initial_params(0, lambda_d) for lambda_d in ((2.4,), (24.0,))]
    assert jax.tree.map(np.shape, starts[0]) == jax.tree.map(np.shape, starts[1])
    rows = [start["analysis"]["log_gain"][1] for start in starts]
    np.testing.assert_allclose(rows[1] - rows[0], np.log(np.sqrt(10)), rtol=1e-4)
    np.testing.assert_array_equal(starts[0]["analysis"]["klt"], starts[1]["analysis"]["klt"])


def test_a_codec_is_told_the_weights_that_one_set_of_parameters_serves(tiny_config):
    assert plan.make(tiny_config("photos")).codec.grid.lambda_d == (25.0, 200.0)
    separate = [plan.make(tiny_config())]
    other = tiny_config()
    other["sweep"] |= {"lambda_d": (1.0,), "lambda_p": (0.0,)}
    separate.append(plan.make(other))
    assert separate[0].codec == separate[1].codec
    # All that it is told is whether λ_p is positive.
    of = separate[0].codec.grid.features
    np.testing.assert_array_equal(of(3.0, 0.0), [1, 1, 0, 0])
    for lambda_p in (1e-3, 1.0, 7200.0, 1e9):
        np.testing.assert_array_equal(of(0.1, lambda_p), [1, 1, 1, 1])


def test_the_first_seed_is_not_named_so_that_others_can_be_added(tiny_config):
    alone, both = (plan.make(tiny_config() | {"seeds": seeds}) for seeds in ((3,), (3, 0)))
    names = [{run.name for run in made.runs} for made in (alone, both)]
    assert names[0] < names[1]
    assert all(name.endswith(",seed=0") for name in names[1] - names[0])


def test_the_hash_names_the_whole_configuration(tiny_config):
    asked = tiny_config()
    other = copy.deepcopy(asked)
    other["stages"]["fidelity"]["learning_rate"] *= 2
    assert plan.config_hash(asked) == plan.config_hash(copy.deepcopy(asked))
    assert plan.config_hash(asked) != plan.config_hash(other)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sweep.lambda_d", (), "lambda_d is empty"),
        ("sweep.lambda_d", (0.0, 1.0), "lambda_d must be increasing, finite and positive"),
        ("sweep.lambda_d", (3.0, 1.0), "lambda_d must be increasing"),
        ("sweep.lambda_p", (float("nan"),), "lambda_p must be finite"),
        ("sweep.also", ((1.0,),), "must hold pairs"),
        ("sweep.also", ((1.0, -1.0),), "sweep.also must be finite and not negative"),
        ("stages.fidelity.relaxation", "noise", "must be one of none, rate, all"),
        ("stages.perception.relaxation", "rate", "must be one of none$"),
        ("seeds", (), "seeds must be different integers"),
        ("seeds", (1, 1), "seeds must be different integers"),
        ("seeds", (-1,), "seeds must be different integers"),
        ("sweep.encoders", "shared", "must be one of"),
        ("stages.fidelity.members", 2, "stages.fidelity.members must be 0"),
        ("stages.perception.level_weights", (1.0, 1.0), "the codec has 1 levels"),
        ("stages.fidelity.level_lambda_d", (1.0, 1.0), "the codec has 1 levels"),
        ("stages.perception.level_lambda_p", (-1.0,), "must be finite and not negative"),
        ("stages.perception.conditions", 3, "must be a multiple|serves only 1"),
        ("stages.perception.real", "both", "must be one of"),
        ("stages.perception.members", -1, "must not be negative"),
        ("stages.perception.amount", -0.1, "perception.amount must be finite and not negative"),
        ("codec.groups", (9,), "more than the 8"),
        ("codec.depth", 3, "codec has no setting 'depth'"),
        ("perception.slices", 3, "slices"),
        ("evaluation.members", 0, "evaluation.members must be 0 where"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tiny_config, key, value, message):
    asked = tiny_config()
    *path, last = key.split(".")
    place = asked
    for part in path:
        place = place[part]
    place[last] = value
    with pytest.raises(ValueError, match=message):
        plan.make(asked)


def test_a_critic_needs_decoders_of_its_own(tiny_config):
    asked = tiny_config("photos")
    distance = {"name": "mmd", "patch": 8}
    for terms in ({"sharp": {"name": "wgan_gp"}}, {"a": distance, "b": {"name": "gan"}}):
        asked["perception"] = {"name": "mixture", "terms": terms}
        with pytest.raises(ValueError, match="separate"):
            plan.make(asked)
    asked["perception"] = {"name": "wgan_gp"}
    with pytest.raises(ValueError, match="separate"):
        plan.make(asked)
    asked["perception"] = {"name": "mixture", "terms": {"a": distance}}
    assert plan.make(asked).runs  # nothing learns


def test_a_conditioned_critic_is_planned_with_the_codecs_groups_and_paired_batches(tiny_config):
    asked = tiny_config("photos")
    asked["perception"] = {"name": "gan", "conditioned": True}
    asked["sweep"] |= {"encoders": "separate", "decoders": "separate"}
    for stage in asked["stages"].values():
        stage["conditions"] = 1
    made = plan.make(asked)
    module = made.objective(made.runs[-1].stage, None).perception
    assert module.groups == made.codec.groups
    asked["stages"]["perception"]["real"] = "independent"
    with pytest.raises(ValueError, match="perception.conditioned .* must be 'paired'"):
        plan.make(asked)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"kind": "image"}, "data.test has images, data.source sounds"),
        (
            {"kind": "sound", "sample_rate": 16000},
            "sounds of 16000 Hz, data.source sounds of 8000",
        ),
        ({"kind": "sound", "sample_rate": 8000}, None),
    ],
)
def test_a_codec_is_tested_on_what_it_is_for(test, message):
    source = types.SimpleNamespace(kind="sound", sample_rate=8000)
    with pytest.raises(ValueError, match=message) if message else contextlib.nullcontext():
        checks.test(types.SimpleNamespace(**test), source)
