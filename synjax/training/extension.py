"""Whether a sweep can grow to another: more λ's, seeds or variants, and nothing trained changes."""

from synjax.training import plan as planning
from synjax.training import runs as running

# What may be added to, and which setting says that one set of parameters serves all of it.
GROWING = {"sweep.lambda_d": "encoders", "sweep.lambda_p": "decoders"}
ADDED = (*GROWING, "sweep.also", "seeds", "variants")


def check(workdir, held, asked):
    """Raises ValueError unless a working directory can be continued with another configuration.

    Args:
      workdir: to name in the message.
      held: the configuration that it was made for; plain JSON, as `asked`.
      asked: the one to continue with: the same, or one that only has more of `ADDED` and a target
        for each.

    Raises:
      ValueError: something else differs, or what is trained would change; one line says what.
    """
    differing = differences(held, asked)
    if not differing:
        return
    other = [key for key in differing if not _may_grow(key, differing[key], differing)]
    if other:
        listed = "; ".join(
            f"{k} is {differing[k][0]!r} there, {differing[k][1]!r} here" for k in other
        )
        raise ValueError(f"{workdir} holds another sweep ({listed}); choose another directory")
    for key, setting in GROWING.items():
        if key in differing and held["sweep"][setting] != "separate":
            raise ValueError(
                f"{workdir} cannot be extended by {key}: one set of parameters serves all of them "
                f"(sweep.{setting} is {held['sweep'][setting]!r}) and would have to be trained "
                "anew; choose another directory, or in an experiment another variant"
            )
    if "variants" not in held:
        _check_runs(workdir, planning.make(held), planning.make(asked))


def _check_runs(workdir, before, after):
    """Every run and trial that there was is there still, and depends on what it did."""
    runs = {run.name: run for run in after.runs}
    for run in before.runs:
        if run.name not in runs or before.run_hash(run) != after.run_hash(runs[run.name]):
            why = "is not among" if run.name not in runs else "would be trained otherwise in"
            raise ValueError(
                f"{workdir} cannot be extended: {run.name} {why} the sweep that is asked for; "
                "choose another directory"
            )
    missing = {trial.name: trial for trial in before.trials}.items() - {
        trial.name: trial for trial in after.trials
    }.items()
    if missing:
        raise ValueError(f"{workdir} cannot be extended: trial {min(missing)[0]} would be another")


def _may_grow(key, values, differing):
    held, asked = values
    if not isinstance(held, list) or not isinstance(asked, list):
        return False
    if key == "seeds":  # the first draws the examples of the KLT that all share
        return asked[: len(held)] == held
    if key in ADDED:
        return all(value in asked for value in held)
    # Targets go with the λ's of their axis; the hash of each run sees to it that they fit.
    stage, _, term = key.partition(".targets.")
    axis = running.TARGETS.get(stage.removeprefix("stages."), {}).get(term)
    return f"sweep.{axis}" in differing


def differences(held, asked, prefix=""):
    """Key → (value there, value here) of all in which two configurations differ."""
    if not (isinstance(held, dict) and isinstance(asked, dict)):
        return {} if held == asked else {prefix[:-1]: (held, asked)}
    found = {}
    for key in sorted(set(held) | set(asked)):
        found |= differences(held.get(key), asked.get(key), f"{prefix}{key}.")
    return found
