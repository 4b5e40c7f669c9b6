"""The verbs of a packaged codec: signals to streams and back, and nothing else on the way."""

import dataclasses
import zlib

import jax
import numpy as np
import pytest
import small_codec

from synjax import main
from synjax.codec import bitstream, container
from synjax.data import pictures, sounds

CODEC, _picture = small_codec.COLOUR, small_codec.colour_picture


@pytest.fixture(scope="module")
def params():
    """Of a codec that was never trained, but whose members differ."""
    x = np.stack([_picture(128, 128, seed) for seed in range(10, 16)]).astype(np.float32)
    # This generator is compiled several times faster than the default one.
    params = CODEC.init(jax.random.key(0, impl="rbg"), x)
    rng = np.random.default_rng(0)
    params["synthesis"]["amount"] = jax.tree.map(
        lambda leaf: leaf + 0.1 * rng.standard_normal(leaf.shape), params["synthesis"]["amount"]
    )
    return params


@pytest.fixture(scope="module")
def codec(params, tmp_path_factory):
    """Its directory."""
    directory = tmp_path_factory.mktemp("codec") / "artefact"
    bitstream.save(bitstream.make(CODEC, params, 100.0, 1.0), directory)
    return directory


@pytest.fixture
def here(tmp_path, codec):
    """A directory with a picture in.png and its stream in.syn."""
    pictures.write(tmp_path / "in.png", np.rint(_picture(20, 30) * 255).astype(np.uint8))
    assert main.main(["compress", f"--codec={codec}", *_paths(tmp_path, "in.png", "in.syn")]) == 0
    return tmp_path


def _paths(directory, *names):
    return [str(directory / name) for name in names]


def _content(directory):
    return {p.name: p.read_bytes() if p.is_file() else None for p in directory.iterdir()}


def _run(capsys, *arguments):
    """Output of a verb that does its work."""
    capsys.readouterr()
    status = main.main(list(map(str, arguments)))
    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    return printed.out


def _refused(capsys, *arguments):
    """The line that tells why a verb does not do its work."""
    capsys.readouterr()
    status = main.main(list(map(str, arguments)))
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1 and error.startswith("synjax: ")
    return error


def test_compress_prints_the_size_that_the_stream_has(here, codec, capsys):
    out = _run(capsys, "compress", f"--codec={codec}", *_paths(here, "in.png", "again.syn"))
    stream = (here / "again.syn").read_bytes()
    assert stream == (here / "in.syn").read_bytes()
    header, size = container.unpack(stream)
    first = size + header.groups[0].length
    assert f"{len(stream)} bytes, {8 * len(stream) / 600:.4f} bpp" in out
    assert f"level 1 {first} bytes, level 2 {len(stream)} bytes" in out
    assert out.count("\n") == 1


def test_a_level_of_its_own_is_what_a_cut_stream_says(here, codec, capsys):
    low = ("--level=1", f"--codec={codec}")
    _run(capsys, "compress", *_paths(here, "in.png", "low.syn"), *low)
    _run(capsys, "decompress", *_paths(here, "low.syn", "a.png"), f"--codec={codec}")
    _run(capsys, "decompress", *_paths(here, "in.syn", "b.png"), *low)
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    error = _refused(
        capsys, "decompress", *_paths(here, "low.syn", "c.png"), "--level=2", f"--codec={codec}"
    )
    assert "level must be in 1…1, got 2" in error


def test_members_are_numbered_by_their_addresses_and_the_same_however_many(here, codec, capsys):
    def decompress(name, *options):
        paths = _paths(here, "in.syn", name)
        return _run(capsys, "decompress", f"--codec={codec}", *paths, *options)

    printed = decompress("many.png", "--members=3", "--first=1")
    many = [here / f"many_{j}.png" for j in (1, 2, 3)]
    assert not (here / "many.png").exists() and not (here / "many_0.png").exists()
    assert [line.partition(":")[0] for line in printed.splitlines()] == list(map(str, many))
    assert len({path.read_bytes() for path in many}) == 3
    decompress("one.png", "--first=2")
    assert (here / "one.png").read_bytes() == many[1].read_bytes()
    decompress("none.png", "--members=0")
    decompress("again.png", "--members=0", "--first=9")
    assert (here / "none.png").read_bytes() == (here / "again.png").read_bytes()
    artefact = bitstream.load(codec)
    plain = bitstream.decode(artefact, (here / "in.syn").read_bytes(), members=0)[0]
    np.testing.assert_array_equal(pictures.read(here / "none.png"), np.rint(plain * 255))


