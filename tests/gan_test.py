"""The non-saturating game, with and without the symbols, and the norm of its critic."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import adversarial, critics, spectral

KEY = jax.random.key(0)
SETTINGS = {"width": 16, "critic_steps": 1, "learning_rate": 1e-2}
PLAIN = adversarial.Gan(**SETTINGS, spectral=False)
CONDITIONED = adversarial.Gan(**SETTINGS, spectral=False, conditioned=True, groups=(1, 1))


def _batch(key, level):
    """Fakes with the source's distribution, but around the wrong sign of the second symbol."""
    symbol_key, real_key, fake_key = jax.random.split(key, 3)
    symbols = jnp.where(jax.random.bernoulli(symbol_key, shape=(256, 2)), 1.0, -1.0)
    own = symbols[:, 1:]
    real = own + 0.2 * jax.random.normal(real_key, (256, 1))
    fake = -own[:, None] + 0.2 * jax.random.normal(fake_key, (256, 2, 1))
    return real, fake, {"source": real, "symbols": symbols, "level": level}


@functools.cache
def _trained(module, level):
    """State after 200 steps, and the losses of the last 50."""

    @jax.jit
    def run(key, level):
        state = module.init(key, jax.ShapeDtypeStruct((256, 1), jnp.float32))

        def step(state, key):
            state, metrics = module.update(state, *_batch(key, level), key)
            return state, metrics["critic_loss"]

        return jax.lax.scan(step, state, jax.random.split(key, 200))

    state, losses = run(KEY, level)
    return state, float(losses[-50:].mean())


def test_what_only_the_symbols_tell_apart_is_seen_by_the_conditioned_critic_alone():
    assert _trained(PLAIN, 2)[1] > 1.9  # bits, of 2 where it cannot tell
    assert _trained(CONDITIONED, 2)[1] < 0.1


def test_symbols_that_were_not_sent_are_not_seen():
    assert _trained(CONDITIONED, 1)[1] > 1.9


def test_the_penalty_depends_on_the_symbols_that_were_sent():
    state, _ = _trained(CONDITIONED, 2)
    real, fake, context = _batch(jax.random.key(1), 2)
    other = context | {"symbols": context["symbols"] * jnp.array([[1.0, -1.0]])}
    seen, turned = (CONDITIONED.penalty(state, real, fake, c, KEY) for c in (context, other))
    assert seen > 3 and turned < 0.3  # with the other symbol the fakes are right
    unsent = [
        CONDITIONED.penalty(state, real, fake, c | {"level": 1}, KEY) for c in (context, other)
    ]
    assert unsent[0] == unsent[1]


def test_symbols_and_critic_receive_no_gradient():
    state, _ = _trained(CONDITIONED, 2)
    real, fake, context = _batch(KEY, 2)

    def penalty(params, symbols, fake):
        own = context | {"symbols": symbols}
        return CONDITIONED.penalty({**state, "params": params}, real, fake, own, KEY)

    of_params, of_symbols, of_fake = jax.jit(jax.grad(penalty, (0, 1, 2)))(
        state["params"], context["symbols"], fake
    )
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((of_params, of_symbols)))
    assert np.any(of_fake != 0)


def test_an_untrained_critic_gives_one_bit_and_the_trained_one_the_odds():
    real, fake, context = _batch(KEY, 2)
    state = PLAIN.init(KEY, jax.ShapeDtypeStruct(real.shape, real.dtype))
    np.testing.assert_allclose(PLAIN.penalty(state, real, fake, context, KEY), 1, rtol=1e-6)
    scores = PLAIN._scores(_trained(PLAIN, 2)[0], fake.reshape(-1, 1))
    expected = -np.log2(1 / (1 + np.exp(-np.float64(scores)))).mean()
    found = PLAIN.penalty(_trained(PLAIN, 2)[0], real, fake, context, KEY)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_conditioned_critic_needs_each_synsets_own_source():
    state, _ = _trained(CONDITIONED, 2)
    real, fake, context = _batch(KEY, 2)
    with pytest.raises(ValueError, match="own source, got 100 real examples and 256 synsets"):
        CONDITIONED.update(state, real[:100], fake, context, KEY)


