"""Optima on sources small enough to try every encoder, and the information limits beside them.

Leading axes are a batch. Distortions are symmetric matrices [..., n, n]; rates are in bits.
"""

import itertools

import numpy as np

from synjax.theory import synonymity

_STEPS = 60  # of a bisection
_ITERATIONS = 300  # of an alternating minimisation
_LARGEST_SLOPE = 30.0  # nats per unit of distortion


def perfect_realism_channel(p, distortion, slope):
    """The coupling of p with itself that minimises I(X; X̂) + slope · E Δ, [..., n, n].

    (5) with the perception index held at 0, by Sinkhorn's iteration; `slope` [...] in nats.
    """
    kernel = np.exp(-np.asarray(slope)[..., None, None] * distortion)
    scale = np.sqrt(p)
    for _ in range(_ITERATIONS):  # one scale serves both sides, as the coupling is symmetric
        scale = np.sqrt(scale * p / np.einsum("...ij,...j->...i", kernel, scale))
    coupling = scale[..., :, None] * kernel * scale[..., None, :]
    return coupling / coupling.sum((-2, -1), keepdims=True)


def perfect_realism_rate(p, distortion, level):
    """R(D, P = 0) at D = `level` [...], in bits: (5) with D_KL[p_X ‖ p_X̂] = 0."""
    low, high = np.zeros(p.shape[:-1]), np.full(p.shape[:-1], _LARGEST_SLOPE)
    for _ in range(_STEPS):
        slope = (low + high) / 2
        coupling = perfect_realism_channel(p, distortion, slope)
        above = np.sum(coupling * distortion, axis=(-2, -1)) > level
        low, high = np.where(above, slope, low), np.where(above, high, slope)
    return synonymity.mutual_information(perfect_realism_channel(p, distortion, high))


def rate_distortion_channel(p, distortion, slope):
    """The joint law p(x, x̂) that minimises I(X; X̂) + slope · E Δ, [..., n, n]; (1).

    By Blahut's iteration from uniform outputs; `slope` [...] in nats.
    """
    kernel = np.exp(-np.asarray(slope)[..., None, None] * distortion)
    output = np.full_like(p, 1 / p.shape[-1])
    for _ in range(10 * _ITERATIONS):
        total = np.einsum("...ij,...j->...i", kernel, output)
        output = output * np.einsum("...i,...ij->...j", p / total, kernel)
    total = np.einsum("...ij,...j->...i", kernel, output)
    return (p / total)[..., None] * kernel * output[..., None, :]


def two_value_encoders(samples):
    """All encoders x → y_s ∈ {0, 1} that use both values, but for their names, [F, n]."""
    rest = itertools.product((0, 1), repeat=samples - 1)
    return np.array([(0, *row) for row in rest if any(row)])


def cell_distortions(p, distortion, encoder):
    """P(y_s) [..., 2] and E[Δ(x, x̂) | y_s], [..., 2, n], for an encoder [n] of two values."""
    joint = p[..., None, :] * (np.arange(2)[:, None] == encoder)
    mass = joint.sum(-1)
    return mass, np.einsum("...sn,...nr->...sr", joint / mass[..., None], distortion)


def least_distortion(p, distortion, encoder):
    """Least E Δ of any decoder of an encoder [n] of two values with p_X̂ = p_X, [...].

    Both y_s share out the mass of p_X among them; the x̂ that suit y_s = 1 best go to it.
    """
    mass, cost = cell_distortions(p, distortion, encoder)
    extra = cost[..., 1, :] - cost[..., 0, :]
    order = np.argsort(extra, axis=-1, kind="stable")
    available = np.take_along_axis(p, order, -1)
    before = np.cumsum(available, -1) - available
    taken = np.clip(mass[..., 1:] - before, 0, available)
    base = np.sum(p * cost[..., 0, :], -1)
    return base + np.sum(taken * np.take_along_axis(extra, order, -1), -1)


def synonymous_rate(p, distortion, level):
    """R(X) of (57) at D = `level` and P = 0, every encoder of three samples tried, [...].

    The codec is that of (60): y_s is a function of x, so I(X; X̃^) = H(Y_s); the decoder is any
    p(x̂ | y_s). With one value of y_s, x̂ is independent of x; with three, it can be x.
    """
    independent = np.einsum("...i,...j,...ij->...", p, p, distortion)
    rates = [np.where(independent <= level, 0.0, np.inf), synonymity.entropy(p)]
    for encoder in two_value_encoders(3):
        mass, _ = cell_distortions(p, distortion, encoder)
        feasible = least_distortion(p, distortion, encoder) <= level + 1e-9
        rates.append(np.where(feasible, synonymity.entropy(mass), np.inf))
    return np.min(rates, axis=0)


def distortion_divergence(p, distortion, encoder, weight):
    """Least weight · E Δ + D_KL[p_X ‖ p_X̂] of any decoder of an encoder [n], [...], in nats.

    The right side of (40), by its dual: the maximum over ν of 1 + Σ p ln w - Σ ν_s P(y_s), with
    w(x̂) = min_s(weight · E[Δ | y_s] + ν_s); at the optimum p_X̂ = p / w.
    """
    mass, cost = cell_distortions(p, distortion, encoder)
    cost = np.asarray(weight)[..., None, None] * cost
    spread = np.abs(cost[..., 1, :] - cost[..., 0, :]).max(-1)
    low, high = -spread, spread
    for _ in range(_STEPS):
        shift = (low + high) / 2
        first, w = _stationary(p, cost, shift)
        # The mass that goes to y_s = 1 falls as its price rises.
        second_cheaper = cost[..., 1, :] + shift[..., None] < cost[..., 0, :]
        above = np.sum(p / w * second_cheaper, -1) > mass[..., 1]
        low, high = np.where(above, shift, low), np.where(above, high, shift)
    first, w = _stationary(p, cost, (low + high) / 2)
    return 1 + np.sum(p * np.log(w), -1) - first - (low + high) / 2 * mass[..., 1]


def _stationary(p, cost, shift):
    """ν_0 and w for which p / w sums to 1, given ν_1 - ν_0 = shift."""
    cheapest = np.minimum(cost[..., 0, :], cost[..., 1, :] + shift[..., None])
    least = cheapest.min(-1)
    low, high = -least, 1 - least
    for _ in range(_STEPS):
        middle = (low + high) / 2
        with np.errstate(divide="ignore"):
            above = np.sum(p / (middle[..., None] + cheapest), -1) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high, high[..., None] + cheapest