@pytest.mark.parametrize(
    ("name", "x", "dtype"),
    [
        ("deep.tif", np.rint(_picture(9, 7) * 65535).astype(np.uint16), np.uint16),
        ("grey.png", np.rint(_picture(9, 7)[..., :1] * 255).astype(np.uint8), np.uint8),
        ("real.npy", _picture(9, 7).astype(np.float32), np.float32),
    ],
)
def test_depth_and_channels_come_back(tmp_path, codec, capsys, name, x, dtype):
    source, stream, again = tmp_path / name, tmp_path / "x.syn", tmp_path / f"again_{name}"
    pictures.write(source, x)
    _run(capsys, "compress", f"--codec={codec}", source, stream)
    _run(capsys, "decompress", f"--codec={codec}", stream, again)
    x_hat = pictures.read(again)
    assert (x_hat.shape, x_hat.dtype) == (x.shape, dtype)
    top = np.iinfo(dtype).max if dtype != np.float32 else 1
    assert np.mean((x_hat / top - x / top) ** 2) < np.mean((0.5 - x / top) ** 2)


def test_a_file_of_fewer_bits_gets_as_many_as_it_holds(tmp_path, codec, capsys):
    pictures.write(tmp_path / "x.npy", _picture(9, 7).astype(np.float32))
    _run(capsys, "compress", f"--codec={codec}", *_paths(tmp_path, "x.npy", "x.syn"))
    for name, bits in (("x.png", 16), ("x.webp", 8)):
        paths = _paths(tmp_path, "x.syn", name)
        assert f"{bits} bits" in _run(capsys, "decompress", f"--codec={codec}", *paths)
        assert pictures.read(tmp_path / name).dtype.itemsize * 8 == bits


def test_alpha_is_flattened_only_when_asked(tmp_path, codec, capsys):
    from PIL import Image

    Image.fromarray(np.full((9, 7, 4), 128, np.uint8)).save(tmp_path / "x.png")
    call = ("compress", f"--codec={codec}", *_paths(tmp_path, "x.png", "x.syn"))
    assert "--alpha=flatten" in _refused(capsys, *call)
    assert not (tmp_path / "x.syn").exists()
    _run(capsys, *call, "--alpha=flatten")
    assert (tmp_path / "x.syn").exists()


def test_what_a_stream_does_not_keep_of_a_sound_is_one_line(tmp_path, capsys):
    import soundfile

    params = small_codec.disturbed(small_codec.SOUND, small_codec.sound(2048)[None], 0.02)
    codec = tmp_path / "sounds"
    bitstream.save(bitstream.make(small_codec.SOUND, params, 1000.0, 1.0), codec)
    x = small_codec.sound(500)
    sounds.write(tmp_path / "plain.wav", np.rint(x * 32767).astype(np.int16), 8000)
    _run(capsys, "compress", *_paths(tmp_path, "plain.wav", "x.syn"), f"--codec={codec}")
    soundfile.write(tmp_path / "wide.wav", np.repeat(x, 2, 1), 8000, subtype="PCM_24")
    call = ["compress", *_paths(tmp_path, "wide.wav", "x.syn"), f"--codec={codec}"]
    assert main.main(call) == 0
    lost = "its 2 channels were averaged to one, its samples were rounded to 16 bits"
    assert capsys.readouterr().err == f"synjax: {tmp_path / 'wide.wav'}: {lost}\n"
    assert "holds no picture" in _refused(capsys, "decompress", *_paths(tmp_path, "x.syn", "x.png"))
    assert "0.062 s" in _run(
        capsys, "decompress", *_paths(tmp_path, "x.syn", "x.flac"), f"--codec={codec}"
    )


