"""LPIPS reproduces its authors' values, and behaves like a distance whatever its weights."""

import os
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from skimage import data

from synjax import lpips


def _random_weights(seed=0):
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in lpips.shapes().items():
        scale = np.sqrt(2 / max(np.prod(shape[1:]), 1))
        values = rng.standard_normal(shape) * scale if len(shape) > 1 else rng.uniform(size=shape)
        weights[name] = values.astype(np.float32)
    return weights


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("lpips") / "weights.npz"
    np.savez(path, **_random_weights())
    return path


@pytest.fixture(scope="module")
def weights(path):
    return lpips.load(path)


@pytest.fixture(scope="module")
def photograph():
    return data.chelsea()[None, 100:164, 100:180].astype(np.float32) / 255


def test_the_published_examples_have_their_published_values():
    folder = os.environ.get("SYNJAX_DATA")
    if not folder or not (pathlib.Path(folder) / "lpips").is_dir():
        pytest.skip("set SYNJAX_DATA to a folder that holds lpips/ with lpips_squeeze.npz")
    folder = pathlib.Path(folder) / "lpips"
    reference, p0, p1 = (
        np.asarray(Image.open(folder / f"ex_{name}.png").convert("RGB"), np.float32) / 255
        for name in ("ref", "p0", "p1")
    )
    found = lpips.lpips(
        lpips.load(folder / "lpips_squeeze.npz"),
        np.stack([reference, reference]),
        np.stack([p0, p1]),
    )
    np.testing.assert_allclose(found, [0.7110, 0.1479], atol=1e-4)


def test_equal_pictures_are_at_distance_zero_and_the_order_does_not_matter(weights, photograph):
    noisy = photograph + 0.1 * np.random.default_rng(0).standard_normal(photograph.shape)
    noisy = noisy.astype(np.float32)
    np.testing.assert_array_equal(lpips.lpips(weights, photograph, photograph), [0.0])
    np.testing.assert_allclose(
        lpips.lpips(weights, photograph, noisy),
        lpips.lpips(weights, noisy, photograph),
        rtol=1e-5,
    )


def test_it_grows_with_noise(weights, photograph):
    noise = np.random.default_rng(0).standard_normal(photograph.shape).astype(np.float32)
    noisy = np.concatenate([photograph + s * noise for s in (0.01, 0.03, 0.1, 0.3)])
    found = np.asarray(lpips.lpips(weights, np.repeat(photograph, 4, 0), noisy))
    assert found[0] > 0 and np.all(np.diff(found) > 0)


def test_another_sample_of_the_source_is_not_close(weights):
    # What sets a distortion apart from a divergence.
    first, second = np.random.default_rng(0).uniform(size=(2, 1, 64, 64, 3)).astype(np.float32)
    faint = first + np.float32(0.01)
    between = lpips.lpips(weights, first, second)[0]
    assert between > 10 * lpips.lpips(weights, first, faint)[0]


def test_grey_is_three_equal_channels(weights, photograph):
    grey, other = photograph[..., :1], photograph[..., 1:2]
    found = lpips.lpips(weights, grey, other)
    expected = lpips.lpips(weights, np.repeat(grey, 3, -1), np.repeat(other, 3, -1))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_last_windows_of_a_pooling_are_cut_short_at_the_edge():
    x = np.arange(8.0).reshape(1, 8, 1, 1) * np.ones((1, 1, 7, 1))
    assert lpips._pooled(jnp.asarray(x))[0, :, 0, 0].tolist() == [2, 4, 6, 7]
    assert lpips._pooled(jnp.asarray(x)).shape == (1, 4, 3, 1)


def test_the_smallest_picture_has_a_response_everywhere(weights):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, 1, lpips.SMALLEST, lpips.SMALLEST, 3)).astype(np.float32)
    assert np.isfinite(lpips.lpips(weights, x, y)).all()
    with pytest.raises(ValueError, match="at least 17 x 17 pixels, got 16 x 17"):
        lpips.lpips(weights, x[:, :-1], y[:, :-1])
    with pytest.raises(ValueError, match="3 or 1"):
        lpips.lpips(weights, x[..., :2], y[..., :2])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="no LPIPS weights at .*nowhere.npz"):
        lpips.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda w: w.pop("lin3"), "lacks 'lin3'"),
        (lambda w: w.update({"lin3": w["lin3"][1:]}), "'lin3' is float32 of shape"),
        (
            lambda w: w.update({"lin3": np.zeros(2**20, np.float32)}),
            "'lin3' is float32 of shape .1048576,",
        ),
        (lambda w: w.update({"lin3": w["lin3"].astype(np.float16)}), "'lin3' is float16"),
        (lambda w: w.update({"lin3": np.full_like(w["lin3"], np.nan)}), "'lin3' is not finite"),
        (lambda w: w.update({"lin3": np.array([None])}), "'lin3' is object"),
    ],
)
def test_other_weights_are_refused_by_name(tmp_path, change, named):
    weights = _random_weights()
    change(weights)
    np.savez(tmp_path / "w.npz", **weights)
    with pytest.raises(ValueError, match=named):
        lpips.load(tmp_path / "w.npz")


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b"", lambda b: b[:-3] + b"abc"])
def test_a_damaged_file_is_refused(tmp_path, path, damage):
    damaged = tmp_path / "w.npz"
    damaged.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is no LPIPS weights file"):
        lpips.load(damaged)
