"""Bjøntegaard's deltas: how far apart two rate–quality curves are, as one number each.

G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33 (2001), by the
`bjontegaard` package: the gap between the curves, averaged over what both of them reach, with the
logarithm of the rate. Between points they are monotone piecewise cubics (PCHIP), which two points
already determine: a straight line then.
"""

import dataclasses

import numpy as np

FEWEST = 2  # points of a curve


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """Points of one codec.

    Attributes:
      name: what a reason calls it.
      rate: [N], any unit that both curves share.
      quality: [N], the larger the better; a distortion comes with its sign changed.
    """

    name: str
    rate: np.ndarray
    quality: np.ndarray


@dataclasses.dataclass(frozen=True)
class Delta:
    """A number, or why there is none.

    Attributes:
      value: NaN where there is a reason.
      overlap: share of the curves' joint range that both reach, 0 to 1; 0 where there is a reason.
      reason: empty where there is a number.
    """

    value: float
    overlap: float
    reason: str


def bd_rate(anchor, test):
    """Rate that `test` takes more than `anchor` at equal quality, in percent; a `Delta`.

    −50: half the rate. Averaged over quality as it is measured, so that of a mean squared error the
    coarse end of the curves counts most.
    """
    import bjontegaard  # the one dependency that only `compare` has

    return _delta(anchor, test, "quality", bjontegaard.bd_rate)


def bd_quality(anchor, test):
    """Quality that `test` has more than `anchor` at equal rate, in its own unit; a `Delta`."""
    import bjontegaard

    return _delta(anchor, test, "rate", bjontegaard.bd_psnr)


def _delta(anchor, test, axis, measure):
    sides = [_increasing(curve) for curve in (anchor, test)]
    reason = _flaw(anchor.name, *sides[0]) or _flaw(test.name, *sides[1])
    if reason:
        return Delta(np.nan, 0.0, reason)
    ranges = [np.log(rate) if axis == "rate" else quality for rate, quality in sides]
    lowest, highest = ([end(values) for values in ranges] for end in (np.min, np.max))
    overlap = (min(highest) - max(lowest)) / (max(highest) - min(lowest))
    if overlap <= 0:
        return Delta(np.nan, 0.0, f"no {axis} is reached by both curves")
    with np.errstate(all="ignore"):
        settings = {"method": "pchip", "require_matching_points": False, "min_overlap": 0}
        value = float(measure(*sides[0], *sides[1], **settings))
    if not np.isfinite(value):
        return Delta(np.nan, 0.0, "the average is too large for a floating-point number")
    return Delta(value, float(overlap), "")


def _increasing(curve):
    """Rates and qualities as float64 [N], in order of rate."""
    rate, quality = (np.asarray(v, np.float64) for v in (curve.rate, curve.quality))
    order = np.lexsort((quality, rate))
    return rate[order], quality[order]


def _flaw(name, rate, quality):
    """Why a curve has no deltas, or an empty text."""
    if len(rate) < FEWEST:
        count = "1 point" if len(rate) == 1 else f"{len(rate)} points"
        return f"{name} has {count}, {FEWEST} are needed"
    if not (np.isfinite(rate).all() and np.isfinite(quality).all()):
        return f"{name} has a point that is not finite"
    if rate[0] <= 0:
        return f"{name} has a rate that is not positive"
    falls = np.flatnonzero((np.diff(rate) <= 0) | (np.diff(quality) <= 0))
    if len(falls):
        first, second = rate[falls[0]], rate[falls[0] + 1]
        return f"{name} is not monotone: no better at rate {second:.4g} than at {first:.4g}"
    return ""
