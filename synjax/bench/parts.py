"""What `bench` measures, part by part; every row is on disk as soon as it is known."""

import dataclasses
import json
import os
import pathlib

from synjax.bench import bounds, coding, comparison, grid, input, machine, report, steps
from synjax.reporting import table
from synjax.training import plan as planning

# In the order in which they run; QUICK take a minute or few, the others train.
PARTS = {
    "products": lambda plan, settings: steps.products(settings),
    "steps": steps.measure,
    "input": input.measure,
    "coding": coding.measure,
    "bounds": bounds.measure,
    "grid": grid.measure,
    "comparison": comparison.measure,
}
QUICK = ("products", "steps", "input", "coding", "bounds")


def run(config, out, names, settings, console):
    """Measures this machine and writes FILE.json and, beside it, FILE.md.

    Args:
      config: plain dict.
      out: path of the JSON file.
      names: of `PARTS`.
      settings: `settings.Settings`.
      console: rich console.

    Returns:
      dict: the machine, the configuration, and the rows by part. The last part of a key is its
      unit.

    Raises:
      ValueError: an unknown part, or a configuration that makes no sense; nothing has run by then.
    """
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise ValueError(f"--parts has {unknown or 'nothing'}, may have {', '.join(PARTS)}")
    if pathlib.Path(out).suffix != ".json":
        raise ValueError(f"--out must end in .json, got {out}")
    plan = planning.make(config)
    results = {
        "machine": machine.describe(),
        "config": {"name": config["name"], "hash": plan.config_hash},
        **{k: v for k, v in dataclasses.asdict(settings).items() if v is not None},
        "parts": {},
    }
    for name in (name for name in PARTS if name in names):
        rows = results["parts"].setdefault(name, [])
        for row in PARTS[name](plan, settings):
            rows.append(row)
            results["load_1_min_at_the_end"] = round(os.getloadavg()[0], 2)
            results["peak_memory_MiB"] = machine.peak_memory()
            write(results, out)
        report.show(name, rows, console)
    console.print(f"Wrote {out} and {_beside(out)}", highlight=False, soft_wrap=True)
    return results


def write(results, out):
    """Writes the JSON and the tables, each atomically."""
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    table.replace_file(pathlib.Path(out), (json.dumps(results, indent=1) + "\n").encode())
    table.replace_file(_beside(out), report.markdown(results).encode())


def _beside(out):
    return pathlib.Path(out).with_suffix(".md")
