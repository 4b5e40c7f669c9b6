"""Sounds in files, folders and data sets, and batches of them."""

import itertools
import types
import zipfile

import numpy as np
import pytest
import small_codec

from synjax import main
from synjax.data import crops, fsdd, pipeline, prepared, sounds, sources


def _integers(count, seed):
    return np.rint(small_codec.sound(count, seed) * 32767).astype(np.int16)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of sounds, one damaged, one too loud: (folder, shards)."""
    root = tmp_path_factory.mktemp("sounds")
    mine = root / "mine"
    (mine / "deep").mkdir(parents=True)
    for i in range(12):
        sounds.write(mine / "deep" / f"{i:02d}.wav", _integers(900 + 100 * i, i), 8000)
    sounds.write(mine / "a.flac", _integers(700, 20), 8000)
    (mine / "torn.wav").write_bytes((mine / "deep" / "00.wav").read_bytes()[:20])
    sounds.write(mine / "loud.wav", 2 * np.ones((100, 1), np.float32), 8000)
    return mine, root / "shards"


@pytest.mark.parametrize("name", ["x.wav", "x.flac"])
def test_what_is_written_is_read_back(tmp_path, name):
    x = _integers(500, 0)
    sounds.write(tmp_path / name, x, 11025)
    again, rate = sounds.read(tmp_path / name)
    assert rate == 11025 and again.dtype == np.float32
    np.testing.assert_array_equal(again * 2**15, x)


def test_floats_are_kept_in_wav_and_channels_are_averaged(tmp_path):
    import soundfile

    x = small_codec.sound(100)
    sounds.write(tmp_path / "x.wav", x, 8000)
    np.testing.assert_array_equal(sounds.read(tmp_path / "x.wav")[0], x)
    both = np.concatenate([x, -x / 2], 1)
    soundfile.write(tmp_path / "stereo.wav", both, 8000, subtype="FLOAT")
    np.testing.assert_allclose(sounds.read(tmp_path / "stereo.wav")[0], x / 4, atol=1e-7)


FADING = np.linspace(-1, 1, 50)[:, None]


@pytest.mark.parametrize(
    ("x", "subtype", "message"),
    [
        (1.5 * FADING, "FLOAT", "has a peak of 1.5, allowed is at most 1: scale it down"),
        (FADING + [[0, 1e-6]], "FLOAT", "has a peak of 1.000001"),
        (FADING * [[0.5, -0.5]], "PCM_16", "silence .*channels: 2, peak: 0.5.*keep one channel"),
        (FADING * 2**-17, "PCM_24", "would be silence as one channel of 16 bits .*scale it up"),
    ],
)
def test_what_would_be_damaged_is_refused(tmp_path, x, subtype, message):
    import soundfile

    path = tmp_path / "x.wav"
    soundfile.write(path, x, 8000, subtype=subtype)
    with pytest.raises(ValueError, match=message) as caught:
        sounds.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_full_scale_and_silence_are_kept(tmp_path):
    for x in (FADING.astype(np.float32), np.zeros((50, 1), np.int16)):
        sounds.write(tmp_path / "x.wav", x, 8000)
        np.testing.assert_array_equal(sounds.read(tmp_path / "x.wav")[0], x)


@pytest.mark.parametrize(
    ("name", "channels", "subtype", "lost"),
    [
        ("x.wav", 1, "PCM_16", ""),
        ("x.wav", 1, "PCM_U8", ""),
        ("x.wav", 2, "PCM_16", "its 2 channels were averaged to one"),
        ("x.flac", 1, "PCM_24", "its samples were rounded to 16 bits"),
        ("x.wav", 1, "FLOAT", "its samples were rounded to 16 bits"),
        (
            "x.wav",
            3,
            "PCM_32",
            "its 3 channels were averaged to one, its samples were rounded to 16 bits",
        ),
    ],
)
def test_what_16_bits_of_one_channel_lose_is_known(tmp_path, name, channels, subtype, lost):
    import soundfile

    soundfile.write(tmp_path / name, np.repeat(FADING / 2, channels, 1), 8000, subtype=subtype)
    assert sounds.losses(tmp_path / name) == lost


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no sound that can be read"), (b"RIFF....WAVE", "no sound"), (None, "cannot be read")],
)
def test_what_is_no_sound_is_named(tmp_path, content, message):
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        sounds.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="sounds are .wav, .flac"):
        sounds.read(tmp_path / "x.mp3")
    with pytest.raises(ValueError, match="int16 is, and float32 to .wav"):
        sounds.write(tmp_path / "x.flac", small_codec.sound(10), 8000)


def test_a_folder_of_sounds_is_a_source_of_them(folders):
    mine, shards = folders
    found = {}
    for split in ("train", "test"):
        source = sources.build(f"folder:{mine}", split=split, directory=str(shards))
        assert source.kind == "sound" and source.sample_rate == 8000
        found |= {source.name(i): source[i] for i in range(len(source))}
    assert len(found) == 13 and "torn" not in found and "loud" not in found
    np.testing.assert_array_equal(found["deep/03"] * 2**15, _integers(1200, 3))
    np.testing.assert_array_equal(found["a"] * 2**15, _integers(700, 20))
    loud, torn = sorted(source.skipped)
    assert "torn.wav" in torn and "loud.wav: has a peak of 2.0" in loud


def test_two_rates_or_two_kinds_in_a_folder_are_refused(tmp_path):
    sounds.write(tmp_path / "a.wav", _integers(100, 0), 8000)
    sounds.write(tmp_path / "b.wav", _integers(100, 0), 16000)
    with pytest.raises(ValueError, match="several sample rates: 8000 Hz .a.wav., 16000 Hz .b.wav"):
        sources.build(f"folder:{tmp_path}", split="train", directory=str(tmp_path / "s"))
    (tmp_path / "b.wav").unlink()
    (tmp_path / "c.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="holds 1 pictures and 1 sounds; name a folder of one"):
        sources.build(f"folder:{tmp_path}", split="train", directory=str(tmp_path / "s"))


def test_the_verb_data_knows_sounds(folders, tmp_path, capsys):
    mine, shards = folders
    flags = (f"folder:{mine}", f"--directory={shards}")
    assert main.main(["data", "info", *flags]) == 0
    out = capsys.readouterr().out
    assert "13 sounds" in out and "0.09 to 0.25 s at 8000 Hz" in out
    assert main.main(["data", "preview", *flags, f"--out={tmp_path / 'sheet'}"]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def _batches(source, count, **options):
    read = pipeline.train_batches(source, **{"batch": 6, "crop": 512, "seed": 1} | options)
    return np.stack(list(itertools.islice(read, count)))


@pytest.mark.parametrize("kind", ["chirps", "folder"])
def test_batches_of_sounds_are_a_function_of_seed_and_step(folders, kind):
    source = sources.build("chirps", split="train")
    if kind == "folder":
        source = sources.build(f"folder:{folders[0]}", split="train", directory=str(folders[1]))
    whole = _batches(source, 6, threads=0)
    assert whole.shape == (6, 6, 512, 1) and whole.dtype == np.float32
    np.testing.assert_array_equal(_batches(source, 2, start_step=4), whole[4:])
    np.testing.assert_array_equal(_batches(source, 6, rows=[5, 0]), whole[:, [5, 0]])
    assert np.mean(_batches(source, 6, seed=2) != whole) > 0.5


def test_silence_surrounds_a_sound_that_is_too_short():
    x = np.ones((10, 1), np.float32)
    cut = crops.RandomExcerpt([x], lambda *_: 0, 25)
    places = set()
    for seed in range(60):
        excerpt = cut.random_map(0, np.random.default_rng(seed))
        assert excerpt.shape == (25, 1) and excerpt.sum() == 10
        places.add(int(np.argmax(excerpt[:, 0])))
    assert {0, 15} <= places and len(places) > 10


def test_chirps_of_train_and_test_differ_and_repeat():
    train, test = (sources.build("chirps", split=split) for split in ("train", "test"))
    np.testing.assert_array_equal(train[3], sources.build("chirps", split="train")[3])
    assert len(train[3]) != len(test[3]) or np.any(train[3] != test[3])
    assert all(np.abs(train[i]).max() <= 1 and len(train[i]) >= 1000 for i in range(8))
    with pytest.raises(ValueError, match="count must be an integer >= 1"):
        sources.build("chirps", split="train", count=0)


@pytest.fixture
def recordings(tmp_path):
    with zipfile.ZipFile(tmp_path / fsdd.FILE, "w") as archive:
        for index in range(8):
            sounds.write(tmp_path / "x.wav", _integers(300 + index, index), 8000)
            archive.write(tmp_path / "x.wav", f"recordings/3_jane_{index}.wav")
        archive.writestr("recordings/README", "not a sound")
    return tmp_path


def test_recordings_of_digits_are_split_by_their_index(recordings):
    names = {}
    for split in ("train", "test"):
        source = sources.build("fsdd", split=split, path=str(recordings))
        names[split] = {source.name(i) for i in range(len(source))}
        for i in range(len(source)):
            index = int(source.name(i).rpartition("_")[2])
            np.testing.assert_array_equal(source[i] * 2**15, _integers(300 + index, index))
    assert names["test"] == {f"3_jane_{i}" for i in range(5)}
    assert names["train"] == {f"3_jane_{i}" for i in range(5, 8)}


def test_damaged_recordings_are_one_line(recordings, tmp_path):
    content = bytearray((recordings / fsdd.FILE).read_bytes())
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("recordings/3_jane_0.wav", bytes(content))
    packed = bytearray((tmp_path / "packed.zip").read_bytes())
    packed[200:240] = b"\xff" * 40
    (tmp_path / fsdd.FILE).write_bytes(packed)
    with pytest.raises(ValueError, match="recordings.zip.*free-spoken-digit-dataset") as caught:
        sources.build("fsdd", split="train", path=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_missing_recordings_are_an_error_that_says_where_to_get_them(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="recordings.zip.*free-spoken-digit-dataset"):
        sources.build("fsdd", split="train", path=str(tmp_path))
    monkeypatch.delenv(fsdd.ENVIRONMENT, raising=False)
    with pytest.raises(ValueError, match="no folder is named.*--config.data.path"):
        sources.build("fsdd", split="train")


def test_another_kind_of_data_set_is_refused(monkeypatch):
    monkeypatch.setattr(prepared.Prepared, "keys_of", lambda self, name: [])

    class Builder:
        class info:  # noqa: N801
            features = {"text": None}

    monkeypatch.setattr(prepared.Prepared, "builder", Builder)
    with pytest.raises(ValueError, match="neither pictures nor sounds; its features are .'text'"):
        prepared.source("tfds:x", split="train")


@pytest.mark.parametrize(
    ("samples", "dtype", "expected"),
    [
        ([[-(2**15), 0], [2**14, 2**14]], np.int64, [-0.5, 0.5]),
        ([0.25, -1.0], np.float32, [0.25, -1.0]),
        ([0.25, -1.01], np.float32, [0.25, -1.0]),
        ([0.25, np.nan], np.float32, None),
        ([2**16, 0], np.int64, [1.0, 0.0]),
    ],
)
def test_samples_of_tfds_are_scaled_and_clipped_aloud(
    monkeypatch, caplog, samples, dtype, expected
):
    builder = types.SimpleNamespace()
    audio = types.SimpleNamespace(np_dtype=dtype, sample_rate=8000)
    about = {"features": {"audio": audio}, "metadata": None, "splits": {"train": None}}
    builder.info = types.SimpleNamespace(**about)
    builder.as_data_source = lambda split, decoders: [{"audio": np.asarray(samples, dtype)}]
    monkeypatch.setattr(prepared.Prepared, "builder", builder)
    monkeypatch.setattr(prepared.Prepared, "keys_of", lambda self, name: ["audio"])
    sounds_of_it = prepared.Sounds(address="tfds:x", split="train")
    if expected is None:
        with pytest.raises(ValueError, match="tfds:x: sound 0 has samples that are not finite"):
            sounds_of_it[0]
    else:
        np.testing.assert_array_equal(sounds_of_it[0], np.float32(expected)[:, None])
        beyond = dtype is np.float32 and np.abs(samples).max() > 1
        assert ("tfds:x: sound 0 has a peak of 1.01" in caplog.text) == beyond
