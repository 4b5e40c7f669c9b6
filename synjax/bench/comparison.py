"""Training throughput beside CompressAI's FactorizedPrior(128, 192), where that is installed.

CompressAI (Bégaint et al. 2020, arXiv:2011.03029) runs in a process of its own, with any Python
that has it, with the allocator as Python sets it and as launch.sh does; all take turns.
FactorizedPrior is the model of Ballé et al. 2018 (arXiv:1802.01436) without a hyperprior; beside it
stands our codec with one group and a factorised prior, in stage `fidelity`, wide enough to have no
fewer multiply-accumulates in g_a and g_s.
"""

import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys

import jax

from synjax.bench import arithmetic, steps, timing
from synjax.training import plan as planning

BATCH, CROP, CHANNELS, LATENTS = 4, 128, 128, 192
# Most of the arithmetic at an eighth of the resolution, where convolutions are fastest on CPU.
WIDTHS = {"analysis_width": 128, "synthesis_widths": (128, 320, 96)}
CALLS = 3  # steps of one turn
BAR = 1.3
# What launch.sh sets for glibc's allocator. PyTorch gains from it too, and whoever trains with
# CompressAI does not have it.
ALLOCATOR = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
OTHER = pathlib.Path(__file__).with_name("compressai_half.py")


def config_of(config):
    """Our half: the given codec and data with one factorised group, wide networks and no levels.

    Args:
      config: plain dict, of photographs.

    Returns:
      A plain dict.
    """
    one = {"level_weights": (1.0,), "level_lambda_d": (1.0,), "level_lambda_p": (1.0,)}
    one |= {"batch": BATCH, "crop": CROP, "conditions": 1}
    stages = {name: stage | one | {"members": 0} for name, stage in config["stages"].items()}
    codec = {"groups": (LATENTS,), "hyper": 0, "context": False, "stride": 16} | WIDTHS
    codec |= {"detail_width": 0}  # none is ever drawn, as in FactorizedPrior
    sweep = {"lambda_d": (45.0,), "lambda_p": (0.0,), "also": ()}
    sweep |= {"encoders": "conditioned", "decoders": "conditioned"}
    return config | {
        "codec": config["codec"] | codec,
        "stages": stages,
        "seeds": (0,),
        "sweep": config["sweep"] | sweep,
        "evaluation": config["evaluation"] | {"realism": (1.0,), "members": 0},
    }


def measure(plan, settings):
    """Times both halves in turns.

    Args:
      plan: `training.plan.Plan`.
      settings: `settings.Settings`.

    Yields:
      Rows: dicts for JSON. Images per second are of training; GMAC are of g_a and g_s, forward, for
      one image.

    Raises:
      ValueError: the configuration is not of pictures.
    """
    if plan.codec.rank != 2:
        raise ValueError("the comparison is of pictures: give --config=configs/photos.py")
    others = _others(settings.compressai) if _has_compressai(settings.compressai) else {}
    plan = planning.make(config_of(plan.config))
    step = steps.make(plan, plan.runs[0].stage)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(step.state.params))
    ours, theirs = [], {name: [] for name in others}
    for _ in range(settings.repeats + 1):
        ours += timing.seconds(step, CALLS)
        for name, other in others.items():
            theirs[name] += other.seconds(CALLS)
    widths = "-".join(str(width) for width in plan.codec.synthesis_widths)
    row = {
        "model": f"synjax, {LATENTS} latents, widths {plan.codec.analysis_width} and {widths}",
        "library": f"jax {jax.__version__}",
    }
    ours = row | _measured(forward_macs(plan.codec), parameters, ours)
    yield ours
    if not others:
        yield {"model": f"FactorizedPrior({CHANNELS}, {LATENTS})", "library": "not installed"}
    for name, other in others.items():
        about = other.close()
        row = {"model": f"FactorizedPrior({CHANNELS}, {LATENTS}){name}"}
        row |= {"library": about["library"]}
        row |= _measured(about["macs"], about["parameters"], theirs[name])
        yield row
        ratios = {key: round(ours[key] / row[key], 3) for key in ("GMAC", "images_per_s")}
        yield {"model": f"ours over theirs{name}"} | ratios | {"bar": BAR}


def _measured(macs, parameters, seconds):
    """Columns of a model, from the seconds of its steps."""
    return {
        "batch": f"{BATCH} x {CROP} x {CROP}",
        "GMAC": round(macs / 1e9, 3),
        "parameters_million": round(parameters / 1e6, 2),
        "step_ms": round(1e3 * statistics.median(seconds), 1),
        "images_per_s": round(BATCH / statistics.median(seconds), 3),
    }


def forward_macs(codec):
    """Multiply-accumulates of g_a and g_s for one picture; without detail, as in this stage."""
    x = jax.ShapeDtypeStruct((1, CROP, CROP, codec.channels), "float32")
    places = (1, CROP // codec.stride, CROP // codec.stride)
    shared = jax.ShapeDtypeStruct((*places, codec.latents + 1), "float32")
    features = codec.grid.features(45.0, 0.0)

    def decode(variables, shared):
        return codec.synthesis_network.apply(variables, shared, None, features)[0]

    def encode(variables, x):
        return codec.analysis_network.apply(variables, x, features)

    key = jax.random.key(0)
    of_encoder = jax.eval_shape(codec.analysis_network.init, key, x, features)
    of_decoder = jax.eval_shape(codec.synthesis_network.init, key, shared, None, features)
    count = arithmetic.multiply_accumulates
    return count(encode, of_encoder, x) + count(decode, of_decoder, shared)


def _has_compressai(python):
    if python is None:
        return importlib.util.find_spec("compressai") is not None
    found = subprocess.run([python, "-c", "import compressai"], capture_output=True)
    if found.returncode:
        raise ValueError(f"--compressai={python} is no Python that has CompressAI")
    return True


def _others(python):
    """Theirs by what is said of them: as Python starts, and with our allocator if that differs."""
    without = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    found = {"": _Other(python, without)}
    if len(without) < len(os.environ):
        found[", with launch.sh's allocator"] = _Other(python, dict(os.environ))
    return found


class _Other:
    """The process of the other half, in an environment."""

    def __init__(self, python, environment):
        threads = len(os.sched_getaffinity(0))
        numbers = map(str, (BATCH, CROP, CHANNELS, LATENTS, threads))
        self._process = subprocess.Popen(
            [python or sys.executable, "-W", "ignore", str(OTHER), *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self._about = self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise ValueError(f"CompressAI's half ended with status {self._process.wait()}")
        return json.loads(line)

    def seconds(self, calls):
        """Seconds of each of some training steps."""
        print(calls, file=self._process.stdin, flush=True)
        return self._answer()

    def close(self):
        """Ends the process; returns what it said of itself."""
        self._process.stdin.close()
        self._process.wait()
        return self._about
