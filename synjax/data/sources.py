"""What can be drawn from: bundled photographs, vectors, digits, speech, the user's own.

A source has `kind` ("image" | "sound" | "vector"), a length, `source[i]` and `source.name(i)`.
Images are uint8 [H, W, 3]; sounds float32 [T, 1] in [−1, 1], all of `sample_rate` Hz; vectors are
float32 [n], and `source.rows(indices)` reads many of them at once. Where vectors can be shown as
grey pictures, `source.picture` is their (H, W).
"""

import dataclasses
import functools
import importlib.resources
from typing import ClassVar

import numpy as np
from PIL import Image

from synjax.data import chirps, fsdd, mnist, prepared

SPLITS = ("train", "test")

# File -> by how much it is reduced. What is stored as JPEG trains, reduced, and is never tested:
# the traces of its blocks would favour the codec that left them. Through a microscope (ihc) and
# an ophthalmoscope (retina) pixels are finer than the optics; at full size they would teach that
# photographs have no fine detail.
PHOTOGRAPHS = {
    "train": {
        "hubble_deep_field.jpg": 2,
        "ihc.png": 2,
        "motorcycle_left.png": 1,
        "motorcycle_right.png": 1,
        "retina.jpg": 4,
        "rocket.jpg": 2,
    },
    "test": {"astronaut.png": 1, "chelsea.png": 1, "coffee.png": 1},
}
PHOTOGRAPH_DIRECTORY = importlib.resources.files("skimage") / "data"

