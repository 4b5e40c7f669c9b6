"""The artefact on disk: what was saved is what is loaded, or there is a reason why not."""

import dataclasses
import hashlib
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import safetensors
import small_codec
from hypothesis import given, settings
from hypothesis import strategies as st

from synjax.codec import bitstream, modulation, package, prediction, synonymous, tables

CODEC = synonymous.Codec(
    rank=0,
    channels=3,
    groups=(2, 1),
    grid=modulation.Grid((50.0, 100.0), (0.0, 1.0)),
    analysis_width=4,
    synthesis_widths=(4, 4, 4),
    prior_width=4,
)
FILES = ("artefact.json", *(f"{n}.safetensors" for n in ("networks", "params", "tables")))


def _vectors(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def artefact():
    # This generator is compiled several times faster than the default one.
    params = CODEC.init(jax.random.key(0, impl="rbg"), _vectors(500, seed=9))
    return bitstream.make(CODEC, params, 60.0, 1.0)


@pytest.fixture(scope="module")
def saved(artefact, tmp_path_factory):
    directory = tmp_path_factory.mktemp("artefact") / "codec"
    bitstream.save(artefact, directory)
    return directory


def _copy(saved, tmp_path):
    return pathlib.Path(shutil.copytree(saved, tmp_path / "copy"))


def _rewritten(directory, change):
    """Changes the description, and its checksum with it."""
    path = directory / "artefact.json"
    about = json.loads(path.read_text())
    del about["sha256"]
    change(about)
    text = package._text(about)
    about["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(package._text(about))


def _same(a, b):
    leaves = jax.tree.leaves(jax.tree.map(np.array_equal, a, b))
    return all(leaves) and jax.tree.structure(a) == jax.tree.structure(b)


def test_a_saved_artefact_is_loaded_without_building_tables(artefact, saved, monkeypatch):
    monkeypatch.setattr(tables, "build", lambda *unused: 1 / 0)
    monkeypatch.setattr(prediction, "network", lambda *unused: 1 / 0)
    loaded = bitstream.load(saved)
    assert loaded.codec == CODEC
    assert (loaded.lambda_d, loaded.lambda_p) == (60.0, 1.0)
    assert loaded.fingerprint == artefact.fingerprint
    assert _same(loaded.params, artefact.params)
    assert sorted(p.name for p in saved.iterdir()) == sorted(FILES)
    assert list(loaded.tables) == list(artefact.tables)
    for name, part in artefact.tables.items():
        assert _same(loaded.tables[name].counts, part.counts)
    assert list(loaded.networks) == list(artefact.networks)
    for name, network in artefact.networks.items():
        assert {k: _same(vars(v), vars(loaded.networks[name][k])) for k, v in network.items()} == (
            dict.fromkeys(network, True)
        )


def test_streams_of_one_are_decoded_by_the_other(artefact, saved):
    loaded, x = bitstream.load(saved), _vectors(5)
    stream = bitstream.encode(artefact, x)
    assert bitstream.encode(loaded, x) == stream
    np.testing.assert_array_equal(
        bitstream.decode(loaded, stream, members=2), bitstream.decode(artefact, stream, members=2)
    )


def test_an_artefact_is_never_overwritten(artefact, saved, tmp_path):
    before = {p.name: p.read_bytes() for p in saved.iterdir()}
    with pytest.raises(ValueError, match="exists already"):
        bitstream.save(artefact, saved)
    assert {p.name: p.read_bytes() for p in saved.iterdir()} == before
    (tmp_path / "note").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        bitstream.save(artefact, tmp_path / "note")


def test_a_save_that_fails_leaves_nothing(artefact, tmp_path):
    broken = dataclasses.replace(artefact, fingerprint=bytes(8))
    with pytest.raises(ValueError, match="fingerprint"):
        bitstream.save(broken, tmp_path / "codec")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved, tmp_path, name):
    copy = _copy(saved, tmp_path)
    (copy / name).unlink()
    with pytest.raises(ValueError, match=f"{name} cannot be read"):
        bitstream.load(copy)


def test_where_there_is_no_artefact_the_way_to_one_is_told(tmp_path):
    with pytest.raises(ValueError, match="no artefact at .*package"):
        bitstream.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="artefact.json cannot be read"):
        bitstream.load(tmp_path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_byte_can_change_unnoticed(saved, data):
    path = saved / data.draw(st.sampled_from(FILES))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != whole[at]))
    try:
        path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=str(saved)):
            bitstream.load(saved)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(saved, tmp_path, name):
    copy = _copy(saved, tmp_path)
    content = bytearray((copy / name).read_bytes())
    content[-10] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is damaged: .*checksum"):
        bitstream.load(copy)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"\n", lambda c: b""])
