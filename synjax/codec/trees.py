"""Trees of arrays in files: the numbers in safetensors, the tree's form as plain JSON values."""

import hashlib

import numpy as np
import safetensors
import safetensors.numpy


def write(path, tree):
    """Writes a tree and returns its entry, plain JSON values: what `read` needs besides."""
    packed, form = pack(tree)
    path.write_bytes(packed)
    return {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest(), "form": form}


def read(path, entry):
    """The tree of `write`, checked; ValueError where the file is missing or damaged."""
    packed = content(path, entry["bytes"])
    if len(packed) != entry["bytes"] or hashlib.sha256(packed).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path} is damaged: its size or checksum does not match")
    try:
        return unpack(packed, entry["form"])
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def content(path, most):
    """The bytes of a file; ValueError where it is missing or larger than it can be."""
    try:
        if path.stat().st_size > most:
            raise ValueError(f"{path} is damaged: it has more than {most} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def pack(tree):
    """A tree as bytes and a description.

    Args:
      tree: dicts with text keys, tuples, None and arrays, nested.

    Returns:
      (packed, form): a safetensors file of the arrays, under the dotted names of their places;
      and the tree itself with lists for tuples and names for arrays.

    Raises:
      ValueError: keys of which two dotted names would be the same.
    """
    arrays = {}

    def described(branch, place):
        if branch is None:
            return None
        if isinstance(branch, dict):
            return {key: described(value, (*place, key)) for key, value in branch.items()}
        if isinstance(branch, tuple):
            return [described(value, (*place, str(k))) for k, value in enumerate(branch)]
        name = ".".join(place)
        if name in arrays:
            raise ValueError(f"two arrays of the tree have the name {name}")
        arrays[name] = np.asarray(branch, order="C")
        return name

    form = described(tree, ())
    return safetensors.numpy.save(arrays), form


def unpack(packed, form):
    """The inverse of `pack`: a tree of NumPy arrays.

    Raises:
      ValueError: packed is no safetensors file, or holds other arrays than the form names.
    """
    try:
        arrays = safetensors.numpy.load(packed)
    except (safetensors.SafetensorError, KeyError) as error:
        raise ValueError(f"is no safetensors file: {error}") from error

    def filled(branch):
        if branch is None:
            return None
        if isinstance(branch, dict):
            return {key: filled(value) for key, value in branch.items()}
        if isinstance(branch, list):
            return tuple(filled(value) for value in branch)
        if branch not in arrays:
            raise ValueError(f"does not hold the array {branch!r}")
        return arrays.pop(branch)

    tree = filled(form)
    if arrays:
        raise ValueError(f"holds arrays that nothing names: {', '.join(sorted(arrays))}")
    return tree
