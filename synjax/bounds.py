"""The verb `bounds`: the least rate at given distortions and divergences."""

import math
import pathlib

import matplotlib.figure
import numpy as np
import pandas as pd

from synjax.reporting import plots, table
from synjax.theory import bernoulli, finite, gaussian

DIVERGENCES = {
    "gaussian": ("w2", "kl_x_to_xhat", "kl_xhat_to_x"),
    "bernoulli": ("tv",),
    "finite": ("tv", "kl_x_to_xhat", "kl_xhat_to_x"),
}
MOST_POINTS = 10_000


def numbers(name, text):
    """Numbers from text: "0.1", "0.1,0.2", "0.1:0.5:9" (first, last, how many), or "inf".

    Raises:
      ValueError: anything else, or more than `MOST_POINTS`.
    """
    found = []
    for part in text.split(","):
        ends = part.split(":")
        try:
            if len(ends) == 3:
                count = int(ends[2])
                if not 2 <= count <= MOST_POINTS:
                    raise ValueError
                found += np.linspace(float(ends[0]), float(ends[1]), count).tolist()
            else:
                found.append(float(part))
        except ValueError:
            raise ValueError(
                f"{name} takes numbers, A,B,… or FIRST:LAST:COUNT with COUNT in 2…{MOST_POINTS}, "
                f"got {text!r}"
            ) from None
    return found


def tabulate(
    source, parameters, distortions, perceptions, divergence=None, common_randomness=math.inf
):
    """R(D, P) at every pair of distortion and perception.

    Args:
      source: key of `DIVERGENCES`. "gaussian" has squared error per dimension; the others Hamming
        distortion.
      parameters: variances; or (p,); or the probabilities of the symbols.
      distortions, perceptions: lists of numbers.
      divergence: one of the source's; None takes its first.
      common_randomness: bits/dim; for Gaussians at perception 0 only.

    Returns:
      DataFrame with the columns distortion, perception, rate (bits/dim, of a Gaussian vector, or
      bits/symbol), kind ("exact" or "upper"), and certificate (bits by which the rate may be too
      high, for a finite source).

    Raises:
      ValueError: an argument that is unknown or makes no sense.
    """
    if source not in DIVERGENCES:
        raise ValueError(f"source is {source!r}, must be one of {', '.join(DIVERGENCES)}")
    divergence = divergence or DIVERGENCES[source][0]
    if divergence not in DIVERGENCES[source]:
        allowed = ", ".join(DIVERGENCES[source])
        raise ValueError(f"divergence of {source!r} is {divergence!r}, must be one of {allowed}")
    if common_randomness != math.inf and source != "gaussian":
        raise ValueError("common_randomness is known for source 'gaussian' only")
    rows = []
    for perception in perceptions:
        for distortion in distortions:
            row = {"distortion": distortion, "perception": perception, "kind": "exact"}
            if source == "gaussian":
                row["rate"] = gaussian.rate_distortion_perception(
                    parameters, distortion, perception, divergence, common_randomness
                )
                row["kind"] = gaussian.BOUND_KIND[divergence]
            elif source == "bernoulli":
                if len(parameters) != 1:
                    raise ValueError(f"bernoulli takes one probability, got {parameters}")
                row["rate"] = bernoulli.rate_distortion_perception(
                    parameters[0], distortion, perception
                )
            else:
                hamming = 1.0 - np.eye(len(parameters))
                row["rate"], _, row["certificate"] = finite.rate_distortion_perception(
                    np.asarray(parameters), hamming, distortion, perception, divergence
                )
            rows.append(row)
    columns = ["distortion", "perception", "rate", "kind", "certificate"]
    return pd.DataFrame(rows, columns=columns).dropna(axis=1, how="all")


def write(results, directory, label):
    """Writes bounds.csv, and rate against distortion as bounds.png and bounds.svg.

    Args:
      results: from `tabulate`.
      directory: where to.
      label: title of the plot: source and divergence.

    Returns:
      The paths.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    content = results.to_csv(index=False, lineterminator="\n").encode()
    paths = [table.replace_file(directory / "bounds.csv", content)]
    with plots.style():
        figure = matplotlib.figure.Figure(figsize=(6.0, 4.0), layout="constrained")
        axes = figure.subplots()
        for perception, rows in results.groupby("perception"):
            rows = rows.sort_values("distortion")
            marker = "o" if len(rows) == 1 else ""
            axes.plot(rows.distortion, rows.rate, marker=marker, label=f"P = {perception:g}")
        axes.set_xlabel("distortion D")
        axes.set_ylabel("least rate R(D, P) (bits)")
        axes.set_title(label, fontsize=9)
        axes.legend()
        return paths + plots.save(figure, directory / "bounds")
