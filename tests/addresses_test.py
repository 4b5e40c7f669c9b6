"""Addresses of members: the generator against its definition."""

import statistics

import numpy as np
import pytest

from synjax.codec import addresses


def _philox(counter, key):
    """Philox-4×64-10 in plain integers, from the paper's definition."""
    mask = 2**64 - 1
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        low, high = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = high >> 64 ^ b ^ k0, high & mask, low >> 64 ^ d ^ k1, low & mask
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return a, b, c, d


def test_the_reference_is_philox():
    # The published known answer for a counter and key of zero.
    assert _philox((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )


def test_uniforms_are_halves_of_the_words_of_philox():
    key, member = 0xDEADBEEF, 3
    words = [v for block in (1, 2, 3) for v in _philox((block, 0, 0, 0), (key, member))]
    expected = [half for v in words for half in (v & 0xFFFFFFFF, v >> 32)]
    uniforms = addresses.uniforms(key, member, 23)
    assert uniforms.dtype == np.uint32
    np.testing.assert_array_equal(uniforms, expected[:23])


def test_normals_are_looked_up_by_quarters_of_the_words_of_another_stream():
    key, member = 7, 2**40
    words = [v for block in (1, 2, 3) for v in _philox((block, 0, 0, 1), (key, member))]
    quarters = [v >> 16 * i & 0xFFFF for v in words for i in range(4)]
    found = addresses.normals(key, member, 0, 45)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, addresses.normal_table()[quarters[:45]])


@pytest.mark.parametrize(("first", "count"), [(0, 64), (16, 5), (48, 100), (1600, 16)])
def test_normals_are_the_same_from_wherever_they_are_read(first, count):
    whole = addresses.normals(1, 2, 0, 2000)
    np.testing.assert_array_equal(
        addresses.normals(1, 2, first, count), whole[first : first + count]
    )


def test_the_table_of_normals_is_the_inverse_of_the_normal_distribution():
    """Against another implementation of Φ⁻¹; every entry is off by half a unit at most."""
    table = addresses.normal_table()
    inverse = statistics.NormalDist().inv_cdf
    for k in [0, 1, 2, *range(1000, 2**16, 997), 2**16 - 1]:
        assert abs(table[k] - 2**12 * inverse((k + 0.5) / 2**16)) <= 0.5 + 1e-6
    np.testing.assert_array_equal(table, -table[::-1])
    assert abs(np.mean((table / 2**12) ** 2) - 1) < 1e-4


def test_another_table_of_normals_is_refused(monkeypatch):
    monkeypatch.setattr(addresses, "NORMALS_CHECKSUM", 1)
    with pytest.raises(RuntimeError, match="table of normal deviates"):
        addresses.normal_table.__wrapped__()
