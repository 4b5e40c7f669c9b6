"""Optima by trial against closed forms and an independent solver."""

import numpy as np
import pytest
from scipy import optimize, special

from synjax.theory import brute_force, synonymity

HAMMING = 1.0 - np.eye(2)
P = np.array([0.5, 0.3, 0.2])
SQUARED = np.subtract.outer([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]) ** 2


def _binary_entropy(p):
    return special.entr([p, 1 - p]).sum() / np.log(2)


@pytest.mark.parametrize("level", [0.05, 0.11, 0.3])
def test_an_even_coin_pays_nothing_for_perfect_realism(level):
    # Its rate-distortion optimum, 1 - h(D), has even outputs already.
    found = brute_force.perfect_realism_rate(np.array([0.5, 0.5]), HAMMING, level)
    assert found == pytest.approx(1 - _binary_entropy(level), abs=1e-9)


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_an_uneven_coin_at_perfect_realism_has_one_coupling_for_each_distortion(level):
    p = 0.3
    coupling = np.array([[p - level / 2, level / 2], [level / 2, 1 - p - level / 2]])
    expected = 2 * _binary_entropy(p) - special.entr(coupling).sum() / np.log(2)
    found = brute_force.perfect_realism_rate(np.array([p, 1 - p]), HAMMING, level)
    assert found == pytest.approx(expected, abs=1e-8)


def test_perfect_realism_channels_have_both_marginals():
    for slope in (0.0, 0.3, 2.0, 30.0):
        coupling = brute_force.perfect_realism_channel(P, SQUARED, np.array(slope))
        np.testing.assert_allclose(coupling.sum(0), P, atol=1e-9)
        np.testing.assert_allclose(coupling.sum(1), P, atol=1e-9)


def test_the_rate_distortion_channel_of_a_coin_is_the_closed_form():
    p, level = np.array([0.3, 0.7]), 0.1
    law = brute_force.rate_distortion_channel(p, HAMMING, np.log((1 - level) / level))
    assert np.sum(law * HAMMING) == pytest.approx(level, abs=1e-6)
    expected = _binary_entropy(0.3) - _binary_entropy(level)
    assert synonymity.mutual_information(law) == pytest.approx(expected, abs=1e-6)


def test_encoders_of_two_values_are_all_there_once():
    encoders = brute_force.two_value_encoders(4)
    assert len(encoders) == 2**3 - 1
    assert len({tuple(row) for row in encoders}) == 7


@pytest.mark.parametrize("encoder", brute_force.two_value_encoders(3), ids=str)
def test_least_distortion_is_that_of_optimal_transport(encoder):
    mass, cost = brute_force.cell_distortions(P, SQUARED, encoder)
    rows = np.kron(np.eye(2), np.ones(3))
    columns = np.kron(np.ones(2), np.eye(3))
    expected = optimize.linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([mass, P])
    ).fun
    assert brute_force.least_distortion(P, SQUARED, encoder) == pytest.approx(expected)


@pytest.mark.parametrize("weight", [0.05, 0.4, 3.0])
@pytest.mark.parametrize("encoder", brute_force.two_value_encoders(3), ids=str)
def test_distortion_and_divergence_are_least_by_an_independent_solver(encoder, weight):
    mass, cost = brute_force.cell_distortions(P, SQUARED, encoder)

    def objective(logits):
        decoder = special.softmax(logits.reshape(2, 3), axis=1)
        divergence = np.sum(P * np.log(P / (mass @ decoder)))
        return weight * np.sum(mass[:, None] * decoder * cost) + divergence

    starts = np.random.default_rng(0).normal(size=(5, 6))
    expected = min(optimize.minimize(objective, start, tol=1e-10).fun for start in starts)
    found = brute_force.distortion_divergence(P, SQUARED, encoder, np.array(weight))
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_synonymous_rate_falls_in_steps_from_the_entropy_to_nothing():
    independent = float(P @ SQUARED @ P)
    levels = np.linspace(0, independent, 30)
    rates = [float(brute_force.synonymous_rate(P, SQUARED, level)) for level in levels]
    assert rates[0] == pytest.approx(synonymity.entropy(P))
    assert rates[-1] == 0
    assert np.all(np.diff(rates) <= 0)
    steps = {round(rate, 9) for rate in rates}
    pairs = {round(_binary_entropy(p), 9) for p in P}
    assert steps <= pairs | {0.0, round(float(synonymity.entropy(P)), 9)}
    assert steps & pairs
