"""The arithmetic of docs/scaling.md, and that the document holds what it gives."""

import importlib.util
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from conftest import ROOT, load_config

from synjax.training import plan

DOCS = ROOT / "docs"
_spec = importlib.util.spec_from_file_location("scaling", DOCS / "scaling.py")
scaling = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(scaling)


@pytest.fixture(scope="module")
def codec():
    return plan.make(load_config("configs/large.py")).codec


def test_the_large_codec_has_the_parameters_that_it_says(codec):
    count = sum(leaf.size for leaf in jax.tree.leaves(scaling.shapes(codec)))
    assert 50e6 < count < 100e6
    assert f"{count / 1e6:.1f} M parameters" in (DOCS.parent / "configs" / "large.py").read_text()


def test_the_large_codec_is_bfloat16_and_rematerialised_and_its_miniature_too(codec):
    tiny = plan.make(load_config("configs/large.py", "tiny")).codec
    for made in (codec, tiny):
        assert made.compute == "bfloat16" and made.rematerialise


@pytest.mark.parametrize("part", ["analysis", "synthesis"])
def test_products_are_those_that_the_compiler_counts(codec, part):
    params, side = scaling.shapes(codec), 1024
    positions = (1, side // codec.stride, side // codec.stride)
    features = jnp.ones(codec.grid.size)
    if part == "analysis":
        network, x = codec.analysis_network, [jnp.zeros((1, side, side, 3))]
    else:
        network = codec.synthesis_network
        x = [jnp.zeros((*positions, codec.latents + 1)), jnp.zeros((1, *positions, 768))]
    own = {"params": params[part]}
    lowered = jax.jit(network.apply).lower(own, *x, features)
    counted = lowered.cost_analysis()["flops"] / 2 / side**2
    # The compiler also counts sums and activations, and leaves out the products with padding.
    assert counted == pytest.approx(scaling.products(codec, side)[part], rel=0.03)


def test_bytes_sent_are_those_of_a_ring():
    # Of eight chips each sends an eighth in each of seven turns, to scatter and again to gather.
    assert scaling.all_reduced(8, 800.0) == 2 * 7 * 100
    assert scaling.fully_sharded(8, 800.0) == 3 * 7 * 100
    assert scaling.all_reduced(1, 800.0) == scaling.fully_sharded(1, 800.0) == 0


def test_a_step_takes_as_long_as_its_operations_at_the_assumed_share_of_the_peak():
    chips = scaling.Machine("two", 2, 1e12, 1e9)
    assert scaling.step_seconds(chips, 6e11) == pytest.approx(1.0)


def test_the_command_of_the_document_prints_its_tables(environment):
    text = (DOCS / "scaling.md").read_text()
    [command] = re.findall(r"`\.venv/bin/python (.*scaling.*)`", text)
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    tables = done.stdout.strip().split("\n\n")
    assert len(tables) == 4
    for table in tables:
        assert table in text, table