def test_inspect_reads_a_stream_without_its_codec(here, capsys):
    out = _run(capsys, "inspect", here / "in.syn")
    stream = (here / "in.syn").read_bytes()
    header, size = container.unpack(stream)
    words = out.split()
    for fact in ("20 × 30 × 3", "2 of 2", header.fingerprint.hex(), f"{size} bytes"):
        assert fact in out
    first = size + header.groups[0].length
    for fact in (first, len(stream), f"{8 * first / 600:.4f}", f"{8 * len(stream) / 600:.4f}"):
        assert str(fact) in words
    assert words.count("ok") == 2


def test_inspect_shows_what_is_left_of_a_cut_stream(here, capsys):
    stream = (here / "in.syn").read_bytes()
    header, size = container.unpack(stream)
    (here / "cut.syn").write_bytes(stream[: size + header.groups[0].length])
    out = _run(capsys, "inspect", here / "cut.syn")
    assert "not there" in out and "decodes at level 1" in out


def test_inspect_gives_the_reason_for_a_damaged_stream(here, capsys):
    stream = bytearray((here / "in.syn").read_bytes())
    stream[-1] ^= 1
    (here / "flipped.syn").write_bytes(stream)
    error = _refused(capsys, "inspect", here / "flipped.syn")
    assert "payload checksum of group 2" in error and "flipped.syn" in error
    main.main(["inspect", str(here / "flipped.syn")])
    assert "damaged" in capsys.readouterr().out
    (here / "header.syn").write_bytes(stream[:10])
    assert "header is cut" in _refused(capsys, "inspect", here / "header.syn")


def test_inspect_compares_the_codec(here, codec, params, capsys, tmp_path):
    assert "Encoded by" in _run(capsys, "inspect", here / "in.syn", f"--codec={codec}")
    artefact = bitstream.load(codec)
    other = params | {"prior": jax.tree.map(lambda leaf: leaf + 0.1, params["prior"])}
    bitstream.save(bitstream.make(CODEC, other, 100.0, 1.0), tmp_path / "other")
    error = _refused(capsys, "inspect", here / "in.syn", f"--codec={tmp_path / 'other'}")
    assert artefact.fingerprint[:4].hex() in error
    call = ("decompress", *_paths(here, "in.syn", "x.png"), f"--codec={tmp_path / 'other'}")
    assert "fingerprint" in _refused(capsys, *call)
    assert not (here / "x.png").exists()


MISUSES = {
    "compress {}/in.png": ("FILE STREAM.syn", "got {}/in.png"),
    "compress": ("FILE STREAM.syn", "got nothing"),
    "inspect {}/in.syn {}/in.syn": ("STREAM.syn",),
    "compress --codec= {}/in.png {}/x.syn": ("--codec=DIR",),
    "package --workdir={} --codec={}/x": ("--trial=NAME",),
    "package --trial=x --codec={}/x": ("--workdir=DIR",),
    "package --workdir={} --trial=x --codec={}/x": ("holds no sweep",),
    "compress {}/in.png {}/x.syn --codec={}/nothing": ("no artefact at {}/nothing",),
    "compress {}/in.png {}/x.syn --codec={}": ("artefact.json",),
    "compress {}/in.png {}/x.syn --codec={codec} --level=3": ("level must be in 1…2",),
    "compress {}/in.png {}/x.syn --codec={codec} --level=0": ("--level=0",),
    "compress {}/in.png {}/x.syn --codec={codec} --alpha=keep": ("refuse|flatten",),
    "compress {}/in.png {}/x.png --codec={codec}": ("x.png", ".syn"),
    "compress {}/none.png {}/x.syn --codec={codec}": ("none.png", "no such file"),
    "compress {}/in.syn {}/x.syn --codec={codec}": ("in.syn", "suffix is .syn", ".png"),
    "compress {}/folder.png {}/x.syn --codec={codec}": ("folder.png", "directory"),
    "compress {}/in.png {}/folder.syn --codec={codec}": ("folder.syn", "directory"),
    "compress {}/in.png {}/none/x.syn --codec={codec}": ("none/x.syn", "cannot be written"),
    "compress {}/stream.png {}/x.syn --codec={codec}": ("stream.png", "no PNG"),
    "decompress {}/in.png {}/x.png --codec={codec}": ("in.png", ".syn"),
    "decompress {}/picture.syn {}/x.png --codec={codec}": ("picture.syn", "magic number"),
    "decompress {}/none.syn {}/x.png --codec={codec}": ("none.syn", "No such file"),
    "decompress {}/folder.syn {}/x.png --codec={codec}": ("folder.syn", "directory"),
    "decompress {}/in.syn {}/x.jpg --codec={codec}": ("x.jpg", ".png, .webp"),
    "decompress {}/in.syn {}/x.wav --codec={codec}": ("in.syn: holds a picture", ".png, .webp"),
    "decompress {}/in.syn {}/x.wav": ("in.syn: holds a picture", "not to {}/x.wav"),
    "decompress {}/sound.syn {}/x.png": ("sound.syn: holds no picture", ".wav, .flac"),
    "decompress {}/in.syn {}/folder.png --codec={codec}": ("folder.png", "directory"),
    "decompress {}/in.syn {}/none/x.png --codec={codec}": ("none/x.png", "cannot be written"),
    "decompress {}/in.syn {}/x.png --codec={codec} --members=-1": ("--members=-1",),
    "decompress {}/in.syn {}/x.png --codec={codec} --first=x": ("--first=x",),
    "inspect {}/in.png": ("in.png", ".syn"),
    "inspect {}/picture.syn": ("picture.syn", "magic number"),
    "inspect {}/in.syn --member=3": ("member",),
}


