"""Folders of pictures and data sets of TFDS as sources, without TensorFlow."""

import gzip
import importlib.util
import io
import itertools
import json
import os
import pickle
import struct
import sys

import imagecodecs
import numpy as np
import pytest
import requests
import rich.console
import tensorflow_datasets as tfds
import tifffile
from PIL import Image

from synjax import main
from synjax.data import crops, folder, idx, kept, mnist, pipeline, prepared, sources
from synjax.verbs import train, workdirs


def _picture(height, width, seed):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A nested folder of 30 pictures in every format, three of them damaged: (folder, shards)."""
    root = tmp_path_factory.mktemp("folders")
    mine = root / "my pictures"
    (mine / "deep" / "er").mkdir(parents=True)
    for i in range(24):
        Image.fromarray(_picture(20 + i, 30, i)).save(mine / "deep" / f"{i:02d}.png")
    Image.fromarray(_picture(40, 50, 24)).save(mine / "a.jpg", quality=95)
    Image.fromarray(_picture(40, 50, 25)).save(mine / "b.webp", lossless=True)
    tifffile.imwrite(mine / "deep" / "er" / "c.TIFF", _picture(40, 50, 26).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(_picture(40, 50, 27)).save(mine / "d.jpg", exif=turned)
    Image.fromarray(_picture(40, 50, 28)[..., 0]).save(mine / "grey.png")
    (mine / "cut.png").write_bytes((mine / "deep" / "00.png").read_bytes()[:200])
    (mine / "empty.jpg").touch()
    (mine / "text.png").write_text("not a picture")
    (mine / "notes.txt").write_text("no picture at all")
    return mine, root / "shards"


class SynjaxToy(tfds.core.GeneratorBasedBuilder):
    """tfds:synjax_toy, of what a test gives it."""

    VERSION = tfds.core.Version("1.2.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="a-2.b")]
    given = {"image": tfds.features.Image()}
    examples = ()

    def _info(self):
        features = tfds.features.FeaturesDict(self.given)
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, dl_manager):
        if isinstance(self.examples, Exception):
            raise self.examples
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield from enumerate(self.examples)


TOY = "tfds:synjax_toy/a-2.b"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """toy(examples, **features) is the call that prepares such a data set."""

    def give(examples, **features):
        monkeypatch.setattr(SynjaxToy, "examples", examples)
        if features:
            monkeypatch.setattr(SynjaxToy, "given", features)
        return main.main(["data", "prepare", TOY, f"--directory={tmp_path}"])

    return give


def _png(pixels):
    return io.BytesIO(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def _source(folders, split="train"):
    mine, shards = folders
    return sources.build(f"folder:{mine}", split=split, directory=str(shards))


def _all(source):
    return {source.name(i): source[i] for i in range(len(source))}


def test_a_folder_holds_what_can_be_read_and_names_the_rest(folders):
    address = f"folder:{folders[0]}"
    found = _all(prepared.Pictures(address=address, split="all", directory=str(folders[1])))
    assert sorted(found) == sorted(
        [f"deep/{i:02d}" for i in range(24)] + ["a", "b", "d", "deep/er/c", "grey"]
    )
    for i in range(24):
        np.testing.assert_array_equal(found[f"deep/{i:02d}"], _picture(20 + i, 30, i))
    with Image.open(folders[0] / "a.jpg") as image:
        np.testing.assert_array_equal(found["a"], np.asarray(image))
    np.testing.assert_array_equal(found["b"], _picture(40, 50, 25))
    np.testing.assert_array_equal(found["deep/er/c"], _picture(40, 50, 26))
    assert found["d"].shape == (50, 40, 3)  # upright
    grey = np.repeat(_picture(40, 50, 28)[..., :1], 3, axis=-1)
    np.testing.assert_array_equal(found["grey"], grey)
    skipped = _source(folders).skipped
    assert len(skipped) == 3
    for name in ("cut.png", "empty.jpg", "text.png"):
        assert any(name in why for why in skipped)


def test_train_and_test_share_no_picture_and_miss_none(folders):
    train, test = (_all(_source(folders, split)) for split in ("train", "test"))
    assert test and not set(train) & set(test) and len(train) + len(test) == 29
    assert all(folder.is_held_out(f"{name}.png") for name in test if name.startswith("deep/0"))


def test_a_file_that_comes_later_moves_no_other(folders, tmp_path):
    for i in range(40):
        Image.fromarray(_picture(8, 8, i)).save(tmp_path / f"{i:02d}.png")
    address, shards = f"folder:{tmp_path}", str(tmp_path / "shards")
    before = _all(prepared.Pictures(address=address, split="test", directory=shards))
    Image.fromarray(_picture(8, 8, 99)).save(tmp_path / "99.png")
    fresh = prepared.Pictures(address=address, split="test", directory=shards)
    assert 0 < len(before) < 15 and set(before) <= set(_all(fresh))
    assert len(prepared.Pictures(address=address, split="all", directory=shards)) == 41


def test_subfolders_that_say_so_are_the_splits(tmp_path):
    for split, count in (("train", 5), ("val", 3), ("test", 2)):
        (tmp_path / "mine" / split).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(_picture(8, 8, i)).save(tmp_path / "mine" / split / f"{i}.png")
    address, shards = f"folder:{tmp_path / 'mine'}", str(tmp_path / "shards")
    lengths = {
        split: len(prepared.Pictures(address=address, split=split, directory=shards))
        for split in ("train", "test", "all")
    }
    assert lengths == {"train": 5, "test": 2, "all": 10}


def _folder(path, *files):
    for i, file in enumerate(files):
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(_picture(80, 80, i)).save(path / file)
    return path


@pytest.mark.parametrize("name", ["wood", "stone"])  # one that is held out and one that is not
def test_the_only_picture_of_a_folder_is_trained_on(tmp_path, name):
    mine, shards = _folder(tmp_path / "mine", f"{name}.png"), str(tmp_path / "s")
    assert list(_all(sources.build(f"folder:{mine}", split="train", directory=shards))) == [name]


def test_linked_folders_are_read_and_circles_are_not(tmp_path):
    _folder(tmp_path / "disk", "far/0.png", "far/deep/1.png", "2.png")
    mine = _folder(tmp_path / "mine", "train/3.png")
    (mine / "test").symlink_to(tmp_path / "disk" / "far")
    (mine / "train" / "again").symlink_to(mine)
    (tmp_path / "disk" / "far" / "deep" / "up").symlink_to(tmp_path / "disk" / "far")
    kind, splits, beside = folder.listing(str(mine))
    found = {split: [str(f.relative_to(mine)) for f in files] for split, files in splits.items()}
    assert kind == "picture" and not beside
    assert found == {"train": ["train/3.png"], "test": ["test/0.png", "test/deep/1.png"]}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Valid"])
def test_no_picture_for_validation_is_trained_on(tmp_path, name):
    files = ("train/0.png", "train/1.png", f"{name}/2.png", f"{name}/3.png")
    mine = _folder(tmp_path / "mine", *files)
    found = [
        set(_all(sources.build(f"folder:{mine}", split=split, directory=str(tmp_path / "s"))))
        for split in ("train", "test")
    ]
    assert found == [{"train/0", "train/1"}, {f"{name}/2", f"{name}/3"}]


def test_what_lies_beside_the_splits_is_left_out_and_listed(tmp_path, capsys):
    mine = _folder(tmp_path / "mine", "train/0.png", "test/1.png", "extra/2.png", "3.png")
    (mine / "test" / "torn.png").write_text("no")
    flags = (f"folder:{mine}", f"--directory={tmp_path / 's'}")
    assert main.main(["data", "info", *flags]) == 0
    out = capsys.readouterr().out
    assert "train: 1 pictures" in out and "test: 1 pictures" in out
    assert out.count("left out: ") == 3 and "torn.png" in out
    for name in ("extra/2.png", "3.png"):
        assert f"left out: {mine / name}: lies beside train, test" in out
    (mine / "4.png").write_bytes((mine / "3.png").read_bytes())
    assert main.main(["data", "info", *flags]) == 0
    assert capsys.readouterr().out.count("left out: ") == 4


def test_a_folder_with_train_alone_is_read_as_a_whole(tmp_path):
    mine = _folder(tmp_path / "mine", "train/0.png", "train/1.png", "more/2.png")
    every = prepared.Pictures(address=f"folder:{mine}", split="all", directory=str(tmp_path / "s"))
    assert len(every) == 3 and not every.skipped


def test_a_sweep_says_once_how_many_files_are_left_out(tmp_path, tiny_config, monkeypatch):
    mine = _folder(tmp_path / "my pictures", "train/0.png", "train/1.png", "test/2.png", "3.png")
    whole = _folder(tmp_path / "whole", "0.png", "1.png")
    config, shards = tiny_config("photos"), str(tmp_path / "s")
    config["data"] = {"source": f"folder:{mine}", "directory": shards, "augment": {}}
    monkeypatch.setattr(workdirs, "train", lambda *unused, **named: {})
    said = io.StringIO()
    for workdir, test in (("a", None), ("b", f"folder:{whole}")):
        config["data"]["test"] = test
        train.train(config, tmp_path / workdir, rich.console.Console(file=said))
    command = f"./launch.sh data info 'folder:{mine}' --directory={shards}"
    line = f"folder:{mine}: 1 of 4 files left out; {command} lists them\n"
    assert said.getvalue() == 2 * line


def test_shards_are_written_once_and_again_when_a_file_changes(tmp_path):
    for i in range(2):
        Image.fromarray(_picture(8, 8, i)).save(tmp_path / f"{i}.png")
    address, shards = f"folder:{tmp_path}", tmp_path / "shards"

    def fingerprint():
        return prepared.Pictures(address=address, split="all", directory=str(shards)).fingerprint

    first = fingerprint()
    written = {path: path.stat().st_mtime_ns for path in shards.rglob("*")}
    assert fingerprint() == first
    assert {path: path.stat().st_mtime_ns for path in shards.rglob("*")} == written
    Image.fromarray(_picture(8, 8, 7)).save(tmp_path / "1.png")
    os.utime(tmp_path / "1.png", (1, 1))
    assert fingerprint() != first


def test_sources_of_folders_and_data_sets_import_no_tensorflow(folders):
    assert len(_source(folders)) > 0
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("folder:{root}/none", ("no such folder",)),
        ("folder:{root}/bare", ("holds no picture or sound", ".webp", ".flac")),
        ("folder:{root}/bad", ("no picture can be read", "one.png")),
        ("folder:", ("must be folder:PATH",)),
        ("folder:{root}/parent", ("has test and val but no train", "parent/test or folder:")),
        ("tfds:none", ("not prepared", "./launch.sh data prepare tfds:none --directory={root}/s")),
        ("tfds:", ("must be tfds:NAME",)),
        ("tfds:none/", ("must be tfds:NAME",)),
        ("tfds:none/a-2.b:1.0.0:train[:3]#lr", ("none/a-2.b:1.0.0: is not prepared",)),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, address, named):
    _folder(tmp_path / "parent", "test/0.png", "val/1.png", "2.png")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "one.png").write_text("no")
    with pytest.raises(ValueError) as caught:
        sources.build(address.format(root=tmp_path), split="train", directory=str(tmp_path / "s"))
    assert "\n" not in str(caught.value)
    for word in named:
        assert word.format(root=tmp_path) in str(caught.value)


def test_tests_may_come_from_elsewhere(folders, tmp_path):
    for i in range(3):
        Image.fromarray(_picture(8, 8, i)).save(tmp_path / f"{i}.png")
    data = {"source": f"folder:{folders[0]}", "test": f"folder:{tmp_path}", "augment": {}}
    data["directory"] = str(folders[1])
    assert len(sources.of_config(data, split="test")) == 3
    assert len(sources.of_config(data, split="train")) == len(_source(folders))
    with pytest.raises(ValueError, match="data.test must be folder:PATH or tfds:NAME:SPLIT"):
        sources.of_config(data | {"test": "kodak"}, split="test")


def _batches(source, count, **options):
    read = pipeline.train_batches(source, **{"batch": 8, "crop": 16, "seed": 1} | options)
    return np.stack(list(itertools.islice(read, count)))


def test_batches_are_a_function_of_seed_and_step_whoever_reads_them(folders):
    whole = _batches(_source(folders), 12, threads=0)
    np.testing.assert_array_equal(_batches(_source(folders), 12, threads=2), whole)
    resumed = _batches(_source(folders), 4, start_step=8)
    np.testing.assert_array_equal(resumed, whole[8:])
    np.testing.assert_array_equal(_batches(_source(folders), 12, rows=[1, 5]), whole[:, [1, 5]])
    assert np.mean(_batches(_source(folders), 12, seed=2) != whole) > 0.9
    apart = pipeline.train_batches(_source(folders), batch=8, crop=16, seed=1, threads=1, workers=2)
    np.testing.assert_array_equal(np.stack(list(itertools.islice(apart, 12))), whole)
    apart.close()


def test_another_process_opens_the_address_itself(folders):
    source = _source(folders)
    source[0]
    again = pickle.loads(pickle.dumps(source))
    assert again == source and set(vars(again)) == {"address", "split", "directory"}
    np.testing.assert_array_equal(again[3], source[3])


def test_a_picture_that_is_too_small_is_named_before_training(folders):
    with pytest.raises(ValueError, match=r"crop 32 does not fit photograph deep/\d\d \(2\dx30\)"):
        _batches(_source(folders), 1, crop=32)


def test_every_picture_comes_once_an_epoch_and_for_a_few_steps_in_a_row():
    count, batch = 24, 8
    choose = crops.InEpochs(count, batch, seed=3)
    steps = np.array(
        [[choose(step * batch + row, None) for row in range(batch)] for step in range(96)]
    )
    for row in range(batch):  # runs of REUSE equal pictures, after the phase of the row
        phase = row * crops.REUSE // batch
        runs = steps[crops.REUSE - phase if phase else 0 :, row][: 8 * crops.REUSE]
        runs = runs.reshape(-1, crops.REUSE)
        assert (runs == runs[:, :1]).all()
    changes = (steps[1:] != steps[:-1]).sum(axis=1)
    assert changes.max() <= 2  # decoding is spread evenly
    epoch = steps[:: crops.REUSE][: count // batch, 0]
    assert len(set(epoch)) == len(epoch)
    first = {
        choose(place * batch * crops.REUSE + row, None)
        for place in range(count // batch)
        for row in range(batch)
    }
    assert first == set(range(count))


def test_what_is_kept_stays_below_the_limit_and_the_oldest_goes():
    made = []

    def make(key):
        made.append(key)
        return np.zeros(100, np.uint8)

    cache = kept.Kept(250)
    for key in (0, 1, 0, 2, 0, 1):
        assert cache.get(key, make).nbytes == 100
    assert made == [0, 1, 2, 1]  # 1 was the oldest when 2 came
    assert kept.Kept(50).get(0, make) is not None


@pytest.fixture
def originals(tmp_path):
    """MNIST's four files with a few digits in them."""
    rng = np.random.default_rng(0)
    for (images, labels), count in zip(mnist.FILES.values(), (12, 5), strict=True):
        for name, shape in ((images, (count, 28, 28)), (labels, (count,))):
            values = rng.integers(0, 10, shape, np.uint8)
            header = struct.pack(f">HBB{len(shape)}I", 0, idx.UNSIGNED_BYTE, len(shape), *shape)
            (tmp_path / name).write_bytes(gzip.compress(header + values.tobytes()))
    return tmp_path


