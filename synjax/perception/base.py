"""The contract of a perception module, and the module that asks for nothing.

A module is a frozen dataclass of hyper-parameters with three pure functions:

    init(key, x_spec) -> state                        a pytree, {} if it has none
    penalty(state, real, fake, context, key) -> scalar   differentiable in fake
    update(state, real, fake, context, key) -> (state, metrics)

and `learns`, whether update does anything: what learns has one adversary, so one condition a step.
real is [N, *S, C], fake the synset [B, M, *S, C], context the dict {"source", "symbols", "level"}
for conditional critics. Whether `real` is the encoded batch ("paired") or another one
("independent") is the caller's choice; N may differ from B·M.

Besides those of `build.PERCEPTION` any such class will do: `perception.name` is then MODULE:CLASS.
"""

import dataclasses


def pooled(fake):
    """All members of all synsets as one batch: [B, M, *S, C] → [B·M, *S, C]."""
    return fake.reshape(-1, *fake.shape[2:])


@dataclasses.dataclass(frozen=True, eq=False)
class Fixed:
    """A perception module without a state: a distance that is not learned.

    Without an equality of its own, which children would inherit and then all be equal.
    """

    learns = False

    def init(self, key, x_spec):
        """No state."""
        del key, x_spec
        return {}

    def update(self, state, real, fake, context, key):
        """Nothing to learn."""
        del real, fake, context, key
        return state, {}


@dataclasses.dataclass(frozen=True)
class NoPerception(Fixed):
    """The zero penalty: with it Eq. 62 is synonymous rate plus distortion."""

    def penalty(self, state, real, fake, context, key):
        """Zero."""
        del state, real, fake, context, key
        return 0.0
