"""Bjøntegaard deltas: numbers of known curves, and a reason where there is no number."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synjax.reporting import bd_rate

QUALITY = np.array([26.0, 29.5, 31.0, 34.2, 36.0])
RATE = np.array([0.1, 0.22, 0.3, 0.71, 1.2])


def _curve(rate=RATE, quality=QUALITY, name="codec"):
    return bd_rate.Curve(name, np.asarray(rate), np.asarray(quality))


def test_a_curve_differs_from_itself_by_nothing():
    for delta in (bd_rate.bd_rate(_curve(), _curve()), bd_rate.bd_quality(_curve(), _curve())):
        assert delta == bd_rate.Delta(0.0, 1.0, "")


def test_half_the_rate_everywhere_is_minus_50_percent():
    delta = bd_rate.bd_rate(_curve(), _curve(RATE / 2))
    np.testing.assert_allclose(delta.value, -50, atol=0.1)
    assert delta.overlap == 1


def test_straight_curves_have_the_deltas_of_their_formula():
    # Quality q takes the rate 2^(q / 6) here and 2^((q - 1) / 6) there.
    def line(first, last, count, gain):
        quality = np.linspace(first, last, count)
        return _curve(2 ** ((quality - gain) / 6), quality)

    anchor, test = line(20, 40, 7, 0), line(25, 45, 4, 1)
    rate, quality = bd_rate.bd_rate(anchor, test), bd_rate.bd_quality(anchor, test)
    np.testing.assert_allclose(rate.value, 100 * (2 ** (-1 / 6) - 1))
    np.testing.assert_allclose(rate.overlap, 15 / 25)
    np.testing.assert_allclose(quality.value, 1)
    np.testing.assert_allclose(quality.overlap, 16 / 24)


def test_the_order_of_points_does_not_matter():
    order = [3, 0, 4, 1, 2]
    shuffled = _curve(RATE[order], QUALITY[order])
    other = _curve(0.8 * RATE**1.1, QUALITY + 0.4)
    assert bd_rate.bd_rate(shuffled, other) == bd_rate.bd_rate(_curve(), other)
    assert bd_rate.bd_quality(other, shuffled) == bd_rate.bd_quality(other, _curve())


def test_a_distortion_with_its_sign_changed_is_a_quality():
    mse = 10 ** (-QUALITY / 10)
    delta = bd_rate.bd_rate(_curve(RATE, -mse), _curve(RATE * 3, -mse))
    np.testing.assert_allclose(delta.value, 200, rtol=1e-9)
    gain = bd_rate.bd_quality(_curve(RATE, -mse), _curve(RATE, -mse / 2))
    assert gain.value > 0


steps = st.lists(st.floats(0.05, 2), min_size=2, max_size=6)


@settings(deadline=None, max_examples=100)
@given(steps, steps, steps, steps)
def test_there_and_back_multiply_to_one(rates_a, gains_a, rates_b, gains_b):
    curves = []
    for rates, gains in ((rates_a, gains_a), (rates_b, gains_b)):
        count = min(len(rates), len(gains))
        curves.append(_curve(np.exp(np.cumsum(rates))[:count], np.cumsum(gains)[:count]))
    there, back = bd_rate.bd_rate(*curves), bd_rate.bd_rate(*curves[::-1])
    assert there.reason == back.reason
    if not there.reason:
        assert math.isclose((1 + there.value / 100) * (1 + back.value / 100), 1, rel_tol=1e-6)
        assert math.isclose(there.overlap, back.overlap)
    gain, loss = bd_rate.bd_quality(*curves), bd_rate.bd_quality(*curves[::-1])
    assert gain.reason == loss.reason
    assert gain.reason or math.isclose(gain.value, -loss.value, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        (_curve([], []), "codec has 0 points, 2 are needed"),
        (_curve([0.1], [30]), "codec has 1 point, 2 are needed"),
        (_curve([0.1, 0.2, 0.3], [30, 29, 33]), "not monotone: no better at rate 0.2 than at 0.1"),
        (_curve([0.1, 0.2, 0.3], [30, 31, 31]), "not monotone: no better at rate 0.3 than at 0.2"),
        (_curve([0.1, 0.1], [30, 31]), "not monotone: no better at rate 0.1 than at 0.1"),
        (_curve([0.1, 0.2], [50, 60]), "no quality is reached by both curves"),
        (_curve([0.1, 0.2], [36, 40]), "no quality is reached by both curves"),
        (_curve([0.0, 0.2], [26, 40]), "a rate that is not positive"),
        (_curve([0.1, np.nan], [26, 40]), "a point that is not finite"),
        (_curve([0.1, 0.2], [26, np.inf]), "a point that is not finite"),
        (_curve([1e300, 1e308], [26, 36]), ""),
        (_curve([1e-300, 1e-290], [26, 36]), ""),
    ],
)
def test_where_there_is_no_number_there_is_a_reason(curve, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pair in ((_curve(), curve), (curve, _curve(name="other"))):
            delta = bd_rate.bd_rate(*pair)
            assert reason in delta.reason
            assert math.isnan(delta.value) == bool(delta.reason)
            assert (delta.overlap > 0) == (not delta.reason)


def test_curves_that_share_no_rate_have_no_delta_of_quality():
    delta = bd_rate.bd_quality(_curve(), _curve(RATE * 100))
    assert math.isnan(delta.value) and delta.reason == "no rate is reached by both curves"