def test_mnist_goes_through_the_builder_of_tfds_and_back(originals, tmp_path, capsys):
    shards = f"--directory={tmp_path / 'shards'}"
    assert main.main(["data", "info", "tfds:mnist", shards]) == 2
    assert "--from=DIR" in capsys.readouterr().err
    assert main.main(["data", "prepare", "tfds:mnist", f"--from={originals}", shards]) == 0
    out = capsys.readouterr().out
    assert "train: 12 pictures" in out and "test: 5 pictures" in out and "mnist/3.0.1" in out
    found = sources.build("tfds:mnist", split="test", directory=str(tmp_path / "shards"))
    digits = idx.read(originals / mnist.FILES["test"][0], axes=3)
    stored = [found[i][..., 0].tobytes() for i in range(5)]  # in the order that TFDS shuffles to
    assert sorted(stored) == sorted(digit.tobytes() for digit in digits)
    part = sources.build("tfds:mnist:train[:7]", split="test", directory=str(tmp_path / "shards"))
    assert len(part) == 7


def test_a_data_set_of_tfds_is_prepared_once(toy, tmp_path, capsys, monkeypatch):
    assert main.main(["data", "info", TOY, f"--directory={tmp_path}"]) == 2
    error = capsys.readouterr().err
    assert f"./launch.sh data prepare {TOY} --directory={tmp_path} prepares it" in error
    assert toy([{"image": _png(_picture(8, 9, i))} for i in range(3)]) == 0
    out, error = capsys.readouterr()
    assert "train: 3 pictures" in out and "synjax_toy/a-2.b/1.2.0" in out and not error
    monkeypatch.setattr(SynjaxToy, "VERSION", tfds.core.Version("2.0.0"))
    assert toy(RuntimeError("an older one is there")) == 0
    assert capsys.readouterr().out == out
    for version in ("", ":1.2.0"):
        found = sources.build(f"{TOY}{version}:train", split="test", directory=str(tmp_path))
        np.testing.assert_array_equal(found[1], _picture(8, 9, 1))


