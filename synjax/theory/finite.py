"""Rate, distortion and perception of any finite source, each rate with a certificate.

The certificate is the rate minus a lower bound from the dual problem, so it limits how far the rate
can be from optimal, however it was found.
"""

import numpy as np
from scipy import special

from synjax.theory import arguments, divergence_balls, finite_dual

_DIVERGENCES = {
    "tv": lambda p, r: np.abs(p - r).sum() / 2,
    "kl_x_to_xhat": lambda p, r: special.rel_entr(p, r).sum() / np.log(2),
    "kl_xhat_to_x": lambda p, r: special.rel_entr(r, p).sum() / np.log(2),
}
_ROUNDING = 1e-12  # by which a constraint may be missed
_TINY = 1e-300
_GAP = 1e-5  # nats, at which Blahut-Arimoto stops
_ITERATIONS = 100_000


def rate_distortion_perception(p_x, distortion_matrix, distortion, perception, divergence="tv"):
    """R(D, P) = min I(X; X̂) over channels with E d(X, X̂) ≤ D and div(p_X, p_X̂) ≤ P.

    Args:
      p_x: source distribution [n].
      distortion_matrix: d(i, j) ≥ 0 of source symbol i and reconstruction j, [n, n].
      distortion: D.
      perception: P ≥ 0 or inf; bits for the KLs.
      divergence: "tv", half of the L1 distance; "kl_x_to_xhat", D_KL[p_X ‖ p_X̂]; or
        "kl_xhat_to_x", D_KL[p_X̂ ‖ p_X].

    Returns:
      Rate in bits per symbol; the channel Pr(X̂ = j | X = i), [n, n], that has it and meets both
      constraints (to 1e-12); and a certificate in bits: rate − certificate is a lower bound on
      R(D, P). Usually it is some 1e-7.

    Raises:
      ValueError: an argument is out of its range or of the wrong shape, or no channel reaches D.
      ArithmeticError: rounding kept the iteration from meeting the constraints.

    Blau and Michaeli, "Rethinking lossy compression", ICML 2019.
    """
    p, d, distortion = _check(p_x, distortion_matrix, distortion)
    if d.shape[0] != d.shape[1]:
        raise ValueError(f"distortion_matrix must have shape [n, n], got {d.shape}")
    perception = arguments.non_negative("perception", perception, unlimited=True)
    arguments.one_of("divergence", divergence, _DIVERGENCES)
    rows = np.flatnonzero(p)
    absent = perception < np.inf and (perception == 0 or divergence == "kl_xhat_to_x")
    columns = rows if absent else np.arange(p.size)  # no r may have mass where p has none
    center = p[columns]
    # The largest value a divergence can have.
    most = {"tv": 1.0, "kl_x_to_xhat": np.inf, "kl_xhat_to_x": -np.log2(p[rows].min())}
    if perception >= most[divergence]:
        ball = divergence_balls.whole_simplex(columns.size)
    elif perception == 0:
        ball = divergence_balls.single_point(center)
    elif divergence == "tv":
        ball = divergence_balls.total_variation(center, perception)
    elif divergence == "kl_x_to_xhat":
        ball = divergence_balls.kl_from_center(center, perception * np.log(2))
    else:
        ball = divergence_balls.kl_to_center(center, perception * np.log(2))
    bound, *joints = finite_dual.maximise(p[rows], d[np.ix_(rows, columns)] / distortion, ball)
    channels = []
    for joint in joints:
        channel = np.zeros(d.shape)
        channel[:, columns] = joint.sum(axis=0) / joint.sum()  # for symbols that never occur
        channel[np.ix_(rows, columns)] = joint / joint.sum(axis=1, keepdims=True)
        channels.append(channel)
    # The best may miss a constraint by rounding; the other is well inside, so a little of it mends.
    for share in (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        channel = (1 - share) * channels[0] + share * channels[1]
        reached = p @ (channel * d).sum(axis=1)
        diverged = _DIVERGENCES[divergence](p, p @ channel)
        if reached <= distortion * (1 + _ROUNDING) and diverged <= perception + _ROUNDING:
            return _certified(p, channel, bound)
    if 0 < perception < np.inf:  # so little that P = 0 is all but the same
        channel = rate_distortion_perception(p, d, distortion, 0.0)[1]
        return _certified(p, channel, bound)
    raise ArithmeticError(f"the iteration stalled at distortion {reached}, perception {diverged}")


def rate_distortion(p_x, distortion_matrix, distortion):
    """R(D) by Blahut's and Arimoto's algorithm, at the slope that meets D in each iteration.

    Args:
      p_x: source distribution [n].
      distortion_matrix: d(i, j) ≥ 0 of source symbol i and reconstruction j, [n, m].
      distortion: D.

    Returns:
      Rate in bits per symbol; the channel that has it, [n, m], with E d = D or less; and a
      certificate in bits: rate − certificate is a lower bound on R(D). It is at most 1.5e-5.

    Raises:
      ValueError: an argument is out of its range or of the wrong shape, or no channel reaches D.
      ArithmeticError: no convergence.

    Blahut, "Computation of channel capacity and rate-distortion functions", IEEE Trans. IT 1972.
    """
    p, d, distortion = _check(p_x, distortion_matrix, distortion)
    least = p @ d.min(axis=1)
    if distortion <= least:
        raise ValueError(f"distortion must be above {least}, the least possible, got {distortion}")
    best = np.argmin(p @ d)
    if p @ d[:, best] <= distortion:
        channel = np.zeros(d.shape)
        channel[:, best] = 1
        return 0.0, channel, 0.0
    r, power = np.full(d.shape[1], 1 / d.shape[1]), 1.0
    channel, log_norm, s = _tilted(p, d, r, distortion, 1 / distortion)
    for _ in range(_ITERATIONS):
        # [m]; at the optimum 1, or less where r is 0.
        growth = p @ np.exp(-log_norm[:, None] - s * d)
        value = -p @ log_norm - s * distortion
        if np.log(growth.max()) < _GAP:
            return _certified(p, channel, value - np.log(growth.max()))
        while True:
            # Blahut's step has power 1 and never raises the value; larger ones are safe if checked.
            logs = np.log(np.maximum(r, _TINY)) + power * np.log(growth)
            new = special.softmax(logs)
            channel, log_norm, new_s = _tilted(p, d, new, distortion, s)
            if power == 1 or -p @ log_norm - new_s * distortion <= value:
                break
            power = max(power / 4, 1.0)
        r, s, power = new, new_s, power * 1.5
    raise ArithmeticError(f"no convergence in {_ITERATIONS} iterations")


def _tilted(p, d, r, distortion, s):
    """Channel ∝ r_j e^{−s d_ij} with s such that E d = D, logarithm of its norm [n], and s."""
    low = d.min(axis=1, keepdims=True)
    for _ in range(100):  # Newton steps of log E d by log s
        weights = r * np.exp(-s * (d - low))
        norm = weights.sum(axis=1, keepdims=True)
        channel = weights / norm
        means = (channel * d).sum(axis=1)
        reached = max(p @ means, _TINY)
        if abs(reached / distortion - 1) < _ROUNDING:
            break
        slope = s * p @ (channel * (d - means[:, None]) ** 2).sum(axis=1) / reached
        s *= np.exp(np.clip(np.log(reached / distortion) / max(slope, _TINY), -1, 1))
    return channel, np.log(norm[:, 0]) - s * low[:, 0], s


def _check(p_x, distortion_matrix, distortion):
    p = arguments.probabilities("p_x", p_x)
    d = np.asarray(distortion_matrix, np.float64)
    if d.ndim != 2 or d.shape[0] != p.size or not d.shape[1]:
        raise ValueError(f"distortion_matrix must have a row for each of p_x, got {d.shape}")
    if not np.all((d >= 0) & (d < np.inf)):
        raise ValueError("distortion_matrix must be non-negative and finite")
    return p, d, arguments.positive("distortion", distortion)


def _information(p, channel):
    """I(X; X̂) in nats."""
    return float(max(p @ special.rel_entr(channel, p @ channel).sum(axis=1), 0.0))


def _certified(p, channel, bound):
    rate = _information(p, channel)
    return rate / np.log(2), channel, max(rate - max(bound, 0.0), 0.0) / np.log(2)
