"""A committed stream decodes to the same symbols and the same detail, on any machine.

`python tests/golden_test.py` made what lies in tests/golden, once; it refuses to overwrite it.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).parent / "golden"
MEMBERS = 3
TOLERANCE = 2e-3  # of pixels in [0, 1], which are floats


def _found(artefact, stream):
    """Hashes of all integers behind a stream, and its members."""
    from synjax.codec import addresses, bitstream, rendering

    parsed = bitstream.parse(artefact, stream)
    hashes = {"symbols": _sha256(parsed.symbols), "hyper": _sha256(parsed.hyper)}
    codec = artefact.codec
    for level in range(1, codec.levels + 1):
        sent = parsed.symbols[..., : sum(codec.groups[:level])]
        lower = dataclasses.replace(parsed, level=level)
        values = bitstream._given(artefact, lower, codec.levels).values
        hashes[f"values, level {level}"] = _sha256(values)
        key = addresses.checksum(sent)
        sizes = parsed.symbols.shape[:-1]
        for j in range(MEMBERS):
            member = rendering.member(artefact, j, key, sent, parsed.hyper, values)
            window = tuple(slice(0, size) for size in sizes)
            detail = member.detail(window, sizes, codec.coefficients)
            hashes[f"sampled symbols, level {level}, member {j}"] = _sha256(member.apart)
            hashes[f"detail, level {level}, member {j}"] = _sha256(detail)
    return hashes, bitstream.render(artefact, parsed, MEMBERS, level=1)


def _sha256(array):
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(
        f"{little.dtype.str} {little.shape}".encode() + little.tobytes()
    ).hexdigest()


def check():
    """Decodes the golden stream and compares; raises AssertionError where anything differs."""
    from synjax.codec import bitstream

    artefact = bitstream.load(GOLDEN / "codec")
    hashes, members = _found(artefact, (GOLDEN / "picture.syn").read_bytes())
    expected = json.loads((GOLDEN / "hashes.json").read_text())
    assert hashes == expected
    pixels = np.load(GOLDEN / "members.npy", allow_pickle=False) / 255
    assert np.abs(members - pixels).max() <= 0.5 / 255 + TOLERANCE


@pytest.mark.parametrize(
    ("count", "x64", "batch"), [(1, 0, 1), (8, 0, 2), (1, 1, 2), (8, 1, 1), (1, 0, 3)]
)
def test_the_golden_stream_decodes_to_its_hashes(count, x64, batch):
    """On one device and several, with 64-bit floats and without, few members at a time and more."""
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
        "JAX_ENABLE_X64": str(x64),
        "JAX_PLATFORMS": "cpu",
    }
    code = (
        f"import sys; sys.path[:0] = [{str(GOLDEN.parent)!r}, {str(GOLDEN.parents[1])!r}]\n"
        "import jax, golden_test\nfrom synjax.codec import bitstream\n"
        f"assert len(jax.devices()) == {count}\n"
        f"bitstream.MEMBERS_PER_CALL = {batch}\n"
        "golden_test.check()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("stream", ["SYMBOLS", "DETAIL"])
def test_other_draws_would_be_seen(monkeypatch, stream):
    from synjax.codec import addresses

    check()
    monkeypatch.setattr(addresses, stream, 7)
    with pytest.raises(AssertionError):
        check()


def _make():
    import small_codec

    from synjax.codec import bitstream, package

    artefact = small_codec.artefact()
    package.save(artefact, GOLDEN / "codec")
    x = np.rint(small_codec.picture(45, 70) * 255).astype(np.uint8)
    stream = bitstream.encode(artefact, x)
    hashes, members = _found(artefact, stream)
    (GOLDEN / "picture.syn").write_bytes(stream)
    (GOLDEN / "hashes.json").write_text(json.dumps(hashes, indent=1) + "\n")
    np.save(GOLDEN / "members.npy", np.rint(members * 255).astype(np.uint8))


if __name__ == "__main__":
    sys.path.insert(0, str(GOLDEN.parents[1]))
    _make()
