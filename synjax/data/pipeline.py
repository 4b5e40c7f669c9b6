"""From a source to training batches and evaluation examples.

Training batches are addressed by step, so a restarted run reads what the interrupted one would
have read, and sharded by row, so any number of processes reads the same global batches.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import grain
import numpy as np
from absl import flags

from synjax.data import crops, reading_ahead

STEPS = 2**31


@dataclasses.dataclass(frozen=True)
class Example:
    """One thing to evaluate: an image [H, W, C], a sound [T, 1], or vectors [N, n]; float32."""

    name: str
    x: np.ndarray


def train_batches(
    source,
    *,
    batch: int,
    crop: int | None = None,
    scale_range: tuple[float, float] = (0.5, 1.0),
    recolour: float = 0.0,
    seed: int,
    rows: Sequence[int] | None = None,
    start_step: int = 0,
    threads: int = 2,
    workers: int = 0,
) -> Iterator[np.ndarray]:
    """Endless training batches: crops of images, excerpts of sounds, consecutive vectors.

    Image batches are float32 [len(rows), crop, crop, 3] in [0, 1]: a photograph, of a few drawn
    as `crops.ByPixels` has it and of many `crops.InEpochs`, reduced by a factor uniform in
    `scale_range` (raised where the photograph is too small for it), cropped, flipped and transposed
    at random, and given other colours where `recolour`, the strength of that, is positive. Vector
    batches are float32 [len(rows), n]: independent samples need no shuffling, so
    batch k holds samples o + k * batch, ... modulo the source's length, `seed` choosing o. A finite
    data set is in a random order of its own, which every epoch repeats, shifted against the batches
    by what `batch` leaves of the length.

    Batches of sounds are float32 [len(rows), crop, 1] in [−1, 1], `crop` samples in a row from a
    random place of each, in the order of `crops.InEpochs`.

    Batch k is a pure function of (seed, k); `start_step` is the k of the first one, and `rows` are
    those of its rows 0..batch-1 that are wanted here (None: all), so that any number of processes
    reads the same global batches.
    `threads` batches are prepared at once ahead of their use (0: in the caller's thread), by each
    of `workers` processes (0: by this one).

    Raises ValueError, before the first batch, for numbers out of range, a crop that does not fit
    every photograph, rows that the batch does not have, an unreadable photograph.
    """
    _require_numbers(batch, seed, start_step, threads, workers)
    rows = _rows(batch, rows)
    if source.kind == "image":
        if recolour < 0:
            raise ValueError(f"recolour must not be negative, got {recolour}")
        _require_crop(source, crop, scale_range)
        few = not getattr(source, "many", False)
        images = [source[i] for i in range(len(source))] if few else source
        choose = crops.ByPixels(images) if few else crops.InEpochs(len(source), batch, seed)
        cut = crops.RandomCrop(images, choose, crop, tuple(scale_range), recolour)
        draws = grain.MapDataset.range(STEPS * batch).random_map(cut, seed=seed)
        batches = grain.MapDataset.range(STEPS).map(
            lambda step: _stack([draws[step * batch + row] for row in rows])
        )
    elif source.kind == "sound":
        if crop is None or crop < 1:
            raise ValueError(f"crop must be a positive integer for a source of sounds, got {crop}")
        cut = crops.RandomExcerpt(source, crops.InEpochs(len(source), batch, seed), crop)
        draws = grain.MapDataset.range(STEPS * batch).random_map(cut, seed=seed)
        batches = grain.MapDataset.range(STEPS).map(
            lambda step: np.stack([draws[step * batch + row] for row in rows])
        )
    else:
        if crop is not None:
            raise ValueError(f"crop must be None for a source of vectors, got {crop}")
        if batch > len(source):
            raise ValueError(f"batch {batch} is larger than the source: {len(source)} samples")
        offset = np.random.default_rng(seed).integers(len(source))
        batches = grain.MapDataset.range(STEPS).map(
            lambda step: source.rows((step * batch + offset + rows) % len(source))
        )
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    read = batches[start_step:].to_iter_dataset(options)
    if workers:
        if not flags.FLAGS.is_parsed():  # grain reads its own there
            flags.FLAGS.mark_as_parsed()
        processes = grain.multiprocessing.MultiprocessingOptions(num_workers=workers)
        read = read.mp_prefetch(processes, worker_init_fn=reading_ahead.begin)
    return iter(read)


def evaluation_examples(source, *, limit: int | None = None) -> list[Example]:
    """The source's first `limit` items (None: all), whole and in order.

    Images and sounds give one Example each; vectors give a single Example that holds them all.
    Raises ValueError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1 or None, got {limit}")
    count = min(len(source), limit or len(source))
    if source.kind == "vector":
        name = f"{source.name(0)}..{count - 1}"
        return [Example(name, source.rows(np.arange(count)))]
    names = _distinct(source.name(i) for i in range(count))
    if source.kind == "sound":
        return [Example(name, source[i]) for i, name in enumerate(names)]
    return [Example(name, _stack([source[i]])[0]) for i, name in enumerate(names)]


def _distinct(names):
    """The names, with a number behind each that was there before: a.jpg and a.png are both a."""
    found = {}
    for name in names:
        others = (f"{name} ({number})" for number in itertools.count(2))
        found[name if name not in found else next(n for n in others if n not in found)] = None
    return list(found)


def _stack(images: list[np.ndarray]) -> np.ndarray:
    return np.stack(images) / np.float32(255)  # [B, H, W, 3] in [0, 1]


def _rows(batch, rows):
    rows = np.arange(batch) if rows is None else np.asarray(rows)
    if rows.ndim != 1 or not rows.size or rows.min() < 0 or rows.max() >= batch:
        raise ValueError(f"rows must be some of 0..{batch - 1}, got {rows.tolist()}")
    return rows


def _require_numbers(batch, seed, start_step, threads, workers):
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be in 0..{2**32 - 1}, got {seed}")
    if not 0 <= start_step < STEPS:
        raise ValueError(f"start_step must be in 0..{STEPS - 1}, got {start_step}")
    if threads < 0:
        raise ValueError(f"threads must not be negative, got {threads}")
    if workers < 0:
        raise ValueError(f"workers must not be negative, got {workers}")


def _require_crop(source, crop, scale_range):
    low, high = scale_range
    if not 0 < low <= high <= 1:
        raise ValueError(f"scale_range must satisfy 0 < low <= high <= 1, got {low}, {high}")
    if crop is None or crop < 1:
        raise ValueError(f"crop must be a positive integer for a source of images, got {crop}")
    # Of many pictures the source knows the smallest, or has a draw that meets it say so.
    many = getattr(source, "many", False)
    smallest = [source.smallest] if many else range(len(source))
    for i in (i for i in smallest if i is not None):
        height, width = source[i].shape[:2]
        if crop > high * min(height, width):
            raise ValueError(
                f"crop {crop} does not fit photograph {source.name(i)} ({height}x{width}) "
                f"at scale {high} or below"
            )
