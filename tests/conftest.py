"""Shared settings: silent rank promotion hides shape bugs, so the tests forbid it."""

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
