"""Lower bounds on D_KL[p_X ‖ p_X̂] itself, in the direction of Eq. 62, by a learned critic T.

    nwj   E_X[T] + 1 − E_X̂[e^T]       Nguyen, Wainwright and Jordan 2010, arXiv:0809.0853
    dv    E_X[T] − log E_X̂[e^T]       Donsker and Varadhan 1983; Belghazi et al. 2018

Both hold for every T and are equalities at T = log p_X / p_X̂ (dv up to a constant). T is evaluated
on a batch that it was not trained on, so that nwj is unbiased for the bound that its T gives; dv is
too large by the variance of e^T over twice the number of fakes, to first order.

They saturate. No lower bound that is to be trusted from N samples is above log N, whatever the
distributions (McAllester and Stratos 2020, arXiv:1811.04251): 11 bits of 2,048 fakes, for a whole
example. A value above is one that the fakes which would lower it are too rare to be there for.
Near that, E_X̂[e^T] hangs on the few fakes that look most real, and they alone get a gradient; nwj,
where T is far below 0 at all fakes, gives none, and no value above LARGEST_SCORE + 1. The gradient
of dv is a weighted mean of slopes of T and stays, but the slopes grow as long as the critic is
trained (`spectral` bounds them). A true divergence that is infinite, as of a deterministic decoder,
is therefore reported as some number: these bounds train, they do not measure.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from synjax.perception import base, critics

BOUNDS = ("dv", "nwj")
LARGEST_SCORE = 12.0  # nats, of nwj; above the log of any batch, and e^T far from overflow


@dataclasses.dataclass(frozen=True)
class VariationalKl(critics.Learned):
    """D_KL[p_X ‖ p_X̂] as a critic sees it, in bits per element.

    Of images, p is the law of the patches of `critics.FIELD` pixels at the critic's positions, and
    bits are per element of a patch. Patches of one picture are not independent, and what is said
    of sample sizes holds for fewer of them.

    Attributes:
      bound: "dv" | "nwj".
    """

    learning_rate: float = 1e-3
    bound: str = "dv"

    def __post_init__(self):
        """Raises ValueError on an unknown bound or a critic that cannot learn."""
        super().__post_init__()
        if self.bound not in BOUNDS:
            raise ValueError(f"perception.bound is {self.bound!r}, must be one of {BOUNDS}")

    def _nats(self, state, real, fake):
        """The bound for [N, *S, C] and [N', *S, C]."""
        of_real, of_fakes = self._scores(state, real), self._scores(state, fake)
        if self.bound == "nwj":
            # Any T gives a bound, so also one that is bent.
            of_real, of_fakes = (
                LARGEST_SCORE - jax.nn.softplus(LARGEST_SCORE - scores)
                for scores in (of_real, of_fakes)
            )
            return of_real.mean() + 1 - jnp.exp(of_fakes).mean()
        return of_real.mean() - jax.nn.logsumexp(of_fakes) + math.log(of_fakes.size)

    def penalty(self, state, real, fake, context, key):
        """The bound that the critic gives; all members count alike.

        Args:
          state: from `init` or `update`; receives no gradient.
          real: [N, *S, C].
          fake: [B, M, *S, C].
          context: unused.
          key: unused.

        Returns:
          Scalar, in bits per element; 0 before the first update unless `spectral`, negative where
          the critic is wrong.
        """
        del context, key
        nats = self._nats(jax.lax.stop_gradient(state), real, base.pooled(fake))
        return nats / (math.log(2) * _elements(real.shape[1:]))

    def _loss(self, state, real, fake, context, key):
        """Less the bound in nats; `critic_bound` is in bits per element, of the training batch."""
        del context, key
        nats = self._nats(state, real, base.pooled(fake))
        return -nats, {"critic_bound": nats / (math.log(2) * _elements(real.shape[1:]))}


def _elements(shape):
    """How many elements of an example [*S, C] one score depends on."""
    *sides, channels = shape
    return channels * math.prod(min(side, critics.FIELD) for side in sides)
