"""Pictures and sounds of data sets that TFDS has prepared, in random access, without TensorFlow.

tfds:NAME[:SPLIT]   one that `tfds build` or `./launch.sh data prepare` left, NAME as TFDS has it
folder:PATH         a folder of pictures or sounds, which `folder` prepares at the first use
"""

import dataclasses
import functools
import io
import re
from typing import ClassVar

import numpy as np
from PIL import Image

from synjax.data import folder, kept

SCHEMES = ("tfds", "folder")
MOST_MEASURED = 20_000  # pictures; about two seconds
KEPT = 2**30  # bytes of decoded pictures, for all readers of a source
SPLITS = {"train": ("train",), "test": ("test", "validation")}  # of TFDS, the first that is there
EVERYTHING = "all"
SAMPLE_RATE = "sample_rate"  # what `folder` notes of sounds
_TEST = "--config.data.test=folder:PATH or tfds:NAME:SPLIT"
_ADDRESS = re.compile(r"tfds:(\w+(?:/\w+)?(?::\d+\.\d+\.\d+)?)(?::(.+))?")


def source(address, *, split, directory=None):
    """The `Pictures` or `Sounds` at an address; arguments are their attributes.

    Raises:
      ValueError: nothing is there, or it has neither pictures nor sounds.
    """
    opened = Prepared(address=address, split=split, directory=directory)
    for kind in (Pictures, Sounds):
        if opened.keys_of(kind.feature):
            return kind(address=address, split=split, directory=directory)
    features = list(opened.builder.info.features)
    raise ValueError(f"{address}: has neither pictures nor sounds; its features are {features}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """One split of a data set.

    Attributes:
      address: tfds:NAME[:SPLIT] or folder:PATH.
      split: "train", "test" or, for all there are, "all"; an address that names one overrides it.
      directory: where TFDS keeps its data sets; None for $TFDS_DATA_DIR or ~/tensorflow_datasets.
    """

    feature: ClassVar[str] = ""  # name of the class in tfds.features
    many: ClassVar[bool] = True  # not all of them fit into memory
    address: str
    split: str
    directory: str | None = None

    def __len__(self) -> int:
        return len(self._records if self._places is None else self._places)

    def __getstate__(self):
        """The address alone goes to other processes, which open it themselves."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def name(self, i: int) -> str:
        """The file's name in its folder, without its suffix; the number of others."""
        name = self._record(i).get("name")
        if not isinstance(name, bytes):
            return f"{self.address.partition(':')[2]}_{i}"
        return name.decode().rpartition(".")[0]

    @property
    def fingerprint(self) -> str:
        """Names the contents of a folder; a data set of TFDS is named by its version."""
        about = self.builder.info
        return (about.metadata or {}).get("fingerprint") or str(about.full_name)

    @property
    def skipped(self) -> list[str]:
        """Why files of a folder were left out."""
        return (self.builder.info.metadata or {}).get("skipped", [])

    @functools.cached_property
    def builder(self):
        """The builder of TFDS, whose shards are there."""
        scheme, _, rest = self.address.partition(":")
        if scheme == "folder":
            return folder.prepare(rest, self.directory)
        return _prepared(_named(self.address)[0], self.directory)

    def keys_of(self, name):
        """Keys of the features of a class of tfds.features; "audio" of a folder of sounds."""
        import tensorflow_datasets as tfds

        if name == "Audio" and SAMPLE_RATE in (self.builder.info.metadata or {}):
            return ["audio"]
        of_class = getattr(tfds.features, name)
        return [k for k, v in self.builder.info.features.items() if isinstance(v, of_class)]

    @functools.cached_property
    def _key(self):
        return self.keys_of(self.feature)[0]

    @functools.cached_property
    def _records(self):
        import tensorflow_datasets as tfds

        split = self._split()
        images = self.keys_of("Image")  # decoded where they are wanted
        decoders = {key: tfds.decode.SkipDecoding() for key in images} or None
        try:
            return self.builder.as_data_source(split, decoders=decoders)
        except NotImplementedError:  # records of TensorFlow have no random access
            name = self.builder.info.full_name
            raise ValueError(
                f"{self.address}: is prepared in another format than array_record; "
                + _command(name)
            ) from None
        except ValueError as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"{self.address}: split {split!r}: {first}") from None

    def _require(self, i):
        if not 0 <= i < len(self):
            raise IndexError(f"{self.address}: index {i} is outside 0..{len(self) - 1}")

    def _record(self, i):
        return self._records[i if self._places is None else int(self._places[i])]

    @functools.cached_property
    def _places(self):
        """Of the records, which are this split's; None for all."""
        held = (self.builder.info.metadata or {}).get("held_out")
        if held is None or self.split == EVERYTHING:
            return None
        if self.split == "test" and not held:
            raise ValueError(
                f"{self.address}: one picture leaves none to test; name them by {_TEST}"
            )
        others = np.setdiff1d(np.arange(len(self._records)), held)
        return others if self.split == "train" else np.asarray(held)

    def _split(self):
        there = list(self.builder.info.splits)
        named = None if self.address.startswith("folder:") else _named(self.address)[1]
        if named or self.split == EVERYTHING:
            return named or EVERYTHING
        if "held_out" in (self.builder.info.metadata or {}):
            return "train"
        found = [name for name in SPLITS[self.split] if name in there]
        if not found:
            raise ValueError(
                f"{self.address}: has no split {' or '.join(SPLITS[self.split])}, only "
                f"{', '.join(there)}; name another by {_TEST}"
            )
        return found[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures(Prepared):
    """The pictures of one split, grey ones in three channels."""

    kind: ClassVar[str] = "image"
    feature: ClassVar[str] = "Image"

    def __post_init__(self):
        len(self)  # what is missing is said now

    def __getitem__(self, i: int) -> np.ndarray:
        """Picture i, decoded: uint8 [H, W, 3], read-only; ValueError where it cannot be."""
        self._require(i)
        return self._kept.get(i, self._decode)

    @functools.cached_property
    def _kept(self):
        return kept.Kept(KEPT)

    def _decode(self, i):
        stored = self._record(i)[self._key]
        try:
            with Image.open(io.BytesIO(stored)) as image:
                pixels = np.array(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{self.address}: picture {i} cannot be read ({error})") from None
        pixels.setflags(write=False)
        return pixels

    @functools.cached_property
    def smallest(self) -> int | None:
        """Place of the picture with the shortest side; None where finding it takes long."""
        height, width = self.builder.info.features[self._key].shape[:2]
        if height and width:
            return 0
        if len(self) > MOST_MEASURED:
            return None
        return min(range(len(self)), key=lambda i: min(self._size(i)))

    def _size(self, i):
        with Image.open(io.BytesIO(self._record(i)[self._key])) as image:
            return image.size  # of the header


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sounds(Prepared):
    """The sounds of one split, several channels averaged to one."""

    kind: ClassVar[str] = "sound"
    feature: ClassVar[str] = "Audio"

    def __post_init__(self):
        """Raises ValueError where a split is missing, or nobody says the sample rate."""
        len(self)
        if not self.sample_rate:
            raise ValueError(f"{self.address}: does not say its sample rate")

    @property
    def sample_rate(self) -> int:
        """Hz."""
        known = (self.builder.info.metadata or {}).get(SAMPLE_RATE)
        return known or self.builder.info.features[self._key].sample_rate

    def __getitem__(self, i: int) -> np.ndarray:
        """Sound i, float32 [T, 1] in [−1, 1]."""
        self._require(i)
        x = np.asarray(self._record(i)[self._key])
        x = x.reshape(len(x), -1).mean(axis=1, keepdims=True, dtype=np.float64)
        whole = np.issubdtype(self.builder.info.features[self._key].np_dtype, np.integer)
        return np.clip(x / 2.0**15 if whole else x, -1, 1).astype(np.float32)


def _named(address):
    """(NAME, SPLIT or None) of tfds:NAME[:SPLIT], where NAME may end in a version."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise ValueError(f"{address}: must be tfds:NAME, tfds:NAME:SPLIT, or with NAME:VERSION")
    return found.groups()


def _prepared(name, directory):
    import tensorflow_datasets as tfds

    given = {} if directory is None else {"data_dir": directory}
    try:
        return tfds.core.read_only_builder.builder_from_files(name, **given)
    except ModuleNotFoundError as error:  # of sounds, whose feature TFDS makes of TensorFlow
        raise ValueError(f"tfds:{name}: {error}; this data set cannot be read without it") from None
    except tfds.core.registered.DatasetNotFoundError:
        where = "" if directory is None else f" in {directory}"
        raise ValueError(f"tfds:{name}: is not prepared{where}; {_command(name)}") from None


def _command(name):
    extra = " (or ./launch.sh data prepare tfds:mnist --from=DIR)" if name == "mnist" else ""
    return f".venv/bin/tfds build {name} --file_format=array_record prepares it{extra}"
