"""Statements (41)–(45): the steps of Lemma 1, for a codec's true joint law (`codec_terms`)."""

import itertools

import numpy as np

from synjax.theory import instances, synonymity
from synjax.theory.claims import codec_terms, sources
from synjax.theory.statement import AT_MOST, IDENTITY, LESS, Statement


def _neighbourhoods(bits, count):
    """Samples on a line; X(x) is all within a radius of x."""
    gaps = instances.integers(bits, 1, 9, (count, 4)).astype(float)
    return {
        "position of x": np.cumsum(gaps, axis=1),
        "radius": instances.integers(bits, 2, 9, (count,)).astype(float),
        "p_X": instances.distribution(bits, (count, 4)),
    }


def _largest_rate(drawn):
    """Largest H(Y_s) over deterministic encoders that give a neighbourhood one y_s, [N]."""
    gap = np.abs(drawn["position of x"][:, :, None] - drawn["position of x"][:, None, :])
    near = gap <= drawn["radius"][:, None, None]
    best = np.zeros(len(gap))
    for labels in itertools.product(range(4), repeat=4):
        members = np.eye(4)[list(labels)]
        allowed = ~np.any(near & ((members @ members.T) == 0), axis=(1, 2))
        best = np.maximum(best, np.where(allowed, synonymity.entropy(drawn["p_X"] @ members), 0.0))
    return best


def _chained(drawn):
    return np.diff(drawn["position of x"], axis=1).max(1) <= drawn["radius"]


def _several_neighbours(drawn):
    return np.diff(drawn["position of x"], axis=1).min(1) <= drawn["radius"]


def _one_to_one(bits, count):
    drawn = codec_terms.codec(bits, 2 * count)
    return {name: value[::2] for name, value in drawn.items()}


def _extremes(drawn):
    """Largest and smallest p(x|x̂_j) over the x̂_j that y_s reaches, [N, n, S] each."""
    reached = codec_terms.decoder(drawn)[:, None] > 0
    posterior = codec_terms.posterior(drawn)[:, :, None, :]
    high = np.where(reached, posterior, -np.inf).max(-1)
    return high, np.where(reached, posterior, np.inf).min(-1)


def _spread(drawn):
    high, low = _extremes(drawn)
    return np.mean(high - low, axis=(1, 2))


def _representation_beside_sample(drawn):
    """p(x̂|y_s) for the y_s that x reaches, NaN for the others, [N, n, S, n]."""
    reached = drawn["q(y_s|x)"][..., None] > 0
    return np.where(reached, codec_terms.decoder(drawn)[:, None], np.nan)


_RANDOM = ("x̂ is random given y_s", lambda d: codec_terms.decoder(d).max((1, 2)) < 1)
_ONE_LAW = ("q(y_s|x) is the same for all members of a synset", codec_terms.knows_only_the_synset)
_REVEALS = ("no x̂ comes from two y_s", codec_terms.reveals)

