"""Features of windows are means of the network's responses, at disjoint places."""

import numpy as np

from synjax.evaluation import frozen_features
from synjax.perception import features


def _picture(height, width):
    return np.random.default_rng(0).uniform(size=(height, width, 3)).astype(np.float32)


def test_a_feature_is_the_mean_response_over_its_window():
    x, kernels = _picture(45, 38), frozen_features.default_kernels(3)
    found = frozen_features.of_windows(x, kernels).reshape(8, 6, -1)
    row, column = 5, 2  # the window at pixel (20, 8)
    expected = np.concatenate(
        [
            np.asarray(level)[0, 20 >> i : 36 >> i, 8 >> i : 24 >> i].mean((0, 1))
            for i, level in enumerate(features.apply(kernels, x[None]))
        ]
    )
    np.testing.assert_allclose(found[row, column], expected, rtol=1e-3, atol=1e-5)


def test_windows_are_disjoint_sets_and_a_large_picture_has_4096_of_each():
    kernels = frozen_features.default_kernels(3)
    a, b = frozen_features.disjoint_windows(512, 512, kernels, seed=0)
    assert len(a) == len(b) == 4096 and not set(a) & set(b)
    assert max(a.max(), b.max()) < 125**2
    a, b = frozen_features.disjoint_windows(128, 130, kernels, seed=0)
    assert len(a) == len(b) == 29 * 29 // 2 and not set(a) & set(b)


def test_a_picture_too_small_for_its_features_has_no_windows():
    kernels = frozen_features.default_kernels(3)
    assert frozen_features.disjoint_windows(115, 115, kernels, seed=0) is None
    assert frozen_features.disjoint_windows(116, 116, kernels, seed=0) is not None
    assert frozen_features.disjoint_windows(8, 500, kernels, seed=0) is None


def test_the_features_of_reports_are_not_those_of_training():
    ours, training = frozen_features.default_kernels(3), features.random_features(0)
    assert len(ours) != len(training)
    assert all(a.shape != b.shape for a, b in zip(ours, training, strict=False))
