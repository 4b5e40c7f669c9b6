"""g_a and g_s: a linear path that starts at the KLT, and residual networks beside it.

Only dense layers, stride-1 convolutions and reshapes: strided and transposed convolutions are
2–80 times slower on CPU, and resampling by reshape suits matrix units too.
"""

import flax.linen as nn
import jax.numpy as jnp

from synjax.codec import modulation

ZEROS = nn.initializers.zeros


def space_to_depth(x, block):
    """[..., H, W, C] → [..., H/block, W/block, block²·C]."""
    *batch, height, width, channels = x.shape
    x = x.reshape(*batch, height // block, block, width // block, block, channels)
    return jnp.moveaxis(x, -4, -3).reshape(
        *batch, height // block, width // block, block * block * channels
    )


def depth_to_space(x, block):
    """The inverse of `space_to_depth`: [..., h, w, block²·C] → [..., h·block, w·block, C]."""
    *batch, height, width, channels = x.shape
    x = x.reshape(*batch, height, width, block, block, channels // block**2)
    return jnp.moveaxis(x, -3, -4).reshape(
        *batch, height * block, width * block, channels // block**2
    )


def conv(width, name, rank=2, kernel_init=None):
    """A 3-tap stride-1 convolution over `rank` spatial axes; a dense layer where there are none."""
    kernel_init = kernel_init or nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
    if rank == 0:
        return nn.Dense(width, kernel_init=kernel_init, name=name)
    return nn.Conv(width, (3,) * rank, kernel_init=kernel_init, name=name)


class Residual(nn.Module):
    """x + conv(relu(a(λ) · conv(x) + b(λ))): the block that λ modulates."""

    rank: int = 2

    @nn.compact
    def __call__(self, x, features):
        """x: [B, *S, C], features: [F] → [B, *S, C]."""
        width = x.shape[-1]
        h = conv(width, "inner", self.rank)(x)
        scale = modulation.by_lambda(self, "scale", features, width, ZEROS)
        shift = modulation.by_lambda(self, "shift", features, width, ZEROS)
        h = h * modulation.channelwise(jnp.exp(scale), h) + modulation.channelwise(shift, h)
        h = nn.relu(h)
        return x + conv(width, "outer", self.rank, nn.initializers.normal(1e-3))(h)


def flat(channels):
    """Shape of a per-channel constant; a function so that declarations read alike."""
    return (channels,)


class ImageAnalysis(nn.Module):
    """g_a of pictures: x [B, H, W, C] → y [B, H/16, W/16, K] in quantisation steps.

    Attributes:
      latents: K.
      width: channels of the residual network.
      stride: pixels per latent position along each axis; a multiple of 2.
    """

    latents: int
    width: int
    stride: int = 16

    @nn.compact
    def __call__(self, x, features):
        """x: [B, H, W, C] with H and W multiples of the stride; features: [F]."""
        patch = self.stride**2 * x.shape[-1]
        mean = self.param("mean", ZEROS, flat(patch))
        basis = self.param("klt", ZEROS, (self.latents, patch))
        deviation = self.param("deviation", nn.initializers.ones, flat(self.latents))
        gain = jnp.exp(modulation.by_lambda(self, "log_gain", features, self.latents, ZEROS))
        patches = space_to_depth(x, self.stride)
        linear = (patches - modulation.channelwise(mean, patches)) @ basis.T
        h = nn.Dense(self.width, name="stem")(space_to_depth(x - 0.5, self.stride // 2))
        h = Residual(name="fine")(h, features)
        h = nn.Dense(2 * self.width, name="merge")(nn.relu(space_to_depth(h, 2)))
        h = Residual(name="coarse")(h, features)
        residual = nn.Dense(self.latents, kernel_init=ZEROS, name="out")(nn.relu(h))
        residual = residual * modulation.channelwise(deviation, residual)
        return (linear + residual) * modulation.channelwise(gain, linear)


class HyperAnalysis(nn.Module):
    """h_a of pictures: y [B, h, w, K] → z [B, h/4, w/4, C'] in quantisation steps.

    Attributes:
      channels: C'.
      width: of the hidden layers.
    """

    channels: int
    width: int

    @nn.compact
    def __call__(self, y, features):
        """y: [B, h, w, K] with h and w multiples of 4; features: [F]."""
        # Near zero the value itself counts, far from it the order of magnitude.
        h = nn.relu(conv(self.width, "stem")(jnp.arcsinh(y)))
        h = nn.relu(nn.Dense(self.width, name="merge")(space_to_depth(h, 4)))
        h = Residual(name="block")(h, features)
        gain = modulation.by_lambda(self, "log_gain", features, self.channels, ZEROS)
        z = nn.Dense(self.channels, name="out")(nn.relu(h))
        return z * modulation.channelwise(jnp.exp(gain), z)


class ImageSynthesis(nn.Module):
    """g_s of pictures: what the members share, and each member's texture around it.

    The network sees what the members share, so that its cost does not grow with M; the detail of
    member j, in KLT coefficients, reaches the pixels through the linear path.

    Attributes:
      widths: channels at 1/16, 1/8 and 1/4 of the resolution.
      channels: C.
      stride: pixels per latent position along each axis; a multiple of 4.
    """

    widths: tuple[int, int, int]
    channels: int = 3
    stride: int = 16

    @nn.compact
    def __call__(self, shared, detail, features):
        """shared: [B, h, w, K + 1], detail: [B, M, h, w, C·stride²], features: [F].

        Returns the mean member [B, H, W, C] and the textures [B, M, H, W, C].
        """
        latents, patch = shared.shape[-1] - 1, detail.shape[-1]
        mean = self.param("mean", ZEROS, flat(patch))
        basis = self.param("klt", ZEROS, (patch, patch))
        deviation = self.param("deviation", nn.initializers.ones, flat(latents))
        step = jnp.exp(modulation.by_lambda(self, "log_step", features, latents, ZEROS))
        coefficients = shared[..., :latents] * modulation.channelwise(step, shared)
        linear = coefficients @ basis[:latents]
        linear = depth_to_space(linear + modulation.channelwise(mean, linear), self.stride)
        normalised = coefficients / modulation.channelwise(deviation, coefficients)
        seen = jnp.concatenate([normalised, shared[..., latents:]], -1)

        coarse, middle, fine = self.widths
        h = nn.Dense(coarse, name="stem")(seen)
        h = Residual(name="coarse")(h, features)
        up = self.stride // 8
        h = depth_to_space(nn.Dense(up**2 * middle, name="to_middle")(h), up)
        # The linear reconstruction is fed back, which makes the network a learned loop filter.
        h = h + nn.Dense(middle, name="linear_middle")(space_to_depth(linear - 0.5, 8))
        h = Residual(name="middle_1")(h, features)
        h = Residual(name="middle_2")(h, features)
        h = depth_to_space(nn.Dense(4 * fine, name="to_fine")(nn.relu(h)), 2)
        h = h + nn.Dense(fine, name="linear_fine")(space_to_depth(linear - 0.5, 4))
        h = Residual(name="fine")(h, features)
        residual = nn.Dense(16 * self.channels, kernel_init=ZEROS, name="out")(nn.relu(h))
        return linear + depth_to_space(residual, 4), depth_to_space(detail @ basis, self.stride)


class VectorAnalysis(nn.Module):
    """g_a of vectors: x [B, n] → y [B, K] in quantisation steps."""

    latents: int
    width: int

    @nn.compact
    def __call__(self, x, features):
        """x: [B, n], features: [F]."""
        mean = self.param("mean", ZEROS, flat(x.shape[-1]))
        basis = self.param("klt", ZEROS, (self.latents, x.shape[-1]))
        deviation = self.param("deviation", nn.initializers.ones, flat(self.latents))
        gain = jnp.exp(modulation.by_lambda(self, "log_gain", features, self.latents, ZEROS))
        linear = (x - modulation.channelwise(mean, x)) @ basis.T
        h = nn.Dense(self.width, name="stem")(linear / modulation.channelwise(deviation, linear))
        h = Residual(rank=0, name="block")(h, features)
        residual = nn.Dense(self.latents, kernel_init=ZEROS, name="out")(nn.relu(h))
        residual = residual * modulation.channelwise(deviation, residual)
        return (linear + residual) * modulation.channelwise(gain, linear)


class VectorSynthesis(nn.Module):
    """g_s of vectors: shared [B, K + 1] and detail [B, M, n] → [B, M, n]; the network sees both."""

    width: int

    @nn.compact
    def __call__(self, shared, detail, features):
        """shared: [B, K + 1], detail: [B, M, n], features: [F]."""
        latents, size = shared.shape[-1] - 1, detail.shape[-1]
        mean = self.param("mean", ZEROS, flat(size))
        basis = self.param("klt", ZEROS, (size, size))
        deviation = self.param("deviation", nn.initializers.ones, flat(size))
        step = jnp.exp(modulation.by_lambda(self, "log_step", features, latents, ZEROS))
        coefficients = shared[..., :latents] * modulation.channelwise(step, shared)
        coefficients = jnp.pad(coefficients, [(0, 0), (0, size - latents)])
        per_member = jnp.broadcast_to(coefficients[:, None], detail.shape)
        level = jnp.broadcast_to(shared[:, None, latents:], (*detail.shape[:2], 1))
        scale = modulation.channelwise(deviation, detail)
        h = jnp.concatenate([per_member / scale, detail / scale, level], -1)
        h = nn.Dense(self.width, name="stem")(h)
        h = Residual(rank=0, name="block_1")(h, features)
        h = Residual(rank=0, name="block_2")(h, features)
        residual = nn.Dense(size, kernel_init=ZEROS, name="out")(nn.relu(h))
        sampled = (per_member + detail + residual * scale) @ basis
        return sampled + modulation.channelwise(mean, sampled)
