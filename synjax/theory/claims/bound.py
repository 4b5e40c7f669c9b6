"""Statements (25)–(30): the synonymous variational lower bound, beside the classical one.

An instance has five samples, three synsets and three values of y_s, or three, two and two. In even
instances the model's joint p_θ(X, y_s) has the marginal p_X(X); in odd ones it is any.
"""

import numpy as np

from synjax.theory import finite_codec, instances, synonymity
from synjax.theory.claims import sources
from synjax.theory.statement import AT_MOST, IDENTITY, Statement


def _model(bits, count):
    drawn = sources.source(bits, count)
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    consistent = p_synset[..., None] * instances.distribution(bits, (count, 3, 3))
    free = instances.distribution(bits, (count, 9)).reshape(count, 3, 3)
    noisy = instances.distribution(bits, (count, 5, 3), low=0)
    encoder = np.where(
        (np.arange(count) % 4 < 2)[:, None, None], noisy, instances.function(bits, (count, 5), 3)
    )
    return drawn | {
        "p_θ(X,y_s)": instances.every_other(count, consistent, free),
        "q(y_s|x)": encoder,
    }


def own_evidence(drawn):
    """The evidence, log p_X(X) of each sample's synset, [N, n]."""
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    return np.log2(synonymity.of_member(p_synset, drawn["synset"]))


def consistent(drawn):
    """Whether Σ p_θ(X, y_s) over y_s is p_X(X). bool [N]."""
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    return np.abs(drawn["p_θ(X,y_s)"].sum(-1) - p_synset).max(-1) < 1e-12


CONSISTENT = ("the model's marginal over y_s is p_X(X)", consistent)


def divergence(drawn):
    """D_KL[q(y_s|x) ‖ p_θ(y_s|X)], [N, n]."""
    posterior = finite_codec.conditional(drawn["p_θ(X,y_s)"], -1)
    return synonymity.full_semantic_kl(drawn["q(y_s|x)"], posterior, drawn["synset"])


def _svlbo(drawn):
    return synonymity.svlbo(drawn["q(y_s|x)"], drawn["p_θ(X,y_s)"], drawn["synset"])


def likelihood(drawn):
    """E_q[-log p_θ(X|y_s)], [N, n]: the synonymous likelihood term of (28)."""
    given = finite_codec.conditional(drawn["p_θ(X,y_s)"], -2)
    own = synonymity.of_member(given, drawn["synset"])
    return -np.sum(drawn["q(y_s|x)"] * np.log2(own), axis=-1)


def rate(drawn):
    """E_q[-log p(y_s)], [N, n]: the synonymous coding rate of (28)."""
    prior = drawn["p_θ(X,y_s)"].sum(-2)
    return -np.sum(drawn["q(y_s|x)"] * np.log2(prior)[:, None, :], axis=-1)


def _differs(drawn):
    return divergence(drawn).max(-1) > 1e-9


def _posteriors(bits, count):
    """A true law p(y|x) of y = (y_s, y_ε), and a variational q, equal to it in half the instances.

    In even instances y_s depends on the synset only.
    """
    drawn = sources.source(bits, count, samples=3, synsets=2)
    by_synset = instances.distribution(bits, (count, 2, 2))
    shared = instances.every_other(
        count,
        synonymity.of_member(by_synset, drawn["synset"]),
        instances.distribution(bits, (count, 3, 2)),
    )
    true = shared[..., None] * instances.distribution(bits, (count, 3, 2, 2))
    other = instances.distribution(bits, (count, 3, 4)).reshape(count, 3, 2, 2)
    equal = (np.arange(count) % 4 < 2)[:, None, None, None]
    return drawn | {"p(y_s,y_ε|x)": true, "q(y_s,y_ε|x)": np.where(equal, true, other)}


def _flat(values):
    return values.reshape(*values.shape[:2], -1)


def _classical_divergence(drawn):
    return synonymity.kl(_flat(drawn["q(y_s,y_ε|x)"]), _flat(drawn["p(y_s,y_ε|x)"]))


