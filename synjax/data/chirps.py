"""Chirps: tones that glide and swell, over a little noise; sounds without a file."""

import dataclasses
from typing import ClassVar

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chirps:
    """Sound i is a pure function of (seed, split, i); lengths vary.

    Attributes:
      sample_rate: Hz.
      many: each is drawn once in an epoch.
      count: how many there are.
      seed: of what is drawn.
    """

    kind: ClassVar[str] = "sound"
    sample_rate: ClassVar[int] = 8000
    many: ClassVar[bool] = True
    split: str
    count: int = 64
    seed: int = 0

    def __post_init__(self):
        for option, least in (("count", 1), ("seed", 0)):
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"chirps: {option} must be an integer >= {least}, got {value!r}")

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> np.ndarray:
        """Sound i, float32 [T, 1] in [−1, 1]."""
        if not 0 <= i < self.count:
            raise IndexError(f"chirps: index {i} is outside 0..{self.count - 1}")
        rng = np.random.default_rng((self.seed, self.split == "test", i))
        time = np.arange(rng.integers(1000, 4000)) / self.sample_rate
        wave = 0.01 * rng.standard_normal(len(time))
        for _ in range(3):
            start, glide = rng.uniform(100, 1500), rng.uniform(-1000, 1000)
            swell = np.sin(np.pi * time / time[-1]) ** rng.integers(1, 5)
            phase = start * time + glide * time**2 / 2
            wave += 0.2 * swell * np.sin(2 * np.pi * (phase + rng.random()))
        return np.clip(wave, -1, 1).astype(np.float32)[:, None]

    def name(self, i: int) -> str:
        """The sound's address."""
        return f"chirp_{i}"
