"""Coding tables against closed forms, and the coder against its ideal."""

import types

import hypothesis
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import special

from synjax.codec import priors, tables


def _logistic(scale, offset=0.0):
    """Probabilities of −MAX_RADIUS…MAX_RADIUS under a rounded logistic, float64."""
    edges = np.arange(-tables.MAX_RADIUS, tables.MAX_RADIUS + 2) - 0.5 - offset
    # Differences in the lower tail keep their precision; the distribution is symmetric.
    upper, lower = -np.abs(edges[1:] / scale), -np.abs(edges[:-1] / scale)
    tails = np.abs(special.expit(upper) - special.expit(lower))
    across = (edges[1:] > 0) & (edges[:-1] < 0)
    return np.where(across, 1 - special.expit(upper) - special.expit(lower), tails)


def _tables(*scales):
    return tables.Tables(tuple(tables.integer_counts(_logistic(scale)) for scale in scales))


SMALL = _tables(0.05, 0.4, 3.0, 40.0, 2000.0)


def _ideal_bits(group, indices, symbols):
    """Σ −log₂(count / 2¹⁶), and the Elias-gamma code of what the tables do not list."""
    bits = 0.0
    for index, symbol in zip(indices.tolist(), symbols.tolist(), strict=True):
        counts = group.counts[index]
        radius = (len(counts) - 2) // 2
        if abs(symbol) <= radius:
            bits += 16 - np.log2(counts[symbol + radius])
        else:
            code = 2 * (abs(symbol) - radius) - (symbol > 0)
            bits += 16 - np.log2(counts[-1]) + 2 * (code.bit_length() - 1) + 1
    return bits


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(scale=st.floats(0.02, 3000), offset=st.floats(-60, 60))
def test_tables_are_complete_and_list_no_more_than_the_tail_allows(scale, offset):
    probabilities = _logistic(scale, offset)
    counts = tables.integer_counts(probabilities)
    assert counts.min() >= 1
    assert counts.sum() == 2**16
    assert len(counts) % 2 == 0
    radius = (len(counts) - 2) // 2
    assert radius <= tables.MAX_RADIUS
    middle = tables.MAX_RADIUS
    inside = [probabilities[middle - r : middle + r + 1].sum() for r in (radius - 1, radius)]
    assert radius == tables.MAX_RADIUS or 1 - inside[1] < 2**-14 + 1e-12
    assert radius == 0 or 1 - inside[0] >= 2**-14 - 1e-12


@pytest.mark.parametrize("scale", [0.05, 0.7, 5.0, 60.0])
def test_tables_cost_little_over_the_density_they_stand_for(scale):
    probabilities = _logistic(scale)
    counts = tables.integer_counts(probabilities)
    radius = (len(counts) - 2) // 2
    listed = probabilities[tables.MAX_RADIUS - radius : tables.MAX_RADIUS + radius + 1]
    relative_entropy = np.sum(listed * np.log2(listed / (counts[:-1] / 2**16)))
    entropy = -np.sum(special.xlogy(probabilities, probabilities)) / np.log(2)
    assert relative_entropy < 0.003 * entropy + 1e-4


def test_tables_are_those_of_the_learned_densities():
    scale, offset = np.array([[0.5, 4.0, 0.1]]), np.array([[-2.0, 3.0, 10.0]])
    weights = np.array([0.2, 0.5, 0.3])
    prior = {
        "group_0": {
            "offsets": jnp.asarray(offset, jnp.float32),
            "log_scales": jnp.log(jnp.asarray(scale, jnp.float32)),
            "logits": jnp.log(jnp.asarray(weights[None], jnp.float32)),
        },
        "group_1": {"log_ratio": jnp.float32(np.log(3)), "logit": jnp.float32(np.log(0.25))},
    }
    codec = types.SimpleNamespace(groups=(1, 5), hyper=0, context=False)
    built = tables.build(codec, {"prior": prior, "features": jnp.ones(1)})
    first, second = built["group_0"], built["group_1"]
    assert len(first.counts) == 1
    assert len(second.counts) == priors.SCALES
    mixture = sum(w * _logistic(s, o) for w, s, o in zip(weights, scale[0], offset[0], strict=True))
    cases = [(first.counts[0], mixture)]
    for index in (0, 20, 40):
        scale = np.exp(priors.scale_grid()[index].item())
        cases.append((second.counts[index], 0.8 * _logistic(scale) + 0.2 * _logistic(3 * scale)))
    for counts, expected in cases:
        radius = (len(counts) - 2) // 2
        expected = expected[tables.MAX_RADIUS - radius : tables.MAX_RADIUS + radius + 1]
        # Entries raised to one count are paid for by all others, in proportion.
        np.testing.assert_allclose(counts[:-1], np.maximum(expected * 2**16, 1), rtol=0.01, atol=1)


def test_a_density_that_is_not_finite_gives_no_table():
    broken = {"offsets": jnp.full((1, 3), jnp.nan), "log_scales": jnp.zeros((1, 3))}
    prior = {"group_0": broken | {"logits": jnp.zeros((1, 3))}}
    codec = types.SimpleNamespace(groups=(1,), hyper=0, context=False)
    with pytest.raises(ValueError, match="'group_0' of the prior is not finite"):
        tables.build(codec, {"prior": prior, "features": jnp.ones(1)})


def _encoded(group, indices, symbols):
    encoder = tables.Encoder()
    encoder.write(group, indices, symbols)
    return encoder.payload()


