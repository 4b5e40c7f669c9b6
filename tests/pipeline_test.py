import dataclasses
import itertools

import numpy as np
import pytest

from synjax.data import crops, pipeline, sources


@dataclasses.dataclass
class Images:
    """Given arrays as a source."""

    images: list
    kind: str = "image"

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i]

    def name(self, i):
        return f"image_{i}"


PHOTOS = sources.build("photos", split="train")
VECTORS = sources.build("gaussian", split="train", variances=(1.0, 0.5), size=100, seed=3)
IMAGE_OPTIONS = {"batch": 12, "crop": 16, "seed": 5}
CASES = [(PHOTOS, IMAGE_OPTIONS), (VECTORS, {"batch": 12, "seed": 5})]
both_kinds = pytest.mark.parametrize("source, options", CASES, ids=["images", "vectors"])


def batches(source, count, **options):
    iterator = pipeline.train_batches(source, **{"threads": 0, **options})
    return np.stack(list(itertools.islice(iterator, count)))  # [count, batch, …]


def coordinates(height, width):
    """An image whose first two channels are its own row and column."""
    grid = np.stack(np.mgrid[:height, :width], axis=-1)
    return np.concatenate([grid, np.zeros((height, width, 1))], axis=-1).astype(np.uint8)


@both_kinds
def test_batches_depend_on_the_seed_alone_and_not_on_threads(source, options):
    first = batches(source, 4, **options)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(batches(source, 4, **options), first)
    np.testing.assert_array_equal(batches(source, 4, **options, threads=2), first)
    assert np.mean(batches(source, 4, **{**options, "seed": 6}) != first) > 0.9


@both_kinds
@pytest.mark.parametrize("threads", [0, 2])
def test_a_restart_continues_exactly_where_the_run_was_cut(source, options, threads):
    whole = batches(source, 12, **options)
    resumed = batches(source, 5, **options, start_step=7, threads=threads)
    np.testing.assert_array_equal(resumed, whole[7:])


@both_kinds
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [6, 7, 11], [3]])
def test_some_rows_of_a_batch_are_those_rows_of_the_whole_batch(source, options, rows):
    whole = batches(source, 4, **options)
    some = batches(source, 3, **options, start_step=1, rows=rows)
    np.testing.assert_array_equal(some, whole[1:, rows])


def test_no_two_rows_are_the_same():
    noise = Images([np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)])
    for source, options in ((noise, IMAGE_OPTIONS), (VECTORS, {"batch": 12, "seed": 5})):
        rows = batches(source, 8, **options).reshape(96, -1)  # under an epoch of the vectors
        assert len(np.unique(rows, axis=0)) == 96


def test_vector_batches_go_round_the_whole_source():
    rows = batches(VECTORS, 25, batch=12, seed=0).reshape(300, 2)
    values, counts = np.unique(rows, axis=0, return_counts=True)
    np.testing.assert_array_equal(values, np.unique(VECTORS.rows(np.arange(100)), axis=0))
    assert set(counts) == {3}


def test_crops_lie_in_the_unit_interval_and_vary():
    crops = batches(PHOTOS, 8, batch=16, crop=32, seed=0)
    assert crops.shape == (8, 16, 32, 32, 3)
    assert crops.min() == 0 and 0.9 < crops.max() <= 1
    means = crops.mean(axis=(2, 3, 4)).ravel()
    assert means.std() > 0.1 and np.median(crops.std(axis=(2, 3))) > 0.03


def test_crops_at_scale_one_are_copies_in_all_eight_orientations_from_everywhere():
    source = Images([coordinates(20, 24)])
    crops = batches(source, 60, batch=50, crop=8, seed=0, scale_range=(1.0, 1.0))
    crops = np.rint(crops.reshape(-1, 8, 8, 3) * 255).astype(int)
    orientations, corners = set(), set()
    for crop in crops:
        down, right = crop[1, 0] - crop[0, 0], crop[0, 1] - crop[0, 0]
        expected = crop[0, 0] + np.arange(8)[:, None, None] * down + np.arange(8)[:, None] * right
        np.testing.assert_array_equal(crop, expected)
        orientations.add((*down, *right))
        corners.add(tuple(crop.min(axis=(0, 1))))
    assert len(orientations) == 8
    assert corners == {(top, left, 0) for top in range(13) for left in range(17)}


def test_the_scale_of_crops_fills_the_range_and_respects_the_photograph():
    ramp = np.repeat(np.arange(160, dtype=np.uint8)[None], 160, axis=0)[..., None].repeat(3, -1)
    for side, largest in ((160, 2.0), (40, 40 / 32)):
        source = Images([ramp[:side, :side]])
        crops = batches(source, 4, batch=50, crop=32, seed=0).reshape(-1, 32, 32, 3) * 255
        inner = crops[:, 8:25, 8:25, 0]  # [N, 17, 17], away from the borders of the filter
        steps = np.ptp(inner, axis=(1, 2)) / 16  # source pixels per crop pixel
        assert 1 <= steps.min() < 1.05 and abs(steps.max() - largest) < 0.08


