"""The command line: dispatch only; `command_line` knows the flags.

    ./launch.sh                     the quickstart: a sweep from nothing to a table
    ./launch.sh sweep               train, evaluate and export a grid of (λ_d, λ_p)
    ./launch.sh train               only train it
    ./launch.sh evaluate            evaluate checkpoints again, also on other tests
    ./launch.sh status              what of a sweep is done, running, waiting or failed
    ./launch.sh export              write tables and plots from the rows of a working directory
    ./launch.sh report              one page of several sweeps: surface, table, synsets
    ./launch.sh show                the table and small charts in the terminal
    ./launch.sh compare             BD-rates and one plot of several tables and external results
    ./launch.sh package             write the codec of one trial as a directory of its own
    ./launch.sh compress            a picture or a sound to a stream, with such a codec
    ./launch.sh decompress          a stream to pictures or sounds: members of its synset
    ./launch.sh inspect             what a stream says of itself
    ./launch.sh data                the user's pictures as a data set: prepare, info, preview
    ./launch.sh classical           JPEG, WebP, AVIF, JPEG 2000 on the same pictures, for compare
    ./launch.sh bounds              the least rate that theory allows, as a number or a table
    ./launch.sh audit               hold the paper's statements to the test on random instances
    ./launch.sh estimators          try every divergence estimator where the truth is known
    ./launch.sh bench               measure steps, input, and entropy coding on this machine
    ./launch.sh test                run the test suite

`./launch.sh VERB --help` lists the flags of a verb.
"""

import contextlib
import importlib.util
import os
import pathlib
import shlex
import sys

import jax
import rich.console
from absl import logging

from synjax import command_line
from synjax.launching import launch
from synjax.training import interruption, mesh

# A verb imports what it needs where it is called: `--help` and `compress` need not wait for what
# trains, draws and reads sweeps.


def _devices(values, console):
    """The devices of the flags; processes but the first fall silent."""
    mesh.start(values.distributed)
    _require_device()  # not before: JAX must not know its devices when processes join
    console.quiet = not mesh.is_first()
    return mesh.make(values.mesh, values.stack, values.shard_parameters, values.workers)


def _share(values, workdir):
    """What `train.sweep` shares the work by: None, or a `launch.Share`."""
    if values.launcher != "slurm" and values.slurm is not None:
        raise ValueError("--slurm needs --launcher=slurm")
    if values.launcher == "inline":
        if values.jobs is not None:
            raise ValueError("--jobs needs --launcher=subprocess or --launcher=slurm")
        return None
    from synjax.launching import slurm, workers

    if values.distributed or values.runs is not None:
        given = "--distributed" if values.distributed else "--runs"
        raise ValueError(f"{given} needs --launcher=inline: the processes of a launcher are alone")
    jax.config.update("jax_platforms", "cpu")  # accelerators are for the workers
    jobs = values.jobs or 2
    given = [values[name] for name in command_line.DEVICE_FLAGS if values[name].present]
    flags_ = tuple(f"--{flag.name}={flag.value}" for flag in given)
    if values.launcher == "subprocess":
        return launch.Share(workers.Subprocess(divides=not values.mesh), jobs, flags_)
    made = slurm.executor(slurm.folder(workdir), values.slurm)
    return launch.Share(slurm.Slurm(made), jobs, flags_)