NO_NETWORK = requests.exceptions.ConnectionError("pool(host='there'): Max retries exceeded")


@pytest.mark.parametrize(
    ("address", "examples", "named"),
    [
        ("tfds:no_such_data_set", (), "TFDS has no data set of this name"),
        (f"{TOY}:9.9.9", (), "cannot be prepared: Dataset synjax_toy cannot be loaded at version"),
        ("tfds:synjax_toy/b", (), "cannot be prepared: BuilderConfig b not found"),
        (TOY, NO_NETWORK, "a download failed, is there a network? pool(host='there'): Max"),
        (TOY, AssertionError("Bring\nthe files"), "cannot be prepared: Bring the files"),
        (TOY, OSError("Extracting: No module named 'tensorflow'"), "it needs TensorFlow, which"),
        (TOY, [{"image": 0 * _picture(99, 99, 0)}], "it needs TensorFlow, which .venv/bin/python"),
    ],
)
def test_what_cannot_be_prepared_is_one_line(
    tmp_path, monkeypatch, capsys, address, examples, named
):
    if "TensorFlow" in named and importlib.util.find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed")
    monkeypatch.setattr(SynjaxToy, "examples", examples)
    assert main.main(["data", "prepare", address, f"--directory={tmp_path}"]) == 2
    out, error = capsys.readouterr()
    assert not out and "Dl Completed" not in error
    line = error.splitlines()[-1]
    assert named in line and address in line and len(line) < 500


