"""Pictures and sounds of data sets that TFDS has prepared, in random access, without TensorFlow.

tfds:NAME     one that `./launch.sh data prepare` or TFDS itself left, NAME as TFDS has it;
              `NAME[/CONFIG][:VERSION][:SPLIT][#FEATURE]` in full
folder:PATH   a folder of pictures or sounds, which `folder` prepares at the first use
"""

import dataclasses
import functools
import io
from typing import ClassVar

import numpy as np
from absl import logging
from PIL import Image

from synjax.data import decoders, folder, kept, pictures, tfds_builders

SCHEMES = ("tfds", "folder")
MOST_MEASURED = 20_000  # pictures; about two seconds
KEPT = 2**30  # bytes of decoded pictures, for all readers of a source
SPLITS = {"train": ("train",), "test": ("test", "validation")}  # of TFDS, the first that is there
EVERYTHING = "all"
SAMPLE_RATE = "sample_rate"  # what `folder` notes of sounds
_TEST = "--config.data.test=folder:PATH or tfds:NAME:SPLIT"
_DECODERS = {"PNG": decoders.png, "TIFF": decoders.tiff, "WEBP": decoders.webp}  # for Pillow's name


def source(address, *, split, directory=None):
    """The `Pictures` or `Sounds` at an address; arguments are their attributes.

    Raises:
      ValueError: nothing is there, or it has neither pictures nor sounds.
    """
    opened = Prepared(address=address, split=split, directory=directory)
    for kind in (Pictures, Sounds):
        if opened.keys_of(kind.feature):
            return kind(address=address, split=split, directory=directory)
    features, asked = sorted(opened.builder.info.features), opened.asked[2]
    where = "" if asked is None else f" in {asked!r}"
    raise ValueError(
        f"{address}: has neither pictures nor sounds{where}; its features are {features}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """One split of a data set.

    Attributes:
      address: `tfds:NAME[/CONFIG][:VERSION][:SPLIT][#FEATURE]` or `folder:PATH`.
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
        stem, dot, suffix = name.decode().rpartition(".")
        return stem if dot else suffix

    @property
    def fingerprint(self) -> str:
        """Names the contents of a folder; a data set of TFDS is named by its version."""
        about = self.builder.info
        return (about.metadata or {}).get("fingerprint") or str(about.full_name)

    @property
    def skipped(self) -> list[str]:
        """Why files of a folder were left out."""
        return (self.builder.info.metadata or {}).get("skipped", [])

    @property
    def left_out(self) -> str:
        """One line on how many files were left out; empty where none were."""
        if not self.skipped:
            return ""
        count = len(self.skipped)
        every = count + sum(split.num_examples for split in self.builder.info.splits.values())
        command = tfds_builders.command("info", self.address, self.directory)
        return f"{self.address}: {count} of {every} files left out; {command} lists them"

    @functools.cached_property
    def asked(self):
        """(name or path, split or None, feature or None) of the address."""
        scheme, _, rest = self.address.partition(":")
        return (rest, None, None) if scheme == "folder" else tfds_builders.named(self.address)

    @functools.cached_property
    def builder(self):
        """The builder of TFDS, whose shards are there."""
        if self.address.startswith("folder:"):
            return folder.prepare(self.asked[0], self.directory)
        return tfds_builders.opened(self.asked[0], self.directory)

    def keys_of(self, name):
        """Keys of the features that hold pictures ("Image") or sounds ("Audio"), ordered.

        Where the address names a feature, it is that one or none.
        """
        if name == "Audio" and SAMPLE_RATE in (self.builder.info.metadata or {}):
            return ["audio"]
        asked, features = self.asked[2], self.builder.info.features
        return sorted(k for k, v in features.items() if asked in (None, k) and _holds(v, name))

    @functools.cached_property
    def _key(self):
        keys, usual = self.keys_of(self.feature), self.feature.lower()
        if len(keys) > 1 and usual not in keys:
            raise ValueError(
                f"{self.address}: has several features of {self.kind}s; name one of them at the "
                f"end: {', '.join(f'#{key}' for key in keys)}"
            )
        return usual if usual in keys else keys[0]

    @functools.cached_property
    def _records(self):
        import tensorflow_datasets as tfds

        split = self._split()
        features = self.builder.info.features.items()
        images = [key for key, feature in features if isinstance(feature, tfds.features.Image)]
        undecoded = {key: tfds.decode.SkipDecoding() for key in images}  # but where it is wanted
        try:
            return self.builder.as_data_source(split, decoders=undecoded or None)
        except NotImplementedError:  # records of TensorFlow have no random access
            again = tfds_builders.command("prepare", f"tfds:{self.asked[0]}", "OTHER")
            raise ValueError(
                f"{self.address}: is prepared in another format than {tfds_builders.FORMAT}; "
                f"{again} prepares it once more"
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
        named = self.asked[1]
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
        """Raises ValueError where a split is missing, or a feature has to be named."""
        len(self), self._key

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
            pixels = _pixels(stored)
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
        """Raises ValueError where a split, a feature's name or the sample rate is missing."""
        len(self), self._key
        if not self.sample_rate:
            raise ValueError(f"{self.address}: does not say its sample rate")

    @property
    def sample_rate(self) -> int:
        """Hz."""
        known = (self.builder.info.metadata or {}).get(SAMPLE_RATE)
        return known or self.builder.info.features[self._key].sample_rate

    def __getitem__(self, i: int) -> np.ndarray:
        """Sound i, float32 [T, 1] in [−1, 1], clipped where it goes beyond, which is said once.

        Raises:
          ValueError: samples that are not finite.
        """
        self._require(i)
        x = np.asarray(self._record(i)[self._key])
        x = x.reshape(len(x), -1).mean(axis=1, keepdims=True, dtype=np.float64)
        whole = np.issubdtype(self.builder.info.features[self._key].np_dtype, np.integer)
        if whole:
            x = x / 2.0**15
        if not np.isfinite(x).all():
            raise ValueError(f"{self.address}: sound {i} has samples that are not finite")
        if (peak := np.abs(x).max(initial=0)) > 1:
            line = "%s: sound %d has a peak of %.3g of the full scale: such sounds are clipped"
            logging.log_first_n(logging.WARNING, line, 1, self.address, i, peak)
        return np.clip(x, -1, 1).astype(np.float32)


def _holds(feature, name):
    """Whether a feature is a picture ("Image") or a sound ("Audio")."""
    import tensorflow_datasets as tfds

    if not isinstance(feature, getattr(tfds.features, name)):
        return False
    # A mask is an Image of TFDS as well, and so are floats, stored as if they were four colours.
    is_mask = isinstance(feature, tfds.features.LabeledImage)
    return name != "Image" or not (is_mask or feature.np_dtype == np.float32)


def _pixels(stored):
    """The picture in the bytes of a file: uint8 [H, W, 3]; 16 bits and alpha as in `folder`."""
    with Image.open(io.BytesIO(stored)) as image:
        # Pillow has 16 bits for grey alone, where its conversion clips.
        is_deep = image.mode[0] in "IF" or (image.format == "PNG" and stored[24] == 16)
        if not is_deep and not image.has_transparency_data:
            return np.array(image.convert("RGB"))
        form = image.format
    if form not in _DECODERS:
        allowed = ", ".join(_DECODERS)
        raise ValueError(f"is a {form} with alpha or more than 8 bits; allowed are {allowed}")
    samples, _ = _DECODERS[form](stored)  # TFDS turns none by its EXIF orientation
    if samples.shape[-1] in (2, 4):
        samples = pictures.over_white(samples)
    return np.array(folder.rgb(samples))
