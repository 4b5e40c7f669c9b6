"""Experiments, one file per claim."""
