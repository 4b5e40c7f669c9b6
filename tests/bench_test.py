"""What the benchmark counts and writes; never how fast anything is."""

import io
import json
import re
import subprocess
import sys

import conftest
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rich.console

from synjax import main
from synjax.bench import arithmetic, comparison, grid, machine, report, settings, steps, variants
from synjax.training import plan as planning

CONV = ("NHWC", "HWIO", "NHWC")


def conv(x, kernel, **options):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=CONV, **options
    )


def test_multiply_accumulates_are_those_of_the_textbook():
    x, kernel, wide = jnp.ones((2, 8, 6, 3)), jnp.ones((3, 3, 3, 5)), jnp.ones((7, 8))
    per_place = 2 * 8 * 6
    count = arithmetic.multiply_accumulates
    assert count(conv, x, kernel) == per_place * 9 * 3 * 5
    assert count(lambda a, b: a @ b, jnp.ones((4, 7)), wide) == 4 * 7 * 8
    one_per_channel = jnp.ones((3, 3, 1, 3))
    assert count(lambda a, b: conv(a, b, feature_group_count=3), x, one_per_channel) == (
        per_place * 9 * 3
    )

    def transposed(x, kernel):
        return jax.lax.conv_transpose(x, kernel, (2, 2), "SAME", dimension_numbers=CONV)

    assert count(transposed, x, kernel) == per_place * 9 * 3 * 5  # of the smaller side


def test_a_gradient_costs_twice_its_convolution_and_what_is_dropped_costs_nothing():
    x, kernel = jnp.ones((2, 8, 6, 3)), jnp.ones((3, 3, 3, 5))
    forward = arithmetic.multiply_accumulates(conv, x, kernel)

    def both(x, kernel):
        return jax.grad(lambda x, k: (conv(x, k) ** 2).sum(), argnums=(0, 1))(x, kernel)

    assert arithmetic.multiply_accumulates(both, x, kernel) == 3 * forward
    one = arithmetic.multiply_accumulates(lambda x, k: both(x, k)[1], x, kernel)
    assert one == 2 * forward


def test_loops_branches_and_calls_are_counted_inside():
    square = jnp.ones((4, 4))

    def loop(a):
        return jax.lax.scan(lambda carry, _: (jax.jit(jnp.matmul)(carry, a), None), a, length=3)[0]

    def branch(a):
        return jax.lax.cond(a[0, 0] > 0, lambda a: a @ a @ a, lambda a: a @ a, a)

    assert arithmetic.multiply_accumulates(loop, square) == 3 * 64
    assert arithmetic.multiply_accumulates(branch, square) == 2 * 64


@pytest.fixture(scope="module")
def plan():
    config = variants.separate(conftest.load_config("configs/gaussian.py", "tiny"))
    return planning.make(config | {"sweep": config["sweep"] | {"lambda_d": (1.0, 50.0)}})


def test_stacked_trials_train_as_each_does_alone_and_cost_as_much_arithmetic(plan):
    alone, two = (steps.make(plan, plan.runs[0].stage, stacked) for stacked in (1, 2))
    assert two.macs == 2 * alone.macs > 0
    assert two.images == 2 * alone.images
    for _ in range(2):
        alone()
        two()
    of_first = [jax.tree.map(lambda leaf: leaf[0], step.state.params) for step in (alone, two)]
    # The detail starts where its gradient is but rounding, of which Adam makes steps of 3e-4: a
    # tenth of two such is noise.
    details = [params.pop("detail") for params in of_first]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-6), *of_first)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 6e-5), *details)
    moved = jax.tree.map(lambda leaf: float(abs(leaf[0] - leaf[1]).max()), two.state.params)
    assert max(jax.tree.leaves(moved)) > 0  # the trials have their own λ's


def test_what_separates_codecs_gives_every_step_one_condition(tiny_config):
    config = tiny_config("photos")
    varied = variants.separate(config)
    assert {stage["conditions"] for stage in varied["stages"].values()} == {1}
    assert variants.separate(varied) is varied
    runs = planning.make(grid.config_of(config)).runs
    names = [run.stage.name for run in runs]
    assert (names.count("fidelity"), names.count("perception")) == (4, 16)


