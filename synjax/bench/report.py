"""Results as tables: a Markdown file, and the same on the console."""

import pandas as pd

MISSING = "–"


def markdown(results):
    """All tables of a benchmark's results.

    Args:
      results: dict from `parts.run`.

    Returns:
      Text. A heading carries its unit behind the last underscore, as the JSON does.
    """
    lines = [f"# Benchmark of {results['config']['name']}", "", *_facts(results)]
    for name, rows in results["parts"].items():
        heads = headings(rows)
        lines += ["", f"## {name}", "", _line(heads), _line("---" for _ in heads)]
        lines += [_line(_text(row.get(head)) for head in heads) for row in rows]
    return "\n".join(lines) + "\n"


def show(name, rows, console):
    """Prints the rows of one part; on a narrow console their columns in blocks, each row named."""
    heads = headings(rows)
    others = (head for head in heads if not all(isinstance(row.get(head), str) for row in rows))
    naming = heads[: heads.index(next(others, heads[-1]))]
    shown = pd.DataFrame(
        [[_text(row.get(head)) for head in heads if head not in naming] for row in rows],
        index=[", ".join(row[head] for head in naming) for row in rows],
        columns=[head.replace("_", " ") for head in heads if head not in naming],
    )
    console.print(f"\n{name}", style="bold", highlight=False)
    text = shown.to_string(line_width=console.width)
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def headings(rows):
    """The keys of all rows, in the order in which they first come up."""
    return list(dict.fromkeys(key for row in rows for key in row))


def _facts(results):
    machine, after = results["machine"], results.get("load_1_min_at_the_end")
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return [
        f"{machine['date']}; {machine['processor']}, {machine['cores']} cores; "
        f"{machine['devices']} x {machine['device']} ({machine['platform']}); "
        f"load {machine['load_1_min']} at the start, {after} at the end; "
        f"Python {machine['python']}, {versions}; configuration {results['config']['hash']}; "
        f"medians of {results['repeats']} runs.",
    ]


def _line(cells):
    return "| " + " | ".join(str(cell).replace("_", " ") for cell in cells) + " |"


def _text(value):
    return MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)
