"""Shared settings: silent rank promotion hides shape bugs, so the tests forbid it."""

import os
import pathlib

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = pathlib.Path(__file__).parents[1]


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
