"""Perception modules by name, and the user's own."""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Mapping

from synjax.perception import (
    adversarial,
    base,
    kernel,
    mixture,
    pictures,
    sliced_wasserstein,
    spaces,
    variational_kl,
    wasserstein_distortion,
)

PERCEPTION = {
    "none": base.NoPerception,
    "sliced_wasserstein": sliced_wasserstein.SlicedWasserstein,
    "mmd": kernel.Mmd,
    "wgan_gp": adversarial.WganGp,
    "gan": adversarial.Gan,
    "variational_kl": variational_kl.VariationalKl,
    "wasserstein_distortion": wasserstein_distortion.WassersteinDistortion,
    "mixture": mixture.Mixture,
}

# What the reconstructions are compared with: the encoded batch, or one that was drawn apart.
REAL = ("paired", "independent")

# Samples that a distance may take from each kind of signal; the first is the default.
SPACES = {
    "vector": ("vector",),
    "image": ("patches", "pixels", "features"),
    "sound": ("frames", "spectra"),
}
SPACES_WITH_AXES = ("vector", "patches", "frames")
# Modules with a network, which there is for vectors and pictures.
CRITICS = (adversarial.WganGp, adversarial.Gan, variational_kl.VariationalKl)
OF_PICTURES = (wasserstein_distortion.WassersteinDistortion,)

# Fields of modules that the codec fills, not the configuration.
GIVEN = ("axes", "groups")


def build(
    name,
    *,
    kind,
    axes=None,
    groups=None,
    picture=None,
    real="paired",
    as_pictures=False,
    **options,
):
    """A perception module.

    Args:
      name: key of `PERCEPTION`, or MODULE:CLASS of a class that `base` describes.
      kind: of the signal, "vector", "image" or "sound".
      axes: directions that matter to the codec [A, n], its KLT; left out where the module or its
        space cannot use them.
      groups: channels of the codec's groups, for a conditioned critic.
      picture: (H, W) of vectors that can be shown as grey pictures.
      real: one of `REAL`.
      as_pictures: whether the module is one of pictures and sees such vectors as they are shown.
      **options: hyper-parameters of the module; the rest keep their defaults. A mixture takes
        `terms`, a dict of dicts each with the `name` of a module and the options of that module,
        and `weights`, a dict of numbers by the same keys; terms without a weight count once.

    Returns:
      A module as `base` describes it.

    Raises:
      ValueError: unknown name, kind or option, or a value that the module refuses.
    """
    constructor = _constructor(name)
    _check("perception kind", kind, SPACES)
    if as_pictures:
        if kind != "vector" or picture is None:
            raise ValueError("perception.as_pictures needs vectors that are pictures, as mnist has")
        module = build(name, kind="image", groups=groups, real=real, **options)
        return pictures.AsPictures(module, tuple(picture))
    fields = [field.name for field in dataclasses.fields(constructor)]
    allowed = [field for field in fields if field not in GIVEN]
    for option in options:
        if option not in allowed:
            known = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise ValueError(f"perception {name!r} has no option {option!r}; {known}")
    known = {"kind": kind, "axes": axes, "groups": groups, "picture": picture, "real": real}
    if constructor is mixture.Mixture:
        return _mixture(known, **options)
    if kind == "sound" and issubclass(constructor, CRITICS):
        others = ", ".join(k for k, v in PERCEPTION.items() if not issubclass(v, CRITICS))
        raise ValueError(f"perception {name!r} has no critic of sounds; there are {others}")
    if kind != "image" and constructor in OF_PICTURES:
        raise ValueError(f"perception {name!r} is of pictures, not of a signal of kind {kind!r}")
    if issubclass(constructor, spaces.Spaced):
        space = options.setdefault("space", SPACES[kind][0])
        _check(f"perception.space of a signal of kind {kind!r}", space, SPACES[kind])
        if "axes" in fields:
            options["axes"] = axes if space in SPACES_WITH_AXES else None
    if options.get("conditioned"):
        if real != "paired":
            raise ValueError(
                f"perception.conditioned needs the sources of the synsets: real must be 'paired', "
                f"not {real!r}"
            )
        options["groups"] = groups
    return constructor(**options)


def own_code(options):
    """The source texts of the user's own modules that the options of a perception name."""
    texts = [own_code(term) for term in (options.get("terms") or {}).values()]
    own = ":" in options["name"]
    return sum(texts, [_source(options["name"])] if own else [])


def _source(name):
    return inspect.getsource(sys.modules[_constructor(name).__module__])


def _constructor(name):
    """The class of a name."""
    module, colon, attribute = str(name).partition(":")
    if not colon:
        _check("perception.name", name, (*PERCEPTION, "MODULE:CLASS"))
        return PERCEPTION[name]
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise ValueError(f"perception.name is {name!r}: {error}") from None
    needed = ("learns", "init", "penalty", "update")
    missing = [part for part in needed if not hasattr(found, part)]
    if missing:
        raise ValueError(f"perception.name is {name!r}, which has no {', '.join(missing)}")
    if not isinstance(found, type) or not dataclasses.is_dataclass(found):
        raise ValueError(f"perception.name is {name!r}, which is no dataclass")
    return found


def _mixture(known, terms=None, weights=None):
    if not isinstance(terms, Mapping) or not all(
        isinstance(term, Mapping) and "name" in term for term in terms.values()
    ):
        raise ValueError(f"perception.terms must be a dict of dicts with a name, got {terms!r}")
    if not isinstance(weights or {}, Mapping):
        raise ValueError(f"perception.weights must be a dict of numbers, got {weights!r}")
    for key, term in terms.items():
        if taken := sorted(set(term) & set(known)):
            raise ValueError(f"perception.terms.{key} has no option {taken[0]!r}")
    built = {key: build(**term, **known) for key, term in terms.items()}
    return mixture.Mixture(built, {key: 1.0 for key in terms} | dict(weights or {}))


def check_real(name, real):
    """Raises ValueError, which calls it `name`, unless `real` is one of `REAL`."""
    _check(name, real, REAL)


def _check(what, value, allowed):
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}, must be one of {', '.join(allowed)}")
