"""Reported divergences against closed forms, brute force and what an eye would say."""

import numpy as np
import pytest
from scipy import fft, ndimage, optimize, spatial, stats
from skimage import data

from synjax.evaluation import realism


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _texture(seed, smooth_seed=0, noise=0.05, size=128):
    """A smooth grey landscape under fine noise of its own seed, [H, W, 3]."""
    smooth = ndimage.gaussian_filter(_normal(size, size, 3, seed=smooth_seed), (4, 4, 0))
    return 0.5 + 0.15 * smooth / smooth.std() + noise * _normal(size, size, 3, seed=seed)


def _excess(result):
    return {name: value - floor for name, (value, floor, *_) in result.items()}


# The estimators.


def test_sliced_wasserstein_of_a_moved_sample_is_the_projected_shift_squared():
    x, shift = _normal(50, 3), np.array([0.3, -1.0, 2.0])
    directions = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    found = realism.sliced_wasserstein(x, x + shift, directions)
    np.testing.assert_allclose(found, (directions @ shift) ** 2, rtol=1e-9)


def test_sliced_wasserstein_is_the_cheapest_matching():
    x, y = _normal(40, 2), 1.5 * _normal(40, 2, seed=1) ** 3
    directions = np.array([[0.6, -0.8]])
    costs = np.square(np.subtract.outer(x @ directions[0], y @ directions[0]))
    expected = costs[optimize.linear_sum_assignment(costs)].mean()
    np.testing.assert_allclose(realism.sliced_wasserstein(x, y, directions), [expected])


def test_energy_distance_agrees_with_all_pairs_one_by_one():
    x, y = _normal(300, 5), 0.5 + _normal(270, 5, seed=1)
    distance = spatial.distance
    expected = 2 * distance.cdist(x, y).mean() - distance.pdist(x).mean() - distance.pdist(y).mean()
    np.testing.assert_allclose(realism.energy_distance(x, y), expected / np.sqrt(5), rtol=1e-9)


def test_energy_distance_of_shifted_normals_is_the_closed_form():
    shift = 1.0
    x, y = _normal(4000, 1), shift + _normal(4000, 1, seed=1)
    # X - Y is normal with deviation √2, so |X - Y| is a folded normal.
    between = stats.foldnorm.mean(shift / np.sqrt(2), scale=np.sqrt(2))
    expected = 2 * between - 2 * 2 / np.sqrt(np.pi)
    np.testing.assert_allclose(realism.energy_distance(x, y), expected, rtol=0.08)


def test_energy_distance_of_equal_distributions_is_zero_on_average():
    found = [
        realism.energy_distance(_normal(100, 3, seed=i), _normal(100, 3, seed=1000 + i))
        for i in range(100)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 10
    assert min(found) < 0 < max(found)


def test_gaussian_kl_of_an_affine_copy_is_the_closed_form():
    x = _normal(500, 3) @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 0.3], [0.0, 0.0, 0.1]])
    y = x @ np.array([[0.9, 0.0, 0.1], [0.2, 1.1, 0.0], [0.0, 0.3, 1.3]]) + [0.1, -0.4, 0.2]
    p, q, gap = np.cov(x.T), np.cov(y.T), y.mean(0) - x.mean(0)
    inverse = np.linalg.inv(q)
    log_ratio = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
    nats = 0.5 * (np.trace(inverse @ p) + gap @ inverse @ gap - 3 + log_ratio)
    np.testing.assert_allclose(realism.gaussian_kl(x, y), nats / np.log(2) / 3, rtol=1e-8)


def test_gaussian_kl_runs_from_the_source_to_the_reconstruction():
    x = _normal(200, 1)
    x -= x.mean()
    widened, narrowed = realism.gaussian_kl(x, 2 * x), realism.gaussian_kl(2 * x, x)
    np.testing.assert_allclose(widened, (1 / 4 - 1 + np.log(4)) / 2 / np.log(2))
    np.testing.assert_allclose(narrowed, (4 - 1 - np.log(4)) / 2 / np.log(2))


def test_gaussian_kl_is_infinite_when_a_component_is_constant():
    x = _normal(200, 2)
    assert realism.gaussian_kl(x, x * [1.0, 0.0]) == np.inf
    assert realism.gaussian_kl(x * [1.0, 0.0], x) == np.inf


# Vectors.


def test_vector_values_of_a_shifted_normal_are_the_shift_squared():
    shift = 0.5
    x, members = _normal(16000, 4), shift + _normal(16000, 2, 4, seed=1)
    excess = _excess(realism.vector_divergences(x, members))
    # A mean of 16000 normals strays by 0.01 or so, hence its square by 2 · 0.5 · 0.01.
    np.testing.assert_allclose(excess["sliced_wasserstein"], shift**2, atol=0.03)
    np.testing.assert_allclose(excess["axis_wasserstein"], shift**2, atol=0.03)
    np.testing.assert_allclose(excess["gaussian_kl"], shift**2 / 2 / np.log(2), atol=0.03)


