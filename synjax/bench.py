"""What this machine does per second: medians of repeated runs."""

import os
import platform
import resource
import statistics
import time

import jax
import numpy as np

from synjax.codec import bitstream, tables
from synjax.data import pipeline
from synjax.theory import finite
from synjax.training import loop, mesh, state


def measure(plan, repeats):
    """Times the parts of a configuration.

    Args:
      plan: `training.plan.Plan`.
      repeats: timed runs of each part, at least 1; the median counts.

    Returns:
      dict for JSON: names with units → numbers or text.
    """
    results = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "config_hash": plan.config_hash,
    }
    params = plan.initial_params(plan.seed)
    for stage in {run.stage.name: run.stage for run in plan.runs}.values():
        results |= _step(plan, stage, params, repeats)
    results |= _input(plan, repeats) | _coding(plan, params, repeats) | _bounds(repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return results | {"peak_memory_MiB": round(peak)}


def _median(function, repeats):
    """Median seconds of a call, after one that warms up."""
    function()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _step(plan, stage, params, repeats):
    objective = plan.objective(stage, np.asarray(params["synthesis"]["klt"]))
    devices = mesh.make()
    step_fn, transformation = loop.compiled(objective, stage, devices)
    augment = plan.config["data"]["augment"]
    x, real = next(loop.batches(plan.source, stage, augment, plan.seed, 0, devices))
    spec = jax.ShapeDtypeStruct(x.shape, x.dtype)
    critic = objective.perception.init(jax.random.key(0), spec)
    held = [devices.place_state([state.create(params, transformation, critic, plan.seed)])]
    conditions = stage.conditions
    lambda_d = np.full((1, conditions), plan.trials[0].lambda_d, np.float32)
    lambda_p = np.full((1, conditions), plan.trials[-1].lambda_p, np.float32)
    levels = np.full(conditions, plan.codec.levels, np.int32)
    targets = np.full((1, conditions, 3), np.inf, np.float32)

    def once():
        held[0], metrics = step_fn(held[0], x, real, lambda_d, lambda_p, levels, targets)
        jax.block_until_ready(metrics)

    seconds = _median(once, repeats)
    return {
        f"{stage.name}_step_ms": round(1e3 * seconds, 2),
        f"{stage.name}_elements_per_s": round(x.size / seconds),
    }


def _input(plan, repeats):
    stage = plan.runs[0].stage
    augment = plan.config["data"]["augment"]
    read = loop.batches(plan.source, stage, augment, plan.seed, 0, mesh.make())
    count = 20
    seconds = _median(lambda: [next(read) for _ in range(count)], repeats)
    return {"input_examples_per_s": round(count * stage.batch / seconds)}


def _coding(plan, params, repeats):
    trial = plan.trials[-1]
    artefact = bitstream.make(plan.codec, params, trial.lambda_d, trial.lambda_p)
    count, rng = 300_000, np.random.default_rng(0)
    group = list(artefact.tables.values())[-1]
    indices = rng.integers(0, len(group.counts), count).astype(np.int32)
    symbols = np.round(rng.laplace(size=count)).astype(np.int32)

    def write():
        encoder = tables.Encoder()
        encoder.write(group, indices, symbols)
        return encoder.payload()

    payload = write()
    encode = _median(write, repeats)
    decode = _median(lambda: tables.Decoder(payload).read(group, indices), repeats)
    results = {
        "encode_symbols_per_s": round(count / encode),
        "decode_symbols_per_s": round(count / decode),
    }
    if plan.codec.rank:
        x = pipeline.evaluation_examples(plan.source, limit=1)[0].x
        seconds = _median(lambda: bitstream.encode(artefact, x), repeats)
        stream = bitstream.encode(artefact, x)
        results["picture"] = "x".join(str(size) for size in x.shape)
        results["picture_encode_s"] = round(seconds, 3)
        decoded = _median(lambda: bitstream.decode(artefact, stream, members=1), repeats)
        results["picture_decode_s"] = round(decoded, 3)
    return results


def _bounds(repeats):
    """R(D, P) of a 45-point Gaussian at 14 distortions, by divergence."""
    x = np.linspace(-4, 4, 45)
    p_x = np.exp(-(x**2) / 2)
    p_x, distances = p_x / p_x.sum(), (x[:, None] - x) ** 2

    def solve(divergence):
        for distortion in np.linspace(0.1, 1.3, 14):
            finite.rate_distortion_perception(p_x, distances, distortion, 0.1, divergence)

    return {
        f"finite_45x45_14_points_{divergence}_s": round(
            _median(lambda d=divergence: solve(d), repeats), 3
        )
        for divergence in ("tv", "kl_x_to_xhat")
    }
