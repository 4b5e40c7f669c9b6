"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957), as a map of parameters.

A kernel [..., C_out] counts as the matrix [n, C_out] of its taps, as in the paper. Its largest
singular value is followed by one step of the power iteration per update of the critic; the
vectors of that iteration are part of the critic's state.
"""

import jax
import jax.numpy as jnp

_FIRST_STEPS = 20


def init(key, params):
    """Vectors for the kernel of every layer.

    Args:
      key: JAX random key.
      params: {layer: {"kernel": [..., C_out], ...}}.

    Returns:
      {layer: unit vector [C_out]}.
    """
    vectors = {}
    for index, (layer, own) in enumerate(sorted(params.items())):
        width = own["kernel"].shape[-1]
        vectors[layer] = jax.random.normal(jax.random.fold_in(key, index), (width,))
    for _ in range(_FIRST_STEPS):
        vectors = advance(vectors, params)
    return vectors


def advance(vectors, params):
    """One step of the power iteration for every layer."""
    return {
        layer: _unit(_left(params, layer, u) @ _matrix(params, layer))
        for layer, u in vectors.items()
    }


def normalised(params, vectors):
    """Params whose kernels have spectral norm 1, as far as the vectors have converged.

    The gradient passes through the norm (Eq. 12 of the paper), not through the vectors.
    """
    result = dict(params)
    for layer, u in vectors.items():
        u, left = jax.lax.stop_gradient((u, _left(params, layer, u)))
        norm = left @ _matrix(params, layer) @ u
        result[layer] = params[layer] | {"kernel": params[layer]["kernel"] / norm}
    return result


def _matrix(params, layer):
    kernel = params[layer]["kernel"]
    return kernel.reshape(-1, kernel.shape[-1])


def _left(params, layer, u):
    return _unit(_matrix(params, layer) @ u)


def _unit(vector):
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)
