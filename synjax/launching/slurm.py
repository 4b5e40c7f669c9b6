"""Workers of a sweep on a SLURM cluster, by submitit."""

import pathlib

from synjax.launching import launch, workers


def executor(folder, settings):
    """A submitit executor.

    Args:
      folder: for submitit's own files.
      settings: text such as "partition=gpu,time=240,gpus_per_node=1", or None: names as sbatch has
        them, of `submitit.SlurmExecutor`.

    Returns:
      `submitit.SlurmExecutor`.

    Raises:
      ValueError: an unknown name or a value that submitit refuses, no submitit, or no SLURM here;
        nothing is submitted or written.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise ValueError("--launcher=slurm needs the package submitit") from None

    asked = parse(settings, submitit.SlurmExecutor._valid_parameters())
    if not submitit.SlurmExecutor.affinity() > 0:
        raise ValueError("--launcher=slurm needs srun, which is not on this machine's PATH")
    made = submitit.SlurmExecutor(folder)
    made.update_parameters(**{"job_name": "synjax"} | asked)
    return made


def parse(settings, allowed):
    """Settings NAME=VALUE,NAME=VALUE as a dict; a piece without = goes on with the one before."""
    found, name = {}, None
    for piece in settings.split(",") if settings else ():
        key, equals, value = piece.partition("=")
        if equals:
            name, found[key.strip()] = key.strip(), value.strip()
        elif name is None:
            raise ValueError(f"--slurm takes NAME=VALUE,NAME=VALUE, got {settings!r}")
        else:
            found[name] += f",{piece}"
    unknown = sorted(set(found) - set(allowed))
    if unknown:
        names = ", ".join(sorted(allowed))
        raise ValueError(f"--slurm has no setting {unknown[0]!r}, may have {names}")
    return {key: int(value) if value.isdecimal() else value for key, value in found.items()}


class Slurm:
    """Starts workers as jobs of a submitit executor; see `workers.Subprocess`."""

    def __init__(self, made):
        """`made` is from `executor`, or another of submitit's."""
        self._executor = made

    def left(self):
        """Handles of jobs that an earlier start submitted and that wait or run."""
        folder = self._executor.folder
        ids = sorted(path.name.split("_")[0] for path in folder.glob("*_submitted.pkl"))
        jobs = [self._executor.job_class(folder, job) for job in ids]
        # Of what SLURM no longer knows nothing would ever say that it is done.
        return [_Submitted(job) for job in jobs if not job.done() and job.state != "UNKNOWN"]

    def expect(self, count):
        """Nothing: SLURM divides its machines."""

    def start(self, command):
        """Submits a worker; its handle is as that of `workers.Subprocess`."""
        import submitit

        function = submitit.helpers.CommandFunction(command, verbose=False, cwd=workers.ROOT)
        return _Submitted(self._executor.submit(function))


class _Submitted:
    def __init__(self, job):
        self._job = job

    def __str__(self):
        return self._job.job_id

    def status(self):
        if not self._job.done():
            return None
        return 0 if self._job.exception() is None else 1

    def reason(self):
        return str(self._job.exception()).strip().splitlines()[0]

    def stop(self):
        self._job.cancel()


def folder(workdir):
    """Where submitit keeps its files."""
    return pathlib.Path(workdir) / launch.LOGS / "submitit"