@pytest.mark.parametrize(
    ("form", "feature", "named"),
    [
        ("array_record", "audio", "cannot be read: it needs TensorFlow, which .venv/bin/python"),
        (
            "tfrecord",
            "image",
            "another format than array_record; ./launch.sh data prepare tfds:old",
        ),
    ],
)
def test_what_tensorflow_alone_can_read_is_one_line(tmp_path, capsys, form, feature, named):
    if importlib.util.find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed")
    home, of = tmp_path / "old" / "1.0.0", "tensorflow_datasets.core.features"
    home.mkdir(parents=True)
    of_feature = {
        "audio": {"dtype": "int16", "encoding": "NONE", "shape": {"dimensions": ["-1"]}},
        "image": {"dtype": "uint8", "shape": {"dimensions": ["-1", "-1", "3"]}},
    }[feature]
    held = {
        "pythonClassName": f"{of}.{feature}_feature.{feature.title()}",
        feature: of_feature,
    }
    about = {
        "pythonClassName": f"{of}.features_dict.FeaturesDict",
        "featuresDict": {"features": {feature: held}},
    }
    (home / "features.json").write_text(json.dumps(about))
    split = {"name": "train", "shardLengths": ["1"], "numBytes": "1"}
    split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    info = {"name": "old", "version": "1.0.0", "fileFormat": form, "splits": [split]}
    (home / "dataset_info.json").write_text(json.dumps(info))
    assert main.main(["data", "info", "tfds:old", f"--directory={tmp_path}"]) == 2
    out, error = capsys.readouterr()
    assert not out and named in error and error.count("\n") == 1


