"""The codec: what is sent, what is completed, what it costs."""

import functools

import jax
import jax.numpy as jnp
import known_symbols
import numpy as np
import pytest
from scipy import stats

from synjax.codec import detail, klt, modulation, priors, synonymous, transforms

GRID = modulation.Grid((100.0, 400.0), (0.0, 1.0))
CODECS = {
    "image": synonymous.Codec(2, 3, (6, 18), GRID, 8, (8, 8, 8), 8, stride=8),
    "vector": synonymous.Codec(0, 8, (2, 3, 2), GRID, 8, (8, 8, 8), 8),
}
KINDS = tuple(CODECS)


@functools.cache
def _source(kind):
    """A batch whose coefficients have decaying variances: [400, 8] or [8, 32, 40, 3]."""
    rng = np.random.default_rng(0)
    if kind == "vector":
        basis, _ = np.linalg.qr(rng.normal(size=(8, 8)))
        return (rng.normal(size=(400, 8)) * 0.7 ** np.arange(8) @ basis).astype(np.float32)
    x = rng.normal(size=(8, 32, 40, 3))
    for axis in (1, 2):
        x = sum(np.roll(x, shift, axis) for shift in range(4)) / 4
    return (0.5 + 0.8 * x).astype(np.float32)


@functools.cache
def _jitted(kind, name):
    return jax.jit(getattr(CODECS[kind], name))


@functools.cache
def _params(kind):
    # This generator is compiled several times faster than the default one.
    params = CODECS[kind].init(jax.random.key(0, impl="rbg"), _source(kind))
    return jax.tree.map(np.asarray, params)


def _bound(kind, lambda_d=100.0, lambda_p=1.0, perturbed=True):
    """Parameters at one (λ_d, λ_p), by default moved so that every network has a say."""
    rng = np.random.default_rng(1)
    params = _params(kind)
    if perturbed:
        params = jax.tree.map(
            lambda leaf: leaf + 0.03 * rng.normal(size=leaf.shape).astype(np.float32), params
        )
    return _jitted(kind, "bind")(params, lambda_d, lambda_p)


def _latent(kind, params):
    return _jitted(kind, "analyse")(params, _source(kind))


def _symbols(kind, params, key=None):
    return _jitted(kind, "quantise")(params, _latent(kind, params), key)


def _uniforms(kind, symbols, members=2):
    batch, *positions, _ = symbols["hard"].shape
    shape = (batch, members, *positions, CODECS[kind].uniform_channels())
    return np.random.default_rng(2).uniform(size=shape).astype(np.float32)


def _decode(kind, params, symbols, level, uniforms=None):
    completed = _jitted(kind, "complete")(params, symbols, level, uniforms)
    return _jitted(kind, "synthesise")(params, completed)


@functools.cache
def _prior(kind, k):
    codec = CODECS[kind]
    return jax.jit(priors.Conditional(codec.groups[k], codec.prior_width, codec.rank).apply)


def _conditional(kind, params, k, earlier):
    """Centre, log-scale and shape of the density of a group, from the network itself."""
    own = {"params": params["prior"][f"group_{k}"]}
    return _prior(kind, k)(own, earlier, params["features"])


def _centres(kind, params, hard):
    """What rounding is centred on [B, *S', K], group by group from the values before it."""
    groups = np.split(np.asarray(hard), np.cumsum(CODECS[kind].groups)[:-1], axis=-1)
    centres, known = [np.zeros_like(groups[0])], groups[0]
    for k, group in enumerate(groups[1:], start=1):
        centre, _, _ = _conditional(kind, params, k, known)
        centres.append(centre)
        known = np.concatenate([known, centre + group], -1)
    return np.concatenate(centres, -1)


def _without_detail(kind, sampled_weight):
    """Parameters whose members are told apart by sampled groups alone."""
    params = _bound(kind)
    # Two features of λ_p > 0 are one on a point of the grid: its own and its product with λ_d's.
    amount = params["synthesis"]["amount"]
    weight = jnp.full_like(amount["sampled_weight"], sampled_weight / 2)
    amount = {"sampled_weight": weight, "amplitude": jnp.zeros_like(amount["amplitude"])}
    return params | {"synthesis": params["synthesis"] | {"amount": amount}}


def _with_group_changed(kind, params, symbols, k):
    first = sum(CODECS[kind].groups[:k])
    hard = np.array(symbols["hard"])
    hard[..., first : first + CODECS[kind].groups[k]] += 3
    return known_symbols.symbols_of(CODECS[kind], params, hard)


