"""Addresses of members: the generator against its definition."""

import numpy as np

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


def test_uniforms_are_those_of_philox():
    # The published known answer for a counter and key of zero.
    assert _philox((0, 0, 0, 0), (0, 0)) == (
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    )
    key, member = 0xDEADBEEF, 3
    raw = [v for block in (1, 2, 3) for v in _philox((block, 0, 0, 0), (key, member))]
    expected = np.array([((v >> 41) + 0.5) / 2**23 for v in raw])
    uniforms = addresses.uniforms(key, member, (2, 6))
    assert uniforms.dtype == np.float32
    np.testing.assert_array_equal(uniforms.ravel(), expected)
