"""Rate, distortion and perception of independent Gaussian components under squared error.

With jointly Gaussian pairs of a component (deviation σ, reconstruction deviation τσ, correlation
ρ), minimising R + a D + b P separates over components, and leaves one monotone equation in τ for
each. What remains is to find the multipliers a and b. Inside, rates are in nats and everything is
summed over components; outside, everything is per dimension and rates are in bits.
"""

import numpy as np

from synjax.theory import arguments, gaussian_pairs, roots, water_filling

# What the value returned for a divergence is to R(D, P) among all distributions of (X, X̂).
BOUND_KIND = {"w2": "exact", "kl_xhat_to_x": "exact", "kl_x_to_xhat": "upper"}


def rate_distortion(variances, distortion):
    """R(D) by reverse water-filling.

    Args:
      variances: [n].
      distortion: mean squared error per dimension.

    Returns:
      Rate, bits/dim.

    Raises:
      ValueError: a variance or the distortion is not positive and finite.

    Cover and Thomas, Elements of Information Theory, theorem 10.3.3.
    """
    variances = arguments.variances(variances)
    distortion = arguments.positive("distortion", distortion)
    level = water_filling.level_of_distortion(variances, distortion * variances.size)
    return _bits(water_filling.log_ratios(variances, level).sum() / 2, variances)


def rate_distortion_perception(
    variances, distortion, perception, divergence="w2", common_randomness=np.inf
):
    """R(D, P): the rate needed to keep both the distortion and a divergence within bounds.

    The divergence adds up over components, and so do rate and distortion, because the source's
    components are independent. `BOUND_KIND` says what the value is:

    - "w2", W2²(p_X, p_X̂): exact. Among all couplings with given second moments a Gaussian one has
      the least rate, and Gaussians have the least W2 (Gelbrich 1990).
    - "kl_xhat_to_x", D_KL[p_X̂ ‖ p_X]: exact, because a Gaussian has the largest entropy.
    - "kl_x_to_xhat", D_KL[p_X ‖ p_X̂], the direction of Eq. 62: only an *upper* bound, the least
      rate of jointly Gaussian pairs with independent components. Other pairs need less, up to 14 %
      where it was computed on a grid with finite.py.

    Finite common randomness R_c counts bits/dim that encoder and decoder share beside the stream;
    0 is private sampling. At P = 0 the least distortion at rate R is, by Saldi et al. applied to
    each component, the minimum of 2 Σ σ_i² (1 − √((1 − e^{−2 r_i})(1 − e^{−2 t_i}))) over
    Σ r_i ≤ R and Σ t_i ≤ R + R_c (nats). At R_c = 0 it is twice the least distortion D(R) for every
    vector, so the rate is then `rate_distortion(variances, distortion / 2)`.

    Args:
      variances: [n].
      distortion: D, mean squared error per dimension.
      perception: P ≥ 0 or inf; W2² per dimension, or a divergence in bits/dim.
      divergence: "w2", "kl_xhat_to_x" or "kl_x_to_xhat".
      common_randomness: bits/dim; finite values need perception = 0.

    Returns:
      Rate, bits/dim.

    Raises:
      ValueError: an argument is out of its range, or common randomness is finite at P > 0.

    Blau and Michaeli, ICML 2019; Zhang et al., "Universal rate-distortion-perception
    representations", NeurIPS 2021, theorem 1; Saldi, Linder and Yüksel, "Output constrained lossy
    source coding with limited common randomness", IEEE Trans. IT 2015.
    """
    variances, perception, shared = _check(variances, perception, divergence, common_randomness)
    distortion = arguments.positive("distortion", distortion) * variances.size
    if np.isfinite(shared):
        return _bits(water_filling.rate_with_shared(variances, distortion, shared), variances)
    level = water_filling.level_of_distortion(variances, distortion)
    if perception >= gaussian_pairs.perception_without_bound(variances, level, divergence):
        return _bits(water_filling.log_ratios(variances, level).sum() / 2, variances)
    if distortion >= gaussian_pairs.distortion_at_rate_zero(variances, perception, divergence):
        return 0.0

    def at(log_a, log_b):
        return gaussian_pairs.totals(variances, np.exp(log_a), np.exp(log_b), divergence)

    # At a fixed b the distortion falls with a; along that curve the perception falls with b.
    start = -np.log(2 * level)
    if perception == 0:
        log_a = roots.of_increasing(lambda log_a: np.log(distortion / at(log_a, np.inf)[1]), start)
        return _bits(at(log_a, np.inf)[0], variances)

    def solve(log_b):
        nonlocal start  # the last root is near the next
        start = roots.of_increasing(lambda log_a: np.log(distortion / at(log_a, log_b)[1]), start)
        return at(start, log_b)

    log_b = roots.of_increasing(lambda log_b: np.log(perception / solve(log_b)[2]), start)
    return _bits(solve(log_b)[0], variances)


def distortion_rate_perception(
    variances, rate, perception, divergence="w2", common_randomness=np.inf
):
    """D(R, P), the inverse of `rate_distortion_perception` in the distortion.

    Args:
      variances: [n].
      rate: bits/dim, at least 0.
      perception, divergence, common_randomness: as in `rate_distortion_perception`.

    Returns:
      Mean squared error per dimension; for "kl_x_to_xhat" an upper bound.

    Raises:
      ValueError: as `rate_distortion_perception`.
    """
    variances, perception, shared = _check(variances, perception, divergence, common_randomness)
    rate = arguments.non_negative("rate", rate) * variances.size * np.log(2)
    if np.isfinite(shared):
        return water_filling.distortion_with_shared(variances, rate, shared) / variances.size
    level = water_filling.level_of_log_ratio(variances, 2 * rate)
    if perception >= gaussian_pairs.perception_without_bound(variances, level, divergence):
        return float(np.minimum(variances, level).mean())
    if rate == 0:
        return (
            gaussian_pairs.distortion_at_rate_zero(variances, perception, divergence)
            / variances.size
        )

    # Here the distortion has weight 1, and the perception `theta` = b / a.
    def at(log_a, log_theta):
        return gaussian_pairs.totals(
            variances, np.exp(log_a), np.exp(log_a + log_theta), divergence
        )

    start = -np.log(2 * level)
    if perception == 0:
        log_a = roots.of_increasing(lambda log_a: np.log(at(log_a, np.inf)[0] / rate), start)
        return at(log_a, np.inf)[1] / variances.size

    def solve(log_theta):
        nonlocal start
        start = roots.of_increasing(lambda log_a: np.log(at(log_a, log_theta)[0] / rate), start)
        return at(start, log_theta)

    log_theta = roots.of_increasing(lambda log_theta: np.log(perception / solve(log_theta)[2]), 0.0)
    return solve(log_theta)[1] / variances.size


def _check(variances, perception, divergence, common_randomness):
    """Arguments checked, and in nats and sums."""
    variances = arguments.variances(variances)
    arguments.one_of("divergence", divergence, BOUND_KIND)
    perception = arguments.non_negative("perception", perception, unlimited=True)
    shared = arguments.non_negative("common_randomness", common_randomness, unlimited=True)
    if np.isfinite(shared) and perception > 0:
        raise ValueError(
            f"common_randomness must be inf where perception is not 0, got {shared} at {perception}"
        )
    unit = variances.size * np.log(2)
    return variances, perception * (variances.size if divergence == "w2" else unit), shared * unit


def _bits(nats, variances):
    return float(nats / np.log(2) / variances.size)
