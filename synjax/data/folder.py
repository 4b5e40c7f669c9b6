"""A folder of the user's pictures or sounds, prepared once as a data set of TFDS.

Its shards are array_record files.

Subfolders `train`, `val` (`valid`, `validation`) and `test`, where `train` is one of two at least,
are the splits, and what lies beside them is left out; otherwise every tenth file is for testing,
chosen by its name, so that files which come later move no other. JPEGs are kept as they are, other
pictures as PNG of 8 bits and three channels; sounds, which must have one sample rate, as 16 bits of
one channel.
"""

import contextlib
import hashlib
import io
import pathlib
import re

import numpy as np
import rich.console
import rich.progress
from PIL import Image

from synjax.data import pictures, sounds

SUFFIXES = {
    "picture": (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"),
    "sound": sounds.SUFFIXES,
}
SPLITS = {  # of a subfolder's name
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
TEST_SHARE = 10  # one file in so many, where the folder does not say
SHOWN = 5  # unreadable files that an error names


def listing(path):
    """The files of a folder by split, nested ones too, in the order of their names.

    Returns:
      "picture" or "sound"; {"train": [pathlib.Path, …], …}, with "validation" and "test" where the
      folder has them; and the files that lie beside these.

    Raises:
      ValueError: no such folder; nothing of use in it, or both kinds; splits without "train".
    """
    if not path:
        raise ValueError("folder: must be folder:PATH, got no path")
    folder = pathlib.Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f"folder:{path}: there is no such folder")
    files = list(_files(folder))
    of_kind = {k: [p for p in files if p.suffix.lower() in own] for k, own in SUFFIXES.items()}
    of_kind = {kind: found for kind, found in of_kind.items() if found}
    if len(of_kind) > 1:
        counts = " and ".join(f"{len(found)} {kind}s" for kind, found in of_kind.items())
        raise ValueError(f"folder:{path}: holds {counts}; name a folder of one kind")
    if not of_kind:
        allowed = ", ".join(s for own in SUFFIXES.values() for s in own)
        raise ValueError(f"folder:{path}: holds no picture or sound ({allowed})")
    ((kind, found),) = of_kind.items()
    return kind, *_splits(path, folder, found)


def _files(folder, above=()):
    """All files below a folder, sorted; links are followed, but into no folder that they lie in."""
    own = folder.resolve()
    if own in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path, (*above, own))
        elif path.is_file():
            yield path


def _splits(path, folder, files):
    """The files by split, and those that lie beside several splits."""
    own, beside = {split: [] for split in SPLITS.values()}, []
    for file in files:
        split = SPLITS.get(file.relative_to(folder).parts[0].lower())
        (own[split] if split else beside).append(file)
    own = {split: found for split, found in own.items() if found}
    if own and "train" not in own:
        parts = sorted({p.relative_to(folder).parts[0] for found in own.values() for p in found})
        raise ValueError(
            f"folder:{path}: has {' and '.join(parts)} but no train beside it; name "
            f"{' or '.join(f'folder:{pathlib.Path(path, part)}' for part in parts)}, or rename it"
        )
    if len(own) < 2:
        return {"train": files}, []
    return own, beside


def is_held_out(name):
    """Whether a picture is one of those for testing, where the folder does not say."""
    return _digest(name.encode())[0] % TEST_SHARE == 0


def builder(path, directory=None):
    """The TFDS builder of a folder as it is now; of another one once a file changes.

    Args:
      path: the folder.
      directory: where TFDS keeps its data sets; None for its own default.

    Raises:
      ValueError: as `listing`.
    """
    import tensorflow_datasets as tfds

    folder = pathlib.Path(path).expanduser().resolve()
    kind, files, beside = listing(path)
    state = [
        (split, str(p), p.stat().st_size, p.stat().st_mtime_ns)
        for split, own in (*files.items(), (None, beside))
        for p in own
    ]
    stem = re.sub(r"\W", "_", folder.name)  # as TFDS wants names of configurations
    key = f"{stem}-{_digest(repr((str(folder), state)).encode()).hex()[:12]}"

    with tfds.core.registered.skip_registration():  # a second folder has the same name
        made = _class(tfds, path, folder, kind, files, beside, key)
    return made(config=key, data_dir=directory, file_format="array_record")


