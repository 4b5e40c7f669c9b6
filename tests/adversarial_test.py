"""The Wasserstein critic against distributions whose W₁ is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import adversarial

KEY = jax.random.key(0)
VECTOR = adversarial.WganGp(width=32, critic_steps=2, learning_rate=2e-3)
IMAGE = adversarial.WganGp(width=8, critic_steps=1, learning_rate=1e-3)


@functools.cache
def _initial(module, shape):
    spec = jax.ShapeDtypeStruct((None, *shape), jnp.float32)
    # This generator is compiled several times faster than the default one.
    return jax.jit(lambda key: module.init(key, spec))(jax.random.key(0, impl="rbg"))


def _random(module, shape):
    """A state whose critic already has an opinion."""
    state, rng = _initial(module, shape), np.random.default_rng(9)
    params = jax.tree.map(
        lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), state["params"]
    )
    return state | {"params": params}


@functools.cache
def _update(module):
    return jax.jit(lambda state, real, fake, key: module.update(state, real, fake, {}, key))


@functools.cache
def _penalty(module):
    return jax.jit(lambda state, real, fake: module.penalty(state, real, fake, {}, KEY))


def _batch(rng, count, shape, shift=0.0):
    return (rng.normal(size=(count, *shape)) + shift).astype(np.float32)


@functools.cache
def _trained(module, shape, shift, steps):
    """State after training on two normal distributions `shift` apart, and the metrics' tail."""
    rng, state, tail = np.random.default_rng(0), _initial(module, shape), []
    for step in range(steps):
        real, fake = _batch(rng, 128, shape), _batch(rng, 64, (2, *shape), shift)
        state, metrics = _update(module)(state, real, fake, jax.random.fold_in(KEY, step))
        tail.append({name: float(value) for name, value in metrics.items()})
    tail = tail[-steps // 5 :]
    return state, {name: np.mean([metrics[name] for metrics in tail]) for name in tail[0]}


@pytest.mark.parametrize("shift", [1.0, -2.0])
def test_the_trained_critic_measures_a_shift_of_vectors(shift):
    state, metrics = _trained(VECTOR, (1,), shift, 80)
    rng, distance = np.random.default_rng(1), abs(shift)
    real, fake = _batch(rng, 2048, (1,)), _batch(rng, 1024, (2, 1), shift)
    np.testing.assert_allclose(_penalty(VECTOR)(state, real, fake), distance, rtol=0.15)
    np.testing.assert_allclose(metrics["critic_distance"], distance, rtol=0.15)
    # The best linear critic has slope g where g·d − 10·(g − 1)² is largest.
    np.testing.assert_allclose(metrics["critic_gradient_norm"], 1 + distance / 20, rtol=0.05)


def test_the_trained_critic_measures_a_shift_of_every_pixel():
    """Whatever the number of pixels; a critic of images swings, so many steps are averaged."""
    _, metrics = _trained(IMAGE, (16, 8, 1), 1.0, 80)
    np.testing.assert_allclose(metrics["critic_distance"], 1, rtol=0.15)
    np.testing.assert_allclose(metrics["critic_gradient_norm"], 1.05, rtol=0.1)


def test_the_gradient_moves_reconstructions_towards_the_source():
    state, _ = _trained(VECTOR, (1,), 1.0, 60)
    rng = np.random.default_rng(1)
    real, fake = _batch(rng, 64, (1,)), _batch(rng, 32, (2, 1), 1.0)
    gradient = np.asarray(jax.jit(jax.grad(_penalty(VECTOR), argnums=2))(state, real, fake))
    assert np.mean(gradient > 0) > 0.95  # less is better, and the source lies below
    np.testing.assert_allclose(gradient.sum(), 1.05, rtol=0.15)  # its slope, spread over the batch
    moved = _penalty(VECTOR)(state, real, fake - 10 * gradient)
    assert moved < _penalty(VECTOR)(state, real, fake)


def test_an_untrained_critic_asks_for_nothing():
    rng, state = np.random.default_rng(2), _initial(VECTOR, (1,))
    assert _penalty(VECTOR)(state, _batch(rng, 4, (1,)), _batch(rng, 2, (2, 1), 3.0)) == 0


def test_an_update_is_deterministic_and_addressed_by_its_key():
    state, rng = _initial(VECTOR, (1,)), np.random.default_rng(2)
    real, fake = _batch(rng, 128, (1,)), _batch(rng, 64, (2, 1))
    first, again, other = (
        _update(VECTOR)(state, real, fake, jax.random.key(seed)) for seed in (1, 1, 2)
    )
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True)
    assert any(np.any(a != b) for a, b in pairs)


