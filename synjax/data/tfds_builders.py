"""Builders of data sets that TFDS keeps on this machine: prepared, found and opened.

TensorFlow is needed by what some data sets write and by TFDS's feature of sounds, not by the rest.
"""

import contextlib
import io
import re
import shlex
import sys

FORMAT = "array_record"
LONGEST = 300  # characters of TFDS's own words in an error
_NAMES = "tfds:NAME[/CONFIG][:VERSION][:SPLIT][#FEATURE]"
_ADDRESS = re.compile(r"tfds:(\w+(?:/[\w.+-]+)?(?::\d+\.\d+\.\d+)?)(?::([^#]+))?(?:#(.+))?")
_PREFIX = re.compile(r'^Failed to construct dataset .*?}": ')  # that TFDS gives to errors
_INSTALL = ".venv/bin/python -m pip install tensorflow -c constraints.txt"


def prepare(address, directory=None):
    """Has TFDS download and write a data set, unless it is there in some version.

    Args:
      address: tfds:NAME[:SPLIT]; all splits are written.
      directory: where TFDS keeps its data sets; None for its own default.

    Raises:
      ValueError: TFDS has no such data set, or cannot prepare it here.
    """
    import tensorflow_datasets as tfds

    name = named(address)[0]
    if _found(name, directory) is not None:
        return
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS's own words
            builder = tfds.builder(name, data_dir=directory, file_format=FORMAT)
            builder.download_and_prepare()
    except tfds.core.registered.DatasetNotFoundError:
        raise ValueError(f"tfds:{name}: TFDS has no data set of this name") from None
    except Exception as error:  # a data set is code that may raise anything
        raise ValueError(f"tfds:{name}: cannot be prepared: {_reason(error)}") from error


def named(address):
    """(NAME, SPLIT or None, FEATURE or None) of an address of TFDS, NAME as TFDS has it."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise ValueError(f"{address}: must be {_NAMES}")
    return found.groups()


def opened(name, directory):
    """The builder of a data set; where none is there, ValueError with the command for it."""
    found = _found(name, directory)
    if found is None:
        where = "" if directory is None else f" in {directory}"
        again = command("prepare", f"tfds:{name}", directory)
        files = ", with --from=DIR from its four original files" if name == "mnist" else ""
        raise ValueError(f"tfds:{name}: is not prepared{where}; {again} prepares it{files}")
    return found


def _found(name, directory):
    """The builder of a data set; None where it is not there."""
    import tensorflow_datasets as tfds

    given = {} if directory is None else {"data_dir": directory}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS's own words
            return tfds.core.read_only_builder.builder_from_files(name, **given)
    except tfds.core.registered.DatasetNotFoundError:
        return None
    except ModuleNotFoundError as error:  # of sounds, whose feature TFDS makes of TensorFlow
        raise ValueError(f"tfds:{name}: cannot be read: {_reason(error)}") from None


def _reason(error):
    """One line of what TFDS raised."""
    import requests

    if "No module named 'tensorflow'" in str(error):
        return f"it needs TensorFlow, which {_INSTALL} installs"
    while error.__cause__ is not None:  # TFDS wraps errors, some in all of an example's numbers
        error = error.__cause__
    text = _PREFIX.sub("", " ".join(str(error).split()))[:LONGEST] or type(error).__name__
    if isinstance(error, requests.exceptions.ConnectionError):
        return f"a download failed, is there a network? {text}"
    return text


def command(action, address, directory):
    """The command line of a verb of data."""
    where = [] if directory is None else [f"--directory={directory}"]
    return shlex.join(["./launch.sh", "data", action, address, *where])
