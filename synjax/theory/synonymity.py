"""Synonymity-based information measures on finite sources with explicit synsets.

A source is a distribution p [..., n] and the number of each sample's synset, `synset` [..., n] in
0…K-1, or a `membership` [..., n, K] made from it. Every logarithm is to base 2, as in the paper,
and every result in bits. Leading axes are a batch. Numbers in parentheses are the equations.
"""

import numpy as np


def log_ratio(p, q):
    """log₂(p / q) where p > 0, and 0 where p = 0; inf where only q = 0."""
    p, q = np.broadcast_arrays(np.asarray(p, np.float64), np.asarray(q, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, np.log2(p) - np.log2(q), 0.0)


def entropy(p):
    """Shannon entropy over the last axis, [...]."""
    return -np.sum(p * log_ratio(p, 1.0), axis=-1)


def kl(q, p):
    """D_KL[q ‖ p] over the last axis, [...]; inf where q puts mass that p does not."""
    return np.sum(q * log_ratio(q, p), axis=-1)


def mutual_information(joint):
    """I(A; B) of a joint distribution [..., a, b]."""
    return (
        entropy(joint.sum(-1))
        + entropy(joint.sum(-2))
        + np.sum(joint * log_ratio(joint, 1.0), axis=(-2, -1))
    )


def membership(synset, synsets):
    """One-hot synsets [..., n, K] from their numbers [..., n]; K = `synsets`."""
    return (np.asarray(synset)[..., None] == np.arange(synsets)).astype(np.float64)


def of_member(values, synset):
    """Looks up each sample's synset: values [..., K, *m] → [..., n, *m]."""
    index = np.asarray(synset).reshape(synset.shape + (1,) * (values.ndim - synset.ndim))
    return np.take_along_axis(values, index, axis=synset.ndim - 1)


def synset_probability(p, members):
    """p_X(X), the sum of the probabilities of a synset's samples, [..., K]; below (7)."""
    return np.einsum("...n,...nk->...k", p, members)


def semantic_entropy(p, members):
    """H_s(X̃) = -Σ p(x̃) log p(x̃), [...]; (7)."""
    return entropy(synset_probability(p, members))


def partial_semantic_kl(q, p, members):
    """D_KL,s[q ‖ p_s] = Σ q(x_i) log(q(x_i) / p_X(X_i)), [...]; (8).

    Args:
      q: syntactic distribution [..., n].
      p: source distribution [..., n], summed over the synsets `members` [..., n, K].
    """
    own = np.einsum("...k,...nk->...n", synset_probability(p, members), members)
    return np.sum(q * log_ratio(q, own), axis=-1)


def semantic_self_information(p_latent, latents):
    """-log Σ p(ȳ_i) over each latent synset, [..., K]; the right side of (9).

    Args:
      p_latent: probabilities of the latents [..., m].
      latents: which of them belong to each synset's image Ȳ, zeros and ones [..., m, K].
    """
    return -np.log2(np.einsum("...m,...mk->...k", p_latent, latents))


def partial_variational_kl(encoder, posterior, synset):
    """D_KL,s[q(y|x) ‖ p(y_s|X)] of each sample, [..., n]; inside (18).

    Args:
      encoder: q(y_s, y_ε | x) [..., n, S, E].
      posterior: p(y_s | X) [..., K, S].
      synset: [..., n].
    """
    target = of_member(posterior, synset)[..., None]
    return np.sum(encoder * log_ratio(encoder, target), axis=(-2, -1))


def full_semantic_kl(encoder, posterior, synset):
    """D_KL[q(y_s|x) ‖ p(y_s|X)] of each sample, [..., n]; inside (19).

    Args:
      encoder: q(y_s | x) [..., n, S].
      posterior: p(y_s | X) [..., K, S].
      synset: [..., n].
    """
    return kl(encoder, of_member(posterior, synset))


def detail_entropy(p, encoder):
    """H(Y_ε | X, Y_s), [...], of q(y_s, y_ε | x) [..., n, S, E]; the last term of (20)."""
    shared = encoder.sum(-1, keepdims=True)
    return np.einsum("...n,...nse->...", p, -encoder * log_ratio(encoder, shared))


def svlbo(encoder, joint, synset):
    """E_{q(y_s|x)} log(p_θ(X, y_s) / q(y_s|x)) of each sample, [..., n]; (27).

    Args:
      encoder: q(y_s | x) [..., n, S].
      joint: p_θ(X, y_s) [..., K, S].
      synset: [..., n].
    """
    return -np.sum(encoder * log_ratio(encoder, of_member(joint, synset)), axis=-1)


def elbo(encoder, joint):
    """E_{q(y|x)} log(p(x, y) / q(y|x)) of each sample, [..., n], both [..., n, Y]; (3)."""
    return -np.sum(encoder * log_ratio(encoder, joint), axis=-1)


def synset_mean(values, members):
    """(1/|X|) Σ_{x_i ∈ X} of values [..., n], [..., K]; NaN for an empty synset."""
    size = members.sum(-2)
    mean = np.einsum("...n,...nk->...k", values, members) / np.maximum(size, 1)
    return np.where(size > 0, mean, np.nan)


def f(p, members):
    """The constant of (51), (1/|X|) Σ_{x_i ∈ X} E_x log(p_X(x) / p_X(x_i)), [..., K]; (51).

    As printed: x runs over the whole source while X stays the same.
    """
    return -entropy(p)[..., None] - synset_mean(np.log2(p), members)


def delta_p(p, p_hat, members):
    """δ_p = (1/|X|) Σ_{x_i ∈ X} E_x log(p_X̂(x) / p_X(x_i)), [..., K]; below (52)."""
    cross = np.sum(p * np.log2(p_hat), axis=-1)
    return cross[..., None] - synset_mean(np.log2(p), members)


def own_f(p, members):
    """E_x (1/|X(x)|) Σ_{x_i ∈ X(x)} log(p_X(x) / p_X(x_i)), [...]; the left side of (50).

    Here X is the synset of x. Within each synset, with c its members' conditional distribution and
    u the uniform one, the term is D_KL[c ‖ u] + D_KL[u ‖ c]: it is never negative.
    """
    own = _own_mean(np.log2(p), members)
    return np.sum(p * (np.log2(p) - own), axis=-1)


def own_delta_p(p, p_hat, members):
    """δ_p with X the synset of x, [...]: E_x (1/|X(x)|) Σ log(p_X̂(x) / p_X(x_i))."""
    own = _own_mean(np.log2(p), members)
    return np.sum(p * (np.log2(p_hat) - own), axis=-1)


def _own_mean(values, members):
    """Mean of values [..., n] over each sample's synset, [..., n]."""
    mean = np.nan_to_num(synset_mean(values, members))
    return np.einsum("...k,...nk->...n", mean, members)
