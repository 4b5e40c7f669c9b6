"""A sweep in an object store: it continues from there, and nothing is lost when uploads fail."""

import datetime
import json
import os
import pathlib

import fsspec
import pytest
import rich.console
from etils import epath
from fsspec.implementations import local as local_files

from synjax import main, storage

TINY = "--config=configs/gaussian.py:tiny"


class Bucket(local_files.LocalFileSystem):
    """An object store, but for its place: objects are put whole, and neither appended nor moved."""

    root = None
    full = False

    @classmethod
    def _strip_protocol(cls, path):
        if str(path).startswith("gs://"):
            path = str(cls.root / str(path).removeprefix("gs://"))
        return super()._strip_protocol(path)

    def open(self, path, mode="rb", **named):
        assert mode in ("r", "rb", "w", "wb")
        if "w" in mode and self.full:
            raise OSError("quota exceeded")
        return super().open(path, mode, **named)

    def mv(self, *unused, **named):
        raise AssertionError("an object store moves nothing")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    for name in ("gcs", "gs"):  # as etils and fsspec itself call it
        fsspec.register_implementation(name, Bucket, clobber=True)
    monkeypatch.setattr(Bucket, "root", tmp_path / "stores")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    (tmp_path / "stores" / "mine").mkdir(parents=True)
    yield tmp_path / "stores" / "mine"
    Bucket.full = False


def _copies(bucket):
    return list((bucket.parents[1] / "copies").iterdir())


def test_a_sweep_in_a_bucket_goes_on_from_there(bucket, capfd, tiny_config, tmp_path):
    config = tiny_config()
    config["sweep"] |= {"lambda_d": (24.0,), "lambda_p": (0.0,)}
    (tmp_path / "asked.json").write_text(json.dumps(config))
    asked = f"--config={tmp_path / 'asked.json'}"
    assert main.main(["train", asked, "--workdir=gs://mine/run"]) == 0
    assert "step 30/30" in capfd.readouterr().out
    assert (bucket / "run" / "plan.json").exists()
    assert list(bucket.glob("run/encoders/*/checkpoints/00000030/state/*"))
    assert main.main(["status", "gs://mine/run"]) == 0
    assert "2 runs: 2 done" in capfd.readouterr().out
    assert main.main(["sweep", asked, "--workdir=gs://mine/run"]) == 0
    out = capfd.readouterr().out
    assert "step 30/30" not in out  # nothing was trained again
    table = (bucket / "run" / "table.csv").read_bytes()
    (bucket / "run" / "table.csv").unlink()
    assert main.main(["export", "--workdir=gs://mine/run"]) == 0
    assert (bucket / "run" / "table.csv").read_bytes() == table
    assert _copies(bucket) == []


def test_a_bucket_that_takes_nothing_more_costs_nothing(bucket, tmp_path, capfd):
    Bucket.full = True
    with (
        pytest.raises(OSError, match="quota exceeded; everything is kept in"),
        storage.opened("gs://mine/run", rich.console.Console()) as copy,
    ):
        (copy / "table.csv").write_text("a,b\n")
    assert [p.read_text() for p in _copies(bucket)[0].iterdir()] == ["a,b\n"]


