"""Reported divergences against closed forms, brute force and what an eye would say."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from synjax.evaluation import patches, realism
from synjax.perception import features


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _texture(seed, smooth_seed=0, noise=0.05, size=128):
    """A smooth grey landscape under fine noise of its own seed, [H, W, 3]."""
    smooth = ndimage.gaussian_filter(_normal(size, size, 3, seed=smooth_seed), (4, 4, 0))
    return 0.5 + 0.15 * smooth / smooth.std() + noise * _normal(size, size, 3, seed=seed)


def _excess(result):
    return {name: value - floor for name, (value, floor, *_) in result.items()}


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


def test_a_constant_component_is_reported_and_not_an_error():
    x = _normal(400, 2)
    value, floor, error = realism.vector_divergences(x, x[:, None] * [1.0, 0.0])["gaussian_kl"]
    assert value == np.inf
    assert np.isfinite(floor)
    assert np.isnan(error)


def test_vectors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 32 vectors.*got 31"):
        realism.vector_divergences(np.zeros((31, 3)), np.zeros((31, 1, 3)))
    with pytest.raises(ValueError, match=r"\(80, 3\)"):
        realism.vector_divergences(np.zeros((80, 3)), np.zeros((80, 1, 2)))


def test_few_vectors_have_no_fitted_moments_and_many_dimensions_no_neighbours():
    fits = {"covariance_error", "bures_w2", "gaussian_kl", "gaussian_kl_reverse"}
    always = {"sliced_wasserstein", "axis_wasserstein", "energy_distance", "mmd2"}

    def names(rows, dims):
        x = _normal(rows, dims)
        return set(realism.vector_divergences(x, _normal(rows, 1, dims, seed=1)))

    assert names(16 * 12, 10) == always | fits | {"knn_kl"}
    assert names(16 * 12 - 1, 10) == always | {"knn_kl"}
    assert names(16 * 19, 17) == always | fits
    assert names(111, 2) == always | fits
    assert names(32, 200) == always


def test_a_source_with_a_constant_component_has_no_densities_to_compare():
    x, members = _normal(400, 3) * [1.0, 0.0, 1.0], _normal(400, 1, 3, seed=1)
    report = realism.vector_divergences(x, members)
    assert "bures_w2" in report and not {"gaussian_kl", "gaussian_kl_reverse"} & set(report)


def test_the_two_directions_of_the_kl_are_not_the_same_number():
    x, members = _normal(16000, 2), 2 * _normal(16000, 1, 2, seed=1)
    excess = _excess(realism.vector_divergences(x, members))
    forward, backward = (1 / 4 - 1 + np.log(4)) / 2, (4 - 1 - np.log(4)) / 2
    np.testing.assert_allclose(excess["gaussian_kl"], forward / np.log(2), rtol=0.05)
    np.testing.assert_allclose(excess["knn_kl"], forward / np.log(2), rtol=0.1)
    np.testing.assert_allclose(excess["gaussian_kl_reverse"], backward / np.log(2), rtol=0.05)
    np.testing.assert_allclose(excess["bures_w2"], 1.0, rtol=0.05)


# Photographs.


@pytest.fixture(scope="module")
def photograph():
    return data.chelsea().astype(np.float32) / 255


def test_a_perfect_photograph_scores_its_floor(photograph):
    result = realism.photograph_divergences(photograph, np.stack([photograph] * 2))
    for value, floor in result.values():
        assert value == pytest.approx(floor)
    assert 0 < result["sliced_wasserstein"][0] < 0.03
    assert 0 < result["frechet_distance"][0] < 0.01


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


def test_a_change_of_brightness_is_not_a_change_of_patches_or_features(photograph):
    result = realism.photograph_divergences(photograph, photograph[None] + np.float32(0.125))
    for value, floor in result.values():
        assert value == pytest.approx(floor, abs=1e-5)


def test_features_see_the_right_noise_in_the_wrong_place():
    x = 0.5 + 0.1 * _normal(256, 256, 3) * (np.arange(256) % 64 < 32)[:, None]
    even = 0.5 + 0.1 / np.sqrt(2) * _normal(256, 256, 3, seed=1)
    excess = _excess(realism.photograph_divergences(x, even[None]))
    assert excess["frechet_distance"] > 0.2 and excess["mmd2"] > 0.1


def test_kernels_of_ones_own_are_used(photograph):
    kernels = features.random_features(seed=1, widths=(4,))
    own = realism.photograph_divergences(photograph, photograph[None], kernels=kernels)
    default = realism.photograph_divergences(photograph, photograph[None])
    assert own["frechet_distance"] != default["frechet_distance"]
    assert own["energy_distance"] == default["energy_distance"]


def test_a_flat_photograph_has_no_divergence():
    x = np.full((40, 40, 3), 0.25, np.float32)
    result = realism.photograph_divergences(x, x[None])
    assert result == {"sliced_wasserstein": (0.0, 0.0), "energy_distance": (0.0, 0.0)}
    large = np.full((128, 128, 3), 0.25, np.float32)
    result = realism.photograph_divergences(large, large[None])
    assert result["frechet_distance"] == (0.0, 0.0) and np.isnan(result["mmd2"]).all()
    noisy = x + 0.01 * _normal(40, 40, 3)
    found = realism.photograph_divergences(x, noisy[None])
    # All of the noise's variance, 1e-4, over the floor of 1e-5.
    np.testing.assert_allclose(found["sliced_wasserstein"][0], 10.0, rtol=0.1)


def test_a_reconstruction_that_is_not_finite_scores_nan():
    x = _texture(1, size=128)
    broken = x[None].copy()
    broken[0, :] = np.nan
    for value, floor in realism.photograph_divergences(x, broken).values():
        assert np.isnan(value)
        assert np.isfinite(floor)


def test_small_photographs_use_fewer_positions_and_tiny_ones_are_refused():
    a, b = patches.disjoint_positions(19, 19, seed=0)  # 144 positions
    assert len(a[0]) == len(b[0]) == 64
    with pytest.raises(ValueError, match="18 x 18 has 121"):
        realism.photograph_divergences(np.zeros((18, 18, 3)), np.zeros((1, 18, 18, 3)))
    with pytest.raises(ValueError, match=r"\(1, 18, 20, 3\)"):
        realism.photograph_divergences(np.zeros((20, 20, 3)), np.zeros((1, 18, 20, 3)))
