"""Eq. 62, and the classical objectives that it must become by configuration alone."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax import distortion, objective
from synjax.codec import modulation, priors, synonymous
from synjax.perception import base, sliced_wasserstein

GRID = modulation.Grid((100.0, 400.0), (0.0, 1.0))
VECTOR = synonymous.Codec(0, 6, (2, 3), GRID, 8, (8, 8, 8), 8)
# With every axis and no random direction it does not depend on the key.
DISTANCE = sliced_wasserstein.SlicedWasserstein(
    "vector", directions=0, axes=np.eye(6, dtype=np.float32), axes_per_step=6
)
LEVELS = {"level_lambda_d": (1.0, 1.0), "level_lambda_p": (1.0, 1.0)}
TRACES = []


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X, REAL = _noise(4, 6), _noise(64, 6, seed=7)


@functools.cache
def _params():
    """Initial parameters, moved so that every network has a say."""
    # This generator is compiled several times faster than the default one.
    params = VECTOR.init(jax.random.key(0, impl="rbg"), REAL)
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) + 0.03 * rng.normal(size=leaf.shape).astype(np.float32),
        params,
    )


def _weights(lambda_d, lambda_p, level):
    return np.float32(lambda_d), np.float32(lambda_p), np.int32(level)


@functools.cache
def _gradient_of(members):
    """((loss, metrics), gradient) of the objective, compiled; with members the prior is frozen."""
    loss = objective.Objective(
        VECTOR,
        distortion.mse,
        DISTANCE,
        members=members,
        relaxation="rate",
        **LEVELS,
        frozen=("prior",) if members else (),
    )

    def counted(*arguments):
        TRACES.append(members)
        return loss(*arguments)

    return jax.jit(jax.value_and_grad(counted, has_aux=True))


def _evaluate(lambda_d=100.0, lambda_p=1.0, level=1, *, members=0, real=REAL, seed=0):
    """Metrics and the gradient of the parameters, for the batch X."""
    weights, key = _weights(lambda_d, lambda_p, level), jax.random.key(seed)
    (_, metrics), gradient = _gradient_of(members)(_params(), {}, X, real, *weights, key)
    return metrics, gradient


@functools.cache
def _classical():
    """A transform codec's λ_d·MSE + λ_p·W₂² + rate, with its one reconstruction written out."""
    # Only the noise of the relaxed rate is shared with the objective.
    noise_key = jax.random.split(jax.random.split(jax.random.key(0))[0])[0]

    def loss(params, lambda_d, lambda_p, level):
        params = VECTOR.bind(params, lambda_d, lambda_p)
        symbols = VECTOR.quantise(params, VECTOR.analyse(params, X), noise_key)
        first, second = symbols["hard"][:, :2], symbols["hard"][:, 2:]
        prior = {"params": params["prior"]["group_1"]}
        centre, _, _ = priors.Conditional(3, 8, 0).apply(prior, first, params["features"])
        values = [first, jnp.where(level == 2, centre + second, centre)]
        share = jnp.full((4, 1), 0.5) * level
        decoded = {"shared": jnp.concatenate([*values, share], -1), "detail": jnp.zeros((4, 1, 6))}
        x_hat = VECTOR.synthesise(params, decoded)[:, 0]
        # Quantiles of the larger sample at the ranks of the smaller.
        ranks, known = (np.arange(4) + 0.5) / 4, (np.arange(64) + 0.5) / 64
        targets = np.stack([np.interp(ranks, known, np.sort(column)) for column in REAL.T])
        distance = jnp.mean((jnp.sort(x_hat.T, axis=-1) - targets) ** 2)
        rate = jnp.mean(VECTOR.rate(symbols, level)) / 6
        return lambda_d * jnp.mean((x_hat - X) ** 2) + lambda_p * distance + rate

    return jax.jit(jax.value_and_grad(loss))


