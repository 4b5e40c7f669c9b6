"""The site of the documentation: builds without a warning, and leaves nothing public out."""

import ast
import os
import pkgutil
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import synjax

MODULES = [found.name for found in pkgutil.walk_packages(synjax.__path__, "synjax.")]
CONCEPTS = (ROOT / "docs" / "concepts.md").read_text()


def _build(folder, site):
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = _build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def _public(module):
    """The names that a module defines for others, from its text."""
    path = ROOT.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield f"{module}.{node.name}"


def test_every_page_is_there_and_the_readme_is_the_first(site):
    pages = (ROOT / "docs").rglob("*.md")
    expected = {path.relative_to(ROOT / "docs").with_suffix("") for path in pages}
    assert len(expected) > 20
    for page in expected:
        home = page.parent if page.name == "index" else page
        assert (site / home / "index.html").exists(), page
    assert "Eq. 62" in (site / "index.html").read_text()


def test_every_public_symbol_is_in_the_reference(site):
    text = "".join(path.read_text() for path in site.glob("reference/*/index.html"))
    known = set(re.findall(r'id="(synjax[\w.]*)"', text))
    assert len(MODULES) > 150 and not set(MODULES) - known
    symbols = {symbol for module in MODULES for symbol in _public(module)}
    assert len(symbols) > 500 and not symbols - known


def test_what_pages_link_to_in_the_repository_comes_with_them(site):
    linked = "experiments/results/estimators/estimators.png"
    assert (site / linked).read_bytes() == (ROOT / linked).read_bytes()
    assert f"../{linked}" in (site / "estimators" / "index.html").read_text()
    assert (site / "experiments" / "results" / "claims_digits" / "index.html").exists()
    assert 'href="configs/photos.py"' in (site / "index.html").read_text()


def test_no_page_asks_for_anything_from_elsewhere(site):
    fetched = re.compile(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="?(?:https?:)?//')
    for page in site.rglob("*.html"):
        assert not fetched.search(page.read_text()), page


def test_links_to_what_is_not_there_are_errors(tmp_path):
    """In a copy of the site with little on it."""
    wrong = "absent.md", "experiments/absent.py", "docs/data.md#absent"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "data.md").write_text("# Two\n")
    hook = "docs/repository_links.py"
    (tmp_path / hook).write_text((ROOT / hook).read_text())
    (tmp_path / "README.md").write_text("# One\n\n" + "\n".join(f"[a]({link})" for link in wrong))
    settings = (ROOT / "mkdocs.yml").read_text()
    kept = settings[: settings.index("nav:")] + settings[settings.index("validation:") :]
    (tmp_path / "mkdocs.yml").write_text(kept[: kept.index("plugins:")])
    done = _build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 3
    for link in wrong:
        assert any(link.removeprefix("docs/") in warning for warning in warnings), warnings


def _exists(name):
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_every_name_in_the_concepts_exists():
    names = re.findall(r"`(synjax\.[^`]+)`", CONCEPTS)
    assert len(set(names)) > 40
    assert not [name for name in names if not _exists(name)]
    assert not _exists("synjax.codec.absent") and not _exists("synjax.objective.Objective.absent")


def test_whatever_else_the_concepts_quote_is_a_key_or_a_column():
    other = {name for name in re.findall(r"`([^`]+)`", CONCEPTS) if not name.startswith("synjax.")}
    text = "".join((ROOT / name).read_text() for name in ("configs/photos.py", "README.md"))
    assert other
    for name in other - {"code"}:
        assert name.rsplit(".", 1)[-1] in text, name
