"""Devices: who holds which rows and which trials; nothing else depends on them."""

import os
import socket
import subprocess
import sys
import threading
import time

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


@pytest.mark.parametrize(
    "text",
    [
        *("here", "localhost:1,0", "localhost:1,a,2", "localhost,1,2", ":1,1,2", "localhost:a,1,2"),
        *("localhost:99999,1,2", "localhost:1,2,2", "localhost:1,-1,2"),
    ],
)
def test_processes_that_cannot_join_are_one_line(text):
    with pytest.raises(ValueError, match="must be auto or HOST:PORT,INDEX,COUNT"):
        mesh.start(text)


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_process_that_finds_no_first_one_is_one_line_with_the_address(monkeypatch):
    monkeypatch.setattr(mesh, "PATIENCE", 0.3)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: pytest.fail("JAX would abort"))
    address = f"127.0.0.1:{_free_port()}"
    with pytest.raises(ValueError, match=f"nobody listens at {address} .* INDEX 0") as caught:
        mesh.start(f"{address},1,2")
    assert "\n" not in str(caught.value)


def test_a_process_waits_for_a_first_one_that_starts_later(monkeypatch):
    joined, port = [], _free_port()
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: joined.append(options))

    def listen():
        time.sleep(0.5)
        with socket.create_server(("127.0.0.1", port)) as server:
            server.accept()[0].close()

    first = threading.Thread(target=listen)
    first.start()
    mesh.start(f"127.0.0.1:{port},1,2")
    first.join()
    address = f"127.0.0.1:{port}"
    assert joined == [{"coordinator_address": address, "process_id": 1, "num_processes": 2}]


def test_the_first_process_waits_for_nobody(monkeypatch):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: joined.append(options))
    mesh.start("localhost:1,0,2")
    assert [options["process_id"] for options in joined] == [0]


def test_a_first_process_that_waits_long_says_for_whom(monkeypatch, caplog):
    monkeypatch.setattr(mesh, "PATIENCE", 0.05)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **_: time.sleep(0.5))
    mesh.start("localhost:1,0,2")
    assert caplog.messages == [
        "waiting for the other processes of --distributed=localhost:1,0,2; JAX ends this one after "
        "300 s"
    ]
    monkeypatch.setattr(mesh, "PATIENCE", 60)
    mesh.start("localhost:1,0,2")
    assert len(caplog.messages) == 1


def test_auto_outside_a_cluster_says_what_to_give():
    code = "from synjax.training import mesh; mesh.start('auto')"
    clusters = ("SLURM_", "OMPI_", "JAX_COORDINATOR")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(clusters)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=outside, cwd=conftest.ROOT, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == (
        "ValueError: --distributed=auto: no SLURM, Cloud TPU or Open MPI environment was found; "
        "give --distributed=HOST:PORT,INDEX,COUNT"
    )


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
for batches in ((3, 8), (4, 6), (24, 16), (1024,)):
    fitted = mesh.make().fitting([(f"batch {b}", b) for b in batches])
    print(*batches, fitted)
    assert fitted.fitting([]) == fitted, "a mesh that was chosen stays"
for made in (devices, mesh.make("8x1", sharded=True), mesh.make(sharded=True)):
    try:
        made.fitting([("batch", 15)])
    except ValueError as error:
        print(error)
"""
SAID = """\
3 8 8 x cpu, mesh 8x1
4 6 8 x cpu, mesh 4x2
24 16 8 x cpu, mesh 1x8
1024 8 x cpu, mesh 1x8
batch 15 must be a multiple of the 2 data devices of --mesh=4x2
--shard_parameters needs several data devices, the mesh is 8x1: batches must be multiples of their \
number
--shard_parameters needs several data devices, the mesh is 8x1: batches must be multiples of their \
number
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
    assert done.stdout == SAID


def test_shards_and_processes_train_the_codec_that_one_device_does(
    tmp_path, monkeypatch, environment
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(conftest.ROOT)
    assert layouts.main(["--tiny", f"--out={tmp_path}"]) == 0
