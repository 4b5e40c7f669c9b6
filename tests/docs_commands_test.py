"""The tutorial as a reader follows it: its files are saved, its commands run, in its order.

A block of output on a page must be what was printed, but for numbers and the width of columns.
"""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from PIL import Image

from synjax import command_line
from synjax.data import sources

TUTORIAL = ROOT / "docs" / "tutorial"
PAGES = ("first", "pictures", "perception", "experiment", "codec")
STEP = re.compile(
    r'^```\w+(?: title="(?P<path>[^"]+)")?\n(?P<text>.*?)^```$'
    r"|^    \./launch\.sh (?P<command>[^\n]+)$",
    re.MULTILINE | re.DOTALL,
)
INLINE = re.compile(r"`\./launch\.sh ([^`]+)`")


def _read(page):
    return (TUTORIAL / f"{page}.md").read_text()


def _lines(text):
    """The lines of an output, alike where only numbers and spaces differ."""
    return [" ".join(re.sub(r"\d[\d.e+-]*", "0", line).split()) for line in text.splitlines()]


@pytest.fixture(scope="module")
def followed(tiny, command, tmp_path_factory):
    """What a reader has seen: page → list of (CompletedProcess, outputs that the page shows)."""
    home = tmp_path_factory.mktemp("reader")
    for name in ("synjax", "configs", "experiments"):
        (home / name).symlink_to(ROOT / name)
    for split, name in (("train", "b"), ("train", "c"), ("train", "d"), ("test", "a")):
        (home / "pictures" / split).mkdir(parents=True, exist_ok=True)
        leaves = sources.Leaves(split=split, size=128, seed=ord(name))
        Image.fromarray(leaves[0]).save(home / "pictures" / split / f"{name}.png")
    workdir, swept = tiny
    shutil.copytree(workdir, home / "runs" / "tiny")
    already = [argument.replace(str(workdir), "runs/tiny") for argument in swept.args]

    seen = {}
    for page in PAGES:
        seen[page] = []
        for step in STEP.finditer(_read(page)):
            if step["path"]:
                path = home / step["path"]
                path.parent.mkdir(exist_ok=True)
                path.write_text(step["text"])
            elif step["command"]:
                arguments = shlex.split(step["command"])
                done = swept
                if arguments != already:
                    done = command(*arguments, cwd=home, TFDS_DATA_DIR=str(home / "data"))
                seen[page].append((done, []))
            else:
                seen[page][-1][1].append(step["text"])
    return seen


@pytest.mark.parametrize("page", [page for page in PAGES if page != "perception"])
def test_the_commands_of_a_page_do_what_it_says(followed, page):
    assert followed[page]
    for done, shown in followed[page]:
        assert done.returncode == 0, done.stderr
        for text in shown:
            assert set(_lines(text)) <= set(_lines(done.stdout)), done.stdout


def test_the_pages_show_files_outputs_and_commands_and_none_is_left_out():
    assert {path.stem for path in TUTORIAL.glob("*.md")} == set(PAGES)
    steps = [step for page in PAGES for step in STEP.finditer(_read(page))]
    assert [step["path"] for step in steps if step["path"]] == [
        "mine/texture.py",
        "mine/textures.py",
    ]
    verbs = [step["command"].split()[0] for step in steps if step["command"]]
    wanted = {"sweep", "show", "data", "report", "compare", "package", "compress", "decompress"}
    assert wanted <= set(verbs)
    assert sum(bool(step["text"]) and not step["path"] for step in steps) >= 4


def test_the_commands_in_its_sentences_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = [found for page in PAGES for found in INLINE.findall(_read(page))]
    assert len(commands) >= 3
    for text in commands:
        verb, *arguments = shlex.split(text)
        monkeypatch.setattr(sys, "argv", ["launch.sh", verb, *arguments])  # ml_collections' source
        command_line.parse(verb, arguments)


def test_the_files_that_it_shows_pass_the_projects_own_lint(tmp_path):
    files = {step["path"]: step["text"] for page in PAGES for step in STEP.finditer(_read(page))}
    for path, text in files.items():
        if path:
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text)
    for arguments in (("check",), ("format", "--check")):
        asked = [sys.executable, "-m", "ruff", *arguments, "--config", ROOT / "pyproject.toml"]
        done = subprocess.run([*asked, "."], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