def test_of_pictures_the_symbols_of_a_place_reach_the_scores_of_that_place():
    module = adversarial.Gan(width=4, critic_steps=1, conditioned=True, groups=(2, 1))
    state = module.init(KEY, jax.ShapeDtypeStruct((None, 64, 32, 3), jnp.float32))
    fake = jax.random.normal(KEY, (2, 3, 64, 32, 3))
    symbols = np.zeros((2, 4, 2, 3), np.float32)  # of a codec of stride 16
    symbols[0, 0, 0, 1] = 3.0

    @jax.jit
    def scores(symbols, level):
        condition = module._condition({"symbols": symbols, "level": level})
        return module._of_fakes(state, fake, condition)

    found = scores(symbols, 1)
    assert found.shape == (6, 8 * 4)  # every position of every member
    changed = np.abs(found - scores(np.zeros_like(symbols), 1)).reshape(2, 3, 8, 4) > 1e-6
    assert not changed[1].any()
    assert changed[0, :, :2, :2].all()  # the position's own cells
    assert not changed[0, :, 3:].any() and not changed[0, :, :, 3:].any()  # 3 x 3 taps away
    assert np.any(scores(symbols, 2) != found)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (adversarial.Gan(**SETTINGS), (3,)),
        (adversarial.WganGp(width=16, critic_steps=1, spectral=True), (3,)),
        (adversarial.Gan(width=4, critic_steps=1, learning_rate=1e-2), (8, 8, 1)),
    ],
)
def test_spectral_normalisation_keeps_every_layer_at_norm_one(module, shape):
    @jax.jit
    def step(state, key):
        real = jax.random.normal(key, (16, *shape))
        return module.update(state, real, 3 + 2 * real[:, None], {}, key)[0]

    state = jax.jit(module.init, static_argnums=1)(
        KEY, jax.ShapeDtypeStruct((16, *shape), jnp.float32)
    )
    first = state["params"]
    for key in jax.random.split(KEY, 60):
        state = step(state, key)
    bounded = spectral.normalised(state["params"], state["spectral"])
    assert set(state["spectral"]) == set(first)
    grown = []
    for layer, own in bounded.items():
        norm, free = (
            np.linalg.norm(np.reshape(kernel, (-1, kernel.shape[-1])), 2)
            for kernel in (own["kernel"], state["params"][layer]["kernel"])
        )
        np.testing.assert_allclose(norm, 1, rtol=0.02)
        grown.append(abs(free - 1) > 0.1)
    assert any(grown)  # so that something was normalised


def test_the_state_of_every_critic_is_a_tree_of_arrays_that_keeps_its_shape():
    module = adversarial.Gan(**SETTINGS, conditioned=True, groups=(1, 1))
    real, fake, context = _batch(KEY, 2)

    @jax.jit
    def run():
        state = module.init(KEY, jax.ShapeDtypeStruct(real.shape, real.dtype))
        return state, module.update(state, real, fake, context, KEY)[0]

    state, after = run()
    assert set(state) == {"params", "optimizer", "spectral"}
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True):
        assert isinstance(a, jax.Array)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_conditioning_needs_the_groups_of_a_codec():
    with pytest.raises(ValueError, match="perception.conditioned needs the groups"):
        adversarial.Gan(conditioned=True)


def test_the_field_of_a_score_is_what_it_depends_on():
    network = critics.Critic(2, from_zero=False)
    x = jnp.zeros((1, 64, 64, 1))
    params = network.init(KEY, x)
    middle = 8 * 3 + 3
    slopes = jax.jit(jax.grad(lambda x: network.apply(params, x)[0, middle]))(x)
    rows = np.flatnonzero(np.any(slopes != 0, axis=(0, 2, 3)))
    assert rows[-1] - rows[0] + 1 == critics.FIELD
