"""g_a and g_s: a linear path that starts at the KLT, and residual networks beside it.

Only dense layers, stride-1 convolutions and reshapes: strided and transposed convolutions are
2–80 times slower on CPU, and resampling by reshape suits matrix units too.
"""

import flax.linen as nn
import jax.numpy as jnp

from synjax import lapped
from synjax.codec import layers, modulation

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


def to_blocks(x, codec):
    """What the KLT is of: signals [..., *S, C] → [..., *S', E].

    Blocks of pixels of a picture, overlapping frames of a sound, and vectors as they are.
    """
    if codec.rank == 2:
        return space_to_depth(x, codec.stride)
    return lapped.forward(x, codec.stride) if codec.rank == 1 else x


def flat(channels):
    """Shape of a per-channel constant; a function so that declarations read alike."""
    return (channels,)


class ImageAnalysis(nn.Module):
    """g_a of pictures: x [B, H, W, C] → y [B, H/16, W/16, K] in quantisation steps.

    Attributes:
      latents: K.
      width: channels of the residual network.
      stride: pixels per latent position along each axis; a multiple of 2.
      hidden: how the layers of the residual network are computed.
    """

    latents: int
    width: int
    stride: int = 16
    hidden: layers.Layers = layers.Layers()

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
        own = self.hidden
        h = own.dense(space_to_depth(x - 0.5, self.stride // 2), self.width, "stem")
        h = own.residual(h, features, "fine")
        h = own.dense(nn.relu(space_to_depth(h, 2)), 2 * self.width, "merge")
        h = own.residual(h, features, "coarse")
        residual = own.out(nn.relu(h), self.latents, "out", ZEROS)
        residual = residual * modulation.channelwise(deviation, residual)
        return (linear + residual) * modulation.channelwise(gain, linear)


class HyperAnalysis(nn.Module):
    """h_a of pictures: y [B, h, w, K] → z [B, h/4, w/4, C'] in quantisation steps.

    Attributes:
      channels: C'.
      width: of the hidden layers.
      hidden: how they are computed.
    """

    channels: int
    width: int
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, y, features):
        """y: [B, h, w, K] with h and w multiples of 4; features: [F]."""
        # Near zero the value itself counts, far from it the order of magnitude.
        own = self.hidden
        h = nn.relu(own.conv(jnp.arcsinh(y), self.width, "stem"))
        h = nn.relu(own.dense(space_to_depth(h, 4), self.width, "merge"))
        h = own.residual(h, features, "block")
        gain = modulation.by_lambda(self, "log_gain", features, self.channels, ZEROS)
        z = own.out(nn.relu(h), self.channels, "out", nn.linear.default_kernel_init)
        return z * modulation.channelwise(jnp.exp(gain), z)


class ImageSynthesis(nn.Module):
    """g_s of pictures: what the members share, and each member's texture around it.

    The network sees what the members share, so that its cost does not grow with M; the detail of
    member j, in KLT coefficients, reaches the pixels through the linear path.

    Attributes:
      widths: channels at 1/16, 1/8 and 1/4 of the resolution.
      channels: C.
      stride: pixels per latent position along each axis; a multiple of 4.
      hidden: how the layers of the residual network are computed.
    """

    widths: tuple[int, int, int]
    channels: int = 3
    stride: int = 16
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, shared, detail, features):
        """shared: [B, h, w, K + 1], detail: [B, M, h, w, C·stride²] or None, features: [F].

        Returns the mean member [B, H, W, C] and the textures [B, M, H, W, C], None without detail.
        """
        latents, patch = shared.shape[-1] - 1, self.channels * self.stride**2
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
        own = self.hidden
        h = own.dense(seen, coarse, "stem")
        h = own.residual(h, features, "coarse")
        up = self.stride // 8
        h = depth_to_space(own.dense(h, up**2 * middle, "to_middle"), up)
        # The linear reconstruction is fed back, which makes the network a learned loop filter.
        h = h + own.dense(space_to_depth(linear - 0.5, 8), middle, "linear_middle")
        h = own.residual(h, features, "middle_1")
        h = own.residual(h, features, "middle_2")
        h = depth_to_space(own.dense(nn.relu(h), 4 * fine, "to_fine"), 2)
        h = h + own.dense(space_to_depth(linear - 0.5, 4), fine, "linear_fine")
        h = own.residual(h, features, "fine")
        residual = own.out(nn.relu(h), 16 * self.channels, "out", ZEROS)
        mean_member = linear + depth_to_space(residual, 4)
        texture = None if detail is None else depth_to_space(detail @ basis, self.stride)
        return mean_member, texture


