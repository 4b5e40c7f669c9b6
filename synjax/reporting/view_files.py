"""What can be looked at of a trial, as files: lossless pictures and one JSON that names them.

`views/` of a trial's directory holds each signal once, and for each level and realism its members
and the JPEG nearest in bytes; of sounds spectrograms, and WAV files of the same names.
`views.json`, written after them, says what each is and what it cost.
"""

import io
import json
import pathlib

import numpy as np
from PIL import Image

from synjax.data import sounds
from synjax.reporting import table

DIRECTORY = "views"
INDEX = "views.json"
_NUMBERS = ("level", "realism", "bytes", "metrics", "whole", "corner", "jpeg_bytes", "jpeg_psnr")


def write(directory, views, point):
    """Writes the views of a trial; what an earlier call wrote is replaced.

    Args:
      directory: of the trial.
      views: `evaluation.views.View`s, or what has their attributes.
      point: dict that says which trial it is, for JSON.

    Returns:
      The path of the index, or None where there is nothing to look at.
    """
    home = pathlib.Path(directory) / DIRECTORY
    if home.exists():
        (home / INDEX).unlink(missing_ok=True)  # first: without it the rest is nothing
        for path in [*home.glob("*.webp"), *home.glob("*.wav")]:
            path.unlink()
    if not views:
        return None
    home.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(view.name for view in views))
    entries = []
    for view in views:
        signal = names.index(view.name)
        stem = f"{signal}_level_{view.level}_realism_{view.realism:g}"
        entry = {name: getattr(view, name) for name in _NUMBERS}
        entry |= {"signal": signal, "source": _save(home / f"{signal}_source.webp", view.source)}
        entry["members"] = [
            {"address": j, "quality": one, "file": _save(home / f"{stem}_member_{j}.webp", member)}
            for j, (member, one) in enumerate(zip(view.members, view.quality, strict=True))
        ]
        entry["heard"] = view.heard and _hear(home, entry, view.heard)
        entry["jpeg"] = None
        if view.jpeg is not None:
            entry["jpeg"] = _save(home / f"{stem}_jpeg.webp", view.jpeg)
        entries.append(entry)
    index = {"point": point, "signals": names, "views": entries}
    return table.replace_file(home / INDEX, json.dumps(index, indent=1).encode())


def read(directory):
    """The index of a trial's views, or None where it has none.

    Args:
      directory: of the trial.

    Returns:
      The dict that `write` wrote, with the paths of files in place of their names.

    Raises:
      ValueError: the index is damaged, or names what is no file beside it.
    """
    home = pathlib.Path(directory) / DIRECTORY
    if not (home / INDEX).exists():
        return None
    try:
        index = json.loads((home / INDEX).read_text())
        for view in index["views"]:
            view["source"] = _beside(home, view["source"])
            view["jpeg"] = view["jpeg"] and _beside(home, view["jpeg"])
            if heard := view["heard"]:
                heard["source"] = _beside(home, heard["source"])
                heard["members"] = [_beside(home, name) for name in heard["members"]]
            for member in view["members"]:
                member["file"] = _beside(home, member["file"])
        return index
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{home / INDEX} is not an index of views: {error!r}") from None


def load(path):
    """The pixels of a picture that `write` wrote, uint8 [H, W, 3]; grey has equal channels."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def encode(pixels, quality=None):
    """A WebP file of uint8 pixels [H, W] or [H, W, 3], lossless without a quality (1…100)."""
    file = io.BytesIO()
    settings = {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    Image.fromarray(pixels).save(file, "WEBP", **settings)
    return file.getvalue()


def _save(path, picture):
    if not path.exists():  # the source of several views
        pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        table.replace_file(path, encode(pixels))
    return path.name


def _hear(home, entry, heard):
    """Writes the sounds of an entry beside their spectrograms; what the index says of them."""
    names = [entry["source"], *(member["file"] for member in entry["members"])]
    names = [str(pathlib.Path(name).with_suffix(".wav")) for name in names]
    for name, x in zip(names, (heard.source, *heard.members), strict=True):
        if not (home / name).exists():
            sounds.write(home / name, x, heard.sample_rate)
    seconds = len(heard.source) / heard.sample_rate
    rate = heard.sample_rate
    return {"sample_rate": rate, "seconds": seconds, "source": names[0], "members": names[1:]}


def _beside(home, name):
    path = home / name
    if pathlib.PurePath(name).name != name or not path.is_file():
        raise ValueError(f"{name!r} is no file beside it")
    return path
