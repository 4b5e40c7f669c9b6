"""The page: all of some runs in one file that opens from a disk and asks for nothing else."""

import importlib.resources
import pathlib
import re

from synjax.report import (
    chart,
    curves,
    deltas,
    failures,
    figures,
    gallery,
    markup,
    overview,
    pictures,
    reading,
    results,
    slices,
    surface,
)
from synjax.reporting import table

MARK = "<!-- a report of synjax -->"  # what tells a page of this module from other files
MOST_BYTES = 15_000_000
MOST_PICTURES = 9_000_000  # characters
SCRIPTS = ("shared.js", "table.js", "charts.js", "explorer.js")
_TRAINED = ("rate", "distortion", "perception")


def write(runs, path):
    """Writes the page of some runs.

    Args:
      runs: list of `reading.Run`.
      path: of the page; what is there must be such a page.

    Returns:
      The path.

    Raises:
      ValueError: something else is there.
    """
    path = require_own(path)
    content = html(runs).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    return table.replace_file(path, content)


def require_own(path):
    """The path as a pathlib.Path; ValueError where it holds something else than a report."""
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a directory; choose a file for --out")
    if path.exists():
        with path.open("rb") as file:
            start = file.read(200)
        if MARK.encode() not in start:
            raise ValueError(f"{path} is no report of synjax; choose another --out")
    return path


def html(runs):
    """The page of some runs as text.

    Args:
      runs: list of `reading.Run`.
    """
    frame = reading.merged(runs)
    outside = reading.outside(runs)
    drawn = slices.charts(frame, outside) if frame is not None else {}
    trainings = [t.training for run in runs for t in run.trials if t.training]
    limit = max(2, curves.MOST_VALUES // max(len(trainings) * len(curves.METRICS), 1))
    trained = curves.charts(_named(runs, trainings, limit))
    script = _plotly() + "".join(map(_asset, SCRIPTS))
    parts = {
        "mark": MARK,
        "title": markup.escape(overview.headline(runs)),
        "style": _asset("page.css"),
        "summary": overview.summary(runs, frame) + overview.warnings(runs),
        "slices": _slices(drawn, frame),
        "deltas": deltas.html(frame, outside) if frame is not None else _nothing("rows"),
        "training": _training(trained),
        "failures": failures.html(runs, frame) or "<p>None: every trial is done.</p>",
        "claims": _claims(runs),
        "details": overview.details(runs),
    }
    values = {
        "charts": {key: chart.as_json(one) for key, one in drawn.items()},
        "training": {key: chart.as_json(one) for key, one in trained.items()},
        **_axes(frame),
    }
    spent = sum(map(len, parts.values())) + len(markup.data(values)) + len(script)
    left = MOST_BYTES - 2 * spent + len(script)  # the table is about as large as the charts
    found, addresses, note = pictures.explorer(runs, max(0, min(MOST_PICTURES, left)))
    parts |= _synsets(found, addresses, note)
    viewed = _rows_of_views(found, runs, frame)
    parts["table"] = results.html(frame, viewed) if frame is not None else _nothing("rows")
    values["explorer"] = found and found | {"runs": [run.name for run in runs]}
    values["pictures"] = addresses  # the gallery holds the others
    values["failed"] = _failed(runs)
    parts["data"], parts["script"] = markup.data(values), script
    return re.sub(r"\$\{(\w+)\}", lambda match: parts[match[1]], _asset("page.html"))


def _slices(drawn, frame):
    if not drawn:
        return _nothing("rows")
    quality = slices.qualities(frame)[:1]
    divergence = slices.divergences(frame)[:1]
    keys = [f"rate_{name}" for name in quality]
    keys += [f"{axis}_{name}" for name in divergence for axis in ("distortion", "rate")]
    return figures.html(drawn, keys, "Other qualities and divergences")


def _training(trained):
    if not trained:
        return _nothing("records of training")
    shown = [name for name in _TRAINED if name in trained]
    return figures.html(trained, shown, "Other curves")


def _named(runs, trainings, limit):
    """The curves with the names of their runs where there are several, and of few points."""
    several = len(runs) > 1
    named = iter(trainings)
    found = []
    for run in runs:
        for trial in run.trials:
            if trial.training:
                one = next(named)
                found.append(curves.shortened(one, limit, f"{run.name}: " if several else ""))
    return found


def _axes(frame):
    """What the interactive charts choose from."""
    if frame is None:
        return {"columns": [], "rows": [], "sheets": [], "qualities": [], "divergences": []}
    rate, label = slices.rate_column(frame)
    names, qualities = slices.divergences(frame), slices.qualities(frame)
    return {
        "columns": list(frame.columns),
        "rows": [[_plain(value) for value in row] for row in frame.itertuples(index=False)],
        "sheets": surface.sheets(frame),
        "rate": [rate, label],
        "qualities": [[name, slices.label(name)] for name in qualities],
        "divergences": [[name, slices.label(name)] for name in names],
    }


def _plain(value):
    """A cell of the table as the CSV has it: text, a number, or None for what is not there."""
    if isinstance(value, str):
        return value
    value = value.item() if hasattr(value, "item") else value
    return None if value != value or value in (float("inf"), -float("inf")) else value


def _synsets(found, addresses, note):
    if not found:
        reason = "Members that can be looked at come with evaluation, of pictures and of vectors "
        reason += "that are pictures."
        text = note or reason
        return {"gallery": f"<p>{markup.escape(text)}</p>", "explorer_class": "empty"}
    grid, used = gallery.html(found, addresses)
    for name in set(used):
        del addresses[name]
    line = f'<p class="note">{markup.escape(note)}.</p>' if note else ""
    return {"gallery": grid + line, "explorer_class": "filled"}


def _rows_of_views(found, runs, frame):
    """Number of a row of the table -> whether it has a view; the views learn their rows."""
    if not found:
        return set()
    keys = ["run", "trial", "level", "realism"]
    numbers = {key: row for row, key in zip(frame.index, _keys(frame, keys), strict=True)}
    for view in found["views"]:
        key = runs[view["run"]].name, view["trial"], view["level"], view["realism"]
        view["row"] = numbers.get(key)
    return {view["row"] for view in found["views"]} - {None}


def _keys(frame, names):
    return frame[names].itertuples(index=False, name=None)


def _failed(runs):
    return [
        {"run": number, "trial": trial.name, "state": trial.state, "reason": trial.reason}
        for number, run in enumerate(runs)
        for trial in run.trials
        if trial.state != "done"
    ]


def _claims(runs):
    claims = [claim for run in runs for claim in run.claims]
    if not claims:
        return ""
    rows = [["holds" if c["holds"] else "FAILS", c["claim"], c["measured"]] for c in claims]
    grid = markup.table(["", "claim", "measured"], rows, "What the experiment says of its table")
    return f'<section id="claims"><h2>Claims</h2>{grid}</section>'


def _nothing(what):
    return f"<p>There are no {what} yet.</p>"


def _asset(name):
    return (importlib.resources.files("synjax.report") / "assets" / name).read_text("utf-8")


def _plotly():
    """plotly.js, as its Python package carries it."""
    content = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    # Nothing in a script may end its element.
    return content.read_text("utf-8").replace("</script", "<\\/script") + ";\n"
