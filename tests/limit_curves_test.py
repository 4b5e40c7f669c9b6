"""The drawn limits are the theory's, and only where a source has them."""

import matplotlib.figure
import numpy as np
import pandas as pd

from synjax.reporting import limit_curves
from synjax.theory import gaussian

VARIANCES = (1.0, 0.5, 0.25)


def _axes():
    return matplotlib.figure.Figure().subplots()


def test_the_curves_of_rate_and_distortion_are_in_their_order():
    axes = _axes()
    handles = limit_curves.rate_distortion(axes, VARIANCES, [0.05, 0.2])
    curves = {h.get_label(): h.get_xydata() for h in handles}
    assert list(curves) == ["R(D)", "R(D/2): P = 0, private sampling", "ideal scalar quantiser"]
    ideal, private, quantiser = curves.values()
    np.testing.assert_allclose(
        ideal[:, 0], [gaussian.rate_distortion(VARIANCES, d) for d in ideal[:, 1]]
    )
    assert np.all(quantiser[:, 0] > ideal[:, 0]) and np.all(private[:, 0] > ideal[:, 0])
    assert ideal[0, 1] < 0.05 and ideal[-1, 1] > 0.2


def test_the_distortion_that_realism_costs_falls_with_the_divergence_allowed():
    axes = _axes()
    rows = pd.DataFrame(
        {"lambda_d": [1.0, 1.0, 2.0], "rate_exact": [0.5, 0.5, 1.0], "axis": [0.1, 0.01, 0.1]}
    )
    handles = limit_curves.distortion_perception(axes, VARIANCES, rows, "axis")
    assert len(handles) == 1 and "unlimited common randomness" in handles[0].get_label()
    assert len(axes.lines) == 2  # one for each rate
    for line in axes.lines:
        least = line.get_xdata()
        assert np.all(np.diff(least) <= 1e-12) and np.all(least > 0)
    assert np.all(axes.lines[1].get_xdata() < axes.lines[0].get_xdata())
