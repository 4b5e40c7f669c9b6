"""A configuration as plain JSON, such as the `config.json` that every sweep leaves.

It needs no ml_collections: what is in the file are the keys that there are, and their values say
what a flag may set them to.
"""

import ast
import copy
import dataclasses
import json
import pathlib

from synjax.training import schedule

# What `training.plan` and `evaluation` read; whatever else there is they check themselves.
REQUIRED = {
    "": (
        *("name", "seeds", "data", "codec", "distortion", "perception", "stages", "sweep"),
        "evaluation",
    ),
    "data": ("source", "augment"),
    "codec": ("groups",),
    "perception": ("name",),
    "sweep": ("lambda_d", "lambda_p", "also", "encoders", "decoders"),
    "evaluation": ("members", "limit"),
}
FLAG = "--config"
AFTERWARDS = ("data.test", "evaluation.")  # what no training depends on
LIFTED = ("evaluation.limit",)  # what may become None
# What a configuration need not say of its evaluation.
OPTIONAL = {
    "classical": [],
    "fresh_critic_steps": 0,
    "lambda_p": [],
    "levels": [],
    "lpips": None,
    "realism": [1.0],
}


def split(arguments):
    """Takes a JSON configuration and what is to be changed in it out of a command line.

    Args:
      arguments: as `--config=FILE.json`, `--config.KEY=VALUE` or `--config.KEY VALUE`.

    Returns:
      (path, overrides, rest): the file and the text by key; or (None, {}, arguments) where no JSON
      file is named.
    """
    named = [a.partition("=")[2] for a in arguments if a.startswith(f"{FLAG}=")]
    if not named or not named[-1].endswith(".json"):
        return None, {}, list(arguments)
    overrides, rest = overridden([a for a in arguments if not a.startswith(f"{FLAG}=")])
    return pathlib.Path(named[-1]), overrides, rest


def overridden(arguments):
    """Takes `--config.KEY=VALUE` and `--config.KEY VALUE` out: (text by key, rest)."""
    overrides, rest, key = {}, [], None
    for argument in arguments:
        if key is not None:
            overrides[key], key = argument, None
        elif argument.startswith(f"{FLAG}."):
            name, equals, value = argument[len(FLAG) + 1 :].partition("=")
            if equals:
                overrides[name] = value
            else:
                key = name
        else:
            rest.append(argument)
    if key is not None:
        raise ValueError(f"{FLAG}.{key} has no value")
    return overrides, rest


def load(path, overrides):
    """The configuration of a file.

    Args:
      path: of a JSON file.
      overrides: dict from a key such as "sweep.lambda_d" to the text of its value.

    Returns:
      A plain dict.

    Raises:
      ValueError: it is no whole configuration, or an override has no such key or another type.
      OSError: it cannot be read.
    """
    try:
        config = json.loads(pathlib.Path(path).read_text())
    except ValueError:
        raise ValueError(f"{path} is not JSON") from None
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds no JSON object")
    _require_whole(path, config)
    for key, text in overrides.items():
        _set(config, key, text)
    # Where an earlier sweep kept encoders that its variants shared; this one is alone.
    config.pop("shared_encoders", None)
    return config


def changed(config, overrides):
    """A copy of what something was trained for, with other tests or measurements.

    Args:
      config: a plain dict; that of an experiment with variants, too.
      overrides: as for `load`, of `AFTERWARDS`.

    Raises:
      ValueError: a key that training depends on, that there is not, or a value of another type.
    """
    found = copy.deepcopy(config)
    if overrides:
        found["evaluation"] = copy.deepcopy(OPTIONAL) | found["evaluation"]
        found["data"].setdefault("test", None)
    for key, text in overrides.items():
        _set(found, key, text)
        if not key.startswith(AFTERWARDS):
            raise ValueError(
                f"{FLAG}.{key} is what it was trained for; evaluate can change data.test and "
                "evaluation.KEY"
            )
    return found


def _require_whole(path, config):
    if "variants" in config:
        raise ValueError(
            f"{path} is of an experiment with variants: give the file of the experiment, or the "
            f"config.json of one of {', '.join(config['variants'])}"
        )
    for group, names in REQUIRED.items():
        found = config[group] if group else config
        if not isinstance(found, dict):
            raise ValueError(f"{path} is no configuration: {group} is no JSON object")
        for name in names:
            if name not in found:
                raise ValueError(f"{path} is no configuration: it has no {group or 'key'} {name!r}")
    fields = {field.name: field for field in dataclasses.fields(schedule.Stage)}
    needed = {name for name, field in fields.items() if _has_no_default(field)} - {"name"}
    for name, settings in config["stages"].items():
        missing, unknown = sorted(needed - set(settings)), sorted(set(settings) - set(fields))
        if missing or unknown:
            problem = f"no {missing[0]!r}" if missing else f"a setting {unknown[0]!r}, of no use"
            raise ValueError(f"{path} is no configuration: stages.{name} has {problem}")


def _has_no_default(field):
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _set(config, key, text):
    *parents, last = key.split(".")
    place = config
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        raise ValueError(f"the configuration has no such key: {key}")
    place[last] = _value(key, place[last], text)


def _value(key, held, text):
    """The value that a text means where `held` was."""
    if isinstance(held, str):
        return text
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = {"true": True, "false": False}.get(text.lower(), text)
    # What replaces None may be anything, as far as is known here: the plan checks it.
    if held is None or (value is None and key in LIFTED):
        return value
    if isinstance(held, list):
        return value if isinstance(value, list | tuple) else (value,)
    if isinstance(held, float) and type(value) is int:
        return float(value)
    if type(value) is not type(held):
        raise ValueError(f"{FLAG}.{key} is {held!r}, cannot become {text!r}")
    return value