STATEMENTS = (
    Statement(
        equation="(41)(a)–(c)",
        claim="The likelihood, detail by detail and member by member",
        sides=("-log p(X|y_s)", "-log E_ε Σ_{x_i ∈ X} p(x_i|y_s, ŷ_ε)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=codec_terms.likelihood,
        right=codec_terms.likelihood_by_detail,
        active=_RANDOM,
    ),
    Statement(
        equation="(41)(d)",
        claim="p(x_i|ŷ) is p(x_i|x̂), the generator being deterministic",
        sides=("-log p(X|y_s)", "-log E_x̂|y_s Σ_{x_i ∈ X} p(x_i|x̂)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=codec_terms.likelihood,
        right=codec_terms.likelihood_by_reconstruction,
        active=_RANDOM,
        condition=_REVEALS,
    ),
    Statement(
        equation="(42)",
        claim="Bayes' rule and the reciprocal terms",
        sides=("-log E Σ p(x_i|x̂)", "-log E Σ p(x̂|x_i) · p(x)/p(x̂) · p(x_i)/p(x)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=codec_terms.likelihood_by_reconstruction,
        right=codec_terms.reciprocal_form,
        active=_RANDOM,
    ),
    Statement(
        equation="(43) ends",
        claim="All members of a synset lead to the same law of x̂",
        sides=("p(x̂|x_i)", "p(x̂|x)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=lambda d: codec_terms.mates(d, codec_terms.forward(d)),
        right=lambda d: codec_terms.forward(d)[:, :, None],
        active=_RANDOM,
        condition=_ONE_LAW,
        stated="above (43)",
    ),
    Statement(
        equation="(43) middle",
        claim="… which is the law of x̂ given y_s",
        sides=("p(x̂|y_s)", "p(x̂|x)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=_representation_beside_sample,
        right=lambda d: codec_terms.forward(d)[:, :, None],
        active=_RANDOM,
        condition=("y_s is a function of x", codec_terms.decides),
        stated="above (43)",
    ),
    Statement(
        equation="(43) neighbourhoods",
        claim="With synsets 'centred on x' (IV-C), an encoder can meet (43) and tell samples apart",
        sides=("0", "largest H(Y_s) under (43), all encoders tried"),
        relation=LESS,
        draw=_neighbourhoods,
        left=lambda d: np.zeros(len(d["p_X"])),
        right=_largest_rate,
        active=("a synset has several members", _several_neighbours),
        condition=(
            "the neighbourhoods do not chain all samples together, as those of a connected "
            "support do",
            lambda d: ~_chained(d),
        ),
    ),
    Statement(
        equation="(44)",
        claim="The likelihood is a reconstruction term plus a term of the source alone",
        sides=("-log E Σ p(x_i|x̂)", "-log E p(x|x̂) - log Σ p(x_i)/p(x)"),
        relation=IDENTITY,
        draw=codec_terms.codec,
        left=codec_terms.likelihood_by_reconstruction,
        right=lambda d: codec_terms.reconstruction_term(d) + codec_terms.ratio_term(d),
        active=sources.UNEQUAL,
        condition=_ONE_LAW,
        stated="(43)",
    ),
    Statement(
        equation="(45)(b), 1st",
        claim="Jensen's step for the reconstruction term",
        sides=("-log E p(x|x̂)", "E[-log p(x|x̂)]"),
        relation=AT_MOST,
        draw=codec_terms.codec,
        left=codec_terms.reconstruction_term,
        right=codec_terms.averaged_term,
        active=_RANDOM,
    ),
    Statement(
        equation="(45)(b), 2nd",
        claim="Jensen's step for the source term",
        sides=("-log Σ p(x_i)/p(x)", "(1/|X|) Σ log p(x)/p(x_i) - log |X|"),
        relation=AT_MOST,
        draw=codec_terms.codec,
        left=codec_terms.ratio_term,
        right=codec_terms.mean_ratio_term,
        active=sources.UNEQUAL,
    ),
    Statement(
        equation="(41)–(45)",
        claim="The chain as a whole: its last line bounds the likelihood",
        sides=("-log p(X|y_s)", "E[-log p(x|x̂)] + (1/|X|) Σ log p(x)/p(x_i) - log |X|"),
        relation=AT_MOST,
        draw=codec_terms.codec,
        left=codec_terms.likelihood,
        right=lambda d: codec_terms.averaged_term(d) + codec_terms.mean_ratio_term(d),
        active=sources.UNEQUAL,
        condition=(
            f"{_ONE_LAW[0]} and {_REVEALS[0]}",
            lambda d: codec_terms.knows_only_the_synset(d) & codec_terms.reveals(d),
        ),
    ),
    Statement(
        equation="(41)(d) in (45)",
        claim="Where (41)(d) holds, the members x̂_j of a reconstructed synset differ in p(x|x̂_j), "
        "as the Gaussian of (46) has it",
        sides=("0", "spread of p(x|x̂_j) over j, mean over x and y_s"),
        relation=LESS,
        draw=_one_to_one,
        left=lambda d: np.zeros(len(d["p_X"])),
        right=_spread,
        active=_RANDOM,
        repair={
            "relation": IDENTITY,
            "left": lambda d: _extremes(d)[0],
            "right": lambda d: _extremes(d)[1],
        },
        repair_words="largest and smallest p(x|x̂_j) are equal: x̂_j tells y_s and nothing more, so "
        "p(x|x̂_j) = p(x|y_s), and the first Jensen step of (45) is an equality",
    ),
)
