"""Random features against SciPy's correlation and the properties their use relies on."""

import io
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
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


def _kernels():
    return {"level_0": _noise((3, 3, 2, 4)), "level_1": _noise((3, 3, 4, 5), seed=1)}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_users_kernels_are_what_the_file_holds(tmp_path, suffix, dtype):
    path = tmp_path / f"kernels{suffix}"
    arrays = {name: kernel.astype(dtype) for name, kernel in _kernels().items()}
    if suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        safetensors.numpy.save_file(arrays, path)
    found = features.load(path)
    for kernel, expected in zip(found, arrays.values(), strict=True):
        assert kernel.dtype == jnp.float32
        np.testing.assert_array_equal(kernel, expected.astype(np.float32))
    shapes = [level.shape for level in features.apply(found, _noise((1, 8, 8, 2)))]
    assert shapes == [(1, 8, 8, 4), (1, 4, 4, 5)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level_1": None}, None),
        ({"level_0": None}, "must hold level_0, level_1, …, got .'level_1'"),
        ({"mean": np.zeros(3)}, "must hold level_0, level_1, …, got"),
        ({"level_0": np.zeros((5, 5, 2, 4))}, "level_0 .* must be floats .3, 3, C_in, C_out"),
        ({"level_0": np.zeros((3, 3, 2, 4), np.int32)}, "level_0 .* must be floats"),
        ({"level_1": np.zeros((3, 3, 3, 5))}, "level_1 .* the level before has 4 filters"),
        ({"level_0": np.full((3, 3, 2, 4), np.nan)}, "level_0 .* is not finite"),
        ({"level_0": np.full((3, 3, 2, 4), 1e300)}, "level_0 .* is not finite"),
        ({"level_0": np.full((3, 3, 2, 4), None)}, "cannot be read: .* does not hold"),
    ],
)
def test_kernels_that_do_not_fit_one_another_are_refused(tmp_path, change, message):
    path = tmp_path / "kernels.npz"
    arrays = {n: kernel for n, kernel in (_kernels() | change).items() if kernel is not None}
    np.savez(path, **arrays)
    if message is None:
        assert len(features.load(path)) == 1
        return
    with pytest.raises(ValueError, match=message) as refusal:
        features.load(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damaged_files_of_kernels_are_refused(tmp_path, suffix):
    path = tmp_path / f"kernels{suffix}"
    if suffix == ".npz":
        np.savez(path, **_kernels())
    else:
        safetensors.numpy.save_file(_kernels(), path)
    whole = path.read_bytes()
    for kept in (0, 1, 9, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match="kernels.* (cannot be read|are damaged)"):
            features.load(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must be a .npz or .safetensors file"):
        features.load(tmp_path / "kernels.pkl")


def test_memory_is_not_taken_because_a_file_asks_for_it(tmp_path):
    """Neither for what unpacks to too much, nor for the shape that a header claims."""
    path = tmp_path / "kernels.npz"
    np.savez_compressed(path, level_0=np.zeros(2**24 + 1))  # 128 MiB in some 130 kB
    with pytest.raises(ValueError, match="unpacks to more than"):
        features.load(path)
    header = io.BytesIO()
    claimed = {"descr": "<f4", "fortran_order": False, "shape": (3, 3, 2**20, 2**20)}
    np.lib.format.write_array_header_1_0(header, claimed)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("level_0.npy", header.getvalue() + bytes(64))
    with pytest.raises(ValueError, match="level_0.npy does not hold the numbers that it names"):
        features.load(path)
    path.write_bytes(bytes(features.LARGEST + 1))
    with pytest.raises(ValueError, match=f"bytes, more than {features.LARGEST}"):
        features.load(path)
