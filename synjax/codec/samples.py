"""Between the samples of a file and those of a codec: integers, and grey in a colour codec."""

import numpy as np

from synjax.codec import container

_INTEGERS = {8: np.uint8, 16: np.uint16}


def bits(x):
    """Bits per sample that a header says of x: 8 or 16 for integers, 32 for floats."""
    return 32 if x.dtype.kind == "f" else 8 * x.dtype.itemsize


def fits(codec, shape):
    """Whether a codec takes signals of a shape: its own channels, or a picture in grey."""
    if len(shape) != max(codec.rank, 1) + 1:
        return False
    return shape[-1] == codec.channels or (codec.rank > 0 and shape[-1] == 1)


def to_codec(codec, x):
    """A signal as a codec takes it.

    Args:
      codec: `synonymous.Codec`.
      x: a picture [H, W, C] or, in grey, [H, W, 1]: uint8, uint16, or floats in [0, 1]; or vectors
        [N, n], floats.

    Returns:
      float32 with the codec's channels, those of a grey picture all equal; pictures in [0, 1].

    Raises:
      ValueError: x is empty, of the wrong shape or type, not finite or out of range.
    """
    x = np.asarray(x)
    if not fits(codec, x.shape):
        form = "[H, W, C]" if codec.rank else "[N, n]"
        raise ValueError(f"x must be {form} with {codec.channels} channels, got shape {x.shape}")
    if x.size == 0:
        raise ValueError(f"x must not be empty, got shape {x.shape}")
    if codec.rank and x.dtype in _INTEGERS.values():
        unit = x.astype(np.float32) / np.float32(np.iinfo(x.dtype).max)
    elif np.issubdtype(x.dtype, np.floating):
        unit = _usable(codec, x).astype(np.float32)
    else:
        allowed = "uint8, uint16 or floats" if codec.rank else "floats"
        raise ValueError(f"x must be {allowed}, got {x.dtype}")
    return np.broadcast_to(unit, (*x.shape[:-1], codec.channels))


def from_codec(shape, synset):
    """A codec's synset [M, *S, C] with the channels of a shape: [M, *shape]; grey is their mean."""
    if synset.shape[-1] == shape[-1]:
        return synset
    return synset.mean(-1, keepdims=True)


def of_depth(synset, depth):
    """Decoded pictures as a file stores them.

    Args:
      synset: floats in [0, 1], any shape.
      depth: bits per sample, one of `container.SAMPLE_BITS`.

    Returns:
      The nearest uint8 or uint16, or float32 as it is for 32 bits; the shape stays.

    Raises:
      ValueError: another depth.
    """
    if depth not in container.SAMPLE_BITS:
        raise ValueError(f"depth must be one of {container.SAMPLE_BITS}, got {depth}")
    if depth == 32:
        return np.asarray(synset, np.float32)
    # In float64: 16 bits times a float32 would leave the nearest integer to chance.
    scaled = np.rint(np.asarray(synset, np.float64) * (2**depth - 1))
    return np.clip(scaled, 0, 2**depth - 1).astype(_INTEGERS[depth])


def _usable(codec, x):
    usable = np.isfinite(x)
    if codec.rank:
        usable &= (x >= 0) & (x <= 1)
    if not usable.all():
        where = tuple(int(i) for i in np.argwhere(~usable)[0])
        allowed = "in [0, 1]" if codec.rank else "finite"
        raise ValueError(f"x must be {allowed}, got {x[where]} at {where}")
    return x