PICTURE, GREY = tfds.features.Image(), tfds.features.Image(shape=(None, None, 1))


def _toy_source(tmp_path, feature=""):
    return sources.build(f"{TOY}{feature}", split="train", directory=str(tmp_path))


def test_masks_and_depths_are_no_pictures(toy, tmp_path):
    mask = tfds.features.LabeledImage(labels=4, shape=(None, None, 1))
    example = {name: _png(_picture(8, 8, 0)[..., 0]) for name in ("a_mask", "b_depth")}
    example |= {"photo": _png(_picture(8, 8, 1))}
    assert toy([example], a_mask=mask, b_depth=GREY, photo=PICTURE) == 2  # grey is one, too
    (path,) = tmp_path.rglob("features.json")
    about = json.loads(path.read_text())
    about["featuresDict"]["features"]["b_depth"]["image"]["dtype"] = "float32"
    path.write_text(json.dumps(about))
    np.testing.assert_array_equal(_toy_source(tmp_path)[0], _picture(8, 8, 1))


def test_of_several_pictures_one_has_to_be_named(toy, tmp_path, capsys):
    pictures = {"lr": _picture(8, 8, 0), "hr": _picture(16, 16, 1)}
    example = {name: _png(pixels) for name, pixels in pictures.items()} | {"text": "a"}
    assert toy([example], lr=PICTURE, hr=PICTURE, text=tfds.features.Text()) == 2
    error = capsys.readouterr().err
    assert "several features of images; name one of them at the end: #hr, #lr" in error
    for name, pixels in pictures.items():
        np.testing.assert_array_equal(_toy_source(tmp_path, f"#{name}")[0], pixels)
        np.testing.assert_array_equal(_toy_source(tmp_path, f":train#{name}")[0], pixels)
    for name in ("text", "image"):
        with pytest.raises(ValueError, match=f"neither pictures nor sounds in '{name}'; .*'hr'"):
            _toy_source(tmp_path, f"#{name}")


