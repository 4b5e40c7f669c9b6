"""A sheet of one sound and its synset: spectrograms, and where the members differ."""

import matplotlib
import matplotlib.figure
import numpy as np

from synjax.reporting import plots

_WIDTH, _HEIGHT = 9.0, 1.7  # inches, of a row
DECIBELS = 70.0  # from black to white
_COLOURS = "magma"
_PACKED = np.array([1 << 16, 1 << 8, 1])  # a colour as one number


def sheet(source, members, sample_rate, path_stem, title):
    """Draws the waveform's and every member's spectrogram, and the members' deviation in dB.

    Args:
      source: [T, 1] in [−1, 1].
      members: [M, T, 1].
      sample_rate: Hz.
      path_stem: path of the files without their suffix.
      title: a line above them.

    Returns:
      The paths of path_stem.png and path_stem.svg.

    Raises:
      ValueError: if the shapes do not match or a value is not finite.
    """
    source, members = np.asarray(source, np.float64), np.asarray(members, np.float64)
    if source.ndim != 2 or members.shape[1:] != source.shape or not len(members):
        raise ValueError(
            f"a spectrogram sheet needs a source [T, 1] and members [M, T, 1], not "
            f"{list(source.shape)} and {list(members.shape)}"
        )
    if not (np.isfinite(source).all() and np.isfinite(members).all()):
        raise ValueError("a spectrogram sheet needs finite sounds; some values are not")
    frame = _frame(len(source))
    spectra = [_decibels(sound[:, 0], frame) for sound in (source, *members)]
    top = max(spectrum.max() for spectrum in spectra)
    rows = {"source": spectra[0]}
    for number, (member, spectrum) in enumerate(zip(members, spectra[1:], strict=True), start=1):
        noise = np.mean((member - source) ** 2)
        ratio = 10 * np.log10((np.mean(source**2) + 1e-12) / (noise + 1e-12))
        rows[f"member {number}, SNR {ratio:.1f} dB"] = spectrum
    extent = (0, len(source) / sample_rate, 0, sample_rate / 2000)
    count = len(rows) + (len(members) > 1)
    with plots.style():
        figure = matplotlib.figure.Figure(
            figsize=(_WIDTH, _HEIGHT * count + 0.4), layout="constrained"
        )
        figure.suptitle(title, parse_math=False)
        axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        shown = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "none"}
        for one, (label, spectrum) in zip(axes, rows.items(), strict=False):
            image = one.imshow(spectrum, vmin=top - DECIBELS, vmax=top, cmap=_COLOURS, **shown)
            one.set_title(label, loc="left")
        figure.colorbar(image, ax=list(axes[: len(rows)]), label="dB")
        if len(members) > 1:
            apart = np.std(spectra[1:], axis=0, ddof=1)
            image = axes[-1].imshow(apart, vmin=0, cmap="viridis", **shown)
            axes[-1].set_title("standard deviation over members", loc="left")
            figure.colorbar(image, ax=axes[-1], label="dB")
        for one in axes:
            one.set_ylabel("kHz")
        axes[-1].set_xlabel("seconds")
        return plots.save(figure, path_stem)


def picture(x, brightest=None):
    """A spectrogram as a picture.

    Args:
      x: [T, 1].
      brightest: the sound of as many samples whose strongest tone is white; None for x itself.

    Returns:
      [H, W, 3] in [0, 1], time to the right.
    """
    frame = _frame(len(x))
    spectrum = _decibels(np.asarray(x, np.float64)[:, 0], frame)
    scale = spectrum
    if brightest is not None:
        scale = _decibels(np.asarray(brightest, np.float64)[:, 0], frame)
    level = np.clip((spectrum - scale.max()) / DECIBELS + 1, 0, 1)[::-1]
    return matplotlib.colormaps[_COLOURS](level)[..., :3].astype(np.float32)


def shown_decibels(pixels):
    """What a spectrogram of `picture` shows, read back from its colours.

    Args:
      pixels: uint8 [H, W, 3].

    Returns:
      [H, W], dB above black.
    """
    colours = np.round(matplotlib.colormaps[_COLOURS](np.arange(256))[:, :3] * 255)
    known = colours.astype(np.int64) @ _PACKED
    order = np.argsort(known)
    place = np.searchsorted(known, pixels.astype(np.int64) @ _PACKED, sorter=order)
    return (order[np.minimum(place, 255)] * (DECIBELS / 255)).astype(np.float32)


def _frame(count):
    """Samples per frame: 256, fewer in very short sounds."""
    return min(256, max(16, 2 ** int(np.log2(max(count // 4, 1)))))


def _decibels(x, frame):
    """Power spectra [frame / 2 + 1, P] in dB of full scale."""
    hop = frame // 4
    padded = np.pad(x, (0, frame))
    count = max(1, len(x) // hop)
    at = np.arange(count)[:, None] * hop + np.arange(frame)
    spectra = np.fft.rfft(padded[at] * np.hanning(frame + 1)[:-1]) * (4 / frame)
    return 10 * np.log10(np.abs(spectra.T) ** 2 + 1e-9)