def test_our_half_of_the_comparison_has_no_fewer_multiply_accumulates():
    # FactorizedPrior(N=128, M=192) of 128 x 128: four 5 x 5 convolutions of stride 2 and three GDN
    # layers, and the same back.
    n, m, side = 128, 192, 128
    layers = [(side // 2) ** 2 * 3 * n, (side // 4) ** 2 * n * n, (side // 8) ** 2 * n * n]
    layers.append((side // 16) ** 2 * n * m)
    gdn = sum((side // 2**i) ** 2 for i in (1, 2, 3)) * n * n
    theirs = 2 * (25 * sum(layers) + gdn)
    ours = planning.make(comparison.config_of(conftest.load_config("configs/photos.py"))).codec
    assert theirs <= comparison.forward_macs(ours) < 1.1 * theirs


def test_the_peak_of_an_unknown_device_is_not_known():
    assert machine.peak("float32") is None  # of the CPU that the tests run on
    assert all(peaks["bfloat16"] > peaks.get("float32", 0) for peaks in machine.PEAKS.values())


def test_tables_hold_every_column_and_say_what_is_missing():
    rows = [{"stage": "fidelity", "step_ms": 1.5}, {"stage": "joint", "share_of_peak": None}]
    facts = {"machine": machine.describe(), "config": {"name": "x", "hash": "y"}, "repeats": 3}
    text = report.markdown(facts | {"parts": {"steps": rows}})
    assert "| stage | step ms | share of peak |" in text
    assert "| fidelity | 1.5 | – |" in text and "| joint | – | – |" in text


def test_a_narrow_console_shows_columns_in_blocks_and_names_every_row_in_each():
    rows = [{"stage": s, "precision": "float32", "step_ms": 1.5, "s": 2 * "long"} for s in "ab"]
    console = rich.console.Console(file=io.StringIO(), width=22)
    report.show("steps", rows, console)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["a,", "float32", "1.5"] in lines and ["a,", "float32", "longlong"] in lines


def test_the_bench_writes_json_and_tables_of_the_parts_that_were_asked_for(tmp_path, capsys):
    out = tmp_path / "deep" / "bench.json"
    call = ["bench", "--config=configs/gaussian.py:tiny", f"--out={out}", "--repeats=1"]
    call += ["--parts=products,coding"]
    assert main.main(call) == 0
    found = json.loads(out.read_text())
    assert list(found["parts"]) == ["products", "coding"]
    assert [row["precision"] for row in found["parts"]["products"]] == ["float32", "bfloat16"]
    assert found["machine"]["device"] and found["repeats"] == 1
    assert "## coding" in out.with_suffix(".md").read_text()
    assert "Msymbols" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--parts=step", ("step", "steps", "grid")),
        ("--stacks=1,many", ("many",)),
        ("--stacks=0", ("--stacks", "0")),
        ("--precisions=float16", ("float16", "bfloat16")),
        ("--out={}/bench.csv", (".json",)),
    ],
)
def test_what_cannot_be_measured_is_one_line(tmp_path, capsys, flag, named):
    out = f"--out={tmp_path}/run/bench.json"
    call = ["bench", "--config=configs/gaussian.py:tiny", out, flag.format(tmp_path / "run")]
    assert main.main(call) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in named:
        assert word in error
    assert not (tmp_path / "run").exists()


def test_settings_name_their_flag():
    with pytest.raises(ValueError, match="--precisions"):
        settings.Settings(precisions=())


def test_the_other_half_needs_nothing_of_ours():
    code = "import sys, runpy; runpy.run_path(sys.argv[1], run_name='half'); "
    code += "assert not {'jax', 'synjax', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(comparison.OTHER)], check=True)


def test_theirs_runs_as_python_starts_it_and_once_more_with_what_launch_sh_sets(monkeypatch):
    script = (conftest.ROOT / "launch.sh").read_text()
    exported = re.findall(r"^export (MALLOC_\w+|GLIBC_\w+)=", script, re.M)
    assert exported == list(comparison.ALLOCATOR)
    monkeypatch.setattr(comparison, "_Other", lambda python, environment: set(environment))
    for name in comparison.ALLOCATOR:
        monkeypatch.delenv(name, raising=False)
    (alone,) = comparison._others(None).values()
    monkeypatch.setenv(exported[0], "0")
    without, with_it = comparison._others(None).values()
    assert without == alone and with_it == alone | {exported[0]}
