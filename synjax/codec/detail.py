"""ŷ_ε: what the decoder invents, and where. Sampled, never sent (Eq. 14)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from synjax.codec import layers, modulation, transforms

START = 0.8  # share of the ideal detail from which training sets out
CELL = 4  # side of the squares of pixels that share one gain


def quantile(uniforms):
    """Φ⁻¹: standard normal deviates from uniforms in (0, 1), clipped at ±4.9."""
    return jax.scipy.special.ndtri(jnp.clip(uniforms, 5e-7, 1 - 5e-7))


def gaussian_bits(squared, log_sigma):
    """−log₂ N of a squared deviation from the mean, up to the constant; elementwise, in bits."""
    return (0.5 * squared * jnp.exp(-2 * log_sigma) + log_sigma) / jnp.log(2.0)


class Detail(nn.Module):
    """p(ŷ_ε | ȳ_s) = N(μ(y_s), σ²(y_s)) per coefficient.

    Stage `fidelity` fits μ and σ by maximum likelihood to the detail that the encoder sees and
    does not send: what it draws has the statistics that perfect realism asks for. Like the prior
    it is frozen then. How much of it each λ_p wants is `Amount`.

    Attributes:
      channels: E, the number of coefficients.
      rank: number of spatial axes.
      width: of the hidden layers.
      hidden: how they are computed.
    """

    channels: int
    rank: int
    width: int
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, shared, features):
        """Statistics of the detail at each position.

        Args:
          shared: [B, *S', K + 1] from `complete`, in steps.
          features: [F].

        Returns:
          mean and log_sigma [B, *S', E] in coefficients.
        """
        base = modulation.by_lambda(self, "log_sigma", features, self.channels, transforms.ZEROS)
        symbols = shared[..., :-1]
        # Near zero the symbol itself tells, far from it the logarithm: textures are a few steps.
        seen = jnp.concatenate([jnp.arcsinh(symbols), shared[..., -1:]], -1)
        h = nn.relu(self.hidden.conv(seen, self.width, "stem", self.rank))
        h = nn.relu(self.hidden.residual(h, features, "block", self.rank))
        out = self.hidden.out(h, 2 * self.channels, "out", transforms.ZEROS)
        mean, activity = jnp.split(out, 2, -1)
        log_sigma = modulation.channelwise(base, mean) + jnp.clip(activity, -6.0, 3.0)
        return mean * modulation.channelwise(jnp.exp(base), mean), log_sigma


class Amount(nn.Module):
    """How much of what can be drawn each λ_p wants, per level and coefficient.

    One is the detail of a decoder with perfect realism; stage `perception` trains it, from START or
    from what `starting` sets.
    At λ_p = 0 the best detail is none, and there the amounts, linear in the features that vanish,
    are zero by construction.

    Attributes:
      channels: E, the number of coefficients.
      latents: K, the number of latent channels.
      levels: L.
      perceptual: how many features, the last ones, vanish at λ_p = 0.
    """

    channels: int
    latents: int
    levels: int
    perceptual: int

    @nn.compact
    def __call__(self, level, features):
        """The amounts at one level.

        Args:
          level: scalar 1…L, may be traced.
          features: [F].

        Returns:
          amplitude [E], the share of the detail, and sampled_weight [K], the share of a sampled
          group's deviation from its centre that reaches the synthesis.
        """
        row = jax.nn.one_hot(level - 1, self.levels)  # [L]
        amplitude = row @ self._table("amplitude", features, self.channels)
        return amplitude, row @ self._table("sampled_weight", features, self.latents)

    def _table(self, name, features, channels):
        """A parameter per level, [L, channels]: zero at λ_p = 0, START at the others of the grid.

        The hats of λ_p sum to one, and so do their products with those of λ_d; half of START in
        every row therefore makes START.
        """
        if not self.perceptual:  # a grid of λ_p = 0 alone: nothing to train, and nothing to save
            return jnp.zeros((self.levels, channels))
        vanishing = features[features.shape[0] - self.perceptual :]
        half = nn.initializers.constant(START / 2)
        flat = modulation.by_lambda(self, name, vanishing, self.levels * channels, half)
        return flat.reshape(self.levels, channels)


def starting(params, share):
    """Parameters of a codec whose amounts are `share` at every λ_p but zero."""
    synthesis = params["synthesis"]
    amount = jax.tree.map(lambda leaf: jnp.full_like(leaf, share / 2), synthesis["amount"])
    return {**params, "synthesis": {**synthesis, "amount": amount}}


class Activity(nn.Module):
    """How busy each spot of a picture is, against what its block's statistics say: log-gains.

    A block of the KLT has one deviation per coefficient for all of its 16 × 16 pixels, where an
    edge and the wall beside it have nothing in common. This network tells them apart by looking at
    the reconstruction that all members share. It is fitted to the energy of the error per cell.

    Attributes:
      width: of the hidden layers.
      hidden: how they are computed.
    """

    width: int = 32
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, mean_member, share):
        """Log-gains.

        Args:
          mean_member: [B, H, W, C], sides multiples of CELL.
          share: [B, 1, 1, 1], the level as a share of L.

        Returns:
          [B, H / CELL, W / CELL, 1].
        """
        h = transforms.space_to_depth(mean_member - 0.5, CELL)
        h = nn.relu(self.hidden.conv(h, self.width, "near"))
        h = nn.relu(self.hidden.conv(h, self.width, "far"))
        share = jnp.broadcast_to(share, (*h.shape[:-1], 1)).astype(h.dtype)
        h = nn.relu(self.hidden.dense(jnp.concatenate([h, share], -1), self.width, "mix"))
        return jnp.clip(self.hidden.out(h, 1, "out", transforms.ZEROS), -3.0, 2.0)


def upsampled(gain):
    """Gains [B, h, w, 1] at the resolution of pixels, [B, h·CELL, w·CELL, 1], linearly."""
    batch, height, width, one = gain.shape
    return jax.image.resize(gain, (batch, height * CELL, width * CELL, one), "linear")
