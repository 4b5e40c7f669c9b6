"""What tells configurations apart: only the keys whose values are not the same everywhere."""

ABSENT = "–"
_IGNORED = ("name", "shared_encoders", "variants")


def flat(config, prefix=""):
    """A nested configuration as one dict with keys such as `stages.fidelity.steps`."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif prefix or key not in _IGNORED:
            found[prefix + key] = _text(value)
    return found


def between(configs):
    """Key -> texts, one for each configuration, of the keys in which they differ."""
    flattened = [flat(config) for config in configs]
    keys = dict.fromkeys(key for one in flattened for key in one)
    table = {key: [one.get(key, ABSENT) for one in flattened] for key in keys}
    return {key: texts for key, texts in table.items() if len(set(texts)) > 1}


def _text(value):
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