@pytest.mark.parametrize("call", MISUSES)
def test_a_misuse_is_one_line_and_changes_no_file(here, codec, capsys, call):
    (here / "picture.syn").write_bytes((here / "in.png").read_bytes())
    (here / "stream.png").write_bytes((here / "in.syn").read_bytes())
    group = container.Group(1, zlib.crc32(b"x"), 0)
    header = container.Header((9, 1), 16, 1, bytes(4), (group,))
    (here / "sound.syn").write_bytes(container.pack(header, [b"x"]))
    for name in ("folder.png", "folder.syn"):
        (here / name).mkdir()
    before = _content(here)
    error = _refused(
        capsys, *(a.replace("{codec}", str(codec)).replace("{}", str(here)) for a in call.split())
    )
    for word in MISUSES[call]:
        assert word.replace("{}", str(here)) in error
    assert _content(here) == before


def test_a_failure_on_the_way_leaves_what_was_there(here, codec, capsys, monkeypatch):
    for j in range(4):
        (here / f"x_{j}.png").write_text("old")
    before = _content(here)
    written = []

    def fails_late(path, x):
        written.append(path)
        if len(written) == 3:
            raise ValueError("the disk is full")
        path.write_bytes(b"new")

    monkeypatch.setattr(pictures, "write", fails_late)
    call = ("decompress", *_paths(here, "in.syn", "x.png"), f"--codec={codec}", "--members=4")
    assert "the disk is full" in _refused(capsys, *call)
    assert len(written) == 3 and _content(here) == before


def test_realism_is_chosen_when_decoding(here, codec, capsys, tmp_path):
    call = ("decompress", here / "in.syn", here / "out.png", "--members=2")
    assert "no control of realism" in _refused(capsys, *call, f"--codec={codec}", "--realism=0.5")
    assert "--realism=2" in _refused(capsys, *call, f"--codec={codec}", "--realism=2")
    assert not (here / "out_0.png").exists()
    # The same decoder, as if it had been trained for all λ_p, reads the same stream.
    artefact = bitstream.load(codec)
    bitstream.save(dataclasses.replace(artefact, has_realism=True), tmp_path / "whole")
    apart = []
    for realism in (0, 0.5, 1):
        _run(capsys, *call, f"--codec={tmp_path / 'whole'}", f"--realism={realism}")
        pair = [pictures.read(here / f"out_{j}.png").astype(float) for j in (0, 1)]
        apart.append(np.abs(pair[0] - pair[1]).mean())
        for j in (0, 1):
            (here / f"out_{j}.png").unlink()
    assert apart[0] == 0 and 0 < apart[1] < apart[2]
