"""Distortion Δ(x, x̂): how far a reconstruction is from its source, one number per example."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from synjax import lpips

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
_WINDOW_SIGMA = 1.5
_LUMINANCE_CONSTANT = 0.01**2
_CONTRAST_CONSTANT = 0.03**2
# Below this a scale's mean similarity counts as zero: the slope of s^0.0448 is unbounded at 0.
_SMALLEST_SIMILARITY = 1e-6


def mse(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Mean squared error per element, [B], of two arrays [B, *S, C].

    Raises:
      ValueError: if the shapes differ.
    """
    _check_shapes(x, x_hat)
    return jnp.mean(jnp.square(x - x_hat), axis=tuple(range(1, x.ndim)))


def psnr(x: jax.Array, x_hat: jax.Array, peak: float = 1.0) -> jax.Array:
    """Peak signal-to-noise ratio in dB, [B], of two arrays [B, *S, C]; inf where they are equal.

    Raises:
      ValueError: if the shapes differ.
    """
    return 10.0 * jnp.log10(peak**2 / mse(x, x_hat))


def ms_ssim_scales(height: int, width: int) -> int:
    """How many of MS-SSIM's five scales an image of this size has; halves are rounded up.

    Five need a shorter side of at least 161 pixels.

    Raises:
      ValueError: if not even one window fits.
    """
    side = min(height, width)
    if side < WINDOW:
        raise ValueError(
            f"ms_ssim needs images of at least {WINDOW} x {WINDOW} pixels, got {height} x {width}"
        )
    scales = 0
    while scales < len(SCALE_WEIGHTS) and side >= WINDOW:
        scales += 1
        side = -(-side // 2)
    return scales


def ms_ssim(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """Multi-scale structural similarity in [0, 1], [B], of two batches of images [B, H, W, C].

    Window and weights are the paper's: 11 Gaussian taps of standard deviation 1.5 in each
    direction, constants 0.01 and 0.03 for a peak of 1, statistics only where the whole window fits,
    2 x 2 means between scales (an odd edge is repeated). Channels are compared one by one and then
    averaged. A scale whose mean similarity is not positive makes its channel 0. On images too small
    for five scales the first `ms_ssim_scales` weights are used, rescaled to sum to one, and a
    warning says so.

    Raises:
      ValueError: if the shapes differ, are not those of images, or hold less than one window.

    Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment",
    Asilomar 2003, Eq. 7.
    """
    _check_shapes(x, x_hat)
    if x.ndim != 4:
        raise ValueError(f"ms_ssim compares images [B, H, W, C], got an array of shape {x.shape}")
    scales = ms_ssim_scales(*x.shape[1:3])
    if scales < len(SCALE_WEIGHTS):
        _warn_of_fewer_scales(scales)
    return _similarity(x, x_hat, scales)


def ms_ssim_loss(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """1 - MS-SSIM, [B], of two batches of images [B, H, W, C]; raises as `ms_ssim` does."""
    return 1.0 - ms_ssim(x, x_hat)


def mse_lpips(weights: str, share: float) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """MSE + share · LPIPS of pictures: the distortion of Mentzer et al. 2020 (arXiv:2006.09965).

    What is trained on it cannot be judged by LPIPS any more.

    Args:
      weights: path of an .npz file, as `lpips.load` takes it.
      share: what one unit of LPIPS costs, in units of squared error per element.

    Raises:
      ValueError: weights that cannot be read, or a share that is not a positive number.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < np.inf:
        raise ValueError(f"distortion.share must be a positive number, got {share!r}")
    loaded = lpips.load(weights)

    def both(x, x_hat):
        return mse(x, x_hat) + share * lpips.lpips(loaded, x, x_hat)

    return both


DISTORTIONS = {"mse": mse, "ms_ssim": ms_ssim_loss}
# Those that are named by a dict, with what it holds beside the name.
WITH_OPTIONS = {"mse_lpips": (mse_lpips, ("weights", "share"))}


def name_of(asked) -> str:
    """What a table calls a distortion that a configuration asks for."""
    return asked["name"] if isinstance(asked, Mapping) else asked


def build(asked) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The distortion that is asked for: a function (x, x_hat) -> [B], differentiable in both.

    Args:
      asked: a key of `DISTORTIONS`, or a dict with "name", a key of `WITH_OPTIONS`, and its
        options.

    Raises:
      ValueError: if there is no distortion of that name, or it has other options.
    """
    if not isinstance(asked, Mapping):
        if asked not in DISTORTIONS:
            allowed = [*sorted(DISTORTIONS), *(f"{{name: {n}, …}}" for n in WITH_OPTIONS)]
            raise ValueError(f"unknown distortion {asked!r}; allowed: {', '.join(allowed)}")
        return DISTORTIONS[asked]
    options = dict(asked)
    name = options.pop("name", None)
    if name not in WITH_OPTIONS:
        allowed = ", ".join(WITH_OPTIONS)
        raise ValueError(f"distortion.name is {name!r}, must be one of {allowed}")
    make, wanted = WITH_OPTIONS[name]
    if set(options) != set(wanted):
        raise ValueError(f"distortion {name} takes {', '.join(wanted)}, got {sorted(options)}")
    return make(**options)


def _check_shapes(x, x_hat):
    if x.shape != x_hat.shape:
        raise ValueError(f"distortion compares equal shapes, got {x.shape} and {x_hat.shape}")


@functools.cache
def _warn_of_fewer_scales(scales: int):
    """Cached, so that each number of scales is reported once per process."""
    logging.warning("ms_ssim: images too small for five scales, using %d", scales)


@functools.partial(jax.jit, static_argnames="scales")
def _similarity(x, x_hat, scales):
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    batch, channels = x.shape[0], x.shape[-1]
    x, x_hat = _planes(x), _planes(x_hat)  # [B C, H, W]
    product = jnp.ones_like(x, shape=(batch * channels,))
    for scale, weight in enumerate(weights):
        if scale:
            x, x_hat = _halve(x), _halve(x_hat)
        luminance, contrast = _luminance_and_contrast(x, x_hat)
        if scale == scales - 1:
            contrast = luminance * contrast
        product = product * _safe_power(jnp.mean(contrast, axis=(1, 2)), float(weight))
    return jnp.mean(product.reshape(batch, channels), axis=1)


def _planes(x):
    return jnp.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:3])


def _gaussian_band(size: int) -> np.ndarray:
    """The valid Gaussian filter as a matrix [size - 10, size]."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-(offsets**2) / (2 * _WINDOW_SIGMA**2))
    band = np.zeros((size - WINDOW + 1, size), np.float32)
    for row in range(band.shape[0]):
        band[row, row : row + WINDOW] = taps / taps.sum()
    return band


def _blur(planes):
    # Matrix products, though most of each matrix is zero: XLA:CPU's gradients of depthwise
    # convolutions, and of sums of shifted slices, are several times slower.
    _, height, width = planes.shape
    highest = jax.lax.Precision.HIGHEST  # variances are differences of these, so no bfloat16
    rows = jnp.einsum("ph,nhw->npw", _gaussian_band(height), planes, precision=highest)
    return jnp.einsum("npw,qw->npq", rows, _gaussian_band(width), precision=highest)


def _luminance_and_contrast(x, x_hat):
    """SSIM's l and c·s at each position, [N, H - 10, W - 10]."""
    moments = jnp.stack([x, x_hat, jnp.square(x) + jnp.square(x_hat), x * x_hat])
    blurred = _blur(moments.reshape(-1, *x.shape[1:]))
    mean, mean_hat, power, product = blurred.reshape(4, x.shape[0], *blurred.shape[1:])
    means_squared = jnp.square(mean) + jnp.square(mean_hat)
    means_product = mean * mean_hat
    luminance = (2 * means_product + _LUMINANCE_CONSTANT) / (means_squared + _LUMINANCE_CONSTANT)
    contrast = (2 * (product - means_product) + _CONTRAST_CONSTANT) / (
        power - means_squared + _CONTRAST_CONSTANT
    )
    return luminance, contrast


def _halve(planes):
    count, height, width = planes.shape
    planes = jnp.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    return planes.reshape(count, -(-height // 2), 2, -(-width // 2), 2).mean(axis=(2, 4))


def _safe_power(base, exponent):
    # The inner `where` keeps the untaken branch finite, or its gradient would be NaN.
    positive = base > _SMALLEST_SIMILARITY
    return jnp.where(positive, jnp.where(positive, base, 1.0) ** exponent, 0.0)
