"""What a configuration asks to be trained."""

import copy

import pytest

from synjax.training import plan


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


def test_every_run_of_a_stage_has_the_same_architecture(tiny_config):
    assert plan.make(tiny_config()).codec.grid.lambda_d == (2.4, 24.0)


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
        ("sweep.encoders", "shared", "must be one of"),
        ("stages.fidelity.members", 2, "stages.fidelity.members must be 0"),
        ("stages.perception.level_weights", (1.0, 1.0), "the codec has 1 levels"),
        ("stages.perception.conditions", 3, "must be a multiple|serves only 1"),
        ("stages.perception.real", "both", "must be one of"),
        ("stages.perception.members", -1, "must not be negative"),
        ("codec.groups", (9,), "more than the 8"),
        ("codec.depth", 3, "codec has no setting 'depth'"),
        ("perception.slices", 3, "slices"),
        ("evaluation.members", 0, "evaluation.members must be at least 1"),
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
    asked["perception"] = {"name": "wgan_gp"}
    with pytest.raises(ValueError, match="separate"):
        plan.make(asked)