def _assert_same_trees(found, expected, tolerance=1e-4):
    """Equal to float32 precision: the terms of a leaf cancel to a few hundredths of their size."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        scale = np.max(np.abs(b)) + 1e-6
        np.testing.assert_allclose(a / scale, b / scale, atol=tolerance)


def _assert_classical(weights, metrics, gradient, names):
    loss, expected = _classical()(_params(), *_weights(*weights))
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-6)
    for name in names:
        _assert_same_trees(gradient[name], expected[name])
        assert max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(gradient[name])) > 1e-3


@pytest.mark.parametrize("weights", [(100.0, 1.0, 1), (400.0, 1.0, 2), (200.0, 0.3, 2)])
def test_one_reconstruction_makes_it_the_rate_distortion_perception_loss(weights):
    """Eq. 66. That the detail is fitted beside it leaves the other gradients as they are."""
    metrics, gradient = _evaluate(*weights)
    assert metrics["fake"].shape == (4, 1, 6)
    assert metrics["perception"] > 1e-3
    assert metrics["detail"] != 0
    _assert_classical(weights, metrics, gradient, ("analysis", "prior", "synthesis"))


@pytest.mark.parametrize("weights", [(100.0, 0.0, 1), (400.0, 0.0, 2)])
def test_without_perception_it_is_the_rate_distortion_loss(weights):
    """Eq. 68."""
    _assert_classical(weights, *_evaluate(*weights), ("analysis", "prior", "synthesis"))


@pytest.mark.parametrize("weights", [(100.0, 0.0, 1), (400.0, 0.0, 2)])
def test_members_do_not_change_that_since_the_best_detail_is_then_none(weights):
    metrics, gradient = _evaluate(*weights, members=2)
    assert metrics["fake"].shape == (4, 2, 6)
    _assert_classical(weights, metrics, gradient, ("analysis", "synthesis"))


@pytest.mark.parametrize(
    ("changes", "frozen"), [({"detail_width": 0}, ()), ({}, ("detail",))], ids=["none", "frozen"]
)
def test_a_density_that_is_not_there_or_not_trained_is_not_fitted(changes, frozen):
    codec = dataclasses.replace(VECTOR, **changes)
    loss = objective.Objective(codec, distortion.mse, DISTANCE, 0, "rate", **LEVELS, frozen=frozen)
    params = codec.init(jax.random.key(0, impl="rbg"), REAL)
    weights = _weights(100.0, 0.0, 2)
    total, metrics = jax.jit(loss)(params, {}, X, REAL, *weights, jax.random.key(0))
    assert "detail" not in metrics
    np.testing.assert_allclose(total, metrics["loss"])


def test_frozen_parameters_get_no_gradient_at_all():
    _, gradient = _evaluate(members=2)
    for name, tree in gradient.items():
        largest = max(float(np.max(np.abs(leaf))) for leaf in jax.tree.leaves(tree))
        assert (largest == 0) == (name == "prior")


@pytest.mark.parametrize("weights", [(100.0, 1.0, 1), (250.0, 0.3, 2)])
def test_the_loss_is_the_weighted_sum_of_its_three_terms(weights):
    metrics, _ = _evaluate(*weights, members=2)
    terms = (float(metrics[name]) for name in ("distortion", "perception", "rate"))
    expected = np.dot([*weights[:2], 1.0], list(terms))
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-6)


def test_terms_are_those_of_the_members_that_the_critic_will_see():
    metrics, _ = _evaluate(members=2)
    fake, context = np.asarray(metrics["fake"]), metrics["context"]
    assert fake.shape == (4, 2, 6)
    assert np.std(fake[:, 0] - fake[:, 1]) > 1e-2
    np.testing.assert_allclose(metrics["distortion"], np.mean((fake - X[:, None]) ** 2), rtol=1e-5)
    np.testing.assert_array_equal(context["source"], X)
    np.testing.assert_array_equal(context["symbols"] % 1, np.zeros((4, 5)))
    assert context["level"] == 1


def test_without_perception_weight_the_other_batch_does_not_matter():
    other = _noise(64, 6, seed=8)
    first, second = (_evaluate(100.0, 0.0, members=2, real=real) for real in (REAL, other))
    assert first[0]["perception"] != second[0]["perception"]
    assert first[0]["loss"] == second[0]["loss"]
    for a, b in zip(jax.tree.leaves(first[1]), jax.tree.leaves(second[1]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_level_pays_for_its_groups_only():
    first, second = (_evaluate(level=level)[0] for level in (1, 2))
    noise_key = jax.random.split(jax.random.split(jax.random.key(0))[0])[0]

    @jax.jit
    def bits(params):
        params = VECTOR.bind(params, 100.0, 1.0)
        symbols = VECTOR.quantise(params, VECTOR.analyse(params, X), noise_key)
        return VECTOR.group_bits(symbols)

    expected = np.asarray(bits(_params())).mean(0) / 6
    np.testing.assert_allclose(first["rate"], expected[0], rtol=1e-5)
    np.testing.assert_allclose(second["rate"], expected.sum(), rtol=1e-5)
    assert second["distortion"] < first["distortion"]


def test_one_compilation_serves_all_levels_and_weights():
    losses = set()
    for level in (1, 2):
        for lambda_d, lambda_p in ((100.0, 0.0), (100.0, 1.0), (400.0, 1.0)):
            losses.add(float(_evaluate(lambda_d, lambda_p, level)[0]["loss"]))
    assert len(losses) == 6
    assert TRACES.count(0) == 1


def test_the_same_key_gives_the_same_loss_and_another_key_another():
    first, again, other = (_evaluate(members=2, seed=seed)[0]["loss"] for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_rounded_symbols_leave_nothing_to_chance():
    """Stage `perception` at M = 0; its rate is that of the integers."""
    loss = objective.Objective(
        VECTOR, distortion.mse, base.NoPerception(), members=0, relaxation="none", **LEVELS
    )

    @jax.jit
    def evaluate(params, key):
        metrics = loss(params, {}, X, X, *_weights(100.0, 1.0, 2), key)[1]
        bound = VECTOR.bind(params, 100.0, 1.0)
        symbols = VECTOR.quantise(bound, VECTOR.analyse(bound, X))
        return metrics, VECTOR.rate(symbols, 2)

    metrics, bits = evaluate(_params(), jax.random.key(0))
    other, _ = evaluate(_params(), jax.random.key(1))
    assert metrics["loss"] == other["loss"]
    assert metrics["perception"] == 0
    np.testing.assert_allclose(metrics["rate"], np.mean(bits) / 6, rtol=1e-5)
    assert metrics["rate"] != _evaluate(100.0, 1.0, 2)[0]["rate"]  # which is relaxed


@pytest.mark.parametrize("level", [1, 2])
def test_levels_weigh_the_terms_of_the_loss_and_nothing_else(level):
    factors = {"level_lambda_d": (0.5, 2.0), "level_lambda_p": (3.0, 0.0)}
    arguments = VECTOR, distortion.mse, DISTANCE
    weighed = objective.Objective(*arguments, members=1, relaxation="none", **factors)
    key, weights = jax.random.key(0), _weights(100.0, 1.0, level)
    _, found = jax.jit(weighed)(_params(), {}, X, REAL, *weights, key)
    plain = objective.Objective(*arguments, members=1, relaxation="none", **LEVELS)
    _, expected = jax.jit(plain)(_params(), {}, X, REAL, *weights, key)
    for name in ("rate", "distortion", "perception"):
        assert found[name] == expected[name]
    of_d, of_p = (factors[name][level - 1] for name in ("level_lambda_d", "level_lambda_p"))
    loss = of_d * 100 * found["distortion"] + of_p * found["perception"] + found["rate"]
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
