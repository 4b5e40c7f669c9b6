"""The artefact: all that encoding and decoding need, as one value with a fingerprint, or on disk.

A directory holds `artefact.json` and a safetensors file per tree of arrays. Tables and networks are
stored and never built again: floats of another machine would make others of them. What the networks
replace is not stored, and of pictures and sounds large arrays have 16 bits a number, in memory too:
a codec does the same before and after it is written.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import (
    chain,
    container,
    integers,
    modulation,
    padding,
    prediction,
    priors,
    synonymous,
    tables,
    trees,
)

FORMAT = 3  # version of what is on disk
READABLE = (2, 3)  # in 2 all arrays were stored as they are in memory
ABOUT = "artefact.json"
MAX_ABOUT = 2**24  # bytes
LARGE = 2**12  # numbers of an array from which on they have 16 bits
REPLACED = ("stem", "block", "out")  # layers of `priors.Conditional` that `networks` holds
MAX_STRIDE = {1: 512, 2: 32}  # by rank, with which windows are wider than their halos

_LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "constriction", "safetensors")


@dataclasses.dataclass(frozen=True, eq=False)
class Artefact:
    """A codec ready for use.

    Attributes:
      codec: the architecture, in float32.
      params: bound parameters; those of a loaded codec of pictures or sounds without `REPLACED`.
      tables: `tables.Tables` by part of the prior's chain.
      networks: `prediction.network` by part, of all but the first.
      fingerprint: 8 bytes that identify what a stream needs to be parsed: the prior, as tables and
        integer networks. Codecs that differ in their synthesis alone decode each other's streams.
      lambda_d: the point of the grid that the parameters are bound at, with `lambda_p`.
      lambda_p: see `lambda_d`.
      has_realism: whether the decoder was trained from λ_p = 0 on, so that it can be asked for less
        realism than that of its λ_p.
    """

    codec: synonymous.Codec
    params: dict
    tables: dict[str, tables.Tables]
    networks: dict[str, dict]
    fingerprint: bytes
    lambda_d: float
    lambda_p: float
    has_realism: bool = False

    def at(self, realism):
        """The same codec with its decoder at another point between distortion and realism.

        Args:
          realism: β in [0, 1]: 0 is the decoder of λ_p = 0, least distortion and nothing invented;
            1 that of `lambda_p`.

        Returns:
          `Artefact`; it parses the same streams.

        Raises:
          ValueError: β is out of range, or below 1 where the decoder knows one λ_p only.
        """
        if not 0 <= realism <= 1:
            raise ValueError(f"realism must be in [0, 1], got {realism}")
        if realism == 1:
            return self
        if not self.has_realism:
            raise ValueError(
                "this codec has no control of realism: its decoder was trained for one λ_p alone, "
                "not with sweep.decoders 'conditioned' or 'continuous' in a stage of its own"
            )
        lambda_p = self.codec.grid.between(0.0, self.lambda_p, realism)
        return dataclasses.replace(
            self, params=self.codec.bind(self.params, self.lambda_d, lambda_p)
        )


def require_fits(codec):
    """Raises ValueError where a codec does not fit the format."""
    if codec.levels > container.MAX_LEVELS:
        raise ValueError(f"codec.groups may be at most {container.MAX_LEVELS}, got {codec.levels}")
    unit = chain.unit(codec)
    if codec.rank and (padding.unit(codec.rank) % unit or codec.stride > MAX_STRIDE[codec.rank]):
        raise ValueError(
            f"codec.stride must be at most {MAX_STRIDE[codec.rank]}, and {unit} divide "
            f"{padding.unit(codec.rank)}, got {codec.stride}"
        )


def make(codec, params, lambda_d, lambda_p, has_realism=False):
    """An artefact, in memory.

    Args:
      codec: the architecture.
      params: trained (averaged) parameters, not bound.
      lambda_d: the point of the grid to bind them at, with `lambda_p`.
      lambda_p: see `lambda_d`.
      has_realism: see `Artefact`.

    Returns:
      `Artefact`.

    Raises:
      ValueError: a parameter that is not finite, or a codec that does not fit the format.
    """
    require_fits(codec)
    bound = codec.bind(params, lambda_d, lambda_p)
    bound = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), bound)
    for name in ("analysis", "detail", "synthesis") if codec.rank else ():
        bound[name] = jax.tree.map(_short, bound[name])
    for path, leaf in jax.tree_util.tree_leaves_with_path(bound):
        if not np.all(np.isfinite(leaf)):
            raise ValueError(f"the codec's parameter {jax.tree_util.keystr(path)} is not finite")
    built = tables.build(codec, bound)
    networks = {
        part.name: prediction.network(bound["prior"][part.name], bound["features"])
        for part in chain.parts(codec)
        if part.known
    }
    fingerprint = _fingerprint(codec, built, networks)
    points = float(lambda_d), float(lambda_p)
    return Artefact(
        codec.as_deployed, bound, built, networks, fingerprint, *points, bool(has_realism)
    )


def _short(leaf):
    """A large array with numbers that 16 bits hold."""
    return leaf.astype(jnp.float16).astype(jnp.float32) if leaf.size >= LARGE else leaf


def save(artefact, directory):
    """Writes an artefact, whole or not at all.

    Args:
      artefact: from `make`.
      directory: path of one that does not exist yet.

    Raises:
      ValueError: the directory exists; artefacts are never overwritten.
      OSError: it cannot be written.
    """
    directory = pathlib.Path(directory)
    require_new(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    unfinished.mkdir()
    try:
        files = {}
        for name, tree in _trees(artefact).items():
            files[name] = trees.write(unfinished / f"{name}.safetensors", tree)
        about = {
            "format": FORMAT,
            "codec": _settings(artefact.codec),
            "lambda_d": artefact.lambda_d,
            "lambda_p": artefact.lambda_p,
            "has_realism": artefact.has_realism,
            "fingerprint": artefact.fingerprint.hex(),
            "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
            "files": files,
        }
        about["sha256"] = _sha256(_text(about).encode())
        (unfinished / ABOUT).write_text(_text(about))
        load(unfinished)
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def load(directory):
    """Reads an artefact and checks it.

    Args:
      directory: from `save`.

    Returns:
      `Artefact`.

    Raises:
      ValueError: a file is missing, damaged or of another version.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        raise ValueError(f"there is no artefact at {directory}: make one with the verb package")
    about = _about(directory / ABOUT)
    try:
        grid = modulation.Grid(**_tuples(about["codec"].pop("grid")))
        codec = synonymous.Codec(**_tuples(about["codec"]), grid=grid)
        read = {
            name: trees.read(directory / f"{name}.safetensors", entry)
            for name, entry in about["files"].items()
        }
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), read["params"])
        built = {
            name: tables.Tables(tuple(counts.astype(np.int32) for counts in part))
            for name, part in read["tables"].items()
        }
        networks = {
            part: {name: _layer(**layer) for name, layer in network.items()}
            for part, network in read["networks"].items()
        }
        points = about["lambda_d"], about["lambda_p"], about["has_realism"]
        fingerprint = bytes.fromhex(about["fingerprint"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{directory / ABOUT} is of another version: {error}") from error
    _check_tables(codec, built, directory)
    if _fingerprint(codec, built, networks) != fingerprint:
        raise ValueError(f"the fingerprint of {directory} does not match what it holds")
    return Artefact(codec, params, built, networks, fingerprint, *points)


def require_new(directory):
    """Raises ValueError where `save` could not write because something is there."""
    if os.path.lexists(directory):
        raise ValueError(f"{directory} exists already; an artefact is never overwritten")


def _trees(artefact):
    """What is stored as arrays, by file; `load` takes it apart again."""
    params = dict(artefact.params)
    if artefact.codec.rank:  # of vectors the place in a bin is drawn from the densities themselves
        params["prior"] = {
            part: {
                k: v for k, v in own.items() if part not in artefact.networks or k not in REPLACED
            }
            for part, own in params["prior"].items()
        }
    return {
        "params": jax.tree.map(_packed, params),
        "tables": {  # every count leaves at least one to another: 16 bits hold it
            name: tuple(counts.astype(np.uint16) for counts in part.counts)
            for name, part in artefact.tables.items()
        },
        "networks": {
            part: {name: _fewer_bytes(layer) for name, layer in network.items()}
            for part, network in artefact.networks.items()
        },
    }


def _packed(leaf):
    """An array in 16 bits a number where that loses nothing."""
    leaf = np.asarray(leaf)
    with np.errstate(over="ignore"):
        half = leaf.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), leaf) else leaf


