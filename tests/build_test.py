"""Perception modules by name: what is allowed, and that every module keeps the contract."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import config_dict

from synjax.perception import adversarial, base, build, sliced_wasserstein


@dataclasses.dataclass(frozen=True)
class Brightness(base.Fixed):
    """A module of the user's own."""

    power: int = 2

    def penalty(self, state, real, fake, context, key):
        del state, context, key
        return jnp.abs(real.mean() - fake.mean()) ** self.power


class Undecorated:
    learns, init, penalty, update = False, None, None, None


OWN = f"{__name__}:Brightness"
SHAPES = {"vector": (6,), "image": (16, 16, 2)}
OPTIONS = {
    "none": {},
    "sliced_wasserstein": {"directions": 4, "patch": 8},
    "mmd": {"patch": 8, "samples": 64},
    "wgan_gp": {"width": 4, "critic_steps": 1},
    "gan": {"width": 4, "critic_steps": 1, "conditioned": True},
    "wasserstein_distortion": {"window": 4, "widths": (4, 4)},
    "variational_kl": {"width": 4, "critic_steps": 1},
    "mixture": {
        "terms": {
            "distance": {"name": "mmd", "patch": 8},
            "critic": {"name": "gan", "width": 4, "critic_steps": 1, "conditioned": True},
        }
    },
    OWN: {"power": 4},
}
LEARNED = ("wgan_gp", "gan", "variational_kl", "mixture")
KEY = jax.random.key(0)


def _noise(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("none", "vector"),
        ("sliced_wasserstein", "vector"),
        ("sliced_wasserstein", "image"),
        ("mmd", "vector"),
        ("mmd", "image"),
        ("wgan_gp", "vector"),  # adversarial_test has its images
        ("gan", "vector"),
        ("gan", "image"),
        ("variational_kl", "vector"),
        ("variational_kl", "image"),
        ("mixture", "image"),
        ("wasserstein_distortion", "image"),
        (OWN, "vector"),
        (OWN, "image"),
    ],
)
def test_every_module_keeps_the_contract(name, kind):
    module = build.build(name, kind=kind, groups=(1, 2), **OPTIONS[name])
    shape = SHAPES[kind]
    real, fake = _noise(6, *shape, seed=0), 2 * _noise(6, 3, *shape, seed=1)
    places = (1, 1) if kind == "image" else ()
    context = {"source": real, "symbols": _noise(6, *places, 3, seed=2), "level": 1}

    @jax.jit
    def run(real, fake):
        spec = jax.ShapeDtypeStruct(real.shape, real.dtype)
        state = module.init(jax.random.key(0, impl="rbg"), spec)
        after, metrics = module.update(state, real, fake, context, KEY)
        gradient = jax.grad(lambda f: jnp.float32(module.penalty(after, real, f, context, KEY)))
        return gradient(fake), state, after, metrics

    gradient, state, after, metrics = run(real, fake)
    assert gradient.shape == fake.shape
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0) == (name != "none")
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert all(value.shape == () for value in metrics.values())
    assert bool(state) == module.learns == (name in LEARNED)


@pytest.mark.parametrize("name", sorted(set(build.PERCEPTION) - {"none", "wasserstein_distortion"}))
def test_conditions_side_by_side_are_as_one_after_the_other(name):
    """As in training: one critic, and an axis of conditions in front of all else."""
    module = build.build(name, kind="vector", groups=(1, 2), **OPTIONS[name])
    real, fake = _noise(2, 6, 5, seed=0), 2 * _noise(2, 6, 3, 5, seed=1)
    context = {"source": real, "symbols": _noise(2, 6, 3, seed=2), "level": np.array([1, 2])}
    keys = jax.random.split(KEY, 2)

    @jax.jit
    def run(*given):
        state = module.init(KEY, jax.ShapeDtypeStruct(real.shape[1:], real.dtype))
        one, two = (jax.tree.map(lambda leaf, i=i: leaf[i], given) for i in range(2))
        state, _ = module.update(state, *one[:3], KEY)
        together = jax.vmap(module.penalty, (None, 0, 0, 0, 0))(state, *given)
        return together, jnp.stack([module.penalty(state, *one), module.penalty(state, *two)])

    together, apart = run(real, fake, context, keys)
    assert together[0] != together[1]
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-6)


def test_a_conditioned_critic_is_given_the_codecs_groups_and_needs_paired_batches():
    assert build.build("gan", kind="image", groups=(1, 2)).groups is None
    assert build.build("gan", kind="image", groups=(1, 2), conditioned=True).groups == (1, 2)
    build.build("gan", kind="image", groups=(1, 2), real="independent")
    term = {"name": "gan", "conditioned": True}
    for name, options in (("gan", {"conditioned": True}), ("mixture", {"terms": {"a": term}})):
        with pytest.raises(ValueError, match="real must be 'paired', not 'independent'"):
            build.build(name, kind="image", groups=(1, 2), real="independent", **options)


