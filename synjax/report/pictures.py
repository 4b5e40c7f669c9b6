"""The pictures and sounds of a page: each once, within some bytes; what is left out is said."""

import base64
import hashlib
import itertools

import matplotlib
import numpy as np

from synjax.reporting import spectrogram, view_files

QUALITY = 90  # of WebP, where the lossless files are too many
LEVELS = 48  # of the map of standard deviations: few compress well, and more are not told apart
COLOURS = "magma"


class Album:
    """Pictures and sounds by name, as data addresses; equal ones are kept once."""

    def __init__(self, budget):
        """`budget` is how many characters the addresses may take in all."""
        self.addresses, self.taken = {}, 0
        self._budget = budget

    @property
    def left(self):
        """Characters that are left."""
        return self._budget - self.taken

    def add(self, content, kind="image/webp"):
        """Adds the bytes of a file of a kind; returns its name."""
        name = hashlib.sha256(content).hexdigest()[:12]
        if name not in self.addresses:
            address = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            self.addresses[name] = address
            self.taken += len(address)
        return name

    def remove(self, names):
        """Takes pictures out again."""
        for name in names:
            self.taken -= len(self.addresses.pop(name))


def explorer(runs, budget):
    """The synset explorer's data and pictures.

    Args:
      runs: of `reading.Run`.
      budget: characters that the pictures may take.

    Returns:
      (data, addresses, note): a dict for JSON of "signals" and "views", or None where there is
      nothing to look at; picture name -> data address; and what had to be left out, or an empty
      text.
    """
    entries = _entries(runs)
    if not entries:
        return None, {}, ""
    lossless = _fits(entries, budget)
    album, data = Album(budget), {"signals": [], "views": []}
    kept = 0
    by_signal = itertools.groupby(sorted(entries, key=_signal), key=_signal)
    groups = [list(group) for _, group in by_signal]
    for group in groups:
        before = set(album.addresses)
        signal, views = _signal_data(group, album, lossless)
        if album.taken > budget:
            album.remove(set(album.addresses) - before)
            break
        kept += 1
        for view in views:
            view["signal"] = len(data["signals"])
        data["signals"].append(signal)
        data["views"] += views
    notes = [] if lossless else [f"Pictures are WebP of quality {QUALITY} here, lossless on disk"]
    if kept < len(groups):
        notes.append(f"{kept} of {len(groups)} test signals fit the page")
    return (data if kept else None), album.addresses, "; ".join(notes)


def _entries(runs):
    """(run's number, run, index, view) of every view there is."""
    return [
        (number, run, trial.views, view)
        for number, run in enumerate(runs)
        for trial in run.trials
        if trial.views
        for view in trial.views["views"]
    ]


def _signal(entry):
    number, _, _, view = entry
    return view["signal"], number


def _fits(entries, budget):
    """Whether the lossless files, and maps about as large as one of them, fit the budget."""
    files = {path for *_, view in entries for path in _files(view)}
    sizes = sum(path.stat().st_size for path in files)
    maps = sum(view["members"][0]["file"].stat().st_size // 2 for *_, view in entries)
    return (sizes + maps) * 4 / 3 < budget


def _files(view):
    own = [view["source"], *(member["file"] for member in view["members"])]
    heard = [view["heard"]["source"], *view["heard"]["members"]] if view["heard"] else []
    return own + heard + ([view["jpeg"]] if view["jpeg"] else [])


def _signal_data(group, album, lossless):
    def add(path):
        if lossless:
            return album.add(path.read_bytes())
        return album.add(view_files.encode(view_files.load(path), QUALITY))

    def hear(path):
        return album.add(path.read_bytes(), "audio/wav")

    number, run, index, first = group[0]
    shown = spectrogram.shown_decibels if first["heard"] else _shares
    spreads = [spread([shown(view_files.load(m["file"])) for m in v["members"]]) for *_, v in group]
    white = max((float(np.quantile(one, 0.995)) for one in spreads), default=0.0)
    height, width = view_files.load(first["source"]).shape[:2]
    signal = {
        "run": number,
        "name": index["signals"][first["signal"]],
        "source": add(first["source"]),
        "size": [height, width],
        "whole": first["whole"],
        "white": white,
    }
    if heard := first["heard"]:
        signal |= {"heard": hear(heard["source"]), "decibels": spectrogram.DECIBELS}
        signal |= {key: heard[key] for key in ("seconds", "sample_rate")}
    views = []
    for (_, _, index, view), one in zip(group, spreads, strict=True):
        kept = {key: view[key] for key in ("level", "realism", "bytes", "metrics", "jpeg_bytes")}
        kept |= index["point"] | {"run": number, "jpeg_psnr": view["jpeg_psnr"]}
        kept["members"] = [add(member["file"]) for member in view["members"]]
        kept["addresses"] = [member["address"] for member in view["members"]]
        kept["quality"] = [round(member["quality"], 2) for member in view["members"]]
        kept["heard"] = [hear(path) for path in view["heard"]["members"]] if view["heard"] else None
        kept["jpeg"] = view["jpeg"] and add(view["jpeg"])
        kept["spread"] = album.add(heat(one, white))
        kept["spread_mean"] = float(f"{np.sqrt((one**2).mean()):.3g}")
        views.append(kept)
    return signal, views


def spread(members):
    """Standard deviation over members, per pixel, averaged over channels.

    Args:
      members: list of [H, W, C] or [H, W].

    Returns:
      [H, W]; 0 for a single member.
    """
    values = np.stack(members)
    values = values.reshape(*values.shape[:3], -1)
    if len(values) == 1:
        return np.zeros(values.shape[1:3], np.float32)
    return (values - values[0]).std(axis=0, ddof=1).mean(axis=-1)


def _shares(pixels):
    return pixels.astype(np.float32) / 255


def heat(one, white):
    """A map of standard deviations as a WebP file; `white` is shown as the brightest colour."""
    share = np.clip(one / white, 0, 1) if white > 0 else np.zeros_like(one)
    steps = np.round(share * (LEVELS - 1)) / (LEVELS - 1)
    colours = matplotlib.colormaps[COLOURS](steps)[..., :3]
    return view_files.encode(np.round(colours * 255).astype(np.uint8))
