"""Checkpoints: the only file that knows orbax.

orbax restores flipped bits and other dtypes without a word, so the hash of every leaf is stored
beside the state and checked, and the newest whole checkpoint is used, not the newest.
"""

import contextlib
import hashlib
import logging as standard_logging
import pathlib
import shutil
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from synjax.training import mesh

UNFINISHED = ".orbax-checkpoint-tmp"  # how orbax names what it is still writing
# What every checkpoint has: a file for each of its two items.
DESCRIBED = ("about/metadata", "state/_METADATA")

# What orbax logs, a traceback in every thread that a full disk stops, is raised or said here, too.
logging.get_absl_logger().addFilter(lambda record: "orbax" not in record.pathname)
standard_logging.getLogger("asyncio").addFilter(
    lambda record: "exception was never retrieved" not in record.getMessage()
)


def _without_late_writes(shown):
    """A `sys.unraisablehook` without writes that end after their checkpoint has failed.

    tensorstore reports each of them, by a traceback, to the event loop that orbax closed meanwhile.
    """

    def hook(unraisable):
        if str(unraisable.exc_value) != "Event loop is closed":
            shown(unraisable)

    return hook


sys.unraisablehook = _without_late_writes(sys.unraisablehook)


def leaf_hashes(tree):
    """SHA-256 of every leaf (dtype, shape and bytes) by its path."""

    def digest(leaf):
        leaf = np.asarray(leaf)
        head = f"{leaf.dtype}{leaf.shape}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(leaf).tobytes()).hexdigest()

    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): digest(leaf) for path, leaf in leaves}


