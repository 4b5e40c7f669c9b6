"""Starts the jobs of a sweep and waits for them.

The parent schedules and workers claim nothing: each is told by name which runs are its own, as
`./launch.sh sweep --workdir=DIR --runs=NAME;NAME`.
"""

import contextlib
import dataclasses
import time

from synjax.training import interruption

LOGS = "jobs"
SECONDS_BETWEEN_LOOKS = 0.2

# Both launchers keep what a worker prints, and signals reach the worker itself.
_LOGGED = ("/bin/sh", "-c", 'exec "$@" >"$0.out" 2>"$0.err"')


class Died(RuntimeError):
    """Some jobs ended without finishing their runs; the message says how many."""


@dataclasses.dataclass(frozen=True)
class Share:
    """How a sweep is shared.

    Attributes:
      launcher: `workers.Subprocess` or `slurm.Slurm`.
      jobs: how many workers there are at once.
      flags: of the command line, for every worker.
    """

    launcher: object
    jobs: int
    flags: tuple[str, ...] = ()


def launch(plans, share, verb, logs, console):
    """Runs all that is left of some plans.

    Args:
      plans: pairs (`training.plan.Plan`, its working directory).
      share: `Share`.
      verb: "sweep" to evaluate, too, or "train".
      logs: directory for what the workers print.
      console: rich console, told of every job that ended.

    Returns:
      How many jobs died; the others have done their part.

    Raises:
      interruption.Interrupted: SIGTERM or Ctrl-C; the jobs were told to stop and have ended.
    """
    # With what reads sweeps, which not all verbs do.
    from synjax.launching import waves as cutting
    from synjax.training import ledger

    def note(job, reason):
        for plan, home in plans:
            for run in cutting.left(plan, home, verb == "sweep") if home == job.home else ():
                if run.name in job.names:
                    ledger.note_death(home / plan.directory(run), reason)

    _await(share.launcher.left(), console)
    died = 0
    for wave in cutting.waves(plans, share.jobs, evaluated=verb == "sweep"):
        died += _run(wave, share, verb, logs, console, note)
    return died


def _await(left, console):
    """Waits for workers that an earlier start left; what they do not finish is done again."""
    if not left:
        return
    line = f"Waiting for the jobs of an earlier start: {', '.join(map(str, left))}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    told = False
    while any(handle.status() is None for handle in left):
        if interruption.requested() and not told:
            told = True
            for handle in left:
                handle.stop()
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if told:
        interruption.stop("with the jobs of an earlier start")


def _run(waiting, share, verb, logs, console, note):
    logs.mkdir(parents=True, exist_ok=True)
    waiting, running, died, told = list(waiting), {}, 0, False
    share.launcher.expect(max(min(share.jobs, len(waiting)), 1))
    while waiting or running:
        if interruption.requested() and not told:
            told, waiting = True, []
            for handle in running:
                handle.stop()
        while waiting and len(running) < share.jobs:
            job, stem = waiting.pop(0), _new_stem(logs)
            began = time.monotonic()
            command = job.command(verb, share.flags)
            handle = share.launcher.start([*_LOGGED, str(stem), *command])
            running[handle] = job, stem, began
        for handle in [handle for handle in running if handle.status() is not None]:
            job, stem, began = running.pop(handle)
            what = f"{stem}: {'; '.join(job.names)}"
            if told:
                line = f"{what}, stopped"
            elif handle.status() == 0:
                line = f"{what}, done in {time.monotonic() - began:.0f} s"
            else:
                died += 1
                reason = _last_line(stem.with_name(f"{stem.name}.err")) or handle.reason()
                reason = f"died with status {handle.status()}: {reason}"
                note(job, f"its job {reason}")
                line = f"{what}, {reason}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if running:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if told:
        interruption.stop("with all of its jobs")
    return died


def _new_stem(logs):
    """A name for the logs of a job that no other has: of this start or of an earlier one."""
    number = len(list(logs.glob("*.out")))
    while True:
        stem = logs / f"{number:04d}"
        with contextlib.suppress(FileExistsError):
            stem.with_name(f"{stem.name}.out").touch(exist_ok=False)
            return stem
        number += 1


def _last_line(path):
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