def test_what_ends_the_work_is_raised_after_the_upload(bucket):
    with (
        pytest.raises(KeyError, match="why"),
        storage.opened("gs://mine/run", rich.console.Console()) as copy,
    ):
        (copy / "config.json").write_text("{}")
        raise KeyError("why")
    assert (bucket / "run" / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("train", TINY, "--workdir=ftp://mine/run"), ("ftp://mine/run", "gs://, s3://, az://")),
        (("train", TINY, "--workdir=s3://mine/run"), ("s3://mine/run", "s3fs")),
        (
            ("train", TINY, "--workdir=gs://mine/run", "--launcher=slurm"),
            ("--launcher=slurm", "gs://mine/run"),
        ),
        (
            ("train", TINY, "--workdir=gs://mine/run", "--distributed=localhost:1,0,2"),
            ("--distributed", "gs://mine/run"),
        ),
        (("status", "gs://mine/none"), ("holds no sweep",)),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(bucket, capfd, arguments, named):
    assert main.main([*arguments]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    for word in named:
        assert word in error
    assert list(bucket.iterdir()) == [] and _copies(bucket) == []


@pytest.fixture
def mirror(tmp_path):
    (tmp_path / "local").mkdir()
    return storage.Mirror(tmp_path / "local", epath.Path(tmp_path / "remote"))


def _names(directory):
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def test_only_what_changed_is_uploaded_and_what_is_gone_goes(mirror, tmp_path):
    remote = tmp_path / "remote"
    for name in ("a", "b", "c/d"):
        (mirror.local / name).parent.mkdir(exist_ok=True)
        (mirror.local / name).write_text(name)
    mirror.push()
    assert _names(remote) == ["a", "b", "c/d"]
    (remote / "a").write_text("not touched again")
    (remote / "theirs").write_text("not ours")
    (mirror.local / "b").write_text("longer than before")
    (mirror.local / "c" / "d").unlink()
    mirror.push()
    assert _names(remote) == ["a", "b", "theirs"]
    assert (remote / "a").read_text() == "not touched again"
    assert (remote / "b").read_text() == "longer than before"


def test_what_is_being_written_is_not_uploaded(mirror, tmp_path):
    for name in ("8.orbax-checkpoint-tmp-1/state", ".rows.json.7.tmp", "rows.json"):
        (mirror.local / name).parent.mkdir(exist_ok=True)
        (mirror.local / name).write_text(name)
    mirror.push()
    assert _names(tmp_path / "remote") == ["rows.json"]


def test_a_file_that_vanishes_during_the_upload_is_passed_over(mirror, tmp_path, monkeypatch):
    for name in ("a", "b"):
        (mirror.local / name).write_text(name)
    opened = pathlib.Path.open

    def vanishing(path, *arguments, **named):
        if path == mirror.local / "a":
            path.unlink(missing_ok=True)
        return opened(path, *arguments, **named)

    monkeypatch.setattr(pathlib.Path, "open", vanishing)
    mirror.push()
    assert _names(tmp_path / "remote") == ["b"]


def test_a_copy_is_as_old_as_what_it_is_of(mirror, tmp_path):
    record = tmp_path / "remote" / "record.jsonl"
    record.parent.mkdir()
    record.write_text("{}\n")
    os.utime(record, (1e9, 1e9))
    mirror.pull()
    assert (mirror.local / "record.jsonl").stat().st_mtime == 1e9


def test_a_time_that_etils_does_not_know_is_found(bucket, monkeypatch):
    known = datetime.datetime.fromtimestamp(1e9, datetime.UTC)
    (bucket / "record.jsonl").write_text("{}")
    for name in ("LastModified", "last_modified"):
        info = {"type": "file", "size": 2, name: known}
        monkeypatch.setattr(Bucket, "info", lambda self, path, info=info, **unused: info)
        assert storage._modified(epath.Path("gs://mine/record.jsonl")) == 1e9


def test_names_and_sizes_of_checkpoints_do_without_their_contents(mirror, tmp_path):
    large = tmp_path / "remote" / "encoders" / "one" / storage.CHECKPOINTS / "00000030" / "state"
    large.mkdir(parents=True)
    (large / "0").write_bytes(b"1" * 100_000)
    (tmp_path / "remote" / "plan.json").write_text("{}")
    mirror.pull(checkpoints=False)
    assert (mirror.local / "plan.json").read_text() == "{}"
    (copy,) = mirror.local.rglob("0")
    assert copy.stat().st_size == 100_000 and copy.stat().st_blocks == 0
    mirror.push()
    assert (large / "0").read_bytes() == b"1" * 100_000  # what was not fetched is not written back


def test_uploads_go_on_in_the_background_and_failures_are_tried_again(
    mirror, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(storage, "PERIOD", 0.01)
    calls, push = [], storage.Mirror.push

    def sometimes(self):
        calls.append(None)
        if len(calls) == 1:
            raise OSError("try later")
        push(self)

    monkeypatch.setattr(storage.Mirror, "push", sometimes)
    (mirror.local / "a").write_text("a")
    with mirror.pushing():
        while not (tmp_path / "remote" / "a").exists():
            pass
    assert len(calls) > 2 and "try later" in caplog.text
