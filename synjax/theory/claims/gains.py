"""Statements (69)–(70): whether synonymous coding gains in rate.

X̃^ has two readings: the reconstructed set, one-to-one with y_s as in (60)(a), so that I(X; X̃^) is
I(X; Y_s), what is sent; or the source's synset of x̂, f⁻¹ of (15), a function of x̂.
"""

import numpy as np

from synjax.theory import brute_force, finite_codec, instances, synonymity
from synjax.theory.claims import codec_terms, sources, theorem
from synjax.theory.statement import AT_MOST, IDENTITY, LESS, Statement


def _synset_received(drawn):
    """I(X; X̃^), X̃^ the source's synset of x̂, [N]."""
    by_synset = np.einsum("bnr,brk->bnk", codec_terms.law(drawn).sum(-2), sources.members(drawn))
    return synonymity.mutual_information(by_synset)


def _synset_reveals(drawn):
    """Whether the source's synset of x̂ tells y_s. bool [N]."""
    return finite_codec.reveals(codec_terms.decoder(drawn) @ sources.members(drawn))


def _informed_detail(bits, count):
    """A codec whose decoder is told more of x than y_s: p(ŷ_ε | x, y_s) depends on x."""
    drawn = codec_terms.codec(bits, count)
    told = instances.distribution(bits, (count, 4, 2, 2))
    untold = np.broadcast_to(drawn.pop("p(ŷ_ε|y_s)")[:, None], told.shape)
    kind = (np.arange(count) % 5 < 4)[:, None, None, None]
    return drawn | {"p(ŷ_ε|x,y_s)": np.where(kind, told, untold)}


def _informed_decoder(drawn):
    """p(x̂ | x, y_s), [N, n, S, n]."""
    outputs = np.broadcast_to(drawn["x̂ of (y_s,ŷ_ε)"][:, None], drawn["p(ŷ_ε|x,y_s)"].shape)
    return finite_codec.reconstruction(drawn["p(ŷ_ε|x,y_s)"], outputs, 4)


def _informed_received(drawn):
    law = drawn["p_X"][:, :, None, None] * drawn["q(y_s|x)"][..., None] * _informed_decoder(drawn)
    return synonymity.mutual_information(law.sum(-2))


def _informed_reveals(drawn):
    """Whether no x̂ comes from two y_s, whatever x is. bool [N]."""
    return finite_codec.reveals(_informed_decoder(drawn).max(1))


def _looks_at_x(drawn):
    """Whether x̂ depends on x given y_s, for a y_s that several x reach with mass. bool [N]."""
    law = drawn["p_X"][:, :, None, None] * drawn["q(y_s|x)"][..., None] * _informed_decoder(drawn)
    return _informed_gain(law) > 1e-9


def _informed_gain(law):
    """I(X; X̂ | Y_s) of a law [N, n, S, n]."""
    both = law.reshape(len(law), law.shape[1], -1)
    return synonymity.mutual_information(both) - synonymity.mutual_information(law.sum(-1))


def _ideal_distortion(drawn):
    """E Δ of the ideal codec: y_s the synset, x̂ ~ p(x | X), so that p_X̂ = p_X, [N]."""
    members = sources.members(drawn)
    p_synset = synonymity.synset_probability(drawn["p_X"], members)
    own = synonymity.of_member(p_synset, drawn["synset"])
    together = members @ members.mT
    law = drawn["p_X"][:, :, None] * drawn["p_X"][:, None, :] * together / own[..., None]
    return np.sum(law * theorem.distortion(drawn), axis=(1, 2))


def _limit(drawn):
    arguments = drawn["p_X"], theorem.distortion(drawn), _ideal_distortion(drawn)
    return brute_force.perfect_realism_rate(*arguments)


_INFORMS = ("y_s tells something of x", lambda d: codec_terms.sent(d) > 1e-9)
_REVEALS = ("no x̂ comes from two y_s", codec_terms.reveals)

