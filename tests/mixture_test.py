"""A weighted sum of terms is what its name says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import base, build, kernel, mixture

KEY = jax.random.key(0)
SPEC = jax.ShapeDtypeStruct((None, 3), jnp.float32)
FIXED = {"name": "mmd", "kernel": "energy"}
CRITIC = {"name": "wgan_gp", "width": 4, "critic_steps": 1}


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


REAL, FAKES = jnp.asarray(_noise(8, 3)), jnp.asarray(0.5 + _noise(8, 2, 3, seed=1))


def _built(terms, weights=None):
    weights = {} if weights is None else {"weights": weights}
    return build.build("mixture", kind="vector", terms=terms, **weights)


def test_the_penalty_is_the_weighted_sum_of_the_terms():
    module = _built({"a": FIXED, "b": FIXED, "none": {"name": "none"}}, {"a": 2.0, "b": 0.5})
    alone = kernel.Mmd("vector").penalty({}, REAL, FAKES, {}, KEY)
    np.testing.assert_allclose(module.penalty({}, REAL, FAKES, {}, KEY), 2.5 * alone, rtol=1e-5)


def test_terms_without_a_weight_count_once():
    assert _built({"a": FIXED, "b": FIXED}, {"b": 3.0}).weights == {"a": 1.0, "b": 3.0}


def test_it_learns_where_a_term_does_and_only_that_has_a_state():
    module = _built({"distance": FIXED, "critic": CRITIC})
    assert module.learns
    state = module.init(KEY, SPEC)
    assert set(state) == {"critic"}
    after, metrics = jax.jit(lambda state: module.update(state, REAL, FAKES, {}, KEY))(state)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), after, state)
    assert any(jax.tree.leaves(moved))
    assert set(metrics) == {"critic_critic_distance", "critic_critic_gradient_norm"}


def test_without_a_critic_it_has_no_state():
    module = _built({"distance": FIXED})
    assert not module.learns
    assert module.init(KEY, SPEC) == {}
    assert module.update({}, REAL, FAKES, {}, KEY) == ({}, {})


def test_the_order_of_the_terms_does_not_matter():
    terms = {
        "a": {"name": "sliced_wasserstein", "directions": 1},
        "b": {"name": "sliced_wasserstein", "directions": 2},
    }
    one, other = (
        float(_built(dict(items)).penalty({}, REAL, FAKES, {}, KEY))
        for items in (terms.items(), reversed(terms.items()))
    )
    assert one == other


def test_mixtures_may_be_nested():
    inner = {"name": "mixture", "terms": {"a": FIXED, "critic": CRITIC}}
    module = _built({"inner": inner})
    assert module.learns
    assert set(module.init(KEY, SPEC)) == {"inner"}


@pytest.mark.parametrize(
    ("terms", "weights", "message"),
    [
        ({}, None, "perception.terms is empty"),
        (None, None, "perception.terms must be a dict of dicts with a name, got None"),
        ({"a": 3}, None, "perception.terms must be a dict of dicts with a name"),
        ({"a": {"kernel": "energy"}}, None, "perception.terms must be a dict of dicts with a name"),
        ({"a b": FIXED}, None, "perception.terms must have plain names, got .'a b'"),
        ({"a": FIXED}, {"b": 1.0}, "perception.weights must name the terms a, got a, b"),
        ({"a": FIXED}, {"a": 0.0}, "perception.weights.a must be positive and finite, got 0.0"),
        ({"a": FIXED}, {"a": "one"}, "perception.weights.a must be positive and finite, got 'one'"),
        ({"a": FIXED}, 3, "perception.weights must be a dict of numbers, got 3"),
        ({"a": {"name": "lpips"}}, None, "perception.name is 'lpips', must be one of"),
        ({"a": FIXED | {"axes": 1}}, None, "perception.terms.a has no option 'axes'"),
        ({"a": FIXED | {"widht": 1}}, None, "perception 'mmd' has no option 'widht'"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_refused(terms, weights, message):
    with pytest.raises(ValueError, match=message) as refusal:
        _built(terms, weights)
    assert "\n" not in str(refusal.value)


def test_a_term_alone_needs_its_weight_too():
    with pytest.raises(ValueError, match="perception.weights must name the terms a, got none"):
        mixture.Mixture({"a": base.NoPerception()}, {})