def test_a_file_of_another_length_is_refused(saved, tmp_path, name, change):
    copy = _copy(saved, tmp_path)
    (copy / name).write_bytes(change((copy / name).read_bytes()))
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        bitstream.load(copy)


def _set(key, value):
    return lambda about: about.__setitem__(key, value)


CHANGES = {
    "format version 1, readable are 2 and 3": _set("format", 1),
    "another version: 'files'": lambda about: about.pop("files"),
    "another version.*depth": lambda about: about["codec"].update(depth=3),
    "codec.rank must be": lambda about: about["codec"].update(rank=3),
    "fingerprint of .* does not match": lambda about: about["codec"].update(stride=2),
    "fingerprint of .* does not match.*": _set("fingerprint", "00" * 8),
    "tables of .* do not fit": lambda about: about["codec"].update(groups=[1, 2]),
    "tables.safetensors .* nothing names": lambda about: about["files"]["tables"]["form"].popitem(),
}


@pytest.mark.parametrize("reason", CHANGES)
def test_a_description_of_something_else_is_refused(saved, tmp_path, reason):
    copy = _copy(saved, tmp_path)
    _rewritten(copy, CHANGES[reason])
    with pytest.raises(ValueError, match=reason):
        bitstream.load(copy)


def _negative(counts):
    counts = [np.array(c) for c in counts]
    counts[0][:2] = counts[0][:2].sum() + 1, -1
    return counts


@pytest.mark.parametrize(
    "change", [_negative, lambda counts: [c + 1 for c in counts], lambda counts: counts[:1]]
)
def test_tables_that_no_coder_can_use_are_refused(artefact, tmp_path, change):
    first = tables.Tables(tuple(change(artefact.tables["group_0"].counts)))
    built = artefact.tables | {"group_0": first}
    fingerprint = package._fingerprint(CODEC, built, artefact.networks)
    changed = dataclasses.replace(artefact, tables=built, fingerprint=fingerprint)
    with pytest.raises(ValueError, match="tables .* do not fit"):
        bitstream.save(changed, tmp_path / "codec")


def test_what_the_integer_networks_replace_is_not_stored_and_not_missed(tmp_path):
    artefact = small_codec.artefact()
    x = small_codec.picture(40, 56)
    bitstream.save(artefact, tmp_path / "codec")
    loaded = bitstream.load(tmp_path / "codec")
    assert set(artefact.params["prior"]["group_1"]) - set(loaded.params["prior"]["group_1"]) == (
        set(package.REPLACED)
    )
    stream = bitstream.encode(artefact, x)
    assert bitstream.encode(loaded, x) == stream
    np.testing.assert_array_equal(
        bitstream.decode(loaded, stream, members=2), bitstream.decode(artefact, stream, members=2)
    )
    parsed = bitstream.parse(loaded, stream)
    np.testing.assert_array_equal(
        bitstream.estimated_bits(loaded, parsed), bitstream.estimated_bits(artefact, parsed)
    )


def test_large_arrays_of_a_picture_codec_have_16_bits_before_they_are_written(tmp_path):
    artefact = small_codec.artefact()
    klt = np.asarray(artefact.params["synthesis"]["klt"])
    assert klt.size >= package.LARGE
    np.testing.assert_array_equal(klt, klt.astype(np.float16).astype(np.float32))
    bitstream.save(artefact, tmp_path / "codec")
    assert _same(
        bitstream.load(tmp_path / "codec").params["synthesis"], artefact.params["synthesis"]
    )
    for name, key, kind in (
        ("params", "synthesis.klt", "F16"),
        ("networks", "group_1.stem.weights", "I16"),
    ):
        with safetensors.safe_open(tmp_path / "codec" / f"{name}.safetensors", "np") as file:
            assert file.get_slice(key).get_dtype() == kind
