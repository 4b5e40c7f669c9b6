"""What a sweep makes of the devices that there are, and what it says of them."""

import subprocess
import sys
import types

import conftest
import jax
import pytest

from synjax import main, sweep
from synjax.training import mesh, plan

EIGHT = """
import sys, types
import rich.console
from conftest import load_config
from synjax import main
from synjax.verbs import evaluate, export, train, workdirs
from synjax.training import mesh

config = load_config("configs/photos.py")
console = rich.console.Console(width=400)
new, other = sys.argv[1:]
trained = []
workdirs.train = lambda plan, home, console, devices, *_, **__: trained.append(devices.shape)
evaluate.trials = lambda *_, **__: None
export.export = lambda *_: []
train.train(config, new, console, devices=mesh.make())
train.sweep(config, new, console)
train.work(new, ["encoders/ld=10+45+200"], False, console, mesh.make())
assert set(trained) == {"8x1"}, trained

asked = ["train", "--config=configs/photos.py", f"--workdir={other}", "--mesh=1x8"]
assert main.main(asked) == 2
try:
    variants = types.SimpleNamespace(variants=lambda config: {"one": config})
    train.train(config, other, console, variants, mesh.make("1x8"))
except ValueError as error:
    print("variants:", error, file=sys.stderr)
"""


def test_batches_choose_the_mesh_and_one_that_they_do_not_fit_leaves_nothing_behind(
    tmp_path, environment
):
    given = environment.get("XLA_FLAGS", "")
    environment |= {
        "XLA_FLAGS": f"{given} --xla_force_host_platform_device_count=8",
        "PYTHONPATH": str(conftest.ROOT / "tests"),
    }
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, tmp_path / "new", tmp_path / "other"],
        env=environment,
        cwd=conftest.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("On 8 x cpu, mesh 8x1") == 3  # train, sweep, work
    warned = [line for line in lines if line.startswith("Warning")]
    assert len(warned) == 3 and "(7 of 8 in stage fidelity)" in warned[2]
    assert "(7 of 8 in stage fidelity, 7 of 8 in stage perception)" in warned[0]
    refused = "stages.fidelity.batch 3 must be a multiple of the 8 data devices of --mesh=1x8\n"
    assert done.stderr.endswith(f"synjax: {refused}variants: {refused}")
    assert not (tmp_path / "other").exists()


def test_trials_that_are_copies_are_said_with_what_would_use_their_devices(tiny_config):
    made = plan.make(tiny_config())  # an encoder and a decoder for every point
    encoders = sum(run.parent is None for run in made.runs)

    def said(rows, stack=1):
        shape = {mesh.TRIAL: rows, mesh.DATA: 1}
        return sweep.copies([made], mesh.Devices(types.SimpleNamespace(shape=shape), stack))

    assert said(1) is said(1, None) is said(encoders) is None
    rows = encoders + 1
    assert f"1 of {rows} in stage fidelity" in said(rows)
    for what in ("stages.STAGE.batch", "--mesh", "'separate'"):
        assert what in said(rows)


@pytest.mark.parametrize(
    ("verb", "hint"),
    [("train", ": give --stack=N for fewer trials at once, or smaller stages.STAGE.batch")]
    + [("bench", "")],
)
def test_a_device_whose_memory_is_full_is_one_line(monkeypatch, capsys, verb, hint):
    full = "RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes."

    def dispatch(*_):
        raise jax.errors.JaxRuntimeError(f"{full}\nBufferAssignment: ...")

    monkeypatch.setattr(main, "_dispatch", dispatch)
    assert main.main([verb]) == 2
    assert capsys.readouterr().err == f"synjax: {full}{hint}\n"


def test_other_errors_of_jax_keep_their_trace(monkeypatch):
    def dispatch(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(main, "_dispatch", dispatch)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        main.main(["train"])
