"""Statements (31)–(39) and (58): Proposition 1 in both directions, and the multiplier it adds.

An instance has five samples in three synsets. Where a representation is to tell the synset, each
synset has two values of y_s of its own.
"""

import numpy as np

from synjax.theory import finite_codec, instances, synonymity
from synjax.theory.claims import bound, sources
from synjax.theory.statement import AT_MOST, IDENTITY, Statement

_OWN = np.repeat(np.eye(3), 2, axis=1)  # [K, S]: which y_s are a synset's own
_SEVERAL = (
    "a synset has several members and several y_s",
    lambda d: d["q(y_s|x)"].max((1, 2)) < 1,
)


def _with_zero_divergence(bits, count):
    """Any consistent or free model p_θ(X, y_s), and the encoder q = p_θ(y_s|X): the KL is 0."""
    drawn = sources.source(bits, count)
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    joint = instances.every_other(
        count,
        p_synset[..., None] * instances.distribution(bits, (count, 3, 3)),
        instances.distribution(bits, (count, 9)).reshape(count, 3, 3),
    )
    return _follow_model(drawn | {"p_θ(X,y_s)": joint})


def _with_both_conditions(bits, count):
    """(31): the KL is 0 and p_θ(X|y_s) = 1, the model consistent in even instances."""
    drawn = sources.source(bits, count)
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    own = instances.distribution(bits, (count, 3, 6)) * _OWN
    own /= own.sum(-1, keepdims=True)
    free = instances.distribution(bits, (count, 3))
    marginal = instances.every_other(count, p_synset, free)
    return _follow_model(drawn | {"p_θ(X,y_s)": marginal[..., None] * own})


def _follow_model(drawn):
    posterior = finite_codec.conditional(drawn["p_θ(X,y_s)"], -1)
    return drawn | {"q(y_s|x)": synonymity.of_member(posterior, drawn["synset"])}


def _lossless_encoder(bits, count):
    """y_s tells the synset, in odd instances also members apart. θ is the true posterior."""
    drawn = sources.source(bits, count)
    own = synonymity.of_member(np.broadcast_to(_OWN, (count, 3, 6)), drawn["synset"])
    shared = synonymity.of_member(instances.distribution(bits, (count, 3, 6)), drawn["synset"])
    weights = instances.every_other(count, shared, instances.distribution(bits, (count, 5, 6)))
    return _follow_encoder(drawn, weights * own / np.sum(weights * own, -1, keepdims=True))


def _any_encoder(bits, count):
    drawn = sources.source(bits, count)
    return _follow_encoder(drawn, instances.distribution(bits, (count, 5, 3), low=0))


def _follow_encoder(drawn, encoder):
    drawn = drawn | {"q(y_s|x)": encoder}
    return drawn | {"p_θ(X,y_s)": _synset_and_representation(drawn)}


def _synset_and_representation(drawn):
    """The codec's own p(X, y_s), [N, K, S]."""
    law = drawn["p_X"][..., None] * drawn["q(y_s|x)"]
    return np.einsum("bns,bnk->bks", law, sources.members(drawn))


def _semantic_entropy(drawn):
    return synonymity.semantic_entropy(drawn["p_X"], sources.members(drawn))


def _information(drawn):
    return synonymity.mutual_information(_synset_and_representation(drawn))


def _identified(drawn):
    """I(X̃; X̃^), the receiver drawing a synset from p_θ(X|y_s)."""
    decoder = finite_codec.conditional(drawn["p_θ(X,y_s)"], -2)
    return synonymity.mutual_information(
        np.einsum("bks,bls->bkl", _synset_and_representation(drawn), decoder)
    )


def _mean(drawn, values):
    return np.sum(drawn["p_X"] * values, -1)


def _likelihood_of_each(drawn):
    """E_q log p_θ(X|y_s) of each sample, [N, n]; what q gives no mass counts nothing."""
    given = finite_codec.conditional(drawn["p_θ(X,y_s)"], -2)
    own = synonymity.of_member(given, drawn["synset"])
    own = np.where(drawn["q(y_s|x)"] > 0, own, 1.0)
    return np.sum(drawn["q(y_s|x)"] * np.log2(own), -1)


def _log_likelihood(drawn):
    """E log p_θ(X|y_s), [N]."""
    return _mean(drawn, _likelihood_of_each(drawn))


def _from_prior(drawn):
    """D_KL[q(y_s|x) ‖ p_θ(y_s)], [N, n]: the regularisation term of (32)."""
    return synonymity.kl(drawn["q(y_s|x)"], drawn["p_θ(X,y_s)"].sum(-2)[:, None, :])


def _with_multiplier(bits, count):
    """Even instances are feasible, p_θ(X|y_s) = 1; odd ones are not yet."""
    feasible, other = _lossless_encoder(bits, count), _any_encoder(bits, count)
    even = np.arange(count) % 2 == 0
    encoder = np.zeros((count, 5, 6))
    encoder[..., :3] = other["q(y_s|x)"]
    encoder[even] = feasible["q(y_s|x)"][even]
    drawn = {name: feasible[name] for name in ("p_X", "synset")}
    return _follow_encoder(drawn, encoder) | {
        "λ": instances.integers(bits, 1, 10, (count,)).astype(np.float64)
    }


def _rate(drawn):
    prior = drawn["p_θ(X,y_s)"].sum(-2)
    shared = np.einsum("bn,bns->bs", drawn["p_X"], drawn["q(y_s|x)"])
    return np.sum(
        shared * synonymity.log_ratio(np.ones_like(prior), np.where(prior > 0, prior, 1)), -1
    )


