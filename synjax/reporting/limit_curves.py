"""The limits of Gaussian components as curves, each labelled with what it assumes."""

import numpy as np

from synjax.theory import gaussian, scalar_quantizer

DIVERGENCE = "axis_wasserstein"  # W₂² per dimension of independent components
POINTS = 60
_LOOKS = {
    "R(D)": {"ls": "-", "color": "0.25", "lw": 1},
    "R(D/2): P = 0, private sampling": {"ls": "-.", "color": "0.25", "lw": 1},
    "ideal scalar quantiser": {"ls": ":", "color": "0.25", "lw": 1.2},
}


def rate_distortion(axes, variances, distortions):
    """Draws R(D), R(D/2) and the ideal scalar quantiser over the range of measured distortions.

    Args:
      axes: with rates along x and distortions along y.
      variances: [n].
      distortions: that were measured.

    Returns:
      Handles for a legend.
    """
    highest = min(1.3 * max(distortions), 2 * np.mean(variances) * (1 - 1e-6))
    grid = np.geomspace(0.7 * min(distortions), highest, POINTS)
    rates = {
        "R(D)": lambda d: gaussian.rate_distortion(variances, d),
        "R(D/2): P = 0, private sampling": lambda d: gaussian.rate_distortion(variances, d / 2),
        "ideal scalar quantiser": lambda d: scalar_quantizer.rate_distortion(variances, d),
    }
    return [
        axes.plot([rate(d) for d in grid], grid, label=label, zorder=1, **_LOOKS[label])[0]
        for label, rate in rates.items()
    ]


def distortion_perception(axes, variances, rows, name):
    """Draws D(R, P), W₂² and unlimited common randomness, at the rate of each λ_d.

    Args:
      axes: with distortions along x and the divergence along y.
      variances: [n].
      rows: of a table.
      name: of the divergence, W₂² per dimension.

    Returns:
      Handles for a legend: one.
    """
    positive = rows[name][rows[name] > 0]
    handles = []
    for _, group in rows.groupby("lambda_d"):
        rate = group.rate_exact.mean()
        grid = np.geomspace(positive.min() / 2, positive.max() * 2, POINTS)
        least = [gaussian.distortion_rate_perception(variances, rate, p) for p in grid]
        look = {"ls": ":", "color": "0.25", "lw": 1}
        label = "D(R, P), unlimited common randomness"
        handles = axes.plot(least, grid, label=label, zorder=1, **look)
    return handles
