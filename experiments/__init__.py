"""Experiments, one file per claim."""

import importlib.util
import pathlib

ROOT = pathlib.Path(__file__).parents[1]


def load(path):
    """The module of a Python file; relative paths start at the repository's root."""
    path = ROOT / path
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
