"""Statements (63)–(68): what is left without synsets."""

import itertools

import numpy as np

from synjax.theory import brute_force, finite_codec, instances, synonymity
from synjax.theory.claims import codec_terms, theorem
from synjax.theory.statement import AT_MOST, IDENTITY, Statement


def _single_samples(bits, count):
    """Synsets of one sample; in even instances y_ε adds nothing to y_s."""
    shared = instances.distribution(bits, (count, 3, 2))[..., None]
    noise = np.broadcast_to(instances.distribution(bits, (count, 1, 2, 2)), (count, 3, 2, 2))
    detail = instances.every_other(count, noise, instances.distribution(bits, (count, 3, 2, 2)))
    return {
        "p_X": instances.distribution(bits, (count, 3)),
        "synset": np.broadcast_to(np.arange(3), (count, 3)),
        "q(y_s,y_ε|x)": shared * detail,
    }


def _equivocation(joint):
    """H(X | Y) of a joint [N, n, Y]."""
    return synonymity.entropy(joint.sum(-1)) - synonymity.mutual_information(joint)


def _single_shared(drawn):
    members = synonymity.membership(drawn["synset"], 3)
    law = drawn["p_X"][..., None] * drawn["q(y_s,y_ε|x)"].sum(-1)
    return _equivocation(np.einsum("bns,bnk->bks", law, members))


def _single_full(drawn):
    law = drawn["p_X"][..., None, None] * drawn["q(y_s,y_ε|x)"]
    return _equivocation(law.reshape(*law.shape[:2], -1))


def _adds_nothing(drawn):
    detail = finite_codec.conditional(drawn["q(y_s,y_ε|x)"], -1)
    return np.ptp(detail, axis=1).max((1, 2)) < 1e-12


def _classical_codec(bits, count):
    """Singletons, and a decoder that reaches every sample; no x̂ from two y_s in even instances."""
    half = instances.permutations(bits, count, 4)[:, None, :] < 2
    apart = np.concatenate([half, ~half], axis=1)
    weights = instances.distribution(bits, (count, 2, 4))
    weights = weights * instances.every_other(count, apart, np.ones_like(apart))
    return {
        "p_X": instances.distribution(bits, (count, 4)),
        "synset": np.broadcast_to(np.arange(4), (count, 4)),
        "q(y_s|x)": instances.distribution(bits, (count, 4, 2)),
        "p(ŷ_ε|y_s)": weights / weights.sum(-1, keepdims=True),
        "x̂ of (y_s,ŷ_ε)": np.broadcast_to(np.arange(4), (count, 2, 4)),
    }


def _mean(drawn, values):
    weights = drawn["p_X"][..., None] * drawn["q(y_s|x)"]
    return np.sum(np.where(weights > 0, weights * values, 0.0), axis=(1, 2))


def _with_divergence_twice(drawn):
    """(64)(f): E[-log p(x|x̂)] - D_KL + D_KL, [N]."""
    output = codec_terms.law(drawn).sum((1, 2))
    divergence = synonymity.kl(drawn["p_X"], output)
    return _mean(drawn, codec_terms.averaged_term(drawn)) - divergence + divergence


def _single_member(bits, count):
    """A random encoder to three y_s and one x̂ for each; in even instances another for each."""
    onto = instances.permutations(bits, count, 3)
    anyhow = instances.integers(bits, 0, 3, (count, 3))
    return {
        "p_X": instances.distribution(bits, (count, 3)),
        "q(y_s|x)": instances.distribution(bits, (count, 3, 3)),
        "x̂ of y_s": instances.every_other(count, onto, anyhow),
    }


def _single_received(drawn):
    """I(X; X̂), the reconstructed synset being {x̂}, [N]."""
    decoder = synonymity.membership(drawn["x̂ of y_s"], 3)
    law = drawn["p_X"][..., None] * np.einsum("bns,bsr->bnr", drawn["q(y_s|x)"], decoder)
    return synonymity.mutual_information(law)


def _distinct(drawn):
    return np.all(np.diff(np.sort(drawn["x̂ of y_s"], axis=1), axis=1) > 0, axis=1)


def _single_codec(bits, count):
    """Three samples on a line, and D as a share of what an independent x̂ ~ p_X has."""
    return {
        "p_X": instances.distribution(bits, (count, 3)),
        "position of x": theorem.line(bits, count, 3),
        "share of largest D": instances.integers(bits, 1, 10, (count,)) / 10.0,
    }


def _level(drawn):
    return drawn["share of largest D"] * np.einsum(
        "bi,bj,bij->b", drawn["p_X"], drawn["p_X"], theorem.squared(drawn)
    )


def _deterministic_rate(drawn):
    """Least H(X̂) of all maps x → x̂ with E Δ ≤ D and finite D_KL[p_X ‖ p_X̂], [N]."""
    best = np.full(len(drawn["p_X"]), np.inf)
    level, cost = _level(drawn), theorem.squared(drawn)
    for reconstruction in itertools.product(range(3), repeat=3):
        output = drawn["p_X"] @ np.eye(3)[list(reconstruction)]
        spent = np.sum(drawn["p_X"] * cost[:, range(3), list(reconstruction)], axis=1)
        allowed = (spent <= level) & np.isfinite(synonymity.kl(drawn["p_X"], output))
        best = np.minimum(best, np.where(allowed, synonymity.entropy(output), np.inf))
    return best


