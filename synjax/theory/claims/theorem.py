"""Statements (40), (56)–(61): Lemma 1 and Theorem 3 by brute force over all small codecs.

Distortion is squared error between samples on a line; for the lemma also, by turns, 1 for leaving
the synset and 0 within it, which breaks the "Δ = 0 if and only if x̂ = x" below (1).
"""

import numpy as np

from synjax.theory import brute_force, finite_codec, instances, synonymity
from synjax.theory.claims import codec_terms, sources
from synjax.theory.statement import AT_MOST, IDENTITY, Statement


def line(bits, count, samples):
    """Positions of samples on a line, [N, n]."""
    return np.cumsum(instances.integers(bits, 1, 4, (count, samples)), axis=1).astype(float)


def squared(drawn):
    """Squared error between the samples, [N, n, n]."""
    return np.square(drawn["position of x"][:, :, None] - drawn["position of x"][:, None, :])


def source_with_distortion(bits, count):
    """Four samples on a line, in two synsets; Δ by turns squared error and leaving the synset."""
    drawn = sources.source(bits, count, samples=4, synsets=2)
    return drawn | {
        "position of x": line(bits, count, 4),
        "Δ is 0 within synsets": np.arange(count) % 2 == 0,
    }


def distortion(drawn):
    """Δ between the samples, [N, n, n]."""
    leaves = drawn["synset"][:, :, None] != drawn["synset"][:, None, :]
    kind = drawn["Δ is 0 within synsets"][:, None, None]
    return np.where(kind, leaves.astype(float), squared(drawn))


def _lemma(bits, count):
    weight = instances.integers(bits, 1, 17, (count,)) / 8.0
    return source_with_distortion(bits, count) | {"λ_d": weight}


def _information_at_best(drawn):
    """I(X̃; Y_s) of the encoder that minimises λ_d E Δ + D_KL, its decoder the best, [N]."""
    encoders = brute_force.two_value_encoders(4)
    values, kept = [], []
    for encoder in encoders:
        arguments = drawn["p_X"], distortion(drawn), encoder, drawn["λ_d"]
        values.append(brute_force.distortion_divergence(*arguments))
        cells = synonymity.membership(encoder, 2)
        law = np.einsum("bn,bnk,ns->bks", drawn["p_X"], sources.members(drawn), cells)
        kept.append(synonymity.mutual_information(law))
    best = np.argmin(np.round(values, 7), axis=0)
    return np.take_along_axis(np.array(kept), best[None], axis=0)[0]


def semantic_entropy(drawn):
    """H_s(X̃), [N]."""
    return synonymity.semantic_entropy(drawn["p_X"], sources.members(drawn))


def _small_source(bits, count):
    """Three samples on a line, and the D that some encoder of two values reaches at P = 0."""
    drawn = {
        "p_X": instances.distribution(bits, (count, 3)),
        "position of x": line(bits, count, 3),
    }
    chosen = instances.integers(bits, 0, 3, (count,))
    levels = [
        brute_force.least_distortion(drawn["p_X"], squared(drawn), encoder)
        for encoder in brute_force.two_value_encoders(3)
    ]
    return drawn | {"D": np.take_along_axis(np.array(levels), chosen[None], axis=0)[0]}


def _random_encoder(bits, count):
    """A random encoder of three samples, the decoder drawing x̂ ~ p(x | y_s), and its D."""
    drawn = {
        "p_X": instances.distribution(bits, (count, 3)),
        "position of x": line(bits, count, 3),
        "q(y_s|x)": instances.distribution(bits, (count, 3, 2), low=0),
    }
    law = drawn["p_X"][..., None] * drawn["q(y_s|x)"]
    decoder = finite_codec.conditional(law, 1)  # [N, n, S], column y_s
    level = np.einsum("bxs,brs,bxr->b", law, decoder, squared(drawn))
    return drawn | {"D": level}


def _codec_rate(drawn):
    return brute_force.synonymous_rate(drawn["p_X"], squared(drawn), drawn["D"])


def _limit(drawn):
    return brute_force.perfect_realism_rate(drawn["p_X"], squared(drawn), drawn["D"])


def _entropy_model(bits, count):
    """A codec and the entropy model of its y_s: the marginal in even instances, any in odd ones."""
    drawn = codec_terms.codec(bits, count)
    other = instances.distribution(bits, (count, 2))
    model = instances.every_other(count, _shared(drawn), other)
    return drawn | {"p_model(y_s)": model}


def _shared(drawn):
    """P(y_s), [N, S]."""
    return np.einsum("bn,bns->bs", drawn["p_X"], drawn["q(y_s|x)"])


def _cross_entropy(drawn):
    shared = _shared(drawn)
    model = np.where(shared > 0, drawn["p_model(y_s)"], 1.0)
    return -np.sum(shared * np.log2(model), -1)


