"""Output files that appear all together, whole, or not at all."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def staged(*paths):
    """Files to write in the place of others, which they replace if the block ends well.

    Args:
      paths: the files that are wanted; those that exist are replaced.

    Yields:
      A list of paths beside them, with the same suffixes.

    Raises:
      ValueError: a path is a directory or cannot be written; before the block, so that no work is
        lost.
    """
    paths = [pathlib.Path(path) for path in paths]
    unfinished = [p.with_name(f".{p.stem}.{os.getpid()}.tmp{p.suffix}") for p in paths]
    try:
        for path, temporary in zip(paths, unfinished, strict=True):
            if path.is_dir():
                raise ValueError(f"{path}: is a directory; allowed is a file")
            try:
                temporary.touch()
            except OSError as error:
                raise ValueError(f"{path}: cannot be written: {error.strerror}") from error
        yield unfinished
        for path, temporary in zip(paths, unfinished, strict=True):
            os.replace(temporary, path)
    finally:
        for temporary in unfinished:
            temporary.unlink(missing_ok=True)
