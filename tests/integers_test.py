"""Layers on integers: exact in any order of summation, and close to the reals they stand for."""

import jax
import numpy as np
import pytest

from synjax.codec import integers

RNG = np.random.default_rng(0)


def _convolution(channels=5, width=7):
    kernel = RNG.normal(size=(3, 3, channels, width)) * np.exp(RNG.normal(size=width))
    return kernel, RNG.normal(size=width)


def _activations(*shape):
    return RNG.integers(-integers.LIMIT, integers.LIMIT + 1, shape)


def _by_hand(layer, x):
    """The layer in Python's integers, tap by tap in a shuffled order."""
    height, width, channels = x.shape
    taps = [(i, j, c) for i in range(3) for j in range(3) for c in range(channels)]
    out = np.empty((height, width, layer.weights.shape[-1]), object)
    padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
    for r, q, o in np.ndindex(out.shape):
        shift, total = int(layer.shift[o]), int(layer.bias[o])
        for t in RNG.permutation(len(taps)):
            i, j, c = taps[t]
            total += int(padded[r + i, q + j, c]) * int(layer.weights[i, j, c, o])
        out[r, q, o] = (total + ((1 << shift) >> 1)) >> shift
    return out.astype(np.int64)


def test_sums_are_exact_in_any_order():
    layer = integers.layer(*_convolution())
    for x in (_activations(4, 5, 5), np.full((3, 3, 5), integers.LIMIT)):
        np.testing.assert_array_equal(layer(x), _by_hand(layer, x))


def test_the_largest_sum_that_can_occur_is_below_the_bound_of_float64():
    for kernel, bias in (_convolution(), (np.full((800, 3), 1e4), np.full(3, -1e6))):
        layer = integers.layer(kernel, bias)
        inputs = tuple(range(layer.weights.ndim - 1))
        reach = np.abs(layer.weights).sum(inputs) * integers.LIMIT + np.abs(layer.bias)
        assert np.all(reach + 2.0**layer.shift < 2**53)
        assert np.all(layer.weights == np.rint(layer.weights))


def test_a_compiler_for_devices_finds_the_same_integers():
    layer = integers.layer(*_convolution())
    x = _activations(6, 9, 5)
    with jax.enable_x64(True):
        dimensions = ("NHWC", "HWIO", "NHWC")
        total = jax.jit(
            lambda a, w: jax.lax.conv_general_dilated(
                a, w, (1, 1), "SAME", dimension_numbers=dimensions
            )
        )(x[None].astype(np.float64), layer.weights)[0]
        total = np.asarray(total).astype(np.int64) + layer.bias.astype(np.int64)
    np.testing.assert_array_equal((total + (1 << layer.shift >> 1)) >> layer.shift, layer(x))


def test_a_permuted_layer_gives_the_permuted_result():
    kernel, bias = _convolution()
    order = RNG.permutation(5)
    x = _activations(4, 4, 5)
    again = integers.layer(kernel[:, :, order], bias)(x[..., order])
    np.testing.assert_array_equal(again, integers.layer(kernel, bias)(x))


@pytest.mark.parametrize("fractions", [(12, 12), (8, 12), (12, 8)])
def test_results_are_those_of_the_real_layer_to_half_a_unit_and_the_weights_rounding(fractions):
    kernel, bias = RNG.normal(size=(40, 6)), RNG.normal(size=6)
    layer = integers.layer(kernel, bias, *fractions)
    x = RNG.integers(-(2**12), 2**12, (50, 40))
    real = (x / 2.0 ** fractions[0]) @ kernel + bias
    largest = np.abs(layer.weights).max(0)
    assert np.all(largest <= integers.SHORT) and np.all(largest >= integers.SHORT // 2)
    of_weights = 0.5 * np.abs(x).sum(1)[:, None] / 2.0**layer.shift
    assert np.all(np.abs(layer(x) - real * 2.0 ** fractions[1]) <= 0.51 + of_weights)


@pytest.mark.parametrize("positions", [1, 3, 9, 44])
def test_a_latent_in_parts_is_the_latent(monkeypatch, positions):
    picture = integers.layer(*_convolution()), _activations(11, 4, 5)
    vectors = integers.layer(RNG.normal(size=(5, 3)), RNG.normal(size=3)), _activations(11, 5)
    whole = [layer(x) for layer, x in (picture, vectors)]
    monkeypatch.setattr(integers, "POSITIONS", positions)
    for (layer, x), expected in zip((picture, vectors), whole, strict=True):
        np.testing.assert_array_equal(layer(x), expected)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 2.0**40])
def test_weights_beyond_exact_sums_are_refused(wrong):
    with pytest.raises(ValueError, match="too large for exact integer sums"):
        integers.layer(np.full((3, 2), wrong), np.zeros(2))


def test_a_layer_of_zeros_gives_its_bias():
    layer = integers.layer(np.zeros((3, 2)), np.array([1.5, 0.0]))
    np.testing.assert_array_equal(layer(_activations(4, 3)), np.tile([6144, 0], (4, 1)))
