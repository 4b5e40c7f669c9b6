"""How far a row is from what theory allows, for sources whose limits are known."""

import numpy as np

from synjax.theory import gaussian

BELOW = 4.0  # standard errors below the bound that are no chance any more
AT_FLOOR = 2.0  # standard errors above the floor within which a divergence counts as zero
BLOCKS = 8


def gaussian_limits(variances, x, synset, *, estimated, exact, rate_se):
    """R(D, P) at a codec's own distortion and moment-fit divergence.

    P is the W2² of the Gaussians with the moments of source and members (Gelbrich 1990). Among all
    reconstructions with these moments a Gaussian one needs the least rate, so the bound holds for
    any codec, whatever the shape of its members' distribution.

    Args:
      variances: [n], of the independent components of the source.
      x: sources [N, n].
      synset: members [M, N, n].
      estimated, exact: rates that were measured, bits/dim.
      rate_se: their standard error.

    Returns:
      dict of table columns: `rate_bound`, `gap_to_bound` of the exact rate, `bound_name`, and where
      a rate is below the bound by more than `BELOW` standard errors `status` and `reason`.
    """
    rate_bound = _bound(variances, x, synset)
    blocks = [_bound(variances, x[i::BLOCKS], synset[:, i::BLOCKS]) for i in range(BLOCKS)]
    error = float(np.hypot(np.std(blocks, ddof=1) / np.sqrt(BLOCKS), rate_se))
    found = {
        "rate_bound": rate_bound,
        "gap_to_bound": exact - rate_bound,
        "bound_name": "R(D, P), Gaussian, W2² of the moments",
    }
    missing = rate_bound - min(estimated, exact)
    if missing > BELOW * error:
        found |= {
            "status": "below_bound",
            "reason": f"{missing:.2g} bits/dim below R(D, P), {missing / error:.1f} standard "
            "errors: the rate, the distortion, the divergence or the bound is wrong",
        }
    return found


def private_bound(variances, distortion):
    """The rate that perfect realism costs where no randomness is shared: R(D/2), bits/dim."""
    return gaussian.rate_distortion_perception(variances, distortion, 0.0, common_randomness=0.0)


def _bound(variances, x, synset):
    distortion = float(((synset - x) ** 2).mean())
    divergence = moment_w2(variances, synset.reshape(-1, x.shape[-1]))
    return float(gaussian.rate_distortion_perception(variances, distortion, divergence))


def moment_w2(variances, members):
    """W2² per dimension between N(0, diag(variances)) and the Gaussian with the members' moments.

    Args:
      variances: [n].
      members: [N, n].

    Returns:
      Squared units of x.

    Gelbrich, "On a formula for the L2 Wasserstein metric between measures", 1990.
    """
    deviations = np.sqrt(np.asarray(variances, np.float64))
    members = np.asarray(members, np.float64)
    covariance = np.atleast_2d(np.cov(members.T, bias=True))
    # tr √(A½ B A½) is the sum of the roots of its eigenvalues.
    between = np.linalg.eigvalsh(deviations[:, None] * covariance * deviations)
    overlap = np.sqrt(np.maximum(between, 0)).sum()
    squared = np.trace(covariance) + (deviations**2).sum() - 2 * overlap
    squared += np.square(members.mean(0)).sum()
    return float(max(squared, 0.0) / len(deviations))
