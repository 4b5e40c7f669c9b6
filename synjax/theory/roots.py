"""Roots of monotone functions of a multiplier's logarithm."""

import functools

import numpy as np
from scipy import optimize


def of_increasing(function, start):
    """Zero of an increasing function of a logarithm, searched outwards from `start`."""
    function = functools.cache(function)  # so that rounding cannot change the sign at an end
    value = function(start)
    if value == 0:
        return start
    near = start
    for distance in (0.5, 1.5, 3.5, 7.5, 15, 30, 60, 120, 240):
        far = start - np.sign(value) * distance
        beyond = function(far)
        if beyond == 0:
            return far
        if np.sign(beyond) != np.sign(value):
            return optimize.brentq(function, near, far, xtol=1e-13, rtol=1e-13)
        near = far
    return near  # e^240 away: the limit itself, as far as doubles can tell