@pytest.mark.parametrize("lambda_d", GRID.lambda_d)
@pytest.mark.parametrize("kind", KINDS)
def test_the_initial_codec_is_a_quantised_klt(kind, lambda_d):
    params, codec, x = _bound(kind, lambda_d, perturbed=False), CODECS[kind], _source(kind)
    symbols = _symbols(kind, params)
    found = _decode(kind, params, symbols, codec.levels)[:, 0]
    patches = [np.asarray(transforms.space_to_depth(a, 8) if codec.rank else a) for a in (x, found)]
    mean, basis, _ = klt.transform(patches[0].reshape(-1, codec.coefficients))
    coefficients, decoded = ((a.astype(np.float64) - mean) @ basis.T for a in patches)
    kept = codec.latents
    error, step = (decoded - coefficients)[..., :kept], klt.step_size(lambda_d)
    assert np.max(np.abs(error)) <= step / 2 + 1e-4
    np.testing.assert_allclose(decoded[..., kept:], 0, atol=1e-4)
    # The strongest coefficient spreads over many steps, so its error is uniform.
    strongest = error[..., 0].ravel()
    tolerance = 4 * np.sqrt(0.8 / len(strongest))  # 0.8: relative variance of a squared uniform
    np.testing.assert_allclose(np.mean(strongest**2), step**2 / 12, rtol=tolerance)


def test_the_initial_rate_is_near_the_entropy_of_gaussian_coefficients():
    params = _bound("vector", perturbed=False)
    symbols = _symbols("vector", params)
    rate = _jitted("vector", "rate")(symbols, 3).mean()
    _, _, variances = klt.transform(_source("vector"))
    edges = np.arange(-60, 61) - 0.5
    entropy = 0.0
    for deviation in np.sqrt(variances[:7]) / klt.step_size(100.0):
        mass = np.diff(stats.norm.cdf(edges, scale=deviation))
        entropy += stats.entropy(mass, base=2)
    assert -0.05 < (rate - entropy) / 7 < 0.25


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_gives_integers_around_the_predicted_centres(kind):
    params = _bound(kind)
    y, hard = _latent(kind, params)["y"], _symbols(kind, params)["hard"]
    np.testing.assert_array_equal(hard % 1, np.zeros_like(hard))
    assert np.max(np.abs(y - _centres(kind, params, hard) - hard)) <= 0.5 + 1e-4


def test_noise_relaxes_the_rate_and_leaves_the_symbols():
    params = _bound("vector")
    rounded, relaxed = (_symbols("vector", params, key) for key in (None, jax.random.key(0)))
    np.testing.assert_allclose(relaxed["hard"], rounded["hard"], atol=1e-4)
    np.testing.assert_array_equal(rounded["noisy"], rounded["hard"])
    distance = np.abs(relaxed["noisy"] - relaxed["hard"])  # half from noise, half from rounding
    assert 0.5 < np.max(distance) <= 1 + 1e-4


def test_a_relaxed_latent_is_what_is_decoded_and_what_is_charged():
    codec, params = CODECS["vector"], _bound("vector")
    latent = _latent("vector", params)
    symbols = codec.quantise(params, latent, jax.random.key(0), decode_relaxed=True)
    np.testing.assert_array_equal(symbols["hard"], symbols["noisy"])
    centres = _centres("vector", params, symbols["hard"])
    noise = np.asarray(symbols["hard"] + centres - latent["y"])
    assert np.max(np.abs(noise)) <= 0.5 + 1e-4
    np.testing.assert_allclose(noise.std(0), np.full(7, 1 / np.sqrt(12)), rtol=0.1)


def test_sent_latents_pass_the_gradient_like_the_identity():
    codec, params = CODECS["vector"], _bound("vector")
    weights = np.random.default_rng(3).normal(size=(400, 7)).astype(np.float32)

    def total(y):
        symbols = codec.quantise(params, {"y": y, "mask": jnp.ones((400, 1))}, jax.random.key(0))
        return jnp.sum(weights * codec.complete(params, symbols, 3)["shared"][..., :-1])

    gradient = jax.jit(jax.grad(total))(_latent("vector", params)["y"])
    np.testing.assert_allclose(gradient, weights, atol=1e-4)


