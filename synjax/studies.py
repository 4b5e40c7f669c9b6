"""What the verbs without a sweep do: comparisons, bounds, the audit, the study of estimators."""

import pathlib

from synjax import bounds as bounding
from synjax import lpips
from synjax.data import pipeline, prepared, sources
from synjax.evaluation import classical as classical_codecs
from synjax.evaluation import estimator_study
from synjax.reporting import comparison, comparison_report, progress, table
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


def classical(address, directory, weights, limit, out, console):
    """Measures classical codecs on pictures and writes tables that `compare` takes.

    Args:
      address: folder:PATH or tfds:NAME[:SPLIT], all pictures there; "photos" for the bundled ones.
      directory: where TFDS keeps its data sets; None for its own default.
      weights: path of LPIPS weights; None measures no LPIPS.
      limit: how many pictures; None for all.
      out: directory.
      console: rich console.

    Raises:
      ValueError: pictures or weights that cannot be read.
    """
    of_address = address.partition(":")[0] in prepared.SCHEMES
    if not of_address and address != "photos":
        raise ValueError(f"classical takes folder:PATH, tfds:NAME or photos, got {address!r}")
    split = prepared.EVERYTHING if of_address else "test"
    given = {"directory": directory} if of_address and directory else {}
    loaded = lpips.load(weights) if weights else None
    source = sources.build(address, split=split, **given)
    examples = pipeline.evaluation_examples(source, limit=limit)
    with progress.Progress(console) as bar:

        def show(done):
            bar.update("pictures", done, len(examples), examples[done - 1].name)

        single, means = classical_codecs.tabulate(examples, loaded, told=show)
    shown = means.to_string(index=False, float_format="{:.4f}".format)
    console.print(f"Means of {len(examples)} pictures", highlight=False)
    console.print(shown, highlight=False, soft_wrap=True)
    for path in classical_codecs.write(single, means, out):
        console.print(f"Wrote {path}", highlight=False, markup=False, soft_wrap=True)
