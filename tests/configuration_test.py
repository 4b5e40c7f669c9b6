"""A configuration as plain JSON, wherever a configuration file is."""

import json
import subprocess
import sys

import conftest
import pytest

from synjax import configuration, main
from synjax.training import plan

BLOCKED = (
    *("ml_collections", "clu", "tensorflow", "tensorflow_datasets", "tensorboardX"),
    *("bjontegaard", "imagecodecs"),
)


@pytest.fixture
def file(tiny_config, tmp_path):
    """A file with the miniature of configs/gaussian.py, as a sweep would leave it."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(tiny_config()))
    return path


def test_a_configuration_in_json_is_the_one_it_was_written_from(file, tiny_config):
    loaded = configuration.load(file, {})
    assert plan.config_hash(loaded) == plan.config_hash(tiny_config())
    made, again = plan.make(tiny_config()), plan.make(loaded)
    assert made.codec == again.codec and made.trials == again.trials
    assert [run.name for run in made.runs] == [run.name for run in again.runs]
    hashes = [[each.run_hash(run) for run in each.runs] for each in (made, again)]
    assert hashes[0] == hashes[1]


def test_flags_change_json_as_they_change_python(file):
    flags = ["--config.sweep.lambda_d=(1.0, 2.0)", "--config.stages.fidelity.steps", "7"]
    flags += ["--config.stages.fidelity.learning_rate=1", "--config.distortion=mse"]
    flags += ["--config.perception.unbiased=false", "--config.stages.fidelity.targets.rate=0.5"]
    path, overrides, rest = configuration.split([f"--config={file}", "--out=x", *flags])
    assert path == file and rest == ["--out=x"]
    loaded = configuration.load(path, overrides)
    assert loaded["sweep"]["lambda_d"] == (1.0, 2.0)
    assert loaded["stages"]["fidelity"]["steps"] == 7
    assert loaded["stages"]["fidelity"]["learning_rate"] == 1.0
    assert loaded["perception"]["unbiased"] is False
    assert loaded["stages"]["fidelity"]["targets"]["rate"] == 0.5


def test_a_python_configuration_is_left_to_its_reader():
    arguments = ["--config=configs/photos.py:tiny", "--config.name=x"]
    assert configuration.split(arguments) == (None, {}, arguments)


@pytest.mark.parametrize(
    ("changes", "flag", "named"),
    [
        ({}, "--config.stages.fidelity.stepps=3", "no such key: stages.fidelity.stepps"),
        ({}, "--config.stages.fidelity.steps=many", "steps is 30, cannot become 'many'"),
        ({}, "--config.stages.fidelity.steps=1.5", "steps is 30, cannot become '1.5'"),
        ({}, "--config.stages=3", "cannot become '3'"),
        ({}, "--config.name", "--config.name has no value"),
        ({"sweep": {"lambda_d": [1.0]}}, "--config.name=x", "sweep 'lambda_p'"),
        ({"codec": 3}, "--config.name=x", "codec is no JSON object"),
        ({"stages": {"fidelity": {"steps": 1}}}, "--config.name=x", "fidelity has no 'balance'"),
        ({"variants": ["a", "b"]}, "--config.name=x", "config.json of one of a, b"),
    ],
)
def test_what_is_no_configuration_is_one_clear_line(file, capsys, tmp_path, changes, flag, named):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    workdir = tmp_path / "run"
    assert main.main(["train", f"--workdir={workdir}", f"--config={file}", flag]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1
    assert not workdir.exists()


@pytest.mark.parametrize("text", ["", "{", "[1, 2]"])
def test_what_is_not_json_is_refused(file, capsys, text):
    file.write_text(text)
    assert main.main(["bench", f"--config={file}"]) == 2
    assert f"{file} " in capsys.readouterr().err
    file.unlink()
    assert main.main(["bench", f"--config={file}"]) == 2


MEASURE = """
import sys
from synjax import main
from synjax.bench import parts

def measure(plan, settings):
    params, stage = plan.initial_params(plan.seed), plan.runs[-1].stage
    plan.objective(stage, params["synthesis"]["klt"])
    yield {"stage": stage.name}

parts.PARTS["steps"] = measure  # what it takes, without the minutes of it
sys.exit(main.main(sys.argv[1:]))
"""


def test_the_bench_runs_from_json_where_what_it_does_not_need_is_not_installed(
    file, tmp_path, environment
):
    for package in BLOCKED:
        (tmp_path / "blocked" / package).mkdir(parents=True)
        refuse = f"raise ModuleNotFoundError('{package} is blocked by the test')"
        (tmp_path / "blocked" / package / "__init__.py").write_text(refuse)

    def bench(*arguments):
        return subprocess.run(
            [sys.executable, "-c", MEASURE, "bench", "--parts=steps", *arguments],
            cwd=conftest.ROOT,
            env=environment | {"PYTHONPATH": str(tmp_path / "blocked")},
            capture_output=True,
            text=True,
        )

    out = tmp_path / "bench.json"
    done = bench(f"--experiment={file}", f"--out={out}", "--config.seeds=(3,)")
    assert done.returncode == 0, done.stderr
    changed = plan.config_hash(json.loads(file.read_text()) | {"seeds": [3]})
    found = json.loads(out.read_text())
    assert found["config"]["hash"] == changed and found["parts"] == {
        "steps": [{"stage": "perception"}]
    }
    done = bench("--config=configs/gaussian.py:tiny")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "needs ml_collections" in done.stderr and "FILE.json" in done.stderr
