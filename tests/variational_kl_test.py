"""The bounds on KL against Gaussians, where it is known in both directions."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import variational_kl

KEY = jax.random.key(0)
DIMENSIONS = 2
NARROW, WIDE = 0.75, 1.5  # deviations of the fakes; the source's is 1


def _kl(deviation):
    """D_KL[N(0, 1) ‖ N(0, deviation²)] in bits."""
    return (math.log(deviation) + 0.5 / deviation**2 - 0.5) / math.log(2)


def _reverse(deviation):
    return (-math.log(deviation) + 0.5 * deviation**2 - 0.5) / math.log(2)


def _batches(key, count, deviation):
    real_key, fake_key = jax.random.split(key)
    real = jax.random.normal(real_key, (count, DIMENSIONS))
    return real, deviation * jax.random.normal(fake_key, (count // 2, 2, DIMENSIONS))


@functools.cache
def _values(bound, deviation):
    """The bound of a trained critic on fresh batches, and in the training the first value."""
    module = variational_kl.VariationalKl(bound=bound, critic_steps=1, learning_rate=3e-3)

    @jax.jit
    def run(key):
        spec = jax.ShapeDtypeStruct((None, DIMENSIONS), jnp.float32)
        first = module.init(key, spec)

        def step(state, key):
            real, fake = _batches(key, 1024, deviation)
            return module.update(state, real, fake, {}, key)[0], None

        state, _ = jax.lax.scan(step, first, jax.random.split(key, 500))

        def measured(key):
            return module.penalty(state, *_batches(key, 8192, deviation), {}, key)

        fresh = jax.lax.map(measured, jax.random.split(jax.random.fold_in(key, 1), 100))
        return fresh, module.penalty(first, *_batches(key, 64, deviation), {}, key)

    return tuple(map(np.asarray, run(KEY)))


@pytest.mark.parametrize("deviation", [NARROW, WIDE])
@pytest.mark.parametrize("bound", variational_kl.BOUNDS)
def test_on_fresh_samples_it_lies_below_the_truth_and_near_it(bound, deviation):
    found, first = _values(bound, deviation)
    error = found.std() / np.sqrt(len(found))
    assert first == 0
    assert 0.85 * _kl(deviation) < found.mean() < _kl(deviation) + 3 * error


@pytest.mark.parametrize("bound", variational_kl.BOUNDS)
def test_its_direction_is_the_papers(bound):
    """To fakes that are narrow the paper's divergence is the larger of the two, to wide ones not:
    the test above tells the directions apart."""
    assert 0.85 * _kl(NARROW) > 1.2 * _reverse(NARROW)
    found, _ = _values(bound, WIDE)
    error = found.std() / np.sqrt(len(found))
    assert _reverse(WIDE) > _kl(WIDE) + 10 * error


@functools.cache
def _far_apart(bound):
    """Trained where the true divergence is tens of thousands of bits: value and gradients."""
    module = variational_kl.VariationalKl(bound=bound, critic_steps=1, learning_rate=1e-2)
    real, fake = _batches(KEY, 64, 0.1)
    real = real + 20.0

    @jax.jit
    def run():
        state = module.init(KEY, jax.ShapeDtypeStruct(real.shape, real.dtype))

        def step(state, _):
            return module.update(state, real, fake, {}, KEY)[0], None

        state, _ = jax.lax.scan(step, state, length=200)
        return jax.value_and_grad(lambda fake: module.penalty(state, real, fake, {}, KEY))(fake)

    value, gradient = run()
    return float(value), np.abs(np.asarray(gradient)).max()


def test_it_saturates():
    """Of distributions with nothing in common nwj has a largest value, and no gradient there."""
    value, gradient = _far_apart("nwj")
    largest = (variational_kl.LARGEST_SCORE + 1) / math.log(2) / DIMENSIONS
    assert 0.8 * largest < value <= largest
    assert gradient < 1e-6


def test_the_gradient_of_donsker_and_varadhan_does_not_vanish():
    value, gradient = _far_apart("dv")
    assert value > 10
    assert gradient > 1e-3


def test_only_fakes_and_no_parameters_receive_a_gradient():
    module = variational_kl.VariationalKl(critic_steps=1)
    real, fake = _batches(KEY, 16, 2.0)

    @jax.jit
    def run(fake):
        state = module.init(KEY, jax.ShapeDtypeStruct(real.shape, real.dtype))
        state, _ = module.update(state, real, fake, {}, KEY)

        def penalty(params, fake):
            return module.penalty({**state, "params": params}, real, fake, {}, KEY)

        return jax.grad(penalty, (0, 1))(state["params"], fake)

    of_params, of_fake = run(fake)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_params))
    assert np.all(np.any(of_fake != 0, -1))


def test_bits_are_per_element_of_what_a_score_depends_on():
    for shape, elements in (((6,), 6), ((16, 24, 3), 16 * 24 * 3), ((64, 48, 1), 36 * 36)):
        assert variational_kl._elements(shape) == elements


def test_an_unknown_bound_is_refused():
    with pytest.raises(ValueError, match="perception.bound is 'mine', must be one of .*dv.*nwj"):
        variational_kl.VariationalKl(bound="mine")
