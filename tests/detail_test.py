"""The detail: how strong it is, where it is strong, and that it leaves the rest alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.codec import detail, modulation, synonymous

GRID = modulation.Grid((50.0,), (0.0, 1.0))
CODEC = synonymous.Codec(
    rank=2,
    channels=3,
    groups=(4, 8),
    grid=GRID,
    analysis_width=8,
    synthesis_widths=(8, 8, 8),
    prior_width=8,
    stride=8,
)


@pytest.fixture(scope="module")
def params():
    x = np.random.default_rng(0).random((8, 64, 64, 3), np.float32)
    return CODEC.bind(CODEC.init(jax.random.key(0, impl="rbg"), x), 50.0, 1.0)


def _with_activity(params, log_gain):
    """Parameters whose activity is the same everywhere."""
    activity = params["detail"]["activity"]
    bias = jnp.full_like(activity["out"]["bias"], log_gain)
    activity = activity | {"out": activity["out"] | {"bias": bias}}
    return params | {"detail": params["detail"] | {"activity": activity}}


def _latent(seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(2, 3, 4, 13)).astype(np.float32)
    return {"shared": shared, "detail": rng.normal(size=(2, 2, 3, 4, 192)).astype(np.float32)}


def test_a_density_costs_least_at_the_deviation_of_its_samples():
    squared = np.float32(0.09)
    grid = jnp.linspace(-3.0, 1.0, 401)
    best = grid[jnp.argmin(detail.gaussian_bits(squared, grid))]
    np.testing.assert_allclose(best, np.log(0.3), atol=0.01)


def test_quantiles_are_standard_normal():
    u = (np.arange(10000) + 0.5) / 10000
    z = np.asarray(detail.quantile(u.astype(np.float32)))
    assert abs(z.mean()) < 1e-3 and abs(z.std() - 1) < 1e-2 and np.all(np.isfinite(z))


def test_before_training_every_spot_is_as_busy_as_its_block_says(params):
    latent = _latent()
    mean, texture = CODEC.synthesis_network.apply(
        {"params": params["synthesis"]}, latent["shared"], latent["detail"], params["features"]
    )
    synset = CODEC.synthesise(params, latent)
    np.testing.assert_allclose(synset, mean[:, None] + texture, atol=1e-5)


def test_the_gain_scales_the_texture_and_nothing_else(params):
    latent = _latent()
    silent = latent | {"detail": np.zeros_like(latent["detail"])}
    mean = CODEC.synthesise(params, silent)
    plain, louder = (
        CODEC.synthesise(_with_activity(params, gain), latent) - mean for gain in (0.0, np.log(2.0))
    )
    np.testing.assert_allclose(louder, 2 * plain, atol=1e-4)
    np.testing.assert_array_equal(CODEC.synthesise(_with_activity(params, 1.0), silent), mean)


def test_activity_looks_at_the_picture_without_shaping_it(params):
    """Only its own parameters learn from the gain: the mean member is not bent to steer it."""
    params = _with_activity(params, 0.5)
    kernel = jnp.full_like(params["detail"]["activity"]["out"]["kernel"], 0.02)
    out = params["detail"]["activity"]["out"] | {"kernel": kernel}
    activity = params["detail"]["activity"] | {"out": out}
    params = params | {"detail": params["detail"] | {"activity": activity}}
    shared = _latent()["shared"]

    def gain(params, mean_member):
        return CODEC._activity_of(params, mean_member, shared).sum()

    picture = np.random.default_rng(1).random((2, 24, 32, 3), np.float32)
    to_params, to_picture = jax.grad(gain, argnums=(0, 1))(params, picture)
    np.testing.assert_array_equal(to_picture, np.zeros_like(picture))
    assert np.any(to_params["detail"]["activity"]["near"]["kernel"])
    changed = gain(params, picture + 0.1 * picture**2) - gain(params, picture)
    assert abs(changed) > 1e-3


def test_the_energy_of_a_cell_is_what_samples_of_the_statistics_have(params):
    rng = np.random.default_rng(0)
    deviations = np.exp(rng.normal(size=(1, 2, 2, 192))).astype(np.float32)
    samples = deviations * rng.normal(size=(4000, 2, 2, 192)).astype(np.float32)
    squared, variance = CODEC._energies(params, deviations**2, samples)
    assert squared.shape == (4000, 4, 4, 1) and variance.shape == (1, 4, 4, 1)
    np.testing.assert_allclose(squared.mean(0, keepdims=True), variance, rtol=0.05)


def test_fitting_the_detail_finds_the_busy_half_of_a_block(params):
    """Statistics of a block cannot tell its halves apart; the picture that is seen can."""
    rng = np.random.default_rng(0)
    shared = jnp.zeros((4, 4, 4, 13))
    bright = np.zeros((4, 32, 32, 3), np.float32)
    bright[:, :, 4::8] = bright[:, :, 5::8] = bright[:, :, 6::8] = bright[:, :, 7::8] = 1.0
    x = bright + 0.1 * (0.2 + bright) * rng.normal(size=bright.shape).astype(np.float32)
    symbols = {"hard": jnp.zeros((4, 4, 4, 12))}

    @jax.jit
    def fitted(details):
        bits = lambda d: CODEC.detail_bits(  # noqa: E731
            params | {"detail": d}, symbols, x, bright, shared, 2
        )
        value, slope = jax.value_and_grad(bits)(details)
        return value, jax.tree.map(lambda a, b: a - 0.05 * b, details, slope)

    details = params["detail"]
    first, details = fitted(details)
    for _ in range(300):
        last, details = fitted(details)
    assert last < first
    gain = CODEC._activity_of(params | {"detail": details}, bright, shared)[..., 0]
    quiet, busy = np.asarray(gain)[:, 2:-2, 2:-2:2], np.asarray(gain)[:, 2:-2, 3:-2:2]
    assert np.exp(busy.mean() - quiet.mean()) > 2


def test_upsampling_keeps_a_constant_and_stays_between_neighbours():
    gain = np.random.default_rng(0).random((2, 3, 5, 1), np.float32)
    fine = np.asarray(detail.upsampled(gain))
    assert fine.shape == (2, 3 * detail.CELL, 5 * detail.CELL, 1)
    assert gain.min() - 1e-6 <= fine.min() and fine.max() <= gain.max() + 1e-6
    constant = np.full((1, 2, 2, 1), 0.7, np.float32)
    np.testing.assert_allclose(detail.upsampled(constant), np.full((1, 8, 8, 1), 0.7), rtol=1e-6)
