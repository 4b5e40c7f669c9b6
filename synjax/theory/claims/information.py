"""Statements (7)–(23): semantic information measures and the two variational forms.

An instance has five samples in three synsets, or three in two: some synset has several members.
"""

import numpy as np

from synjax.theory import finite_codec, instances, synonymity
from synjax.theory.claims import sources
from synjax.theory.statement import AT_MOST, IDENTITY, Statement

_ENCODERS = 2  # in a family over which (18) and (19) are minimised


def _two_distributions(bits, count):
    drawn = sources.source(bits, count)
    return drawn | {"q": instances.distribution(bits, (count, sources.SAMPLES), low=0)}


def _latents(bits, count):
    """A deterministic encoder whose y_s depends on the synset only; y_ε is any of two values."""
    drawn = sources.source(bits, count)
    onto = instances.permutations(bits, count, 4)[:, : sources.SYNSETS]
    anyhow = instances.integers(bits, 0, 4, (count, sources.SYNSETS))
    return drawn | {
        "y_s of synset": instances.every_other(count, onto, anyhow),
        "y_ε of x": instances.integers(bits, 0, 2, (count, sources.SAMPLES)),
    }


def _latent_law(drawn):
    """p_Ȳ, [N, 8], and which latents each synset reaches, [N, 8, K]; y = (y_s, y_ε)."""
    y_s = np.take_along_axis(drawn["y_s of synset"], drawn["synset"], axis=1)
    y = synonymity.membership(2 * y_s + drawn["y_ε of x"], 8)
    return np.einsum("bn,bny->by", drawn["p_X"], y), (y.mT @ sources.members(drawn) > 0) * 1.0


def _representation_information(drawn):
    p_y, _ = _latent_law(drawn)
    p_shared = p_y.reshape(-1, 4, 2).sum(-1)
    return -np.log2(np.take_along_axis(p_shared, drawn["y_s of synset"], axis=1))


def _apart(drawn):
    ordered = np.sort(drawn["y_s of synset"], axis=1)
    return np.all(ordered[:, 1:] != ordered[:, :-1], axis=1)


def _variational(bits, count):
    drawn = sources.source(bits, count)
    encoder = instances.distribution(bits, (count, sources.SAMPLES, 6), low=0)
    return drawn | {
        "q(y_s,y_ε|x)": encoder.reshape(count, sources.SAMPLES, 3, 2),
        "p(y_s|X)": instances.distribution(bits, (count, sources.SYNSETS, 3)),
    }


def _detail_looks_at_x(drawn):
    """Whether q(y_ε | x, y_s) differs between samples: the Markov chain below (20) is broken."""
    detail = finite_codec.conditional(drawn["q(y_s,y_ε|x)"], -1)
    return np.ptp(detail, axis=1).max((1, 2)) > 1e-12


def _encoders(bits, count):
    """A family of encoders; in even instances y_ε is uniform noise on two cells, as in (16)."""
    shape = (count, _ENCODERS, 3, 2)
    shared = instances.distribution(bits, shape)[..., None]
    noise = np.full((*shape, 2), 0.5)
    learnt = instances.distribution(bits, (*shape, 2), low=0)
    return sources.source(bits, count, samples=3, synsets=2) | {
        "p(y_s|X)": instances.distribution(bits, (count, 2, 2)),
        "family of q(y_s,y_ε|x)": shared * instances.every_other(count, noise, learnt),
    }


def _objectives(drawn):
    """(18) and (19) for each encoder of the family, [N, F] each, and the entropy between them."""
    partial, full, detail = [], [], []
    for index in range(_ENCODERS):
        encoder = drawn["family of q(y_s,y_ε|x)"][:, index]
        arguments = drawn["p(y_s|X)"], drawn["synset"]
        partial.append(_mean(drawn, synonymity.partial_variational_kl(encoder, *arguments)))
        full.append(_mean(drawn, synonymity.full_semantic_kl(encoder.sum(-1), *arguments)))
        detail.append(synonymity.detail_entropy(drawn["p_X"], encoder))
    return np.stack(partial, 1), np.stack(full, 1), np.stack(detail, 1)


def _full_at_best_partial(drawn):
    partial, full, _ = _objectives(drawn)
    return np.take_along_axis(full, np.argmin(partial.round(9), axis=1)[:, None], axis=1)[:, 0]


def _mean(drawn, values):
    return np.sum(drawn["p_X"] * values, axis=-1)


def _partial(drawn):
    arguments = drawn["q(y_s,y_ε|x)"], drawn["p(y_s|X)"], drawn["synset"]
    return _mean(drawn, synonymity.partial_variational_kl(*arguments))


def _full(drawn):
    arguments = drawn["q(y_s,y_ε|x)"].sum(-1), drawn["p(y_s|X)"], drawn["synset"]
    return synonymity.full_semantic_kl(*arguments)


def _mass_seen(drawn):
    """Σ p(y_s|X) over the y_s that q reaches, [N, n]: the integral in (23)."""
    reached = drawn["q(y_s,y_ε|x)"].sum(-1) > 0
    target = synonymity.of_member(drawn["p(y_s|X)"], drawn["synset"])
    return np.sum(target * reached, axis=-1)