def _overlapping(bits, count):
    """Codecs of which a third reconstructs the same set of x̂ from both y_s."""
    drawn = codec_terms.codec(bits, count)
    outputs = drawn["x̂ of (y_s,ŷ_ε)"]
    copied = np.repeat(outputs[:, :1], 2, axis=1)
    same = (np.arange(count) // 6 % 3 == 0)[:, None, None]
    return drawn | {"x̂ of (y_s,ŷ_ε)": np.where(same, copied, outputs)}


def _same_set(drawn):
    """Whether both y_s reconstruct the same set of x̂. bool [N]."""
    reached = codec_terms.decoder(drawn) > 0
    return np.all(reached[:, 0] == reached[:, 1], axis=-1)


def _reconstructed_entropy(drawn):
    """H(X̃^), X̃^ the reconstructed set, [N]."""
    entropy = synonymity.entropy(_shared(drawn))
    return np.where(_same_set(drawn), 0.0, entropy)


ZERO_WITHIN = (
    "Δ is 0 within synsets, against 'Δ = 0 iff x̂ = x' below (1)",
    lambda d: d["Δ is 0 within synsets"],
)
_TELLS = ("y_s depends on x", lambda d: np.ptp(d["q(y_s|x)"], axis=1).max(1) > 1e-12)

STATEMENTS = (
    Statement(
        equation="(40), (56)",
        claim="Lemma 1: what minimises λ_d E Δ + D_KL[p_X ‖ p_X̂] over all codecs with two y_s for "
        "two synsets (every encoder, best decoder) minimises -log p(X|y_s)",
        sides=("I(X̃; Y_s) at the minimiser", "its largest value, H_s(X̃)"),
        relation=IDENTITY,
        draw=_lemma,
        left=_information_at_best,
        right=semantic_entropy,
        active=sources.UNEQUAL,
        condition=ZERO_WITHIN,
    ),
    Statement(
        equation="(57), (61)",
        claim="Theorem 3: (57) with the deterministic codec of (60) is the limit, R(D, P) of (5) "
        "(P = 0; three samples, every encoder and decoder)",
        sides=("R(X), by trial of all", "R(D, 0)"),
        relation=IDENTITY,
        draw=_small_source,
        left=_codec_rate,
        right=_limit,
        active=("R(X) > 0: D binds", lambda d: _codec_rate(d) > 1e-6),
        repair={
            "relation": AT_MOST,
            "left": _limit,
            "right": _codec_rate,
        },
        repair_words="R(D, 0) ≤ R(X): one symbol at a time and without a random encoder, the codec "
        "pays more than the limit",
        tolerance=1e-5,
    ),
    Statement(
        equation="(57), any encoder",
        claim="… and no codec with a random encoder does better (it equals R(D, P) at y_s = x̂, "
        "|X̂| = 1)",
        sides=("R(D, 0) at the codec's D", "I(X; Y_s) of a codec with p_X̂ = p_X"),
        relation=AT_MOST,
        draw=_random_encoder,
        left=_limit,
        right=codec_terms.sent,
        active=("D binds: R(D, 0) > 0", lambda d: _limit(d) > 1e-6),
        tolerance=1e-5,
    ),
    Statement(
        equation="(60) model",
        claim="The coding rate is the entropy of y_s",
        sides=("E[-log p_model(y_s)]", "H(Y_s)"),
        relation=IDENTITY,
        draw=_entropy_model,
        left=_cross_entropy,
        right=lambda d: synonymity.entropy(_shared(d)),
        active=("y_s is not constant", lambda d: _shared(d).max(1) < 1),
        condition=(
            "the entropy model is the marginal of y_s",
            lambda d: np.abs(d["p_model(y_s)"] - _shared(d)).max(1) < 1e-12,
        ),
    ),
    Statement(
        equation="(60)(a)",
        claim="… which is the entropy of the reconstructed synset",
        sides=("H(Y_s)", "H(X̃^)"),
        relation=IDENTITY,
        draw=_overlapping,
        left=lambda d: synonymity.entropy(_shared(d)),
        right=_reconstructed_entropy,
        active=("y_s is not constant", lambda d: _shared(d).max(1) < 1),
        condition=("no two y_s reconstruct the same set", lambda d: ~_same_set(d)),
    ),
    Statement(
        equation="(60)(b)–(c)",
        claim="… and the information I(X; X̃^) (X̃^ one-to-one with y_s)",
        sides=("H(Y_s)", "I(X; Y_s)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=lambda d: synonymity.entropy(_shared(d)),
        right=codec_terms.sent,
        active=_TELLS,
        condition=("y_s is a function of x", codec_terms.decides),
        stated="step (b)",
    ),
)
