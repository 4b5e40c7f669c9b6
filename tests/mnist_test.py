"""Digits as vectors: read from the original files or refused in one line, and shown on a sheet."""

import gzip
import os
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image

from synjax.data import idx, mnist, pipeline, sources
from synjax.evaluation import evaluate, measure
from synjax.reporting import contact_sheet

COUNTS = {"train": 50, "test": 20}


def _header(kind, shape):
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)


def _idx(values):
    return gzip.compress(_header(idx.UNSIGNED_BYTE, values.shape) + values.tobytes())


def _digits(split):
    """Digit i has a pixel of value i, and noise elsewhere."""
    generator = np.random.default_rng(len(split))
    digits = generator.integers(0, 256, (COUNTS[split], 28, 28), np.uint8)
    digits[:, 0, 0] = np.arange(COUNTS[split])
    return digits


@pytest.fixture
def folder(tmp_path):
    """The four files in miniature."""
    path = tmp_path / "mnist"
    path.mkdir()
    for split, (images, labels) in mnist.FILES.items():
        (path / images).write_bytes(_idx(_digits(split)))
        (path / labels).write_bytes(_idx(np.arange(COUNTS[split], dtype=np.uint8) % 10))
    return path


@pytest.mark.parametrize("split", sources.SPLITS)
def test_digits_are_those_of_the_file_in_a_random_order_that_is_always_the_same(folder, split):
    digits = sources.build("mnist", split=split, path=str(folder))
    x = digits.rows(np.arange(len(digits)))
    assert digits.kind == "vector" and digits.picture == (28, 28)
    assert x.dtype == np.float32 and x.shape == (COUNTS[split], 784)
    order = np.round(x[:, 0] * 255).astype(int)
    assert sorted(order) == list(range(COUNTS[split])) and list(order) != sorted(order)
    expected = _digits(split)[order].reshape(-1, 784)
    np.testing.assert_array_equal(x, expected / np.float32(255))
    np.testing.assert_array_equal(digits[7], x[7])
    again = sources.build("mnist", split=split, path=str(folder), size=9)
    np.testing.assert_array_equal(again.rows(np.arange(9)), x[:9])
    for index in (-1, 9):
        with pytest.raises(IndexError):
            again[index]


def test_the_folder_may_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("SYNJAX_DATA", str(folder.parent))
    found = sources.of_config({"source": "mnist", "augment": {}, "path": None}, split="test")
    named = sources.build("mnist", split="test", path=str(folder))
    assert found.name(3) == "mnist_3"
    np.testing.assert_array_equal(found.rows([3, 0]), named.rows([3, 0]))


def test_an_epoch_of_batches_holds_every_digit_once(folder):
    digits = sources.build("mnist", split="train", path=str(folder))
    batches = pipeline.train_batches(digits, batch=10, seed=3, threads=0)
    epoch = np.concatenate([next(batches) for _ in range(5)])
    assert sorted(np.round(epoch[:, 0] * 255)) == list(range(50))


_GOOD = _idx(_digits("test"))
_BROKEN = {
    "missing": (None, "there is no such file"),
    "not gzipped": (gzip.decompress(_GOOD), "not gzipped"),
    "stream cut": (_GOOD[:-100], "cut"),
    "stream damaged": (_GOOD[:500] + bytes(50) + _GOOD[550:], "damaged"),
    "sum wrong": (_GOOD[:-8] + bytes(4) + _GOOD[-4:], "damaged"),
    "no header": (gzip.compress(b"\0\0"), "is cut: 4 bytes were expected"),
    "values cut": (gzip.compress(gzip.decompress(_GOOD)[:-1]), "is cut: 15680 bytes"),
    "too long": (gzip.compress(gzip.decompress(_GOOD) + b"x"), "is longer than the 15680 bytes"),
    "magic": (gzip.compress(b"\1" + gzip.decompress(_GOOD)[1:]), "not an IDX file"),
    "floats": (gzip.compress(_header(13, (1, 28, 28)) + bytes(4 * 784)), "of unsigned bytes"),
    "labels": (_idx(np.zeros(20, np.uint8)), "has 1 axes, not 3"),
    "huge": (gzip.compress(_header(8, (2**32 - 1,) * 3)), "more than the 268435456"),
    "other size": (_idx(np.zeros((2, 32, 32), np.uint8)), "not pictures of 28x28"),
    "empty": (_idx(np.zeros((0, 28, 28), np.uint8)), "not pictures of 28x28"),
}


