"""Statements (46)–(48) and (59): the Gaussian likelihood, and the units of its weights.

An instance is a source sample x at the origin, reconstructions around it in the plane, and σ. Half
of the instances take logarithms to base 2, as the paper's `log` does, half natural ones.
"""

import numpy as np

from synjax.theory import instances
from synjax.theory.statement import IDENTITY, Statement


def _gaussian(bits, count):
    return {
        "x̂_j - x": instances.integers(bits, -4, 5, (count, 2, 2)).astype(float),
        "σ": instances.integers(bits, 1, 5, (count,)).astype(float),
        "log base": np.where(np.arange(count) % 2 == 0, np.e, 2.0),
    }


def _objective(bits, count):
    return _gaussian(bits, count) | {
        "λ": instances.integers(bits, 1, 10, (count,)).astype(float),
        "p_X": instances.distribution(bits, (count, 3)),
        "p_X̂": instances.distribution(bits, (count, 3)),
        "p(y_s)": instances.distribution(bits, (count, 3)),
    }


def _objective_in_bits(bits, count):
    return _objective(bits, count) | {"log base": np.full(count, 2.0)}


def _log(drawn, values):
    """Logarithm to the base of each instance, values [N, ...]."""
    base = np.log(drawn["log base"])
    return np.log(values) / base.reshape(base.shape + (1,) * (values.ndim - 1))


def _squared(drawn):
    """‖x - x̂_j‖², [N, M]."""
    return np.sum(drawn["x̂_j - x"] ** 2, axis=-1)


def _minus_log_likelihood(drawn):
    """E_j[-log N(x | x̂_j, σ² I)], [N], d = 2; the logarithm of the density itself."""
    variance = drawn["σ"][:, None] ** 2
    density = np.exp(-_squared(drawn) / (2 * variance)) / (2 * np.pi * variance)
    return -np.mean(_log(drawn, density), axis=1)


def _constant(drawn):
    """(d/2) log(2πσ²), [N]."""
    return _log(drawn, 2 * np.pi * drawn["σ"] ** 2)


def _weight(drawn):
    """λ'_d = 1 / 2σ², [N]; below (48)."""
    return 1 / (2 * drawn["σ"] ** 2)


def _kl(drawn):
    return np.sum(drawn["p_X"] * _log(drawn, drawn["p_X"] / drawn["p_X̂"]), axis=1)


def _rate(drawn):
    return -np.sum(drawn["p(y_s)"] * _log(drawn, drawn["p(y_s)"]), axis=1)


def _lagrangian(drawn):
    """(λ + 1) (E[-log N] + D_KL) + rate, [N]: (39) with Lemma 1 put in."""
    return (drawn["λ"] + 1) * (_minus_log_likelihood(drawn) + _kl(drawn)) + _rate(drawn)


def _loss(drawn, weight):
    """λ*_d E-MSE + λ*_p D_KL + rate, λ*_d = (λ + 1) weight, λ*_p = λ + 1, and the constant."""
    terms = weight * _squared(drawn).mean(1) + _kl(drawn) + _constant(drawn)
    return (drawn["λ"] + 1) * terms + _rate(drawn)


def _equal_means(bits, count):
    """Two reconstructed synsets of two, equal in E-MSE; in even instances x̂_1 = -x̂_2."""
    first = instances.integers(bits, -4, 5, (count, 2)).astype(float)
    other = instances.integers(bits, -4, 5, (count, 2)).astype(float)
    second = instances.every_other(count, -first, other)
    pair = np.stack([first, second], axis=1)
    radius = np.sqrt(np.sum(pair**2, axis=(1, 2)) / 2)
    ring = np.array([[1.0, 0.0], [0.0, 1.0]])
    return {
        "x̂_j - x": pair,
        "x̂'_j - x": radius[:, None, None] * ring,
        "σ": instances.integers(bits, 1, 5, (count,)).astype(float),
    }


def _before_jensen(drawn, name):
    """-log₂ E_j N(x | x̂_j, σ² I) without its constant, [N]."""
    squared = np.sum(drawn[name] ** 2, axis=-1)
    return -np.log2(np.mean(np.exp(-squared / (2 * drawn["σ"][:, None] ** 2)), axis=1))


def _two_members(bits, count):
    """Two source samples of a synset and two reconstructions; p_X suits the first of these.

    By turns the reconstructions coincide, differ at right angles to the samples, differ anyhow, or
    are the samples: X̂ = X.
    """
    x = instances.integers(bits, -4, 5, (count, 2, 2)).astype(float)
    x[:, 1, 0] += (x[:, 0] == x[:, 1]).all(-1)
    first, other = (instances.integers(bits, -4, 5, (count, 2)).astype(float) for _ in range(2))
    across = (x[:, 0] - x[:, 1])[:, ::-1] * [1.0, -1.0]
    kind = (np.arange(count) % 4)[:, None]
    first = np.where(kind == 3, x[:, 0], first)
    second = np.select([kind == 0, kind == 1, kind == 2], [first, first + across, other], x[:, 1])
    return {
        "x_i": x,
        "x̂_j": np.stack([first, second], axis=1),
        "σ": instances.integers(bits, 1, 5, (count,)).astype(float),
    }


