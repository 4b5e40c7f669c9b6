"""Roots of monotone functions of a multiplier's logarithm."""

import numpy as np
from scipy import optimize


def of_increasing(function, start):
    """Zero of an increasing function of a logarithm, searched outwards from `start`."""
    value, step = function(start), 0.5
    if value == 0:
        return start
    direction = -np.sign(value)
    near = start
    while abs(near - start) < 300:  # e^300: the limit itself, as far as doubles can tell
        far = near + direction * step
        beyond = function(far)
        if beyond == 0:
            return far
        if np.sign(beyond) != np.sign(value):
            return optimize.brentq(function, near, far, xtol=1e-13, rtol=1e-13)
        near, step = far, 2 * step
    return near
