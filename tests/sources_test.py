import numpy as np
import pytest
import skimage.data
from scipy import stats

from synjax.data import sources

VARIANCES = (1.0, 0.25, 4.0)


def gaussian(**options):
    return sources.build("gaussian", **{"split": "train", "variances": VARIANCES, **options})


@pytest.mark.parametrize("split, count", [("train", 6), ("test", 3)])
def test_every_photograph_is_a_whole_colour_image(split, count):
    photos = sources.build("photos", split=split)
    assert photos.kind == "image" and len(photos) == len(list(photos)) == count
    for image in photos:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert min(image.shape[:2]) >= 128  # a crop of the photograph configuration
        assert np.any(image[..., 0] != image[..., 2])


def test_a_photograph_equals_the_one_that_scikit_image_loads():
    np.testing.assert_array_equal(
        sources.build("photos", split="test")[0], skimage.data.astronaut()
    )
    np.testing.assert_array_equal(sources.build("photos", split="test")[2], skimage.data.coffee())


def test_train_and_test_photographs_are_different_files_with_different_content():
    train, test = (sources.build("photos", split=split) for split in ("train", "test"))
    names = [photos.name(i) for photos in (train, test) for i in range(len(photos))]
    assert len(set(names)) == len({x.tobytes() for x in (*train, *test)}) == 9
    assert all(test.name(i) in ("astronaut", "chelsea", "coffee") for i in range(len(test)))


@pytest.mark.parametrize("damage", ["missing", "garbage", "truncated"])
def test_an_unreadable_photograph_is_named_in_one_line(tmp_path, monkeypatch, damage):
    whole = (sources.PHOTOGRAPH_DIRECTORY / "astronaut.png").read_bytes()
    content = {"garbage": b"not an image", "truncated": whole[:5000]}
    if damage in content:
        (tmp_path / "astronaut.png").write_bytes(content[damage])
    monkeypatch.setattr(sources, "PHOTOGRAPH_DIRECTORY", tmp_path)
    with pytest.raises(ValueError, match="astronaut.png") as caught:
        sources.build("photos", split="test")[0]
    assert "\n" not in str(caught.value)


def test_gaussian_samples_have_the_variances_and_are_normal_and_uncorrelated():
    count = 60_000
    x = gaussian().rows(np.arange(count))
    assert x.dtype == np.float32 and x.shape == (count, 3)
    for component, variance in zip(x.T, VARIANCES, strict=True):
        assert stats.kstest(component / np.sqrt(variance), "norm").pvalue > 1e-4
        assert abs(component.var() / variance - 1) < 5 * np.sqrt(2 / count)
    assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 5 / np.sqrt(count)


def test_gaussian_samples_never_repeat_across_blocks():
    x = gaussian().rows(np.arange(8 * sources.BLOCK))
    assert len(np.unique(x, axis=0)) == len(x)


def test_a_gaussian_sample_depends_on_its_address_alone():
    indices = [5000, 3, sources.BLOCK - 1, sources.BLOCK, 3]
    rows = gaussian().rows(indices)
    np.testing.assert_array_equal(rows, [gaussian(size=5001)[i] for i in indices])
    for other in (gaussian(seed=1), gaussian(split="test")):
        assert not np.any(other.rows(indices) == rows)


@pytest.mark.parametrize("index", [-1, 100])
def test_an_index_outside_a_synthetic_source_is_an_index_error(index):
    for source in (gaussian(size=100), sources.build("leaves", split="train", count=100)):
        with pytest.raises(IndexError):
            source[index]


def test_leaves_depend_on_their_address_alone():
    leaves = sources.build("leaves", split="train", size=32, count=3)
    image = leaves[2]
    assert leaves.kind == "image" and image.dtype == np.uint8 and image.shape == (32, 32, 3)
    sources._dead_leaves.cache_clear()
    np.testing.assert_array_equal(
        sources.build("leaves", split="train", size=32, count=9)[2], image
    )
    others = [{"seed": 1}, {"split": "test"}]
    for options in others:
        other = sources.build("leaves", **{"split": "train", "size": 32, "count": 3, **options})
        assert np.mean(other[2] != image) > 0.5
    assert np.mean(leaves[0] != image) > 0.5


def test_leaves_are_flat_regions_of_many_colours():
    image = sources.build("leaves", split="train", size=128, count=1)[0].astype(int)
    assert 0.85 < np.mean(np.all(image[:, 1:] == image[:, :-1], axis=-1)) < 1
    assert 20 < len(np.unique(image.reshape(-1, 3), axis=0)) <= 256


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("paintings", {}, "'paintings'; allowed: photos, gaussian, leaves"),
        ("photos", {"split": "validation"}, "'validation'; allowed: train, test"),
        ("photos", {"size": 3}, "photos: unknown option 'size'; allowed: none"),
        ("leaves", {"sise": 3}, "leaves: unknown option 'sise'; allowed: size, count, seed"),
        ("gaussian", {}, "gaussian: option 'variances' is required"),
        ("gaussian", {"variances": ()}, "variances must be a non-empty list"),
        ("gaussian", {"variances": 1.0}, "variances must be a non-empty list"),
        ("gaussian", {"variances": (1.0, 0.0)}, "variances must be positive, finite"),
        ("gaussian", {"variances": (1.0, np.inf)}, "variances must be positive, finite"),
        ("gaussian", {"variances": (1.0, np.nan)}, "variances must be positive, finite"),
        ("gaussian", {"variances": ("a",)}, "variances must be numbers"),
        ("gaussian", {"variances": (1.0,), "size": 0}, "size must be an integer >= 1, got 0"),
        ("gaussian", {"variances": (1.0,), "seed": -1}, "seed must be an integer >= 0, got -1"),
        ("leaves", {"size": 0}, "size must be an integer >= 1, got 0"),
        ("leaves", {"count": 1.5}, "count must be an integer >= 1, got 1.5"),
    ],
)
def test_a_source_that_cannot_be_built_says_why_in_one_line(name, options, message):
    with pytest.raises(ValueError) as caught:
        sources.build(name, **{"split": "train", **options})
    assert message in str(caught.value) and "\n" not in str(caught.value)
