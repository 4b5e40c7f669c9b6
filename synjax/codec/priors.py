"""p(ȳ_s): a factorised density for the first part of the chain, conditionals for the rest.

Every density is a mixture of logistics convolved with the unit cell, so that a bin's probability
is a difference of sigmoids. Densities are described by (offset, log_scale, logit) per component,
in quantisation steps, relative to the centre that rounding uses.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from synjax.codec import layers, modulation, transforms

SCALES = 64  # coding tables per conditional group
LOG_SCALE_RANGE = (-3.0, 5.5)  # of a conditional's scale; a logistic of e^-3 is a point mass


def bits(symbols, offsets, log_scales, logits):
    """Information content −log₂ of the unit bin around each symbol.

    Args:
      symbols: [...], integers, or reals for the relaxed rate.
      offsets, log_scales, logits: [..., J] or broadcastable, of the J components.

    Returns:
      Bits [...].
    """
    _, _, log_mass = _bins(symbols, offsets, log_scales, logits)
    return -jax.nn.logsumexp(log_mass, -1) / jnp.log(2.0)


def _bins(symbols, offsets, log_scales, logits):
    """Of every component: the bin's edges in its scale, mirrored to the lower tail, and log-mass.

    By symmetry in the lower tail, where log(σ(a) − σ(b)) is a sum of terms of one sign and nothing
    underflows: a bin far outside keeps its bits and their slope.
    """
    inverse = jnp.exp(-log_scales)
    centred = -jnp.abs(symbols[..., None] - offsets)
    lower, upper = (centred - 0.5) * inverse, (centred + 0.5) * inverse
    log_mass = jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower)
    log_mass = log_mass + jnp.log(-jnp.expm1(-inverse))
    return lower, upper, log_mass + jax.nn.log_softmax(logits, -1)


def within_bin(uniforms, symbols, offsets, log_scales, logits):
    """Draws where in its bin a value lay, from the density whose bins code the symbols.

    The decoder of exact posterior sampling: with it a reconstruction has the distribution of the
    source at twice the distortion (Yan et al. 2021). The uniform first selects the component, and
    what remains of it the quantile between the bin's edges.

    Args:
      uniforms: [...] in (0, 1).
      symbols: integers [...].
      offsets, log_scales, logits: [..., J] or broadcastable, of the J components.

    Returns:
      Offsets from the symbols, [...] in [−1/2, 1/2]; without gradient.
    """
    lower, upper, log_mass = _bins(symbols, offsets, log_scales, logits)
    shares = jax.nn.softmax(log_mass, -1)
    ends = jnp.cumsum(shares, -1)
    chosen = (uniforms[..., None] >= ends[..., :-1]).sum(-1)
    one = jax.nn.one_hot(chosen, shares.shape[-1])

    def pick(values):
        return (one * jnp.broadcast_to(values, one.shape)).sum(-1)

    rest = jnp.clip((uniforms - pick(ends - shares)) / jnp.maximum(pick(shares), 1e-12), 0, 1)
    low, high = jax.nn.sigmoid(pick(lower)), jax.nn.sigmoid(pick(upper))
    quantile = jnp.clip(low + rest * (high - low), 1e-30, 1 - 1e-7)
    scale = jnp.exp(pick(log_scales))
    centred = symbols - pick(offsets)
    mirrored = scale * (jnp.log(quantile) - jnp.log1p(-quantile)) + jnp.abs(centred)
    drawn = jnp.where(centred > 0, -mirrored, mirrored)
    return jax.lax.stop_gradient(jnp.clip(drawn, -0.5, 0.5))


def bin_probabilities(radius, offsets, log_scales, logits):
    """Probabilities of the integers −radius…radius, for building coding tables.

    Args:
      radius: largest magnitude with a table entry of its own.
      offsets, log_scales, logits: [T, J], for T tables.

    Returns:
      [T, 2·radius + 1]; what is missing to one is the probability of all other integers.
    """
    symbols = jnp.arange(-radius, radius + 1.0)[None, :]  # [1, 2r + 1]
    information = bits(symbols, offsets[:, None], log_scales[:, None], logits[:, None])
    return 2.0**-information


class Factorised(nn.Module):
    """One mixture of three logistics per channel, the same at every position.

    Attributes:
      channels: of the group.
    """

    channels: int
    components: int = 3

    @nn.compact
    def __call__(self, features):
        """Features [F] → offsets, log_scales, logits, each [channels, components]."""
        flat = self.channels * self.components
        shape = (self.channels, self.components)
        offsets = modulation.by_lambda(self, "offsets", features, flat, transforms.ZEROS)
        log_scales = modulation.by_lambda(self, "log_scales", features, flat, transforms.ZEROS)
        logits = self.param("logits", transforms.ZEROS, shape)
        return offsets.reshape(shape), log_scales.reshape(shape), logits


class Conditional(nn.Module):
    """A part's centre and scale at each position, predicted from the parts before it.

    Its layers are float32 always: symbols are counted from the centre, which may be hundreds of
    steps, and the coder follows the same network in integers.

    Attributes:
      channels: of the group.
      width: of the hidden layers.
      rank: number of spatial axes.
      rematerialise: see `layers.Layers`.
    """

    channels: int
    width: int
    rank: int
    rematerialise: bool = False

    @nn.compact
    def __call__(self, earlier, features):
        """Predicts the group.

        Args:
          earlier: [B, *S', K_<k], the groups before it, in steps.
          features: [F].

        Returns:
          centre [B, *S', channels] in steps, log_scale of the same shape, and the shape of the
          density: (log_ratio, logit), the second component's scale and weight, scalars.
        """
        known = modulation.by_lambda(
            self, "log_input", features, earlier.shape[-1], transforms.ZEROS
        )
        earlier = earlier * modulation.channelwise(jnp.exp(-known), earlier)
        own = layers.Layers(rematerialise=self.rematerialise)
        h = nn.relu(own.conv(earlier, self.width, "stem", self.rank))
        h = own.residual(h, features, "block", self.rank)
        out = own.out(nn.relu(h), 2 * self.channels, "out", nn.initializers.normal(1e-3))
        centre, log_scale = jnp.split(out, 2, -1)
        base = modulation.by_lambda(self, "log_scale", features, self.channels, transforms.ZEROS)
        spread = modulation.by_lambda(self, "log_spread", features, self.channels, transforms.ZEROS)
        log_ratio = self.param("log_ratio", nn.initializers.constant(1.0), ())
        logit = self.param("logit", nn.initializers.constant(-1.5), ())
        log_scale = log_scale + modulation.channelwise(base, log_scale)
        centre = centre * modulation.channelwise(jnp.exp(spread), centre)
        return centre, jnp.clip(log_scale, *LOG_SCALE_RANGE), (log_ratio, logit)


def conditional_mixture(log_scale, shape):
    """The two-scale mixture of a conditional group as (offsets, log_scales, logits), [..., 2]."""
    log_ratio, logit = shape
    log_scales = jnp.stack([log_scale, log_scale + log_ratio], -1)
    logits = modulation.channelwise(jnp.stack([jnp.zeros(()), logit]), log_scales)
    return jnp.zeros_like(log_scales), log_scales, logits


def scale_grid():
    """The log-scales [SCALES] for which coding tables exist."""
    return jnp.linspace(*LOG_SCALE_RANGE, SCALES)


def sample(uniforms, log_scale, shape):
    """Draws the integer that a conditional group's coder would have coded, from a uniform.

    The uniform first selects the component, and what remains of it the quantile.

    Args:
      uniforms: [...] in (0, 1).
      log_scale: [...], same shape.
      shape: (log_ratio, logit) of the group.

    Returns:
      Integers as floats, [...]; without gradient.
    """
    log_ratio, logit = shape
    wide = jax.nn.sigmoid(logit)
    is_wide = uniforms < wide
    rest = jnp.where(is_wide, uniforms / wide, (uniforms - wide) / (1 - wide))
    rest = jnp.clip(rest, 1e-6, 1 - 1e-6)
    scale = jnp.exp(log_scale + jnp.where(is_wide, log_ratio, 0.0))
    drawn = scale * (jnp.log(rest) - jnp.log1p(-rest))
    return jax.lax.stop_gradient(jnp.round(drawn))
