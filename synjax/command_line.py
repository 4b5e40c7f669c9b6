"""What each verb takes: its flags, its arguments, its configuration."""

import re

from absl import flags

from synjax.data import pictures

QUICKSTART = "experiments/quickstart.py"

VERBS = {
    "quickstart": "sweep --experiment=experiments/quickstart.py --workdir=runs/quickstart",
    "sweep": "Trains, evaluates and exports a grid; continues where it was interrupted.",
    "train": "Trains the grid of a configuration and stops before evaluating it.",
    "evaluate": "Evaluates a trained working directory again and exports the table; with --out "
    "into another directory, where --config.data.test and --config.evaluation.KEY may change.",
    "status": "Which runs and trials of a sweep are done, running, waiting or failed, and why.",
    "export": "Writes tables and plots from the rows of an evaluated working directory.",
    "report": "Writes one page of several sweeps, finished or not: surface, table, synsets. "
    "Without --out it is report.html in the sweep's directory or, of several, in this one.",
    "show": "Prints the table of a sweep and small charts of characters, of what there is so far.",
    "compare": "BD-rates between the curves of tables (a run's directory, table.csv, .parquet) and "
    "of external results (CSV: name, bpp or bits_per_dim, metrics), merged and drawn together.",
    "package": "Writes the codec of a trained trial as a directory that the verbs below need.",
    "compress": "Encodes a picture (.png, .jpg, .webp, .tif, .npy) or a sound (.wav, .flac) and "
    "prints what it costs.",
    "decompress": "Writes members of a stream's synset, pictures (.png, .webp, .tif, .npy) or "
    "sounds (.wav, .flac). "
    "Several are numbered by their addresses: out_0.png, out_1.png, …",
    "inspect": "Prints what a stream says of itself; with --codec, whether it was encoded by it.",
    "bounds": "R(D, P) of a Gaussian, Bernoulli or finite source: a number, or for lists and "
    "ranges FIRST:LAST:COUNT a table and a plot.",
    "audit": "Evaluates the paper's statements on random finite sources and writes the document.",
    "estimators": "Bias and spread of every divergence estimator where the truth is known.",
    "data": "Prepares a data set of TFDS or a folder of pictures or sounds (a sweep does that at "
    "its first use), says what is in one, or draws some of it.",
    "classical": "JPEG, WebP, AVIF and JPEG 2000 on pictures (folder:PATH, tfds:NAME, photos): "
    "bytes of real files and the metrics of a sweep's table, as CSV that `compare` takes.",
    "bench": "Measures training steps, the input pipeline, entropy coding, a grid, CompressAI.",
}

DEVICE_FLAGS = ("mesh", "stack", "shard_parameters", "workers")  # each worker's, if there are any
CODED = ("compress", "decompress", "inspect")
OWN_CODEC = ("compress", "decompress")  # which synjax comes with a codec for
CONFIGURED = ("quickstart", "sweep", "train", "bench")
CALCULATES = ("bench", "package", "estimators", "classical", *OWN_CODEC)  # on JAX's own device
TRAINED = ("quickstart", "sweep", "train", "evaluate")  # which take flags of devices

# What a verb takes beside its flags.
ARGUMENTS = {
    "compress": ("FILE", "STREAM.syn"),
    "decompress": ("STREAM.syn", "FILE"),
    "inspect": ("STREAM.syn",),
    "compare": ("TABLE", "…"),
    "status": ("DIRECTORY",),
    "report": ("RUN", "…"),
    "show": ("RUN",),
    "data": ("prepare|info|preview", "ADDRESS"),
    "classical": ("ADDRESS",),
}


