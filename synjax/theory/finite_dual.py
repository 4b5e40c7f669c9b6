"""Newton's method on the dual of R(D, P), which is smooth and concave but for constraints.

In nats and with distortions divided by D, the dual of min I(X; X̂) is

    max over α [n] and s ≥ 0 of  Σ p_i α_i − s − S(ℓ),   ℓ_j = log Σ_i p_i e^{α_i − s d_ij},

where S is the support function of the divergence ball (divergence_balls.py). Without a perception
constraint S is the maximum, and this is the dual of R(D) in Berger, Rate Distortion Theory, 1971,
section 2.5. A logarithmic barrier takes care of the constraints (Boyd and Vandenberghe, Convex
Optimization, chapter 11). Vectors x below are (α, s, q).
"""

import numpy as np
from scipy import linalg, special

# Nats, on the barrier's path: where it starts, where the last joint with wide margins is, the end.
_GAPS = 1.0, 1e-5, 1e-7
_SHRINK = 0.1  # from stage to stage
_REACH = 10.0  # of a step in α
_STEPS = 300  # at most, in a stage; some 3 to 10 are usual


def maximise(p, d, ball):
    """The dual's value, and two joint distributions.

    Args:
      p: source distribution [n], all positive.
      d: distortion matrix divided by D, [n, m].
      ball: from divergence_balls.

    Returns:
      A lower bound on the rate in nats, as close as rounding allows to its largest value; and two
      joint distributions [n, m] close to optimal.

    Raises:
      ValueError: no channel allowed reaches D.

    On the central path of a barrier of weight μ the joint distribution r_j Pr(i | j), with
    r = ∇S and Pr(i | j) ∝ p_i e^{α_i − s d_ij}, meets all constraints strictly. The first joint
    returned is from the path's end; the second, from before, keeps a wider margin.
    """
    c, a, start, term = ball
    alpha = -np.log(np.exp(-d).mean(axis=1))
    x = np.concatenate([alpha, [1.0], start(_soft_columns(p, d, alpha, 1.0)[0])])
    # The gap on the path is the barrier's weight times the number of constraints.
    weight, wide, last = np.array(_GAPS) / (len(a) + 1)
    most = special.entr(p).sum()  # what describing X without loss costs
    safe = None
    while True:
        for _ in range(_STEPS):
            value, gradient, hessian, joint, bound = _derivatives(p, d, ball, x, weight)
            if bound > most + 1e-6:
                raise ValueError("distortion is below what any channel allowed reaches")
            decrement = _newton_step(gradient, hessian)[1]
            new = _descend(p, d, ball, x, weight, value, gradient, hessian)
            if decrement < 1e-3 * weight or new is None:
                break
            x = new
        if weight <= last:
            joint, bound = _polish(p, d, ball, x, weight)
            return bound, joint, safe
        if weight >= wide:
            safe, _ = _polish(p, d, ball, x, weight)
        weight = max(weight * _SHRINK, last)


def _newton_step(gradient, hessian, damping=0.0):
    """−hessian⁻¹ gradient, and what it promises to gain twice over."""
    scale = 1 / np.sqrt(np.diag(hessian))  # variables differ by orders of magnitude
    hessian = hessian * np.outer(scale, scale)
    while True:
        try:
            factor = linalg.cho_factor(hessian + damping * np.eye(scale.size))
        except linalg.LinAlgError:
            damping = max(100 * damping, 1e-14)
            continue
        step = -scale * linalg.cho_solve(factor, scale * gradient)
        return step, -gradient @ step


def _descend(p, d, ball, x, weight, value, gradient, hessian):
    """A Newton step from x, shortened or damped until it lowers the value; None at a standstill."""
    for damping in (0.0, 1e-12, 1e-9, 1e-6, 1e-3, 1.0):
        step, decrement = _newton_step(gradient, hessian, damping)
        # Far along α the exponentials are nothing like their quadratic models.
        size = _REACH / max(_REACH, np.abs(step[: p.size]).max())
        shortest = 1e-9 * size
        while size > shortest:
            new = x + size * step
            if _value(p, d, ball, new, weight)[0] <= value - 0.1 * size * decrement:
                return new
            size /= 2
    return None


def _polish(p, d, ball, x, weight):
    """Full Newton steps while they help: the value itself has run out of digits to compare."""
    best = np.inf
    while True:
        _, gradient, hessian, joint, bound = _derivatives(p, d, ball, x, weight)
        step, decrement = _newton_step(gradient, hessian)
        if not 0 < decrement < best / 2 or _value(p, d, ball, x + step, weight)[0] == np.inf:
            return joint, bound
        best, x = decrement, x + step


def _soft_columns(p, d, alpha, s):
    """ℓ [m] and Pr(i | j) [n, m]."""
    logs = np.log(p)[:, None] + alpha[:, None] - s * d
    top = logs.max(axis=0)
    share = np.exp(logs - top)
    total = share.sum(axis=0)
    return top + np.log(total), share / total


def _value(p, d, ball, x, weight):
    c, a, _, term = ball
    n = p.size
    alpha, s, q = x[:n], x[n], x[n + 1 :]
    if s <= 0:
        return np.inf, None
    ell, share = _soft_columns(p, d, alpha, s)
    z = np.concatenate([ell, q])
    slack = a @ z
    if np.any(slack <= 0):
        return np.inf, None
    bound = p @ alpha - s - c @ z - term(z)[0]
    gauge = (p @ alpha) ** 2 / 2
    return gauge - bound - weight * (np.log(slack).sum() + np.log(s)), (z, share, slack, bound)


def _derivatives(p, d, ball, x, weight):
    c, a, _, term = ball
    n, m = d.shape
    s = x[n]
    value, (z, share, slack, bound) = _value(p, d, ball, x, weight)
    _, slope, bend = term(z)
    slope = slope + c - weight * a.T @ (1 / slack)
    bend = bend + weight * (a.T / slack**2) @ a
    r = slope[:m]
    mean = (share * d).sum(axis=0)
    jacobian = np.zeros((z.size, x.size))
    jacobian[:m, :n], jacobian[:m, n] = share.T, -mean
    jacobian[m:, n + 1 :] = np.eye(z.size - m)
    joint = share * r
    gradient = jacobian.T @ slope
    gradient[:n] += p * (p @ x[:n] - 1)
    gradient[n] += 1 - weight / s
    hessian = jacobian.T @ bend @ jacobian
    hessian[:n, :n] += np.diag(joint.sum(axis=1)) - joint @ share.T + np.outer(p, p)
    mixed = (joint * (mean - d)).sum(axis=1)
    hessian[:n, n] += mixed
    hessian[n, :n] += mixed
    hessian[n, n] += (joint * (d - mean) ** 2).sum() + weight / s**2
    return value, gradient, hessian, joint, bound