def test_sampled_groups_leave_the_gradient_of_what_members_share():
    codec, params = CODECS["vector"], _without_detail("vector", sampled_weight=1.0)
    uniforms = _uniforms("vector", _symbols("vector", params), members=1)
    weights = np.random.default_rng(3).normal(size=(400, 8)).astype(np.float32)

    def total(y, level, uniforms):
        symbols = codec.quantise(params, {"y": y, "mask": jnp.ones((400, 1))}, jax.random.key(0))
        latent = codec.complete(params, symbols, level, uniforms)
        coefficients = jnp.pad(latent["shared"][..., :-1], ((0, 0), (0, 1)))
        return jnp.sum(weights * (coefficients + latent["detail"][:, 0]))

    gradient_of = jax.jit(jax.grad(total))
    y = _latent("vector", params)["y"]
    for level in (1, 3):
        alone, member = (gradient_of(y, level, given) for given in (None, uniforms))
        np.testing.assert_allclose(member, alone, atol=1e-4)
        assert np.max(np.abs(alone)) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_unsent_groups_do_not_reach_the_decoder(kind):
    params = _bound(kind)
    symbols = _symbols(kind, params)
    changed = _with_group_changed(kind, params, symbols, 1)
    uniforms = _uniforms(kind, symbols)
    same, other = (
        [_decode(kind, params, s, level, uniforms) for s in (symbols, changed)] for level in (1, 2)
    )
    np.testing.assert_array_equal(same[0], same[1])
    difference = np.abs(other[0] - other[1])
    assert np.min(np.max(difference, axis=tuple(range(2, difference.ndim)))) > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_unsent_groups_take_their_conditional_mean_without_uniforms(kind):
    params = _bound(kind)
    symbols = _symbols(kind, params)
    sizes, levels = CODECS[kind].groups, CODECS[kind].levels
    for level in (1, levels):
        completed = _jitted(kind, "complete")(params, symbols, level, None)
        values, share = completed["shared"][..., :-1], completed["shared"][..., -1]
        sent = np.asarray(symbols["hard"]).copy()
        sent[..., sum(sizes[:level]) :] = 0  # the centre and nothing else
        np.testing.assert_allclose(values, _centres(kind, params, sent) + sent, atol=1e-4)
        np.testing.assert_allclose(share, np.full(share.shape, level / levels))
        if CODECS[kind].rank:
            assert completed["detail"] is None
        else:
            np.testing.assert_array_equal(completed["detail"], np.zeros((len(values), 1, 8)))


@pytest.mark.parametrize(("kind", "level"), [("image", 1), ("vector", 1), ("vector", 3)])
def test_members_differ_where_perception_counts_and_only_there(kind, level):
    params = _bound(kind, lambda_p=1.0)
    symbols = _symbols(kind, params)
    uniforms = _uniforms(kind, symbols)
    synset = _decode(kind, params, symbols, level, uniforms)
    assert synset.shape == (len(_source(kind)), 2, *_source(kind).shape[1:])
    assert np.std(synset[:, 0] - synset[:, 1]) > 1e-2
    again = _decode(kind, params, symbols, level, uniforms)
    np.testing.assert_array_equal(again, synset)

    params = _bound(kind, lambda_p=0.0)
    synset = _decode(kind, params, symbols, level, uniforms)
    alone = _decode(kind, params, symbols, level)
    np.testing.assert_allclose(synset, np.repeat(alone, 2, axis=1), atol=1e-5)


def test_unsent_groups_are_sampled_one_after_another_from_what_codes_them():
    params = _without_detail("vector", sampled_weight=1.0)
    symbols = _symbols("vector", params)
    uniforms = _uniforms("vector", symbols, members=1)
    completed = _jitted("vector", "complete")(params, symbols, 1, uniforms)
    step = np.exp(np.asarray(params["features"] @ params["synthesis"]["log_step"]))
    sampled = np.asarray(completed["detail"])[:, 0, :7] / step
    found = np.asarray(completed["shared"])[..., :-1] + sampled

    path = np.asarray(symbols["hard"])[..., :2]
    for k, (start, stop) in ((1, (2, 5)), (2, (5, 7))):
        centre, log_scale, shape = _conditional("vector", params, k, path)
        drawn = jax.jit(priors.sample)(uniforms[:, 0, start:stop], log_scale, shape)
        assert np.std(drawn) > 0
        path = np.concatenate([path, centre + drawn], -1)
    np.testing.assert_allclose(found, path, atol=1e-4)


def test_members_start_with_a_set_share_of_the_ideal_detail():
    params, codec = _bound("vector", perturbed=False), CODECS["vector"]
    own = {"params": params["synthesis"]["amount"]}
    for level in (1, 3):
        for share in jax.jit(codec.amount_network.apply)(own, level, params["features"]):
            np.testing.assert_allclose(share, np.full(share.shape, detail.START), rtol=1e-5)