STATEMENTS = (
    Statement(
        equation="(7) forms",
        claim="Both forms of the semantic entropy agree",
        sides=("-Σ p(x̃) log p(x̃)", "-Σ_i p(x_i) log p_X(X_i)"),
        relation=IDENTITY,
        draw=sources.source,
        left=lambda d: synonymity.semantic_entropy(d["p_X"], sources.members(d)),
        right=lambda d: (
            synonymity.partial_semantic_kl(d["p_X"], d["p_X"], sources.members(d))
            + synonymity.entropy(d["p_X"])
        ),
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(7) bound",
        claim="Semantic entropy is at most Shannon's",
        sides=("H_s(X̃)", "H(X)"),
        relation=AT_MOST,
        draw=sources.source,
        left=lambda d: synonymity.semantic_entropy(d["p_X"], sources.members(d)),
        right=lambda d: synonymity.entropy(d["p_X"]),
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(8) bound",
        claim="The partial semantic KL is at most the KL (footnote 1)",
        sides=("D_KL,s[q ‖ p_s]", "D_KL[q ‖ p]"),
        relation=AT_MOST,
        draw=_two_distributions,
        left=lambda d: synonymity.partial_semantic_kl(d["q"], d["p_X"], sources.members(d)),
        right=lambda d: synonymity.kl(d["q"], d["p_X"]),
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(8) sign",
        claim="The partial semantic KL is a divergence, so not negative (a reading of the word)",
        sides=("0", "D_KL,s[q ‖ p_s]"),
        relation=AT_MOST,
        draw=_two_distributions,
        left=lambda d: np.zeros(len(d["q"])),
        right=lambda d: synonymity.partial_semantic_kl(d["q"], d["p_X"], sources.members(d)),
        active=sources.UNEQUAL,
        repair={
            "right": lambda d: synonymity.kl(
                synonymity.synset_probability(d["q"], sources.members(d)),
                synonymity.synset_probability(d["p_X"], sources.members(d)),
            )
        },
        repair_words="D_KL,s + H_q(X|X̃), the KL between the distributions over synsets, is ≥ 0",
    ),
    Statement(
        equation="(9)",
        claim="The information of y_s is that of the sum over the synset's latents",
        sides=("-log p(y_s)", "-log Σ_{y_i ∈ Y} p(y_i)"),
        relation=IDENTITY,
        draw=_latents,
        left=_representation_information,
        right=lambda d: synonymity.semantic_self_information(*_latent_law(d)),
        active=("a synset has several latents", lambda d: (_latent_law(d)[1].sum(1) > 1).any(1)),
        condition=("no two synsets share a y_s, as the inverse needs", _apart),
        stated="(15)",
    ),
    Statement(
        equation="(20)",
        claim="Theorem 1: the partial form is the full one less the detail's entropy",
        sides=("E D_KL,s[q(y|x) ‖ p(y_s|X)]", "E D_KL[q(y_s|x) ‖ p(y_s|X)] - H(Y_ε|X,Y_s)"),
        relation=IDENTITY,
        draw=_variational,
        left=_partial,
        right=lambda d: _mean(d, _full(d)) - synonymity.detail_entropy(d["p_X"], d["q(y_s,y_ε|x)"]),
        active=("y_ε depends on x given y_s: step (b) needs no Markov chain", _detail_looks_at_x),
    ),
    Statement(
        equation="(21)",
        claim="Theorem 1: what minimises (18) over a family of encoders minimises (19)",
        sides=("(19) at the minimiser of (18)", "minimum of (19)"),
        relation=IDENTITY,
        draw=_encoders,
        left=_full_at_best_partial,
        right=lambda d: _objectives(d)[1].min(1),
        active=("(19) differs over the family", lambda d: np.ptp(_objectives(d)[1], axis=1) > 1e-9),
        condition=(
            "H(Y_ε|X,Y_s) is the same for all encoders, as under the unit noise of the proof",
            lambda d: np.ptp(_objectives(d)[2], axis=1) < 1e-9,
        ),
        stated="proof of Theorem 1",
    ),
    Statement(
        equation="(22)",
        claim="Theorem 2: the full semantic KL is not negative",
        sides=("0", "D_KL[q(y_s|x) ‖ p(y_s|X)]"),
        relation=AT_MOST,
        draw=_variational,
        left=lambda d: np.zeros(len(d["p_X"]))[:, None],
        right=_full,
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(23) Jensen",
        claim="Theorem 2: Jensen's step",
        sides=("-log Σ_{q > 0} p(y_s|X)", "D_KL[q(y_s|x) ‖ p(y_s|X)]"),
        relation=AT_MOST,
        draw=_variational,
        left=lambda d: -np.log2(_mass_seen(d)),
        right=_full,
        active=("q and p differ", lambda d: _full(d).max(1) > 1e-9),
    ),
    Statement(
        equation="(23) end",
        claim="Theorem 2: the integral in the logarithm is 1 (q · p/q is 0 where q is)",
        sides=("Σ_{q > 0} p(y_s|X)", "1"),
        relation=IDENTITY,
        draw=_variational,
        left=_mass_seen,
        right=lambda d: np.ones_like(d["p_X"]),
        active=("q and p differ", lambda d: _full(d).max(1) > 1e-9),
        condition=(
            "q reaches every y_s that p does, which the unit box of (16) does not; "
            "(22) holds all the same, the sum being at most 1",
            lambda d: np.all(d["q(y_s,y_ε|x)"].sum(-1) > 0, axis=(1, 2)),
        ),
    ),
)
