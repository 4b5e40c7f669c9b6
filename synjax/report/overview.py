"""What was run: in one line each, and what tells the runs apart."""

import shlex

from synjax.report import differences, markup
from synjax.report.markup import escape

_STATES = ("done", "trained", "running", "waiting", "failed")


def headline(runs):
    """What the page is called: the names of its sweeps."""
    return ", ".join(dict.fromkeys(run.config.get("name", run.name).split("/")[0] for run in runs))


def summary(runs, frame):
    """The figures at the top of the page, as a list of definitions."""
    facts = [("Trials", _trials(runs))]
    if frame is not None:
        ok = frame[frame["status"] == "ok"]
        facts.append(("Rows", f"{len(ok)} of {len(frame)} ok"))
        for name, symbol in (("lambda_d", "λ_d"), ("lambda_p", "λ_p"), ("level", "Levels")):
            facts.append((symbol, _listed(frame[name])))
        facts.append(("Test set", ", ".join(dict.fromkeys(_datasets(frame)))))
        facts.append(("Trained divergence", _listed(frame["perception"])))
        facts.append(("Members", _listed(frame["members"])))
    items = "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in facts)
    return f'<dl class="facts">{items}</dl>'


def warnings(runs):
    """What a reader must not miss: trials that failed, and those that are not there yet."""
    states = [trial.state for run in runs for trial in run.trials]
    lines = []
    if failed := states.count("failed"):
        lines.append(
            f'<a href="#failures">{_count(failed, "trial")} failed</a>; the reasons are below.'
        )
    waiting = len(states) - failed - states.count("done")
    if waiting:
        counts = ", ".join(f"{states.count(s)} {s}" for s in _STATES[1:4] if states.count(s))
        lines.append(f"Not finished: {counts}. The page shows what exists so far.")
    return "".join(f'<p class="warning">{line}</p>' for line in lines)


def details(runs):
    """Differences of the configurations, machines, times, and the command to repeat each sweep."""
    parts = [_differences(runs)]
    for calls, of_calls in _by_calls(runs):
        parts.append(_machine(of_calls, calls))
        parts.append(_command(of_calls, calls))
    return "".join(parts)


def _differences(runs):
    if len(runs) == 1:
        return "<p>One run: there is no other configuration to differ from.</p>"
    found = differences.between([run.config for run in runs])
    if not found:
        return "<p>The configurations do not differ.</p>"
    return markup.table(
        ["", *(run.name for run in runs)],
        [[key, *texts] for key, texts in found.items()],
        "Where the configurations differ",
    )


def _by_calls(runs):
    """Pairs (calls, runs that they worked on): the variants of a sweep share them."""
    groups = {}
    for run in runs:
        key = str(run.calls) if run.calls else str(run.directory)
        groups.setdefault(key, (run.calls, []))[1].append(run)
    return groups.values()


def _machine(runs, calls):
    names = runs[0].name if len(runs) == 1 else headline(runs)
    if not calls:
        return f"<h3>{escape(names)}</h3><p>Versions, device and wall time were not recorded.</p>"
    seconds = [call["seconds"] for call in calls if not call["part"]]
    open_calls = sum(one is None for one in seconds)
    taken = _duration(sum(one for one in seconds if one is not None))
    taken += f" in {len(seconds)} calls" if len(seconds) > 1 else ""
    taken += f", {open_calls} of which did not end or still run" if open_calls else ""
    devices = dict.fromkeys(_device(call["machine"]) for call in calls)
    versions = dict.fromkeys(_versions(call["machine"]) for call in calls)
    rows = [
        ["Begun", calls[0]["date"]],
        ["Wall time", taken],
        ["Device", "; ".join(device for device in devices if device) or "that of the workers"],
        ["Versions", "; ".join(text for text in versions if text)],
    ]
    return f"<h3>{escape(names)}</h3>" + markup.table([], rows, "Machine and time")


def _command(runs, calls):
    typed = [call["command"] for call in calls if call["command"] and not call["part"]]
    if typed:
        lines = typed[:1]
    else:
        lines = [
            f"./launch.sh sweep --config={shlex.quote(str(run.directory / 'config.json'))} "
            f"--workdir=NEW"
            for run in runs
        ]
    code = escape("\n".join(lines))
    return (
        '<p>To repeat it:</p><div class="command"><pre tabindex="0"><code>'
        f'{code}</code></pre><button type="button" class="js copy">Copy</button></div>'
    )


def _device(machine):
    if "device" not in machine:
        return ""
    text = f"{machine.get('devices', 1)} × {machine['device']}"
    return f"{text}; {machine['processor']}, {machine['cores']} cores"


def _versions(machine):
    found = {"Python": machine["python"]} if "python" in machine else {}
    found |= machine.get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _duration(seconds):
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _trials(runs):
    states = [trial.state for run in runs for trial in run.trials]
    counts = [f"{states.count(state)} {state}" for state in _STATES if state in states]
    return f"{len(states)}: {', '.join(counts)}" if counts else "not listed"


def _datasets(frame):
    for (dataset, count), _ in frame.groupby(["dataset", "n"]):
        yield f"{dataset}, {_count(count, 'example')}"


def _listed(values):
    values = sorted(values.unique())
    texts = [value if isinstance(value, str) else f"{value:g}" for value in values]
    return ", ".join(texts) if len(texts) < 8 else f"{texts[0]} … {texts[-1]} ({len(texts)})"


def _count(number, name):
    return f"{number} {name}{'' if number == 1 else 's'}"
