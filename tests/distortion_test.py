"""Distortions against closed forms, and MS-SSIM against scikit-image and a NumPy version."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
from skimage import metrics

from synjax import distortion, lpips


def _images(shape, noise=0.05, seed=0):
    """Smooth images and noisy copies, float32."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), (0, 2, 2, 0))
    x = 0.5 + 0.15 * smooth / smooth.std()
    x_hat = x + noise * rng.standard_normal(shape)
    return np.clip(x, 0, 1).astype(np.float32), np.clip(x_hat, 0, 1).astype(np.float32)


def _plane_ms_ssim(x, y):
    """MS-SSIM of two float64 planes, from SciPy's filters and the definition of l, c and s."""
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
    terms = []
    while min(x.shape) >= 11 and len(terms) < 5:

        def blur(z):
            return ndimage.gaussian_filter(z, 1.5, truncate=3.5)[5:-5, 5:-5]

        mean_x, mean_y = blur(x), blur(y)
        var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
        covariance = blur(x * y) - mean_x * mean_y
        contrast = (2 * covariance + 0.03**2) / (var_x + var_y + 0.03**2)
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        terms.append((contrast.mean(), (luminance * contrast).mean()))

        def halve(z):
            z = np.pad(z, [(0, n % 2) for n in z.shape], mode="symmetric")
            return (z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4

        x, y = halve(x), halve(y)
    values = np.array([contrast for contrast, _ in terms[:-1]] + [terms[-1][1]])
    used = weights[: len(terms)] / weights[: len(terms)].sum()
    return np.prod(np.maximum(values, 0) ** used)


def _reference_ms_ssim(x, x_hat):
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    channels = range(x.shape[-1])
    return np.array(
        [
            np.mean([_plane_ms_ssim(a[..., c], b[..., c]) for c in channels])
            for a, b in zip(x, x_hat, strict=True)
        ]
    )


@pytest.mark.parametrize("shape", [(3, 5), (2, 7, 1), (2, 4, 6, 3)])
def test_mse_is_the_mean_square_of_each_example(shape):
    x = np.zeros(shape, np.float32)
    offsets = np.arange(1, shape[0] + 1, dtype=np.float32)
    x_hat = x + offsets.reshape(-1, *[1] * (len(shape) - 1))
    np.testing.assert_allclose(distortion.mse(x, x_hat), offsets**2, rtol=1e-6)


def test_psnr_is_twenty_decibels_at_an_error_of_a_tenth_of_the_peak():
    x = np.full((1, 4, 4, 3), 0.5, np.float32)
    np.testing.assert_allclose(distortion.psnr(x, x + 0.1), [20.0], rtol=1e-5)
    np.testing.assert_allclose(distortion.psnr(10 * x, 10 * x + 1, peak=10.0), [20.0], rtol=1e-5)
    assert np.isposinf(distortion.psnr(x, x))


def test_ms_ssim_of_equal_images_is_one():
    x, _ = _images((2, 64, 48, 3))
    np.testing.assert_allclose(distortion.ms_ssim(x, x), np.ones(2), atol=1e-6)
    np.testing.assert_allclose(distortion.ms_ssim_loss(x, x), np.zeros(2), atol=1e-6)


def test_ms_ssim_at_one_scale_is_scikit_images_ssim():
    x, x_hat = _images((2, 16, 20, 3))
    expected = [
        metrics.structural_similarity(
            a.astype(np.float64),
            b.astype(np.float64),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=-1,
        )
        for a, b in zip(x, x_hat, strict=True)
    ]
    assert distortion.ms_ssim_scales(16, 20) == 1
    np.testing.assert_allclose(distortion.ms_ssim(x, x_hat), expected, rtol=1e-4)


@pytest.mark.parametrize("size", [(176, 192), (181, 163), (64, 64), (45, 90)])
def test_ms_ssim_agrees_with_an_independent_implementation(size):
    x, x_hat = _images((2, *size, 3), noise=0.1)
    expected = _reference_ms_ssim(x, x_hat)
    assert np.all(expected < 0.98)
    np.testing.assert_allclose(distortion.ms_ssim(x, x_hat), expected, rtol=2e-5)
    np.testing.assert_allclose(distortion.ms_ssim_loss(x, x_hat), 1 - expected, atol=2e-5)


def test_ms_ssim_gradient_is_the_slope_of_the_independent_implementation():
    x, x_hat = _images((1, 48, 48, 1), noise=0.1)
    gradient = jax.jit(jax.grad(lambda y: jnp.sum(distortion.ms_ssim(x, y))))(x_hat)
    wide, direction = x_hat.astype(np.float64), x - x_hat.astype(np.float64)
    step = 1e-4
    slope = (
        _reference_ms_ssim(x, wide + step * direction)
        - _reference_ms_ssim(x, wide - step * direction)
    ) / (2 * step)
    assert slope[0] > 0.05
    np.testing.assert_allclose(np.sum(gradient * direction), slope[0], rtol=1e-3)


def test_ms_ssim_of_a_negative_is_zero_and_its_gradient_finite():
    x, _ = _images((1, 64, 64, 3))
    assert _reference_ms_ssim(x, 1 - x) == 0
    score = jax.value_and_grad(lambda y: jnp.sum(distortion.ms_ssim(x, y)))
    value, gradient = jax.jit(score)(1 - x)
    assert value == 0
    assert np.all(np.isfinite(gradient))


def test_ms_ssim_gradient_is_finite_on_flat_and_equal_images():
    slope = jax.jit(jax.grad(lambda y, x: jnp.sum(distortion.ms_ssim_loss(x, y))))
    for level in (0.0, 0.5, 1.0):
        x = np.full((1, 24, 24, 3), level, np.float32)
        assert np.all(np.isfinite(slope(x, x)))
        assert np.all(np.isfinite(slope(np.zeros_like(x), x)))


def test_ms_ssim_scales_are_as_many_as_the_window_fits_into():
    sides = {11: 1, 20: 1, 21: 2, 41: 3, 81: 4, 160: 4, 161: 5, 4000: 5}
    assert {side: distortion.ms_ssim_scales(side, 5000) for side in sides} == sides
    assert distortion.ms_ssim_scales(5000, 21) == 2


def test_images_smaller_than_one_window_are_refused_by_size():
    x = np.zeros((1, 10, 40, 3), np.float32)
    with pytest.raises(ValueError, match="10 x 40"):
        distortion.ms_ssim(x, x)
    with pytest.raises(ValueError, match="40 x 10"):
        distortion.ms_ssim_scales(40, 10)


def test_fewer_than_five_scales_are_announced_once(monkeypatch):
    messages = []
    monkeypatch.setattr(distortion.logging, "warning", lambda *message: messages.append(message))
    distortion._warn_of_fewer_scales.cache_clear()
    loss = distortion.build("ms_ssim")
    large, small = (np.zeros((1, side, side, 1), np.float32) for side in (161, 32))
    jax.eval_shape(loss, large, large)
    assert not messages
    jax.eval_shape(loss, small, small)
    jax.eval_shape(loss, small, small)
    assert len(messages) == 1
    assert messages[0][1] == 2


def test_shapes_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="equal shapes"):
        distortion.mse(np.zeros((2, 3)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"\(2, 30\)"):
        distortion.ms_ssim(np.zeros((2, 30)), np.zeros((2, 30)))


def test_build_finds_every_distortion_and_refuses_others_by_name():
    assert distortion.build("mse") is distortion.mse
    assert distortion.build("ms_ssim") is distortion.ms_ssim_loss
    with pytest.raises(ValueError, match="'lpips'; allowed: ms_ssim, mse"):
        distortion.build("lpips")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("lpips") / "weights.npz"
    arrays = {n: rng.uniform(-0.05, 0.1, s).astype(np.float32) for n, s in lpips.shapes().items()}
    np.savez(path, **arrays)
    return str(path)


def test_lpips_counts_by_its_share_and_has_a_slope_everywhere(weights):
    x, x_hat = _images((2, 24, 24, 3))
    asked = {"name": "mse_lpips", "weights": weights, "share": 0.25}
    found = distortion.build(asked)(x, x_hat)
    apart = distortion.mse(x, x_hat) + 0.25 * lpips.lpips(lpips.load(weights), x, x_hat)
    np.testing.assert_allclose(found, apart, rtol=1e-6)
    assert distortion.name_of(asked) == "mse_lpips" and distortion.name_of("mse") == "mse"
    for y in (x_hat, np.zeros_like(x)):  # where no response is, either
        slope = jax.grad(lambda y: distortion.build(asked)(jnp.zeros_like(x), y).sum())(y)
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "lpips"}, "distortion.name is 'lpips', must be one of mse_lpips"),
        ({"share": 0}, "distortion.share must be a positive number, got 0"),
        ({"share": "1"}, "distortion.share must be a positive number, got '1'"),
        ({"extra": 1}, "takes weights, share, got"),
        ({"weights": "nowhere.npz"}, "no LPIPS weights at nowhere.npz"),
    ],
)
def test_a_distortion_with_options_that_make_no_sense_is_refused(weights, change, named):
    with pytest.raises(ValueError, match=named):
        distortion.build({"name": "mse_lpips", "weights": weights, "share": 0.1} | change)