def _class(tfds, path, folder, kind, files, beside, key):
    if kind == "sound":
        rate = _sample_rate(path, [p for own in files.values() for p in own])
        what = {
            # Not features.Audio, which needs TensorFlow.
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="zlib")
        }
    else:
        what = {"image": tfds.features.Image(shape=(None, None, 3))}

    class Folder(tfds.core.GeneratorBasedBuilder):
        """Files of a folder."""

        name = "synjax_folder"
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=key, description=str(folder))]

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(what | {"name": tfds.features.Text()}),
                disable_shuffling=True,  # tests are in the order of the names
                metadata=tfds.core.MetadataDict(),
            )

        def _split_generators(self, dl_manager):
            del dl_manager
            self._skipped, self._contents = [], hashlib.sha256()
            return {split: self._generate_examples(own) for split, own in files.items()}

        def _generate_examples(self, own):
            console = rich.console.Console(stderr=True)
            track = rich.progress.track(
                own, f"Preparing {folder}", console=console, disable=not console.is_terminal
            )
            written = []
            for file in track:
                name = str(file.relative_to(folder))
                try:
                    content, stored = _STORED[kind](file)
                except ValueError as error:
                    self._skipped.append(str(error))
                    continue
                self._contents.update(name.encode() + _digest(content))
                written.append(name)
                yield name, {next(iter(what)): stored, "name": name}
            if not written:
                listed = "; ".join(self._skipped[:SHOWN])
                raise ValueError(f"folder:{path}: no {kind} can be read ({listed})")
            self.info.metadata["fingerprint"] = self._contents.hexdigest()
            others = [f"{file}: lies beside {', '.join(files)}" for file in beside]
            self.info.metadata["skipped"] = self._skipped + others
            if kind == "sound":
                self.info.metadata["sample_rate"] = rate
            if len(files) == 1:
                held = [i for i, name in enumerate(written) if is_held_out(name)]
                last = [len(written) - 1] if len(written) > 1 else []
                # By its hash every file may be held out, or none.
                self.info.metadata["held_out"] = held if 0 < len(held) < len(written) else last

    return Folder


def prepare(path, directory=None):
    """The builder of a folder whose shards are written, if they were not before.

    Raises:
      ValueError: as `listing`; no file of a split can be read; sounds of several sample rates.
      OSError: the shards cannot be written.
    """
    found = builder(path, directory)
    write(found)
    return found


def write(builder):
    """Writes what a TFDS builder generates, unless it is there; TFDS's own words are not shown."""
    import tensorflow_datasets as tfds

    if builder.data_path.exists():
        return
    tfds.disable_progress_bar()  # it draws one where there is no terminal, too
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except OSError:
        if not builder.data_path.exists():  # another process has just written it
            raise


def _sample_rate(path, files):
    """The one rate of all sounds that can be read."""
    import soundfile

    rates = {}
    for file in files:
        with contextlib.suppress(RuntimeError, OSError):  # what cannot be read is left out later
            rates.setdefault(soundfile.info(str(file)).samplerate, file)
    if len(rates) > 1:
        named = ", ".join(f"{rate} Hz ({file.name})" for rate, file in sorted(rates.items()))
        raise ValueError(f"folder:{path}: sounds of several sample rates: {named}")
    return next(iter(rates), 1)


def _stored_sound(file):
    """The samples of a file as bytes and as TFDS takes them."""
    x, _ = sounds.read(file)
    samples = np.clip(np.rint(x[:, 0] * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
    return samples.tobytes(), samples


def _stored_picture(file):
    """Bytes of a file that decode to uint8 [H, W, 3]; ValueError where it cannot be read."""
    content = _encoded_picture(file)
    return content, io.BytesIO(content)


def _encoded_picture(file):
    pixels = pictures.read(file, alpha="flatten")
    content = file.read_bytes()
    if file.suffix.lower() in (".jpg", ".jpeg"):
        with Image.open(io.BytesIO(content)) as image:
            if np.array_equal(np.asarray(image.convert("RGB")), rgb(pixels)):  # not turned by EXIF
                return content
    encoded = io.BytesIO()
    Image.fromarray(rgb(pixels)).save(encoded, "PNG", compress_level=1)
    return encoded.getvalue()


_STORED = {"picture": _stored_picture, "sound": _stored_sound}


def rgb(pixels):
    """uint8 [H, W, 3] of uint8 or uint16 [H, W, 1 or 3]."""
    if pixels.dtype == np.uint16:
        pixels = np.round(pixels / 257).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _digest(content):
    return hashlib.sha256(content).digest()