@pytest.mark.parametrize(("content", "message"), _BROKEN.values(), ids=_BROKEN)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do_in_one_line(folder, content, message):
    path = folder / mnist.FILES["test"][0]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        sources.build("mnist", split="test", path=str(folder))
    text = str(caught.value)
    assert str(path) in text and message in text and "\n" not in text
    assert "yann.lecun.com/exdb/mnist" in text and "--config.data.path=DIR" in text
    assert all(name in text for pair in mnist.FILES.values() for name in pair)


def test_a_folder_that_nobody_named_is_asked_for(monkeypatch):
    monkeypatch.delenv("SYNJAX_DATA", raising=False)
    with pytest.raises(ValueError, match="no folder is named.*train-images-idx3-ubyte.gz.*DATA"):
        sources.build("mnist", split="train")


@pytest.mark.parametrize("size", [0, 51, 2.5, True])
def test_a_size_that_the_files_do_not_have_is_refused(folder, size):
    with pytest.raises(ValueError, match=r"size must be an integer in 1\.\.50"):
        sources.build("mnist", split="train", path=str(folder), size=size)


def test_the_real_files_hold_the_digits_that_are_known():
    data = os.environ.get("SYNJAX_DATA", "")
    if not (pathlib.Path(data) / "mnist").is_dir() or not data:
        pytest.skip("SYNJAX_DATA names no folder with mnist/ in it")
    train, test = (sources.build("mnist", split=split) for split in sources.SPLITS)
    assert (len(train), len(test)) == (60_000, 10_000)
    # Mean and standard deviation of the training pixels as everybody normalises by them.
    pixels = train.rows(np.arange(len(train)))
    assert abs(pixels.mean(dtype=np.float64) - 0.1307) < 5e-5
    assert abs(pixels.std(dtype=np.float64) - 0.3081) < 5e-5
    labels = idx.read(pathlib.Path(data) / "mnist" / mnist.FILES["train"][1], axes=1)
    assert list(np.bincount(labels)[:3]) == [5923, 6742, 5958]


@pytest.mark.parametrize("count", [1, 3])
def test_a_sheet_shows_every_vector_and_member_pixel_by_pixel(tmp_path, count):
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (5, 28, 28)) / 255
    members = x + 0.5 * generator.standard_normal((count, 5, 28, 28))  # some outside of [0, 1]
    path = contact_sheet.vector_sheet(x, members, tmp_path / "d1.5", "five $ digits")[0]
    assert path.name == "d1.5.png"
    sheet = np.asarray(Image.open(path).convert("L"))
    for picture in (*x, *members.reshape(-1, 28, 28)):
        pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        block = pixels.repeat(7, axis=0).repeat(7, axis=1)
        corners = np.argwhere(sheet[:-195, :-195] == block[0, 0])
        assert any(np.array_equal(sheet[r : r + 196, c : c + 196], block) for r, c in corners)


@pytest.mark.parametrize(
    ("source", "members"),
    [
        (np.zeros((28, 28)), np.zeros((2, 28, 28))),
        (np.zeros((4, 28, 28)), np.zeros((2, 3, 28, 28))),
        (np.zeros((4, 28, 28)), np.zeros((0, 4, 28, 28))),
        (np.zeros((4, 28, 28)), np.full((1, 4, 28, 28), np.inf)),
    ],
)
def test_vectors_that_do_not_fit_are_refused(tmp_path, source, members):
    with pytest.raises(ValueError, match="a vector sheet needs"):
        contact_sheet.vector_sheet(source, members, tmp_path / "s", "title")


def test_the_sheet_of_a_trial_holds_the_first_digits_and_their_members(folder):
    config = {"data": {"source": "mnist", "augment": {}, "path": str(folder)}}
    [subject] = evaluate.subjects(config | {"evaluation": {"limit": 15}})
    assert subject.x.shape == (15, 784) and subject.variances is None
    synset = np.stack([subject.x, subject.x + 1])
    source, members = measure._shown(subject, synset)
    digits = subject.x.reshape(15, 28, 28)[: measure.SHOWN]
    np.testing.assert_array_equal(source, digits)
    np.testing.assert_array_equal(members, [digits, digits + 1])
