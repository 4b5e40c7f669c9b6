"""Wasserstein distortion: what it is in closed form, and what it lets pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.perception import build, features

KEY = jax.random.key(0)


def _module(**options):
    return build.build("wasserstein_distortion", kind="image", **options)


def _noise(*shape, seed=0):
    return 0.5 + 0.1 * np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _penalty(module, source, fake):
    found = jax.jit(module.penalty)({}, source, fake, {"source": source, "level": 1}, KEY)
    return float(found)


def test_the_source_itself_costs_nothing_and_every_member_counts():
    x = _noise(2, 31, 31, 3)
    module = _module()
    assert _penalty(module, x, np.stack([x, x], 1)) == 0
    other = _noise(2, 31, 31, 3, seed=1)
    one, two = (_penalty(module, x, np.stack([x, y], 1)) for y in (x, other))
    assert one < two == pytest.approx(_penalty(module, x, other[:, None]) / 2, rel=1e-5)


def test_it_is_the_distance_of_gaussian_fits_in_every_window():
    """The window can start at one of sixteen places: all are tried."""
    x, y = _noise(1, 7, 7, 3), _noise(1, 7, 7, 3, seed=1)
    found = _penalty(_module(window=4, widths=(5,), floor=0.5), x, y[:, None])
    kernels = features.random_features(0, (5,))

    def at(row, column):
        of_x, of_y = (
            np.asarray(features.apply(kernels, a[:, row : row + 4, column : column + 4])[0])
            for a in (x, y)
        )
        (m, v), (n, w) = ((a.mean((0, 1, 2)), a.var((0, 1, 2))) for a in (of_x, of_y))
        # One window is the whole batch, so that its means do not vary.
        squared = (m - n) ** 2 + (np.sqrt(v * 1.0001) - np.sqrt(w + 1e-4 * v)) ** 2
        return (squared / (1.5 * v)).mean()

    expected = [at(row, column) for row in range(4) for column in range(4)]
    assert min(abs(found / e - 1) for e in expected) < 1e-4


def test_a_texture_may_move_in_a_large_window_and_not_in_a_small_one():
    x = _noise(4, 63, 63, 3)
    moved = np.roll(x, 8, axis=2)[:, None]
    small, large = (_penalty(_module(window=w), x, moved) for w in (4, 32))
    assert large < 0.1 * small


def test_a_faint_texture_counts_like_a_strong_one():
    """One of two halves has a hundredth of the other's energy, the floor far below both."""
    strong, lost = _noise(1, 64, 64, 3) - 0.5, np.zeros((1, 64, 64, 3), np.float32)
    module = _module(floor=1e-4)

    def cost(left, right):
        source = 0.5 + np.concatenate([strong, 0.1 * strong], 2)
        return _penalty(module, source, (0.5 + np.concatenate([left, right], 2))[:, None])

    without_strong, without_faint = cost(lost, 0.1 * strong), cost(strong, lost)
    # Not quite as much: into windows of the faint half that are near it the strong one reaches.
    assert without_strong / 3 < without_faint < without_strong


@pytest.mark.parametrize("strength", [0.5, 0.8, 1.25, 2.0])
def test_its_slope_leads_to_the_strength_of_the_texture(strength):
    """A generator with textures of its own, as strong as one parameter says."""
    source, own = _noise(8, 64, 64, 3), _noise(8, 64, 64, 3, seed=1) - 0.5
    module = _module(window=32)

    @jax.jit
    def slope(strength):
        def penalty(strength):
            fake = (0.5 + strength * own)[:, None]
            return module.penalty({}, source, fake, {"source": source}, KEY)

        return jax.grad(penalty)(strength)

    assert np.sign(slope(strength)) == np.sign(strength - 1)


def test_a_lattice_is_no_texture():
    """Noise of a period of four pixels has the deviations of noise without one."""
    source = _noise(4, 63, 63, 3)
    noise, cell = _noise(4, 63, 63, 3, seed=1), _noise(4, 4, 4, 3, seed=2)
    lattice = np.tile(cell, (1, 16, 16, 1))[:, :63, :63]
    for period, factor in ((4, 2.0), (8, 2.0), (0, 0.0)):
        module = _module(lattice=period)
        costs = [_penalty(module, source, x[:, None]) for x in (noise, lattice)]
        rest = [_penalty(_module(), source, x[:, None]) for x in (noise, lattice)]
        assert costs[1] - rest[1] >= factor * (costs[0] - rest[0])
        assert (costs[1] > rest[1]) == (period > 0)
    assert costs == rest
    found = _penalty(_module(lattice=4), source, np.stack([noise, noise], 1))
    assert found == pytest.approx(_penalty(_module(lattice=4), source, noise[:, None]), rel=1e-5)


def test_brightness_is_left_to_the_distortion():
    x = _noise(1, 31, 31, 3)
    assert _penalty(_module(), x, x[:, None] + np.float32(0.25)) < 1e-6


def test_its_slope_is_finite_where_there_is_nothing_to_see():
    flat = jnp.full((1, 32, 32, 3), 0.5)
    module = _module()
    slope = jax.grad(lambda y: module.penalty({}, flat, y[:, None], {"source": flat}, KEY))(flat)
    assert np.all(np.isfinite(slope))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": 2}, "perception.window must be a power of two from 4 with 3 levels"),
        ({"window": 12}, "got 12"),
        ({"lattice": -1}, "perception.lattice must not be negative, got -1"),
        ({"floor": 0.0}, "perception.floor must be positive, got 0.0"),
        ({"features_path": "none.npz"}, "none.npz"),
    ],
)
def test_what_makes_no_sense_is_one_line(options, text):
    with pytest.raises(ValueError, match=text):
        _module(**options)


def test_small_crops_and_other_signals_are_one_line():
    x = _noise(1, 14, 14, 3)
    with pytest.raises(ValueError, match="perception.lattice 0 need crops of at least 15 pixels"):
        _penalty(_module(), x, x[:, None])
    with pytest.raises(ValueError, match="is of pictures, not of a signal of kind 'vector'"):
        build.build("wasserstein_distortion", kind="vector")
