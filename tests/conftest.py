"""Shared settings: silent rank promotion hides shape bugs, so the tests forbid it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import filelock
import jax
import pytest

import experiments

jax.config.update("jax_numpy_rank_promotion", "raise")
# Compilation takes most of the time here, and no test is about what it optimises.
jax.config.update("jax_disable_most_optimizations", True)
# XLA's older way to write fused loops on CPUs compiles a training step in half of the time. A flag
# that a version does not know ends the process, so that only those get it that were tried.
if jax.__version_info__[:2] == (0, 10):
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} --xla_cpu_use_fusion_emitters=false"
# Small programs are kept too: the command line under test compiles the same ones again and again.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

ROOT = pathlib.Path(__file__).parents[1]

# Files that take a minute or more, the longest first and two that share nothing in front: begun
# last, one would keep a worker busy when the others have nothing left.
LONG = (
    *("docs_commands_test", "mesh_test", "main_test", "faults_test", "kodak_test", "variants_test"),
    *("targets_test", "launching_test", "speech_test", "extension_test", "classical_test"),
    *("layers_test", "interruption_test", "loop_test", "architecture_test", "package_test"),
    "gaussian_miniature_test",
)


def pytest_collection_modifyitems(items):
    """Puts the long files first."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


def load_config(path, argument=""):
    """The configuration of a file as a plain dict."""
    return experiments.load(path).get_config(argument).to_dict()


@pytest.fixture
def tiny_config():
    """tiny_config(name) is the miniature of configs/NAME.py, a fresh dict."""
    return lambda name="gaussian": load_config(f"configs/{name}.py", "tiny")


@pytest.fixture(scope="session")
def environment():
    """Environment of the command line under test: it compiles as the tests do, for one cache."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".venv" / "jax_cache"))
    compiles = {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    return os.environ | compiles | {"COLUMNS": "100"}


@pytest.fixture(scope="session")
def command(environment):
    """Runs the real command line: command(*arguments, **environment) → CompletedProcess."""

    def run(*arguments, timeout=600, cwd=ROOT, **extra):
        return subprocess.run(
            [sys.executable, "-m", "synjax.main", *map(str, arguments)],
            cwd=cwd,
            env=environment | extra,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def called(monkeypatch, capfd):
    """called(*arguments) is `command` in this process, which is started already."""
    from synjax import main

    def run(*arguments):
        arguments = list(map(str, arguments))
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["launch.sh", *arguments])  # which ml_collections reads
        capfd.readouterr()
        status = main.main(arguments)
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def tiny(command, tmp_path_factory):
    """A finished miniature of the quickstart: (working directory, CompletedProcess).

    Trained once for all workers of pytest-xdist; each has a copy of its own to change.
    """
    everyone = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        everyone = everyone.parent
    original, said = everyone / "tiny", everyone / "tiny.json"
    asked = ["sweep", "--experiment=experiments/quickstart.py:tiny"]
    with filelock.FileLock(everyone / "tiny.lock"):
        if not said.exists():
            done = command(*asked, f"--workdir={original}")
            assert done.returncode == 0, done.stderr
            said.write_text(json.dumps([done.stdout, done.stderr]))
    workdir = tmp_path_factory.mktemp("tiny") / "run"
    shutil.copytree(original, workdir)
    stdout, stderr = (
        text.replace(str(original), str(workdir)) for text in json.loads(said.read_text())
    )
    asked.append(f"--workdir={workdir}")
    return workdir, subprocess.CompletedProcess(asked, 0, stdout, stderr)
