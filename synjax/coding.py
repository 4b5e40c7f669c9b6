"""What the verbs of a packaged codec do: pictures or sounds to streams, and streams back."""

import contextlib
import math
import pathlib
import sys
import zlib

import rich.table

from synjax.codec import bitstream, container, samples
from synjax.data import outputs, pictures, sounds

SUFFIX = ".syn"
# The codec of experiments/kodak.py: what it was trained on and what it reaches stand beside it.
PHOTOGRAPHS = pathlib.Path(__file__).parent / "artefacts" / "photographs"


def compress(picture, stream, codec, level, alpha, console):
    """Writes the stream of a picture or a sound and prints what it costs.

    What is not kept of a sound is said on stderr.

    Args:
      picture: file to read, as `pictures.read` or `sounds.read` allow.
      stream: file to write, .syn.
      codec: directory of an artefact; None for that of `PHOTOGRAPHS`.
      level: 1…L, or None for all.
      alpha: as for `pictures.read`.
      console: rich console.

    Raises:
      ValueError: an input that cannot be used; then nothing is written.
    """
    _require_suffix(stream)
    heard = _is_sound(picture)
    x, rate = sounds.read(picture) if heard else (pictures.read(picture, alpha), None)
    artefact = _codec_of(codec, rank=1 if heard else 2)
    if heard:
        _require_rate(picture, rate, artefact)
        x = samples.of_sound(x, 16)
    with outputs.staged(stream) as (unfinished,):
        content = bitstream.encode(artefact, x, level)
        unfinished.write_bytes(content)
    header, size = container.unpack(content)
    levels = []
    for k, group in enumerate(header.groups, 1):
        size += group.length
        levels.append(f"level {k} {size} bytes")
    cost = f"{8 * len(content) / (x.shape[0] * x.shape[1]):.4f} bpp"
    if heard:
        cost = f"{8 * len(content) * rate / len(x) / 1000:.3f} kbit/s"
    _print(console, f"{stream}: {len(content)} bytes, {cost} ({', '.join(levels)})")
    if heard and (lost := sounds.losses(picture)):
        print(f"synjax: {picture}: {lost}", file=sys.stderr)


def decompress(stream, picture, codec, members, first, level, realism, console):
    """Writes members of a stream's synset as pictures or sounds.

    Args:
      stream: file to read, .syn.
      picture: file to write; of several members, out.png means out_0.png, out_1.png, … by address.
        Sounds are written with 16 bits.
      codec: directory of the artefact that encoded; None for that of `PHOTOGRAPHS`.
      members: number of members; 0 for the reconstruction without randomness.
      first: address of the first.
      level: 1…L, or None for all that the stream holds.
      realism: β in [0, 1], see `codec.package.Artefact.at`.
      console: rich console.

    Raises:
      ValueError: an input that cannot be used; then nothing is written.
    """
    heard = _is_sound(picture)
    content = _read(stream)
    with _naming(stream):
        header, _ = container.split(content)
    _require_kind(stream, header, picture)
    depth = 16 if heard else max(d for d in pictures.depths(picture) if d <= header.sample_bits)
    paths = _numbered(pathlib.Path(picture), members, first)
    with outputs.staged(*paths) as unfinished:
        artefact = _codec_of(codec, rank=1 if heard else 2).at(realism)
        with _naming(stream):
            parsed = bitstream.parse(artefact, content)
        # A few at a time, so that memory does not grow with the number of members.
        for done in range(0, len(paths), bitstream.MEMBERS_PER_CALL):
            own = unfinished[done : done + bitstream.MEMBERS_PER_CALL]
            count = min(members, len(own))
            synset = bitstream.render(artefact, parsed, count, first + done, level)
            for path, member in zip(own, synset, strict=True):
                if heard:
                    rate = artefact.codec.sample_rate
                    sounds.write(path, samples.of_sound(member, depth), rate)
                else:
                    pictures.write(path, samples.of_depth(member, depth))
    if heard:
        rate = artefact.codec.sample_rate
        shape = f"{parsed.shape[0] / rate:.3f} s at {rate} Hz, {depth} bits"
    else:
        height, width, channels = parsed.shape
        shape = f"{width} × {height}, {channels} channel{'s' * (channels > 1)}, {depth} bits"
    for path in paths:
        _print(console, f"{path}: {shape}, level {level or parsed.level} of {header.levels}")


