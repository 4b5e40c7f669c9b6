"""Devices: one mesh ('trial', 'data'), and the only file that knows of shardings.

Trials are spread over 'trial' and batches over 'data'. A stack of trials is one `TrainState` whose
leaves have a leading axis [T]; each row of the mesh holds T / rows of it.
"""

import dataclasses
import math
import socket
import threading
import time

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

TRIAL, DATA = "trial", "data"
# Smaller leaves are not worth a collective of their own.
SHARDED_SIZE = 2**12
# Seconds for the first process to listen. Those of a run start together, but one of them may load
# Python from a slower disk; JAX itself waits for 300 and then aborts with a stack trace of C++.
PATIENCE = 60


def start(distributed):
    """Joins the processes of a run; before any other use of JAX.

    Args:
      distributed: "" for a process of its own, "auto" where SLURM, Cloud TPU or Open MPI says who
        belongs together, or "HOST:PORT,INDEX,COUNT".

    Raises:
      ValueError: anything else, a first process that the others do not find, or no environment
        for "auto". Where one of the others is missing JAX ends all processes after 300 seconds.
    """
    if not distributed:
        return
    options = {} if distributed == "auto" else _joining(distributed)
    if options.get("process_id"):
        _await_listener(options["coordinator_address"])
    line = "waiting for the other processes of --distributed=%s; JAX ends this one after 300 s"
    patience = threading.Timer(PATIENCE, logging.warning, (line, distributed))
    patience.start()
    try:
        jax.distributed.initialize(**options)
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        if not options and "coordinator_address" in first:  # nothing told JAX of one
            first = (
                "no SLURM, Cloud TPU or Open MPI environment was found; give "
                "--distributed=HOST:PORT,INDEX,COUNT"
            )
        raise ValueError(f"--distributed={distributed}: {first}") from None
    finally:
        patience.cancel()


def _joining(distributed):
    """What `jax.distributed.initialize` takes, of "HOST:PORT,INDEX,COUNT"."""
    try:
        address, index, count = distributed.split(",")
        host, port = address.rsplit(":", 1)
        if not host or not 0 < int(port) < 2**16 or not 0 <= int(index) < int(count):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"distributed is {distributed!r}, must be auto or HOST:PORT,INDEX,COUNT with INDEX in "
            "0…COUNT - 1"
        ) from None
    return {
        "coordinator_address": address,
        "process_id": int(index),
        "num_processes": int(count),
    }


def _await_listener(address):
    """Waits until somebody listens at "HOST:PORT"; ValueError after `PATIENCE` seconds."""
    host, port = address.rsplit(":", 1)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            left = max(deadline - time.monotonic(), 1)
            socket.create_connection((host.strip("[]"), int(port)), timeout=left).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"nobody listens at {address} of --distributed after {PATIENCE} s ({error}): "
                    "is the process with INDEX 0 running there?"
                ) from None
        time.sleep(0.2)


def is_first():
    """Whether this process is the one that writes files that all share."""
    return jax.process_index() == 0


