"""Hidden layers: the block that λ modulates, and what bfloat16 may touch."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import small_codec

from synjax import distortion, objective
from synjax.codec import layers, package
from synjax.perception import base
from synjax.training import plan, state

FEATURES = jnp.ones(3)
SMALL = dataclasses.replace(small_codec.CODEC, groups=(3, 5), hyper=0, context=False)
NARROW = dataclasses.replace(small_codec.CODEC, compute="bfloat16")
# Where a probability or a loss is computed, and what sums over a batch.
PRECISE = {"exp", "exp2", "log", "log1p", "expm1", "logistic", "erf", "erf_inv", "reduce_sum"}


def _noise(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _random_params(network, *inputs):
    spec = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0, 0.1, leaf.shape).astype(np.float32)), spec
    )


def test_a_residual_block_without_its_last_layer_is_the_identity():
    block, x = layers.Residual(), _noise(2, 6, 6, 16)
    params = _random_params(block, x, FEATURES)["params"]
    silent = params | {"outer": jax.tree.map(jnp.zeros_like, params["outer"])}
    apply = jax.jit(block.apply)
    np.testing.assert_array_equal(apply({"params": silent}, x, FEATURES), x)
    assert np.max(np.abs(apply({"params": params}, x, FEATURES) - x)) > 1e-2


def test_a_residual_block_answers_to_the_features():
    block, x = layers.Residual(0), _noise(4, 16)
    params = _random_params(block, x, FEATURES)
    first, second = (block.apply(params, x, FEATURES * scale) for scale in (1.0, 2.0))
    assert np.max(np.abs(first - second)) > 1e-3


class _Convolution(nn.Module):
    dtype: object = None

    @nn.compact
    def __call__(self, x):
        return layers.Layers(self.dtype).conv(x, 4, "layer")


def test_a_convolution_sees_its_neighbours_and_no_further():
    x, layer = _noise(1, 7, 7, 2), _Convolution()
    params = _random_params(layer, x)
    changed = layer.apply(params, x.at[0, 3, 3].add(1.0)) - layer.apply(params, x)
    seen = np.any(np.abs(changed[0]) > 1e-6, axis=-1)
    expected = np.zeros((7, 7), bool)
    expected[2:5, 2:5] = True
    np.testing.assert_array_equal(seen, expected)


def test_a_narrow_layer_multiplies_bfloat16_and_its_bias_gradient_is_summed_in_float32():
    x, layer = _noise(1, 64, 64, 2), _Convolution(jnp.bfloat16)
    params = _random_params(layer, x)
    assert layer.apply(params, x).dtype == jnp.bfloat16
    # 4096 ones: in bfloat16 the sum would stop at 256.
    gradient = jax.grad(lambda p: layer.apply(p, x).astype(jnp.float32).sum())(params)
    bias = gradient["params"]["layer"]["bias"]
    assert bias.dtype == jnp.float32
    np.testing.assert_array_equal(bias, np.full(4, 4096.0, np.float32))


@functools.cache
def _pictures():
    return np.stack([small_codec.picture(64, 64, seed) for seed in range(10, 16)])


@functools.cache
def _params(codec=small_codec.CODEC):
    return small_codec.disturbed(codec, _pictures(), 0.01)


def _loss(codec, members=0, count=4):
    """Eq. 62 of some pictures, as a function of the parameters and of what draws its noise."""
    x = jnp.asarray(_pictures()[:count, :32, :32])
    eq62 = objective.Objective(
        codec=codec,
        distortion=distortion.build("mse"),
        perception=base.NoPerception(),
        members=members,
        relaxation="none" if members else "rate",
        level_lambda_d=(1.0,) * codec.levels,
        level_lambda_p=(1.0,) * codec.levels,
    )
    points = np.float32(100.0), np.float32(1.0), np.int32(2)

    def loss(params, seed):
        # This generator is compiled several times faster than the default one.
        return eq62(params, {}, x, x, *points, jax.random.key(seed, impl="rbg"))[0]

    return loss


@functools.cache
def _jitted(**options):
    return jax.jit(jax.value_and_grad(_loss(dataclasses.replace(SMALL, **options))))


def _equations(jaxpr):
    """Every equation of a jaxpr and of those within it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from _equations(inner)


def _narrow(equation):
    """Whether anything of an equation is bfloat16."""
    own = (*equation.invars, *equation.outvars)
    return any(getattr(v.aval, "dtype", None) == jnp.bfloat16 for v in own)


@pytest.mark.parametrize("members", [0, 2])
def test_no_probability_and_no_sum_over_a_batch_is_bfloat16(members):
    jaxpr = jax.make_jaxpr(jax.value_and_grad(_loss(NARROW, members)))(_params(), 0).jaxpr
    narrow = {e.primitive.name for e in _equations(jaxpr) if _narrow(e)}
    assert {"conv_general_dilated", "dot_general"} <= narrow
    assert not narrow & PRECISE, narrow & PRECISE