class SoundAnalysis(nn.Module):
    """g_a of sounds: x [B, T, 1] → y [B, T / stride, K] in quantisation steps.

    Attributes:
      latents: K.
      width: channels of the residual network.
      stride: samples per frame.
      hidden: how the layers of the residual network are computed.
    """

    latents: int
    width: int
    stride: int
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, x, features):
        """x: [B, T, 1] with T a multiple of the stride; features: [F]."""
        mean = self.param("mean", ZEROS, flat(self.stride))
        basis = self.param("klt", ZEROS, (self.latents, self.stride))
        deviation = self.param("deviation", nn.initializers.ones, flat(self.latents))
        gain = jnp.exp(modulation.by_lambda(self, "log_gain", features, self.latents, ZEROS))
        frames = lapped.forward(x, self.stride)
        linear = (frames - modulation.channelwise(mean, frames)) @ basis.T
        own = self.hidden
        normalised = linear / modulation.channelwise(deviation, linear)
        h = own.dense(normalised, self.width, "stem")
        h = own.residual(h, features, "block_1", rank=1)
        h = own.residual(h, features, "block_2", rank=1)
        residual = own.out(nn.relu(h), self.latents, "out", ZEROS)
        residual = residual * modulation.channelwise(deviation, residual)
        return (linear + residual) * modulation.channelwise(gain, linear)


class SoundSynthesis(nn.Module):
    """g_s of sounds: what the members share, and each member's texture around it.

    As in pictures the network sees what the members share, and detail passes through the linear
    path; what the network adds is in coefficients, which the overlapping frames make smooth.

    Attributes:
      width: channels of the residual network.
      stride: samples per frame.
      hidden: how its layers are computed.
    """

    width: int
    stride: int
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, shared, detail, features):
        """shared: [B, T', K + 1], detail: [B, M, T', stride] or None, features: [F].

        Returns the mean member [B, T, 1] and the textures [B, M, T, 1], None without detail.
        """
        latents, size = shared.shape[-1] - 1, self.stride
        mean = self.param("mean", ZEROS, flat(size))
        basis = self.param("klt", ZEROS, (size, size))
        deviation = self.param("deviation", nn.initializers.ones, flat(size))
        step = jnp.exp(modulation.by_lambda(self, "log_step", features, latents, ZEROS))
        coefficients = shared[..., :latents] * modulation.channelwise(step, shared)
        sent = modulation.channelwise(deviation[:latents], coefficients)
        seen = jnp.concatenate([coefficients / sent, shared[..., latents:]], -1)
        own = self.hidden
        h = own.dense(seen, self.width, "stem")
        h = own.residual(h, features, "block_1", rank=1)
        h = own.residual(h, features, "block_2", rank=1)
        residual = own.out(nn.relu(h), size, "out", ZEROS)
        missing = [(0, 0)] * (shared.ndim - 1) + [(0, size - latents)]
        residual = residual * modulation.channelwise(deviation, residual)
        linear = (jnp.pad(coefficients, missing) + residual) @ basis
        linear = linear + modulation.channelwise(mean, linear)
        texture = None if detail is None else lapped.inverse(detail @ basis)
        return lapped.inverse(linear), texture


class VectorAnalysis(nn.Module):
    """g_a of vectors: x [B, n] → y [B, K] in quantisation steps."""

    latents: int
    width: int
    hidden: layers.Layers = layers.Layers()

    @nn.compact
    def __call__(self, x, features):
        """x: [B, n], features: [F]."""
        mean = self.param("mean", ZEROS, flat(x.shape[-1]))
        basis = self.param("klt", ZEROS, (self.latents, x.shape[-1]))
        deviation = self.param("deviation", nn.initializers.ones, flat(self.latents))
        gain = jnp.exp(modulation.by_lambda(self, "log_gain", features, self.latents, ZEROS))
        linear = (x - modulation.channelwise(mean, x)) @ basis.T
        own = self.hidden
        h = own.dense(linear / modulation.channelwise(deviation, linear), self.width, "stem")
        h = own.residual(h, features, "block", rank=0)
        residual = own.out(nn.relu(h), self.latents, "out", ZEROS)
        residual = residual * modulation.channelwise(deviation, residual)
        return (linear + residual) * modulation.channelwise(gain, linear)


class VectorSynthesis(nn.Module):
    """g_s of vectors: shared [B, K + 1] and detail [B, M, n] → [B, M, n]; the network sees both."""

    width: int
    hidden: layers.Layers = layers.Layers()

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
        own = self.hidden
        h = own.dense(h, self.width, "stem")
        h = own.residual(h, features, "block_1", rank=0)
        h = own.residual(h, features, "block_2", rank=0)
        residual = own.out(nn.relu(h), size, "out", ZEROS)
        sampled = (per_member + detail + residual * scale) @ basis
        return sampled + modulation.channelwise(mean, sampled)