def wait(name):
    """Waits until every process is here; nothing to do for one."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@dataclasses.dataclass(frozen=True)
class Devices:
    """How trials and batches lie on devices; changes how fast results come, and not the results.

    Attributes:
      mesh: of axes ('trial', 'data').
      stack: trials that one device works on at once; None for as many as there are.
      sharded: whether parameters and the optimiser's state are split over 'data' too, each device
        holding a part and gathering the rest as a step needs it.
      workers: processes that prepare batches for this one; 0 for threads of its own.
      settled: whether the mesh stays; one that does not is laid out anew for the batches.
    """

    mesh: jax.sharding.Mesh
    stack: int | None = 1
    sharded: bool = False
    workers: int = 0
    settled: bool = True

    def __str__(self):
        kind = self.mesh.devices.flat[0].device_kind
        return f"{self.mesh.size} x {kind}, mesh {self.shape}"

    @property
    def shape(self):
        """The mesh as `--mesh` takes it."""
        return f"{self.mesh.shape[TRIAL]}x{self.mesh.shape[DATA]}"

    @property
    def capacity(self):
        """Trials that are trained at once; None for as many as there are."""
        return None if self.stack is None else self.stack * self.mesh.shape[TRIAL]

    def padded(self, count):
        """`count` rounded up to what the mesh's rows share equally."""
        rows = self.mesh.shape[TRIAL]
        return -(-count // rows) * rows

    def fitting(self, batches):
        """These devices in a mesh that shares batches equally.

        A mesh that was asked for stays. Any other has as many data devices as all batches are
        multiples of, and trials for the rest.

        Args:
          batches: pairs of the setting that holds a batch and its size.

        Raises:
          ValueError: the mesh that was asked for cannot share a batch, or there is nothing to
            shard over.
        """
        mesh = self.mesh
        if not self.settled:
            data = math.gcd(mesh.size, *(batch for _, batch in batches))
            mesh = _lay_out(mesh.size // data, data)
        fitted = dataclasses.replace(self, mesh=mesh, settled=True)
        size = mesh.shape[DATA]
        for name, batch in batches:
            if batch % size:
                raise ValueError(
                    f"{name} {batch} must be a multiple of the {size} data devices of "
                    f"--mesh={fitted.shape}"
                )
        if self.sharded and size == 1 < mesh.size:
            raise ValueError(
                f"--shard_parameters needs several data devices, the mesh is {fitted.shape}: "
                "batches must be multiples of their number"
            )
        return fitted

    def rows(self, batch):
        """The rows of a global batch that this process's devices hold, an increasing int array."""
        indices = self._sharding(DATA).addressable_devices_indices_map((batch,)).values()
        return np.unique(np.concatenate([np.arange(batch)[index] for index in indices]))

    def place_batch(self, x, batch):
        """The rows [b, …] of this process as an array [batch, …] over all devices."""
        if self.mesh.size == 1:
            return x
        places = {row: place for place, row in enumerate(self.rows(batch))}

        def part(index):
            chosen = [places[row] for row in np.arange(batch)[index[0]]]
            return x[chosen]

        return jax.make_array_from_callback((batch, *x.shape[1:]), self._sharding(DATA), part)

    def place_state(self, states):
        """Host trees of T trials, stacked [T, …] and on the devices.

        T is padded with repetitions of the last one to what the mesh's rows share.
        """
        states = [*states, *states[-1:] * (self.padded(len(states)) - len(states))]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        if self.mesh.size == 1:
            return jax.device_put(stacked)

        def place(leaf, sharding):
            return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

        return jax.tree.map(place, stacked, self.state_shardings(stacked))

    def state_shardings(self, stacked):
        """The sharding of every leaf of a stack."""
        size = self.mesh.shape[DATA]

        def of(leaf):
            axes = [TRIAL] + [None] * (len(leaf.shape) - 1)
            if self.sharded and np.prod(leaf.shape[1:]) >= SHARDED_SIZE:
                divisible = [a for a in range(1, len(leaf.shape)) if leaf.shape[a] % size == 0]
                if divisible:
                    axes[max(divisible, key=lambda a: leaf.shape[a])] = DATA
            return self._sharding(*axes)

        return jax.tree.map(of, stacked)

    def compile(self, step):
        """A step of one trial, jitted for stacks.

        Args:
          step: from `step.make`.

        Returns:
          The same function of state [T, …], x and real [B, …], λ_d and λ_p [T, G], levels [G] and
          targets [T, G, 3]; metrics are [T, G] or [T], whole on every device. The memory of the
          state is reused.
        """

        def one(state, x, real, lambda_d, lambda_p, levels, targets):
            first = jax.tree.map(lambda leaf: leaf[0], (state, lambda_d, lambda_p, targets))
            state, lambda_d, lambda_p, targets = first
            results = step(state, x, real, lambda_d, lambda_p, levels, targets)
            return jax.tree.map(lambda leaf: leaf[None], results)

        def some(state, *arguments):
            # Not by vmap where there is one: its convolutions would be grouped, and slower.
            if state.step.shape[0] == 1:
                return one(state, *arguments)
            return jax.vmap(step, (0, None, None, 0, 0, None, 0))(state, *arguments)

        if self.mesh.size == 1:
            return jax.jit(some, donate_argnums=0)
        spread = some
        # Where batches are shared out too, trials are left to the partitioner: it stops on the
        # gathers of a program that is manual in one axis alone (jaxlib 0.10.2).
        if self.mesh.shape[DATA] == 1:
            over, whole = PartitionSpec(TRIAL), PartitionSpec()
            spread = jax.shard_map(
                some,
                mesh=self.mesh,
                in_specs=(over, whole, whole, over, over, whole, over),
                out_specs=over,
                check_vma=False,
            )

        def on_mesh(state, *arguments):
            state, metrics = spread(state, *arguments)
            constrain = jax.lax.with_sharding_constraint
            state = jax.tree.map(constrain, state, self.state_shardings(state))
            whole = self._sharding()
            return state, jax.tree.map(lambda leaf: constrain(leaf, whole), metrics)

        return jax.jit(on_mesh, donate_argnums=0)

    def fetch(self, stacked, index):
        """Trial `index` of a stack, whole, as a tree of numpy arrays in every process."""
        if self.mesh.size == 1 and len(jax.tree.leaves(stacked)[0]) == 1:
            # Taken apart on the host: hundreds of slices on the device take a fifth of a second.
            return jax.tree.map(lambda leaf: leaf[0, ...], jax.device_get(stacked))
        one = jax.tree.map(lambda leaf: leaf[index], stacked)
        if self.mesh.size > 1:
            one = jax.jit(lambda tree: tree, out_shardings=self._sharding())(one)
        return jax.device_get(one)

    def _sharding(self, *axes):
        return NamedSharding(self.mesh, PartitionSpec(*axes))


def make(shape="", stack=None, sharded=False, workers=0):
    """The devices of this run.

    Args:
      shape: "TRIALxDATA", or "" for all devices along 'data' until `Devices.fitting`.
      stack: trials that one device works on at once; 0 for as many as there are; None for that on
        accelerators and 1 on CPU, where convolutions of several trials are slower at once.
      sharded, workers: see `Devices`.

    Returns:
      `Devices`.

    Raises:
      ValueError: a shape that is none, or that has another number of devices than there are.
    """
    count = jax.device_count()
    try:
        trial, data = (int(size) for size in shape.split("x")) if shape else (1, count)
    except ValueError:
        raise ValueError(f"--mesh is {shape!r}, must be TRIALxDATA such as 1x8") from None
    if trial < 1 or data < 1 or trial * data != count:
        raise ValueError(f"--mesh={shape} must have as many devices as there are, {count}")
    if stack is None:
        stack = 1 if jax.default_backend() == "cpu" else 0
    if stack < 0:
        raise ValueError(f"stack must not be negative, got {stack}")
    return Devices(_lay_out(trial, data), stack or None, sharded, workers, settled=bool(shape))


def _lay_out(trial, data):
    # Sorts and Gram matrices of the perception modules fail under Explicit axes.
    return jax.make_mesh((trial, data), (TRIAL, DATA), axis_types=(AxisType.Auto,) * 2)


def needs_blocking():
    """Whether every step must be waited for: collectives of CPU processes hang otherwise."""
    return jax.process_count() > 1 and jax.default_backend() == "cpu"
