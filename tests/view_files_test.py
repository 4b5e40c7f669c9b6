"""What can be looked at of a trial: small, lossless, and named by one index."""

import json

import numpy as np
import pytest

from synjax.data import sounds
from synjax.evaluation import jpeg, measure, views
from synjax.reporting import view_files


def _pictures(height, width, count, seed=0):
    generator = np.random.default_rng(seed)
    smooth = np.linspace(0, 1, height * width * 3).reshape(height, width, 3)
    source = np.clip(smooth + generator.normal(0, 0.02, smooth.shape), 0, 1)
    source = np.round(source * 255) / 255
    members = np.clip(source + generator.normal(0, 0.1, (count, *source.shape)), 0, 1)
    return source.astype(np.float32), (np.round(members * 255) / 255).astype(np.float32)


def _of_picture(height=300, width=280, count=6, name="leaf"):
    source, members = _pictures(height, width, count)
    subject = measure.Subject(source, jpeg_curve=jpeg.curve(source), name=name)
    row = {"rate_exact": 8 * 5000 / source.size, "psnr": 20.0, "mse": 0.01, "bpp_exact": 0.5}
    return source, members, views.of(subject, row, (source, members), 1, 1.0)


def test_a_view_is_a_square_at_the_centre_of_few_members_with_the_bytes_of_the_stream():
    source, members, (view,) = _of_picture()
    assert view.source.shape == (256, 256, 3)
    assert view.members.shape == (views.MEMBERS, 256, 256, 3)
    assert view.corner == (22, 12) and view.whole == (300, 280)
    np.testing.assert_array_equal(view.source, source[22:278, 12:268])
    np.testing.assert_array_equal(view.members[1], members[1, 22:278, 12:268])
    assert view.bytes == 5000
    errors = ((members[: views.MEMBERS] - source) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(view.quality, -10 * np.log10(errors), rtol=1e-5)


def test_the_jpeg_of_a_view_is_a_real_file_and_none_is_nearer_in_bytes():
    source, _, (view,) = _of_picture()
    sizes, qualities = jpeg.curve(source)
    assert view.jpeg_bytes in sizes
    assert abs(view.jpeg_bytes - view.bytes) == np.abs(sizes - view.bytes).min()
    at = list(sizes).index(view.jpeg_bytes)
    assert view.jpeg_psnr <= qualities[at] + 1e-9
    assert view.jpeg.shape == view.source.shape


def test_vectors_are_views_of_their_own_and_cost_the_mean_of_their_stream():
    generator = np.random.default_rng(0)
    subject = measure.Subject(generator.random((20, 12)), picture=(3, 4))
    shown = generator.random((12, 3, 4)), generator.normal(size=(2, 12, 3, 4))
    found = views.of(subject, {"rate_exact": 2.0, "mse": 0.1}, shown, 2, 0.5)
    assert len(found) == views.VECTORS
    assert {view.bytes for view in found} == {3.0}
    assert all(view.members.min() >= 0 and view.members.max() <= 1 for view in found)
    assert len({view.name for view in found}) == len(found) and found[0].jpeg is None


def test_what_cannot_be_shown_has_no_views_and_no_files(tmp_path):
    subject = measure.Subject(np.zeros((20, 12)))
    assert views.of(subject, {"rate_exact": 2.0}, None, 1, 1.0) == []
    assert view_files.write(tmp_path / "trial", [], {}) is None
    assert not (tmp_path / "trial").exists() and view_files.read(tmp_path / "trial") is None


def test_pictures_are_read_back_as_they_were_written(tmp_path):
    _, _, (view,) = _of_picture(40, 60)
    view_files.write(tmp_path, [view], {"trial": "ld=1"})
    index = view_files.read(tmp_path)
    assert index["point"] == {"trial": "ld=1"} and index["signals"] == ["leaf"]
    (entry,) = index["views"]
    for path, pixels in (
        (entry["source"], view.source),
        (entry["jpeg"], view.jpeg),
        *((m["file"], p) for m, p in zip(entry["members"], view.members, strict=True)),
    ):
        np.testing.assert_array_equal(view_files.load(path), np.round(pixels * 255))
    assert [member["address"] for member in entry["members"]] == [0, 1, 2, 3]


def test_an_evaluation_again_leaves_nothing_of_the_one_before(tmp_path):
    *_, both = _of_picture(40, 60, count=4)
    *_, fewer = _of_picture(40, 60, count=1)
    view_files.write(tmp_path, both, {})
    view_files.write(tmp_path, fewer, {})
    assert len(list((tmp_path / "views").glob("*member*"))) == 1
    view_files.write(tmp_path, [], {})
    assert list((tmp_path / "views").iterdir()) == []


@pytest.mark.parametrize("name", ["../rows.json", "nothing.webp", 3])
def test_an_index_that_names_no_file_beside_it_is_refused(tmp_path, name):
    *_, shown = _of_picture(40, 60)
    path = view_files.write(tmp_path, shown, {})
    index = json.loads(path.read_text())
    index["views"][0]["source"] = name
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match="is not an index of views"):
        view_files.read(tmp_path)


def _of_sound(seconds=5.0, rate=8000):
    generator = np.random.default_rng(0)
    source = 0.3 * np.sin(np.arange(int(seconds * rate)) / 9)[:, None]
    members = source + generator.normal(0, 0.03, (2, *source.shape))
    subject = measure.Subject(source, name="seven", sample_rate=rate)
    row = {"rate_exact": 8 * 900 / source.size, "snr": 17.0, "kbps_exact": 1.4, "mse": 1e-3}
    return source, members, views.of(subject, row, (source, members), 2, 1.0)


def test_a_sound_is_seen_as_a_spectrogram_and_heard_in_the_middle(tmp_path):
    source, members, (view,) = _of_sound()
    assert view.bytes == 900 and view.metrics["kbps_exact"] == 1.4
    assert view.source.ndim == 3 and view.members.shape == (2, *view.source.shape)
    assert view.corner == (4000, 0) and view.whole == source.shape
    np.testing.assert_allclose(view.quality, 10 * np.log10(0.045 / 9e-4), atol=0.3)
    view_files.write(tmp_path, [view], {})
    (entry,) = view_files.read(tmp_path)["views"]
    assert entry["heard"]["seconds"] == 4.0 and entry["heard"]["sample_rate"] == 8000
    for path, x in zip(
        (entry["heard"]["source"], *entry["heard"]["members"]), (source, *members), strict=True
    ):
        read, rate = sounds.read(path)
        assert rate == 8000
        np.testing.assert_allclose(read, x[4000:36000], atol=2**-15)
    entry["heard"]["source"].unlink()
    with pytest.raises(ValueError, match="is no file beside it"):
        view_files.read(tmp_path)
