"""Links between the documentation and the repository around it.

Pages link to files as they lie in the repository, so that the links work where the repository is
read. The README and whatever files outside `docs/` are linked to become a part of the site; a link
to what is not there stays, and MkDocs warns of it.
"""

import pathlib
import posixpath
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
HOME = "README.md"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])[^)#\s]+")


def _target(page, link):
    """What a link of a page names, from the root of the repository; of a folder, its README."""
    own = f"docs/{page}" if (ROOT / "docs" / page).exists() else page
    path = posixpath.normpath(posixpath.join(posixpath.dirname(own), link))
    return f"{path}/{HOME}" if (ROOT / path).is_dir() else path


def on_files(files, config):
    """Adds the README, and what it and the pages link to outside `docs/`."""
    waiting = [file for file in files if file.is_documentation_page()]
    waiting.append(_added(files, config, HOME))
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.content_string):
            target = _target(page.src_uri, link)
            known = target.startswith("docs/") or files.get_file_from_path(target)
            if not known and (ROOT / target).is_file():
                file = _added(files, config, target)
                waiting += [file] if file.is_documentation_page() else []
    return files


def _added(files, config, path):
    file = File.generated(config, path, abs_src_path=str(ROOT / path))
    files.append(file)
    return file


def on_page_markdown(markdown, page, config, files):
    """Makes every link one between places of the site."""
    del config, files
    here = posixpath.dirname(page.file.src_uri)

    def moved(link):
        target = _target(page.file.src_uri, link[0]).removeprefix("docs/")
        return posixpath.relpath(target, here or ".")

    return LINK.sub(moved, markdown)
