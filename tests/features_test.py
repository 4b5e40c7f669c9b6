"""Random features against SciPy's correlation and the properties their use relies on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from synjax.perception import features


def _noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_seed_names_its_features():
    first, again, other = (features.random_features(seed) for seed in (3, 3, 4))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.max(np.abs(a - c)) > 0.1


def test_levels_do_not_share_their_random_numbers():
    kernels = features.random_features(0, widths=(9, 9), channels=9)
    first, second = (np.asarray(kernel, np.float64) for kernel in kernels)
    second = second - second.mean(axis=(0, 1))  # as the first level's are
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.2


def test_filters_are_orthogonal_with_hes_gain():
    for kernel in features.random_features(0, widths=(16, 32), channels=3):
        filters = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
        expected = 2 / (1 + 0.2**2) * np.eye(kernel.shape[-1])
        np.testing.assert_allclose(filters.T @ filters, expected, atol=1e-6)


def test_more_filters_than_dimensions_are_still_unit_and_distinct():
    (kernel,) = features.random_features(0, widths=(20,), channels=1)
    filters = np.asarray(kernel, np.float64).reshape(9, 20)
    gram = filters.T @ filters * (1 + 0.2**2) / 2
    np.testing.assert_allclose(np.diag(gram), np.ones(20), atol=1e-6)
    assert np.max(np.abs(gram - np.diag(np.diag(gram)))) < 0.999


def test_an_image_of_one_colour_gives_zero_at_every_level():
    x = np.broadcast_to(np.array([0.9, 0.2, 0.6], np.float32), (1, 16, 16, 3))
    for level in features.apply(features.random_features(0), x):
        np.testing.assert_allclose(level, np.zeros_like(level), atol=1e-6)


def test_levels_halve_the_image_and_drop_odd_edges():
    kernels = features.random_features(0, widths=(4, 5, 6), channels=2)
    shapes = [level.shape for level in features.apply(kernels, _noise((2, 13, 22, 2)))]
    assert shapes == [(2, 13, 22, 4), (2, 6, 11, 5), (2, 3, 5, 6)]


def test_features_are_rectified_correlations_of_halved_images():
    kernels = features.random_features(1, widths=(4, 5), channels=3)
    x = _noise((1, 9, 12, 3))

    def level(image, kernel):
        kernel = np.asarray(kernel, np.float64)
        response = np.stack(
            [
                sum(
                    ndimage.correlate(image[..., i], kernel[:, :, i, o], mode="nearest")
                    for i in range(kernel.shape[2])
                )
                for o in range(kernel.shape[3])
            ],
            axis=-1,
        )
        return np.maximum(response, 0.2 * response)

    fine = level(x[0].astype(np.float64), kernels[0])
    even = fine[:8, :12]
    halved = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    found = features.apply(kernels, x)
    np.testing.assert_allclose(found[0][0], fine, atol=1e-5)
    np.testing.assert_allclose(found[1][0], level(halved, kernels[1]), atol=1e-5)


def test_the_gain_keeps_the_power_of_white_noise():
    first = features.apply(features.random_features(0), _noise((1, 128, 128, 3)))[0]
    np.testing.assert_allclose(np.mean(np.square(first)), 1.0, rtol=0.05)


def test_features_have_a_finite_gradient_everywhere():
    kernels = features.random_features(0)

    def power(x):
        return sum(jnp.mean(jnp.square(level)) for level in features.apply(kernels, x))

    gradient = jax.jit(jax.grad(power))(_noise((1, 16, 16, 3)))
    assert np.all(np.isfinite(gradient))
    assert np.all(np.any(np.abs(gradient) > 0, axis=-1))


@pytest.mark.parametrize(
    "arguments", [{"widths": ()}, {"widths": (4, 0)}, {"channels": 0}, {"seed": -1}]
)
def test_unusable_shapes_and_seeds_are_refused(arguments):
    with pytest.raises(ValueError, match="widths"):
        features.random_features(**{"seed": 0, **arguments})


def test_images_that_do_not_fit_the_kernels_are_refused():
    kernels = features.random_features(0, widths=(2, 2, 2))
    with pytest.raises(ValueError, match="4 x 4"):
        features.apply(kernels, np.zeros((1, 3, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"\[B, H, W, 3\]"):
        features.apply(kernels, np.zeros((1, 8, 8, 1), np.float32))
