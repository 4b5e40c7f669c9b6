"""Sweeps in object stores: a local copy is worked on, and mirrored to the bucket.

Records are appended to and checkpoints are renamed into place, neither of which an object store can
do. What the mirror holds is a sweep as a kill would leave it, at most `PERIOD` seconds old.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
import threading

from absl import logging

from synjax.training import checkpoint

SCHEMES = ("gs", "s3", "az")
PERIOD = 60  # seconds from the end of one upload to the next
CHECKPOINTS = "checkpoints"


def is_remote(workdir):
    """Whether a working directory is an address, SCHEME://…, rather than a path."""
    return "://" in str(workdir)


@contextlib.contextmanager
def opened(workdir, console, only_read=False, checkpoints=True):
    """The local directory of a sweep: itself or, for an address, a copy of what is there.

    Inside, what changes in the copy is uploaded in the background; on the way out, the rest is.

    Args:
      workdir: a path, or an address as gs://BUCKET/NAME.
      console: rich console, told where the copy is.
      only_read: nothing is uploaded.
      checkpoints: whether their contents are needed; if not, the copy has zeros in their place.

    Raises:
      ValueError: no such scheme, or the package that serves it is missing.
      OSError: the address cannot be read, or not be written at the end; the copy is kept then.
    """
    if not is_remote(workdir):
        yield workdir
        return
    remote, kept = _connect(workdir), False
    local = pathlib.Path(tempfile.mkdtemp(prefix="synjax-"))
    mirror = Mirror(local, remote)
    try:
        with _naming(workdir, "cannot be read"):
            mirror.pull(checkpoints)
        if only_read:
            yield local
            return
        line = f"{workdir} is worked on in {local} and uploaded every {PERIOD} s."
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        with mirror.pushing():
            yield local
    except _NotUploaded as error:
        kept = True
        raise OSError(
            f"{workdir} cannot be written: {error}; everything is kept in {local}"
        ) from error
    finally:
        if not kept:
            shutil.rmtree(local, ignore_errors=True)


def _connect(workdir):
    from etils import epath

    scheme = str(workdir).partition("://")[0]
    if scheme not in SCHEMES:
        raise ValueError(
            f"--workdir={workdir} must be a path or start with one of "
            + ", ".join(f"{name}://" for name in SCHEMES)
        )
    remote = epath.Path(workdir)
    try:
        remote.exists()
    except ImportError as error:
        raise ValueError(f"--workdir={workdir}: {error}") from None
    except Exception as error:  # of whichever package serves the scheme
        raise OSError(f"{workdir} cannot be read: {_first_line(error)}") from error
    return remote


class _NotUploaded(Exception):
    """The last upload failed; the message says why."""


class Mirror:
    """A local directory and the remote one that is made equal to it."""

    def __init__(self, local, remote):
        """Nothing is copied yet; `local` is a pathlib.Path, `remote` an etils.epath.Path."""
        self.local = local
        self._remote = remote
        self._known = {}  # file -> stamp of what the remote side holds

    def pull(self, checkpoints=True):
        """Fetches what the remote side holds, of checkpoints on request only names and sizes."""
        found = list(_walk(self._remote)) if self._remote.exists() else []
        for path in found:
            name = path.relative_to(self._remote)
            target = self.local / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if CHECKPOINTS in name.parts and not checkpoints:
                _imitate(path, target)
            else:
                path.copy(target)
                when = _modified(path)  # by which `status` knows what still runs elsewhere
                os.utime(target, (when, when))
        self._known = self._stamps()

    def push(self):
        """Uploads what has changed since the last call, then removes what is gone from here.

        In this order a new checkpoint is there before the one that it replaces goes.
        """
        stamps = self._stamps()
        for name, stamp in sorted(stamps.items(), key=lambda item: item[1]):
            if self._known.get(name) == stamp:
                continue
            target = self._remote / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with (self.local / name).open("rb") as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except FileNotFoundError:
                if (self.local / name).exists():
                    raise
                continue  # replaced by a newer one, which the next call uploads
            self._known[name] = stamp
        for name in set(self._known) - set(stamps):
            (self._remote / name).unlink(missing_ok=True)
            del self._known[name]

    @contextlib.contextmanager
    def pushing(self):
        """Inside, `push` is called every `PERIOD` seconds, and once on the way out.

        What fails is said and tried again; at the end it raises `_NotUploaded`.
        """
        ended = threading.Event()

        def repeat():
            while not ended.wait(PERIOD):
                try:
                    self.push()
                except Exception as error:  # the work goes on meanwhile
                    logging.warning("%s: upload failed: %s", self._remote, _first_line(error))

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            try:
                self.push()
            except Exception as error:
                raise _NotUploaded(_first_line(error)) from error

    def _stamps(self):
        """(modified, size) of every file that is not being written, by its relative path."""
        stamps = {}
        for path in self.local.rglob("*"):
            name = path.relative_to(self.local)
            unfinished = checkpoint.UNFINISHED in str(name) or path.match(".*.tmp")
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not unfinished:
                    about = path.stat()
                    stamps[str(name)] = about.st_mtime_ns, about.st_size
        return stamps


def _imitate(path, target):
    """Makes a file of zeros, which take no place, as long as a remote one."""
    with contextlib.suppress(FileNotFoundError):  # who trains there has a newer checkpoint now
        size = path.stat().length
        target.touch()
        os.truncate(target, size)


def _modified(path):
    """Seconds from 1970 to the last change of a remote file."""
    if known := path.stat().mtime:
        return known
    import fsspec

    system, name = fsspec.core.url_to_fs(str(path))
    about = system.info(name)  # whose names on S3 and Azure etils does not know
    return about.get("LastModified", about.get("last_modified")).timestamp()


def _walk(directory):
    for path in directory.iterdir():
        if path.is_dir():
            yield from _walk(path)
        else:
            yield path


@contextlib.contextmanager
def _naming(workdir, what):
    """Makes one OSError of all that the packages behind an address raise."""
    try:
        yield
    except Exception as error:
        raise OSError(f"{workdir} {what}: {_first_line(error)}") from error


def _first_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]