def test_vector_values_of_a_scaled_normal_are_the_gap_of_deviations_squared():
    x, members = _normal(16000, 4), 0.5 * _normal(16000, 1, 4, seed=1)
    excess = _excess(realism.vector_divergences(x, members))
    np.testing.assert_allclose(excess["sliced_wasserstein"], 0.25, atol=0.02)
    np.testing.assert_allclose(excess["axis_wasserstein"], 0.25, atol=0.02)


def test_a_perfect_reconstruction_scores_its_floor_and_not_zero():
    x = _normal(4000, 3)
    for name, (value, floor, _) in realism.vector_divergences(x, x[:, None]).items():
        assert value == floor != 0, name


def test_perfect_realism_scores_within_errors_of_the_floor():
    x, members = _normal(4000, 3), _normal(4000, 2, 3, seed=1)
    for name, (value, floor, error) in realism.vector_divergences(x, members).items():
        assert error > 0, name
        assert abs(value - floor) < 4 * error, name


def test_the_axes_see_a_quantisation_comb_that_random_directions_smear():
    x = _normal(32000, 8)
    comb = np.round(_normal(32000, 8, seed=1))
    excess = _excess(realism.vector_divergences(x, comb[:, None] / np.sqrt(1 + 1 / 12)))
    # Moment-matched rounding in unit steps: a cell's variance 1/12, nearly.
    np.testing.assert_allclose(excess["axis_wasserstein"], 1 / 12, rtol=0.15)
    assert excess["sliced_wasserstein"] < excess["axis_wasserstein"] / 5
    assert abs(excess["gaussian_kl"]) < 1e-3


def test_vector_standard_errors_are_those_of_repeated_experiments():
    runs = [
        realism.vector_divergences(
            _normal(640, 2, seed=i), 1 + 1.5 * _normal(640, 1, 2, seed=500 + i)
        )
        for i in range(40)
    ]
    for name in runs[0]:
        spread = np.std([run[name][0] for run in runs], ddof=1)
        claimed = np.mean([run[name][2] for run in runs])
        assert 0.65 < claimed / spread < 1.6, name


def test_vector_divergences_are_the_same_each_time_and_move_with_the_seed():
    x, members = _normal(300, 3), _normal(300, 2, 3, seed=1)
    first, again = (realism.vector_divergences(x, members) for _ in range(2))
    other = realism.vector_divergences(x, members, seed=1)
    assert first == again
    assert first["sliced_wasserstein"] != other["sliced_wasserstein"]
    assert first["axis_wasserstein"] == other["axis_wasserstein"]


@pytest.mark.parametrize("dims", [1, 3, 100])
def test_vector_directions_are_unit_and_orthogonal_in_groups(dims):
    directions = realism._directions(dims, seed=0, stream=0)
    assert directions.shape == (64, dims)
    group = directions[: min(dims, 64)]
    np.testing.assert_allclose(group @ group.T, np.eye(len(group)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), np.ones(64))


def test_a_constant_component_is_reported_and_not_an_error():
    x = _normal(400, 2)
    value, floor, error = realism.vector_divergences(x, x[:, None] * [1.0, 0.0])["gaussian_kl"]
    assert value == np.inf
    assert np.isfinite(floor)
    assert np.isnan(error)


def test_vectors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 80 vectors.*got 79"):
        realism.vector_divergences(np.zeros((79, 3)), np.zeros((79, 1, 3)))
    with pytest.raises(ValueError, match=r"\(80, 3\)"):
        realism.vector_divergences(np.zeros((80, 3)), np.zeros((80, 1, 2)))


# Photographs.


@pytest.fixture(scope="module")
def photograph():
    return data.chelsea().astype(np.float32) / 255


def test_a_perfect_photograph_scores_its_floor(photograph):
    result = realism.photograph_divergences(photograph, np.stack([photograph] * 2))
    for value, floor in result.values():
        assert value == pytest.approx(floor)
    assert 0 < result["sliced_wasserstein"][0] < 0.03


def test_blur_is_seen_and_grows(photograph):
    scores = []
    for deviation in (0.5, 1.0, 2.0):
        blurred = ndimage.gaussian_filter(photograph, (deviation, deviation, 0))
        scores.append(_excess(realism.photograph_divergences(photograph, blurred[None])))
    for name in scores[0]:
        found = [score[name] for score in scores]
        assert 0 < found[0] < found[1] < found[2], name
    assert scores[0]["sliced_wasserstein"] > 0.05


def test_noise_of_the_right_strength_is_more_realistic_than_none():
    x, smooth, matched = _texture(1), _texture(2, noise=0.0), _texture(2)
    blurred = _excess(realism.photograph_divergences(x, smooth[None]))
    noisy = _excess(realism.photograph_divergences(x, matched[None]))
    for name in blurred:
        assert blurred[name] > 10 * abs(noisy[name]), name


