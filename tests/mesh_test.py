"""Devices: who holds which rows and which trials; nothing else depends on them."""

import subprocess
import sys

import conftest
import jax
import numpy as np
import pytest

from experiments.devices import layouts
from synjax.training import mesh


def test_one_device_holds_every_row():
    devices = mesh.make()
    np.testing.assert_array_equal(devices.rows(12), np.arange(12))


def test_a_stack_has_a_leading_axis_of_trials_and_gives_each_back():
    devices = mesh.make()
    states = [{"a": np.full(3, k, np.float32), "b": np.int32(k)} for k in range(4)]
    stacked = devices.place_state(states)
    assert jax.tree.map(np.shape, stacked) == {"a": (4, 3), "b": (4,)}
    for place, state in enumerate(states):
        jax.tree.map(np.testing.assert_array_equal, devices.fetch(stacked, place), state)


def test_accelerators_stack_all_there_are_and_cpus_one():
    assert mesh.make().capacity == 1
    assert mesh.make(stack=0).capacity is None
    assert mesh.make(stack=3).capacity == 3


@pytest.mark.parametrize("shape", ["2", "1x2", "0x1", "ax1", "1x1x1"])
def test_a_mesh_that_the_devices_do_not_fill_is_one_line(shape):
    with pytest.raises(ValueError, match="mesh") as caught:
        mesh.make(shape)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["here", "localhost:1,0", "localhost:1,a,2"])
def test_processes_that_cannot_join_are_one_line(text):
    with pytest.raises(ValueError, match="must be auto or HOST:PORT,INDEX,COUNT"):
        mesh.start(text)


SHARES = """
import jax, numpy as np
from synjax.training import mesh

for shape in ("1x8", "2x4", "4x2"):
    devices = mesh.make(shape)
    whole = np.arange(48, dtype=np.float32).reshape(16, 3)
    placed = devices.place_batch(whole, 16)
    parts = {}
    for shard in placed.addressable_shards:
        parts.setdefault(shard.index[0].start or 0, []).append(np.asarray(shard.data))
    data = devices.mesh.shape["data"]
    assert len(parts) == data, parts.keys()
    np.testing.assert_array_equal(np.concatenate([parts[k][0] for k in sorted(parts)]), whole)
    big = {"w": np.zeros((64, 128), np.float32), "small": np.zeros(5, np.float32)}
    for sharded, share in ((False, 1), (True, data)):
        stack = mesh.make(shape, 1, sharded).place_state([big] * devices.mesh.shape["trial"])
        assert stack["w"].addressable_shards[0].data.size * share == big["w"].size
        assert stack["small"].addressable_shards[0].data.size == 5
try:
    devices.require_batch("batch", 15)
except ValueError as error:
    print(error)
"""


def test_rows_are_disjoint_and_complete_and_large_leaves_are_shared_where_asked(environment):
    given = environment.get("XLA_FLAGS", "")
    flags = {"XLA_FLAGS": f"{given} --xla_force_host_platform_device_count=8"}
    done = subprocess.run(
        [sys.executable, "-c", SHARES],
        env=environment | flags,
        cwd=conftest.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "batch 15 must be a multiple of the mesh's 2 data devices\n"


def test_shards_and_processes_train_the_codec_that_one_device_does(
    tmp_path, monkeypatch, environment
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(conftest.ROOT)
    assert layouts.main(["--tiny", f"--out={tmp_path}"]) == 0
