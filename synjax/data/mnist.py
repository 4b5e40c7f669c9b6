"""MNIST: handwritten digits as vectors, from the original files in a folder of the user's."""

import dataclasses
import functools
import os
import pathlib
from typing import ClassVar

import numpy as np

from synjax.data import idx

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
ENVIRONMENT = "SYNJAX_DATA"  # names a folder that holds mnist/


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mnist:
    """Digits of MNIST, 60,000 for training and 10,000 for testing, in a fixed random order.

    The files hold them writer by writer, and their test set's second half is harder than its first.
    Neither the order nor the first `size` of it depends on a seed.

    Attributes:
      picture: (H, W), how a vector is shown as a grey picture.
      path: folder of the four files; None for mnist/ below the folder that SYNJAX_DATA names.
      size: how many digits are used; None for all.
    """

    kind: ClassVar[str] = "vector"
    picture: ClassVar[tuple[int, int]] = (28, 28)
    split: str
    path: str | None = None
    size: int | None = None

    def __post_init__(self):
        digits = len(self._pixels)
        size = digits if self.size is None else self.size
        whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not whole or not 1 <= size <= digits:
            raise ValueError(f"mnist: size must be an integer in 1..{digits}, got {size!r}")
        object.__setattr__(self, "size", int(size))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> np.ndarray:
        """Digit i, float32 [784] in [0, 1]."""
        return self.rows([i])[0]

    def rows(self, indices) -> np.ndarray:
        """The digits at `indices`, float32 [len(indices), 784] in [0, 1]."""
        indices = np.asarray(indices)
        if indices.size and (indices.min() < 0 or indices.max() >= self.size):
            raise IndexError(f"mnist: an index is outside 0..{self.size - 1}")
        return self._pixels[indices] / np.float32(255)

    def name(self, i: int) -> str:
        """The digit's address."""
        return f"mnist_{i}"

    @functools.cached_property
    def _pixels(self):
        """All digits of the split in their order, uint8 [N, 784]."""
        digits = _read(self.path, FILES[self.split][0])
        order = np.random.default_rng(0).permutation(len(digits))
        return digits.reshape(len(digits), -1)[order]


def _read(path, file):
    data = os.environ.get(ENVIRONMENT)
    if path is None and not data:
        raise ValueError(f"mnist: no folder is named. {_instructions()}")
    folder = pathlib.Path(data, "mnist") if path is None else pathlib.Path(path)
    try:
        digits = idx.read(folder / file, axes=3)
        if digits.shape[1:] != Mnist.picture or not len(digits):
            raise ValueError(f"{folder / file}: holds {digits.shape}, not pictures of 28x28")
    except ValueError as error:
        raise ValueError(f"mnist: {error}. {_instructions()}") from None
    return digits


def _instructions():
    names = ", ".join(name for pair in FILES.values() for name in pair)
    return (
        f"Needed are the original files {names} of https://yann.lecun.com/exdb/mnist (nothing is "
        "read of the labels), in a folder named by --config.data.path=DIR, or in mnist/ below the "
        f"folder that the environment variable {ENVIRONMENT} names"
    )
