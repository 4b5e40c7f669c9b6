"""launch.sh: what it installs, with a pip that only notes it."""

import os
import shutil
import subprocess
import sys

import conftest
import pytest

STUB = """#!/bin/sh
echo "$@" >>"{log}"
"""


@pytest.fixture
def launch(tmp_path):
    """launch(**environment) runs the script → CompletedProcess, the calls of .venv's Python."""
    for name in ("launch.sh", "requirements.txt", "constraints.txt", "requirements-dev.txt"):
        shutil.copy(conftest.ROOT / name, tmp_path)
    python, log = tmp_path / ".venv" / "bin" / "python", tmp_path / "log"
    python.parent.mkdir(parents=True)
    python.write_text(STUB.format(log=log))
    python.chmod(0o755)
    own = {name: value for name, value in os.environ.items() if name != "SYNJAX_JAX"}

    def run(**environment):
        log.write_text("")
        done = subprocess.run(
            [tmp_path / "launch.sh", "status", "x"],
            env=own | {"PYTHON": sys.executable} | environment,
            capture_output=True,
            text=True,
        )
        return done, log.read_text().splitlines()

    return run


def _installed(calls):
    """The JAX that was asked for, or None where nothing was installed; the verb came last."""
    *installs, verb = calls
    assert verb == "-m synjax.main status x"
    return next(word for word in installs[0].split() if word[:3] == "jax") if installs else None


def test_without_the_variable_jax_has_no_extra_and_is_installed_once(launch):
    assert _installed(launch()[1]) == "jax"
    assert _installed(launch()[1]) is None


def test_an_accelerator_is_installed_later_too_and_remembered(launch, tmp_path):
    launch()
    assert _installed(launch(SYNJAX_JAX="cuda13")[1]) == "jax[cuda13]"
    assert _installed(launch()[1]) is None
    with (tmp_path / "requirements.txt").open("a") as file:
        file.write("# another version\n")
    assert _installed(launch()[1]) == "jax[cuda13]"
    assert _installed(launch(SYNJAX_JAX="cuda12")[1]) == "jax[cuda12]"


def test_an_unknown_one_is_one_line_and_nothing_is_installed(launch):
    done, calls = launch(SYNJAX_JAX="cuda")
    assert (done.returncode, calls) == (2, [])
    assert done.stderr == "synjax: SYNJAX_JAX is 'cuda', must be cpu, cuda12, cuda13 or tpu\n"
