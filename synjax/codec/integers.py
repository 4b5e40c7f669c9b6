"""Networks on integers: what both sides of a stream must agree on to the last bit.

A real v is the integer round(v · 2^FRACTION). A layer multiplies integers with integer weights,
adds an integer bias and shifts right with rounding; between layers activations are clipped. The
weights of each output are scaled by a power of two with which they have 16 bits and no partial sum
can reach 2^53: float64 matrix products are then exact, whatever the order of summation, the library
or the machine.
"""

import dataclasses
import itertools
import math

import numpy as np

FRACTION = 12  # binary digits of an activation behind the point
LIMIT = 2**19  # largest magnitude of an activation
BOUND = 2.0**51  # of all partial sums; beyond 2^53 float64 misses integers
MAX_SHIFT = 30
SHORT = 2.0**15 - 1  # largest weight: an artefact holds 16 bits of it
POSITIONS = 2**12  # that one matrix product takes, which bounds memory


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A convolution of 3 × 3 or 3 taps, or a dense layer, on integers.

    Attributes:
      weights: float64 of integers, [3, 3, C, C'], [3, C, C'] or [C, C'].
      bias: float64 of integers, [C'].
      shift: int64 [C'], binary digits that the sum has more than the output.
    """

    weights: np.ndarray
    bias: np.ndarray
    shift: np.ndarray

    def __call__(self, x):
        """The layer's output before any clipping.

        Args:
          x: int64 [*S, C], of magnitude at most `LIMIT`; S are as many axes as the taps have.

        Returns:
          int64 [*S, C'].
        """
        if self.weights.ndim == 2:
            flat = x.reshape(-1, x.shape[-1])
            out = np.empty((len(flat), self.weights.shape[1]), np.int64)
            for first in range(0, len(flat), POSITIONS):
                some = flat[first : first + POSITIONS].astype(np.float64)
                out[first : first + POSITIONS] = self._shifted(some @ self.weights)
            return out.reshape(*x.shape[:-1], -1)
        if self.weights.ndim == 3:  # one row, of whose taps the outer ones see nothing
            row = Layer(np.pad(self.weights[None], [(1, 1), *[(0, 0)] * 3]), self.bias, self.shift)
            return row(x[None])[0]
        height, width, channels = x.shape
        padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
        kernel = self.weights.reshape(9 * channels, -1)
        out = np.empty((height, width, kernel.shape[1]), np.int64)
        columns = min(width, POSITIONS)
        rows = max(1, POSITIONS // columns)
        for top, left in itertools.product(range(0, height, rows), range(0, width, columns)):
            part = out[top : top + rows, left : left + columns]
            h, w, _ = part.shape
            seen = padded[top : top + h + 2, left : left + w + 2].astype(np.float64)
            taps = [seen[i : i + h, j : j + w] for i in range(3) for j in range(3)]
            total = np.concatenate(taps, -1).reshape(h * w, -1) @ kernel
            part[:] = self._shifted(total).reshape(part.shape)
        return out

    def _shifted(self, total):
        total = (total + self.bias).astype(np.int64)
        return (total + (np.int64(1) << self.shift >> 1)) >> self.shift


def layer(kernel, bias, input_fraction=FRACTION, output_fraction=FRACTION):
    """The integer form of a layer.

    Args:
      kernel: reals, [3, 3, C, C'], [3, C, C'] or [C, C'].
      bias: reals [C'].
      input_fraction: binary digits of the input behind the point.
      output_fraction: of the output.

    Returns:
      `Layer`, whose precision is that of `BOUND` and `SHORT`.

    Raises:
      ValueError: weights that are not finite, or too large for exact sums.
    """
    kernel = np.asarray(kernel, np.float64) * 2.0 ** (output_fraction - input_fraction)
    bias = np.asarray(bias, np.float64) * 2.0**output_fraction
    inputs = tuple(range(kernel.ndim - 1))
    reach = np.abs(kernel).sum(inputs) * LIMIT + np.abs(bias)
    # Rounding adds at most half a unit per weight, and half of 2^shift is added before shifting.
    spare = BOUND - LIMIT * math.prod(kernel.shape[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.floor(np.log2(spare / reach))
        shift = np.minimum(shift, np.floor(np.log2(SHORT / np.abs(kernel).max(inputs))))
    if not np.all(np.isfinite(reach)) or np.any(shift < 0):
        raise ValueError("a network of the prior has weights too large for exact integer sums")
    shift = np.minimum(shift, MAX_SHIFT)
    return Layer(np.rint(kernel * 2.0**shift), np.rint(bias * 2.0**shift), shift.astype(np.int64))


def clipped(x):
    """Activations within ±`LIMIT`."""
    return np.clip(x, -LIMIT, LIMIT)


def rectified(x):
    """max(x, 0), within `LIMIT`."""
    return np.clip(x, 0, LIMIT)
