"""Support functions of divergence balls: S(w) = max ⟨w, r⟩ over distributions r with div(r) ≤ P.

Each is written as a convex minimum S(w) = min_q c·z + h(z) over z = (w, q) with A z > 0, so that
any q gives an upper bound on S, and Newton's method can minimise over w and q together. The
gradient by w is then the maximising r. p is the source's distribution; logarithms are natural.
"""

import numpy as np


def whole_simplex(size):
    """No bound: S(w) = min m over m > w. Returns c [n + 1], A [n, n + 1], start, h."""
    return _unit(size + 1, size), _above(size), _one_above, _nothing


def single_point(p):
    """P = 0: S(w) = ⟨w, p⟩."""
    return p, np.zeros((0, p.size)), lambda w: np.zeros(0), _nothing


def total_variation(p, perception):
    """½ ‖r − p‖₁ ≤ P: S(w) = min ⟨p, y⟩ + t P over m > w, y > w, y > m − t, t > 0.

    Mass moves from the smallest w to the largest; q = (m, t, y).
    """
    n, full = p.size, np.flatnonzero(p)  # where p is 0, y is free to grow and plays no part
    eye, some = np.eye(n), np.eye(n)[full]
    column, row = np.ones((full.size, 1)), np.zeros((full.size, 1))
    c = np.concatenate([np.zeros(n), [0.0, perception], p[full]])
    a = np.block(
        [
            [-eye, np.ones((n, 1)), np.zeros((n, 1 + full.size))],
            [-some, row, row, np.eye(full.size)],
            [np.zeros_like(some), -column, column, np.eye(full.size)],
        ]
    )
    a = np.vstack([a, _unit(a.shape[1], n + 1)])

    def start(w):
        m, t = w.max() + 1, 1.0
        return np.concatenate([[m, t], np.maximum(w[full], m - t) + 1])

    return c, a, start, _nothing


def kl_from_center(p, perception):
    """D_KL[p ‖ r] ≤ P: S(w) = min η − exp(−P + Σ p log(η − w)) over η > w.

    For small P, η is large and the difference small; hence the care.
    """

    def term(z):
        w, eta = z[:-1], z[-1]
        center = p @ w
        far = eta - center
        y = (w - center) / far  # Σ p y = 0
        log_ratio = -perception + p @ np.log1p(-y)  # of exp(…) to `far`
        scale = np.exp(log_ratio) * far
        inverse = 1 / (eta - w)
        spread = inverse - p @ inverse
        weight = p * inverse
        by_eta = -np.expm1(log_ratio) - np.exp(log_ratio) * (p @ (y**2 / (1 - y)))
        hessian = np.empty((z.size, z.size))
        hessian[:-1, :-1] = scale * (np.diag(weight * inverse) - np.outer(weight, weight))
        hessian[-1, :-1] = hessian[:-1, -1] = -scale * weight * spread
        hessian[-1, -1] = scale * p @ spread**2
        return center - far * np.expm1(log_ratio), np.append(scale * weight, by_eta), hessian

    return np.zeros(p.size + 1), _above(p.size), _one_above, term


def kl_to_center(p, perception):
    """D_KL[r ‖ p] ≤ P: S(w) = min t log Σ p e^{w/t} + t P over t > 0."""

    def term(z):
        w, t = z[:-1], z[-1]
        top = w.max()
        weights = p * np.exp((w - top) / t)
        total = weights.sum()
        r = weights / total
        mean = r @ w
        center = p @ w
        if top - center > t:
            soft = top + t * np.log(total)
        else:  # the same, accurate for the large t of a small P
            soft = center + t * np.log1p(p @ np.expm1((w - center) / t))
        deviation = w - mean
        gradient = np.append(r, (soft - mean) / t)
        hessian = np.empty((z.size, z.size))
        hessian[:-1, :-1] = (np.diag(r) - np.outer(r, r)) / t
        hessian[-1, :-1] = hessian[:-1, -1] = -r * deviation / t**2
        hessian[-1, -1] = r @ deviation**2 / t**3
        return soft, gradient, hessian

    c = np.append(np.zeros(p.size), perception)
    return c, _unit(p.size + 1, p.size)[None], lambda w: np.ones(1), term


def _unit(size, index):
    return np.eye(size)[index]


def _above(size):
    return np.hstack([-np.eye(size), np.ones((size, 1))])


def _one_above(w):
    return np.array([w.max() + 1])


def _nothing(z):
    return 0.0, np.zeros_like(z), np.zeros((z.size, z.size))