def test_reduction_is_antialiased():
    checkerboard = np.indices((64, 64)).sum(axis=0) % 2 * 255
    source = Images([checkerboard.astype(np.uint8)[..., None].repeat(3, -1)])
    crops = batches(source, 4, batch=8, crop=16, seed=0, scale_range=(0.5, 0.5))
    assert np.abs(crops - 0.5).max() < 0.1


def test_photographs_are_drawn_by_their_pixels_up_to_the_cap():
    shades = np.array([0, 100, 200])
    shapes = [(1000, 1000), (250, 500), (250, 250)]
    source = Images([np.full((*s, 3), v, np.uint8) for s, v in zip(shapes, shades, strict=True)])
    crops = batches(source, 30, batch=100, crop=1, seed=0, scale_range=(1.0, 1.0))
    shares = [np.mean(np.rint(crops[..., 0] * 255) == shade) for shade in shades]
    np.testing.assert_allclose(shares, [4 / 7, 2 / 7, 1 / 7], atol=5 * 0.5 / np.sqrt(3000))


@pytest.mark.parametrize(
    "source, options, message",
    [
        (PHOTOS, {"crop": 215}, "crop 215 does not fit photograph rocket (214x320)"),
        (PHOTOS, {"crop": 300, "scale_range": (0.1, 0.5)}, "crop 300 does not fit photograph"),
        (PHOTOS, {"crop": None}, "crop must be a positive integer"),
        (PHOTOS, {"crop": 0}, "crop must be a positive integer"),
        (PHOTOS, {"scale_range": (0.0, 1.0)}, "0 < low <= high <= 1"),
        (PHOTOS, {"scale_range": (0.9, 0.5)}, "0 < low <= high <= 1"),
        (PHOTOS, {"scale_range": (0.5, 2.0)}, "0 < low <= high <= 1"),
        (PHOTOS, {"batch": 0}, "batch must be at least 1, got 0"),
        (PHOTOS, {"rows": []}, "rows must be some of 0..11, got []"),
        (PHOTOS, {"rows": [3, 12]}, "rows must be some of 0..11, got [3, 12]"),
        (PHOTOS, {"start_step": -1}, "start_step must be in"),
        (PHOTOS, {"seed": -1}, "seed must be in"),
        (PHOTOS, {"threads": -1}, "threads must not be negative"),
        (VECTORS, {}, "crop must be None for a source of vectors, got 16"),
        (VECTORS, {"crop": None, "batch": 101}, "batch 101 is larger than the source: 100"),
    ],
)
def test_a_batch_that_cannot_be_made_is_refused_at_once_in_one_line(source, options, message):
    with pytest.raises(ValueError) as caught:
        pipeline.train_batches(source, **{**IMAGE_OPTIONS, **options})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_evaluation_examples_are_whole_photographs_in_the_unit_interval():
    photos = sources.build("photos", split="test")
    examples = pipeline.evaluation_examples(photos)
    assert [example.name for example in examples] == ["astronaut", "chelsea", "coffee"]
    for example, image in zip(examples, photos, strict=True):
        assert example.x.dtype == np.float32 and example.x.max() <= 1
        np.testing.assert_array_equal(np.rint(example.x * 255), image)
    first = pipeline.evaluation_examples(photos, limit=2)
    assert [example.name for example in first] == ["astronaut", "chelsea"]


def test_evaluation_vectors_are_one_example_with_at_most_limit_samples():
    for limit, count in ((7, 7), (None, 100), (1000, 100)):
        (example,) = pipeline.evaluation_examples(VECTORS, limit=limit)
        assert example.name == f"gaussian_0..{count - 1}"
        np.testing.assert_array_equal(example.x, [VECTORS[i] for i in range(count)])
    with pytest.raises(ValueError, match="limit must be at least 1"):
        pipeline.evaluation_examples(VECTORS, limit=0)


def test_no_two_examples_have_one_name():
    assert pipeline._distinct(["a", "b", "a", "a (2)", "a"]) == [
        "a",
        "b",
        "a (2)",
        "a (2) (2)",
        "a (3)",
    ]


def test_recolouring_keeps_grey_grey_and_changes_colours():
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1) + 90, 3, axis=2)
    spread = crops.recoloured(grey, 1.0, np.random.default_rng(0)).astype(int)
    assert np.ptp(spread, axis=2).max() <= 1
    red = np.zeros((4, 4, 3), np.uint8)
    red[:2, :, 0] = 200
    assert np.abs(crops.recoloured(red, 1.0, np.random.default_rng(1)).astype(int) - red).max() > 20


def test_recolouring_of_negative_strength_is_refused():
    with pytest.raises(ValueError, match="recolour"):
        pipeline.train_batches(
            sources.build("leaves", split="train"), batch=2, crop=32, recolour=-1.0, seed=0
        )


def test_worker_processes_change_no_batch():
    photographs = sources.Photos(split="train")
    options = IMAGE_OPTIONS | {"crop": 32, "start_step": 3}
    read = pipeline.train_batches(photographs, **options, threads=1, workers=2)
    apart = np.stack([next(read) for _ in range(5)])
    read.close()
    np.testing.assert_array_equal(apart, batches(photographs, 5, **options))