def _log_ratio(drawn, index):
    """log₂ N(x_1 | x̂_j, σ² I) / N(x_2 | x̂_j, σ² I), [N]."""
    squared = np.sum((drawn["x_i"] - drawn["x̂_j"][:, index, None]) ** 2, axis=-1)
    return (squared[:, 1] - squared[:, 0]) / (2 * drawn["σ"] ** 2) / np.log(2)


def _differences(drawn):
    return (drawn[name][:, 0] - drawn[name][:, 1] for name in ("x_i", "x̂_j"))


def _orthogonal(drawn):
    between_samples, between_reconstructions = _differences(drawn)
    return np.sum(between_samples * between_reconstructions, axis=1) == 0


_NATURAL = ("log is the natural one, not base 2 as printed", lambda d: d["log base"] != 2)
_APART = ("x̂_1 and x̂_2 differ in distance", lambda d: np.ptp(_squared(d), axis=1) > 0)

STATEMENTS = (
    Statement(
        equation="(46)",
        claim="A Gaussian likelihood is a squared error weighted by 1/2σ², plus a constant",
        sides=("E_j[-log N(x|x̂_j, σ²I)]", "E_j‖x - x̂_j‖² / 2σ² + (d/2) log 2πσ²"),
        relation=IDENTITY,
        draw=_gaussian,
        left=_minus_log_likelihood,
        right=lambda d: _weight(d) * _squared(d).mean(1) + _constant(d),
        active=_APART,
        condition=_NATURAL,
    ),
    Statement(
        equation="(47)–(48)",
        claim="What Jensen's step changes is a factor α_d of the size of X̂ alone: two synsets of "
        "equal size and E-MSE weigh alike",
        sides=("-log E_j N(x|x̂_j, σ²I)", "the same for an X̂' with equal |X̂| and E-MSE"),
        relation=IDENTITY,
        draw=_equal_means,
        left=lambda d: _before_jensen(d, "x̂_j - x"),
        right=lambda d: _before_jensen(d, "x̂'_j - x"),
        active=("X̂ has two members", lambda d: np.any(d["x̂_j - x"][:, 0] != d["x̂_j - x"][:, 1], 1)),
        condition=(
            "all members are equally far from x, so that α_d = 1",
            lambda d: np.ptp(_squared(d), axis=1) == 0,
        ),
    ),
    Statement(
        equation="(43) with (46)",
        claim="What (43) requires of the source: p(x_1)/p(x_2) = p(x_1|x̂_j)/p(x_2|x̂_j) for every "
        "x̂_j. With Gaussian likelihoods, a source that suits x̂_1 suits x̂_2",
        sides=("log p_X(x_1)/p_X(x_2)", "log N(x_1|x̂_2, σ²I)/N(x_2|x̂_2, σ²I)"),
        relation=IDENTITY,
        draw=_two_members,
        left=lambda d: _log_ratio(d, 0),
        right=lambda d: _log_ratio(d, 1),
        active=("x̂_1 and x̂_2 differ", lambda d: np.any(d["x̂_j"][:, 0] != d["x̂_j"][:, 1], axis=1)),
        condition=(
            "x_1 - x_2 is at right angles to x̂_1 - x̂_2, so never where X̂ = X has two members",
            _orthogonal,
        ),
    ),
    Statement(
        equation="(59), (62)",
        claim="λ*_d = (λ+1)/2σ² and λ*_p = λ+1 turn (39) into the loss (62)",
        sides=("(λ+1)(E[-log N] + D_KL) + rate", "λ*_d E-MSE + λ*_p D_KL + rate + constant"),
        relation=IDENTITY,
        draw=_objective,
        left=_lagrangian,
        right=lambda d: _loss(d, _weight(d)),
        active=_APART,
        condition=("rate, D_KL and likelihood are in nats, not bits", _NATURAL[1]),
    ),
    Statement(
        equation="(59), (62) in bits",
        claim="… with rate and D_KL in bits",
        sides=("(λ+1)(E[-log N] + D_KL) + rate", "λ*_d E-MSE + λ*_p D_KL + rate + constant"),
        relation=IDENTITY,
        draw=_objective_in_bits,
        left=_lagrangian,
        right=lambda d: _loss(d, _weight(d)),
        active=_APART,
        repair={"right": lambda d: _loss(d, _weight(d) / np.log(2))},
        repair_words="λ*_d = (λ+1)/(2σ² ln 2); λ*_p = λ+1 is the same in either unit",
    ),
)