def test_the_prior_is_float32():
    params = NARROW.bind(_params(), 100.0, 1.0)
    latent = NARROW.analyse(params, _pictures()[:1])
    assert latent["y"].dtype == latent["z"].dtype == jnp.float32

    def bits(params):
        return NARROW.group_bits(NARROW.quantise(params, latent))

    assert not any(_narrow(e) for e in _equations(jax.make_jaxpr(bits)(params).jaxpr))


def test_the_linear_path_is_float32():
    params, x = NARROW.bind(_params(), 100.0, 1.0), _pictures()[:1]
    silent = jax.tree.map(jnp.zeros_like, params["analysis"]["out"])
    params |= {"analysis": params["analysis"] | {"out": silent}}
    wide = small_codec.CODEC.analyse(params, x)["y"]
    np.testing.assert_array_equal(NARROW.analyse(params, x)["y"], wide)
    assert np.abs(wide).max() > 1


def _trained(steps=20, **options):
    """Losses of some steps, and the parameters and the state of the optimiser after them."""
    transformation = state.optimizer(learning_rate=3e-3, steps=100, warmup=1, clip=1.0)
    update = jax.jit(transformation.update)
    params, losses = _params(SMALL), []
    moments = transformation.init(params)
    for index in range(steps):
        loss, gradient = _jitted(**options)(params, index)
        updates, moments = update(gradient, moments, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    return losses, params, moments


def test_bfloat16_trains_as_float32_does_to_two_hundredths_and_keeps_float32_parameters():
    wide, _, _ = _trained()
    narrow, params, moments = _trained(compute="bfloat16")
    assert np.all(np.isfinite(narrow)) and narrow[-1] < 0.95 * narrow[0]
    assert narrow != wide
    assert abs(narrow[-1] / wide[-1] - 1) < 0.02
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float32")}
    assert jnp.bfloat16 not in {leaf.dtype for leaf in jax.tree.leaves(moments)}


def _kept(codec, members):
    """Bytes that a forward pass keeps for the backward one."""

    def forward(params):
        return jax.vjp(lambda p: _loss(codec, members)(p, 0), params)[1]

    # What the pull-back holds is a tree of arrays.
    kept = jax.tree.leaves(jax.eval_shape(forward, _params()))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


def test_rematerialisation_changes_neither_the_loss_nor_its_gradient():
    loss, gradient = _jitted()(_params(SMALL), 0)
    again, same = _jitted(rematerialise=True)(_params(SMALL), 0)
    np.testing.assert_allclose(again, loss, rtol=1e-6)
    size = optax.tree.norm(gradient)
    assert size > 0.1
    assert optax.tree.norm(jax.tree.map(jnp.subtract, gradient, same)) < 1e-6 * size


@pytest.mark.parametrize(("compute", "members"), [("float32", 0), ("bfloat16", 2)])
def test_rematerialisation_keeps_less_for_the_backward_pass(members, compute):
    codec = dataclasses.replace(small_codec.CODEC, compute=compute)
    kept = _kept(codec, members)
    again = _kept(dataclasses.replace(codec, rematerialise=True), members)
    assert again < 0.85 * kept  # parameters, which are kept in any case, among them


def test_a_codec_trained_in_bfloat16_is_packaged_as_any_other(tmp_path):
    made = {c.compute: package.make(c, _params(), 100.0, 1.0) for c in (NARROW, small_codec.CODEC)}
    narrow, wide = made["bfloat16"], made["float32"]
    assert narrow.codec == wide.codec == small_codec.CODEC
    assert narrow.fingerprint == wide.fingerprint
    package.save(narrow, tmp_path / "codec")
    text = (tmp_path / "codec" / package.ABOUT).read_text()
    assert "compute" not in text and "rematerialise" not in text
    assert package.load(tmp_path / "codec").codec == small_codec.CODEC


def test_an_encoder_of_bfloat16_is_another_and_one_of_float32_has_its_old_name(tiny_config):
    config = tiny_config("photos")
    names = {}
    for compute in (None, "float32", "bfloat16"):
        own = config["codec"] | ({"compute": compute} if compute else {})
        made = plan.make(config | {"codec": own})
        assert made.codec.compute == (compute or "float32")
        assert "compute" not in repr(made.codec)
        names[compute] = made.run_hash(made.runs[0])
    assert names[None] == names["float32"] != names["bfloat16"]


def test_another_type_is_refused():
    with pytest.raises(ValueError, match="codec.compute is 'float16', must be one of float32, bf"):
        dataclasses.replace(small_codec.CODEC, compute="float16")
    with pytest.raises(ValueError, match="codec.rematerialise must be True or False, got 'yes'"):
        dataclasses.replace(small_codec.CODEC, rematerialise="yes")