# Vectors are generated this many at a time: one generator per vector would cost 30 us each.
BLOCK = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photos:
    """scikit-image's colour photographs; train and test are different photographs."""

    kind: ClassVar[str] = "image"
    split: str

    def __len__(self) -> int:
        return len(PHOTOGRAPHS[self.split])

    def __getitem__(self, i: int) -> np.ndarray:
        """Photograph i, uint8 [H, W, 3], read-only; ValueError where it cannot be read."""
        file, factor = list(PHOTOGRAPHS[self.split].items())[i]
        return _read_photograph(PHOTOGRAPH_DIRECTORY / file, factor)

    def name(self, i: int) -> str:
        """The photograph's file name without its suffix."""
        return list(PHOTOGRAPHS[self.split])[i].rsplit(".", 1)[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Independent zero-mean Gaussian components with the given variances."""

    kind: ClassVar[str] = "vector"
    split: str
    variances: tuple[float, ...]
    size: int = 2**20
    seed: int = 0

    def __post_init__(self):
        try:
            variances = np.asarray(self.variances, np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"gaussian: variances must be numbers: {self.variances}") from error
        if variances.ndim != 1 or not variances.size:
            raise ValueError(f"gaussian: variances must be a non-empty list: {self.variances}")
        if not np.all(np.isfinite(variances) & (variances > 0)):
            raise ValueError(f"gaussian: variances must be positive, finite: {self.variances}")
        object.__setattr__(self, "variances", tuple(variances.tolist()))
        _require_integers("gaussian", size=(self.size, 1), seed=(self.seed, 0))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> np.ndarray:
        """Sample i, float32 [n], a pure function of (seed, split, i)."""
        return self.rows([i])[0]

    def rows(self, indices) -> np.ndarray:
        """The samples at `indices`, float32 [len(indices), n]; cheap where they lie together."""
        indices = np.asarray(indices)
        if indices.size and (indices.min() < 0 or indices.max() >= self.size):
            raise IndexError(f"gaussian: an index is outside 0..{self.size - 1}")
        numbers, inverse = np.unique(indices // BLOCK, return_inverse=True)
        blocks = np.empty((len(numbers), BLOCK, len(self.variances)))
        for block, number in zip(blocks, numbers, strict=True):
            _generator(self.seed, self.split, number).standard_normal(out=block)
        return (blocks[inverse, indices % BLOCK] * np.sqrt(self.variances)).astype(np.float32)

    def name(self, i: int) -> str:
        """The sample's address."""
        return f"gaussian_{i}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaves:
    """Dead leaves: occluding discs, radii ~ r^-3, whose statistics resemble photographs'.

    Image i is a pure function of (size, seed, split, i). Lee, Mumford, Huang, "Occlusion models
    for natural images" (2001).
    """

    kind: ClassVar[str] = "image"
    split: str
    size: int = 64
    count: int = 16
    seed: int = 0

    def __post_init__(self):
        _require_integers("leaves", size=(self.size, 1), count=(self.count, 1), seed=(self.seed, 0))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> np.ndarray:
        """Image i, uint8 [size, size, 3], read-only."""
        if not 0 <= i < self.count:
            raise IndexError(f"leaves: index {i} is outside 0..{self.count - 1}")
        return _dead_leaves(self.size, self.seed, self.split, i)

    def name(self, i: int) -> str:
        """The image's address."""
        return f"leaves_{i}"


SOURCES = {
    "photos": Photos,
    "gaussian": Gaussian,
    "leaves": Leaves,
    "mnist": mnist.Mnist,
    "chirps": chirps.Chirps,
    "fsdd": fsdd.Fsdd,
}


def build(name: str, *, split: str, **options):
    """The source called `name`, or at the address `name`: `prepared.source`.

    Raises:
      ValueError: an unknown name, split or option; or what the source says is missing.
    """
    of_address = name.partition(":")[0] in prepared.SCHEMES
    allowed = (*SPLITS, prepared.EVERYTHING) if of_address else SPLITS
    if split not in allowed:
        raise ValueError(f"unknown split {split!r}; allowed: {', '.join(allowed)}")
    if of_address:
        if unknown := sorted(set(options) - {"directory"}):
            raise ValueError(f"source {name}: unknown option {unknown[0]!r}; allowed: directory")
        return prepared.source(name, split=split, **options)
    if name not in SOURCES:
        allowed = (*SOURCES, "folder:PATH", "tfds:NAME[:SPLIT]")
        raise ValueError(f"unknown source {name!r}; allowed: {', '.join(allowed)}")
    fields = [field for field in dataclasses.fields(SOURCES[name]) if field.name != "split"]
    allowed = ", ".join(field.name for field in fields) or "none"
    for option in options:
        if option not in {field.name for field in fields}:
            raise ValueError(f"source {name}: unknown option {option!r}; allowed: {allowed}")
    for field in fields:
        if field.default is dataclasses.MISSING and field.name not in options:
            raise ValueError(f"source {name}: option {field.name!r} is required")
    return SOURCES[name](split=split, **options)


def of_config(data, *, split: str):
    """The source of a configuration's `data`.

    All but `source`, `test` and `augment` are its options, those that are None left out. `test`,
    where there is one, is the address that tests are read from, all that is there: a folder that no
    training sees.
    """
    own = ("source", "test", "augment")
    options = {k: v for k, v in data.items() if k not in own and v is not None}
    if split == "test" and data.get("test"):
        if data["test"].partition(":")[0] not in prepared.SCHEMES:
            raise ValueError(
                f"data.test must be folder:PATH or tfds:NAME:SPLIT, got {data['test']!r}"
            )
        given = {k: v for k, v in options.items() if k == "directory"}
        return build(data["test"], split=prepared.EVERYTHING, **given)
    return build(data["source"], split=split, **options)


def _require_integers(source: str, **bounds):
    for option, (value, least) in bounds.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{source}: {option} must be an integer >= {least}, got {value!r}")


def _generator(seed: int, split: str, index: int) -> np.random.Generator:
    # The counter's low words count the draws, so streams of different indices never meet.
    key = np.array([seed, SPLITS.index(split)], np.uint64)
    counter = np.array([0, 0, 0, index], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


@functools.cache
def _read_photograph(path, factor: int) -> np.ndarray:
    try:
        with path.open("rb") as file, Image.open(file) as image:
            pixels = np.array(image.convert("RGB").reduce(factor))  # [H, W, 3]
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's three ways to refuse a file
        reason = type(error).__name__
        raise ValueError(f"photograph {path.name} cannot be read ({reason})") from error
    pixels.setflags(write=False)
    return pixels


@functools.lru_cache(maxsize=256)
def _dead_leaves(size: int, seed: int, split: str, index: int) -> np.ndarray:
    discs = 256  # each pixel lies under six of them on average
    generator = _generator(seed, split, index)
    largest, smallest = size / 2, size / 16
    uniform = generator.random(discs)
    radii = (smallest**-2 + uniform * (largest**-2 - smallest**-2)) ** -0.5  # density ~ r^-3
    centres = generator.uniform(-size / 4, size * 5 / 4, (2, discs))
    colours = generator.integers(0, 256, (discs, 3), dtype=np.uint8)
    rows, columns = ((np.arange(size) - centre[:, None]) ** 2 for centre in centres)
    owner = np.zeros((size, size), int)
    for k in range(discs):  # the later disc occludes the earlier
        owner[rows[k][:, None] + columns[k] < radii[k] ** 2] = k
    pixels = colours[owner]  # [size, size, 3]
    pixels.setflags(write=False)
    return pixels
