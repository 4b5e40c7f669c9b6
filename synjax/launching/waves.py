"""What is left of a sweep, cut into jobs: encoders first, then what starts from them."""

import collections
import dataclasses
import pathlib
import sys

from synjax.training import ledger


@dataclasses.dataclass(frozen=True)
class Job:
    """Runs for one process: those that fit one compilation go together.

    Attributes:
      home: working directory.
      names: of the runs, all of one stage.
    """

    home: pathlib.Path
    names: tuple[str, ...]

    def command(self, verb, flags=()):
        """The command line of the worker, with further flags."""
        own = (f"--workdir={self.home.resolve()}", f"--runs={';'.join(self.names)}")
        return [sys.executable, "-m", "synjax.main", verb, *flags, *own]


def waves(plans, jobs, evaluated):
    """What is left to do, as lists of jobs; a list is made when those before it have ended.

    Args:
      plans: pairs (`training.plan.Plan`, its working directory).
      jobs: at most so many in a list, but for one of each stage and directory.
      evaluated: whether the rows of a run's trials are wanted, too.

    Yields:
      Lists of `Job`; a run whose parent is not there is in none of them.
    """
    for with_parent in (False, True):
        groups, seen = collections.defaultdict(list), set()
        for plan, home in plans:
            for run in plan.runs:
                place = (home / plan.directory(run)).resolve()
                if (run.parent is not None) != with_parent or place in seen:
                    continue
                if _is_left(plan, home, run, evaluated) and _parent_is_done(plan, home, run):
                    seen.add(place)
                    groups[home, run.stage.name].append(run.name)
        total = sum(map(len, groups.values()))
        yield [
            Job(home, tuple(names[start::parts]))
            for (home, _), names in groups.items()
            for parts in [max(1, min(len(names), round(jobs * len(names) / total)))]
            for start in range(parts)
        ]


def left(plan, home, evaluated):
    """The runs of a plan that are not done; arguments as for `waves`."""
    return [run for run in plan.runs if _is_left(plan, home, run, evaluated)]


def _is_left(plan, home, run, evaluated):
    if not _is_done(plan, home, run):
        return True
    trials = [trial.name for trial in plan.trials if trial.decoder == run.name]
    return evaluated and not all((home / ledger.TRIALS / t / ledger.ROWS).exists() for t in trials)


def _is_done(plan, home, run):
    """Whether a run is trained or never will be."""
    if ledger.is_finished(home / plan.directory(run), run.stage.steps):
        return True
    parents = [other for other in plan.runs if other.name == run.parent]
    return any((home / plan.directory(p) / ledger.FAILED).exists() for p in parents)


def _parent_is_done(plan, home, run):
    parents = [other for other in plan.runs if other.name == run.parent]
    return all(_is_done(plan, home, parent) for parent in parents)
