"""The integer form of a conditional density against the network that was trained."""

import jax
import numpy as np
import pytest

from synjax.codec import prediction, priors

FEATURES = np.array([1.0, 0.3, 0.7], np.float32)


@pytest.fixture(params=[0, 2], ids=["vectors", "pictures"])
def case(request):
    """(module, parameters, values [B, *S', 4]) with every parameter in use."""
    rank = request.param
    module = priors.Conditional(6, 16, rank)
    sizes = (1, 9, 7) if rank else (200,)
    rng = np.random.default_rng(0)
    values = rng.integers(-(2**10), 2**10, (*sizes, 4))
    spec = jax.eval_shape(module.init, jax.random.key(0), values / 2.0**8, FEATURES)
    params = jax.tree.map(
        lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), spec["params"]
    )
    return module, params, values


def test_it_predicts_what_the_network_predicts(case):
    module, params, values = case
    real = values.astype(np.float32) / 2**prediction.FRACTION
    centre, log_scale, _ = jax.jit(module.apply)({"params": params}, real, FEATURES)
    layers = prediction.network(params, FEATURES)
    own = values[0] if module.rank else values
    found, scale = prediction.predict(layers, own)
    assert (found.dtype, scale.dtype) == (np.int64, np.int16)
    centre, log_scale = (np.asarray(a)[0] if module.rank else a for a in (centre, log_scale))
    assert np.std(centre) > 0.1
    np.testing.assert_allclose(found / 2**prediction.FRACTION, centre, atol=0.02)
    np.testing.assert_allclose(prediction.log_scale(scale), log_scale, atol=0.01)


def test_far_values_stay_in_range(case):
    module, params, values = case
    layers = prediction.network(params, FEATURES)
    own = (values[0] if module.rank else values) * 2**40
    centre, scale = prediction.predict(layers, own)
    assert np.abs(centre).max() < 2**40
    assert 0 <= scale.min() <= scale.max() <= (priors.SCALES - 1) << prediction.FRACTION


def test_the_table_of_a_scale_is_the_nearest():
    spacing = 2**prediction.FRACTION
    scale = np.arange((priors.SCALES - 1) * spacing + 1).astype(np.int16)
    index = prediction.table_index(scale)
    assert (index[0], index[-1]) == (0, priors.SCALES - 1)
    assert np.max(np.abs(index * spacing - scale)) <= spacing // 2
    grid = np.asarray(priors.scale_grid())
    np.testing.assert_allclose(prediction.log_scale(scale[::spacing]), grid, atol=1e-5)
    assert (grid[0], grid[-1]) == priors.LOG_SCALE_RANGE


def test_a_network_that_is_not_finite_is_refused(case):
    module, params, _ = case
    params = params | {"log_spread": params["log_spread"] * np.nan}
    with pytest.raises(ValueError, match="exact integer sums"):
        prediction.network(params, FEATURES)
