"""A weighted sum of perception modules."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """Σ weight · penalty over its terms.

    Attributes:
      terms: modules by name; names are identifiers.
      weights: of the terms, by the same names.
    """

    terms: Mapping[str, Any]
    weights: Mapping[str, float]

    def __post_init__(self):
        """Raises ValueError unless every term has a name and a weight."""
        if not self.terms:
            raise ValueError("perception.terms is empty")
        if not all(isinstance(name, str) and name.isidentifier() for name in self.terms):
            raise ValueError(f"perception.terms must have plain names, got {list(self.terms)}")
        if set(self.weights) != set(self.terms):
            raise ValueError(
                f"perception.weights must name the terms {', '.join(sorted(self.terms))}, "
                f"got {', '.join(sorted(map(str, self.weights))) or 'none'}"
            )
        for name, weight in self.weights.items():
            if not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ValueError(
                    f"perception.weights.{name} must be positive and finite, got {weight!r}"
                )

    @property
    def learns(self):
        """Whether any term does."""
        return any(module.learns for module in self.terms.values())

    def _addressed(self, key):
        """Names, modules and keys of their own, in an order that no file changes."""
        for index, name in enumerate(sorted(self.terms)):
            yield name, self.terms[name], jax.random.fold_in(key, index)

    def init(self, key, x_spec):
        """The states of the terms that learn, by name; raises what the terms raise."""
        return {
            name: module.init(own, x_spec)
            for name, module, own in self._addressed(key)
            if module.learns
        }

    def penalty(self, state, real, fake, context, key):
        """The weighted sum; arguments as `base` describes them."""
        return sum(
            self.weights[name] * module.penalty(state.get(name, {}), real, fake, context, own)
            for name, module, own in self._addressed(key)
        )

    def update(self, state, real, fake, context, key):
        """The new states, and the metrics of every term after its name: TERM_METRIC."""
        states, metrics = {}, {}
        for name, module, own in self._addressed(key):
            if module.learns:
                states[name], found = module.update(state[name], real, fake, context, own)
                metrics |= {f"{name}_{metric}": value for metric, value in found.items()}
        return states, metrics