def test_the_state_is_a_tree_of_arrays_that_keeps_its_shape():
    state, rng = _initial(VECTOR, (1,)), np.random.default_rng(2)
    real, fake = _batch(rng, 128, (1,)), _batch(rng, 64, (2, 1))
    assert set(state) == {"params", "optimizer"}
    after, metrics = _update(VECTOR)(state, real, fake, KEY)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        assert isinstance(a, jax.Array)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), after["params"], state["params"])
    assert any(jax.tree.leaves(moved))
    assert set(metrics) == {"critic_distance", "critic_gradient_norm"}
    assert all(value.shape == () for value in metrics.values())


@pytest.mark.parametrize(("real_count", "synset"), [(4, (3, 2)), (9, (2, 2))])
def test_batches_may_have_different_sizes(real_count, synset):
    rng = np.random.default_rng(3)
    state = _random(VECTOR, (1,))
    real, fake = _batch(rng, real_count, (1,)), _batch(rng, synset[0], (synset[1], 1))
    module = adversarial.WganGp(width=32, critic_steps=1)
    _, metrics = jax.jit(lambda *a: module.update(*a, {}, KEY))(state, real, fake)
    assert np.isfinite(metrics["critic_distance"])
    np.testing.assert_allclose(
        metrics["critic_distance"], _penalty(VECTOR)(state, real, fake), atol=1e-6
    )


@pytest.mark.parametrize(("module", "shape"), [(VECTOR, (1,)), (IMAGE, (16, 8, 1))])
def test_the_penalty_changes_sign_with_its_arguments_and_ignores_their_order(module, shape):
    rng, state = np.random.default_rng(4), _random(module, shape)
    real, fake = _batch(rng, 6, shape), _batch(rng, 3, (2, *shape), 0.5)
    found = _penalty(module)(state, real, fake)
    assert found != 0
    swapped = _penalty(module)(state, fake.reshape(real.shape), real.reshape(fake.shape))
    np.testing.assert_allclose(swapped, -found, atol=1e-6)
    np.testing.assert_allclose(_penalty(module)(state, real[::-1], fake[:, ::-1]), found, atol=1e-6)
    same = _penalty(module)(state, real, real.reshape(fake.shape))
    np.testing.assert_allclose(same, 0, atol=1e-6)


def test_the_penalty_does_not_train_the_critic():
    rng, state = np.random.default_rng(5), _random(IMAGE, (16, 8, 1))
    real, fake = _batch(rng, 4, (16, 8, 1)), _batch(rng, 2, (2, 16, 8, 1), 0.5)

    def penalty(params, fake):
        return IMAGE.penalty({"params": params}, real, fake, {}, KEY)

    of_params, of_fake = jax.jit(jax.grad(penalty, (0, 1)))(state["params"], fake)
    for leaf in jax.tree.leaves(of_params):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))
    # No pixel escapes the critic.
    assert np.all(np.any(np.abs(of_fake) > 0, axis=-1))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 10, 3), "vectors .* or images"),
        ((4,), "vectors .* or images"),
        ((4, 16, 12, 3), "multiples of 8, got 16 x 12"),
    ],
)
def test_signals_that_the_critic_cannot_see_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        VECTOR.init(KEY, jax.ShapeDtypeStruct(shape, jnp.float32))


@pytest.mark.parametrize(
    ("option", "value"), [("width", 0), ("critic_steps", 0), ("learning_rate", 0.0), ("weight", -1)]
)
def test_a_critic_that_cannot_learn_is_refused(option, value):
    with pytest.raises(ValueError, match=f"perception.{option} must be .*, got {value}"):
        adversarial.WganGp(**{option: value})
