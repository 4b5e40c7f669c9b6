"""What the verbs without a sweep do: comparisons, bounds, the audit, the study of estimators."""

import pathlib

from synjax import bounds as bounding
from synjax.evaluation import estimator_study
from synjax.reporting import comparison, comparison_report, table
from synjax.theory import audit as auditing


def compare(paths, out, metric, against, console):
    """Compares the curves of tables and external results, prints their BD-rates and writes them.

    Args:
      paths: as `comparison.load` takes them.
      out: directory, new or of an earlier comparison.
      metric: the quality.
      against: name of the one curve that is compared with; None for all.
      console: rich console.
    """
    comparison_report.require_own(out, paths)
    compared = comparison.load(paths, metric)
    pairs = comparison.deltas(compared, against)
    paths = comparison_report.write(compared, pairs, out)
    comparison_report.print_deltas(compared, pairs, console)
    console.print("Wrote", highlight=False)
    for path in paths:
        console.print(f"  {path}", highlight=False, markup=False, soft_wrap=True)


def bounds(settings, console):
    """Prints what theory allows: one rate, or a table whose CSV and plot are written.

    Args:
      settings: dict of the verb's flags, all text.
      console: rich console.
    """
    source, divergence = settings["source"], settings["divergence"]
    name = "variances" if source == "gaussian" else "probabilities"
    given = {
        key: bounding.numbers(key, settings[key])
        for key in (name, "distortion", "perception", "common_randomness")
    }
    if len(given["common_randomness"]) != 1:
        raise ValueError("common_randomness takes one number")
    results = bounding.tabulate(
        source,
        given[name],
        given["distortion"],
        given["perception"],
        divergence,
        given["common_randomness"][0],
    )
    if len(results) == 1:
        kind = "" if results.kind[0] == "exact" else "  (an upper bound of R(D, P))"
        unit = "bits/dim" if source == "gaussian" else "bits/symbol"
        console.print(f"{results.rate[0]:.6f} {unit}{kind}", highlight=False)
        return
    console.print(results.to_string(index=False, float_format="{:.6g}".format), highlight=False)
    title = f"{source}, {divergence or bounding.DIVERGENCES[source][0]}"
    for path in bounding.write(results, settings["out"], title):
        console.print(f"Wrote {path}", highlight=False, soft_wrap=True)


def audit(out, count, seed, console):
    """Evaluates every statement of the paper, prints the table and writes the document."""
    results = auditing.run(count=count, seed=seed)
    print(auditing.text(results, max(console.width, 100)))
    path = pathlib.Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.replace_file(path, auditing.markdown(results, seed=seed).encode())
    console.print(f"Wrote {path}", highlight=False, soft_wrap=True)


def estimators(out, repeats, seed, console):
    """Tries every estimator of a divergence on pairs whose divergence is known."""
    estimator_study.study(out, repeats, seed, console)
