"""The priors against closed forms in float64, and their sampler against their own bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from synjax.codec import priors

SCALES = (-3.0, -1.0, 0.0, 2.0, 5.5)  # both ends of the range of conditional log-scales


def _mixture_bits(symbols, offsets, log_scales, logits):
    """−log2 of unit bins of one logistic mixture, in float64 by a form without differences."""
    centred = -np.abs(np.asarray(symbols, np.float64)[..., None] - offsets)
    rate = np.exp(-np.asarray(log_scales, np.float64))
    upper, lower = (centred + 0.5) * rate, (centred - 0.5) * rate
    # σ(a) − σ(b) = (1 − e^(b − a)) / ((1 + e^−a) (1 + e^b))
    log_mass = np.log(-np.expm1(-rate)) - np.logaddexp(0, -upper) - np.logaddexp(0, lower)
    log_weights = np.asarray(logits) - special.logsumexp(logits)
    return -special.logsumexp(log_mass + log_weights, axis=-1) / np.log(2)


@jax.jit
def _bits(symbols, offsets, log_scales, logits):
    """Bits of symbols [N] under one mixture [J]."""
    return priors.bits(symbols, offsets[None], log_scales[None], logits[None])


def _row(*values):
    return np.array(values, np.float32)


def test_a_bin_near_the_centre_has_the_mass_of_the_logistic_distribution():
    symbols = np.arange(-5, 6, dtype=np.float32)
    cdf = stats.logistic(loc=0.3, scale=np.exp(0.4)).cdf
    expected = -np.log2(cdf(symbols + 0.5) - cdf(symbols - 0.5))
    np.testing.assert_allclose(_bits(symbols, _row(0.3), _row(0.4), _row(0)), expected, rtol=1e-5)


@pytest.mark.parametrize("log_scale", SCALES)
def test_bits_are_exact_out_to_ten_thousand_steps(log_scale):
    symbols = _row(0, 0.25, 1, 2, 3, 5, 10, 30, 100, 1000, 10_000)
    symbols = np.concatenate([-symbols, symbols])
    mixture = _row(0, 0.4), _row(log_scale, log_scale + 1), _row(0, -1.5)
    expected = _mixture_bits(symbols, *mixture)
    np.testing.assert_allclose(_bits(symbols, *mixture), expected, rtol=2e-5, atol=1e-6)


@jax.jit
def _slopes(symbols, log_scale):
    def total(symbols, log_scale):
        scales = jnp.stack([log_scale, log_scale + 1.0])
        return jnp.sum(_bits(symbols, jnp.zeros(2), scales, jnp.array([0.0, -1.5])))

    return jax.grad(total, (0, 1))(symbols, log_scale)


@pytest.mark.parametrize("log_scale", SCALES)
def test_the_slope_of_bits_is_exact_out_to_ten_thousand_steps(log_scale):
    symbols = _row(-10_000, -100, -3, 2, 30, 1000, 10_000)

    def exact(symbols, log_scale):
        return _mixture_bits(symbols, _row(0, 0), [log_scale, log_scale + 1], _row(0, -1.5))

    of_symbols, of_scale = _slopes(symbols, log_scale)
    wide, h = symbols.astype(np.float64), 1e-4
    expected = (exact(wide + h, log_scale) - exact(wide - h, log_scale)) / (2 * h)
    np.testing.assert_allclose(of_symbols, expected, rtol=1e-3)
    expected = (exact(wide, log_scale + h) - exact(wide, log_scale - h)).sum() / (2 * h)
    np.testing.assert_allclose(of_scale, expected, rtol=1e-3)


def _random_params(module, *inputs):
    """Parameters that are nowhere zero; only their shapes come from the initialisation."""
    spec = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0, 0.7, leaf.shape).astype(np.float32)), spec
    )


def _factorised():
    """A prior with unequal channels: offsets, log_scales, logits, each [4, 3]."""
    module, features = priors.Factorised(4), jnp.ones(2)
    return jax.jit(module.apply)(_random_params(module, features), features)


@jax.jit
def _conditional(log_scales):
    return priors.conditional_mixture(log_scales, (jnp.float32(1.0), jnp.float32(-1.5)))


_bin_probabilities = jax.jit(priors.bin_probabilities, static_argnums=0)


def test_the_integers_share_a_probability_of_one():
    radius = 12_000
    for mixture in (_factorised(), _conditional(np.array(SCALES))):
        probabilities = np.asarray(_bin_probabilities(radius, *mixture), np.float64)
        assert probabilities.shape == (len(mixture[0]), 2 * radius + 1)
        np.testing.assert_allclose(probabilities.sum(-1), 1.0, atol=2e-5)


def test_bin_probabilities_are_those_of_bits():
    mixture = _factorised()
    table = _bin_probabilities(3, *mixture)
    assert table.shape == (4, 7)
    for row, *densities in zip(table, *mixture, strict=True):
        np.testing.assert_allclose(row, 2.0 ** -_bits(np.arange(-3.0, 4.0), *densities), rtol=1e-6)


def test_a_factorised_prior_has_one_density_per_channel():
    shapes = {leaf.shape for leaf in _factorised()}
    assert shapes == {(4, 3)}


def test_the_conditional_mixture_has_a_wider_second_component_of_less_weight():
    offsets, log_scales, logits = _conditional(np.array([[-1.0, 2.0]]))
    assert offsets.shape == log_scales.shape == (1, 2, 2)
    np.testing.assert_allclose(log_scales, [[[-1.0, 0.0], [2.0, 3.0]]])
    weights = jax.nn.softmax(logits, -1)
    np.testing.assert_allclose(weights.reshape(2), [1 - special.expit(-1.5), special.expit(-1.5)])


@jax.jit
def _sample(uniforms, log_scale):
    return priors.sample(uniforms, log_scale, (jnp.float32(1.0), jnp.float32(-1.5)))


@pytest.mark.parametrize("log_scale", [-3.0, -1.0, 0.5, 2.0])
def test_sampled_symbols_follow_the_distribution_that_codes_them(log_scale):
    uniforms = np.random.default_rng(3).uniform(size=40_000).astype(np.float32)
    drawn = np.asarray(_sample(uniforms, np.full(40_000, log_scale, np.float32)))
    radius = int(np.ceil(8 * np.exp(log_scale)))
    symbols = np.arange(-radius, radius + 1)
    observed = np.array([np.sum(drawn == symbol) for symbol in symbols])
    mixture = (leaf[0] for leaf in _conditional(np.array([log_scale])))
    expected = len(drawn) * 2.0 ** -np.asarray(_bits(symbols.astype(np.float32), *mixture))
    expected = expected.astype(np.float64)
    frequent = expected >= 10
    observed = np.append(observed[frequent], len(drawn) - observed[frequent].sum())
    expected = np.append(expected[frequent], len(drawn) - expected[frequent].sum())
    assert np.sum(frequent) >= 1
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_sampled_symbols_are_integers_without_gradient():
    uniforms = np.linspace(1e-6, 1 - 1e-6, 101, dtype=np.float32)
    drawn = _sample(uniforms, np.ones(101, np.float32))
    np.testing.assert_array_equal(drawn % 1, np.zeros(101))

    def total(log_scale, shape):
        return jnp.sum(priors.sample(uniforms, log_scale, shape) ** 2)

    shape = jnp.float32(1.0), jnp.float32(-1.5)
    for gradient in jax.tree.leaves(jax.jit(jax.grad(total, (0, 1)))(jnp.ones(101), shape)):
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def _conditional_prior(earlier):
    module, features = priors.Conditional(3, 8, rank=2), jnp.ones(2)
    params = _random_params(module, earlier, features)
    return jax.jit(module.apply)(params, earlier, features)


def _earlier(scale=1.0):
    rng = np.random.default_rng(0)
    return scale * rng.normal(size=(2, 9, 9, 5)).astype(np.float32)


def test_a_conditional_keeps_its_scales_where_there_are_tables():
    centre, log_scale, _ = _conditional_prior(_earlier(1e4))
    assert centre.shape == log_scale.shape == (2, 9, 9, 3)
    low, high = priors.LOG_SCALE_RANGE
    assert np.min(log_scale) == low  # so the range was put to the test
    assert np.max(log_scale) == high


def test_a_conditional_depends_on_the_earlier_groups_around_it():
    before, changed = _earlier(), _earlier()
    changed[0, 4, 4] += 1
    moved = np.abs(_conditional_prior(changed)[0] - _conditional_prior(before)[0])
    assert np.min(moved[0, 4, 4:6].max(-1)) > 1e-6
    assert np.max(moved[0, 0, 0]) == 0
    assert np.max(moved[1]) == 0


def test_values_drawn_within_their_bins_have_the_density_that_codes_them():
    """A logistic mixture, rounded and drawn again, is the mixture: exact posterior sampling."""
    rng = np.random.default_rng(0)
    offsets, scales, logits = np.array([-2.0, 0.3]), np.array([0.5, 0.2]), np.array([0.0, 0.5])
    count = 100_000
    chosen = rng.choice(2, count, p=np.exp(logits) / np.exp(logits).sum())
    y = rng.logistic(offsets[chosen], scales[chosen])
    symbols = np.round(y).astype(np.float32)
    mixture = (leaf.astype(np.float32)[None] for leaf in (offsets, np.log(scales), logits))
    uniforms = rng.uniform(1e-6, 1 - 1e-6, count).astype(np.float32)
    within = np.asarray(jax.jit(priors.within_bin)(uniforms, symbols, *mixture))
    assert np.all(np.abs(within) <= 0.5)
    assert stats.ks_2samp(y, symbols + within).pvalue > 1e-3
    for symbol in (-3, 0, 1):
        own = symbols == symbol
        np.testing.assert_allclose(within[own].mean(), (y - symbols)[own].mean(), atol=0.01)
        np.testing.assert_allclose(within[own].std(), (y - symbols)[own].std(), atol=0.01)


def test_bins_far_from_the_density_are_drawn_from_without_overflow():
    symbols = np.array([-4000.0, 4000.0, 0.0], np.float32)
    narrow = (np.zeros((1, 1), np.float32), np.full((1, 1), -3.0, np.float32), np.zeros((1, 1)))
    for u in (1e-6, 0.5, 1 - 1e-6):
        uniforms = np.full(3, u, np.float32)
        within = np.asarray(priors.within_bin(uniforms, symbols, *narrow))
        assert np.all(np.isfinite(within)) and np.all(np.abs(within) <= 0.5)
        assert within[0] > 0.4 and within[1] < -0.4  # as near to the density as the bin allows
