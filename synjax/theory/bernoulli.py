"""Rate, distortion and perception of a binary source under Hamming distortion."""

import numpy as np
from scipy import special

from synjax.theory import arguments


def rate_distortion_perception(p, distortion, perception):
    """R(D, P) of a Bernoulli source with Hamming distortion and total variation.

    With q = Pr(X̂ = 1), the least rate is convex in q and, without a bound on the perception, least
    at q* = (p − D)₊ / (1 − 2D), for p ≤ 1/2. So the best q is q* or, where that is too far
    from p, the nearest allowed, p − P. Given q, either an independent X̂ is good enough, or
    the distortion is met with equality, which fixes the joint distribution.

    Args:
      p: Pr(X = 1), in [0, 1].
      distortion: D = Pr(X ≠ X̂).
      perception: P ≥ 0 or inf, total variation |p − q| (half of the L1 distance).

    Returns:
      Rate, bits per symbol; exact.

    Raises:
      ValueError: an argument is out of its range.

    Blau and Michaeli, "Rethinking lossy compression", ICML 2019.
    """
    p = arguments.non_negative("p", p)
    if p > 1:
        raise ValueError(f"p must be in [0, 1], got {p}")
    distortion = arguments.positive("distortion", distortion)
    perception = arguments.non_negative("perception", perception, unlimited=True)
    p = min(p, 1 - p)
    q = (p - distortion) / (1 - 2 * distortion) if distortion < p else 0.0
    q = max(q, p - perception)
    if distortion >= p + q - 2 * p * q:
        return 0.0
    both = (p + q - distortion) / 2  # Pr(X = X̂ = 1)
    joint = np.array([[1 - p - q + both, q - both], [p - both, both]])
    joint = np.maximum(joint, 0)
    product = np.outer([1 - p, p], [1 - q, q])
    return float(max(special.rel_entr(joint, product).sum(), 0.0) / np.log(2))
