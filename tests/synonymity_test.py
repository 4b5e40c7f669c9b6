"""The definitions against small cases worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from synjax.theory import finite_codec, instances, synonymity

P = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
SYNSET = np.array([0, 0, 1, 1])
MEMBERS = synonymity.membership(SYNSET, 2)


def test_entropy_and_divergence_are_in_bits():
    assert synonymity.entropy(P) == 1.75
    assert synonymity.kl(P, np.full(4, 1 / 4)) == pytest.approx(0.25)


def test_no_mass_counts_nothing_and_missing_mass_is_infinite():
    certain, even = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    assert synonymity.entropy(certain) == 0
    assert synonymity.kl(certain, even) == 1
    assert synonymity.kl(even, certain) == np.inf


def test_mutual_information_of_a_copy_is_the_entropy_and_of_independents_zero():
    assert synonymity.mutual_information(np.diag(P)) == pytest.approx(1.75)
    assert synonymity.mutual_information(np.outer(P, P)) == pytest.approx(0, abs=1e-12)


def test_semantic_entropy_is_that_of_the_synsets():
    np.testing.assert_allclose(synonymity.synset_probability(P, MEMBERS), [3 / 4, 1 / 4])
    expected = 2 - 3 / 4 * np.log2(3)
    assert synonymity.semantic_entropy(P, MEMBERS) == pytest.approx(expected)


def test_semantic_entropy_and_that_within_synsets_make_up_the_entropy():
    # H(X|X̃): h(2/3) with probability 3/4, one bit with probability 1/4.
    within = 3 / 4 * (np.log2(3) - 2 / 3) + 1 / 4
    assert synonymity.semantic_entropy(P, MEMBERS) + within == pytest.approx(1.75)


def test_semantic_entropy_of_singletons_is_the_entropy_and_of_one_synset_zero():
    assert synonymity.semantic_entropy(P, np.eye(4)) == 1.75
    assert synonymity.semantic_entropy(P, np.ones((4, 1))) == 0


def test_partial_semantic_kl_compares_samples_with_their_synset():
    q = np.array([1 / 2, 1 / 2, 0, 0])
    # Both terms are 1/2 log₂((1/2) / (3/4)): negative, as q is spread within a likely synset.
    assert synonymity.partial_semantic_kl(q, P, MEMBERS) == pytest.approx(np.log2(2 / 3))


def test_partial_semantic_kl_of_singletons_is_the_divergence():
    q = np.array([1 / 4, 1 / 4, 1 / 4, 1 / 4])
    expected = stats.entropy(q, P, base=2)
    assert synonymity.partial_semantic_kl(q, P, np.eye(4)) == pytest.approx(expected)


def test_semantic_self_information_sums_over_the_latent_synset():
    p_latent = np.array([1 / 2, 1 / 4, 1 / 4])
    latents = np.array([[1, 0], [1, 0], [0, 1]])
    found = synonymity.semantic_self_information(p_latent, latents)
    np.testing.assert_allclose(found, [-np.log2(3 / 4), 2])


def test_a_member_finds_the_values_of_its_synset():
    values = np.arange(12.0).reshape(1, 2, 3, 2)
    found = synonymity.of_member(values, SYNSET[None])
    np.testing.assert_array_equal(found[0], values[0][SYNSET])


def test_the_partial_form_is_the_full_one_less_the_bit_of_an_even_detail():
    shared = np.array([[1 / 2, 1 / 2], [1 / 4, 3 / 4], [1, 0], [0, 1]])
    posterior = np.array([[1 / 2, 1 / 2], [1 / 4, 3 / 4]])
    encoder = np.repeat(shared[..., None], 2, axis=-1) / 2
    full = synonymity.full_semantic_kl(shared, posterior, SYNSET)
    expected = [0, stats.entropy([1, 3], [1, 1], base=2), 2, np.log2(4 / 3)]
    np.testing.assert_allclose(full, expected)
    assert synonymity.detail_entropy(P, encoder) == pytest.approx(1)
    partial = synonymity.partial_variational_kl(encoder, posterior, SYNSET)
    np.testing.assert_allclose(partial, full - 1)


def test_the_bounds_touch_the_evidence_at_the_true_posterior():
    posterior = np.array([[1 / 2, 1 / 2], [1 / 4, 3 / 4]])
    joint = np.array([3 / 4, 1 / 4])[:, None] * posterior
    found = synonymity.svlbo(posterior[SYNSET], joint, SYNSET)
    np.testing.assert_allclose(found, np.log2([3 / 4, 3 / 4, 1 / 4, 1 / 4]))
    encoder = posterior[SYNSET]
    np.testing.assert_allclose(synonymity.elbo(encoder, P[:, None] * encoder), np.log2(P))


def test_the_synonymous_bound_lies_below_by_the_divergence():
    joint = np.array([[3 / 8, 3 / 8], [1 / 16, 3 / 16]])
    encoder = np.array([[1.0, 0.0]] * 4)
    found = synonymity.svlbo(encoder, joint, SYNSET)
    np.testing.assert_allclose(found, np.log2([3 / 8, 3 / 8, 1 / 16, 1 / 16]))


def test_f_of_a_fixed_synset_can_have_either_sign():
    # E log p(x) = -1.75; the synsets' mean of log p(x_i) is -1.5 and -3.
    np.testing.assert_allclose(synonymity.f(P, MEMBERS), [-0.25, 1.25])


def test_f_of_the_own_synset_is_the_mean_over_synsets():
    p_synset = synonymity.synset_probability(P, MEMBERS)
    assert synonymity.own_f(P, MEMBERS) == pytest.approx(3 / 4 * -0.25 + 1 / 4 * 1.25)
    assert synonymity.own_f(P, MEMBERS) == pytest.approx(p_synset @ synonymity.f(P, MEMBERS))


def test_f_of_the_own_synset_is_a_divergence_both_ways_within_it():
    p = np.array([3 / 4, 1 / 4])
    both = stats.entropy(p, [1, 1], base=2) + stats.entropy([1, 1], p, base=2)
    assert synonymity.own_f(p, np.ones((2, 1))) == pytest.approx(both)


def test_f_is_the_divergence_plus_delta_in_both_readings():
    p_hat = np.array([1 / 4, 1 / 4, 1 / 4, 1 / 4])
    # δ_p: E log p_X̂(x) = -2 in place of -1.75.
    np.testing.assert_allclose(synonymity.delta_p(P, p_hat, MEMBERS), [-0.5, 1.0])
    gap = synonymity.own_f(P, MEMBERS) - synonymity.own_delta_p(P, p_hat, MEMBERS)
    assert gap == pytest.approx(0.25)


def test_an_empty_synset_has_no_mean_and_changes_no_other():
    padded = synonymity.membership(SYNSET, 3)
    np.testing.assert_allclose(synonymity.f(P, padded), [-0.25, 1.25, np.nan])
    assert synonymity.own_f(P, padded) == synonymity.own_f(P, MEMBERS)


# The codec.


def _codec():
    encoder = np.array([[1, 0], [1, 0], [0, 1], [1 / 2, 1 / 2]])
    detail = np.array([[1 / 4, 3 / 4], [1 / 2, 1 / 2]])
    decoder = finite_codec.reconstruction(detail, np.array([[0, 1], [2, 2]]), 4)
    return encoder, decoder


def test_reconstruction_gathers_the_details_that_lead_to_the_same_sample():
    _, decoder = _codec()
    np.testing.assert_array_equal(decoder, [[1 / 4, 3 / 4, 0, 0], [0, 0, 1, 0]])
    assert finite_codec.reveals(decoder)
    assert not finite_codec.reveals(decoder[:, [0, 0, 2, 3]] + 1e-3)


def test_the_joint_law_is_a_chain_from_source_to_reconstruction():
    encoder, decoder = _codec()
    law = finite_codec.joint(P, encoder, decoder)
    assert law.sum() == pytest.approx(1)
    np.testing.assert_allclose(law.sum((1, 2)), P)
    np.testing.assert_allclose(law.sum((0, 1)), (P @ encoder) @ decoder)


def test_posteriors_are_conditional_distributions_and_zero_where_nothing_leads():
    encoder, decoder = _codec()
    law = finite_codec.joint(P, encoder, decoder)
    posterior = finite_codec.posterior_given_reconstruction(law)
    np.testing.assert_allclose(posterior.sum(0), [1, 1, 1, 0])
    # y_s = 2 has mass 3/16, of which x = 3 has 2/16.
    np.testing.assert_allclose(posterior[:, 2], [0, 0, 2 / 3, 1 / 3])
    given = finite_codec.synset_given_representation(law, MEMBERS)
    np.testing.assert_allclose(given, [[12 / 13, 0], [1 / 13, 1]])


def test_rows_are_compared_within_synsets_only():
    rows = np.array([[0.3, 0.7], [0.3, 0.7], [0.5, 0.5], [0.5, 0.5]])
    assert finite_codec.same_within_synsets(rows, MEMBERS)
    assert not finite_codec.same_within_synsets(rows[[0, 2, 1, 3]], MEMBERS)


# The random instances.


def test_instances_repeat_with_their_seed_and_stream_only():
    draw = [
        instances.distribution(instances.generator(*key), (5, 4))
        for key in ((0, 1), (0, 1), (1, 1), (0, 2))
    ]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert np.any(draw[0] != draw[2])
    assert np.any(draw[0] != draw[3])


def test_drawn_distributions_are_normalised_and_positive_unless_zeros_are_asked_for():
    bits = instances.generator(0, 0)
    positive, some = (instances.distribution(bits, (500, 3), low=low) for low in (1, 0))
    for drawn in (positive, some):
        np.testing.assert_allclose(drawn.sum(-1), 1)
    assert positive.min() > 0
    assert 0.05 < np.mean(some == 0) < 0.2


def test_drawn_synsets_are_all_inhabited_and_one_has_several_members():
    synset = instances.synsets(instances.generator(0, 0), 200, 5, 3)
    sizes = synonymity.membership(synset, 3).sum(1)
    assert sizes.min() == 1
    assert sizes.max(1).min() == 2
