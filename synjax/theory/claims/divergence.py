"""Statements (50)–(55) and Proposition 2: where the divergence comes from, what cancels it.

f and δ_p have two readings. X *fixed*, as (51) prints it: x runs over the source, X stays.
X *moving*, as the left side of (50) has it: X is the synset of x. Both are evaluated.
"""

import numpy as np

from synjax.theory import instances, synonymity
from synjax.theory.claims import sources
from synjax.theory.statement import AT_MOST, IDENTITY, LESS, Statement


def _with_model(bits, count):
    """A source and the distribution of a decoder's output, the source's own in each fourth."""
    drawn = sources.source(bits, count)
    p_hat = instances.distribution(bits, (count, 5))
    same = (np.arange(count) % 4 == 0)[:, None]
    return drawn | {"p_X̂": np.where(same, drawn["p_X"], p_hat)}


def _two_models(bits, count):
    drawn = sources.source(bits, count)
    return drawn | {
        "p_X̂ of θ_1": instances.distribution(bits, (count, 5)),
        "p_X̂ of θ_2": instances.distribution(bits, (count, 5)),
    }


def _one_or_more_synsets(bits, count):
    drawn = sources.source(bits, count)
    one = np.zeros_like(drawn["synset"])
    return drawn | {"synset": instances.every_other(count, one, drawn["synset"])}


def _special_cases(bits, count):
    """Singletons in even instances, equal members in odd ones; each fourth source is uniform."""
    drawn = sources.source(bits, count)
    alone = np.broadcast_to(np.arange(5), (count, 5))
    equal = synonymity.of_member(instances.distribution(bits, (count, 3)), drawn["synset"])
    p = instances.every_other(count, drawn["p_X"], equal)
    p = np.where((np.arange(count) % 4 < 2)[:, None], 0.2, p)
    return {
        "p_X": p / p.sum(1, keepdims=True),
        "synset": instances.every_other(count, alone, drawn["synset"]),
    }


def _mean_log(drawn):
    """(1/|X|) Σ log p_X(x_i) of each synset, [N, K]."""
    return synonymity.synset_mean(np.log2(drawn["p_X"]), sources.members(drawn))


def _mean_over_synsets(drawn, values):
    """Σ_X p_X(X) values, [N]; an empty synset counts nothing."""
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    return np.sum(p_synset * np.nan_to_num(values), axis=-1)


def _f(drawn):
    return synonymity.f(drawn["p_X"], sources.members(drawn))


def _own_f(drawn):
    return synonymity.own_f(drawn["p_X"], sources.members(drawn))


def _delta(drawn, name="p_X̂"):
    return synonymity.delta_p(drawn["p_X"], drawn[name], sources.members(drawn))


def _own_delta(drawn, name="p_X̂"):
    return synonymity.own_delta_p(drawn["p_X"], drawn[name], sources.members(drawn))


def _kl(drawn, name="p_X̂"):
    return synonymity.kl(drawn["p_X"], drawn[name])


def _sum(drawn, name):
    """D_KL + δ_p, X moving, [N]."""
    return _kl(drawn, name) + _own_delta(drawn, name)


def _case_a(drawn):
    """Where D_KL > f > 0, [N, K]."""
    value = _f(drawn)
    return (value > 0) & (_kl(drawn)[:, None] > value + 1e-6)