def inspect(stream, codec, console):
    """Prints what a stream says of itself.

    Args:
      stream: file to read, .syn, of a picture, a sound or vectors.
      codec: directory of the artefact that is to match, or None.
      console: rich console.

    Raises:
      ValueError: a stream that is damaged or not of this codec. What can be read of it is printed
        first.
    """
    content = _read(stream)
    with _naming(stream):
        header, size = container.unpack(content)
    is_picture = len(header.shape) == 3
    elements = math.prod(header.shape[:2] if is_picture else header.shape)
    facts = rich.table.Table.grid(padding=(0, 2))
    facts.add_row("shape", " × ".join(map(str, header.shape)))
    facts.add_row("bits per sample", str(header.sample_bits))
    facts.add_row("level", f"{len(header.groups)} of {header.levels}")
    facts.add_row("codec", header.fingerprint.hex())
    facts.add_row("header", f"{size} bytes")
    groups = rich.table.Table(box=None)
    columns = ("group", "bytes", "checksum", "bytes so far", "bpp" if is_picture else "bits/dim")
    for name in columns:
        groups.add_column(name, justify="left" if name == "checksum" else "right")
    end = size
    for k, group in enumerate(header.groups, 1):
        payload = content[end : end + group.length]
        end += group.length
        state = _state(payload, group)
        groups.add_row(str(k), str(group.length), state, str(end), f"{8 * end / elements:.4f}")
    console.print(facts, groups, highlight=False)
    with _naming(stream):
        _, held = container.split(content)
    if len(held) < len(header.groups):
        _print(console, f"Cut behind group {len(held)}: it decodes at level {len(held)}.")
    if codec is not None:
        fingerprint = bitstream.load(codec).fingerprint
        if fingerprint[:4] != header.fingerprint:
            raise ValueError(
                f"{stream} is of codec {header.fingerprint.hex()}, "
                f"{codec} is {fingerprint[:4].hex()}"
            )
        _print(console, f"Encoded by {codec}.")


@contextlib.contextmanager
def _naming(stream):
    """Adds the file's name to what is wrong with a stream."""
    try:
        yield
    except bitstream.BitstreamError as error:
        raise ValueError(f"{stream}: {error}") from error


def _state(payload, group):
    if len(payload) < group.length:
        return "cut" if payload else "not there"
    return "ok" if zlib.crc32(payload) == group.payload_checksum else "damaged"


def _numbered(path, members, first):
    if members < 2:
        return [path]
    return [path.with_name(f"{path.stem}_{first + j}{path.suffix}") for j in range(members)]


def _is_sound(path):
    return pathlib.Path(path).suffix.lower() in sounds.SUFFIXES


def _require_kind(stream, header, path):
    """Raises ValueError where a stream does not hold what the suffix of the file to write means."""
    is_picture = len(header.shape) == 3  # sounds and vectors have two axes
    if is_picture and _is_sound(path):
        allowed = ", ".join(pictures.WRITTEN)
        raise ValueError(f"{stream}: holds a picture; it is written to {allowed}, not to {path}")
    if not is_picture and not _is_sound(path):
        allowed = ", ".join(sounds.SUFFIXES)
        raise ValueError(f"{stream}: holds no picture; sounds go to {allowed}, not to {path}")


def _codec_of(directory, rank):
    directory = PHOTOGRAPHS if directory is None else directory
    artefact = bitstream.load(directory)
    kinds = ("vectors", "sounds", "pictures")
    if artefact.codec.rank != rank:
        own = kinds[artefact.codec.rank]
        raise ValueError(f"the codec of {directory} is one of {own}, not of {kinds[rank]}")
    return artefact


def _require_rate(path, rate, artefact):
    own = artefact.codec.sample_rate
    if rate != own:
        raise ValueError(f"{path}: has {rate} samples a second; the codec takes {own} Hz")


def _require_suffix(path):
    if pathlib.Path(path).suffix.lower() != SUFFIX:
        raise ValueError(f"{path}: a stream has the suffix {SUFFIX}")


def _read(path):
    """The bytes of a stream's file, or of so much of it that it is too long to be one."""
    _require_suffix(path)
    try:
        with pathlib.Path(path).open("rb") as file:
            return file.read(container.MAX_STREAM + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error


def _print(console, line):
    console.print(line, highlight=False, markup=False, soft_wrap=True)
