"""Reverse water-filling, alone and with limited common randomness; in nats, summed."""

import numpy as np
from scipy import optimize

from synjax.theory import roots


def log_ratios(variances, level):
    """log(σ²/w)₊, [n]: twice the rate of each component."""
    return np.log(np.maximum(variances / level, 1.0))


def level_of_distortion(variances, distortion):
    """The level w with Σ min(σ², w) = distortion; the largest variance if there is none."""
    ascending = np.sort(variances)
    filled = np.concatenate([[0.0], np.cumsum(ascending)[:-1]])
    levels = (distortion - filled) / np.arange(variances.size, 0, -1)
    covered = levels <= ascending
    return levels[np.argmax(covered)] if covered.any() else ascending[-1]


def level_of_log_ratio(variances, total):
    """The level w with Σ log(σ²/w)₊ = total."""
    logs = np.sort(np.log(variances))[::-1]
    levels = (np.cumsum(logs) - total) / np.arange(1, variances.size + 1)
    return np.exp(levels[np.flatnonzero(levels <= logs)[-1]])


def distortion_with_shared(variances, rate, shared):
    """Least distortion at P = 0, `rate` nats sent and `shared` nats of common randomness.

    With multipliers w e^h and w e^{−h} of Σ r and Σ t, and k = asinh((w/σ²) sinh h), stationarity
    gives e^{−2r} = (w/σ²) e^{h−k} and e^{−2t} = (w/σ²) e^{k−h} where w < σ².
    So Σ (r + t) = Σ log(σ²/w)₊ sets w by water-filling, and Σ (t − r) = Σ (h − k) then sets h.
    """
    total = 2 * variances.sum()
    if rate == 0:
        return total
    level = level_of_log_ratio(variances, 2 * rate + shared)
    active = variances[variances > level]
    depth = level / active

    def gap(h):
        # k without overflow: asinh of a product, from its logarithm.
        log_sinh = h + np.log(-np.expm1(-2 * h)) - np.log(2) + np.log(depth)
        return h - np.logaddexp(log_sinh, np.logaddexp(2 * log_sinh, 0) / 2)

    gaps = np.zeros_like(active)
    if shared > 0:
        log_h = roots.of_increasing(lambda log_h: np.log(gap(np.exp(log_h)).sum() / shared), 0.0)
        gaps = gap(np.exp(log_h))
    # e^{−2r} and e^{−2t}; and 1 − √((1 − e^{−2r})(1 − e^{−2t})) without cancellation.
    sent, known = (np.minimum(depth * np.exp(sign * gaps), 1) for sign in (1, -1))
    missed = (sent + known - sent * known) / (1 + np.sqrt((1 - sent) * (1 - known)))
    return float(2 * variances[variances <= level].sum() + 2 * active @ missed)


def rate_with_shared(variances, distortion, shared):
    """Inverse of `distortion_with_shared` in the rate."""
    if distortion >= 2 * variances.sum():
        return 0.0
    if shared == 0:
        return log_ratios(variances, level_of_distortion(variances, distortion / 2)).sum() / 2
    # No rate reaches D(R) with less than unlimited, nor needs more than with no common randomness.
    most = rate_with_shared(variances, distortion, 0.0)
    return optimize.brentq(
        lambda rate: np.log(distortion_with_shared(variances, rate, shared) / distortion),
        0.0,
        most * (1 + 1e-9) + 1e-15,
        xtol=1e-14,
        rtol=1e-12,
    )
