"""The Free Spoken Digit Dataset: 3,000 short recordings of digits, 8 kHz, as one zip."""

import dataclasses
import functools
import os
import pathlib
import zipfile
import zlib
from typing import ClassVar

import numpy as np

from synjax.data import sounds

FILE = "recordings.zip"
ENVIRONMENT = "SYNJAX_DATA"  # names a folder that holds fsdd/
FIRST_OF_TRAIN = 5  # recordings 0 to 4 of every speaker and digit are for testing
MOST_BYTES = 2**24  # of one recording
# What zipfile raises for files that are damaged, encrypted or packed in another way.
_UNREADABLE = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fsdd:
    """Recordings {digit}_{speaker}_{index}.wav, in an order that mixes digits and speakers.

    The split is the data set's own: 2,700 recordings for training, 300 for testing.

    Attributes:
      sample_rate: Hz.
      many: there are, and each is drawn once in an epoch.
      path: folder of recordings.zip; None for fsdd/ below the folder that SYNJAX_DATA names.
    """

    kind: ClassVar[str] = "sound"
    sample_rate: ClassVar[int] = 8000
    many: ClassVar[bool] = True
    split: str
    path: str | None = None

    def __post_init__(self):
        len(self)

    def __len__(self) -> int:
        return len(self._sounds)

    def __getitem__(self, i: int) -> np.ndarray:
        """Recording i, float32 [T, 1] in [−1, 1], read-only."""
        return self._sounds[i][1]

    def name(self, i: int) -> str:
        """The recording's file name without its suffix."""
        return self._sounds[i][0]

    @functools.cached_property
    def _sounds(self):
        found = [(n, x) for n, x in _read(self.path) if _is_of(self.split, n)]
        if not found:
            raise ValueError(f"fsdd: {FILE} has no recording of split {self.split}")
        order = np.random.default_rng(0).permutation(len(found))
        return [found[i] for i in order]


def _is_of(split, name):
    index = name.rpartition("_")[2]
    return index.isdecimal() and (int(index) >= FIRST_OF_TRAIN) == (split == "train")


@functools.lru_cache(maxsize=1)
def _read(path):
    data = os.environ.get(ENVIRONMENT)
    if path is None and not data:
        raise ValueError(f"fsdd: no folder is named. {_instructions()}")
    file = (pathlib.Path(data, "fsdd") if path is None else pathlib.Path(path)) / FILE
    found = []
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in sorted(archive.infolist(), key=lambda e: e.filename):
                if not entry.filename.endswith(".wav"):
                    continue
                if entry.file_size > MOST_BYTES:
                    raise ValueError(f"{entry.filename} is larger than {MOST_BYTES} bytes")
                x, rate = sounds.decode(archive.read(entry))
                if rate != Fsdd.sample_rate:
                    raise ValueError(f"{entry.filename} has {rate} Hz, not {Fsdd.sample_rate}")
                x.setflags(write=False)
                found.append((pathlib.PurePosixPath(entry.filename).stem, x))
    except _UNREADABLE as error:
        raise ValueError(f"fsdd: {file}: {error}. {_instructions()}") from None
    return found


def _instructions():
    return (
        f"Needed is {FILE}, the folder recordings/ of github.com/Jakobovski/"
        "free-spoken-digit-dataset (CC BY-SA 4.0) as one zip, in a folder named by "
        "--config.data.path=DIR, or in fsdd/ below the folder that the environment variable "
        f"{ENVIRONMENT} names"
    )