def _synonymous_divergence(drawn):
    joint = drawn["p_X"][..., None] * drawn["p(y_s,y_ε|x)"].sum(-1)
    by_synset = finite_codec.conditional(
        np.einsum("bns,bnk->bks", joint, sources.members(drawn)), -1
    )
    arguments = drawn["q(y_s,y_ε|x)"].sum(-1), by_synset, drawn["synset"]
    return synonymity.full_semantic_kl(*arguments)


def _classical_bound(drawn):
    joint = drawn["p_X"][..., None, None] * drawn["p(y_s,y_ε|x)"]
    return synonymity.elbo(_flat(drawn["q(y_s,y_ε|x)"]), _flat(joint))


STATEMENTS = (
    Statement(
        equation="(25)–(26), (30)",
        claim="log p_X(X) is the SVLBO plus the full semantic KL",
        sides=("log p_X(X)", "SVLBO + D_KL[q(y_s|x) ‖ p_θ(y_s|X)]"),
        relation=IDENTITY,
        draw=_model,
        left=own_evidence,
        right=lambda d: _svlbo(d) + divergence(d),
        active=("the KL is not zero", _differs),
        condition=CONSISTENT,
    ),
    Statement(
        equation="(27)",
        claim="The SVLBO is a lower bound of log p_X(X)",
        sides=("SVLBO", "log p_X(X)"),
        relation=AT_MOST,
        draw=_model,
        left=_svlbo,
        right=own_evidence,
        active=("the KL is not zero", _differs),
        condition=CONSISTENT,
    ),
    Statement(
        equation="(28) with log q",
        claim="The SVLBO splits into log q, synonymous likelihood and coding rate",
        sides=("-SVLBO", "E[log q(y_s|x)] - E[log p_θ(X|y_s)] - E[log p(y_s)]"),
        relation=IDENTITY,
        draw=_model,
        left=lambda d: -_svlbo(d),
        right=lambda d: likelihood(d) + rate(d) - synonymity.entropy(d["q(y_s|x)"]),
        active=("the KL is not zero", _differs),
    ),
    Statement(
        equation="(28) without",
        claim="… of which log q is 0",
        sides=("-SVLBO", "-E[log p_θ(X|y_s)] - E[log p(y_s)]"),
        relation=IDENTITY,
        draw=_model,
        left=lambda d: -_svlbo(d),
        right=lambda d: likelihood(d) + rate(d),
        active=("the KL is not zero", _differs),
        condition=(
            "y_s is a function of x (for densities: the unit box of (16))",
            lambda d: synonymity.entropy(d["q(y_s|x)"]).max(-1) < 1e-12,
        ),
        stated="(16)",
    ),
    Statement(
        equation="(29)",
        claim="log p_X(x) is the ELBO plus the KL, with the true joint",
        sides=("-log p_X(x)", "-ELBO - D_KL[q(y|x) ‖ p(y|x)]"),
        relation=IDENTITY,
        draw=_posteriors,
        left=lambda d: -np.log2(d["p_X"]),
        right=lambda d: -_classical_bound(d) - _classical_divergence(d),
        active=("the KL is not zero", lambda d: _classical_divergence(d).max(-1) > 1e-9),
    ),
    Statement(
        equation="(29)–(30) target",
        claim="The synonymous target is at most the classical one",
        sides=("-log p_X(X)", "-log p_X(x)"),
        relation=AT_MOST,
        draw=sources.source,
        left=lambda d: -own_evidence(d),
        right=lambda d: -np.log2(d["p_X"]),
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(29)–(30) gap",
        claim="The synonymous KL, the gap to the target, is at most the classical ('typically')",
        sides=("E D_KL[q(y_s|x) ‖ p(y_s|X)]", "E D_KL[q(y|x) ‖ p(y|x)]"),
        relation=AT_MOST,
        draw=_posteriors,
        left=lambda d: np.sum(d["p_X"] * _synonymous_divergence(d), -1),
        right=lambda d: np.sum(d["p_X"] * _classical_divergence(d), -1),
        active=(
            "the synonymous KL is not zero",
            lambda d: _synonymous_divergence(d).max(-1) > 1e-9,
        ),
        condition=(
            "p(y_s|x) is the same for all members of a synset",
            lambda d: finite_codec.same_within_synsets(
                d["p(y_s,y_ε|x)"].sum(-1), sources.members(d)
            ),
        ),
    ),
)
