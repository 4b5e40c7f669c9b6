"""What was decoded and is kept, up to a number of bytes."""

import collections
import threading


class Kept:
    """The arrays that were asked for last; for several threads at once."""

    def __init__(self, most):
        """Nothing yet, and never more than `most` bytes beside the one asked for."""
        self._most, self._size = most, 0
        self._arrays = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key, make):
        """The array of a key, by `make(key)` where it is not kept. Two threads may make it."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        made = make(key)
        with self._lock:
            if key not in self._arrays and made.nbytes <= self._most:
                self._arrays[key] = made
                self._size += made.nbytes
                while self._size > self._most:
                    self._size -= self._arrays.popitem(last=False)[1].nbytes
        return made
