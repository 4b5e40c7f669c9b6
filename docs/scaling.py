"""What a step of `configs/large.py` computes, holds and sends: the tables of docs/scaling.md.

    .venv/bin/python -m docs.scaling

Everything follows from the shapes of the parameters, traces, and two public numbers of each
accelerator: the peak, in `synjax/bench/machine.py`, and the bandwidth between chips.
"""

import dataclasses
import functools

import jax
import numpy as np

from configs import large
from synjax.bench import arithmetic, machine
from synjax.codec import chain
from synjax.training import plan as planning

UTILISATION = 0.3  # assumed share of peak products, beside which everything else has to hide
FLOAT = 4  # bytes
HELD = {"parameters": 1, "moments of Adam": 2, "average": 1, "gradient": 1}  # floats per parameter
TRACED = 7  # pictures in a trace, a number that is no width of any layer


@dataclasses.dataclass(frozen=True)
class Machine:
    """Accelerators that work on one batch.

    Attributes:
      name: of all.
      count: of chips.
      peak: bfloat16 operations per second and chip, dense.
      link: bytes per second that a chip can send while it receives as much.
    """

    name: str
    count: int
    peak: float
    link: float


MACHINES = (
    Machine("8 x H100 SXM", 8, machine.PEAKS["NVIDIA H100 80GB HBM3"]["bfloat16"] * 1e12, 450e9),
    Machine("v5e-256", 256, machine.PEAKS["TPU v5 lite"]["bfloat16"] * 1e12, 200e9),
)


@functools.cache
def shapes(codec):
    """Shapes of a codec's parameters."""
    x = np.zeros((2, codec.stride, codec.stride, codec.channels), np.float32)
    return jax.eval_shape(lambda key: codec.init(key, x), jax.random.key(0))


def products(codec, side):
    """Multiply-accumulates per pixel of one evaluation of every network, by part.

    Args:
      codec: of pictures.
      side: of the picture, a multiple of the stride.
    """
    params, places = shapes(codec), (side // codec.stride,) * 2
    features = _spec(codec.grid.size)
    x, shared = _spec(1, side, side, codec.channels), _spec(1, *places, codec.latents + 1)
    detail = _spec(1, 1, *places, codec.coefficients)
    prior = [
        (part.network(codec), params["prior"][part.name], _spec(1, *places, part.known), features)
        for part in chain.parts(codec)
        if part.known
    ]
    calls = {
        "analysis": [(codec.analysis_network, params["analysis"], x, features)],
        "prior": prior,
        "detail": [
            (codec.detail_network, params["detail"]["statistics"], shared, features),
            (codec.activity_network, params["detail"]["activity"], x, _spec(1, 1, 1, 1)),
        ],
        "synthesis": [(codec.synthesis_network, params["synthesis"], shared, detail, features)],
    }
    return {
        name: sum(
            arithmetic.multiply_accumulates(network.apply, {"params": own}, *inputs)
            for network, own, *inputs in networks
        )
        / side**2
        for name, networks in calls.items()
    }


def _spec(*shape):
    return jax.ShapeDtypeStruct(shape, "float32")


def kept(plan, stage, **options):
    """Bytes per pixel that the forward pass of a stage keeps for the backward one.

    As JAX asks for it: what a compiler fuses is not kept, and there is workspace beside it.
    """
    codec = dataclasses.replace(plan.codec_of(stage), **options)
    objective = dataclasses.replace(plan.objective(stage, np.eye(codec.coefficients)), codec=codec)
    x = _spec(TRACED, stage.crop, stage.crop, codec.channels)

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


def step_seconds(chips, operations):
    """Seconds of arithmetic at `UTILISATION` of the peak."""
    return operations / (chips.count * chips.peak * UTILISATION)


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
    macs = products(plan.codec, stage.crop)
    rows = [(name, f"{sizes[name] / 1e6:.1f}", f"{macs[name] / 1e3:.0f}") for name in macs]
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
    names = [f"GiB per chip, {m.name}" for m in MACHINES]
    yield _table(("compute", "rematerialised", "bytes per pixel", *names), *rows)

    # Two operations a product; forward, twice as much backward, and forward once more.
    operations = 2 * sum(macs.values()) * pixels * 4
    rows = []
    for chips in MACHINES:
        seconds = step_seconds(chips, operations)
        sent = [f(chips.count, FLOAT * count) for f in (all_reduced, fully_sharded)]
        sharded = sum(HELD.values()) * FLOAT * count / chips.count / 2**30
        rows.append(
            (
                chips.name,
                f"{operations / chips.count / 1e12:.2f}",
                f"{1e3 * seconds:.1f}",
                *(f"{s / 1e6:.0f} ({1e3 * s / chips.link:.1f} ms)" for s in sent),
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