STATEMENTS = (
    Statement(
        equation="(50)",
        claim="The expectation moves inside the sum over X, as printed: X moving = X fixed",
        sides=("E_x (1/|X(x)|) Σ log p(x)/p(x_i)", "(1/|X|) Σ E_x log p(x)/p(x_i), any X"),
        relation=IDENTITY,
        draw=_one_or_more_synsets,
        left=lambda d: _own_f(d)[:, None],
        right=_f,
        active=sources.UNEQUAL,
        condition=("the whole source is one synset", lambda d: d["synset"].max(1) == 0),
    ),
    Statement(
        equation="(50) averaged",
        claim="… the right side averaged over the synsets",
        sides=("E_x (1/|X(x)|) Σ log p(x)/p(x_i)", "Σ_X p(X) f(p_X, X)"),
        relation=IDENTITY,
        draw=_with_model,
        left=_own_f,
        right=lambda d: _mean_over_synsets(d, _f(d)),
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(51) zero, X fixed",
        claim="f = 0 for a singleton, or where all members of X are equally likely",
        sides=("E_x log p(x)", "(1/|X|) Σ log p(x_i)"),
        relation=IDENTITY,
        draw=_special_cases,
        left=lambda d: -synonymity.entropy(d["p_X"])[:, None],
        right=_mean_log,
        active=("several synsets", lambda d: d["synset"].max(1) > 0),
        condition=("the source is uniform", lambda d: np.ptp(d["p_X"], axis=1) < 1e-12),
    ),
    Statement(
        equation="(51) zero, X moving",
        claim="… with X the synset of x",
        sides=("E_x log p(x)", "E_x (1/|X(x)|) Σ log p(x_i)"),
        relation=IDENTITY,
        draw=_special_cases,
        left=lambda d: -synonymity.entropy(d["p_X"]),
        right=lambda d: _mean_over_synsets(d, _mean_log(d)),
        active=("several synsets", lambda d: d["synset"].max(1) > 0),
    ),
    Statement(
        equation="(52)–(53), X fixed",
        claim="f is the divergence plus δ_p",
        sides=("f(p_X, X)", "D_KL[p_X ‖ p_X̂] + δ_p"),
        relation=IDENTITY,
        draw=_with_model,
        left=_f,
        right=lambda d: _kl(d)[:, None] + _delta(d),
        active=("D_KL > 0", lambda d: _kl(d) > 1e-9),
    ),
    Statement(
        equation="(52)–(53), X moving",
        claim="… with X the synset of x",
        sides=("f(p_X, X(x))", "D_KL[p_X ‖ p_X̂] + δ_p"),
        relation=IDENTITY,
        draw=_with_model,
        left=_own_f,
        right=lambda d: _kl(d) + _own_delta(d),
        active=("D_KL > 0", lambda d: _kl(d) > 1e-9),
    ),
    Statement(
        equation="(54)",
        claim="f is at least δ_p, with equality where D_KL = 0",
        sides=("δ_p", "f(p_X, X)"),
        relation=AT_MOST,
        draw=_with_model,
        left=_delta,
        right=_f,
        active=("D_KL > 0", lambda d: _kl(d) > 1e-9),
    ),
    Statement(
        equation="Fig. 5(b) sign, X fixed",
        claim="f < 0 occurs, so that no sign can be established: for X the likeliest sample",
        sides=("f(p_X, {x})", "0"),
        relation=LESS,
        draw=_with_model,
        left=lambda d: -synonymity.entropy(d["p_X"]) - np.log2(d["p_X"].max(1)),
        right=lambda d: np.zeros(len(d["p_X"])),
        active=sources.UNEQUAL,
        condition=("the source is not uniform", lambda d: np.ptp(d["p_X"], axis=1) > 1e-12),
    ),
    Statement(
        equation="Fig. 5(b) sign, X moving",
        claim="f < 0 occurs, X the synset of x",
        sides=("f(p_X, X(x))", "0"),
        relation=LESS,
        draw=_with_model,
        left=_own_f,
        right=lambda d: np.zeros(len(d["p_X"])),
        active=sources.UNEQUAL,
        repair={
            "relation": AT_MOST,
            "left": lambda d: np.zeros(len(d["p_X"])),
            "right": _own_f,
        },
        repair_words="f ≥ 0: it is Σ_X p(X) (D_KL[c ‖ u] + D_KL[u ‖ c]), c the members' "
        "distribution and u the uniform one, and 0 only for equal members",
    ),
    Statement(
        equation="Fig. 5(a), X fixed",
        claim="Where D_KL > f > 0, δ_p is negative",
        sides=("δ_p", "0"),
        relation=LESS,
        draw=_with_model,
        left=lambda d: np.where(_case_a(d), _delta(d), -1.0),
        right=lambda d: np.zeros((len(d["p_X"]), 1)),
        active=("D_KL > f > 0 for some X", lambda d: _case_a(d).any(1)),
    ),
    Statement(
        equation="Fig. 5(b), X fixed",
        claim="Where f < 0, |δ_p| = |f| + D_KL",
        sides=("|δ_p|", "|f| + D_KL"),
        relation=IDENTITY,
        draw=_with_model,
        left=lambda d: np.where(_f(d) < 0, np.abs(_delta(d)), 0.0),
        right=lambda d: np.where(_f(d) < 0, np.abs(_f(d)) + _kl(d)[:, None], 0.0),
        active=("f < 0 for some X", lambda d: (_f(d) < 0).any(1)),
    ),
    Statement(
        equation="(55)",
        claim="Minimising the second term of (45) over θ is minimising D_KL: both rank two "
        "decoders alike",
        sides=("second term at θ_1 - at θ_2", "D_KL at θ_1 - at θ_2"),
        relation=IDENTITY,
        draw=_two_models,
        left=lambda d: _own_f(d) - _own_f(d),
        right=lambda d: _kl(d, "p_X̂ of θ_1") - _kl(d, "p_X̂ of θ_2"),
        active=sources.UNEQUAL,
        repair={
            "left": lambda d: _own_delta(d, "p_X̂ of θ_2") - _own_delta(d, "p_X̂ of θ_1"),
        },
        repair_words="the second term has no θ; what D_KL gains from θ_1 to θ_2, δ_p loses",
    ),
    Statement(
        equation="Proposition 2, synsets",
        claim="With synsets of several members, the divergence does not cancel: D_KL + δ_p depends "
        "on θ",
        sides=("0", "|D_KL + δ_p at θ_1 - at θ_2|"),
        relation=LESS,
        draw=_two_models,
        left=lambda d: np.zeros(len(d["p_X"])),
        right=lambda d: np.abs(_sum(d, "p_X̂ of θ_1") - _sum(d, "p_X̂ of θ_2")),
        active=sources.UNEQUAL,
        repair={
            "relation": IDENTITY,
            "left": lambda d: _sum(d, "p_X̂ of θ_1"),
            "right": lambda d: _sum(d, "p_X̂ of θ_2"),
        },
        repair_words="D_KL + δ_p is the same for every θ, as in (64): it cancels with synsets too",
    ),
)
