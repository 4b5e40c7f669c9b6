"""What a step of `configs/large.py` computes, holds and sends: the tables of docs/scaling.md.

    python docs/scaling.py

Everything follows from the shapes of the parameters, a trace of the loss, and four public numbers
of each accelerator.
"""

import dataclasses
import math

import jax
import numpy as np

from configs import large
from synjax.training import plan as planning

UTILISATION = 0.3  # assumed share of peak products, beside which everything else has to hide
FLOAT = 4  # bytes
HELD = {"parameters": 1, "moments of Adam": 2, "average": 1, "gradient": 1}  # floats per parameter
TRACED = 7  # pictures in a trace, a number that is no width of any layer

# Pixels per position at which a kernel is applied, a side: by what begins its path.
SIDES = {
    ("analysis", "stem"): 8,
    ("analysis", "fine"): 8,
    ("synthesis", "linear_middle"): 8,
    ("synthesis", "middle_1"): 8,
    ("synthesis", "middle_2"): 8,
    ("synthesis", "to_fine"): 8,
    ("synthesis", "linear_fine"): 4,
    ("synthesis", "fine"): 4,
    ("synthesis", "out"): 4,
    ("detail", "activity"): 4,
}


@dataclasses.dataclass(frozen=True)
class Machine:
    """Accelerators that work on one batch.

    Attributes:
      name: of all.
      count: of chips.
      peak: bfloat16 operations per second and chip, dense.
      memory: bytes per chip.
      link: bytes per second that a chip can send while it receives as much.
    """

    name: str
    count: int
    peak: float
    memory: float
    link: float


MACHINES = (
    Machine("8 x H100 SXM", 8, 989.4e12, 80e9, 450e9),
    Machine("v5e-256", 256, 197e12, 16e9, 200e9),
)


def shapes(codec):
    """Shapes of a codec's parameters."""
    x = np.zeros((2, codec.stride, codec.stride, codec.channels), np.float32)
    return jax.eval_shape(lambda key: codec.init(key, x), jax.random.key(0))


def products(params, stride):
    """Multiply-accumulates per pixel of one evaluation of every network, by part.

    Args:
      params: of a codec of pictures, or their shapes.
      stride: pixels per latent position, a side.
    """
    found = dict.fromkeys(params, 0.0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        keys = [part.key for part in path]
        if keys[-1] in ("kernel", "klt"):
            side = SIDES.get((keys[0], keys[1]), stride)
            found[keys[0]] += math.prod(leaf.shape) / side**2
    return found


def kept(plan, stage, **options):
    """Bytes per pixel that the forward pass of a stage keeps for the backward one.

    As JAX asks for it: what a compiler fuses is not kept, and there is workspace beside it.
    """
    codec = dataclasses.replace(plan.codec, **options)
    objective = dataclasses.replace(plan.objective(stage, np.eye(codec.coefficients)), codec=codec)
    x = jax.ShapeDtypeStruct((TRACED, stage.crop, stage.crop, codec.channels), "float32")

    def forward(params, x):
        def loss(params):
            return objective(params, {}, x, x, 45.0, 0.0, 2, jax.random.key(0))[0]

        return jax.vjp(loss, params)[1]

    leaves = jax.tree.leaves(jax.eval_shape(forward, shapes(codec), x))
    own = [leaf for leaf in leaves if leaf.shape[:1] == (TRACED,)]
    return sum(leaf.size * leaf.dtype.itemsize for leaf in own) / (TRACED * stage.crop**2)


def all_reduced(count, size):
    """Bytes that each of `count` chips sends to sum `size` bytes over all, along a ring."""
    return 2 * (count - 1) / count * size


def fully_sharded(count, size):
    """Bytes that each chip sends where all gather parameters twice and scatter gradients once."""
    return 3 * (count - 1) / count * size


def step_seconds(machine, operations):
    """Seconds of arithmetic at `UTILISATION` of the peak."""
    return operations / (machine.count * machine.peak * UTILISATION)


def _table(header, *rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def tables():
    """The tables, as Markdown."""
    plan = planning.make(large.get_config().to_dict())
    stage = plan.runs[0].stage
    params = shapes(plan.codec)
    sizes = {
        name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in params.items()
    }
    count, pixels = sum(sizes.values()), stage.batch * stage.crop**2
    macs = products(params, plan.codec.stride)
    rows = [(name, f"{sizes[name] / 1e6:.1f}", f"{macs[name] / 1e3:.0f}") for name in params]
    rows.append(("all", f"{count / 1e6:.1f}", f"{sum(macs.values()) / 1e3:.0f}"))
    yield _table(("part", "parameters, 10⁶", "multiply-accumulates per pixel, 10³"), *rows)

    held = {name: floats * FLOAT * count / 2**30 for name, floats in HELD.items()}
    yield _table((*held, "all"), [f"{g:.2f} GiB" for g in (*held.values(), sum(held.values()))])

    rows = []
    for compute in ("float32", "bfloat16"):
        for again in (False, True):
            size = kept(plan, stage, compute=compute, rematerialise=again)
            each = [f"{size * pixels / m.count / 2**30:.2f}" for m in MACHINES]
            rows.append((compute, "yes" if again else "no", f"{size:.0f}", *each))
    names = [f"GiB per chip, {machine.name}" for machine in MACHINES]
    yield _table(("compute", "rematerialised", "bytes per pixel", *names), *rows)

    # Two operations a product; forward, twice as much backward, and forward once more.
    operations = 2 * sum(macs.values()) * pixels * 4
    rows = []
    for machine in MACHINES:
        seconds = step_seconds(machine, operations)
        sent = [f(machine.count, FLOAT * count) for f in (all_reduced, fully_sharded)]
        sharded = sum(HELD.values()) * FLOAT * count / machine.count / 2**30
        rows.append(
            (
                machine.name,
                f"{operations / machine.count / 1e12:.2f}",
                f"{1e3 * seconds:.1f}",
                *(f"{s / 1e6:.0f} ({1e3 * s / machine.link:.1f} ms)" for s in sent),
                f"{sharded:.3f}",
                f"{stage.batch / seconds:.0f}",
                f"{1e6 * seconds / 3600:.1f}",
            )
        )
    header = (
        "machine",
        "10¹² operations per chip and step",
        f"ms at {UTILISATION:.0%} of peak",
        "MB sent per chip, all-reduce",
        "MB sent per chip, fully sharded",
        "GiB of state per chip, fully sharded",
        "crops per second",
        "hours per 10⁶ steps",
    )
    yield _table(header, *rows)


if __name__ == "__main__":
    print("\n\n".join(tables()))
