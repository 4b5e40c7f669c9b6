"""Perception modules by name."""

import dataclasses

from synjax.perception import adversarial, base, sliced_wasserstein

PERCEPTION = {
    "none": base.NoPerception,
    "sliced_wasserstein": sliced_wasserstein.SlicedWasserstein,
    "wgan_gp": adversarial.WganGp,
}

# What the reconstructions are compared with: the encoded batch, or one that was drawn apart.
REAL = ("paired", "independent")

# Samples that a sliced distance may take from each kind of signal; the first is the default.
SPACES = {"vector": ("vector",), "image": ("patches", "pixels", "features")}
SPACES_WITH_AXES = ("vector", "patches")


def build(name, *, kind, axes=None, **options):
    """A perception module.

    Args:
      name: key of `PERCEPTION`.
      kind: of the signal, "vector" or "image".
      axes: directions that matter to the codec [A, n], its KLT; left out where the module or its
        space cannot use them.
      **options: hyper-parameters of the module; the rest keep their defaults.

    Returns:
      A module as `base` describes it.

    Raises:
      ValueError: unknown name, kind or option, or a value that the module refuses.
    """
    _check("perception.name", name, PERCEPTION)
    _check("perception kind", kind, SPACES)
    constructor = PERCEPTION[name]
    allowed = [field.name for field in dataclasses.fields(constructor) if field.name != "axes"]
    for option in options:
        if option not in allowed:
            known = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise ValueError(f"perception {name!r} has no option {option!r}; {known}")
    if constructor is sliced_wasserstein.SlicedWasserstein:
        space = options.setdefault("space", SPACES[kind][0])
        _check(f"perception.space of a signal of kind {kind!r}", space, SPACES[kind])
        options["axes"] = axes if space in SPACES_WITH_AXES else None
    return constructor(**options)


def check_real(name, real):
    """Raises ValueError, which calls it `name`, unless `real` is one of `REAL`."""
    _check(name, real, REAL)


def _check(what, value, allowed):
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}, must be one of {', '.join(allowed)}")
