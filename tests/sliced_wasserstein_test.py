"""The sliced Wasserstein distance: closed forms, and what it can and cannot see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from synjax.codec import transforms
from synjax.perception import sliced_wasserstein, spaces

KEY = jax.random.key(0)
IMAGE_SPACES = ("pixels", "patches", "features")


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@functools.cache
def _penalty(module):
    """(real, fake, key) → penalty, compiled."""
    return jax.jit(lambda real, fake, key: module.penalty({}, real, fake, {}, key))


def _measure(real, fake, space="vector", key=KEY, **options):
    """The penalty; fake is [B, M, *S, C]."""
    return float(_penalty(sliced_wasserstein.SlicedWasserstein(space, **options))(real, fake, key))


def test_a_shift_costs_its_square_in_every_direction():
    real = _noise(3, 50)
    shift = np.array([[0.0], [0.5], [-2.0]], np.float32)
    shuffled = np.random.default_rng(1).permuted(real + shift, axis=-1)
    found = sliced_wasserstein.squared_w2(real, shuffled)
    np.testing.assert_allclose(found, shift[:, 0] ** 2, atol=1e-5)


def test_it_is_the_cheapest_assignment_of_the_samples():
    real, fake = _noise(4, 7), 1.5 * _noise(4, 7, seed=1) + 0.3
    expected = []
    for a, b in zip(real, fake, strict=True):
        cost = (a[:, None] - b[None]) ** 2
        expected.append(cost[optimize.linear_sum_assignment(cost)].mean())
    np.testing.assert_allclose(sliced_wasserstein.squared_w2(real, fake), expected, rtol=1e-5)


def test_batches_of_different_sizes_are_compared_by_their_quantiles():
    # Equidistant samples have a linear quantile function, which interpolation keeps.
    real = ((np.arange(60, dtype=np.float32) + 0.5) / 60)[None]
    fake = ((np.arange(15, dtype=np.float32) + 0.5) / 15)[None] + 0.25
    found = sliced_wasserstein.squared_w2(real[:, ::-1], fake)
    np.testing.assert_allclose(found, [0.25**2], rtol=1e-5)


def test_more_reconstructions_than_real_samples_can_be_compared_too():
    real, fake = _noise(2, 2000), _noise(2, 3000, seed=1) + np.float32(0.5)
    np.testing.assert_allclose(sliced_wasserstein.squared_w2(real, fake), [0.25, 0.25], atol=0.08)


def test_in_one_dimension_every_direction_is_the_axis_itself():
    """A direction that is not of unit length would scale the shift."""
    real = _noise(40, 1)
    fake = (real + 0.7).reshape(20, 2, 1)
    np.testing.assert_allclose(_measure(real, fake, directions=5), 0.49, rtol=1e-4)


def test_directions_are_unit_and_uniform_on_the_sphere():
    """Along unit θ a shift v costs (θ·v)², at most |v|² and |v|²/n on average."""
    real, shift = _noise(10, 4), np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    fake = (real + shift)[:, None]
    power = float(np.sum(shift**2))
    many = _measure(real, fake, directions=4000)
    # (θ·v)²/|v|² is Beta(1/2, 3/2): mean 1/4, deviation 1/4.
    np.testing.assert_allclose(many / power, 0.25, atol=4 * 0.25 / np.sqrt(4000))
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=1)
    single = [_penalty(module)(real, fake, key) for key in jax.random.split(KEY, 200)]
    assert 0.9 * power < np.max(single) <= power * (1 + 1e-5)


@pytest.mark.parametrize("normalise", [False, True])
def test_a_full_group_of_orthogonal_directions_sees_a_shift_whole(normalise):
    """Σ (θ·v)² = |v|² of an orthonormal basis, whatever basis was drawn."""
    real, shift = _noise(40, 4), np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    fake = (real + shift)[:, None]
    expected = np.mean(shift**2 / (real.var(0) + 1e-4 if normalise else 1))
    module = sliced_wasserstein.SlicedWasserstein(
        "vector", directions=8, orthogonal=True, normalise=normalise
    )
    found = [float(_penalty(module)(real, fake, key)) for key in jax.random.split(KEY, 5)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("directions", [1, 3, 5])
def test_orthogonal_directions_are_as_many_as_asked_for_and_uniform(directions):
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=directions, orthogonal=True)
    drawn = jax.jit(jax.vmap(lambda key: module._drawn(key, 3)))(jax.random.split(KEY, 2000))
    assert drawn.shape == (2000, directions, 3)
    together = min(directions, 3)
    gram = np.einsum("kin,kjn->kij", drawn[:, :together], drawn[:, :together])
    expected = np.broadcast_to(np.eye(together), gram.shape)
    np.testing.assert_allclose(gram, expected, atol=1e-5)
    # θ_n² is Beta(1/2, 1): mean 1/3, deviation √(4/45).
    error = np.sqrt(4 / 45 / 2000)
    np.testing.assert_allclose(np.square(drawn).mean(0), 1 / 3, atol=5 * error)


def test_ascent_finds_the_direction_of_a_shift():
    """Along it W₂² is |v|², where a random direction has |v|²/n of it on average."""
    real, shift = _noise(50, 6), np.array([0.5, -1.0, 0.2, 1.5, 0.0, 0.3], np.float32)
    fake = (real + shift)[:, None]
    found = [_measure(real, fake, directions=3, ascent=steps) for steps in (0, 2, 8)]
    assert found[0] < found[1] < found[2]
    np.testing.assert_allclose(found[2], np.sum(shift**2), rtol=0.02)


def test_ascent_finds_the_one_component_that_differs():
    """Of one component's deviation, 1 against 2, W₂² is 1, and 0 of the others'."""
    real, fake = _noise(4000, 5), _noise(2000, 2, 5, seed=1)
    fake[..., 3] *= 2
    np.testing.assert_allclose(_measure(real, fake, directions=2, ascent=12), 1, rtol=0.1)
    assert _measure(real, fake, directions=64) < 0.2


def test_no_gradient_passes_through_the_ascent():
    """Along a fixed unit θ, (θ·v)² has the slope 2(θ·v)θ, whose half has the value's root as norm.

    After one step θ is still far from the largest distance, where a slope through it would vanish.
    """
    real, shift = _noise(50, 3), np.array([0.5, -1.0, 0.2], np.float32)
    fake = (real + shift)[:, None]
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=1, ascent=1)
    measure = jax.jit(jax.value_and_grad(lambda f: module.penalty({}, real, f, {}, KEY)))
    value, gradient = measure(fake)
    assert value < 0.9 * np.sum(shift**2)
    norm = np.linalg.norm(np.sum(gradient, (0, 1))) / 2
    np.testing.assert_allclose(norm, np.sqrt(value), rtol=1e-4)


def test_every_axis_is_used_once_when_all_are_asked_for():
    real, shift = _noise(10, 3), np.array([1.0, -2.0, 0.5], np.float32)
    fake = (real + shift)[:, None]
    axes, _ = np.linalg.qr(_noise(3, 3, seed=2))
    options = {"directions": 0, "axes": axes, "axes_per_step": 3}
    module = sliced_wasserstein.SlicedWasserstein("vector", **options)
    for key in jax.random.split(KEY, 3):
        found = _penalty(module)(real, fake, key)
        np.testing.assert_allclose(found, np.mean((axes @ shift) ** 2), rtol=1e-4)


def test_the_same_key_gives_the_same_value_and_another_key_another():
    real, fake = _noise(50, 4), _noise(25, 2, 4, seed=1)
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=3)
    first, again, other = (
        float(_penalty(module)(real, fake, jax.random.key(seed))) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_distances_with_other_axes_are_not_taken_for_one_another():
    """Or a compilation cache would serve the wrong one."""
    axes = np.eye(3, dtype=np.float32)
    options = {"directions": 0, "axes_per_step": 3}
    first, second = (
        sliced_wasserstein.SlicedWasserstein("vector", axes=a, **options) for a in (axes, -axes)
    )
    assert first != second
    assert len({first, second}) == 2


def _images(count, seed=0, size=36):
    x = _noise(count, size, size, 3, seed=seed)
    return 0.5 + 0.1 * (x + np.roll(x, 1, axis=1) + np.roll(x, 1, axis=2))


@pytest.mark.parametrize("space", IMAGE_SPACES)
def test_images_are_equal_to_themselves_and_the_gradient_leads_to_them(space):
    real = _images(4, size=20)
    module = sliced_wasserstein.SlicedWasserstein(space, patch=8, directions=16)
    measure = jax.jit(jax.value_and_grad(lambda fake: module.penalty({}, real, fake, {}, KEY)))
    same = real.reshape(2, 2, *real.shape[1:])
    np.testing.assert_allclose(measure(same)[0], 0, atol=1e-9)

    fake = 0.5 * same[::-1] + 0.1
    value, gradient = measure(fake)
    assert np.all(np.isfinite(gradient))
    power = np.sum(np.square(gradient))
    assert value > 1e-4
    assert power > 0
    step = 0.1 * value / power  # promises to remove a tenth, to first order
    np.testing.assert_allclose(measure(fake - step * gradient)[0], 0.9 * value, rtol=0.05)


def test_descent_takes_points_to_the_target_distribution():
    real = _noise(128, 2) @ np.array([[2.0, 0.0], [1.0, 0.5]], np.float32)
    start = 0.3 * _noise(64, 2, 2, seed=1) + 3
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=16)
    gradient_of = jax.grad(lambda fake, key: module.penalty({}, real, fake, {}, key))

    def step(fake, key):
        return fake - 60.0 * gradient_of(fake, key), None

    keys = jax.random.split(KEY, 200)
    fake, _ = jax.jit(lambda fake: jax.lax.scan(step, fake, keys))(start)
    assert _measure(real, fake) < 0.01 * _measure(real, start)
    np.testing.assert_allclose(np.cov(fake.reshape(-1, 2).T), np.cov(real.T), rtol=0.15, atol=0.1)


def test_the_codecs_axes_see_a_comb_that_random_directions_cannot():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    normal = rng.normal(size=(2, 4000, 8))
    comb = np.round(normal[1])
    comb = comb / comb.std(0)  # the same variance, so that no Gaussian fit can tell
    real, fake = ((a @ basis).astype(np.float32) for a in (normal[0], comb))
    fake = fake.reshape(2000, 2, 8)
    axes = basis.astype(np.float32)
    along = _measure(real, fake, directions=0, axes=axes, axes_per_step=8)
    random = _measure(real, fake, directions=64)
    # A sample moves within its cell: the 1/12 of a unit step, up to the rescaling.
    np.testing.assert_allclose(along, 1 / 12, rtol=0.15)
    assert random < along / 10


def test_normalisation_lets_weak_components_count():
    scales = np.array([1.0, 0.05], np.float32)
    real = _noise(500, 2)
    fake = real.copy()
    fake[:, 1] *= 0.2
    options = {"directions": 0, "axes": np.eye(2, dtype=np.float32), "axes_per_step": 2}
    even = _measure(real, fake[:, None], **options)
    weak = _measure(real * scales, (fake * scales)[:, None], **options)
    normalised = _measure(real * scales, (fake * scales)[:, None], normalise=True, **options)
    assert weak < 0.01 * even
    np.testing.assert_allclose(normalised, even, rtol=0.1)


@pytest.mark.parametrize("stride", [4, 2, 1])
@pytest.mark.parametrize("last", [False, True])
def test_shifted_patches_are_contiguous_pixels_of_the_shifted_grid(stride, last):
    height, width, size = 14, 19, 4
    top, left = (stride - 1, stride // 2) if last else (0, 0)
    place = np.arange(2 * height * width, dtype=np.float32).reshape(2, height, width, 1)
    x = np.concatenate([place, -place], -1)
    found = spaces.shifted_patches(x, size, stride, (top, left))
    # As many as fit at the largest shift.
    rows, columns = ((side - (stride - 1) - size) // stride + 1 for side in (height, width))
    expected = [
        image[i : i + size, j : j + size].reshape(-1)
        for image in x
        for i in range(top, top + rows * stride, stride)
        for j in range(left, left + columns * stride, stride)
    ]
    np.testing.assert_array_equal(found, expected)


def test_patches_are_laid_out_as_the_codecs():
    x = _noise(2, 19, 19, 3)
    found = spaces.shifted_patches(x, 4, 4, (0, 0))
    packed = transforms.space_to_depth(jnp.asarray(x[:, :16, :16]), 4)
    np.testing.assert_array_equal(found, packed.reshape(-1, 48))


def test_the_grid_of_patches_starts_anywhere():
    """An artefact at a fixed place of every block must not hide from the distance."""
    real, fake = _images(2, size=16), 0.5 * _images(2, size=16)[:, None]
    options = {"directions": 4, "patch": 4, "stride": 4}
    module = sliced_wasserstein.SlicedWasserstein("patches", **options)
    gradient_of = jax.jit(jax.grad(lambda fake, key: module.penalty({}, real, fake, {}, key)))
    corners = set()
    for key in jax.random.split(KEY, 100):
        seen = np.any(np.abs(gradient_of(fake, key)) > 0, axis=(0, 1, 4))  # [H, W]
        rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
        assert len(rows) == len(columns) == 12
        corners.add((rows[0], columns[0]))
    assert corners == {(i, j) for i in range(4) for j in range(4)}


def test_scales_are_distances_of_halved_pictures():
    real, fake = _images(2, size=16), 0.5 * _images(4, seed=1, size=16).reshape(2, 2, 16, 16, 3)

    def halved(x):
        return x.reshape(*x.shape[:-3], 8, 2, 8, 2, 3).mean((-4, -2))

    options = {"space": "pixels", "directions": 1, "orthogonal": True}
    coarse = _measure(real, fake, scales=(2,), **options)
    np.testing.assert_allclose(coarse, _measure(halved(real), halved(fake), **options), rtol=1e-5)
    real, fake = 0 * real, 0 * fake + 1  # on which every direction and scale sees a shift
    options["directions"] = 3
    np.testing.assert_allclose(_measure(real, fake, scales=(1, 2, 4), **options), 1, rtol=1e-5)


def test_patches_at_half_scale_see_what_is_wrong_there_only():
    """Fine noise has the wrong variance after halving, though no single pixel is wrong."""
    real = _noise(4, 32, 32, 1)
    fake = np.repeat(np.repeat(_noise(4, 16, 16, 1, seed=1), 2, 1), 2, 2)[:, None]
    options = {"space": "patches", "patch": 1, "stride": 1, "directions": 1}
    assert _measure(real, fake, **options) < 0.02
    np.testing.assert_allclose(_measure(real, fake, scales=(2,), **options), 0.25, rtol=0.2)


def test_crops_must_hold_patches_at_every_scale():
    real = _images(1, size=16)
    with pytest.raises(ValueError, match="crops of at least 16 pixels, got 8 x 8"):
        _measure(real, real[:, None], space="patches", patch=8, scales=(1, 2))


def test_a_users_features_take_the_place_of_the_random_ones(tmp_path):
    path = tmp_path / "mean.npz"
    np.savez(path, level_0=np.full((3, 3, 3, 1), 1 / 27, np.float32))
    real = np.full((2, 16, 16, 3), 0.5, np.float32)
    found = _measure(real, real[:, None] + 0.2, space="features", features_path=str(path))
    np.testing.assert_allclose(found, 0.04, rtol=1e-4)
    assert _measure(real, real[:, None] + 0.2, space="features") < 1e-6  # blind to the mean


def test_unusable_features_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match="none.npz cannot be read"):
        sliced_wasserstein.SlicedWasserstein("features", features_path=str(tmp_path / "none.npz"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"space": "fourier"}, "perception.space is 'fourier', must be one of"),
        ({"space": "vector", "directions": -1}, "must not be negative"),
        ({"space": "vector", "directions": 0}, "are both 0"),
        ({"space": "patches", "patch": 16, "stride": 6}, "stride 6 must divide"),
        ({"space": "patches", "stride": 0}, "stride 0 must divide"),
        ({"space": "vector", "ascent": -1}, "perception.ascent must not be negative"),
        ({"space": "pixels", "scales": (1, 3)}, "perception.scales of space 'pixels' must be"),
        ({"space": "pixels", "scales": (2, 2)}, "perception.scales of space 'pixels' must be"),
        ({"space": "pixels", "scales": ()}, "perception.scales of space 'pixels' must be"),
        ({"space": "vector", "scales": (2,)}, "perception.scales of space 'vector' must be"),
        ({"space": "pixels", "features_path": "a.npz"}, "features_path needs space 'features'"),
        (
            {
                "space": "vector",
                "directions": 0,
                "ascent": 1,
                "axes": np.eye(2),
                "axes_per_step": 1,
            },
            "ascent are about directions, which are 0",
        ),
        ({"space": "pixels", "axes_per_step": 2}, "needs axes; space 'pixels' has none"),
    ],
)
def test_a_distance_that_sees_nothing_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein.SlicedWasserstein(**options)


def test_crops_too_small_for_shifted_patches_are_refused():
    real = _images(1, size=15)
    with pytest.raises(ValueError, match="crops of at least 16 pixels, got 15 x 15"):
        _measure(real, real[:, None], space="patches", patch=8)


def test_axes_of_another_patch_size_are_refused():
    real = _images(1, size=16)
    options = {"patch": 4, "stride": 4, "axes": np.eye(27, dtype=np.float32), "axes_per_step": 3}
    with pytest.raises(ValueError, match="axes of 27 values do not fit samples of 48"):
        _measure(real, real[:, None], space="patches", **options)


def _pull_on_the_spread(unbiased):
    """Mean slope of the penalty in the spread of members that are right, and its standard error.

    Source and members are exact posterior samples of one another, as of a codec that is done: all
    have the symbol, a coarse value, in common and differ around it.
    """
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=4, unbiased=unbiased)

    @jax.jit
    def slope(key):
        shared_key, own_key, direction_key = jax.random.split(key, 3)
        shared = jax.random.normal(shared_key, (12, 1, 2)) * 0.8
        x = shared + jax.random.normal(own_key, (12, 3, 2)) * 0.6
        real, fake = x[:, 0], x[:, 1:]
        spread = jax.grad(lambda s: module.penalty({}, real, s * fake, {}, direction_key))
        return spread(1.0)

    slopes = np.array(jax.vmap(slope)(jax.random.split(KEY, 4000)))
    return slopes.mean(), slopes.std() / np.sqrt(len(slopes))


def test_members_that_are_right_are_left_alone_by_the_unbiased_distance():
    slope, error = _pull_on_the_spread(unbiased=True)
    assert abs(slope) < 3 * error


def test_members_that_are_right_are_narrowed_by_the_plain_distance():
    """Which is why the other exists."""
    slope, error = _pull_on_the_spread(unbiased=False)
    assert slope > 10 * error


@pytest.mark.parametrize("spread", [0.8, 1.2])
def test_the_unbiased_distance_pulls_a_wrong_spread_to_the_right_one(spread):
    module = sliced_wasserstein.SlicedWasserstein("vector", directions=4, unbiased=True)
    real, fake = _noise(500, 3), _noise(500, 2, 3, seed=1)
    slope = jax.grad(lambda s: module.penalty({}, real, s * fake, {}, KEY))(spread)
    assert slope * (spread - 1) > 0


def test_the_unbiased_distance_needs_two_members():
    with pytest.raises(ValueError, match="at least 2 members"):
        _measure(_noise(10, 3), _noise(10, 1, 3), unbiased=True)
