"""From trained parameters to the rows of the table."""

import dataclasses
import functools
import itertools
import math
from concurrent import futures

import numpy as np

from synjax import distortion, objective
from synjax.codec import bitstream
from synjax.data import pipeline, sources
from synjax.evaluation import (
    classical,
    fresh_critic,
    hearing,
    jpeg,
    measure,
    realism,
    sending,
    views,
)

# Columns of the table that tell one measurement of a signal from another.
POINT = ("run", "trial", "lambda_d", "lambda_p", "realism", "level", "seed")


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


def require(config):
    """Raises ValueError where the evaluation of a configuration could not be carried out.

    That is what `extras` raises, and fewer test vectors than can be measured.
    """
    critic_steps = measure.extras(config).critic_steps
    source = sources.of_config(config["data"], split="test")
    if classical.asked(config) and source.kind != "image":
        raise ValueError(f"evaluation.classical is for pictures, not {source.kind}s")
    count = min(config["evaluation"]["limit"] or len(source), len(source))
    fewest = max(realism.FEWEST_VECTORS, fresh_critic.FEWEST if critic_steps else 0)
    if source.kind == "vector" and count < fewest:
        raise ValueError(f"evaluation.limit leaves {count} vectors, needed are {fewest}")


def subjects(config):
    """The test examples of a configuration, with what all trials compare them with."""
    source = sources.of_config(config["data"], split="test")
    examples = pipeline.evaluation_examples(source, limit=config["evaluation"]["limit"])
    if source.kind == "image":
        return [measure.Subject(e.x, jpeg_curve=jpeg.curve(e.x), name=e.name) for e in examples]
    known = {name: getattr(source, name, None) for name in ("variances", "picture")}
    known["sample_rate"] = getattr(source, "sample_rate", 0)
    return [measure.Subject(e.x, **known, name=e.name) for e in examples]


def trial_rows(plan, trial, params, examples, weights=None):
    """The rows of one trial, one for each level and realism.

    Args:
      plan: `training.plan.Plan`.
      trial: `training.runs.Trial`.
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
    reached, asked = _reached(trial, weights), measure.extras(plan.config)
    rows, sheets, shown, singles = [], [], [], []
    levels = asked.of(plan.codec)
    send = functools.partial(sending.send, artefact, seed=trial.seed, levels=levels)
    sent = _of_all(send, [example.x for example in examples])
    count = plan.config["evaluation"]["members"]
    one = (measure.vectors, measure.sound, measure.picture)[plan.codec.rank]
    # What is compared between sounds or seen by a fresh critic is of all of them.
    kept = math.inf if plan.codec.rank == 1 or asked.critic_steps else views.SIGNALS
    for realism_asked in _realisms(plan, trial):
        measure_one = functools.partial(one, artefact.at(realism_asked), members=count, asked=asked)
        measured = _of_all(_forgetting(measure_one, kept), itertools.count(), examples, sent)
        for place, level in enumerate(levels):
            values = [of_example[place][0] for of_example in measured]
            row = _identity(plan, trial, level, _count(plan, examples), realism_asked)
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


def _of_all(function, *columns):
    """A function of each example, two at a time: what waits for a device leaves the other core."""
    with futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, *columns))


def _forgetting(measure_one, kept):
    """A function of a signal's place too, which keeps the decoded pictures of the first alone."""

    def measured(place, *arguments):
        found = measure_one(*arguments)
        return found if place < kept else [(row, None) for row, _ in found]

    return measured


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
        _identity(plan, trial, level, _count(plan, examples), realism_asked) | status
        for realism_asked in _realisms(plan, trial)
        for level in measure.extras(plan.config).of(plan.codec)
    ]


def _count(plan, examples):
    """Pictures and sounds, or vectors, which come many in one example."""
    return len(examples) if plan.codec.rank else sum(len(e.x) for e in examples)


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
        "dataset": config["data"].get("test") or f"{config['data']['source']}:test",
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
