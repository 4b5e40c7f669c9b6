"""The machine that measured, by name, and what its makers say it can do at most."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import resource

import jax

# Largest rate of dense matrix products in TFLOP/s by `device_kind`: of float32 where tensor cores
# round it to TF32 (XLA's default there), and of bfloat16. Half of what NVIDIA prints, which is with
# sparsity. Sources: "NVIDIA H100 Tensor Core GPU Datasheet" and "NVIDIA H100 Tensor Core GPU
# Architecture" (SXM 989.4 and 1978.9, PCIe 756 and 1513 with sparsity); "NVIDIA H200 Tensor Core
# GPU Datasheet" (as H100 SXM); "NVIDIA A100 Tensor Core GPU Datasheet" (156 and 312 dense);
# cloud.google.com/tpu/docs/v4, /v5e, /v5p, "peak compute per chip (bf16)". Of float32 on a TPU
# Google prints none.
PEAKS = {
    "NVIDIA H100 80GB HBM3": {"float32": 494.7, "bfloat16": 989.4},
    "NVIDIA H100 PCIe": {"float32": 378.0, "bfloat16": 756.5},
    "NVIDIA H200": {"float32": 494.7, "bfloat16": 989.4},
    "NVIDIA A100-SXM4-40GB": {"float32": 156.0, "bfloat16": 312.0},
    "NVIDIA A100-SXM4-80GB": {"float32": 156.0, "bfloat16": 312.0},
    "TPU v4": {"bfloat16": 275.0},
    "TPU v5 lite": {"bfloat16": 197.0},
    "TPU v5p": {"bfloat16": 459.0},
}
PACKAGES = ("jax", "jaxlib", "flax", "optax", "grain", "constriction", "numpy")
CPU_FACTS = pathlib.Path("/proc/cpuinfo")


def describe():
    """The machine, its load and the versions that matter: a dict for JSON."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1_min": round(os.getloadavg()[0], 2),
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "platform": jax.default_backend(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _processor():
    lines = CPU_FACTS.read_text().splitlines() if CPU_FACTS.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()} ({platform.machine()})"


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def peak(precision):
    """TFLOP/s that the first device does at most in a precision; None where it is not known."""
    return PEAKS.get(jax.devices()[0].device_kind, {}).get(precision)


def peak_memory():
    """MiB used at most since the start: of the device where it tells, else of this process."""
    held = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in held:
        return round(held["peak_bytes_in_use"] / 2**20)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