def test_a_configuration_holds_a_mixture_and_flags_change_it():
    """As plain dicts, whose entries --config.perception.weights.critic=… reaches."""
    config = config_dict.ConfigDict({"perception": {"name": "mixture", **OPTIONS["mixture"]}})
    config.perception.weights = {"distance": 1.0, "critic": 0.1}
    config.perception.weights.critic = 0.5
    options = config.to_dict()["perception"]
    module = build.build(kind="image", groups=(1, 2), **options)
    assert module.weights == {"distance": 1.0, "critic": 0.5}
    assert set(module.terms) == {"distance", "critic"}


def test_no_perception_asks_for_nothing():
    module = build.build("none", kind="image")
    assert isinstance(module, base.NoPerception)
    assert module.penalty({}, None, None, None, None) == 0


def test_options_reach_the_module_and_the_others_keep_their_defaults():
    module = build.build("wgan_gp", kind="image", width=5)
    assert module == adversarial.WganGp(width=5)


@pytest.mark.parametrize(
    ("kind", "options", "space", "sees_axes"),
    [
        ("vector", {}, "vector", True),
        ("image", {}, "patches", True),
        ("image", {"space": "pixels"}, "pixels", False),
        ("image", {"space": "features"}, "features", False),
    ],
)
def test_axes_are_given_to_the_spaces_that_can_use_them(kind, options, space, sees_axes):
    axes = np.eye(3)
    module = build.build("sliced_wasserstein", kind=kind, axes=axes, **options)
    assert isinstance(module, sliced_wasserstein.SlicedWasserstein)
    assert module.space == space
    assert (module.axes is axes) == sees_axes


def test_axes_are_left_out_where_a_module_has_no_use_for_them():
    assert build.build("none", kind="vector", axes=np.eye(3)) == base.NoPerception()
    assert build.build("wgan_gp", kind="vector", axes=np.eye(3)) == adversarial.WganGp()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lpips", {}, "perception.name is 'lpips', .* none, sliced_wasserstein, mmd, wgan_gp"),
        ("none", {"kind": "audio"}, "kind is 'audio', must be one of vector, image"),
        ("none", {"width": 3}, "'none' has no option 'width'; it takes none"),
        ("wgan_gp", {"widht": 3}, "no option 'widht'; it takes width, critic_steps, learning_rate"),
        ("sliced_wasserstein", {"width": 3}, "no option 'width'; it takes space, patch"),
        (
            "sliced_wasserstein",
            {"space": "vector"},
            "'image' is 'vector', .* patches, pixels, feat",
        ),
        ("sliced_wasserstein", {"space": "fourier"}, "'image' is 'fourier', must be one of"),
        ("sliced_wasserstein", {"directions": -1}, "must not be negative"),
        ("sliced_wasserstein", {"axes_per_step": 1}, "needs axes; space 'patches' has none"),
        ("wgan_gp", {"critic_steps": 0}, "critic_steps must be at least 1"),
        ("gan", {"learning_rate": 0.0}, "learning_rate must be positive"),
        ("gan", {"conditioned": True}, "perception.conditioned needs the groups of a codec"),
        ("mmd", {"space": "vector"}, "'image' is 'vector', .* patches, pixels, feat"),
        ("variational_kl", {"bound": "mine"}, "perception.bound is 'mine', must be one of"),
        ("mixture", {}, "perception.terms must be a dict of dicts"),
        (
            "lpips",
            {},
            "wgan_gp, gan, variational_kl, wasserstein_distortion, mixture, MODULE:CLASS$",
        ),
        (OWN, {"powre": 2}, "has no option 'powre'; it takes power$"),
        ("absent:Term", {}, "^perception.name is 'absent:Term': No module named 'absent'$"),
        (":Term", {}, "^perception.name is ':Term': Empty module name$"),
        (f"{__name__}:Term", {}, "has no attribute 'Term'$"),
        ("synjax.perception.base:Fixed", {}, "base:Fixed', which has no penalty$"),
        (f"{__name__}:Undecorated", {}, "Undecorated', which is no dataclass$"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(name, arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        build.build(name, **({"kind": "image"} | arguments))
    assert "\n" not in str(refusal.value)


def test_axes_are_not_offered_as_an_option_of_the_configuration():
    with pytest.raises(ValueError, match="'seeds'; it takes space, patch") as refusal:
        build.build("sliced_wasserstein", kind="vector", seeds=1)
    assert " axes," not in str(refusal.value)


@pytest.mark.parametrize("real", build.REAL)
def test_both_choices_of_the_compared_batch_are_accepted(real):
    build.check_real("stages.perception.real", real)


def test_another_choice_of_the_compared_batch_is_refused():
    refused = "^stages.joint.real is 'both', must be one of paired, independent$"
    with pytest.raises(ValueError, match=refused):
        build.check_real("stages.joint.real", "both")


def test_the_code_of_own_modules_is_told_apart_wherever_they_are_named():
    code = pathlib.Path(__file__).read_text()
    assert build.own_code({"name": OWN, "power": 4}) == [code]
    assert build.own_code({"name": "mixture", **OPTIONS["mixture"]}) == []
    terms = {"own": {"name": OWN}, "near": {"name": "mmd"}}
    nested = {"all": {"name": "mixture", "terms": terms}, "again": {"name": OWN}}
    assert build.own_code({"name": "mixture", "terms": nested}) == [code, code]
