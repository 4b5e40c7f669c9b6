"""The terms of (41)–(45), of a drawn codec: every probability is of its true joint law.

An instance has four samples in two synsets, two values of y_s and two of ŷ_ε. Of the encoders a
third is any, a third depends on the synset only, a third is a function of the synset. Of the
generators half is one-to-one.
"""

import numpy as np

from synjax.theory import finite_codec, instances, synonymity
from synjax.theory.claims import sources


def codec(bits, count):
    """A source and a codec (see `finite_codec`)."""
    drawn = sources.source(bits, count, samples=4, synsets=2)
    kind = (np.arange(count) % 3)[:, None, None]
    by_synset = np.where(
        kind == 1,
        instances.distribution(bits, (count, 2, 2)),
        instances.function(bits, (count, 2), 2),
    )
    encoder = np.where(
        kind == 0,
        instances.distribution(bits, (count, 4, 2)),
        synonymity.of_member(by_synset, drawn["synset"]),
    )
    one_to_one = instances.permutations(bits, count, 4).reshape(count, 2, 2)
    anyhow = instances.integers(bits, 0, 4, (count, 2, 2))
    return drawn | {
        "q(y_s|x)": encoder,
        "p(ŷ_ε|y_s)": instances.distribution(bits, (count, 2, 2)),
        "x̂ of (y_s,ŷ_ε)": np.where((np.arange(count) % 2 == 0)[:, None, None], one_to_one, anyhow),
    }


def decoder(drawn):
    """p(x̂ | y_s), [N, S, n]."""
    return finite_codec.reconstruction(drawn["p(ŷ_ε|y_s)"], drawn["x̂ of (y_s,ŷ_ε)"], 4)


def law(drawn):
    """p(x, y_s, x̂), [N, n, S, n]."""
    return finite_codec.joint(drawn["p_X"], drawn["q(y_s|x)"], decoder(drawn))


def posterior(drawn):
    """p_X|X̂(x | x̂), [N, n, n]."""
    return finite_codec.posterior_given_reconstruction(law(drawn))


def _reached(drawn, values):
    """Keeps values [N, n, S] where q(y_s|x) > 0, NaN elsewhere."""
    return np.where(drawn["q(y_s|x)"] > 0, values, np.nan)


def _information(values):
    with np.errstate(divide="ignore"):
        return -np.log2(values)


def _own(drawn, by_synset):
    return synonymity.of_member(by_synset, drawn["synset"])


def likelihood(drawn):
    """-log p(X|y_s) for each x's synset and y_s, [N, n, S]."""
    given = finite_codec.synset_given_representation(law(drawn), sources.members(drawn))
    return _reached(drawn, _information(_own(drawn, given)))


def likelihood_by_detail(drawn):
    """-log Σ_ε p(ŷ_ε|y_s) Σ_{x_i ∈ X} p(x_i|y_s, ŷ_ε), [N, n, S]: (41)(c), from all of y."""
    shared = drawn["p_X"][..., None] * drawn["q(y_s|x)"]
    full = shared[..., None] * drawn["p(ŷ_ε|y_s)"][:, None]
    samples = finite_codec.conditional(full, 1)
    synset = np.einsum("bnse,bnk->bkse", samples, sources.members(drawn))
    mixed = np.sum(synset * drawn["p(ŷ_ε|y_s)"][:, None], -1)
    return _reached(drawn, _information(_own(drawn, mixed)))


def likelihood_by_reconstruction(drawn):
    """-log E_{x̂|y_s} Σ_{x_i ∈ X} p(x_i|x̂), [N, n, S]: (41)(d)."""
    synset = np.einsum("bnr,bnk->bkr", posterior(drawn), sources.members(drawn))
    mixed = np.einsum("bkr,bsr->bks", synset, decoder(drawn))
    return _reached(drawn, _information(_own(drawn, mixed)))


def reciprocal_form(drawn):
    """-log E Σ p(x̂|x_i) · p(x)/p(x̂) · p(x_i)/p(x), [N, n, S]: the last line of (42)."""
    forward = np.einsum("bns,bsr->bnr", drawn["q(y_s|x)"], decoder(drawn))
    p = drawn["p_X"]
    output = np.einsum("bn,bnr->br", p, forward)
    inverse = np.divide(1.0, output, out=np.zeros_like(output), where=output > 0)
    together = sources.members(drawn) @ sources.members(drawn).mT
    ratio = together * p[:, None, :] / p[:, :, None]  # x, x_i
    summed = np.einsum("bxi,bir->bxr", ratio, forward) * p[..., None] * inverse[:, None, :]
    return _reached(drawn, _information(np.einsum("bxr,bsr->bxs", summed, decoder(drawn))))


def forward(drawn):
    """p(x̂ | x), [N, n, n]."""
    return np.einsum("bns,bsr->bnr", drawn["q(y_s|x)"], decoder(drawn))


def mates(drawn, values):
    """Values [N, n, m] of each x_i beside each x, NaN in other synsets: [N, n, n, m]."""
    together = (sources.members(drawn) @ sources.members(drawn).mT) > 0
    return np.where(together[..., None], values[:, None], np.nan)


def ratio_term(drawn):
    """-log Σ_{x_i ∈ X} p(x_i) / p(x), [N, n, 1]."""
    p_synset = synonymity.synset_probability(drawn["p_X"], sources.members(drawn))
    return (np.log2(drawn["p_X"]) - np.log2(_own(drawn, p_synset)))[..., None]


def reconstruction_term(drawn):
    """-log E_{x̂|y_s} p(x|x̂), [N, n, S]: the first term of (44)."""
    mixed = np.einsum("bnr,bsr->bns", posterior(drawn), decoder(drawn))
    return _reached(drawn, _information(mixed))


def averaged_term(drawn):
    """E_{x̂|y_s}[-log p(x|x̂)], [N, n, S]: the first term of (45)(b)."""
    weights = np.broadcast_to(decoder(drawn)[:, None], (len(drawn["p_X"]), 4, 2, 4))
    likelihood = np.broadcast_to(posterior(drawn)[:, :, None, :], weights.shape)
    mean = -np.sum(weights * synonymity.log_ratio(1.0, np.where(weights > 0, likelihood, 1.0)), -1)
    return _reached(drawn, -mean)


def mean_ratio_term(drawn):
    """(1/|X|) Σ log p(x)/p(x_i) - log |X|, [N, n, 1]: the second and third term of (45)(c)."""
    members = sources.members(drawn)
    mean = synonymity.synset_mean(np.log2(drawn["p_X"]), members)
    size = members.sum(1)
    return (np.log2(drawn["p_X"]) - _own(drawn, mean) - np.log2(_own(drawn, size)))[..., None]


def decides(drawn):
    """Whether y_s is a function of x."""
    return drawn["q(y_s|x)"].max(-1).min(-1) == 1


def knows_only_the_synset(drawn):
    """Whether q(y_s|x) is the same for all members of a synset. bool [N]."""
    return finite_codec.same_within_synsets(drawn["q(y_s|x)"], sources.members(drawn))


def reveals(drawn):
    """Whether x̂ tells y_s. bool [N]."""
    return finite_codec.reveals(decoder(drawn))


def sent(drawn):
    """I(X; Y_s), [N]: what the bits must carry; I(X; X̃^) if X̃^ is one-to-one with y_s, (60)."""
    return synonymity.mutual_information(drawn["p_X"][..., None] * drawn["q(y_s|x)"])


def received(drawn):
    """I(X; X̂), [N]."""
    return synonymity.mutual_information(law(drawn).sum(-2))
