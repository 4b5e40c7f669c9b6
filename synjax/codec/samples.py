"""Between the samples of a file and those of a codec: integers, and grey in a colour codec.

Pictures are unsigned integers of 8 or 16 bits for [0, 1], sounds signed ones of 16 for [−1, 1).
"""

import numpy as np

from synjax.codec import container

_INTEGERS = {8: np.uint8, 16: np.uint16}
_FULL_SCALE = 2**15  # of a sound


def bits(x):
    """Bits per sample that a header says of x: 8 or 16 for integers, 32 for floats."""
    return 32 if x.dtype.kind == "f" else 8 * x.dtype.itemsize


def fits(codec, shape):
    """Whether a codec takes signals of a shape: its own channels, or a picture in grey."""
    if len(shape) != max(codec.rank, 1) + 1:
        return False
    return shape[-1] == codec.channels or (codec.rank == 2 and shape[-1] == 1)


def to_codec(codec, x):
    """A signal as a codec takes it.

    Args:
      codec: `synonymous.Codec`.
      x: a picture [H, W, C] or, in grey, [H, W, 1]: uint8, uint16, or floats in [0, 1]; a sound
        [T, 1]: int16, or floats in [−1, 1]; or vectors [N, n], floats.

    Returns:
      float32 with the codec's channels, those of a grey picture all equal, in `codec.range`.

    Raises:
      ValueError: x is empty, of the wrong shape or type, not finite or out of range.
    """
    x = np.asarray(x)
    if not fits(codec, x.shape):
        form = ("[N, n]", "[T, 1]", "[H, W, C]")[codec.rank]
        raise ValueError(f"x must be {form} with {codec.channels} channels, got shape {x.shape}")
    if x.size == 0:
        raise ValueError(f"x must not be empty, got shape {x.shape}")
    if codec.rank == 2 and x.dtype in _INTEGERS.values():
        unit = x.astype(np.float32) / np.float32(np.iinfo(x.dtype).max)
    elif codec.rank == 1 and x.dtype == np.int16:
        unit = x.astype(np.float32) / np.float32(_FULL_SCALE)
    elif np.issubdtype(x.dtype, np.floating):
        unit = _usable(codec, x).astype(np.float32)
    else:
        allowed = ("floats", "int16 or floats", "uint8, uint16 or floats")[codec.rank]
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


def of_sound(synset, depth):
    """Decoded sounds as a file stores them: int16 for 16 bits, float32 for 32; ValueError else."""
    if depth == 32:
        return np.asarray(synset, np.float32)
    if depth != 16:
        raise ValueError(f"depth of a sound must be 16 or 32, got {depth}")
    scaled = np.rint(np.asarray(synset, np.float64) * _FULL_SCALE)
    return np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def _usable(codec, x):
    low, high = codec.range
    usable = np.isfinite(x) & (x >= low) & (x <= high)
    if not usable.all():
        where = tuple(int(i) for i in np.argwhere(~usable)[0])
        allowed = f"in [{low:g}, {high:g}]" if codec.rank else "finite"
        raise ValueError(f"x must be {allowed}, got {x[where]} at {where}")
    return x
