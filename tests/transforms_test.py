"""Analysis and synthesis: reshapes, the linear path, the residual networks beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.codec import transforms

FEATURES = jnp.ones(3)


def _noise(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def _random_params(network, *inputs):
    """Parameters that are nowhere zero; only their shapes come from the initialisation."""
    spec = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0, 0.1, leaf.shape).astype(np.float32)), spec
    )


def _silenced(network, *inputs):
    """The same with the residual network beside the linear path switched off."""
    params = _random_params(network, *inputs)["params"]
    return params | {"out": jax.tree.map(jnp.zeros_like, params["out"])}


@pytest.mark.parametrize("block", [1, 2, 4])
def test_depth_to_space_inverts_space_to_depth(block):
    x = _noise(2, 8, 12, 3)
    packed = transforms.space_to_depth(x, block)
    assert packed.shape == (2, 8 // block, 12 // block, 3 * block**2)
    np.testing.assert_array_equal(transforms.depth_to_space(packed, block), x)


def test_a_depth_vector_is_one_block_of_pixels():
    x = _noise(2, 8, 12, 3)
    packed = transforms.space_to_depth(x, 4)
    np.testing.assert_array_equal(packed[1, 1, 2], x[1, 4:8, 8:12].reshape(-1))


def test_reshapes_take_any_number_of_batch_axes():
    x = _noise(2, 5, 8, 8, 1)
    packed = transforms.space_to_depth(x, 2)
    np.testing.assert_array_equal(packed[:, 3], transforms.space_to_depth(x[:, 3], 2))
    np.testing.assert_array_equal(transforms.depth_to_space(packed, 2), x)


def _analysis(rank):
    if rank == 0:
        return transforms.VectorAnalysis(latents=5, width=8), _noise(6, 12)
    return transforms.ImageAnalysis(latents=5, width=8, stride=8), _noise(2, 16, 24, 2)


def _synthesis(rank):
    """The network, shared [B, *S', K + 1] and detail [B, M, *S', E]."""
    if rank == 0:
        return transforms.VectorSynthesis(width=8), _noise(6, 6), _noise(6, 3, 12)
    network = transforms.ImageSynthesis(widths=(8, 8, 8), channels=2, stride=8)
    return network, _noise(2, 2, 3, 6), _noise(2, 3, 2, 3, 128)


@pytest.mark.parametrize("rank", [0, 2])
def test_analysis_without_its_network_is_the_scaled_linear_transform(rank):
    network, x = _analysis(rank)
    params = _silenced(network, x, FEATURES)
    size = params["mean"].shape[0]
    params["klt"], params["mean"] = _noise(5, size, seed=1), _noise(size, seed=2)
    params["log_gain"] = jnp.full_like(params["log_gain"], jnp.log(3.0) / 3)  # three features of 1
    y = jax.jit(network.apply)({"params": params}, x, FEATURES)
    patches = np.asarray(transforms.space_to_depth(x, 8) if rank else x, np.float64)
    expected = 3 * (patches - np.asarray(params["mean"])) @ np.asarray(params["klt"]).T
    np.testing.assert_allclose(y, expected, atol=1e-3)


@pytest.mark.parametrize("rank", [0, 2])
def test_synthesis_without_its_network_is_linear_in_coefficients_and_detail(rank):
    network, shared, detail = _synthesis(rank)
    params = _silenced(network, shared, detail, FEATURES)
    size = detail.shape[-1]
    basis, mean = _noise(size, size, seed=1), _noise(size, seed=2)
    params = params | {"klt": basis, "mean": mean}
    params["log_step"] = jnp.full_like(params["log_step"], jnp.log(0.5) / 3)
    found = jax.jit(network.apply)({"params": params}, shared, detail, FEATURES)  # [B, M, *S, C]
    found = found[0][:, None] + found[1] if rank else found
    coefficients = np.asarray(detail, np.float64)
    coefficients[..., :5] += 0.5 * np.asarray(shared)[:, None, ..., :5]
    expected = coefficients @ np.asarray(basis, np.float64) + np.asarray(mean)
    if rank:
        expected = transforms.depth_to_space(jnp.asarray(expected), 8)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_member_does_not_depend_on_the_other_members(rank):
    network, shared, detail = _synthesis(rank)
    params = _random_params(network, shared, detail, FEATURES)
    apply = jax.jit(network.apply)
    synset = apply(params, shared, detail, FEATURES)
    changed = apply(params, shared, detail.at[:, 0].add(1.0), FEATURES)
    if rank:  # the mean member, which no detail reaches, and the textures around it
        np.testing.assert_array_equal(changed[0], synset[0])
        synset, changed = synset[1], changed[1]
    np.testing.assert_array_equal(changed[:, 1:], synset[:, 1:])
    assert np.max(np.abs(changed[:, 0] - synset[:, 0])) > 1e-2


@pytest.mark.parametrize("rank", [0, 2])
def test_examples_of_a_batch_do_not_mix(rank):
    network, x = _analysis(rank)
    params = _random_params(network, x, FEATURES)
    apply = jax.jit(network.apply)
    y = apply(params, x, FEATURES)
    changed = apply(params, x.at[0].add(1.0), FEATURES)
    np.testing.assert_array_equal(changed[1:], y[1:])
    assert np.max(np.abs(changed[0] - y[0])) > 1e-2