def test_a_stage_may_set_that_share_and_nothing_else():
    params, codec = _bound("vector", perturbed=False), CODECS["vector"]
    started = detail.starting(params, 0.2)
    own = {"params": started["synthesis"]["amount"]}
    for share in jax.jit(codec.amount_network.apply)(own, 2, params["features"]):
        np.testing.assert_allclose(share, np.full(share.shape, 0.2), rtol=1e-5)
    back = detail.starting(started, detail.START)
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize("kind", KINDS)
def test_a_level_costs_the_bits_of_its_groups_and_no_more(kind):
    params = _bound(kind)
    symbols = _symbols(kind, params)
    groups = np.asarray(_jitted(kind, "group_bits")(symbols))
    rate = _jitted(kind, "rate")
    assert groups.shape == (len(_source(kind)), CODECS[kind].levels)
    assert np.min(groups) > 0
    for level in range(1, CODECS[kind].levels + 1):
        expected = groups[:, :level].sum(-1)
        np.testing.assert_allclose(rate(symbols, level), expected, rtol=1e-5)
    changed = _with_group_changed(kind, params, symbols, 1)
    np.testing.assert_array_equal(rate(changed, 1), rate(symbols, 1))
    assert np.mean(np.abs(rate(changed, 2) - rate(symbols, 2))) > 1


def test_the_rate_is_zero_when_the_level_sends_nothing():
    params = _bound("vector")
    symbols = _symbols("vector", params)
    np.testing.assert_array_equal(_jitted("vector", "rate")(symbols, 0), np.zeros(400))


def test_the_rate_is_that_of_each_group_given_the_groups_before_it():
    params = _bound("vector")
    symbols = _symbols("vector", params)
    bits = jax.jit(priors.bits)
    hard = np.asarray(symbols["hard"])
    prior = {"params": params["prior"]["group_0"]}
    mixture = jax.jit(priors.Factorised(2).apply)(prior, params["features"])
    expected = [bits(hard[:, :2], *(leaf[None] for leaf in mixture)).sum(-1)]
    values = hard + _centres("vector", params, hard)
    for k, (start, stop) in ((1, (2, 5)), (2, (5, 7))):
        _, log_scale, shape = _conditional("vector", params, k, values[:, :start])
        mixture = priors.conditional_mixture(log_scale, shape)
        expected.append(bits(hard[:, start:stop], *mixture).sum(-1))
    found = _jitted("vector", "group_bits")(symbols)
    np.testing.assert_allclose(found, np.stack(expected, -1), rtol=1e-5)


def test_masked_positions_have_no_symbols_and_cost_no_bits():
    params = _bound("image")
    x = _source("image")
    mask = np.ones((8, 4, 5, 1), np.float32)
    mask[1, 2:] = 0
    mask[2] = 0

    def coded(mask):
        latent = _jitted("image", "analyse")(params, x, mask)
        symbols = _jitted("image", "quantise")(params, latent, None)
        return symbols, _jitted("image", "group_bits")(symbols)

    (symbols, bits), (_, rest), (_, whole) = (
        coded(m) for m in (mask, 1 - mask, np.ones_like(mask))
    )
    for name in ("hard", "noisy"):
        assert np.all(np.asarray(symbols[name])[mask[..., 0] == 0] == 0)
    np.testing.assert_array_equal(bits[2], np.zeros(2))
    np.testing.assert_array_equal(bits[0], whole[0])
    # The first group is coded position by position, so the parts add up to the whole.
    np.testing.assert_allclose(bits[:, 0] + rest[:, 0], whole[:, 0], rtol=1e-5)
    assert bits[1, 0] < whole[1, 0]


def test_a_finer_weight_costs_more_bits_and_reconstructs_better():
    x = _source("vector")
    rates, errors = [], []
    for lambda_d in (100.0, 200.0, 400.0):
        params = _bound("vector", lambda_d, perturbed=False)
        symbols = _symbols("vector", params)
        rates.append(np.mean(_jitted("vector", "rate")(symbols, 3)))
        errors.append(np.mean(np.square(_decode("vector", params, symbols, 3)[:, 0] - x)))
    assert np.all(np.diff(rates) > 0)
    assert np.all(np.diff(errors) < 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 3}, "codec.rank must be 0"),
        ({"groups": ()}, "codec.groups must be positive"),
        ({"groups": (4, 0)}, "codec.groups must be positive"),
        ({"groups": (100, 100)}, "more than the 192"),
        ({"stride": 12}, "codec.stride must be a power of two"),
        ({"stride": 4}, "codec.stride must be a power of two"),
    ],
)
def test_an_architecture_that_cannot_be_built_is_refused(changes, message):
    options = {"rank": 2, "channels": 3, "groups": (6, 18), "grid": GRID, "stride": 8}
    with pytest.raises(ValueError, match=message):
        synonymous.Codec(**(options | changes))


def test_a_source_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        CODECS["vector"].init(jax.random.key(0), np.full((10, 8), np.inf, np.float32))