def define(verb, in_python=True):
    """The flags of one verb; a fresh set, so that `--help` lists no others.

    `in_python` is whether a configuration is a Python file, which ml_collections reads.
    """
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow the arguments
    if verb in CONFIGURED and in_python:
        try:
            from ml_collections import config_flags
        except ModuleNotFoundError:
            raise ValueError(
                f"{verb} needs ml_collections for configurations in Python; --config=FILE.json, "
                "such as the config.json of a sweep, does without"
            ) from None
        config_flags.DEFINE_config_file(
            "config",
            QUICKSTART if verb in ("quickstart", "bench") else None,
            "Configuration file: FILE.py, FILE.py:ARGUMENT, or FILE.json such as the config.json "
            "of a sweep; --config.KEY=VALUE changes it.",
            lock_config=True,
            flag_values=values,
        )
    if verb in TRAINED:
        _device_flags(values)
    if verb == "bench":
        _bench_flags(values)
    elif verb == "bounds":
        _bounds_flags(values)
    elif verb == "compare":
        flags.DEFINE_string("out", None, "Directory for the results.", flag_values=values)
        flags.DEFINE_string("metric", "psnr", "The quality, a column.", flag_values=values)
        meaning = "Name of the one curve to compare with; all, if it is not given."
        flags.DEFINE_string("against", None, meaning, flag_values=values)
    elif verb == "report":
        flags.DEFINE_string("out", None, "The page to write, FILE.html.", flag_values=values)
    elif verb in ("status", "show"):
        pass
    elif verb in ("package", *CODED):
        _codec_flags(verb, values)
    elif verb in ("data", "classical"):
        _data_flags(verb, values)
    elif verb == "estimators":
        flags.DEFINE_string("out", "runs/estimators", "Directory to write.", flag_values=values)
        flags.DEFINE_integer("repeats", 5, "Of every estimate.", lower_bound=2, flag_values=values)
        flags.DEFINE_integer("seed", 0, "Of the samples.", lower_bound=0, flag_values=values)
    elif verb == "audit":
        flags.DEFINE_integer("count", 1000, "Instances.", lower_bound=1, flag_values=values)
        flags.DEFINE_integer("seed", 0, "Of the instances.", lower_bound=0, flag_values=values)
        flags.DEFINE_string("out", "docs/paper_audit.md", "The document.", flag_values=values)
    else:
        default = "runs/quickstart" if verb == "quickstart" else None
        flags.DEFINE_string("workdir", default, "Directory of the sweep.", flag_values=values)
        if verb in ("sweep", "train"):
            _launcher_flags(values)
        if verb == "evaluate":
            meaning = "Directory for rows and tables; that of the sweep, if it is not given."
            flags.DEFINE_string("out", None, meaning, flag_values=values)
    return values


def _device_flags(values):
    """How a sweep is spread over devices, which changes none of its results."""
    meaning = "Devices as TRIALxDATA: trials over the first, batches over the second. If it is not "
    meaning += "given, DATA is as large as all batches allow."
    flags.DEFINE_string("mesh", "", meaning, flag_values=values)
    meaning = "Trials that a device works on at once; 0 for as many as there are, which is the "
    meaning += "default on accelerators (fewer take less of their memory); on CPU it is 1."
    flags.DEFINE_integer("stack", None, meaning, lower_bound=0, flag_values=values)
    meaning = "Split parameters and optimiser over the data devices (fully sharded)."
    flags.DEFINE_boolean("shard_parameters", False, meaning, flag_values=values)
    meaning = "Processes that prepare batches, beside each process that trains; 0 for threads."
    flags.DEFINE_integer("workers", 0, meaning, lower_bound=0, flag_values=values)
    meaning = "Processes of one run: auto (SLURM, Cloud TPU) or HOST:PORT,INDEX,COUNT."
    flags.DEFINE_string("distributed", "", meaning, flag_values=values)


def _launcher_flags(values):
    meaning = "Where runs are trained: in this process, in --jobs others, or on a SLURM cluster."
    launchers = ("inline", "subprocess", "slurm")
    flags.DEFINE_enum("launcher", "inline", launchers, meaning, flag_values=values)
    meaning = "How many processes or SLURM jobs share the runs."
    flags.DEFINE_integer("jobs", None, meaning, lower_bound=1, flag_values=values)
    meaning = "For sbatch, as partition=gpu,time=240,gpus_per_node=1."
    flags.DEFINE_string("slurm", None, meaning, flag_values=values)
    meaning = "Only these runs, NAME;NAME, of the sweep in --workdir: the part of one worker."
    flags.DEFINE_string("runs", None, meaning, flag_values=values)


def _bench_flags(values):
    from synjax.bench import parts, settings

    meaning = "Results file, FILE.json; the tables are written beside it."
    flags.DEFINE_string("out", "runs/bench.json", meaning, flag_values=values)
    flags.DEFINE_integer("repeats", 5, "Timed repeats.", lower_bound=1, flag_values=values)
    for name, default, meaning in (
        ("parts", parts.QUICK, f"What to measure, of {', '.join(parts.PARTS)}."),
        ("precisions", settings.PRECISIONS, "Of the codec's hidden layers."),
        ("stacks", ("1", "16"), "How many trials one step works on."),
    ):
        flags.DEFINE_list(name, list(default), meaning, flag_values=values)
    meaning = "A Python that has CompressAI, for the comparison; this one, if it is not given."
    flags.DEFINE_string("compressai", None, meaning, flag_values=values)


