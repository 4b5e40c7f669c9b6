"""The jointly Gaussian pair that minimises R + a D + b P, component by component.

The divergences are functions of u = log τ ≤ 0, where a component of variance σ² is reconstructed
with variance τ² σ² and correlation ρ. A larger τ than 1 never helps. Rates and KLs are in nats.
"""

import numpy as np

from synjax.theory import roots


def _excess(t):
    """e^t − 1 − t, accurate near 0."""
    series = t * t / 2 * (1 + t / 3 * (1 + t / 4 * (1 + t / 5 * (1 + t / 6))))
    return np.where(np.abs(t) < 1e-2, series, np.expm1(t) - t)


def _value(variances, u, divergence):
    """The divergence of each component, W2² or nats."""
    if divergence == "w2":
        return variances * np.expm1(u) ** 2
    return _excess(2 * u if divergence == "kl_xhat_to_x" else -2 * u) / 2


def _slope(variances, u, divergence):
    """Derivative of the divergence by the reconstruction's variance, and its derivative by u."""
    if divergence == "w2":
        return -np.expm1(-u), np.exp(-u)
    if divergence == "kl_xhat_to_x":
        return -np.expm1(-2 * u) / (2 * variances), np.exp(-2 * u) / variances
    inverse = np.exp(-2 * u)
    return -inverse * np.expm1(-2 * u) / (2 * variances), inverse * (2 * inverse - 1) / variances


def _u_at_rate_zero(variances, theta, divergence):
    """The u that minimises D + theta P at rate zero: 1 + theta · slope = 0."""
    if divergence == "w2":
        return np.full_like(variances, -np.log1p(1 / theta))
    x = variances / theta
    if divergence == "kl_xhat_to_x":
        return -np.log1p(2 * x) / 2
    return -np.log1p(4 * x / (1 + np.sqrt(1 + 8 * x))) / 2


def perception_without_bound(variances, level, divergence):
    """The divergence, summed, that reverse water-filling to `level` leaves."""
    shrinkage = 1 - np.minimum(level / variances, 1)  # τ²
    if divergence == "w2":
        return variances @ (1 - np.sqrt(shrinkage)) ** 2
    if not shrinkage.all():
        return np.inf  # a component that is constant
    return _value(variances, np.log(shrinkage) / 2, divergence).sum()


def distortion_at_rate_zero(variances, perception, divergence):
    """The least distortion, summed, of a reconstruction that knows nothing of the source."""
    if perception == 0:
        return 2 * variances.sum()
    if divergence == "w2" and perception >= variances.sum():
        return variances.sum()

    def u(log_theta):
        return _u_at_rate_zero(variances, np.exp(log_theta), divergence)

    log_theta = roots.of_increasing(
        lambda log_theta: np.log(perception / _value(variances, u(log_theta), divergence).sum()),
        np.log(variances.mean()),
    )
    return variances @ (1 + np.exp(2 * u(log_theta)))


def totals(variances, a, b, divergence):
    """R (nats), D and P, summed, of the pair that minimises R + a D + b P.

    Given τ, the best correlation has ρ / (1 − ρ²) = 2 a σ² τ. Then the derivative of the minimum
    by the reconstruction's variance, 1 − ρ/τ + (b/a) · slope, increases in τ, from its
    value at the τ that is best for ρ = 0, not positive, to 1 − ρ > 0 at τ = 1.
    """
    u = np.zeros_like(variances)
    if b < np.inf:
        low = u = _u_at_rate_zero(variances, b / a, divergence)
        high = np.zeros_like(variances)
        for _ in range(80):  # Newton steps, or halvings where one leaves the bracket
            rho, rest = _correlation(variances, u, a)
            ratio = rho * np.exp(-u)
            slope, curvature = _slope(variances, u, divergence)
            value = _shortfall(u, rho, rest) * np.exp(-u) + b / a * slope
            derivative = 2 * ratio * rho**2 / (1 + rho**2) + b / a * curvature
            low, high = np.where(value < 0, u, low), np.where(value < 0, high, u)
            new = u - value / derivative
            new = np.where((low <= new) & (new <= high), new, (low + high) / 2)
            done = np.all(np.abs(new - u) <= 1e-13 * np.abs(u))
            u = new
            if done:
                break
    rho, rest = _correlation(variances, u, a)
    distortion = variances * (_shortfall(u, rho, rest) ** 2 + rest)
    return -np.log(rest).sum() / 2, distortion.sum(), _value(variances, u, divergence).sum()


def _shortfall(u, rho, rest):
    """τ − ρ, accurate where both are close to 1 and where both are close to 0."""
    return np.where(u > -1, rest / (1 + rho) + np.expm1(u), np.exp(u) - rho)


def _correlation(variances, u, a):
    """ρ and 1 − ρ², given ρ / (1 − ρ²) = 2 a σ² τ."""
    k = 2 * a * variances * np.exp(u)
    root = 1 + np.sqrt(1 + 4 * k * k)
    return 2 * k / root, 2 / root
