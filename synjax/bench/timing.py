"""Medians of repeated runs."""

import statistics
import time


def seconds(function, repeats, least=0.0):
    """Seconds of repeated calls, after one that warms up.

    Args:
      function: without arguments; returns when its work is done.
      repeats: timed runs, at least 1.
      least: seconds that one timed run lasts at least: what is short is called several times.

    Returns:
      Seconds per call of every run.
    """
    began = time.perf_counter()
    function()
    function_took = time.perf_counter() - began
    if function_took < least:  # the first call may have compiled: it is no measure
        began = time.perf_counter()
        function()
        function_took = time.perf_counter() - began
    calls = max(1, round(least / max(function_took, 1e-6)))
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(calls):
            function()
        found.append((time.perf_counter() - began) / calls)
    return found


def median(function, repeats, least=0.0):
    """Median of `seconds`."""
    return statistics.median(seconds(function, repeats, least))
