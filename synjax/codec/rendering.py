"""Analysis and synthesis on a device, large pictures in windows: all of a stream that is floats."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import addresses, chain, padding, parsing, prediction, tables, tiles


def place(codec, shape):
    """The `padding.Padding` of a signal of this shape."""
    return padding.Padding(shape, codec.stride if codec.rank else 1, codec.rank)


def halo(codec):
    """Samples by which windows overlap on each side: as far as any network sees."""
    if codec.rank == 1:  # two borders of frames, a layer and three residual blocks
        return 12 * codec.stride
    needed = 4 * codec.stride + 64  # two residual blocks at the stride, four layers at 8, 4 and 4
    if codec.hyper:  # a residual block at four strides, four layers at one
        needed = max(needed, 12 * codec.stride)
    unit = chain.unit(codec)
    return -(-needed // unit) * unit


def analyse(artefact, x):
    """g_a of one signal.

    Args:
      artefact: `package.Artefact`.
      x: float32 [*S, C], or vectors [N, n].

    Returns:
      The latent {"y": float32 [*S', K] in steps}, and of a codec with a hyper-latent
      {"z": [*coarse S', hyper]}.
    """
    codec = artefact.codec
    at = place(codec, x.shape)
    x = at.signal(x)
    if codec.rank == 0:
        return {"y": np.asarray(_analyse(codec, artefact.params, x)["y"])[: at.shape[0]]}
    strides = {"y": codec.stride, "z": codec.stride * chain.COARSE}
    latent = {"y": np.empty((*at.bucket_sizes, codec.latents), np.float32)}
    if codec.hyper:
        latent["z"] = np.empty((*chain.coarse_sizes(at.bucket_sizes), codec.hyper), np.float32)
    for window in tiles.windows(x.shape[:-1], padding.window(codec.rank), halo(codec)):
        found = _analyse(codec, artefact.params, x[window.outer][None])
        for name, whole in latent.items():
            parts = (_divided(part, strides[name]) for part in (window.inner, window.within))
            inner, within = parts
            whole[inner] = np.asarray(found[name])[0][within]
    sizes = {"y": at.latent_sizes, "z": chain.coarse_sizes(at.latent_sizes)}
    return {
        name: whole[tuple(slice(size) for size in sizes[name])] for name, whole in latent.items()
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Member:
    """What one member has of its own, but for the detail, which is drawn where it is needed.

    Attributes:
      key, address: of its detail, see `addresses`.
      uniforms: uint32 [*S', K]; choose the unsent symbols, and where vectors lie in their bins.
        None where there is nothing to choose.
      apart: float32 [*S', K], its values less those that all members share, in steps.
    """

    key: int
    address: int
    uniforms: np.ndarray
    apart: np.ndarray

    def detail(self, window, sizes, channels):
        """Normal deviates int16 [*window, E] of a window of the latent, zero outside of S'."""
        if len(window) == 1:  # a row of its own
            return self.detail((slice(0, 1), *window), (1, *sizes), channels)[0]
        rows, columns = window
        own = np.zeros((rows.stop - rows.start, columns.stop - columns.start, channels), np.int16)
        count = min(columns.stop, sizes[1]) - columns.start
        for row in range(rows.start, min(rows.stop, sizes[0])):
            first = (row * sizes[1] + columns.start) * channels
            drawn = addresses.normals(self.key, self.address, first, count * channels)
            own[row - rows.start, :count] = drawn.reshape(count, channels)
        return own


def member(artefact, address, key, sent, hyper, values):
    """A member of the synset of symbols: unsent groups are sampled from what would code them.

    Args:
      artefact: `package.Artefact`.
      address: j.
      key: checksum of the symbols of the groups that were sent.
      sent: those symbols, int32 [*S', K_≤level].
      hyper: symbols of the hyper-latent.
      values: int64 [*S', K], what all members share.

    Returns:
      `Member`.
    """
    codec, sizes = artefact.codec, sent.shape[:-1]
    if codec.rank and sent.shape == values.shape:  # nothing is left to choose
        return Member(key, address, None, np.zeros(values.shape, np.float32))
    uniforms = addresses.uniforms(key, address, values.size).reshape(values.shape)

    def choose(part, centre, scale):
        if part.is_hyper:
            return hyper
        if sum(codec.groups[: part.group]) < sent.shape[-1]:
            return parsing.group(codec, sent, part.group)
        where = parsing.positions(part, sizes)
        indices = parsing.table_indices(part, scale, where)
        own = parsing.group(codec, uniforms, part.group)[where]
        drawn = np.zeros(centre.shape, np.int32)
        sampled = tables.sample(artefact.tables[part.name], indices.ravel(), own.ravel())
        drawn[where] = sampled.reshape(own.shape)
        return drawn

    own = parsing.follow(artefact, sizes, choose, codec.levels).values
    return Member(key, address, uniforms, _in_steps(own - values))


def render(artefact, shape, symbols, values, level, members):
    """g_s of members, or of what they share.

    Args:
      artefact: `package.Artefact`.
      shape: of x.
      symbols: those that were sent, int32 [*S', K_≤level].
      values: int64 [*S', K], what all members share.
      level: 1…L.
      members: list of `Member`; empty for the reconstruction without randomness.

    Returns:
      float32 [max(M, 1), *S, C] or [max(M, 1), N, n]; pictures are clipped to [0, 1], sounds to
      [−1, 1].
    """
    codec, params = artefact.codec, artefact.params
    at = place(codec, shape)
    shared = at.latent(_in_steps(values), "edge")
    apart = [at.latent(member.apart) for member in members]
    if codec.rank == 0:
        own = None
        if members:
            hard = np.pad(symbols, [(0, 0), (0, codec.latents - symbols.shape[-1])])
            noise = [_vector_detail(m, shape[0], codec.coefficients) for m in members]
            own = {
                "apart": np.stack(apart, 1),
                "noise": np.stack([at.latent(n) for n in noise], 1),
                "hard": at.latent(hard),
                "uniforms": np.stack([at.latent(m.uniforms) for m in members], 1),
            }
        synset = np.asarray(_render(codec, params, shared, level, own))
        return synset.swapaxes(0, 1)[:, : shape[0]]
    synset = np.empty((max(len(members), 1), *shape), np.float32)
    margin = halo(codec) // codec.stride
    side = padding.window(codec.rank) // codec.stride
    for window in tiles.windows(at.bucket_sizes, side, margin):
        own = None
        if members:
            noise = [m.detail(window.outer, at.latent_sizes, codec.coefficients) for m in members]
            own = {
                "apart": np.stack([a[window.outer] for a in apart])[None],
                "noise": np.stack(noise)[None],
            }
        x = np.asarray(_render(codec, params, shared[window.outer][None], level, own))[0]
        inner, within = (_multiplied(part, codec.stride) for part in (window.inner, window.within))
        kept = x[(slice(None), *within)]
        target = synset[(slice(None), *inner)]  # what lies beyond the signal falls away
        target[:] = kept[tuple(slice(size) for size in target.shape)]
    return synset


def _vector_detail(member, count, channels):
    drawn = addresses.normals(member.key, member.address, 0, count * channels)
    return drawn.reshape(count, channels)


def _in_steps(values):
    return (values / 2.0**prediction.FRACTION).astype(np.float32)


def _divided(slices, by):
    return tuple(slice(part.start // by, part.stop // by) for part in slices)


def _multiplied(slices, by):
    return tuple(slice(part.start * by, part.stop * by) for part in slices)


@functools.partial(jax.jit, static_argnums=0)
def _analyse(codec, params, x):
    latent = codec.analyse(params, x)
    return {name: array for name, array in latent.items() if name != "mask"}


@functools.partial(jax.jit, static_argnums=0)
def _render(codec, params, values, level, own):
    """Synset [B, M, *S, C] of values [B, *S', K]; own holds [B, M, *S', …] per member, or None."""
    if own is None:
        latent = codec.invent(params, values, level)
    else:
        noise = own["noise"].astype(jnp.float32) / 2**addresses.DETAIL_FRACTION
        within = None
        if codec.rank == 0:
            hard = own["hard"].astype(jnp.float32)
            uniforms = ((own["uniforms"] >> 9).astype(jnp.float32) + 0.5) / 2**23
            within = codec.within_bins(params, hard, level, uniforms)
        latent = codec.invent(params, values, level, own["apart"], noise, within)
    synset = codec.synthesise(params, latent)
    return jnp.clip(synset, *codec.range) if codec.rank else synset
