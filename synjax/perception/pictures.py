"""Vectors seen as grey pictures: what is local in them, a critic of pictures finds by itself."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

UNIT = 8  # sides are padded with zeros to multiples of it, as a critic's halvings need


@dataclasses.dataclass(frozen=True, eq=False)
class AsPictures:
    """A perception module of pictures for vectors that can be shown as such.

    Attributes:
      module: of pictures.
      picture: (H, W) of a vector.
    """

    module: Any
    picture: tuple[int, int]

    @property
    def learns(self):
        """Whether the module does."""
        return self.module.learns

    def _sides(self):
        return tuple(-(-side // UNIT) * UNIT for side in self.picture)

    def _shown(self, x):
        """[..., H·W] → [..., H', W', 1]."""
        x = x.reshape(*x.shape[:-1], *self.picture)
        widths = [(own - side) // 2 for own, side in zip(self._sides(), self.picture, strict=True)]
        rest = [
            own - side - width
            for own, side, width in zip(self._sides(), self.picture, widths, strict=True)
        ]
        margins = [(0, 0)] * (x.ndim - 2) + list(zip(widths, rest, strict=True))
        return jnp.pad(x, margins)[..., None]

    def _context(self, context):
        """Of a vector's symbols [B, K], those of a picture with one position."""
        source, symbols = context["source"], context["symbols"]
        return context | {"source": self._shown(source), "symbols": symbols[:, None, None]}

    def init(self, key, x_spec):
        """The module's state; x_spec is of vectors [N, H·W]."""
        shape = (x_spec.shape[0], *self._sides(), 1)
        return self.module.init(key, jax.ShapeDtypeStruct(shape, x_spec.dtype))

    def penalty(self, state, real, fake, context, key):
        """The module's penalty of real [N, H·W] and fake [B, M, H·W]."""
        shown = self._shown(real), self._shown(fake)
        return self.module.penalty(state, *shown, self._context(context), key)

    def update(self, state, real, fake, context, key):
        """The module's update on real [N, H·W] and fake [B, M, H·W]."""
        shown = self._shown(real), self._shown(fake)
        return self.module.update(state, *shown, self._context(context), key)