def test_sliced_wasserstein_of_white_noise_is_the_relative_gap_of_deviations_squared():
    x = 0.5 + 0.1 * _normal(160, 160, 3)
    louder = 0.5 + 0.15 * _normal(160, 160, 3, seed=1)
    flat = np.full_like(x, 0.5)
    excess = _excess(realism.photograph_divergences(x, louder[None]))
    np.testing.assert_allclose(excess["sliced_wasserstein"], 0.5**2, rtol=0.05)
    value, _ = realism.photograph_divergences(x, flat[None])["sliced_wasserstein"]
    np.testing.assert_allclose(value, 0.01 / (0.01 + 1e-5), rtol=0.01)


def test_each_third_of_the_directions_lies_in_one_band_of_frequencies():
    directions = realism._band_directions(1, seed=0)
    spectra = fft.dctn(directions.reshape(-1, 8, 8), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(np.sum(spectra**2, axis=(1, 2)), np.ones(192), rtol=1e-5)
    frequency = np.add.outer(np.arange(8), np.arange(8))
    for band, (lowest, highest) in enumerate([(1, 3), (4, 7), (8, 14)]):
        inside = (lowest <= frequency) & (frequency <= highest)
        assert np.max(np.abs(spectra[64 * band : 64 * (band + 1), ~inside])) < 1e-6


def test_members_are_averaged(photograph):
    blurred = ndimage.gaussian_filter(photograph, (1, 1, 0))
    both = realism.photograph_divergences(photograph, np.stack([photograph, blurred]))
    for name, (value, floor) in both.items():
        singles = [
            realism.photograph_divergences(photograph, one[None])[name]
            for one in (photograph, blurred)
        ]
        assert value == pytest.approx(np.mean([single[0] for single in singles]), rel=1e-6)
        assert floor == singles[0][1] == singles[1][1]


def test_a_change_of_brightness_is_not_a_change_of_patches(photograph):
    result = realism.photograph_divergences(photograph, photograph[None] + np.float32(0.125))
    for value, floor in result.values():
        assert value == pytest.approx(floor, abs=1e-5)


def test_a_flat_photograph_has_finite_divergences():
    x = np.full((40, 40, 3), 0.25, np.float32)
    result = realism.photograph_divergences(x, x[None])
    assert result == {"sliced_wasserstein": (0.0, 0.0), "energy_distance": (0.0, 0.0)}
    noisy = x + 0.01 * _normal(40, 40, 3)
    found = realism.photograph_divergences(x, noisy[None])
    # All of the noise's variance, 1e-4, over the floor of 1e-5.
    np.testing.assert_allclose(found["sliced_wasserstein"][0], 10.0, rtol=0.1)


def test_positions_are_disjoint_inside_and_repeatable():
    a, b = realism._disjoint_positions(200, 150, seed=0)
    corners = set(zip(*a, strict=True)) | set(zip(*b, strict=True))
    assert len(corners) == 2 * 4096
    rows, columns = np.array(sorted(corners)).T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 192, 0, 142)
    assert len(set(rows % 8)) == len(set(columns % 8)) == 8
    again, _ = realism._disjoint_positions(200, 150, seed=0)
    other, _ = realism._disjoint_positions(200, 150, seed=1)
    np.testing.assert_array_equal(a, again)
    assert np.any(np.array(a) != np.array(other))


def test_patches_are_cut_at_their_corners_and_lose_their_mean():
    image = _normal(20, 30, 2)
    (patch,) = realism._patches(image, (np.array([5]), np.array([17])))
    expected = np.moveaxis(image[5:13, 17:25], -1, 0)
    expected = expected - expected.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(patch.reshape(2, 8, 8), expected)


def test_a_reconstruction_that_is_not_finite_scores_nan():
    x = _texture(1, size=32)
    broken = x[None].copy()
    broken[0, :] = np.nan
    for value, floor in realism.photograph_divergences(x, broken).values():
        assert np.isnan(value)
        assert np.isfinite(floor)


def test_small_photographs_use_fewer_positions_and_tiny_ones_are_refused():
    a, b = realism._disjoint_positions(19, 19, seed=0)  # 144 positions
    assert len(a[0]) == len(b[0]) == 64
    with pytest.raises(ValueError, match="18 x 18 has 121"):
        realism.photograph_divergences(np.zeros((18, 18, 3)), np.zeros((1, 18, 18, 3)))
    with pytest.raises(ValueError, match=r"\(1, 18, 20, 3\)"):
        realism.photograph_divergences(np.zeros((20, 20, 3)), np.zeros((1, 18, 20, 3)))


def test_the_covariance_error_is_relative_and_sees_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 3)) * np.array([1.0, 0.5, 0.25])
    np.testing.assert_allclose(realism.covariance_error(x, 1.1 * x), 0.21, rtol=1e-6)
    assert realism.covariance_error(x, x) == 0
    mixed = x.copy()
    mixed[:, 1] = 0.5 * x[:, 0]  # the same variances, fully correlated
    covariances = [np.cov(sample.T) for sample in (x, mixed)]
    expected = np.linalg.norm(covariances[1] - covariances[0]) / np.linalg.norm(covariances[0])
    np.testing.assert_allclose(realism.covariance_error(x, mixed), expected)
    assert expected > 0.5