def _fewer_bytes(layer):
    """The fields of a layer, the weights as integers of the fewest bytes that hold them all."""
    limit = np.abs(layer.weights).max(initial=0)
    kind = next(k for k in (np.int16, np.int32, np.int64) if limit <= np.iinfo(k).max)
    return vars(layer) | {"weights": layer.weights.astype(kind)}


def _layer(weights, bias, shift):
    return integers.Layer(weights.astype(np.float64), bias, shift)


def _fingerprint(codec, built, networks):
    read = [codec.rank, codec.channels, codec.groups, codec.stride, codec.hyper, codec.context]
    if codec.rank == 1:
        read.append(codec.sample_rate)
    digest = hashlib.sha256(repr(read).encode())
    for part in chain.parts(codec):
        for counts in built[part.name].counts:
            digest.update(counts.astype("<i4").tobytes())
        for layer in networks.get(part.name, {}).values():
            for leaf in (layer.weights, layer.bias, layer.shift):
                digest.update(leaf.astype("<i8").tobytes())
    return digest.digest()[:8]


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _text(about):
    return json.dumps(about, indent=1) + "\n"


def _about(path):
    """The checked content of `artefact.json`."""
    content = trees.content(path, MAX_ABOUT)
    try:
        text = content.decode()
        about = json.loads(text)
        version, stated = about["format"], about.pop("sha256")
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is damaged: it is no description of an artefact") from error
    if version not in READABLE:
        known = " and ".join(map(str, READABLE))
        raise ValueError(f"{path} is of format version {version}, readable are {known}")
    if stated != _sha256(_text(about).encode()) or text != _text(about | {"sha256": stated}):
        raise ValueError(f"{path} is damaged: its checksum does not match")
    return about


def _settings(codec):
    """What has to be known of a codec; how it was trained has not."""
    kept = {field.name for field in dataclasses.fields(codec) if field.repr}
    return {name: value for name, value in dataclasses.asdict(codec).items() if name in kept}


def _tuples(settings):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


def _check_tables(codec, built, directory):
    """Raises ValueError on tables that a coder could not use."""
    parts = chain.parts(codec)
    wanted = {part.name: priors.SCALES if part.known else part.channels for part in parts}
    whole = {name: len(part.counts) for name, part in built.items()} == wanted and all(
        counts.ndim == 1 and len(counts) % 2 == 0 and counts.sum() == tables.TOTAL
        for part in built.values()
        for counts in part.counts
    )
    if not whole or min(c.min() for part in built.values() for c in part.counts) < 1:
        raise ValueError(f"the coding tables of {directory} do not fit its codec")
