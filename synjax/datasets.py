"""What the verb `data` does: prepares the user's files, says what is there, shows some."""

import pathlib

import numpy as np

from synjax.data import prepared, tfds_builders, tfds_mnist
from synjax.reporting import contact_sheet, spectrogram

_KINDS = {"image": "pictures", "sound": "sounds"}
SHOWN = 24  # pictures of a preview
LISTED = 20  # skipped files


def prepare(address, originals, directory, console):
    """Writes the shards of a data set, unless they are there, and says what is in them.

    Args:
      address: folder:PATH or tfds:NAME; tfds:mnist where there are `originals`.
      originals: folder of the four original files of MNIST, or None.
      directory: where TFDS keeps its data sets; None for its own default.
      console: rich console.

    Raises:
      ValueError: an address that cannot be prepared here, or files that cannot be read.
    """
    if originals and address != "tfds:mnist":
        raise ValueError(f"--from is for tfds:mnist, not {address}")
    if originals:
        tfds_mnist.prepare(originals, directory)
    elif address.startswith("tfds:"):
        tfds_builders.prepare(address, directory)
    info(address, directory, console)


def info(address, directory, console):
    """Prints splits, sizes and what was left out."""
    builder, everything = _open(address, directory)
    lines = [f"{address}: {everything.fingerprint[:40]}, in {builder.data_path}"]
    lines += [
        f"  {name}: {split.num_examples} {_KINDS[everything.kind]}"
        for name, split in builder.info.splits.items()
    ]
    if held := (builder.info.metadata or {}).get("held_out"):
        lines[-1] += f", {len(held)} of them held out for testing"
    places = np.linspace(0, len(everything) - 1, min(len(everything), 200)).astype(int)
    sides = np.array([everything[i].shape[:2] for i in places])
    (least, narrow), (most, wide) = sides.min(axis=0), sides.max(axis=0)
    of = "" if len(places) == len(everything) else f", of {len(places)} looked at"
    size = f"height {least} to {most}, width {narrow} to {wide}"
    if everything.kind == "sound":
        rate = everything.sample_rate
        size = f"{least / rate:.2f} to {most / rate:.2f} s at {rate} Hz"
    lines.append(f"  {size}{of}")
    skipped = everything.skipped
    lines += [f"  left out: {why}" for why in skipped[:LISTED]]
    if len(skipped) > LISTED:
        lines.append(f"  and {len(skipped) - LISTED} more")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def preview(address, directory, out, console):
    """Draws some pictures or spectrograms, evenly spread over all, as out.png and out.svg."""
    _, everything = _open(address, directory)
    places = np.linspace(0, len(everything) - 1, min(len(everything), SHOWN)).astype(int)
    if everything.kind == "sound":
        pictures = [spectrogram.picture(everything[i]) for i in places]
    else:
        pictures = [everything[i] / np.float32(255) for i in places]
    labels = [everything.name(i) for i in places]
    stem = pathlib.Path(out)
    stem = stem.with_suffix("") if stem.suffix in (".png", ".svg") else stem
    stem.parent.mkdir(parents=True, exist_ok=True)
    title = f"{address}: {len(places)} of {len(everything)} {_KINDS[everything.kind]}"
    for path in contact_sheet.picture_grid(pictures, labels, stem, title):
        console.print(f"Wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _open(address, directory):
    if address.partition(":")[0] not in prepared.SCHEMES:
        raise ValueError(f"data takes folder:PATH or tfds:NAME, got {address!r}")
    source = prepared.source(address, split=prepared.EVERYTHING, directory=directory)
    return source.builder, source