def _limit(drawn):
    arguments = drawn["p_X"], theorem.squared(drawn), _level(drawn)
    return brute_force.perfect_realism_rate(*arguments)


def _slope(bits, count):
    """A source and a slope; in even instances uniform on a ring, where R(D) keeps p_X."""
    p = instances.distribution(bits, (count, 3))
    squared = theorem.squared({"position of x": theorem.line(bits, count, 3)})
    ring = np.broadcast_to(1.0 - np.eye(3), squared.shape)
    return {
        "p_X": instances.every_other(count, np.full_like(p, 1 / 3), p),
        "Δ": instances.every_other(count, ring, squared),
        "slope": instances.integers(bits, 1, 9, (count,)) / 8.0,
    }


def _cost(drawn, law):
    """I(X; X̂) + slope · E Δ in bits, slope in nats, [N]."""
    spent = drawn["slope"] * np.sum(law * drawn["Δ"], axis=(1, 2)) / np.log(2)
    return synonymity.mutual_information(law) + spent


def _channels(drawn):
    """The optima of R(D, 0) and R(D) at the slope, [N, n, n] each."""
    arguments = drawn["p_X"], drawn["Δ"], drawn["slope"]
    return (
        brute_force.perfect_realism_channel(*arguments),
        brute_force.rate_distortion_channel(*arguments),
    )


def _binds(drawn):
    return synonymity.mutual_information(_channels(drawn)[0]) > 1e-6


def _keeps(drawn):
    """Whether the optimum of R(D) has p_X̂ = p_X. bool [N]."""
    return np.abs(_channels(drawn)[1].sum(1) - drawn["p_X"]).max(1) < 1e-6


STATEMENTS = (
    Statement(
        equation="(63)",
        claim="With singletons, the synonymous likelihood is the classical one",
        sides=("E[-log p({x}|y_s)]", "E[-log p(x|y)]"),
        relation=IDENTITY,
        draw=_single_samples,
        left=_single_shared,
        right=_single_full,
        active=("y_s does not tell x", lambda d: _single_shared(d) > 1e-9),
        condition=("y_ε tells nothing of x beyond y_s, 'y_s degenerates to y' (67)", _adds_nothing),
        stated="(67)",
    ),
    Statement(
        equation="(64)",
        claim="With singletons, the divergence enters and cancels (D_KL finite)",
        sides=("E[-log p(x|y_s)]", "E[-log p(x|x̂)] - D_KL + D_KL"),
        relation=IDENTITY,
        draw=_classical_codec,
        left=lambda d: _mean(d, codec_terms.likelihood(d)),
        right=_with_divergence_twice,
        active=("y_s does not tell x", lambda d: _mean(d, codec_terms.likelihood(d)) > 1e-9),
        condition=("no x̂ comes from two y_s, as for (41)(d)", codec_terms.reveals),
    ),
    Statement(
        equation="(66)",
        claim="With one reconstruction for each y_s, I(X; X̃^) is I(X; X̂): the RDP tradeoff",
        sides=("I(X; Y_s)", "I(X; X̂)"),
        relation=IDENTITY,
        draw=_single_member,
        left=codec_terms.sent,
        right=_single_received,
        active=("y_s tells something of x", lambda d: codec_terms.sent(d) > 1e-9),
        condition=("no two y_s have the same x̂", _distinct),
    ),
    Statement(
        equation="(66) deterministic",
        claim="… and with the deterministic codec of (60)(b) its rate is R(D, P), P finite "
        "(three samples, every map tried)",
        sides=("least H(X̂) with finite D_KL[p_X ‖ p_X̂]", "R(D, 0) ≥ R(D, P)"),
        relation=AT_MOST,
        draw=_single_codec,
        left=_deterministic_rate,
        right=_limit,
        active=("D binds: R(D, 0) > 0", lambda d: _limit(d) > 1e-6),
        repair={"left": _limit, "right": _deterministic_rate},
        repair_words="the rate is at least R(D, 0): a finite D_KL needs every sample as an x̂, so a "
        "map x → x̂ is one-to-one and its rate is H(X)",
        tolerance=1e-5,
    ),
    Statement(
        equation="(65), (68)",
        claim="With X = {x}, the constraint on D_KL goes and R(D, P) is R(D) (P = 0, any slope)",
        sides=("min I(X; X̂) + slope · E Δ with p_X̂ = p_X", "the same without"),
        relation=IDENTITY,
        draw=_slope,
        left=lambda d: _cost(d, _channels(d)[0]),
        right=lambda d: _cost(d, _channels(d)[1]),
        active=("D binds: I(X; X̂) > 0", _binds),
        condition=("the optimum of R(D) has p_X̂ = p_X already: P does not bind", _keeps),
        tolerance=1e-5,
    ),
)
