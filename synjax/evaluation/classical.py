"""Classical codecs, measured live: JPEG, WebP, AVIF and JPEG 2000 by Pillow, in real bytes."""

import functools
import io
import pathlib
from concurrent import futures

import jax
import numpy as np
import pandas as pd
from PIL import Image

from synjax import distortion, lpips
from synjax.evaluation import realism
from synjax.reporting import table

# Files of a directory: means over pictures, as `reporting.external` reads them, and every picture.
MEANS, PICTURES = "classical.csv", "pictures.csv"
# Codec -> (Pillow's format, what is fixed, name of the setting, its values by rising rate).
CODECS = {
    "jpeg": (
        "JPEG",
        {"progressive": True, "optimize": True},
        "quality",
        (2, 5, 10, 15, 20, 30, 40, 60, 80, 90),
    ),
    "webp": ("WEBP", {"method": 6}, "quality", (0, 2, 5, 10, 20, 40, 60, 80, 90)),
    "avif": ("AVIF", {"speed": 4}, "quality", (10, 20, 30, 40, 50, 60, 70, 80)),
    "jp2": (
        "JPEG2000",
        {"irreversible": True, "quality_mode": "rates"},
        "compression",
        (400, 240, 160, 100, 64, 40, 24, 16, 8),
    ),
}


def encode(codec, setting, pixels):
    """The bytes of a file.

    Args:
      codec: one of `CODECS`.
      setting: of its values, or another of the kind.
      pixels: uint8 [H, W, 3].
    """
    form, fixed, _, _ = CODECS[codec]
    varied = {"quality_layers": [setting]} if codec == "jp2" else {"quality": setting}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **fixed, **varied)
    return file.getvalue()


def decode(content):
    """uint8 [H, W, 3] of a file's bytes."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@jax.jit
def ms_ssim(x, x_hat):
    """`distortion.ms_ssim`, compiled once for a size of pictures."""
    return distortion.ms_ssim(x, x_hat)


def measure(x, weights=None, codecs=tuple(CODECS)):
    """One picture under every setting, by the measures of the table.

    Args:
      x: [H, W, 3] in [0, 1], of 8 bits.
      weights: from `lpips.load`; None measures no LPIPS.
      codecs: of `CODECS`.

    Returns:
      List of dicts with the columns of `reporting.external` and "setting".

    Raises:
      ValueError: the picture has no room for MS-SSIM.
    """
    pixels = np.round(x * 255).astype(np.uint8)
    photograph = realism.Photograph(x)
    rows = []
    for codec in codecs:
        for setting in CODECS[codec][3]:
            content = encode(codec, setting, pixels)
            decoded = decode(content)
            mse = np.mean((decoded.astype(np.float64) - pixels) ** 2) / 255**2
            row = {"name": codec, "setting": setting, "mse": float(mse)}
            row["bpp"] = 8 * len(content) / (pixels.shape[0] * pixels.shape[1])
            row["psnr"] = float(-10 * np.log10(max(mse, 1e-12)))
            x_hat = (decoded / np.float32(255))[None]
            row["ms_ssim"] = float(ms_ssim(x[None], x_hat)[0])
            if weights is not None:
                row["lpips"] = float(lpips.lpips(weights, x[None], x_hat)[0])
            row |= {name: value for name, (value, _) in photograph.divergences(x_hat).items()}
            rows.append(row)
    return rows


def tabulate(examples, weights=None, codecs=tuple(CODECS), told=lambda done: None):
    """All pictures under every setting.

    Args:
      examples: list of `data.pipeline.Example`, pictures.
      weights, codecs: as for `measure`.
      told: called with how many pictures are done, after each.

    Returns:
      DataFrames: one row per picture and setting, with its "picture"; and means over pictures,
      without it, as `reporting.external` reads them.
    """
    rows = []
    with futures.ThreadPoolExecutor(2) as pool:
        work = functools.partial(measure, weights=weights, codecs=codecs)
        measured = pool.map(work, [example.x for example in examples])
        for done, (example, own) in enumerate(zip(examples, measured, strict=True), 1):
            rows += [{"picture": example.name} | row for row in own]
            told(done)
    single = pd.DataFrame(rows)
    # What a small picture has no room for is left out for all.
    shared = single.drop(columns="picture").dropna(axis="columns")
    means = shared.groupby(["name", "setting"], sort=False).mean()
    return single, means.reset_index()


def write(single, means, directory):
    """Writes what `tabulate` returned to a directory, and returns the two paths."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    contents = {MEANS: means.drop(columns="setting"), PICTURES: single}
    return [
        table.replace_file(directory / name, frame.to_csv(index=False).encode())
        for name, frame in contents.items()
    ]


def asked(config):
    """The codecs that a configuration wants to be compared with: `evaluation.classical`.

    Raises:
      ValueError: one that there is not.
    """
    names = tuple(config["evaluation"].get("classical", ()))
    if unknown := [name for name in names if name not in CODECS]:
        raise ValueError(f"evaluation.classical has {unknown[0]!r}, must be of {', '.join(CODECS)}")
    return names
