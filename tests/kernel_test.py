"""MMD² against closed forms: unbiased whatever the batches share, and small Gram matrices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synjax.perception import kernel

KEY = jax.random.key(0)
SHIFT, SPREAD = 0.6, 1.4  # of the fakes, against a standard normal source


def _between(a, b):
    """E exp(−(x − y)² / 2h²) for x − y ~ N(mean, variance), with h = 1: a convolution."""
    mean, variance = a[0] - b[0], a[1] + b[1]
    return np.exp(-(mean**2) / (2 * (1 + variance))) / np.sqrt(1 + variance)


def _absolute(mean, variance):
    """E|z| of z ~ N(mean, variance)."""
    deviation = np.sqrt(variance)
    z = mean / deviation
    return 2 * deviation * stats.norm.pdf(z) + mean * (2 * stats.norm.cdf(z) - 1)


REAL, FAKE = (0.0, 1.0), (SHIFT, SPREAD**2)
TRUTH = {
    "gaussian": _between(REAL, REAL) + _between(FAKE, FAKE) - 2 * _between(REAL, FAKE),
    "energy": 2 * _absolute(SHIFT, 1 + SPREAD**2) - _absolute(0, 2) - _absolute(0, 2 * SPREAD**2),
}


def _batch(key, members, paired):
    """Seven synsets whose members share most of their variance, with the source if paired."""
    shared_key, own_key, real_key = jax.random.split(key, 3)
    shared = jax.random.normal(shared_key, (7, 1, 1)) * 0.8
    own = jax.random.normal(own_key, (7, members + 1, 1)) * 0.6
    both = shared + own  # standard normal, and kin within a row
    fake = SHIFT + SPREAD * both[:, 1:]
    return (both[:, 0] if paired else jax.random.normal(real_key, (9, 1))), fake


@functools.cache
def _mean_and_error(name, members, paired):
    module = kernel.Mmd("vector", kernel=name, bandwidths=(1.0,), relative=False)

    @jax.jit
    def measured(key):
        return module.penalty({}, *_batch(key, members, paired), {}, key)

    found = np.asarray(jax.lax.map(measured, jax.random.split(KEY, 20000), batch_size=1000))
    return found.mean(), found.std() / np.sqrt(len(found))


@pytest.mark.parametrize("name", kernel.KERNELS)
@pytest.mark.parametrize(("members", "paired"), [(1, True), (3, True), (3, False)])
def test_small_batches_are_right_on_average(name, members, paired):
    mean, error = _mean_and_error(name, members, paired)
    assert error < 0.1 * TRUTH[name]
    assert abs(mean - TRUTH[name]) < 3 * error


def test_it_would_be_wrong_if_kin_were_compared():
    """Or the test above could not tell."""
    module = kernel.Mmd("vector", kernel="energy")

    def measured(key):
        real, fake = _batch(key, 3, True)
        return module.penalty({}, real, fake.reshape(-1, 1, 1), {}, key)  # members as synsets

    found = np.asarray(jax.jit(jax.vmap(measured))(jax.random.split(KEY, 2000)))
    assert abs(found.mean() - TRUTH["energy"]) > 10 * found.std() / np.sqrt(len(found))


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _distances(x, y):
    return np.sqrt(np.mean((x[:, None] - y[None]) ** 2, -1))


def test_it_is_the_plain_double_sum_where_nothing_is_drawn():
    real, fake = _noise(5, 3), 0.5 + _noise(4, 2, 3, seed=1)
    pooled, synset = fake.reshape(-1, 3), np.repeat(np.arange(4), 2)
    within = _distances(real, real)[~np.eye(5, dtype=bool)]
    generated = _distances(pooled, pooled)[synset[:, None] != synset]
    between = _distances(real, pooled)
    energy = 2 * between.mean() - within.mean() - generated.mean()
    found = kernel.Mmd("vector").penalty({}, real, fake, {}, KEY)
    np.testing.assert_allclose(found, energy, rtol=1e-5)

    def values(distance):
        h = np.array([0.5, 2.0])[:, None] * within.mean()
        return np.exp(-(distance[None] ** 2) / (2 * h**2)).mean()

    module = kernel.Mmd("vector", kernel="gaussian", bandwidths=(0.5, 2.0))
    expected = values(within) + values(generated) - 2 * values(between.ravel())
    np.testing.assert_allclose(module.penalty({}, real, fake, {}, KEY), expected, rtol=1e-4)


def test_relative_bandwidths_make_it_a_pure_number():
    real, fake = _noise(20, 3), 0.5 + _noise(20, 2, 3, seed=1)
    module = kernel.Mmd("vector", kernel="gaussian")
    found = [module.penalty({}, s * real, s * fake, {}, KEY) for s in (1.0, 100.0)]
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_an_offset_far_from_zero_costs_no_precision():
    real, fake = _noise(50, 3), 0.5 + _noise(50, 2, 3, seed=1)
    near, far = (kernel.Mmd("vector").penalty({}, c + real, c + fake, {}, KEY) for c in (0.0, 50.0))
    np.testing.assert_allclose(near, far, rtol=1e-3)


@pytest.mark.parametrize(("shape", "space"), [((3,), "vector"), ((16, 16, 1), "pixels")])
def test_the_gram_matrix_never_exceeds_the_samples(shape, space):
    module = kernel.Mmd(space, samples=24)
    real, fake = jnp.zeros((30, *shape)), jnp.zeros((30, 3, *shape))
    traced = jax.make_jaxpr(lambda r, f: module.penalty({}, r, f, {}, KEY))(real, fake)
    grams = [
        variable.aval.shape
        for equation in traced.jaxpr.eqns
        if equation.primitive.name == "dot_general"
        for variable in equation.outvars
    ]
    assert len(grams) == 3 and all(max(gram) <= 24 for gram in grams)


def test_drawn_samples_are_unbiased_too():
    real = _noise(6, 16, 16, 1)
    fake = 0.5 + 1.3 * _noise(6, 2, 16, 16, 1, seed=1)
    whole = kernel.Mmd("pixels", samples=6 * 512).penalty({}, real, fake, {}, KEY)
    few = jax.jit(lambda key: kernel.Mmd("pixels", samples=60).penalty({}, real, fake, {}, key))
    found = np.asarray(jax.lax.map(few, jax.random.split(KEY, 1000)))
    assert len(np.unique(found)) > 900
    assert abs(found.mean() - whole) < 3 * found.std() / np.sqrt(1000)


@pytest.mark.parametrize("space", ["pixels", "patches", "features"])
def test_the_gradient_leads_pictures_to_the_source(space):
    module = kernel.Mmd(space, patch=4, stride=4, scales=(1, 2), samples=200)
    real, fake = 0.2 * _noise(4, 16, 16, 3), 0.5 + 0.2 * _noise(4, 2, 16, 16, 3, seed=1)
    if space == "features":  # which do not see the mean
        fake = 2.5 * (fake - 0.5)
    measure = jax.jit(jax.value_and_grad(lambda f: module.penalty({}, real, f, {}, KEY)))
    value, gradient = measure(fake)
    assert np.all(np.isfinite(gradient))
    step = 0.1 * value / np.sum(np.square(gradient))
    np.testing.assert_allclose(measure(fake - step * gradient)[0], 0.9 * value, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "fourier"}, "perception.space is 'fourier', must be one of"),
        ({"kernel": "cubic"}, "perception.kernel is 'cubic', must be one of .*energy.*gaussian"),
        ({"bandwidths": (1.0, 0.0)}, "perception.bandwidths must be positive and finite"),
        ({"bandwidths": ()}, "perception.bandwidths must be positive and finite"),
        ({"samples": 1}, "perception.samples must be at least 2, got 1"),
        ({"scales": (1, 2)}, "perception.scales of space 'vector' must be"),
    ],
)
def test_a_kernel_that_sees_nothing_is_refused(options, message):
    with pytest.raises(ValueError, match=message) as refusal:
        kernel.Mmd(**({"space": "vector"} | options))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("examples", "synsets"), [(1, 4), (4, 1)])
def test_a_batch_of_one_is_refused(examples, synsets):
    with pytest.raises(ValueError, match="at least 2 of a batch, got 1"):
        kernel.Mmd("vector").penalty({}, _noise(examples, 3), _noise(synsets, 2, 3), {}, KEY)
