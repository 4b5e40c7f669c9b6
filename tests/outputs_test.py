"""Output files: all of them or none."""

import pytest

from synjax.data import outputs


def _content(directory):
    return {p.name: p.read_text() if p.is_file() else None for p in directory.iterdir()}


def test_files_appear_together_when_the_block_ends(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    with outputs.staged(tmp_path / "a.txt", tmp_path / "b.txt") as unfinished:
        assert [p.suffix for p in unfinished] == [".txt", ".txt"]
        for k, path in enumerate(unfinished):
            path.write_text(str(k))
        assert (tmp_path / "b.txt").read_text() == "old" and not (tmp_path / "a.txt").exists()
    assert _content(tmp_path) == {"a.txt": "0", "b.txt": "1"}


def test_a_block_that_fails_changes_nothing(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    with (
        pytest.raises(ZeroDivisionError),
        outputs.staged(tmp_path / "a.txt", tmp_path / "b.txt") as unfinished,
    ):
        unfinished[1].write_text(str(1 / 0))
    assert _content(tmp_path) == {"b.txt": "old"}


@pytest.mark.parametrize(
    ("wrong", "reason"), [("folder", "is a directory"), ("none/x.txt", "cannot be written")]
)
def test_places_that_cannot_be_written_are_refused_before_any_work(tmp_path, wrong, reason):
    (tmp_path / "folder").mkdir()
    worked = []
    with (
        pytest.raises(ValueError, match=f"{wrong}: {reason}"),
        outputs.staged(tmp_path / "a.txt", tmp_path / wrong),
    ):
        worked.append(True)
    assert not worked and _content(tmp_path) == {"folder": None}