def _codec_flags(verb, values):
    meaning = "Directory of the packaged codec"
    if verb in OWN_CODEC:
        meaning += "; if it is not given, the one of photographs that synjax comes with"
    flags.DEFINE_string("codec", None, f"{meaning}.", flag_values=values)
    if verb == "package":
        flags.DEFINE_string("workdir", None, "Directory of the sweep.", flag_values=values)
        flags.DEFINE_string("trial", None, "As the table names it.", flag_values=values)
    if verb in ("compress", "decompress"):
        meaning = "1…L, the groups to use; all, if it is not given."
        flags.DEFINE_integer("level", None, meaning, lower_bound=1, flag_values=values)
    if verb == "compress":
        meaning = "What to do with an alpha channel: flatten lays the picture over white."
        flags.DEFINE_enum("alpha", pictures.ALPHA[0], pictures.ALPHA, meaning, flag_values=values)
    if verb == "decompress":
        for name, default, most, meaning in (
            ("members", 1, 10_000, "Pictures to write; 0 for the one without randomness."),
            ("first", 0, 2**63, "Address of the first member."),
        ):
            flags.DEFINE_integer(name, default, meaning, 0, most, flag_values=values)
        meaning = "0 for least distortion, 1 for all the realism that the codec was trained for."
        flags.DEFINE_float("realism", 1.0, meaning, 0.0, 1.0, flag_values=values)


def _data_flags(verb, values):
    meaning = "Where TFDS keeps its data sets; $TFDS_DATA_DIR or ~/tensorflow_datasets, if it is "
    meaning += "not given. --config.data.directory of a sweep."
    flags.DEFINE_string("directory", None, meaning, flag_values=values)
    if verb == "classical":
        flags.DEFINE_string("out", "runs/classical", "Directory to write.", flag_values=values)
        meaning = "Pictures; all, if it is not given."
        flags.DEFINE_integer("limit", None, meaning, lower_bound=1, flag_values=values)
        meaning = "Weights for LPIPS; it is left out, if they are not given."
        flags.DEFINE_string("lpips", None, meaning, flag_values=values)
        return
    meaning = "For prepare tfds:mnist: the folder of the four original files."
    flags.DEFINE_string("from", None, meaning, flag_values=values)
    out = "runs/preview.png"
    flags.DEFINE_string("out", out, "For preview: the picture to write.", flag_values=values)


def _bounds_flags(values):
    from synjax import bounds

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


def parse(verb, arguments):
    """Flag values, arguments and configuration of a verb: a plain dict, or None.

    Of `evaluate` it is what is to be changed in that of the sweep: text by key.

    Raises:
      ValueError: in one line, what cannot be used, and what can.
    """
    # An experiment is a configuration that also says what its table must show.
    arguments = [re.sub("^--experiment", "--config", a) for a in arguments]
    path, overrides = None, {}
    if verb in (*CONFIGURED, "evaluate"):
        from synjax import configuration
    if verb in CONFIGURED:
        path, overrides, arguments = configuration.split(arguments)
    if verb == "evaluate":
        overrides, arguments = configuration.overridden(arguments)
    values = define(verb, in_python=path is None)
    try:
        rest = values([verb, *arguments], known_only=False)
    except (KeyError, AttributeError) as error:
        missing = str(error).strip("'\"").splitlines()[0]
        raise ValueError(f"the configuration has no such key: {missing}") from None
    except (flags.Error, TypeError, OSError, SyntaxError) as error:
        raise ValueError(str(error).strip("'\"").replace("\n", " ")) from None
    wanted, given = ARGUMENTS.get(verb, ()), rest[1:]
    if given and not wanted:
        raise ValueError(f"unexpected argument {given[0]!r}; flags look like --workdir=DIR")
    if not given if "…" in wanted else len(given) != len(wanted):
        raise ValueError(f"{verb} takes {' '.join(wanted)}, got {' '.join(given) or 'nothing'}")
    working = "runs" in values and values.runs is not None  # what for stands in the workdir
    if "config" in values and values.config is None and not working:
        raise ValueError(f"{verb} needs --config=FILE.py or --experiment=FILE.py; or FILE.json")
    if verb == "data" and given[0] not in ARGUMENTS["data"][0].split("|"):
        raise ValueError(f"data takes prepare, info or preview, got {given[0]!r}")
    if verb == "bounds" and not values.distortion:
        raise ValueError("bounds needs --distortion=NUMBER or FIRST:LAST:COUNT")
    optional = (
        *((own, "codec") for own in ("inspect", *OWN_CODEC)),
        ("report", "out"),
        ("evaluate", "out"),
    )
    for name, form in (("workdir", "DIR"), ("trial", "NAME"), ("codec", "DIR"), ("out", "DIR")):
        value = values[name].value if name in values else form
        if not value and (value is not None or (verb, name) not in optional):
            raise ValueError(f"{verb} needs --{name}={form}")
    if path is not None:
        return values, given, configuration.load(path, overrides)
    if verb == "evaluate":
        if overrides and values.out is None:
            raise ValueError("evaluate needs --out=DIR where --config.KEY=VALUE changes something")
        return values, given, overrides
    if working:
        return values, given, None
    return values, given, values.config.to_dict() if "config" in values else None


def joined(arguments):
    """The arguments with `--experiment FILE` as `--experiment=FILE`, in which form it is read."""
    joined = []
    for argument in arguments:
        if joined and joined[-1] in ("--experiment", "--config"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined
