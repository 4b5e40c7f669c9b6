"""From trained parameters to rows: real bytes, decoded members, and what they are worth."""

import dataclasses
import functools
import itertools
import math
import time
from concurrent import futures

import jax
import numpy as np

from synjax import distortion, lpips, objective
from synjax.codec import bitstream, rendering, samples
from synjax.data import pipeline, sources
from synjax.evaluation import classical, fresh_critic, hearing, jpeg, limits, realism, views

SHOWN = 12  # vectors on a sheet
# Columns of the table that tell one measurement of a signal from another.
POINT = ("run", "trial", "lambda_d", "lambda_p", "realism", "level", "seed")
FLUSH_BITS = 32  # per group: the word that a range coder needs to be told apart from its successor


@dataclasses.dataclass(frozen=True, eq=False)
class Sheet:
    """What a sheet shows: a test picture or sound and its members at one level.

    Attributes:
      source: [H, W, 3]; [K, H, W], K vectors as grey pictures; or [T, 1].
      members: [M, *source.shape].
      level: that was decoded.
      caption: what they were trained for.
      vectors: whether these are vectors.
      sample_rate: of a sound, in Hz; 0 of others.
    """

    source: np.ndarray
    members: np.ndarray
    level: int
    caption: str
    vectors: bool
    sample_rate: int = 0


@functools.partial(jax.jit, static_argnums=0)
def _noisy_bits(codec, params, x, key, mask=None):
    symbols = codec.quantise(params, codec.analyse(params, x, mask), key)
    return codec.group_bits(params, symbols)


@dataclasses.dataclass(frozen=True, eq=False)
class Extras:
    """What a configuration asks for beside the usual measurements.

    Attributes:
      critic_steps: of the fresh critic, 0 for none.
      lpips: weights from `lpips.load`, or None.
      levels: that are measured; empty for all.
    """

    critic_steps: int
    lpips: dict | None
    levels: tuple[int, ...]

    def of(self, codec):
        """The levels of a codec that are measured, ascending."""
        return self.levels or tuple(range(1, codec.levels + 1))


def extras(config):
    """The extras of a configuration, files read.

    Args:
      config: with `evaluation.fresh_critic_steps`, `evaluation.lpips`, a path, and
        `evaluation.levels`, each optional.

    Raises:
      ValueError: a number of steps or a level that is none, or weights that are missing or damaged.
    """
    asked = config["evaluation"]
    steps = asked.get("fresh_critic_steps", 0)
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise ValueError(f"evaluation.fresh_critic_steps must be an integer from 0, got {steps!r}")
    loaded = lpips.load(asked["lpips"]) if asked.get("lpips") else None
    return Extras(steps, loaded, _levels(config))


def _levels(config):
    count = len(config["codec"]["groups"])
    levels = tuple(config["evaluation"].get("levels", ()))
    if not set(levels) <= set(range(1, count + 1)):
        raise ValueError(f"evaluation.levels must be of 1 to {count}, got {levels}")
    return tuple(sorted(set(levels)))


def require(config):
    """Raises ValueError where the evaluation of a configuration could not be carried out.

    That is what `extras` raises, and fewer test vectors than can be measured.
    """
    critic_steps = extras(config).critic_steps
    source = sources.of_config(config["data"], split="test")
    if classical.asked(config) and source.kind != "image":
        raise ValueError(f"evaluation.classical is for pictures, not {source.kind}s")
    count = min(config["evaluation"]["limit"] or len(source), len(source))
    fewest = max(realism.FEWEST_VECTORS, fresh_critic.FEWEST if critic_steps else 0)
    if source.kind == "vector" and count < fewest:
        raise ValueError(f"evaluation.limit leaves {count} vectors, needed are {fewest}")


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A test example [*S, C] or [N, n], and what is known of it.

    Attributes:
      x: a picture, a sound or vectors.
      jpeg_curve: of a picture, `jpeg.curve`.
      variances: of independent Gaussian components, whose limits are known.
      picture: (H, W) of vectors that can be shown.
      name: what its source calls it.
      sample_rate: of a sound, in Hz; 0 of others.
    """

    x: np.ndarray
    jpeg_curve: tuple | None = None
    variances: tuple | None = None
    picture: tuple | None = None
    name: str = ""
    sample_rate: int = 0


def subjects(config):
    """The test examples of a configuration, with what all trials compare them with."""
    source = sources.of_config(config["data"], split="test")
    examples = pipeline.evaluation_examples(source, limit=config["evaluation"]["limit"])
    if source.kind == "image":
        return [Subject(e.x, jpeg_curve=jpeg.curve(e.x), name=e.name) for e in examples]
    known = {name: getattr(source, name, None) for name in ("variances", "picture")}
    known["sample_rate"] = getattr(source, "sample_rate", 0)
    return [Subject(e.x, **known, name=e.name) for e in examples]


def trial_rows(plan, trial, params, examples, weights=None):
    """The rows of one trial, one for each level and realism.

    Args:
      plan: `training.plan.Plan`.
      trial: `training.plan.Trial`.
      params: its averaged parameters.
      examples: from `subjects`.
      weights: by which targets, if it has any, changed the weights of `objective.TERMS`: [3] of the
        run that trained its encoder and [3] of the one that trained its decoder.

    Returns:
      (rows, sheets, shown, singles): dicts with the columns of `reporting.table`; for what can be
      shown one `Sheet` per level of the first example, and the `views.View` of the first few; and
      what the rows are means of, a dict for every picture or sound.

    Raises:
      RuntimeError: a stream did not decode to the symbols that were encoded.
    """
    points = trial.lambda_d, trial.lambda_p
    artefact = bitstream.make(plan.codec, params, *points, plan.has_realism)
    reached, asked = _reached(trial, weights), extras(plan.config)
    rows, sheets, shown, singles = [], [], [], []
    for realism_asked in _realisms(plan, trial):
        measured = _measured(plan, trial, artefact.at(realism_asked), examples, asked)
        for place, level in enumerate(asked.of(plan.codec)):
            values = [of_example[place][0] for of_example in measured]
            row = _identity(plan, trial, level, _count(examples), realism_asked)
            rows.append(row | reached | _summary(values))
            if plan.codec.rank:  # vectors are one example
                point = {name: row[name] for name in POINT}
                for example, own in zip(examples, values, strict=True):
                    singles.append(point | {"signal": example.name} | own)
            if plan.codec.rank == 1:
                found = hearing.divergences([of_example[place][1] for of_example in measured])
                for name, values in found.items():
                    for suffix, value in zip(("", "_floor", "_se"), values, strict=True):
                        rows[-1][f"{name}{suffix}"] = value
            if plan.codec.rank == 2 and asked.critic_steps:
                pairs = [of_example[place][1] for of_example in measured]
                found = fresh_critic.of_photographs(pairs, steps=asked.critic_steps)
                for suffix, value in zip(("", "_floor", "_se"), found, strict=True):
                    rows[-1][f"fresh_critic_w1{suffix}"] = value
            first = measured[0][place][1]
            if first and realism_asked == 1:
                caption = f"λ_d {trial.lambda_d:g}, λ_p {trial.lambda_p:g}, level {level}"
                rate = plan.codec.sample_rate
                sheets.append(Sheet(*first, level, caption, not plan.codec.rank, rate))
            point = level, realism_asked
            for subject, of_example in zip(examples[: views.SIGNALS], measured, strict=False):
                shown += views.of(subject, *of_example[place], *point)
    return rows, sheets, shown, singles


def _measured(plan, trial, artefact, examples, asked):
    """Per example and level, metrics and what a sheet shows."""
    members = plan.config["evaluation"]["members"]
    measure = (_measure_vectors, _measure_sound, _measure_picture)[plan.codec.rank]
    with futures.ThreadPoolExecutor(2) as pool:
        work = functools.partial(measure, artefact, members=members, seed=trial.seed, asked=asked)
        return list(pool.map(work, examples))


def _realisms(plan, trial):
    """The β to measure a trial at; a decoder of λ_p = 0 has one."""
    asked = plan.config["evaluation"].get("realism", (1.0,))
    return sorted(set(asked)) if trial.lambda_p else (1.0,)


def _reached(trial, weights):
    """What targets made of λ_d and λ_p, in units of the weight of the rate (Eq. 62)."""
    if not any(map(math.isfinite, trial.targets)):
        return {}
    encoder, decoder = weights
    asked = zip(objective.TERMS, trial.targets, strict=True)
    # Beside a frozen encoder the rate has no weight: λ_p counts against λ_d, which counts against
    # the rate as its encoder found.
    unit = decoder[2] if trial.is_joint else decoder[0] * encoder[2] / encoder[0]
    return {
        "targets": ", ".join(f"{term} <= {most:g}" for term, most in asked if most < math.inf),
        "lambda_d_reached": trial.lambda_d * encoder[0] / encoder[2],
        "lambda_p_reached": trial.lambda_p * decoder[1] / unit,
    }


def failed_rows(plan, trial, reason, examples):
    """The rows of a trial that diverged: no measurement, but the reason."""
    status = {"status": "diverged", "reason": reason}
    return [
        _identity(plan, trial, level, _count(examples), realism_asked) | status
        for realism_asked in _realisms(plan, trial)
        for level in extras(plan.config).of(plan.codec)
    ]


def _count(examples):
    """Pictures, or vectors, which come many in one example."""
    return sum(len(e.x) if e.x.ndim == 2 else 1 for e in examples)


def _identity(plan, trial, level, count, realism_asked):
    config = plan.config
    return {
        "run": config["name"],
        "trial": trial.name,
        "stage": "joint" if trial.is_joint else "perception",
        "encoder_id": f"{trial.encoder}@{trial.lambda_d:g}",
        "config_hash": plan.config_hash,
        "lambda_d": trial.lambda_d,
        "lambda_p": trial.lambda_p,
        "level": level,
        "realism": realism_asked,
        "perception": config["perception"]["name"],
        "distortion": distortion.name_of(plan.runs[-1].stage.distortion or config["distortion"]),
        "members": config["evaluation"]["members"],
        "seed": trial.seed,
        "dataset": f"{config['data']['source']}:test",
        "n": count,
        "status": "ok",
    }


def _summary(values):
    """Means over examples; standard errors where the table has a column for them."""
    row = {}
    # What a small photograph has no room for is left out for all.
    measured = {name: v for name, v in values[0].items() if all(name in other for other in values)}
    for name, first in measured.items():
        is_text = isinstance(first, str)
        row[name] = first if is_text else float(np.mean([value[name] for value in values]))
    count = len(values)

    def error(of):
        return float(np.std(of, ddof=1) / np.sqrt(count)) if count > 1 else float("nan")

    if "mse_se" not in row:
        row["mse_se"] = error([value["mse"] for value in values])
    for name in [name for name in row if f"{name}_floor" in row]:
        if f"{name}_se" not in row:
            # The floor is measured on the same patches: their difference is what varies.
            row[f"{name}_se"] = error([v[name] - v[f"{name}_floor"] for v in values])
    return row


def _coded(artefact, x, level, members):
    """Encodes, decodes and compares.

    Returns:
      The stream, what was parsed of it, the synset [M, …], and the seconds of encoding and of
      decoding one member as columns of the table.
    """
    began = time.perf_counter()
    stream = bitstream.encode(artefact, x, level)
    encoded = time.perf_counter()
    parsed = bitstream.parse(artefact, stream)
    decoded = time.perf_counter()
    sent = bitstream.analyse(artefact, x).symbols[..., : sum(artefact.codec.groups[:level])]
    if not np.array_equal(parsed.symbols[..., : sent.shape[-1]], sent):
        raise RuntimeError(f"level {level}: the decoded symbols differ from the encoded ones")
    compared = time.perf_counter()
    synset = bitstream.render(artefact, parsed, members, level=level)
    rendered = (time.perf_counter() - compared) / len(synset)
    seconds = {"seconds_encode": encoded - began, "seconds_decode": decoded - encoded + rendered}
    return stream, parsed, synset, seconds


def _rates(artefact, x, stream, parsed, level, seed):
    """Rates in bits per element, three ways."""
    estimated = bitstream.estimated_bits(artefact, parsed)[:, :level].sum()
    batch, mask, share = x, None, 1.0
    if artefact.codec.rank == 2:
        batch = pipeline.pad_to(x, pipeline.bucket_shape(x.shape[:2], 128))[None]
        share = x.size / batch.size
    if artefact.codec.rank == 1:  # silence is cheap: what was added must not count
        place = rendering.place(artefact.codec, x.shape)
        batch, mask = place.signal(x)[None], place.latent(np.ones((*place.latent_sizes, 1)))[None]
    key = jax.random.key(seed)
    noisy = np.asarray(_noisy_bits(artefact.codec, artefact.params, batch, key, mask))
    noisy = noisy[:, :level].sum() * share
    header = 8 * bitstream.header_size(stream) + FLUSH_BITS * level
    rates = {"noisy": noisy, "estimated": estimated, "exact": 8.0 * len(stream)}
    row = {f"rate_{name}": bits / x.size for name, bits in rates.items()}
    if artefact.codec.rank == 1:
        seconds = len(x) / artefact.codec.sample_rate
        row |= {f"kbps_{name}": bits / seconds / 1000 for name, bits in rates.items()}
    if artefact.codec.rank == 2:
        pixels = x.shape[0] * x.shape[1]
        row |= {f"bpp_{name}": bits / pixels for name, bits in rates.items()}
    return row | {"rate_header": header / x.size, "header_bits": header}


def _synset_metrics(x, synset):
    """Distortions of members [M, …] against x […], per design: E-MSE, diversity, mse of mean."""
    axes = tuple(range(1, synset.ndim))
    errors = ((synset - x) ** 2).mean(axes)  # [M]
    pairs = itertools.combinations(range(len(synset)), 2)
    between = [((synset[i] - synset[j]) ** 2).mean() for i, j in pairs]
    mse, diversity = float(errors.mean()), float(np.mean(between)) if between else 0.0
    return {"mse": mse, "diversity": diversity, "mse_of_mean": mse - diversity / 2}, errors


def _consistency(artefact, parsed, synset, level):
    """Share of the sent symbols that analysing a member gives back (Eq. 15, 31)."""
    sent = parsed.symbols[..., : sum(artefact.codec.groups[:level])]
    again = [bitstream.analyse(artefact, member).symbols for member in synset]
    return float(np.mean([np.mean(a[..., : sent.shape[-1]] == sent) for a in again]))


def _measure_picture(artefact, example, *, members, seed, asked):
    """Per level (metrics, (source, members)) of one picture."""
    x = example.x
    results = []
    for level in asked.of(artefact.codec):
        stream, parsed, synset, seconds = _coded(artefact, x, level, members)
        synset = np.round(synset * 255).astype(np.float32) / 255  # a decoder writes 8-bit pictures
        row, errors = _synset_metrics(x, synset)
        row |= _rates(artefact, x, stream, parsed, level, seed)
        row |= {"mse_best": float(errors.min()), "mse_worst": float(errors.max())}
        row["psnr"] = float(np.mean(-10 * np.log10(np.maximum(errors, 1e-12))))
        row["ms_ssim"] = float(np.mean([classical.ms_ssim(x[None], m[None])[0] for m in synset]))
        if asked.lpips is not None:
            row["lpips"] = float(
                np.mean([lpips.lpips(asked.lpips, x[None], m[None])[0] for m in synset])
            )
        row["consistency"] = _consistency(artefact, parsed, synset, level)
        for name, (value, floor) in realism.photograph_divergences(x, synset).items():
            row |= {name: value, f"{name}_floor": floor}
        row["jpeg_psnr"] = jpeg.psnr_at(example.jpeg_curve, len(stream))
        row |= seconds
        results.append((row, (x, synset)))
    return results


def _measure_sound(artefact, example, *, members, seed, asked):
    """Per level (metrics, (source, members)) of one sound."""
    x = example.x
    results = []
    for level in asked.of(artefact.codec):
        stream, parsed, synset, seconds = _coded(artefact, x, level, members)
        synset = samples.of_sound(synset, 16) / np.float32(2**15)  # a decoder writes 16 bits
        row, errors = _synset_metrics(x, synset)
        row |= _rates(artefact, x, stream, parsed, level, seed)
        row |= {"mse_best": float(errors.min()), "mse_worst": float(errors.max())}
        row |= {"snr": hearing.snr(x, synset), "lsd": hearing.log_spectral_distance(x, synset)}
        row["consistency"] = _consistency(artefact, parsed, synset, level)
        row |= seconds
        results.append((row, (x, synset)))
    return results


def _measure_vectors(artefact, example, *, members, seed, asked):
    """Per level (metrics, what of it is shown) of vectors; standard errors are over vectors."""
    x = example.x
    results = []
    for level in asked.of(artefact.codec):
        stream, parsed, synset, seconds = _coded(artefact, x, level, members)  # [M, N, n]
        row, _ = _synset_metrics(x, synset)
        row |= _rates(artefact, x, stream, parsed, level, seed)
        of_vectors = ((synset - x) ** 2).mean(-1)  # [M, N]
        row |= {"mse_best": of_vectors.min(0).mean(), "mse_worst": of_vectors.max(0).mean()}
        row["mse_se"] = of_vectors.mean(0).std(ddof=1) / np.sqrt(len(x))
        row["consistency"] = _consistency(artefact, parsed, synset, level)
        of_rows = np.moveaxis(synset, 0, 1)  # [N, M, n]
        divergences = realism.vector_divergences(x, of_rows)
        if asked.critic_steps:
            found = fresh_critic.wasserstein1(x, of_rows, steps=asked.critic_steps)
            divergences["fresh_critic_w1"] = found
        for name, (value, floor, error) in divergences.items():
            row |= {name: value, f"{name}_floor": floor, f"{name}_se": error}
        if example.variances is not None:
            row |= _limits(artefact, example, parsed, synset, level, row)
        row |= seconds
        results.append((row, _shown(example, synset)))
    return results


def _shown(example, synset):
    """The first vectors and their members as pictures; None where they are not to be seen."""
    if example.picture is None:
        return None
    few = example.x[:SHOWN].reshape(-1, *example.picture)
    return few, synset[:, :SHOWN].reshape(len(synset), *few.shape)


def _limits(artefact, example, parsed, synset, level, row):
    """The bounds of a row, where they are known."""
    bits = bitstream.estimated_bits(artefact, parsed)[:, :level].sum(1)  # [N]
    found = limits.gaussian_limits(
        example.variances,
        example.x,
        synset,
        estimated=row["rate_estimated"],
        exact=row["rate_exact"],
        rate_se=bits.std(ddof=1) / np.sqrt(len(bits)) / example.x.shape[-1],
    )
    above = row["axis_wasserstein"] - row["axis_wasserstein_floor"]
    if above <= limits.AT_FLOOR * row["axis_wasserstein_se"]:
        found["rate_bound_private"] = limits.private_bound(example.variances, row["mse"])
    return found