def _decoded(group, indices, payload):
    return tables.Decoder(payload).read(group, indices)


@st.composite
def _messages(draw):
    size = draw(st.integers(0, 60))
    indices = draw(st_numpy.arrays(np.int32, size, elements=st.integers(0, 4)))
    limits = draw(st.sampled_from([2, 40, 3000, 2**30]))
    symbols = draw(st_numpy.arrays(np.int32, size, elements=st.integers(-limits, limits)))
    return indices, symbols


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(message=_messages())
def test_every_message_comes_back(message):
    indices, symbols = message
    payload = _encoded(SMALL, indices, symbols)
    decoded = _decoded(SMALL, indices, payload)
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, symbols)
    # The coder ends on a word boundary, after at most two words.
    assert len(payload) * 8 <= _ideal_bits(SMALL, indices, symbols) * 1.001 + 64


def test_values_at_the_edges_of_the_tables_and_of_the_range_come_back():
    radii = SMALL.radii
    values = [np.concatenate([radii + d, -radii - d]) for d in (-1, 0, 1, 2, 3)]
    values += [np.full(10, 2**30), np.full(10, -(2**30)), np.full(10, 2**30 - 1)]
    symbols = np.concatenate(values).astype(np.int32)
    indices = np.tile(np.arange(5), len(symbols) // 5)
    payload = _encoded(SMALL, indices, symbols)
    np.testing.assert_array_equal(_decoded(SMALL, indices, payload), symbols)


def test_exact_bits_are_within_a_thousandth_of_the_ideal():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 4, 20_000)
    scales = np.array([0.05, 0.4, 3.0, 40.0])[indices]
    symbols = np.rint(rng.logistic(0, scales)).astype(np.int32)
    exact = len(_encoded(SMALL, indices, symbols)) * 8
    ideal = _ideal_bits(SMALL, indices, symbols)
    assert ideal - 1 <= exact <= 1.0005 * ideal + 64


def test_no_message_is_shorter_than_its_likeliest_symbols():
    group = _tables(0.05)
    zeros = np.zeros(3_000_000, np.int32)
    bits = len(_encoded(group, zeros, zeros)) * 8
    least = len(zeros) * group.least_bits[0]
    assert least > 0
    assert 0.99 * least <= bits <= 1.05 * least + 96


@pytest.mark.parametrize("symbol", [2**30 + 1, -(2**30) - 1, -(2**31)])
def test_a_symbol_that_cannot_be_coded_is_refused(symbol):
    with pytest.raises(ValueError, match=f"got a magnitude of {abs(symbol)}"):
        _encoded(SMALL, np.zeros(1, np.int32), np.array([symbol]))


@pytest.mark.parametrize("index", [-1, 5])
def test_an_index_without_table_is_refused(index):
    with pytest.raises(ValueError, match=r"0…4"):
        _encoded(SMALL, np.array([index]), np.array([0]))
    with pytest.raises(ValueError, match=r"0…4"):
        _decoded(SMALL, np.array([index]), b"\0\0\0\0")


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(payload=st.binary(max_size=40), index=st.integers(0, 4))
@hypothesis.example(payload=b"\xff" * 40, index=4)
@hypothesis.example(payload=b"\xff\xff\xff\xfe" * 10, index=0)
def test_any_bytes_decode_to_something_in_range_or_are_refused(payload, index):
    indices = np.full(30, index)
    try:
        symbols = _decoded(SMALL, indices, payload)
    except ValueError as error:
        assert "payload" in str(error)
    else:
        assert len(payload) % 4 == 0
        assert np.abs(symbols.astype(np.int64)).max() <= 2**30


def test_parts_are_read_in_the_order_in_which_they_were_written():
    rng = np.random.default_rng(0)
    other = _tables(0.2, 7.0)
    parts = []
    for group, count in ((SMALL, 30), (other, 0), (other, 100), (SMALL, 1)):
        indices = rng.integers(0, len(group.counts), count)
        parts.append((group, indices, np.rint(rng.logistic(0, 30, count)).astype(np.int32)))
    encoder = tables.Encoder()
    for part in parts:
        encoder.write(*part)
    decoder = tables.Decoder(encoder.payload())
    for group, indices, symbols in parts:
        np.testing.assert_array_equal(decoder.read(group, indices), symbols)


def test_symbols_are_drawn_as_often_as_their_counts_say():
    """Every upper half of a uniform once: exactly the counts, with the escape just outside."""
    for t, counts in enumerate(SMALL.counts):
        uniforms = (np.arange(2**16, dtype=np.uint32) << 16) | (np.arange(2**16) % 2).astype("u4")
        uniforms = np.random.default_rng(0).permutation(uniforms)
        drawn = tables.sample(SMALL, np.full(2**16, t), uniforms)
        radius = SMALL.radii[t]
        inside = np.abs(drawn) <= radius
        found = np.bincount(drawn[inside] + radius, minlength=2 * radius + 1)
        np.testing.assert_array_equal(found, counts[:-1])
        assert set(np.abs(drawn[~inside])) == {radius + 1}
        if counts[-1] > 1:
            assert len(set(drawn[~inside])) == 2


def test_what_is_drawn_belongs_to_its_own_uniform_and_table():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 5, 1000)
    uniforms = rng.integers(0, 2**32, 1000, dtype=np.uint32)
    together = tables.sample(SMALL, indices, uniforms)
    for i in range(0, 1000, 97):
        assert tables.sample(SMALL, indices[i : i + 1], uniforms[i : i + 1]) == together[i]
