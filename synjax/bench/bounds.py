"""The solver of R(D, P) for finite sources."""

import numpy as np

from synjax.bench import timing
from synjax.theory import finite


def measure(plan, settings):
    """R(D, P) of a 45-point Gaussian at 14 distortions.

    Args:
      plan: not needed.
      settings: `settings.Settings`.

    Yields:
      A row for each divergence: a dict for JSON.
    """
    del plan
    x = np.linspace(-4, 4, 45)
    p_x = np.exp(-(x**2) / 2)
    p_x, distances = p_x / p_x.sum(), (x[:, None] - x) ** 2

    def solve(divergence):
        for distortion in np.linspace(0.1, 1.3, 14):
            finite.rate_distortion_perception(p_x, distances, distortion, 0.1, divergence)

    for divergence in ("tv", "kl_x_to_xhat"):
        seconds = timing.median(lambda d=divergence: solve(d), settings.repeats)
        yield {
            "finite_source": "45 x 45, 14 points",
            "divergence": divergence,
            "s": round(seconds, 3),
        }
