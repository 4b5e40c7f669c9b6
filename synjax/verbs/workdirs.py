"""Plans and the directories that they are worked on in, for every verb of a sweep."""

import contextlib
import pathlib

from synjax import measured
from synjax import sweep as sweeping
from synjax.bench import machine
from synjax.data import sources
from synjax.evaluation import evaluate as evaluation
from synjax.launching import waves, workers
from synjax.reporting import calls, progress
from synjax.training import interruption, ledger, mesh
from synjax.training import plan as planning

VARIANTS = "variants"


def open_plans(config, workdir, experiment, devices=None):
    """Checked plans and the working directories that they are trained in.

    An experiment that compares several configurations has one of each for every variant, below the
    working directory; encoders that the variants agree on are trained once.
    """
    workdir = pathlib.Path(workdir)
    measured.refuse(workdir)
    if not hasattr(experiment, "variants"):
        plan = planning.make(config)
        evaluation.require(plan.config)  # what is missing is said before hours of training
        ledger.check(sweeping.check_workdir(workdir, plan.config), plan)
        sweeping.fitted(devices, [plan])
        mesh.wait("checked")  # what is made now must not be found by who still checks
        home = open_one(workdir, plan.config)
        if mesh.is_first():
            ledger.write(home, plan)
        return [(plan, home)]
    plans = {
        name: planning.make(
            own | {"name": f"{config['name']}/{name}", "shared_encoders": "../encoders"}
        )
        for name, own in experiment.variants(config).items()
    }
    sweeping.check_workdir(workdir, config | {VARIANTS: list(plans)})
    for name, plan in plans.items():  # all or none of them is written
        evaluation.require(plan.config)
        ledger.check(sweeping.check_workdir(workdir / name, plan.config), plan)
    sweeping.fitted(devices, plans.values())
    mesh.wait("checked")
    open_one(workdir, config | {VARIANTS: list(plans)})
    opened = [open_one(workdir / name, plan.config) for name, plan in plans.items()]
    if mesh.is_first():
        for home, plan in zip(opened, plans.values(), strict=True):
            ledger.write(home, plan)
    return list(zip(plans.values(), opened, strict=True))


def open_one(workdir, config):
    """`sweep.open_workdir`, by the first process before the others."""
    if mesh.is_first():
        sweeping.open_workdir(workdir, config)
    mesh.wait(f"opened {workdir}")
    return sweeping.open_workdir(workdir, config)


def homes(workdir):
    """The working directories of a sweep: itself, or those of its variants."""
    workdir = pathlib.Path(workdir)
    names = sweeping.read_config(workdir).get(VARIANTS)
    return [workdir] if names is None else [workdir / name for name in names]


def only(workdir):
    """A working directory that holds one sweep; ValueError where it has variants or is no sweep."""
    measured.refuse(workdir)
    if (found := homes(workdir)) != [pathlib.Path(workdir)]:
        raise ValueError(f"{workdir} has variants: give one of {', '.join(map(str, found))}")
    return found[0]


def laid_out(devices, plans, console):
    """`sweeping.fitted`; where there are several devices, it is said how they lie."""
    devices = sweeping.fitted(devices, plans)
    if devices.mesh.size > 1:
        for line in filter(None, (f"On {devices}", sweeping.copies(plans, devices))):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return devices


def say_left_out(plans, console):
    """Prints one line for each folder of which files were left out."""
    opened = [plan.source for plan, _ in plans]
    opened += [sources.of_config(plan.config["data"], split="test") for plan, _ in plans]
    lines = dict.fromkeys(getattr(source, "left_out", "") for source in opened)
    for line in filter(None, lines):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def left(plan, home, evaluated):
    """The directories of what is left to do of a plan."""
    return [home / plan.directory(run) for run in waves.left(plan, home, evaluated)]


@contextlib.contextmanager
def alone(directories):
    """Inside, no other call works in these directories; of several processes the first sees to it.

    Raises:
      ValueError: another one does.
    """
    with contextlib.ExitStack() as held:
        refusal = None
        if mesh.is_first():
            try:
                held.enter_context(workers.alone(directories))
                for directory in directories:
                    ledger.forget_death(directory)
            except (ValueError, OSError) as error:  # the others wait, and must hear of it
                refusal = error
        if interruption.first_says(refusal is not None):
            raise refusal or ValueError("the first process cannot work here, and says why")
        yield


def train(plan, workdir, console, devices=None, only_read=False, known=None):
    """`sweep.Trainer.train_all` with a progress bar."""
    with progress.Progress(console) as bar:

        def show(run, done, metrics):
            bar.update(run.name, done, run.stage.steps, progress.describe(metrics))

        return sweeping.Trainer(plan, workdir, show, only_read, devices).train_all(known)


def noted(plans, workdir, share, command):
    """Notes a call that has something to do; one that finds all done leaves the record alone."""
    waits = any(
        not (home / ledger.TRIALS / trial.name / ledger.ROWS).exists()
        for plan, home in plans
        for trial in plan.trials
    )
    if not waits or not mesh.is_first():
        return contextlib.nullcontext()
    facts = machine.describe()
    if share is not None:  # the devices are the workers' own
        facts = {name: facts[name] for name in ("python", "versions")}
    return calls.noted(workdir, command, facts)