STATEMENTS = (
    Statement(
        equation="(32)",
        claim="Where the KL is 0, log p_X(X) is likelihood less regularisation",
        sides=("log p_X(X)", "E log p_θ(X|y_s) - D_KL[q(y_s|x) ‖ p_θ(y_s)]"),
        relation=IDENTITY,
        draw=_with_zero_divergence,
        left=bound.own_evidence,
        right=lambda d: _likelihood_of_each(d) - _from_prior(d),
        active=("p_θ(X|y_s) is not yet 1", lambda d: _log_likelihood(d) < -1e-9),
        condition=bound.CONSISTENT,
    ),
    Statement(
        equation="(33)–(34)",
        claim="Under (31), the semantic entropy is E D_KL[p_θ(y_s|X) ‖ p(y_s)]",
        sides=("E[-log p_X(X)]", "E D_KL[p_θ(y_s|X) ‖ p_θ(y_s)]"),
        relation=IDENTITY,
        draw=_with_both_conditions,
        left=_semantic_entropy,
        right=lambda d: _mean(d, _from_prior(d)),
        active=_SEVERAL,
        condition=bound.CONSISTENT,
    ),
    Statement(
        equation="(35)",
        claim="Proposition 1, sufficiency: under (31), y_s represents the semantics without loss",
        sides=("H_s(X̃)", "I(X̃; Y_s)"),
        relation=IDENTITY,
        draw=_with_both_conditions,
        left=_semantic_entropy,
        right=_information,
        active=_SEVERAL,
    ),
    Statement(
        equation="(36)",
        claim="Proposition 1, sufficiency: under (31), the receiver identifies the synset",
        sides=("H_s(X̃)", "I(X̃; X̃^), X̃^ ~ p_θ(X|y_s)"),
        relation=IDENTITY,
        draw=_with_both_conditions,
        left=_semantic_entropy,
        right=_identified,
        active=_SEVERAL,
    ),
    Statement(
        equation="(31) necessity, 1st",
        claim="Proposition 1, necessity: lossless representation forces E D_KL = 0 (best θ)",
        sides=("H_s(X̃) + E D_KL[q(y_s|x) ‖ p(y_s|X)]", "I(X̃; Y_s) = H_s(X̃)"),
        relation=IDENTITY,
        draw=_lossless_encoder,
        left=lambda d: _semantic_entropy(d) + _mean(d, bound.divergence(d)),
        right=_information,
        active=_SEVERAL,
        condition=(
            "y_s tells nothing of x beyond its synset: E D_KL is I(X; Y_s | X̃)",
            lambda d: finite_codec.same_within_synsets(d["q(y_s|x)"], sources.members(d)),
        ),
    ),
    Statement(
        equation="(31) both",
        claim="What (31) is equivalent to: lossless with I(X; Y_s) = H_s(X̃), nothing superfluous",
        sides=("E D_KL[q(y_s|x) ‖ p(y_s|X)] - E log p(X|y_s)", "I(X; Y_s) + H_s(X̃) - 2 I(X̃; Y_s)"),
        relation=IDENTITY,
        draw=_any_encoder,
        left=lambda d: _mean(d, bound.divergence(d)) - _log_likelihood(d),
        right=lambda d: (
            synonymity.mutual_information(d["p_X"][..., None] * d["q(y_s|x)"])
            + _semantic_entropy(d)
            - 2 * _information(d)
        ),
        active=("neither condition of (31) is met", lambda d: _log_likelihood(d) < -1e-9),
    ),
    Statement(
        equation="(37)",
        claim="Proposition 1, necessity: what is lost, H_s - I(X̃; Y_s), is -E log p(X|y_s)",
        sides=("E log p(X|y_s)", "I(X̃; Y_s) - H_s(X̃)"),
        relation=IDENTITY,
        draw=_any_encoder,
        left=_log_likelihood,
        right=lambda d: _information(d) - _semantic_entropy(d),
        active=("something is lost", lambda d: _log_likelihood(d) < -1e-9),
    ),
    Statement(
        equation="(35) and (62) bound",
        claim="The semantic entropy bounds what is sent from below ('lower bound', above (70))",
        sides=("H_s(X̃)", "I(X; Y_s)"),
        relation=AT_MOST,
        draw=_with_multiplier,
        left=_semantic_entropy,
        right=lambda d: synonymity.mutual_information(d["p_X"][..., None] * d["q(y_s|x)"]),
        active=_SEVERAL,
        condition=(
            "the representation is lossless, p(X|y_s) = 1",
            lambda d: np.abs(_log_likelihood(d)) < 1e-12,
        ),
        stated="below (62)",
    ),
    Statement(
        equation="(39), (58)",
        claim="(39) and the last line of (58) weigh the likelihood alike",
        sides=("(39): (λ + 1) E[-log p(X|y_s)] + rate", "(58): λ E[-log p(X|y_s)] + rate"),
        relation=IDENTITY,
        draw=_with_multiplier,
        left=lambda d: -(d["λ"] + 1) * _log_likelihood(d) + _rate(d),
        right=lambda d: -d["λ"] * _log_likelihood(d) + _rate(d),
        active=("y_s is random given x", _SEVERAL[1]),
        condition=("p(X|y_s) = 1, the constraint", lambda d: np.abs(_log_likelihood(d)) < 1e-12),
    ),
)
