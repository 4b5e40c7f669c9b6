"""The layers that the networks are built of, and in which numbers they are computed.

Parameters are float32 whatever the option. With `bfloat16` the products of hidden layers and what
is kept of them are bfloat16; biases, what λ modulates, and all that leaves a network are added up
in float32, and so are their gradients, which are sums over all positions of a batch.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from synjax.codec import convolution, modulation

COMPUTE = {"float32": None, "bfloat16": jnp.bfloat16}  # None: in the type of the input

_ZEROS = nn.initializers.zeros
_HE = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")


@dataclasses.dataclass(frozen=True)
class Layers:
    """Applies layers inside the compact call of a Flax module.

    Attributes:
      dtype: of hidden layers, a value of `COMPUTE`.
      rematerialise: whether a backward pass computes residual blocks again from what went into
        them, rather than keep what is inside (Chen et al. 2016, arXiv:1604.06174).
    """

    dtype: Any = None
    rematerialise: bool = False

    def dense(self, x, width, name):
        """A hidden dense layer: [..., C] → [..., width], of `dtype`."""
        return self._hidden(nn.Dense(width, name=name, **self._options)(x))

    def conv(self, x, width, name, rank=2, kernel_init=_HE):
        """A hidden 3-tap stride-1 convolution over `rank` spatial axes; dense where that is 0."""
        if rank == 0:
            return self._hidden(
                nn.Dense(width, kernel_init=kernel_init, name=name, **self._options)(x)
            )
        layer = nn.Conv(
            width,
            (3,) * rank,
            kernel_init=kernel_init,
            name=name,
            conv_general_dilated=convolution.same,
            **self._options,
        )
        return self._hidden(layer(x))

    def residual(self, x, features, name, rank=2):
        """A `Residual` block: [B, *S, C] → [B, *S, C], of `dtype`."""
        block = nn.remat(Residual) if self.rematerialise else Residual
        return block(rank, self, name=name)(x, features)

    def out(self, x, width, name, kernel_init):
        """The dense layer by which a network is left: [..., C] → [..., width], float32."""
        return nn.Dense(width, kernel_init=kernel_init, name=name, **self._options)(x)

    @property
    def _options(self):
        return {} if self.dtype is None else {"dtype": self.dtype, "promote_dtype": _narrowed}

    def _hidden(self, x):
        return x if self.dtype is None else x.astype(self.dtype)


def _narrowed(inputs, kernel, bias, *, dtype):
    """The factors in a narrow type; the bias not, so that its gradient is summed in float32."""
    return inputs.astype(dtype), kernel.astype(dtype), bias


class Residual(nn.Module):
    """x + conv(relu(a(λ) · conv(x) + b(λ))): the block that λ modulates."""

    rank: int = 2
    hidden: Layers = Layers()

    @nn.compact
    def __call__(self, x, features):
        """x: [B, *S, C], features: [F] → [B, *S, C]."""
        width = x.shape[-1]
        h = self.hidden.conv(x, width, "inner", self.rank)
        scale = modulation.by_lambda(self, "scale", features, width, _ZEROS)
        shift = modulation.by_lambda(self, "shift", features, width, _ZEROS)
        h = h * modulation.channelwise(jnp.exp(scale), h) + modulation.channelwise(shift, h)
        outer = nn.initializers.normal(1e-3)
        return x + self.hidden.conv(nn.relu(h), width, "outer", self.rank, outer)
