"""Random small instances, exact and repeatable: ratios of integers drawn from raw generator words.

Raw words, because numpy promises to keep those but not the methods of Generator. Every function
draws a batch of N, the leading axis, from `bits`, a numpy Philox bit generator.
"""

import numpy as np


def generator(seed, stream):
    """An independent bit generator for each (seed, stream)."""
    return np.random.Philox(key=np.array([seed, stream], np.uint64))


def integers(bits, low, high, shape):
    """Integers in [low, high), any shape."""
    words = bits.random_raw(int(np.prod(shape))).reshape(shape)
    return low + (words % np.uint64(high - low)).astype(np.int64)


def distribution(bits, shape, low=1):
    """Distributions over the last axis of `shape`: integer weights low…9, normalised.

    With low = 0 some outcomes have no mass.
    """
    weights = integers(bits, low, 10, shape).astype(np.float64)
    weights[..., 0] += weights.sum(-1) == 0
    return weights / weights.sum(-1, keepdims=True)


def function(bits, shape, outputs):
    """Deterministic channels [*shape, outputs]: one-hot rows."""
    return np.eye(outputs)[integers(bits, 0, outputs, shape)]


def synsets(bits, count, samples, number):
    """Numbers of synsets [N, n]: each of `number` occurs, the first sample of each in order."""
    rest = integers(bits, 0, number, (count, samples - number))
    first = np.broadcast_to(np.arange(number), (count, number))
    return np.concatenate([first, rest], axis=1)


def every_other(count, first, second):
    """Takes even instances from `first` and odd ones from `second`, arrays [N, ...]."""
    odd = (np.arange(count) % 2 == 1).reshape((count,) + (1,) * (first.ndim - 1))
    return np.where(odd, second, first)


def permutations(bits, count, size):
    """Random permutations [N, size]."""
    return np.argsort(bits.random_raw(count * size).reshape(count, size), axis=1, kind="stable")
