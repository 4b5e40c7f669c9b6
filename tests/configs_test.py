"""Every configuration and every experiment builds, and says what it is."""

import itertools
import os
import pathlib

import pytest

import experiments
from configs import _stand_ins
from synjax.training import plan

ROOT = pathlib.Path(__file__).parents[1]
FILES = [
    *(ROOT / "configs").glob("[!_]*.py"),
    *(ROOT / "experiments").glob("[!_]*.py"),
]


@pytest.mark.parametrize("argument", ["", "tiny"])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_configuration_makes_a_plan_of_its_whole_grid(path, argument):
    config = experiments.load(path).get_config(argument).to_dict()
    source = config["data"]["source"] = config["data"]["source"] or "photos"  # or by flag
    if source in ("mnist", "fsdd") and not os.environ.get("SYNJAX_DATA"):
        pytest.skip(f"needs {source}: SYNJAX_DATA names no folder")
    made = plan.make(config)
    sweep = config["sweep"]
    points = set(itertools.product(sweep["lambda_d"], sweep["lambda_p"])) | set(sweep["also"])
    assert len(made.trials) == len(points) * len(config["seeds"])
    names = {run.name for run in made.runs}
    for trial in made.trials:
        assert trial.encoder in names and trial.decoder in names
    for run in made.runs:
        assert run.parent is None or run.parent in names


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_configuration_says_how_it_is_run_and_refuses_other_arguments(path):
    module = experiments.load(path)
    assert "./launch.sh" in module.__doc__
    with pytest.raises(ValueError, match="larger"):
        module.get_config("larger")


def test_arguments_combine_and_a_critic_has_one_adversary():
    config = experiments.load("configs/photos.py").get_config("tiny,wgan_gp").to_dict()
    assert config["name"] == "photos_tiny_wgan_gp"
    made = plan.make(config)
    assert len(made.trials) == 4 and all(len(run.conditions) == 1 for run in made.runs)


def test_targets_and_extras_can_be_set_by_flags(called, tmp_path):
    done = called(
        "train",
        "--config=configs/gaussian.py:tiny",
        f"--workdir={tmp_path / 'run'}",
        "--config.stages.fidelity.targets.rate=0.5",
        "--config.stages.perception.targets.perception=0.1",
        "--config.evaluation.fresh_critic_steps=2",
        "--config.evaluation.realism=(0.5,)",
    )
    # With decoders of their own there is no realism to choose; the rest is accepted.
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "evaluation.realism below 1 needs" in done.stderr
    done = called(
        "train",
        "--config=configs/gaussian.py:tiny",
        f"--workdir={tmp_path / 'run'}",
        "--config.stages.fidelity.targets.rate=-1",
    )
    assert done.returncode == 2 and "targets.rate must be positive" in done.stderr


@pytest.mark.parametrize("name", ["claims", "mnist_rdp"])
def test_every_variant_makes_a_plan_and_they_share_their_encoders(name):
    experiment = experiments.load(f"experiments/{name}.py")
    config = experiment.get_config("tiny").to_dict()
    source = config["data"]["source"]
    if source in ("mnist", "fsdd") and not os.environ.get("SYNJAX_DATA"):
        pytest.skip(f"needs {source}: SYNJAX_DATA names no folder")
    encoders, families = set(), set()
    for own in experiment.variants(config).values():
        made = plan.make(own)
        families.add((made.codec, made.runs[0].conditions[0].targets))
        encoders |= {(made.run_hash(run), run.seed) for run in made.runs if not run.parent}
    assert len(encoders) == len(families) * len(config["seeds"])
    assert len(families) < len(experiment.variants(config))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *itertools.product(["configs/photos.py", "configs/gaussian.py"], _stand_ins.STAND_INS),
        *itertools.product(["configs/photos.py"], _stand_ins.OF_PICTURES),
    ],
)
def test_every_stand_in_is_an_argument(path, name):
    made = plan.make(experiments.load(path).get_config(f"tiny,{name}").to_dict())
    assert made.config["perception"]["name"] == name
    alone = all(len(run.conditions) == 1 for run in made.runs)
    # Vectors have an encoder and a decoder for every point whatever stands in.
    assert alone == (name in _stand_ins.LEARNED or made.source.kind == "vector")


def test_vectors_take_no_stand_in_of_pictures():
    with pytest.raises(ValueError, match="mixture after the colon, got 'wasserstein_distortion'"):
        experiments.load("configs/gaussian.py").get_config("wasserstein_distortion")


def test_two_stand_ins_are_one_too_many():
    with pytest.raises(ValueError, match="takes tiny and one of"):
        experiments.load("configs/photos.py").get_config("mmd,gan")


@pytest.mark.parametrize(
    ("path", "changes", "message"),
    [
        ("photos", {"sweep.decoders": "conditioned", "perception.name": "gan"}, "against one deco"),
        ("photos", {"stages.fidelity.targets": {"rate": 0.1}}, "conditions must be 1"),
        ("gaussian", {"stages.perception.members": 1}, "unbiased needs at least 2 members"),
        ("gaussian", {"evaluation.limit": 0}, "evaluation.limit must be an integer from 1"),
        ("photos", {"evaluation.lambda_p": (7.0,)}, "lambda_p must be of sweep.lambda_p"),
        ("gaussian", {"evaluation.realism": ("a",)}, "evaluation.realism must be numbers"),
        ("photos", {"perception.patch": 64, "perception.stride": 32}, "crops of at least 128"),
    ],
)
def test_what_would_fail_after_hours_is_refused_at_once(path, changes, message):
    config = experiments.load(f"configs/{path}.py").get_config("tiny").to_dict()
    for key, value in changes.items():
        place = config
        *parents, last = key.split(".")
        for parent in parents:
            place = place[parent]
        place[last] = value
    if config["perception"]["name"] == "gan":
        config["perception"] = {"name": "gan"}
        config["sweep"]["encoders"] = "separate"
        config["stages"]["perception"]["conditions"] = 1
        config["stages"]["fidelity"]["conditions"] = 1
    with pytest.raises(ValueError, match=message):
        plan.make(config)
