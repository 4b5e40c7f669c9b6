"""Every compiled step lowers for a TPU and for CUDA, neither of which has to be there."""

import functools
import gzip
import struct

import jax
import jax.export
import numpy as np
import pytest
import small_codec
from conftest import load_config

from configs import _stand_ins
from synjax import distortion, lpips
from synjax.codec import bitstream, chain, priors, rendering, tables
from synjax.data import idx, mnist
from synjax.evaluation import (
    classical,
    fresh_critic,
    frozen_features,
    sending,
    trained_bounds,
)
from synjax.perception import features
from synjax.training import loop, mesh, plan, state

PLATFORMS = ("tpu", "cuda")


def _spec(*shape, dtype="float32"):
    return jax.ShapeDtypeStruct(shape, dtype)


def _lowers(function, *arguments):
    """Asserts that a jitted function lowers for every platform, to modules with something in."""
    exported = jax.export.export(function, platforms=PLATFORMS)(*arguments)
    assert exported.platforms == PLATFORMS
    assert len(exported.mlir_module_serialized) > 1000


@pytest.fixture(scope="module", autouse=True)
def _digits(tmp_path_factory):
    """The four files of MNIST, of the right form and with noise in them."""
    folder = tmp_path_factory.mktemp("data") / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for images, labels in mnist.FILES.values():
        for name, shape in ((images, (512, 28, 28)), (labels, (512,))):
            values = rng.integers(0, 10, shape, np.uint8)
            header = struct.pack(f">HBB{len(shape)}I", 0, idx.UNSIGNED_BYTE, len(shape), *shape)
            (folder / name).write_bytes(gzip.compress(header + values.tobytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNJAX_DATA", str(folder.parent))
        yield


@functools.cache
def _plan(config, stand_in):
    argument = f"tiny,{stand_in}" if stand_in else "tiny"
    return plan.make(load_config(f"configs/{config}.py", argument))


@functools.cache
def _params(codec):
    """Shapes of a codec's parameters."""
    x = np.zeros((2, *(codec.stride,) * codec.rank, codec.channels), np.float32)
    return jax.eval_shape(lambda key: codec.init(key, x), jax.random.key(0))


def _step(made, stage, stacked):
    """The compiled step of a stage, and the shapes of its arguments."""
    objective = made.objective(stage, np.eye(made.codec.coefficients, dtype=np.float32))
    step_fn, transformation = loop.compiled(objective, stage, mesh.make())
    x = _spec(stage.batch, *(stage.crop,) * made.codec.rank, made.codec.channels)
    critic = jax.eval_shape(lambda key: objective.perception.init(key, x), jax.random.key(0))
    initial = jax.eval_shape(
        lambda params, critic: state.create(params, transformation, critic, 0),
        _params(made.codec_of(stage)),
        critic,
    )
    initial = jax.tree.map(lambda leaf: _spec(stacked, *leaf.shape, dtype=leaf.dtype), initial)
    each = _spec(stacked, stage.conditions)
    levels = _spec(stage.conditions, dtype="int32")
    return step_fn, (initial, x, x, each, each, levels, _spec(stacked, stage.conditions, 3))


CONFIGS = ("photos", "gaussian", "digits")
# Accelerators work on trials in stacks, but for a large codec.
CASES = [(name, "fidelity", None, 2) for name in CONFIGS]
CASES += [
    (name, "perception", stand_in, 2)
    for name in CONFIGS
    for stand_in in (None, *_stand_ins.STAND_INS)
]
CASES += [("photos", "perception", name, 2) for name in _stand_ins.OF_PICTURES]
CASES += [("large", stage, None, 1) for stage in ("fidelity", "perception")]
CASES += [("speech", stage, None, 2) for stage in ("fidelity", "perception")]


@pytest.mark.parametrize(("config", "stage", "stand_in", "stacked"), CASES)
def test_every_training_step_lowers(config, stage, stand_in, stacked):
    made = _plan(config, stand_in)
    stages = {run.stage.name: run.stage for run in made.runs}
    step_fn, arguments = _step(made, stages[stage], stacked)
    _lowers(step_fn, *arguments)


def test_a_step_that_asked_the_host_would_be_found():
    @jax.jit
    def step(x):
        return jax.pure_callback(np.sin, x, x) + x

    with pytest.raises(NotImplementedError, match="python_callback"):
        _lowers(step, _spec(256))


@pytest.mark.parametrize("members", [None, 2])
@pytest.mark.parametrize("kind", ["image", "vector"])
def test_analysis_and_rendering_lower(kind, members):
    codec = small_codec.CODEC if kind == "image" else _plan("gaussian", None).codec
    params = jax.eval_shape(lambda params: codec.bind(params, 100.0, 1.0), _params(codec))
    if not members:
        x = _spec(1, 64, 64, 1) if codec.rank else _spec(64, codec.channels)
        _lowers(rendering._analyse, codec, params, x)
        _lowers(sending._noisy_bits, codec, params, x, jax.random.key(0))
    positions = (1, 8, 8) if codec.rank else (64,)
    own = members and {
        "apart": _spec(positions[0], members, *positions[1:], codec.latents),
        "noise": _spec(positions[0], members, *positions[1:], codec.coefficients, dtype="int16"),
    }
    if own and not codec.rank:
        own["hard"] = _spec(64, codec.latents, dtype="int32")
        own["uniforms"] = _spec(64, members, codec.latents, dtype="uint32")
    _lowers(rendering._render, codec, params, _spec(*positions, codec.latents), 1, own)


def test_rates_and_tables_lower():
    codec = small_codec.CODEC
    params = jax.eval_shape(lambda params: codec.bind(params, 100.0, 1.0), _params(codec))
    for part in chain.parts(codec):
        arrays = {"hard": _spec(1, 8, 8, part.channels, dtype="int32")}
        arrays["where"] = _spec(1, 8, 8, 1, dtype="bool")
        if part.known:
            arrays["log_scale"] = _spec(1, 8, 8, part.channels)
        _lowers(bitstream._bits, codec, part, params, arrays)
    components = _spec(priors.SCALES, 2)
    _lowers(tables._bin_probabilities, 100, components, components, components)


def test_distances_between_pictures_lower():
    x = _spec(2, 192, 192, 3)
    _lowers(classical.ms_ssim, x, x)
    _lowers(distortion._similarity, x, x, 3)
    weights = {name: _spec(*shape) for name, shape in lpips.shapes().items()}
    _lowers(lpips.lpips, weights, x, x)
    kernels = [_spec(*kernel.shape) for kernel in frozen_features.default_kernels(3)]
    _lowers(jax.jit(features.apply), kernels, x)


@pytest.mark.parametrize("shape", [(8,), fresh_critic.DIGIT])
def test_critics_that_evaluation_trains_lower(shape):
    x = _spec(64, *shape)
    params = jax.eval_shape(
        lambda key: fresh_critic.Critic().init(key, np.zeros((1, *shape), np.float32))["params"],
        jax.random.key(0),
    )
    moments = jax.eval_shape(fresh_critic._OPTIMIZER.init, params)
    rows, places = _spec(16, dtype="int32"), _spec(16)
    _lowers(fresh_critic._scores, params, x)
    _lowers(fresh_critic._slopes, params, x, x)
    _lowers(fresh_critic._loss, params, x, x, _spec(64))
    _lowers(fresh_critic._step, params, moments, x, x, rows, rows, places, _spec())


@pytest.mark.parametrize("bound", ["dv", "nwj"])
def test_bounds_that_evaluation_trains_lower(bound):
    _lowers(trained_bounds.kl_bound, _spec(64, 2), _spec(64, 2), 0, bound, 3)
