"""The prior as a chain of parts, each predicted from the parts before it.

A latent group is one part, or two where there is spatial context: the positions of one colour of a
checkerboard, and then the others, which see those as their neighbours (He et al. 2021,
arXiv:2103.15306). Before them comes the hyper-latent, if there is one (Ballé et al. 2018,
arXiv:1802.01436). The first part of all has a factorised density, every other a conditional one.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from synjax.codec import priors

HYPER = "hyper"
COARSE = 4  # latent positions per position of the hyper-latent, along each axis


def unit(codec):
    """Samples of x to whose multiples an axis is filled, so that every position is a whole one."""
    return codec.stride * (COARSE if codec.hyper else 1)


@dataclasses.dataclass(frozen=True)
class Part:
    """What is coded in one go.

    Attributes:
      name: key of its density among the prior's parameters.
      group: in whose payload it is sent, from 0.
      channels: how many it has.
      known: channels that it is predicted from; 0 for the first part.
      colour: 0 or 1, of the checkerboard's positions that belong to it; None for all.
    """

    name: str
    group: int
    channels: int
    known: int
    colour: int | None = None

    @property
    def is_hyper(self):
        """Whether it is the hyper-latent, whose positions are coarser."""
        return self.name == HYPER

    def positions(self, sizes):
        """Booleans [*S'] of the latent positions that belong to it."""
        if self.colour is None:
            return np.ones(sizes, bool)
        return np.indices(sizes).sum(0) % 2 == self.colour

    def network(self, codec):
        """Its density, a Flax module."""
        if self.known == 0:
            return priors.Factorised(self.channels)
        return priors.Conditional(self.channels, codec.prior_width, codec.rank, codec.rematerialise)


def parts(codec):
    """The parts of a codec's latent in the order in which they are coded."""
    found = []
    if codec.hyper:
        found.append(Part(HYPER, 0, codec.hyper, 0))
    known = codec.hyper
    for k, size in enumerate(codec.groups):
        name = f"group_{k}"
        if codec.context:
            found.append(Part(name, k, size, known, 0))
            found.append(Part(f"{name}_rest", k, size, known + size, 1))
        else:
            found.append(Part(name, k, size, known))
        known += size
    return tuple(found)


def coarse_sizes(sizes):
    """Sizes of the hyper-latent of a latent of these sizes."""
    return tuple(-(-size // COARSE) for size in sizes)


def spread(coarse, sizes, xp=jnp):
    """Hyper-latent [..., *coarse sizes, C] at the positions of the latent: [..., *sizes, C]."""
    for axis, size in enumerate(sizes):
        axis -= len(sizes) + 1
        coarse = xp.repeat(coarse, COARSE, axis)
        cut = [slice(None)] * coarse.ndim
        cut[axis] = slice(size)
        coarse = coarse[tuple(cut)]
    return coarse


@dataclasses.dataclass(frozen=True)
class Density:
    """What is known of a part's symbols before they are.

    Attributes:
      centre: [B, *S', C] in steps, from which symbols count; a scalar zero for the first part.
      log_scale: [B, *S', C]; None for the first part.
      shape: of a conditional density; None for the first part.
      mixture: (offsets, log_scales, logits) as `priors.bits` takes them.
    """

    centre: jax.Array | float
    log_scale: jax.Array | None
    shape: tuple | None
    mixture: tuple


def density(codec, params, part, known=None, axes=None):
    """The density of a part.

    Args:
      codec: `synonymous.Codec`.
      params: bound parameters.
      part: one of `parts`.
      known: [B, *S', part.known] in steps; the first part needs none.
      axes: of symbols, where known is None.

    Returns:
      `Density`.
    """
    if part.known == 0:
        return Density(0.0, None, None, mixture(codec, params, part, None, axes))
    own = {"params": params["prior"][part.name]}
    centre, log_scale, shape = part.network(codec).apply(own, known, params["features"])
    return Density(centre, log_scale, shape, priors.conditional_mixture(log_scale, shape))


def mixture(codec, params, part, log_scale, axes):
    """The components of a part's density, (offsets, log_scales, logits), for `priors.bits`.

    Args:
      codec: `synonymous.Codec`.
      params: bound parameters.
      part: one of `parts`.
      log_scale: [B, *S', C]; the first part needs none.
      axes: of its symbols.
    """
    own = params["prior"][part.name]
    if part.known:
        return priors.conditional_mixture(log_scale, (own["log_ratio"], own["logit"]))
    components = part.network(codec).apply({"params": own}, params["features"])
    lead = (1,) * (axes - 1)
    return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape), components)


def follow(codec, params, sizes, choose):
    """Predicts a part, lets its symbols be chosen, and goes on from there.

    Args:
      codec: `synonymous.Codec`.
      params: bound parameters.
      sizes: S'.
      choose: (part, density) → dict of arrays [B, *S', C] with "value" among them, in steps; what
        lies outside of the part's positions is dropped.

    Returns:
      dict of what was chosen, groups one behind another on the last axis, and under `HYPER` that of
      the hyper-latent.
    """
    axes = len(sizes) + 2
    known, hyper, groups = [], None, []
    for part in parts(codec):
        given = [*known, groups[-1]["value"]] if part.colour == 1 else known
        given = jnp.concatenate(given, -1) if given else None
        chosen = choose(part, density(codec, params, part, given, axes))
        if part.is_hyper:
            hyper = chosen
            known.append(spread(chosen["value"], sizes))
            continue
        if part.colour is not None:
            own = jnp.asarray(part.positions(sizes)[None, ..., None])
            chosen = {name: jnp.where(own, array, 0.0) for name, array in chosen.items()}
        if part.colour == 1:
            chosen = {name: array + groups[-1][name] for name, array in chosen.items()}
            groups[-1] = chosen
        else:
            groups.append(chosen)
        if part.colour != 0:
            known.append(chosen["value"])
    merged = {name: jnp.concatenate([g[name] for g in groups], -1) for name in groups[0]}
    return merged if hyper is None else merged | {HYPER: hyper}
