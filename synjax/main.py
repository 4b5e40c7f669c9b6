"""The command line: flags and dispatch only.

    ./launch.sh                     the quickstart: a sweep from nothing to a table
    ./launch.sh sweep               train, evaluate and export a grid of (λ_d, λ_p)
    ./launch.sh train               only train it
    ./launch.sh evaluate            evaluate the checkpoints of a working directory again
    ./launch.sh export              write tables and plots from the rows of a working directory
    ./launch.sh bounds              the least rate that theory allows, as a number or a table
    ./launch.sh audit               hold the paper's statements to the test on random instances
    ./launch.sh bench               measure steps, input, and entropy coding on this machine
    ./launch.sh test                run the test suite

`./launch.sh VERB --help` lists the flags of a verb.
"""

import importlib.util
import os
import pathlib
import sys

import rich.console
from absl import flags, logging
from ml_collections import config_flags

from synjax import bounds, run

QUICKSTART = "experiments/quickstart.py"

VERBS = {
    "quickstart": "sweep --experiment=experiments/quickstart.py --workdir=runs/quickstart",
    "sweep": "Trains, evaluates and exports a grid; continues where it was interrupted.",
    "train": "Trains the grid of a configuration and stops before evaluating it.",
    "evaluate": "Evaluates a trained working directory again and exports the table.",
    "export": "Writes tables and plots from the rows of an evaluated working directory.",
    "bounds": "R(D, P) of a Gaussian, Bernoulli or finite source: a number, or for lists and "
    "ranges FIRST:LAST:COUNT a table and a plot.",
    "audit": "Evaluates the paper's statements on random finite sources and writes the document.",
    "bench": "Measures training steps, the input pipeline and entropy coding.",
}


def _flags(verb):
    """The flags of one verb; a fresh set, so that `--help` lists no others."""
    values = flags.FlagValues()
    if verb in ("sweep", "train", "bench", "quickstart"):
        config_flags.DEFINE_config_file(
            "config",
            QUICKSTART if verb in ("quickstart", "bench") else None,
            "Configuration file, FILE.py or FILE.py:ARGUMENT; --config.KEY=VALUE changes it.",
            lock_config=True,
            flag_values=values,
        )
    if verb == "bench":
        flags.DEFINE_string("out", "runs/bench.json", "Results file.", flag_values=values)
        flags.DEFINE_integer("repeats", 5, "Timed repeats.", lower_bound=1, flag_values=values)
    elif verb == "bounds":
        _bounds_flags(values)
    elif verb == "audit":
        flags.DEFINE_integer("count", 1000, "Instances.", lower_bound=1, flag_values=values)
        flags.DEFINE_integer("seed", 0, "Of the instances.", lower_bound=0, flag_values=values)
        flags.DEFINE_string("out", "docs/paper_audit.md", "The document.", flag_values=values)
    else:
        default = "runs/quickstart" if verb == "quickstart" else None
        flags.DEFINE_string("workdir", default, "Directory of the sweep.", flag_values=values)
    return values


def _bounds_flags(values):
    for name, default, meaning in (
        ("source", "gaussian", f"One of {', '.join(bounds.DIVERGENCES)}."),
        ("variances", "1", "Of the components of a Gaussian source."),
        ("probabilities", "0.5", "Of a one (bernoulli), or of every symbol (finite)."),
        ("distortion", None, "Mean squared error per dimension; Hamming for discrete sources."),
        ("perception", "inf", "Largest divergence allowed; inf for none."),
        ("divergence", None, f"By source: {bounds.DIVERGENCES}."),
        ("common_randomness", "inf", "Bits/dim shared beside the stream; 0 is private sampling."),
        ("out", "runs/bounds", "Directory for the table and plot of a range."),
    ):
        flags.DEFINE_string(name, default, meaning, flag_values=values)


def _parse(verb, arguments):
    """Flag values of a verb, or ValueError in one line."""
    values = _flags(verb)
    # An experiment is a configuration that also says what its table must show.
    arguments = [a.replace("--experiment", "--config", 1) for a in arguments]
    try:
        rest = values([verb, *arguments], known_only=False)
    except (flags.Error, AttributeError, KeyError, TypeError, OSError, SyntaxError) as error:
        raise ValueError(str(error).strip("'\"").replace("\n", " ")) from None
    if rest[1:]:
        raise ValueError(f"unexpected argument {rest[1]!r}; flags look like --workdir=DIR")
    if "config" in values and values.config is None:
        raise ValueError(f"{verb} needs --config=FILE.py or --experiment=FILE.py")
    if verb == "bounds" and not values.distortion:
        raise ValueError("bounds needs --distortion=NUMBER or FIRST:LAST:COUNT")
    if "workdir" in values and not values.workdir:
        raise ValueError(f"{verb} needs --workdir=DIR")
    return values


def _claims(arguments, verb):
    """The `claims` function of the experiment file, where there is one."""
    named = [a.partition("=")[2] for a in arguments if a.startswith(("--experiment=", "--config="))]
    path = pathlib.Path((named[0] if named else QUICKSTART).partition(":")[0])
    if (not named and verb != "quickstart") or not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("experiment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "claims", None)


def _dispatch(verb, arguments, console):
    values = _parse(verb, arguments)
    config = values.config.to_dict() if "config" in values else None
    claims = _claims(arguments, verb)
    if verb == "bench":
        return run.bench(config, values.out, values.repeats, console)
    if verb == "bounds":
        return run.bounds(values.flag_values_dict(), console)
    if verb == "audit":
        return run.audit(values.out, values.count, values.seed, console)
    if verb in ("sweep", "quickstart"):
        return run.sweep(config, values.workdir, console, claims)
    if verb == "train":
        return run.train(config, values.workdir, console)
    if verb == "evaluate":
        return run.evaluate(values.workdir, console)
    return run.export(values.workdir, console)


def main(argv):
    """Runs one verb.

    Args:
      argv: command-line arguments without the program's name.

    Returns:
      The exit status: 0, or 2 for input that cannot be used, after one line that says why.
    """
    console = rich.console.Console()
    verb, arguments = (argv[0], argv[1:]) if argv else ("quickstart", [])
    if verb in ("-h", "--help", "help"):
        print(__doc__)
        return 0
    if verb.startswith("-"):
        verb, arguments = "quickstart", argv
    try:
        if verb not in VERBS:
            raise ValueError(f"unknown verb {verb!r}, must be one of {', '.join(VERBS)}, test")
        if any(a in ("-h", "--help") for a in arguments):
            print(f"./launch.sh {verb} [flags]\n\n{VERBS[verb]}\n{_flags(verb).get_help()}")
            return 0
        _dispatch(verb, arguments, console)
    except (ValueError, OSError) as error:
        if os.environ.get("SYNJAX_TRACEBACK"):
            raise
        print(f"synjax: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    logging.use_absl_handler()
    logging.set_verbosity(logging.WARNING)
    sys.exit(main(sys.argv[1:]))
