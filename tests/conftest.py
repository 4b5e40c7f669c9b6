"""Shared settings: silent rank promotion hides shape bugs, so the tests forbid it."""

import os
import pathlib

import jax
import pytest

import experiments

jax.config.update("jax_numpy_rank_promotion", "raise")
# Compilation takes most of the time here, and no test is about what it optimises.
jax.config.update("jax_disable_most_optimizations", True)

ROOT = pathlib.Path(__file__).parents[1]


def load_config(path, argument=""):
    """The configuration of a file as a plain dict."""
    return experiments.load(path).get_config(argument).to_dict()


@pytest.fixture
def tiny_config():
    """tiny_config(name) is the miniature of configs/NAME.py, a fresh dict."""
    return lambda name="gaussian": load_config(f"configs/{name}.py", "tiny")


@pytest.fixture(scope="session")
def environment():
    """Environment of the command line under test: the suite's compilation cache, no traceback."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".venv" / "jax_cache"))
    return os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "COLUMNS": "100"}


@pytest.fixture(scope="session")
def command(environment):
    """Runs the real command line: command(*arguments, **environment) → CompletedProcess."""
    import subprocess
    import sys

    def run(*arguments, timeout=600, **extra):
        return subprocess.run(
            [sys.executable, "-m", "synjax.main", *map(str, arguments)],
            cwd=ROOT,
            env=environment | extra,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def tiny(command, tmp_path_factory):
    """A finished miniature of the quickstart: (working directory, CompletedProcess)."""
    workdir = tmp_path_factory.mktemp("tiny") / "run"
    done = command("sweep", "--experiment=experiments/quickstart.py:tiny", f"--workdir={workdir}")
    assert done.returncode == 0, done.stderr
    return workdir, done
