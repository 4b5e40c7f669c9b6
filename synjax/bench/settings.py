"""What is measured, and how often."""

import dataclasses

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
      repeats: timed runs of each part, at least 1; the median counts.
      precisions: of hidden layers, among `PRECISIONS`.
      stacks: how many trials one step works on.
      compressai: a Python that has CompressAI, or None for this one.
    """

    repeats: int = 5
    precisions: tuple[str, ...] = PRECISIONS
    stacks: tuple[int, ...] = (1, 16)
    compressai: str | None = None

    def __post_init__(self):
        """Raises ValueError naming the setting that makes no sense."""
        wrong = [p for p in self.precisions if p not in PRECISIONS]
        if wrong or not self.precisions:
            raise ValueError(f"--precisions is {self.precisions}, may have {PRECISIONS}")
        if not self.stacks or min(self.stacks) < 1:
            raise ValueError(f"--stacks must be positive, got {self.stacks}")
