"""Checkpoints: the only file that knows orbax.

orbax restores flipped bits and other dtypes without a word, so the hash of every leaf is stored
beside the state and checked, and the newest whole checkpoint is used, not the newest.
"""

import hashlib
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging


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
            max_to_keep=keep, step_format_fixed_length=8, enable_async_checkpointing=True
        )
        self._path = pathlib.Path(directory).resolve()
        self._manager = ocp.CheckpointManager(self._path, options=options)

    def __enter__(self):
        """Nothing to do: opening happened already."""
        return self

    def __exit__(self, *unused):
        """Waits for the save in flight."""
        self._manager.wait_until_finished()
        self._manager.close()

    def save(self, step, state, description):
        """Writes a checkpoint in the background; atomic.

        Args:
          step: non-negative integer.
          state: pytree of arrays.
          description: dict for JSON, kept beside it: the configuration.
        """
        description = {"hashes": leaf_hashes(state), "description": description}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(description)
            ),
        )

    def restore(self, target):
        """The newest checkpoint that is whole.

        Args:
          target: pytree of arrays or shapes that the state must match.

        Returns:
          (state, step), or (None, 0) where there is no checkpoint at all.

        Raises:
          ValueError: there are checkpoints and none is whole; nothing is deleted.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, target)
        passed_over = []
        for step in steps:
            try:
                restored = self._manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(abstract), about=ocp.args.JsonRestore()
                    ),
                )
                known = restored["about"]["hashes"]
                found = leaf_hashes(restored["state"])
                damaged = [path for path in found if found[path] != known.get(path)]
                if damaged or len(found) != len(known):
                    raise ValueError(f"the stored hash does not match at {damaged or 'the tree'}")
            except Exception as error:  # orbax raises many kinds for a damaged directory
                passed_over.append(f"step {step}: {str(error).splitlines()[0][:200]}")
                continue
            for line in passed_over:
                logging.warning("passed over a damaged checkpoint in %s, %s", self._path, line)
            return restored["state"], step
        if passed_over:
            raise ValueError(f"no whole checkpoint in {self._path}: {'; '.join(passed_over)}")
        return None, 0


def steps_done(directory):
    """Step of the newest checkpoint of a directory, whole or not; 0 where there is none."""
    names = [p.name for p in pathlib.Path(directory).glob("*") if p.name.isdecimal()]
    return max((int(name) for name in names), default=0)
