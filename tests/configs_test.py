"""Every configuration and every experiment builds, and says what it is."""

import itertools
import pathlib

import pytest

import experiments
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
