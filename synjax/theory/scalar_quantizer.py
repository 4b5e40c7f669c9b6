"""Uniform scalar quantisation of Gaussian components with ideal entropy coding (ECSQ).

A cell is centred on 0, a symbol costs −log₂ of its probability, and the reconstruction is the
cell's centroid. This is what a scalar-quantised codec can be compared with: it has the same kind of
quantiser, but a perfect model of the symbols and an optimal decoder.
"""

import functools

import numpy as np
from scipy import interpolate, special

from synjax.theory import arguments, roots

_TAIL = 12.0  # deviations covered by cells; beyond lies less than 1e-32
_FINE = 0.01  # step per deviation below which the high-resolution series is exact to 1e-9
_COARSE = 14.0  # step per deviation above which a symbol costs less than 1e-10 bits


def at_step(variances, step):
    """Rate and distortion of quantisation with given steps.

    Args:
      variances: [n].
      step: of every component, or [n]; inf sends nothing.

    Returns:
      Rate in bits/dim, and mean squared error per dimension.

    Raises:
      ValueError: a variance or step is not positive, or the shapes differ.

    Gersho and Gray, Vector Quantization and Signal Compression, 1992, chapters 5 and 9.
    """
    variances = arguments.variances(variances)
    step = np.asarray(step, np.float64)
    if step.shape not in ((), variances.shape) or not np.all(step > 0):
        raise ValueError(f"step must be positive, and a scalar or one per variance, got {step}")
    curve = np.array([_unit(ratio)[:2] for ratio in step / np.sqrt(variances)])  # [n, 2]
    return float(curve[:, 0].mean()), float((variances * curve[:, 1]).mean())


def steps_at(variances, lambda_d):
    """Each component's step that minimises rate + λ_d · MSE, [n]; inf where nothing is worth it.

    At high rate all are √(6 / (λ_d ln 2)); components of small variance get larger ones.

    Args:
      variances: [n].
      lambda_d: −dR/dD, bits per unit of squared error.

    Raises:
      ValueError: a variance or lambda_d is not positive and finite.
    """
    variances = arguments.variances(variances)
    lambda_d = arguments.positive("lambda_d", lambda_d)
    slope = variances * lambda_d * np.log(2)  # of a unit deviation, in nats
    lowest, highest, log_step = _step_of_slope()
    ratio = np.sqrt(6 / slope * (1 + 1 / (2 * slope)))  # from the high-resolution series
    ratio = np.where(slope > highest, ratio, np.exp(log_step(np.log(np.maximum(slope, lowest)))))
    return np.where(slope > lowest, ratio * np.sqrt(variances), np.inf)


def at_slope(variances, lambda_d):
    """Rate (bits/dim) and MSE per dimension that minimise rate + λ_d · MSE; see `steps_at`."""
    return at_step(variances, steps_at(variances, lambda_d))


def rate_distortion(variances, distortion):
    """The least rate of ECSQ with this distortion, one λ_d for all components.

    Args:
      variances: [n].
      distortion: mean squared error per dimension.

    Returns:
      Rate, bits/dim.

    Raises:
      ValueError: a variance or the distortion is not positive and finite.
    """
    variances = arguments.variances(variances)
    distortion = arguments.positive("distortion", distortion)
    lowest, *_ = _step_of_slope()
    # Where the first component gets a finite step; its symbols cost next to nothing.
    log_lambda = np.log(lowest / variances.max() / np.log(2)) + 1e-9
    if distortion >= at_slope(variances, np.exp(log_lambda))[1]:
        return 0.0
    log_lambda = roots.of_increasing(
        lambda log_lambda: np.log(distortion / at_slope(variances, np.exp(log_lambda))[1]),
        max(log_lambda, -np.log(2 * np.log(2) * distortion)),
    )
    return at_slope(variances, np.exp(log_lambda))[0]


def posterior_sampling_rate_distortion(variances, distortion):
    """The rate of perfect realism by ECSQ: the decoder samples x̂ from p(x | symbols).

    x̂ and x are then independent and alike given the symbols, so x̂ has the source's distribution
    (P = 0, without common randomness) and the distortion is exactly twice that of the centroids.

    Args, returns and raises as `rate_distortion`.

    Yan et al., "On perceptual lossy compression: the cost of perceptual reconstruction and an
    optimal training framework", ICML 2021.
    """
    return rate_distortion(variances, arguments.positive("distortion", distortion) / 2)


def _unit(step):
    """Rate (bits), MSE and slope −dR/dD (nats) of a unit Gaussian at one step."""
    if step == np.inf:
        return 0.0, 1.0, 0.5
    if step < _FINE:
        nats = np.log(2 * np.pi * np.e) / 2 - np.log(step) + step**2 / 24
        slope = 6 / step**2 * (1 - step**2 / 12) / (1 - step**2 / 6)
        return nats / np.log(2), step**2 / 12 * (1 - step**2 / 12), slope
    cells = np.arange(np.ceil(_TAIL / step) + 1)  # by symmetry only those from 0 upwards
    weight = np.where(cells == 0, 1.0, 2.0)
    low, high = (cells - 0.5) * step, (cells + 0.5) * step
    density_low, density_high = _density(low), _density(high)
    probability = special.ndtr(-low) - special.ndtr(-high)
    moment = density_low - density_high  # probability · centroid
    kept = probability > 0
    weight, probability, moment = weight[kept], probability[kept], moment[kept]
    rate = weight @ special.entr(probability)
    mse = 1 - weight @ (moment**2 / probability)
    # Derivatives by log step.
    d_probability = (high * density_high - low * density_low)[kept]
    d_moment = (high**2 * density_high - low**2 * density_low)[kept]
    centroid = moment / probability
    d_rate = -weight @ (d_probability * np.log(probability))
    d_mse = -weight @ (2 * centroid * d_moment - centroid**2 * d_probability)
    return rate / np.log(2), mse, -d_rate / d_mse


def _density(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


@functools.cache
def _step_of_slope():
    """Lowest and highest slope −dR/dD of a table, nats, and log step as a function of log slope.

    The slope falls with the step, so R(D) is convex. Between the table's entries log step is exact
    to 1e-6, and what is lost by a step that is a little off is of second order in that.
    """
    log_step = np.linspace(np.log(_FINE), np.log(_COARSE), 400)
    slope = np.array([_unit(step)[2] for step in np.exp(log_step)])
    return slope[-1], slope[0], interpolate.CubicSpline(np.log(slope[::-1]), log_step[::-1])
