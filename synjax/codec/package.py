"""The artefact: all that encoding and decoding need, as one value with a fingerprint."""

import dataclasses
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import chain, container, padding, prediction, synonymous, tables


@dataclasses.dataclass(frozen=True, eq=False)
class Artefact:
    """A codec ready for use.

    Attributes:
      codec: the architecture.
      params: bound parameters.
      tables: `tables.Tables` by part of the prior's chain.
      networks: `prediction.network` by part, of all but the first.
      fingerprint: 8 bytes that identify the four.
    """

    codec: synonymous.Codec
    params: dict
    tables: dict[str, tables.Tables]
    networks: dict[str, dict]
    fingerprint: bytes


def make(codec, params, lambda_d, lambda_p):
    """An artefact, in memory.

    Args:
      codec: the architecture.
      params: trained (averaged) parameters, not bound.
      lambda_d: the point of the grid to bind them at, with `lambda_p`.
      lambda_p: see `lambda_d`.

    Returns:
      `Artefact`.

    Raises:
      ValueError: a parameter that is not finite, or a codec that does not fit the format.
    """
    if codec.levels > container.MAX_LEVELS:
        raise ValueError(f"codec.groups may be at most {container.MAX_LEVELS}, got {codec.levels}")
    if codec.rank and padding.BUCKET % codec.stride:
        raise ValueError(f"codec.stride must divide {padding.BUCKET}, got {codec.stride}")
    bound = codec.bind(params, lambda_d, lambda_p)
    bound = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), bound)
    digest = hashlib.sha256(repr(codec).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(bound):
        leaf, name = np.asarray(leaf), jax.tree_util.keystr(path)
        if not np.all(np.isfinite(leaf)):
            raise ValueError(f"the codec's parameter {name} is not finite")
        digest.update(f"{name} {leaf.shape} ".encode() + leaf.astype("<f4").tobytes())
    built = tables.build(codec, bound)
    for part in built.values():
        for counts in part.counts:
            digest.update(counts.astype("<i4").tobytes())
    networks = {
        part.name: prediction.network(bound["prior"][part.name], bound["features"])
        for part in chain.parts(codec)
        if part.known
    }
    for network in networks.values():
        for layer in network.values():
            for leaf in (layer.weights, layer.bias, layer.shift):
                digest.update(leaf.astype("<i8").tobytes())
    return Artefact(codec, bound, built, networks, digest.digest()[:8])
