"""Trials without a result, each with its reason."""

from synjax.report import markup


def html(runs, frame):
    """A table of them, or an empty text where all are done."""
    rows, seen = [], set()
    for run in runs:
        for trial in run.trials:
            if trial.state != "done":
                rows.append([trial.name, run.name, trial.state, trial.reason or "–"])
                seen.add((run.name, trial.name))
    if frame is not None:
        for row in frame[frame["status"] != "ok"].itertuples():
            if (row.run, row.trial) not in seen:
                name = f"{row.trial}, level {row.level}"
                rows.append([name, row.run, row.status, row.reason])
    if not rows:
        return ""
    caption = "Trials that failed or are not finished"
    return markup.table(["trial", "run", "state", "reason"], rows, caption)
