"""Checks of arguments that all the bounds share; each raises ValueError naming the argument."""

import numpy as np

_SUM_TOLERANCE = 1e-9


def positive(name, value):
    """`value` as a float, if it is a finite scalar above 0."""
    value = _scalar(name, value)
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return value


def non_negative(name, value, unlimited=False):
    """`value` as a float, if it is a scalar of at least 0, and finite unless `unlimited`."""
    value = _scalar(name, value)
    if not value >= 0 or (value == np.inf and not unlimited):
        limit = "or inf" if unlimited else "and finite"
        raise ValueError(f"{name} must be at least 0 {limit}, got {value}")
    return value


def variances(value):
    """`value` as an array [n] of positive, finite variances, n ≥ 1."""
    value = np.asarray(value, np.float64)
    if value.ndim != 1 or not value.size:
        raise ValueError(f"variances must have shape [n] with n at least 1, got {value.shape}")
    if not np.all((value > 0) & (value < np.inf)):
        raise ValueError(f"variances must be positive and finite, got {value}")
    return value


def probabilities(name, value):
    """`value` as an array [n] of probabilities, n ≥ 1, made to add up to 1 exactly."""
    value = np.asarray(value, np.float64)
    if value.ndim != 1 or not value.size:
        raise ValueError(f"{name} must have shape [n] with n at least 1, got {value.shape}")
    if not np.all(value >= 0):
        raise ValueError(f"{name} must not be negative or NaN, got {value}")
    if not abs(value.sum() - 1) <= _SUM_TOLERANCE:
        raise ValueError(f"{name} must sum to 1, got {value.sum()}")
    return value / value.sum()


def one_of(name, value, allowed):
    """`value`, if it is among the names allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def _scalar(name, value):
    try:
        value = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if value.ndim:
        raise ValueError(f"{name} must be a scalar, got shape {value.shape}")
    return float(value)
