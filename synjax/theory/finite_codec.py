"""The joint law of a synonymous codec on a finite source, and what (41)–(45) and (69) read off it.

A codec is q(y_s|x) [..., n, S], the detail's law p(ŷ_ε|y_s) [..., S, E] and a deterministic
generator g, x̂ = g(y_s, ŷ_ε), as indices [..., S, E] into the n samples. The detail is drawn without
looking at x. Every logarithm is to base 2; leading axes are a batch.
"""

import numpy as np


def reconstruction(detail, generator, outputs):
    """p(x̂ | y_s), [..., S, n]; (14). `outputs` is n."""
    hit = generator[..., None] == np.arange(outputs)
    return np.sum(detail[..., None] * hit, axis=-2)


def joint(p, encoder, decoder):
    """p(x, y_s, x̂), [..., n, S, n]: a Markov chain x → y_s → x̂.

    Args:
      p: source [..., n].
      encoder: q(y_s | x) [..., n, S].
      decoder: p(x̂ | y_s) [..., S, n].
    """
    return p[..., :, None, None] * encoder[..., None] * decoder[..., None, :, :]


def conditional(joint, axis):
    """The distribution over `axis` given the other axis; 0 where the condition has no mass."""
    total = joint.sum(axis, keepdims=True)
    return np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)


def posterior_given_reconstruction(law):
    """p_X|X̂(x | x̂), [..., n, n], column x̂; 0 for an x̂ that never occurs."""
    return conditional(law.sum(-2), -2)


def synset_given_representation(law, members):
    """p(X | y_s), [..., K, S], the true posterior of the synset."""
    return conditional(np.einsum("...nsr,...nk->...ks", law, members), -2)


def reveals(decoder):
    """Whether x̂ tells y_s: no x̂ comes from two of them. bool [...]."""
    return np.all(np.sum(decoder > 0, axis=-2) <= 1, axis=-1)


def same_within_synsets(rows, members):
    """Whether the rows [..., n, m] of all samples of a synset are equal. bool [...]."""
    together = np.einsum("...ik,...jk->...ij", members, members) > 0
    gap = np.abs(rows[..., :, None, :] - rows[..., None, :, :]).max(-1)
    return np.max(np.where(together, gap, 0.0), axis=(-2, -1)) < 1e-12
