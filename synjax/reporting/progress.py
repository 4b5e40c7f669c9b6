"""Progress of a sweep: a bar in a terminal, a line now and then elsewhere."""

import time

import rich.progress

SECONDS_BETWEEN_LINES = 15.0


def describe(metrics):
    """Mean rate, distortion and perception of one step as text."""
    text = f"{metrics['rate']:.3f} bits/dim, distortion {metrics['distortion']:.2e}"
    if metrics.get("perception"):
        text += f", perception {metrics['perception']:.3f}"
    return text


class Progress:
    """Shows how far each training run is; use as a context manager."""

    def __init__(self, console):
        """`console` is a rich.console.Console; what is no terminal gets plain lines."""
        self._console = console
        self._bar = None
        if console.is_terminal:
            self._bar = rich.progress.Progress(
                "{task.description}",
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                "{task.fields[rate]}",
                rich.progress.TimeRemainingColumn(),
                "{task.fields[text]}",
                console=console,
            )
        self._tasks, self._began, self._last = {}, {}, {}

    def __enter__(self):
        """Starts the bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *unused):
        """Stops the bar."""
        if self._bar:
            self._bar.stop()

    def update(self, name, done, total, text):
        """Notes that `done` of `total` steps of `name` are finished.

        Args:
          name: of the run.
          done, total: steps.
          text: what to show beside it.
        """
        now = time.monotonic()
        first, began = self._began.setdefault(name, (done - 1, now))
        per_second = (done - first - 1) / max(now - began, 1e-9)
        rate = f"{per_second:.1f} steps/s" if done - first > 1 else ""
        if self._bar:
            if name not in self._tasks:
                fields = {"rate": "", "text": ""}
                self._tasks[name] = self._bar.add_task(name, total=total, **fields)
            self._bar.update(self._tasks[name], completed=done, rate=rate, text=text)
            return
        if done == total or now - self._last.get(name, -1e9) > SECONDS_BETWEEN_LINES:
            self._last[name] = now
            left = (total - done) / per_second if per_second > 0 and done > first + 1 else None
            left = f", {left:.0f} s left" if left is not None else ""
            line = f"{name}: step {done}/{total}, {text}" + (f", {rate}" if rate else "") + left
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