class Checkpoints:
    """The checkpoints of one training run, `keep` newest of them."""

    def __init__(self, directory, keep=2):
        """Opens the directory, which is made where it is missing."""
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            step_format_fixed_length=8,
            enable_async_checkpointing=True,
            cleanup_tmp_directories=False,  # `restore` says first what was cut short
        )
        self._path = pathlib.Path(directory).resolve()
        self._manager = ocp.CheckpointManager(self._path, options=options)
        self._passed_over = []  # paths, until the first save moves them aside
        self._replaced = []  # cut short, and to be removed when a whole one is there

    def __enter__(self):
        """Nothing to do: opening happened already."""
        return self

    def __exit__(self, *unused):
        """Waits for the save in flight."""
        try:
            self._wait()
        finally:
            self._manager.close()

    def save(self, step, state, description):
        """Writes a checkpoint in the background; atomic.

        The state may be donated to the next step at once. What orbax and the hashes read is a copy
        on the host or, on the CPU, a view of the buffer itself; a buffer that somebody views is not
        reused by XLA, which then donates a copy.

        Args:
          step: positive integer, steps done: the position in the data, too.
          state: pytree of arrays.
          description: dict for JSON that identifies the run, kept beside it.

        Raises:
          OSError: this checkpoint or, found only now, the one before could not be written.
        """
        self._wait()
        about = {"hashes": leaf_hashes(state), "description": description, "next_batch": step}
        items = {"state": ocp.args.StandardSave(state), "about": ocp.args.JsonSave(about)}
        with self._writing():
            self._set_aside()
            self._manager.save(step, args=ocp.args.Composite(**items))

    def restore(self, target, description):
        """The newest checkpoint that is whole.

        One line of the log names those that were passed over. They stay where they are until a save
        needs their place: then the damaged ones get names that end in `.damaged`, and those whose
        writing was cut short go as soon as that save is complete.

        Args:
          target: pytree of arrays or shapes that the state must match.
          description: as given to `save`.

        Returns:
          (state, step), or (None, 0) where no checkpoint was ever completed.

        Raises:
          ValueError: there are checkpoints and none is whole, or they are another run's; nothing
            is deleted.
        """
        self._wait()
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        unfinished = sorted(self._path.glob(f"*{UNFINISHED}*"))
        passed_over = {path: "its writing was cut short" for path in unfinished}
        found = None
        for step in sorted(self._manager.all_steps(), reverse=True):
            path = self._path / f"{step:08d}"
            try:
                if not any(path.iterdir()):
                    raise ValueError("it is empty")
                about = self._read(step, about=ocp.args.JsonRestore())["about"]
                held = about["description"]
                if other := {k: v for k, v in held.items() if v != description.get(k)}:
                    raise _OtherRun(
                        f"{path} is a checkpoint of another configuration ("
                        + ", ".join(f"{k} {v}, not {description.get(k)}" for k, v in other.items())
                        + "); choose another directory"
                    )
                state = self._read(step, state=ocp.args.StandardRestore(abstract))["state"]
                _check(state, step, about)
            except _OtherRun as error:
                raise ValueError(str(error)) from None
            except Exception as error:  # orbax raises many kinds for a damaged directory
                text = str(error) or type(error).__name__
                passed_over[path] = text.splitlines()[0][:200]
                continue
            found = state, step
            break
        listed = "; ".join(f"{path.name}: {why}" for path, why in passed_over.items())
        if found is None and len(passed_over) > len(unfinished):
            raise ValueError(f"no whole checkpoint in {self._path} ({listed}); nothing was deleted")
        if passed_over:
            logging.warning("%s: passed over damaged checkpoints: %s", self._path, listed)
        self._passed_over = list(passed_over)
        return found or (None, 0)

    def _read(self, step, **items):
        return self._manager.restore(step, args=ocp.args.Composite(**items))

    def _wait(self):
        """Until the save in flight is whole; only then goes what it replaces."""
        with self._writing():
            self._manager.wait_until_finished()
        while self._replaced:
            shutil.rmtree(self._replaced.pop(), ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self):
        """Makes one OSError of all that orbax and tensorstore raise where they cannot write."""
        try:
            yield
        except Exception as error:
            why = (str(error) or type(error).__name__).splitlines()[0]
            why = why if len(why) < 200 else f"…{why[-200:]}"  # the cause comes last
            raise OSError(f"{self._path}: cannot write a checkpoint: {why}") from error

    def _set_aside(self):
        """Frees the names of what was passed over: orbax saves no step up to its latest one.

        Of several processes all passed over the same, and the first renames it for all.
        """
        if not self._passed_over:
            return
        if mesh.is_first():
            for path in self._passed_over:
                self._rename(path)
        self._passed_over = []
        mesh.wait(f"set aside in {self._path}")
        self._manager.reload()

    def _rename(self, path):
        stem, cut_short, _ = path.name.partition(UNFINISHED)
        ending = "unfinished" if cut_short else "damaged"
        count = len(list(self._path.glob(f"{stem}*.{ending}")))
        aside = path.with_name(f"{stem}{f'.{count}' if count else ''}.{ending}")
        path.rename(aside)
        if cut_short:
            self._replaced.append(aside)


class _OtherRun(Exception):
    """A checkpoint whose description is not the one that was asked for."""


def _check(state, step, about):
    """Raises ValueError where a restored state is not what was saved."""
    if about.get("next_batch", step) != step:
        raise ValueError(f"it holds step {about['next_batch']}")
    known, found = about["hashes"], leaf_hashes(state)
    damaged = [path for path in found if found[path] != known.get(path)]
    if damaged or len(found) != len(known):
        raise ValueError(f"the stored hash does not match at {', '.join(damaged) or 'the tree'}")


def steps_done(directory):
    """Step of the newest checkpoint of a directory that seems whole; 0 where there is none.

    Files that are missing or empty are seen; only `Checkpoints.restore` reads the others.
    """
    steps = [p for p in pathlib.Path(directory).glob("*") if p.name.isdecimal()]
    return max((int(path.name) for path in steps if _seems_whole(path)), default=0)


def _seems_whole(path):
    try:
        sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
    except FileNotFoundError:  # a newer one is there, and orbax removes this one
        return False
    return all(sizes) and all((path / name).is_file() for name in DESCRIBED)
