"""Large pictures piece by piece: overlapping windows of one size, and what each is good for."""

import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class Window:
    """A window, and the part of it that no other window and no cut edge reaches.

    Attributes:
      outer: slices of the picture that are computed.
      inner: slices of the picture that are kept.
      within: the same, relative to the window.
    """

    outer: tuple[slice, ...]
    inner: tuple[slice, ...]
    within: tuple[slice, ...]


def windows(sizes, side, halo):
    """Windows that cover a picture.

    Args:
      sizes: of the picture along each axis, in any unit.
      side: of a window along an axis that does not fit one; more than twice the halo.
      halo: what lies closer than this to an edge of a window that is none of the picture is not
        kept there.

    Returns:
      List of `Window`; one that is the picture, if it fits.
    """
    along = [_along(size, side, halo) for size in sizes]
    found = []
    for parts in itertools.product(*along):
        outer, inner = zip(*parts, strict=True)
        within = [slice(i.start - o.start, i.stop - o.start) for o, i in parts]
        found.append(Window(outer, inner, tuple(within)))
    return found


def _along(size, side, halo):
    if size <= side:
        return [(slice(0, size), slice(0, size))]
    step = side - 2 * halo
    starts = [*range(0, size - side, step), size - side]
    kept = [0, *(start + halo for start in starts[1:]), size]
    return [
        (slice(start, start + side), slice(kept[i], kept[i + 1])) for i, start in enumerate(starts)
    ]
