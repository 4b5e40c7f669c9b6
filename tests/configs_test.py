"""Every configuration and every experiment builds, and says what it is."""

import importlib.util
import pathlib

import pytest

from synjax.training import plan

ROOT = pathlib.Path(__file__).parents[1]
FILES = [
    *(ROOT / "configs").glob("[!_]*.py"),
    *(ROOT / "experiments").glob("[!_]*.py"),
]


def _load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("argument", ["", "tiny"])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_configuration_makes_a_plan_of_its_whole_grid(path, argument):
    config = _load(path).get_config(argument).to_dict()
    made = plan.make(config)
    sweep = config["sweep"]
    assert len(made.trials) == len(sweep["lambda_d"]) * len(sweep["lambda_p"])
    names = {run.name for run in made.runs}
    for trial in made.trials:
        assert trial.encoder in names and trial.decoder in names
    for run in made.runs:
        assert run.parent is None or run.parent in names


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_configuration_says_how_it_is_run_and_refuses_other_arguments(path):
    module = _load(path)
    assert "./launch.sh" in module.__doc__
    with pytest.raises(ValueError, match="larger"):
        module.get_config("larger")
