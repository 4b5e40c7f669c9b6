"""ŷ_ε: what the decoder invents. Sampled, never sent (Eq. 14)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from synjax.codec import modulation, transforms

START = 0.8  # share of the ideal detail from which training sets out


def quantile(uniforms):
    """Φ⁻¹: standard normal deviates from uniforms in (0, 1), clipped at ±4.9."""
    return jax.scipy.special.ndtri(jnp.clip(uniforms, 5e-7, 1 - 5e-7))


def gaussian_bits(target, mean, log_sigma):
    """−log₂ N(target; mean, σ²), up to the constant; elementwise, in bits."""
    z = (target - mean) * jnp.exp(-log_sigma)
    return (0.5 * z**2 + log_sigma) / jnp.log(2.0)


class Detail(nn.Module):
    """p(ŷ_ε | ȳ_s) = N(μ(y_s), σ²(y_s)) per coefficient, and how much of it each λ_p wants.

    Stage `fidelity` fits μ and σ by maximum likelihood to the detail that the encoder sees and
    does not send, so that an amplitude of one is the detail of a decoder with perfect realism.
    Stage `perception` trains the amplitudes, from START. At λ_p = 0 the best detail is none, and
    there the amplitudes, linear in the features that vanish, are zero by construction.

    Attributes:
      channels: E, the number of coefficients.
      latents: K, the number of latent channels.
      levels: L.
      perceptual: how many features, the last ones, vanish at λ_p = 0.
      rank: number of spatial axes.
      width: of the hidden layers.
    """

    channels: int
    latents: int
    levels: int
    perceptual: int
    rank: int
    width: int = 128

    @nn.compact
    def __call__(self, shared, level, features):
        """Statistics of the detail at each position.

        Args:
          shared: [B, *S', K + 1] from `complete`, in steps.
          level: scalar 1…L, may be traced.
          features: [F].

        Returns:
          mean and log_sigma [B, *S', E] in coefficients; amplitude [E], the share of the detail
          and sampled_weight [K], the share of a sampled group's deviation from its centre that
          reaches the synthesis.
        """
        base = modulation.by_lambda(self, "log_sigma", features, self.channels, transforms.ZEROS)
        symbols = shared[..., :-1]
        # Near zero the symbol itself tells, far from it the logarithm: textures are a few steps.
        seen = jnp.concatenate([jnp.arcsinh(symbols), shared[..., -1:]], -1)
        h = nn.relu(transforms.conv(self.width, "stem", self.rank)(seen))
        h = nn.relu(transforms.Residual(self.rank, name="block")(h, features))
        out = nn.Dense(2 * self.channels, kernel_init=transforms.ZEROS, name="out")(h)
        mean, activity = jnp.split(out, 2, -1)
        log_sigma = modulation.channelwise(base, mean) + jnp.clip(activity, -6.0, 3.0)
        mean = mean * modulation.channelwise(jnp.exp(base), mean)
        row = jax.nn.one_hot(level - 1, self.levels)  # [L]
        amplitude = row @ self._table("amplitude", features, self.channels)
        weight = row @ self._table("sampled_weight", features, self.latents)
        return mean, log_sigma, amplitude, weight

    def _table(self, name, features, channels):
        """A parameter per level, [L, channels]: zero at λ_p = 0, START at the others of the grid.

        The hats of λ_p sum to one, and so do their products with those of λ_d; half of START in
        every row therefore makes START.
        """
        vanishing = features[features.shape[0] - self.perceptual :]
        half = nn.initializers.constant(START / 2)
        flat = modulation.by_lambda(self, name, vanishing, self.levels * channels, half)
        return flat.reshape(self.levels, channels)
