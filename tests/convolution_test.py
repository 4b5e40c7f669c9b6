"""Convolutions by products: the values and gradients of XLA's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synjax.codec import convolution

NUMBERS = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NHWDC", "HWDIO", "NHWDC")}


def _arrays(*shapes, dtype="float32"):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def _both(rank, padding="SAME"):
    """Ours and XLA's own, functions of (x, kernel)."""
    options = {"window_strides": (1,) * rank, "padding": padding}
    options["dimension_numbers"] = NUMBERS[rank]
    own = functools.partial(convolution.same, **options)
    return own, functools.partial(jax.lax.conv_general_dilated, **options)


def _have_equal_gradients(own, theirs, x, kernel):
    def gradients(convolve):
        return jax.jit(jax.grad(lambda x, k: jnp.sin(convolve(x, k)).sum(), (0, 1)))(x, kernel)

    for ours, expected in zip(gradients(own), gradients(theirs), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sizes", "taps", "padding"),
    [
        ((7,), (3,), "SAME"),
        ((5, 8), (3, 3), "SAME"),
        ((5, 8), (3, 3), [(1, 1), (1, 1)]),
        ((1, 2), (3, 3), "SAME"),  # smaller than the window
        ((6, 4), (1, 5), "SAME"),
        ((3, 4, 5), (3, 3, 3), "SAME"),
    ],
)
def test_values_are_xlas_and_so_are_gradients_but_for_the_order_of_sums(sizes, taps, padding):
    x, kernel = _arrays((2, *sizes, 3), (*taps, 3, 4))
    own, theirs = _both(len(sizes), padding)
    np.testing.assert_array_equal(own(x, kernel), theirs(x, kernel))
    _have_equal_gradients(own, theirs, x, kernel)


def test_the_gradient_of_a_kernel_that_is_mapped_over_nothing_is_summed_over_what_is():
    x, kernel = _arrays((3, 2, 5, 4, 3), (3, 3, 3, 4))
    own, theirs = (jax.vmap(convolve, (0, None)) for convolve in _both(2))
    _have_equal_gradients(own, theirs, x, kernel)


def test_kernels_that_are_mapped_have_a_gradient_each():
    x, kernels = _arrays((3, 2, 5, 4, 3), (3, 3, 3, 3, 4))
    own, theirs = map(jax.vmap, _both(2))
    _have_equal_gradients(own, theirs, x, kernels)


def test_narrow_gradients_are_sums_in_float32():
    """The sum of 4,096 ones: in bfloat16, which has 8 bits, it would stay at 256."""
    x, kernel = jnp.ones((1, 64, 64, 1), "bfloat16"), jnp.ones((3, 3, 1, 1), "bfloat16")
    own, _ = _both(2)
    gradient = jax.grad(lambda k: own(x, k).astype("float32").sum())(kernel)
    assert gradient.dtype == jnp.bfloat16
    assert float(gradient[1, 1, 0, 0]) == 4096


def test_the_gradient_of_a_kernel_is_products_on_cpus_alone():
    x, kernel = _arrays((1, 4, 4, 2), (3, 3, 2, 2))
    own, _ = _both(2)
    gradient = jax.jit(jax.grad(lambda k: own(x, k).sum()))

    def convolutions(platform):
        lowered = gradient.trace(kernel).lower(lowering_platforms=(platform,))
        return lowered.as_text().count("stablehlo.convolution"), lowered.as_text().count(
            "dot_general"
        )

    assert convolutions("cpu") == (0, 9)
    assert convolutions("cuda") == (1, 0)


@pytest.mark.parametrize(
    ("taps", "options"),
    [
        ((3, 3), {"window_strides": (2, 2), "padding": "SAME"}),
        ((3, 3), {"window_strides": (1, 1), "padding": "VALID"}),
        ((2, 2), {"window_strides": (1, 1), "padding": "SAME"}),
    ],
)
def test_another_stride_padding_or_window_is_refused(taps, options):
    x, kernel = _arrays((1, 4, 4, 2), (*taps, 2, 2))
    with pytest.raises(ValueError, match="stride 1"):
        convolution.same(x, kernel, dimension_numbers=NUMBERS[2], **options)