STATEMENTS = (
    Statement(
        equation="(69) as sent",
        claim="I(X; X̃^) ≤ I(X; X̂), the detail drawn independently of x given y_s, X̃^ one-to-one "
        "with y_s",
        sides=("I(X; Y_s)", "I(X; X̂)"),
        relation=AT_MOST,
        draw=codec_terms.codec,
        left=codec_terms.sent,
        right=codec_terms.received,
        active=_INFORMS,
        condition=(f"{_REVEALS[0]}; then with equality", _REVEALS[1]),
    ),
    Statement(
        equation="(69) as sent, strict",
        claim="… and can be strict: a gain",
        sides=("I(X; Y_s)", "I(X; X̂)"),
        relation=LESS,
        draw=codec_terms.codec,
        left=codec_terms.sent,
        right=codec_terms.received,
        active=_INFORMS,
        repair={"relation": AT_MOST, "left": codec_terms.received, "right": codec_terms.sent},
        repair_words="never: data processing gives the opposite, I(X; X̂) ≤ I(X; Y_s)",
    ),
    Statement(
        equation="(69), informed detail",
        claim="… and is strict where the detail follows x, I(X; Ŷ_ε | Y_s) > 0, unsent as it is",
        sides=("I(X; Y_s)", "I(X; X̂)"),
        relation=LESS,
        draw=_informed_detail,
        left=codec_terms.sent,
        right=_informed_received,
        active=_INFORMS,
        condition=(
            "x̂ depends on x given y_s and no x̂ comes from two y_s",
            lambda d: _looks_at_x(d) & _informed_reveals(d),
        ),
    ),
    Statement(
        equation="(69), synset of x̂",
        claim="I(X; X̃^) ≤ I(X; X̂), X̃^ the source's synset of x̂",
        sides=("I(X; X̃^)", "I(X; X̂)"),
        relation=AT_MOST,
        draw=codec_terms.codec,
        left=_synset_received,
        right=codec_terms.received,
        active=_INFORMS,
    ),
    Statement(
        equation="(69), (60) of x̂",
        claim="… and that I(X; X̃^) is what is sent",
        sides=("I(X; Y_s)", "I(X; X̃^)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=codec_terms.sent,
        right=_synset_received,
        active=_INFORMS,
        condition=(
            "the synset of x̂ tells y_s, or y_s tells nothing of x: (69) is an equality",
            lambda d: _synset_reveals(d) | ~_INFORMS[1](d),
        ),
    ),
    Statement(
        equation="(70)",
        claim="H_s(X̃) ≤ R(D, P) at the D and P = 0 of the ideal codec, x̂ ~ p(x|X)",
        sides=("H_s(X̃)", "R(D, 0)"),
        relation=AT_MOST,
        draw=theorem.source_with_distortion,
        left=theorem.semantic_entropy,
        right=_limit,
        active=sources.UNEQUAL,
        condition=(
            f"{theorem.ZERO_WITHIN[0]}; then with equality",
            theorem.ZERO_WITHIN[1],
        ),
        tolerance=1e-5,
    ),
    Statement(
        equation="(70) at D = 0",
        claim="… at D = 0, which no codec meets that draws from synsets of several members",
        sides=("H_s(X̃)", "R(0, 0) = H(X)"),
        relation=AT_MOST,
        draw=theorem.source_with_distortion,
        left=theorem.semantic_entropy,
        right=lambda d: synonymity.entropy(d["p_X"]),
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(70) strict",
        claim="… and can be strict: a gain over the limit",
        sides=("H_s(X̃)", "R(D, 0)"),
        relation=LESS,
        draw=theorem.source_with_distortion,
        left=theorem.semantic_entropy,
        right=_limit,
        active=sources.UNEQUAL,
        repair={"relation": AT_MOST, "left": _limit, "right": theorem.semantic_entropy},
        repair_words="never: the ideal codec meets D and P, so R(D, 0) ≤ I(X; X̂) ≤ H_s(X̃)",
        tolerance=1e-5,
    ),
)
