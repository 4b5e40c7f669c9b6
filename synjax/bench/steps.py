"""Training steps: what they cost, and how much of the device they use."""

import dataclasses
import math
import os
import statistics
import time
from concurrent import futures

import jax
import jax.numpy as jnp
import numpy as np

from synjax.bench import arithmetic, machine, timing, variants
from synjax.training import loop, mesh
from synjax.training import plan as planning
from synjax.training import state as states

LEAST = 0.25  # seconds of one timed run
MILLION, GIGA, TERA = 1e6, 1e9, 1e12


@dataclasses.dataclass
class Step:
    """A training step and everything that it takes, on a batch that stays the same.

    Attributes:
      function: lowered, and after `compile` compiled; the state that it is given is used up.
      state: `training.state.TrainState`, of all stacked trials.
      rest: the other arguments.
      images: examples of all stacked trials that one call trains on.
      pixels: of those; 0 for vectors.
      macs: multiply-accumulates of one call.
      xla_gflop: what XLA counts for it before it optimises; None where it counts nothing.
      compile_s: seconds that XLA took.
    """

    function: object
    state: object
    rest: tuple
    images: int
    pixels: int
    macs: int
    xla_gflop: float | None
    compile_s: float = 0.0

    def compile(self):
        """Compiles the function; returns the step."""
        began = time.perf_counter()
        self.function = self.function.compile()
        self.compile_s = time.perf_counter() - began
        return self

    def __call__(self):
        """One step, and the wait for it."""
        self.state, metrics = self.function(self.state, *self.rest)
        jax.block_until_ready((self.state, metrics))


def make(plan, stage, stacked=1):
    """The compiled step of a stage; arguments as `lower`."""
    return lower(plan, stage, stacked).compile()


def lower(plan, stage, stacked=1):
    """The step of a stage, not yet compiled.

    Args:
      plan: `training.plan.Plan`.
      stage: `schedule.Stage`, one of the plan's.
      stacked: trials that one call works on; more than one needs one condition a step.

    Returns:
      `Step`.
    """
    params = plan.initial_params(plan.seed, stage=stage)
    objective = plan.objective(stage, np.asarray(params["synthesis"]["klt"]))
    devices = mesh.make(stack=stacked)
    function, transformation = loop.compiled(objective, stage, devices)
    augment = plan.config["data"]["augment"]
    x, real = next(loop.batches(plan.source, stage, augment, plan.seed, 0, devices))
    spec = jax.ShapeDtypeStruct(x.shape, x.dtype)
    critic = objective.perception.init(jax.random.key(0), spec)
    own = jax.device_get(states.create(params, transformation, critic, plan.seed))
    state = devices.place_state([own] * stacked)
    points = [plan.trials[i * len(plan.trials) // stacked] for i in range(stacked)]
    lambda_d, lambda_p = (
        np.repeat([getattr(point, axis) for point in points], stage.conditions)
        .reshape(stacked, stage.conditions)
        .astype(np.float32)
        for axis in ("lambda_d", "lambda_p")
    )
    levels = np.full(stage.conditions, plan.codec.levels, np.int32)
    targets = np.full((*lambda_d.shape, 3), np.inf, np.float32)
    rest = tuple(jax.device_put((x, real, lambda_d, lambda_p, levels, targets)))
    macs = arithmetic.multiply_accumulates(function, state, *rest)
    lowered = function.lower(state, *rest)
    counted = lowered.cost_analysis() or {}
    return Step(
        function=lowered,
        state=state,
        rest=rest,
        images=stacked * len(x),
        pixels=stacked * math.prod(x.shape[:3]) if plan.codec.rank == 2 else 0,
        macs=macs,
        xla_gflop=counted["flops"] / GIGA if "flops" in counted else None,
    )


def stages_of(plan):
    """The stages of a plan, each once, in order."""
    return list({run.stage.name: run.stage for run in plan.runs}.values())


def measure(plan, settings):
    """Times the step of every stage, in every precision, alone and stacked.

    Args:
      plan: `training.plan.Plan`.
      settings: `settings.Settings`.

    Yields:
      Rows: dicts for JSON.
    """
    alone = variants.separate(plan.config)
    cases = [] if alone is plan.config else [("as configured", plan.config, 1)]
    cases += [("separate", alone, stacked) for stacked in settings.stacks]
    for precision in settings.precisions:
        found = []
        # Several at once where there are cores for it; nothing is timed before all are compiled.
        with futures.ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)) // 4)) as pool:
            for sharing, config, stacked in cases:
                case = {"codecs": sharing, "precision": precision, "stacked": stacked}
                config = variants.precise(config, precision)
                if config is None:
                    yield case | {"remark": f"the codec has no setting {variants.COMPUTE!r}"}
                    continue
                varied = planning.make(config)
                for stage in stages_of(varied):
                    step = lower(varied, stage, stacked)
                    found.append(({"stage": stage.name} | case, pool.submit(step.compile)))
        for case, step in found:
            yield case | row(step.result(), precision, settings.repeats)


def row(step, precision, repeats):
    """What one step costs: a dict for JSON."""
    runs = timing.seconds(step, repeats, LEAST)
    seconds = statistics.median(runs)
    gflop = 2 * step.macs / GIGA
    rate, peak = gflop / seconds, machine.peak(precision)
    memory = step.function.memory_analysis()
    return {
        "images": step.images,
        "GMAC": round(step.macs / GIGA, 3),
        "GFLOP_of_XLA": step.xla_gflop and round(step.xla_gflop, 3),
        "step_ms": round(1e3 * seconds, 3),
        "spread_ms": round(1e3 * (max(runs) - min(runs)), 3),
        "images_per_s": round(step.images / seconds, 2),
        "ms_per_megapixel": round(1e3 * seconds / (step.pixels / MILLION), 2)
        if step.pixels
        else None,
        "ms_per_GFLOP": round(1e3 * seconds / gflop, 4),
        "GFLOP_per_s": round(rate, 1),
        "share_of_peak": peak and round(rate * GIGA / (peak * TERA), 5),
        "program_MiB": memory and round(_footprint(memory) / 2**20),
        "compile_s": round(step.compile_s, 1),
        "peak_memory_MiB": machine.peak_memory(),
    }


def _footprint(memory):
    """Bytes that a compiled program needs while it runs, by XLA's own account."""
    own = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return own + memory.temp_size_in_bytes


def products(settings):
    """The rate of a plain square matrix product: what this device reaches where it is easiest.

    Yields:
      Rows: dicts for JSON.
    """
    side = 2048 if jax.default_backend() == "cpu" else 8192
    for precision in settings.precisions:
        keys = jax.random.split(jax.random.key(0))
        left, right = (jax.random.normal(key, (side, side), precision) for key in keys)
        multiply = jax.jit(jnp.matmul)
        seconds = timing.median(
            lambda f=multiply, a=left, b=right: jax.block_until_ready(f(a, b)),
            settings.repeats,
            LEAST,
        )
        rate, peak = 2 * side**3 / seconds / GIGA, machine.peak(precision)
        yield {
            "product": f"{side} x {side} x {side}",
            "precision": precision,
            "ms": round(1e3 * seconds, 2),
            "GFLOP_per_s": round(rate, 1),
            "share_of_peak": peak and round(rate * GIGA / (peak * TERA), 3),
        }
