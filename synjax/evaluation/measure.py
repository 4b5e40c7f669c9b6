"""One test signal that was sent, decoded: what its members and their distances are."""

import dataclasses
import functools
import itertools

import numpy as np

from synjax import lpips
from synjax.codec import bitstream, samples
from synjax.evaluation import classical, fresh_critic, hearing, jpeg, limits, realism, sending

SHOWN = 12  # vectors on a sheet


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
    count = len(config["codec"]["groups"] or (None,))  # vectors may leave it to their dimensions
    levels = tuple(config["evaluation"].get("levels", ()))
    if not set(levels) <= set(range(1, count + 1)):
        raise ValueError(f"evaluation.levels must be of 1 to {count}, got {levels}")
    return tuple(sorted(set(levels)))


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

    @functools.cached_property
    def photograph(self):
        """Of a picture, what all trials compare their reconstructions with."""
        return realism.Photograph(self.x)


def _synset_metrics(x, synset):
    """Distortions of members [M, …] against x […], per design: E-MSE, diversity, mse of mean."""
    axes = tuple(range(1, synset.ndim))
    errors = ((synset - x) ** 2).mean(axes)  # [M]
    pairs = itertools.combinations(range(len(synset)), 2)
    between = [((synset[i] - synset[j]) ** 2).mean() for i, j in pairs]
    mse, diversity = float(errors.mean()), float(np.mean(between)) if between else 0.0
    return {"mse": mse, "diversity": diversity, "mse_of_mean": mse - diversity / 2}, errors


def _consistency(artefact, parsed, synset):
    """Share of the sent symbols that analysing a member gives back (Eq. 15, 31)."""
    sent = parsed.symbols[..., : sum(artefact.codec.groups[: parsed.level])]
    again = [bitstream.analyse(artefact, member).symbols for member in synset]
    return float(np.mean([np.mean(a[..., : sent.shape[-1]] == sent) for a in again]))


def _shared(artefact, x, sent, synset):
    """What pictures and sounds are measured by alike: (row, errors [M] of the members)."""
    row, errors = _synset_metrics(x, synset)
    row |= sent.rates
    row |= {"mse_best": float(errors.min()), "mse_worst": float(errors.max())}
    row["consistency"] = _consistency(artefact, sent.parsed, synset)
    return row, errors


def picture(artefact, example, sent_levels, *, members, asked):
    """Measures a picture.

    Args:
      artefact: `codec.package.Artefact`.
      example: `Subject`.
      sent_levels: what it was sent as at the levels that are measured, of `sending.send`.
      members: M, drawn from the synset; 0 for one without randomness.
      asked: `Extras`.

    Returns:
      Per level that is measured (metrics by column of the table, (source, members)).
    """
    x = example.x
    results = []
    for sent in sent_levels:
        synset, seconds = sending.members(artefact, sent, members)
        synset = np.round(synset * 255).astype(np.float32) / 255  # a decoder writes 8-bit pictures
        row, errors = _shared(artefact, x, sent, synset)
        row["psnr"] = float(np.mean(-10 * np.log10(np.maximum(errors, 1e-12))))
        row["ms_ssim"] = float(np.mean([classical.ms_ssim(x[None], m[None])[0] for m in synset]))
        if asked.lpips is not None:
            row["lpips"] = float(
                np.mean([lpips.lpips(asked.lpips, x[None], m[None])[0] for m in synset])
            )
        for name, (value, floor) in example.photograph.divergences(synset).items():
            row |= {name: value, f"{name}_floor": floor}
        row["jpeg_psnr"] = jpeg.psnr_at(example.jpeg_curve, len(sent.stream))
        row |= seconds
        results.append((row, (x, synset)))
    return results


def sound(artefact, example, sent_levels, *, members, asked):
    """Measures a sound [T, 1], as `picture` does."""
    del asked
    x = example.x
    results = []
    for sent in sent_levels:
        synset, seconds = sending.members(artefact, sent, members)
        synset = samples.of_sound(synset, 16) / np.float32(2**15)  # a decoder writes 16 bits
        row, _ = _shared(artefact, x, sent, synset)
        row |= {"snr": hearing.snr(x, synset), "lsd": hearing.log_spectral_distance(x, synset)}
        row |= seconds
        results.append((row, (x, synset)))
    return results


def vectors(artefact, example, sent_levels, *, members, asked):
    """Per level (metrics, what of it is shown) of vectors; standard errors are over vectors."""
    x = example.x
    results = []
    for sent in sent_levels:
        synset, seconds = sending.members(artefact, sent, members)  # [M, N, n]
        row, _ = _synset_metrics(x, synset)
        row |= sent.rates
        of_vectors = ((synset - x) ** 2).mean(-1)  # [M, N]
        row |= {"mse_best": of_vectors.min(0).mean(), "mse_worst": of_vectors.max(0).mean()}
        row["mse_se"] = of_vectors.mean(0).std(ddof=1) / np.sqrt(len(x))
        row["consistency"] = _consistency(artefact, sent.parsed, synset)
        of_rows = np.moveaxis(synset, 0, 1)  # [N, M, n]
        divergences = realism.vector_divergences(x, of_rows)
        if asked.critic_steps:
            found = fresh_critic.wasserstein1(x, of_rows, steps=asked.critic_steps)
            divergences["fresh_critic_w1"] = found
        for name, (value, floor, error) in divergences.items():
            row |= {name: value, f"{name}_floor": floor, f"{name}_se": error}
        if example.variances is not None:
            row |= _limits(artefact, example, sent.parsed, synset, row)
        row |= seconds
        results.append((row, _shown(example, synset)))
    return results


def _shown(example, synset):
    """The first vectors and their members as pictures; None where they are not to be seen."""
    if example.picture is None:
        return None
    few = example.x[:SHOWN].reshape(-1, *example.picture)
    return few, synset[:, :SHOWN].reshape(len(synset), *few.shape)


def _limits(artefact, example, parsed, synset, row):
    """The bounds of a row, where they are known."""
    bits = bitstream.estimated_bits(artefact, parsed).sum(1)  # [N]
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
