"""The verb `package`: the codec of a trial as an artefact."""

import dataclasses
import pathlib

from synjax import sweep as sweeping
from synjax.codec import package as packaging
from synjax.training import plan as planning
from synjax.verbs import workdirs


def package(workdir, trial_name, codec, console):
    """Writes the codec of a trial as an artefact.

    Args:
      workdir: of a sweep that trained the trial.
      trial_name: as the table names it.
      codec: directory to make.
      console: rich console.

    Raises:
      ValueError: no such trial, or one that is not trained or has diverged; the directory exists.
    """
    home = workdirs.only(workdir)
    plan = planning.make(sweeping.read_config(workdir))
    trials = {trial.name: trial for trial in plan.trials}
    if trial_name not in trials:
        raise ValueError(f"{workdir} has no trial {trial_name!r}; it has {'; '.join(trials)}")
    packaging.require_new(codec)
    trial = trials[trial_name]
    needed = tuple(run for run in plan.runs if run.name in (trial.encoder, trial.decoder))
    plan = dataclasses.replace(plan, runs=needed)
    outcome = workdirs.train(plan, home, console, only_read=True)[trial.decoder]
    if outcome.failure:
        raise ValueError(f"trial {trial.name} has no codec: {outcome.failure}")
    points = trial.lambda_d, trial.lambda_p
    artefact = packaging.make(plan.codec, outcome.params, *points, plan.has_realism)
    packaging.save(artefact, codec)
    fingerprint = artefact.fingerprint[:4].hex()
    size = sum(path.stat().st_size for path in pathlib.Path(codec).iterdir())
    line = f"{codec}: codec {fingerprint} of trial {trial.name}, {size} bytes"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
