"""Configs, one per kind of run."""