def _experiment(arguments, verb):
    """The module of the experiment file, where there is one."""
    named = [a.partition("=")[2] for a in arguments if a.startswith(("--experiment=", "--config="))]
    path = pathlib.Path((named[-1] if named else command_line.QUICKSTART).partition(":")[0])
    if (not named and verb != "quickstart") or not path.exists() or path.suffix == ".json":
        return None
    spec = importlib.util.spec_from_file_location("experiment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _require_device():
    """Raises ValueError where the device that JAX_PLATFORMS asks for is not there."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # cuda without its plugin is a bare assertion
        asked = os.environ.get("JAX_PLATFORMS", "")
        raise ValueError(f"JAX finds no device (JAX_PLATFORMS={asked}) {error}") from None


def _dispatch(verb, arguments, console):
    arguments = command_line.joined(arguments)
    values, given, config = command_line.parse(verb, arguments)
    experiment = _experiment(arguments, verb)
    if verb in command_line.CALCULATES or (verb == "inspect" and values.codec):
        _require_device()
    if verb == "bench":
        return _bench(config, values, console)
    if verb in ("compress", "decompress", "inspect"):
        return _code(verb, given, values, console)
    if verb in ("bounds", "estimators", "audit", "compare", "classical"):
        return _study(verb, given, values, console)
    if verb == "data":
        return _data(*given, values, console)
    if verb == "report":
        return _report(given, values.out, console)
    from synjax import storage

    workdir = given[0] if verb in ("status", "show") else values.workdir
    listing = verb in ("status", "show", "export")
    only_read = verb in ("status", "show", "package") or (verb == "evaluate" and values.out)
    if storage.is_remote(workdir) and (given := _unshared(values)):
        raise ValueError(f"{given} needs a --workdir that all its processes share, not {workdir}")
    if verb == "evaluate" and values.out and storage.is_remote(values.out):
        raise ValueError(f"--out must be a directory of this machine, not {values.out}")
    with storage.opened(workdir, console, only_read, checkpoints=not listing) as local:
        command = shlex.join(["./launch.sh", verb, *arguments])
        return _sweep(verb, local, values, config, experiment, console, command)


def _code(verb, given, values, console):
    """A verb of one signal and its stream."""
    from synjax import coding

    if verb == "compress":
        return coding.compress(*given, values.codec, values.level, values.alpha, console)
    if verb == "decompress":
        asked = values.members, values.first, values.level, values.realism
        return coding.decompress(*given, values.codec, *asked, console)
    return coding.inspect(*given, values.codec, console)


def _study(verb, given, values, console):
    """A verb of theory, of estimators, or of other codecs."""
    from synjax import studies

    if verb == "bounds":
        return studies.bounds(values.flag_values_dict(), console)
    if verb == "estimators":
        return studies.estimators(values.out, values.repeats, values.seed, console)
    if verb == "audit":
        return studies.audit(values.out, values.count, values.seed, console)
    if verb == "compare":
        return studies.compare(given, values.out, values.metric, values.against, console)
    asked = values.directory, values.lpips, values.limit, values.out
    return studies.classical(*given, *asked, console)


def _report(directories, out, console):
    """One page of sweeps, which may be in object stores; those are only read."""
    from synjax import storage
    from synjax.verbs import export

    if out is None and len(directories) == 1 and storage.is_remote(directories[0]):
        raise ValueError(f"report needs --out=FILE.html: {directories[0]} is only read")
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(storage.opened(one, console, only_read=True, checkpoints=False))
            for one in directories
        ]
        return export.report(opened, out, console)


def _unshared(values):
    """The flag by which processes of other machines take part, who see no local copy."""
    if "distributed" in values and values.distributed:
        return "--distributed"
    return "--launcher=slurm" if "launcher" in values and values.launcher == "slurm" else None


def _sweep(verb, workdir, values, config, experiment, console, command):
    """A verb of a working directory."""
    from synjax import storage
    from synjax.verbs import evaluate, export, package, train

    if verb == "status":
        return export.status(workdir, console)
    if verb == "show":
        return export.show(workdir, console)
    if verb == "package":
        return package.package(workdir, values.trial, values.codec, console)
    if verb == "export":
        return export.export(workdir, console)
    share = _share(values, workdir) if verb in ("sweep", "train") else None
    devices = _devices(values, console) if share is None else None
    if verb == "quickstart":
        return train.sweep(config, workdir, console, experiment, devices, command=command)
    if verb == "evaluate":
        address = values.workdir if storage.is_remote(values.workdir) else None
        return evaluate.evaluate(workdir, console, devices, config, values.out, address, command)
    if values.runs is not None:
        names = values.runs.split(";")
        return train.work(workdir, names, verb == "sweep", console, devices, command)
    if verb == "train":
        return train.train(config, workdir, console, experiment, devices, share)
    return train.sweep(config, workdir, console, experiment, devices, share, command)


def _data(action, address, values, console):
    from synjax import datasets

    if action == "prepare":
        return datasets.prepare(address, values["from"].value, values.directory, console)
    if action == "info":
        return datasets.info(address, values.directory, console)
    return datasets.preview(address, values.directory, values.out, console)


def _bench(config, values, console):
    from synjax.bench import parts, settings

    wrong = [count for count in values.stacks if not count.isdecimal()]
    if wrong:
        raise ValueError(f"--stacks must be positive integers, got {wrong[0]!r}")
    asked = settings.Settings(
        repeats=values.repeats,
        precisions=tuple(values.precisions),
        stacks=tuple(map(int, values.stacks)),
        compressai=values.compressai,
    )
    parts.run(config, values.out, values.parts, asked, console)


def _out_of_memory(error, verb):
    """What to say where a device's memory is full; None for any other error of JAX."""
    if "RESOURCE_EXHAUSTED" not in str(error):
        return None
    said = str(error).strip().splitlines()[0]
    if verb not in command_line.TRAINED:
        return said
    return f"{said}: give --stack=N for fewer trials at once, or smaller stages.STAGE.batch"


def main(argv):
    """Runs one verb.

    Args:
      argv: command-line arguments without the program's name.

    Returns:
      The exit status: 0; 2 for input or a machine that cannot be used, after one line that says
      why; 1 for jobs that died; 75 where a signal ended the work, after one line that says how to
      continue.
    """
    console = rich.console.Console()
    verb, arguments = (argv[0], argv[1:]) if argv else ("quickstart", [])
    if verb in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if verb.startswith("-"):
        verb, arguments = "quickstart", argv
    try:
        if verb not in command_line.VERBS:
            raise ValueError(
                f"unknown verb {verb!r}, must be one of {', '.join(command_line.VERBS)}, test"
            )
        if any(a in ("-h", "--help") for a in arguments):
            usage = " ".join((verb, *command_line.ARGUMENTS.get(verb, ())))
            flags = command_line.define(verb).get_help()
            print(f"./launch.sh {usage} [flags]\n\n{command_line.VERBS[verb]}\n{flags}")
            return 0
        _dispatch(verb, arguments, console)
    except (ValueError, OSError) as error:
        if os.environ.get("SYNJAX_TRACEBACK"):
            raise
        print(f"synjax: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except jax.errors.JaxRuntimeError as error:
        full = _out_of_memory(error, verb)
        if full is None or os.environ.get("SYNJAX_TRACEBACK"):
            raise
        print(f"synjax: {full}", file=sys.stderr)
        return 2
    except launch.Died as error:
        print(f"synjax: {error}", file=sys.stderr)
        return 1
    except interruption.Interrupted as error:
        command = shlex.join(["./launch.sh", *argv])
        print(f"synjax: {error}; to continue: {command}", file=sys.stderr)
        return interruption.STATUS
    return 0


if __name__ == "__main__":
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    sys.exit(main(sys.argv[1:]))