def test_of_several_pictures_one_may_be_called_image(toy, tmp_path):
    example = {"a": _png(_picture(8, 8, 0)), "image": _png(_picture(8, 8, 1))}
    assert toy([example], a=PICTURE, image=PICTURE) == 0
    np.testing.assert_array_equal(_toy_source(tmp_path)[0], _picture(8, 8, 1))


def _saved(image, form, **options):
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def _contents():
    """Files of one picture, by name."""
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30, 4), np.uint16)
    alpha = Image.fromarray((deep >> 8).astype(np.uint8))
    palette = alpha.convert("RGB").quantize(8)
    return {
        "grey.png": _saved(alpha.convert("L"), "PNG"),
        "palette.png": _saved(palette, "PNG"),
        "rgb.jpg": _saved(alpha.convert("RGB"), "JPEG"),
        "deep_grey.png": _png(deep[..., 0]).read(),
        "deep_grey_alpha.png": _png(deep[..., 2:]).read(),
        "deep_rgb.png": _png(deep[..., :3]).read(),
        "deep_alpha.png": _png(deep).read(),
        "alpha.png": _saved(alpha, "PNG"),
        "grey_alpha.png": _saved(alpha.convert("LA"), "PNG"),
        "palette_alpha.png": _saved(palette, "PNG", transparency=bytes(range(0, 256, 32))),
        "alpha.webp": _saved(alpha, "WEBP", lossless=True),
    }


def test_16_bits_and_alpha_are_read_as_in_a_folder(toy, tmp_path):
    contents = _contents()
    features = {"image": PICTURE, "name": tfds.features.Text()}
    examples = [{"image": io.BytesIO(c), "name": name} for name, c in contents.items()]
    assert toy(examples, **features) == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    for i, (name, content) in enumerate(contents.items()):
        (mine / f"{i:02d}_{name}").write_bytes(content)
    in_folder = sources.build(f"folder:{mine}", split="all", directory=str(tmp_path))
    assert len(in_folder) == len(contents)
    for i, name in enumerate(contents):
        found = _toy_source(tmp_path)[i]
        assert found.flags.c_contiguous and not found.flags.writeable
        np.testing.assert_array_equal(found, in_folder[i], err_msg=name)


def test_a_format_without_a_reader_for_alpha_is_named(toy, tmp_path):
    clear = Image.fromarray(_picture(8, 8, 0)).quantize(4)
    toy([{"image": io.BytesIO(_saved(clear, "GIF", transparency=0))}])
    source = _toy_source(tmp_path)
    with pytest.raises(ValueError, match="picture 0 .*is a GIF with alpha .*allowed are PNG, TIFF"):
        source[0]


def test_the_verb_says_what_is_there_and_draws_it(folders, tmp_path, capsys):
    mine, shards = folders
    flags = (f"folder:{mine}", f"--directory={shards}")
    assert main.main(["data", "info", *flags]) == 0
    out = capsys.readouterr().out
    assert "train: 29 pictures, " in out and out.count("left out: ") == 3
    assert main.main(["data", "preview", *flags, f"--out={tmp_path / 'sheet.png'}"]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] == 1600 and len(np.unique(np.asarray(sheet))) > 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("list", "folder:x"), "data takes prepare, info or preview, got 'list'"),
        (("info",), "data takes prepare|info|preview ADDRESS, got info"),
        (("info", "photos"), "folder:PATH or tfds:NAME, got 'photos'"),
        (("prepare", "folder:x", "--from=y"), "--from is for tfds:mnist"),
    ],
)
def test_a_wrong_call_is_one_line(capsys, arguments, named):
    assert main.main(["data", *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1
