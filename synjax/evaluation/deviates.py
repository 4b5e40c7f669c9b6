"""Random words and directions that are the same in every version of numpy."""

import numpy as np
from scipy import special

DIRECTIONS = 64


def words(seed, stream, count):
    """`count` unsigned 64-bit integers that depend on the seed and the stream alone."""
    # Raw words, because numpy promises to keep those but not the methods of Generator.
    return np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(count)


def directions(dims, seed, stream):
    """64 random unit vectors [64, dims], in orthonormal groups of `dims`."""
    groups = -(-DIRECTIONS // dims)
    drawn = words(seed, stream, groups * dims * min(dims, DIRECTIONS))
    normals = special.ndtri(((drawn >> np.uint64(11)) + 0.5) * 2.0**-53)
    bases, _ = np.linalg.qr(normals.reshape(groups, dims, -1))
    return np.swapaxes(bases, 1, 2).reshape(-1, dims)[:DIRECTIONS]
