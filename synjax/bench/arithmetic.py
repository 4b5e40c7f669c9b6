"""Multiply-accumulates of a JAX function, counted in its jaxpr.

Only convolutions and matrix products count, as is the custom for networks. XLA's own
`cost_analysis` counts two FLOPs for each, leaves out the taps that lie in the padding, and adds
elementwise arithmetic; on CPU it loses what is handed to a library.
"""

import math

import jax
from jax.extend import core


def multiply_accumulates(function, *arguments):
    """Counts a call without running it.

    Args:
      function: of JAX; whatever it computes and drops is not counted.
      *arguments: pytrees of arrays or `jax.ShapeDtypeStruct`.

    Returns:
      An integer. The body of a `while` counts once, and of a `cond` the dearest branch.
    """
    return _of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of(jaxpr):
    return sum(_of_equation(equation) for equation in _needed(jaxpr))


def _needed(jaxpr):
    """The equations that an output depends on, or that have an effect."""
    alive = {v for v in jaxpr.outvars if isinstance(v, core.Var)}
    needed = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or not alive.isdisjoint(equation.outvars):
            alive.update(v for v in equation.invars if isinstance(v, core.Var))
            needed.append(equation)
    return needed


def _of_equation(equation):
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        terms = math.prod(left[axis] for axis in contracted)
        return math.prod(equation.outvars[0].aval.shape) * terms
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        terms = math.prod(kernel) // kernel[params["dimension_numbers"].rhs_spec[0]]
        zeros = math.prod(params["lhs_dilation"])  # between the pixels of a transposed convolution
        return math.prod(equation.outvars[0].aval.shape) * terms // zeros
    inner = [_of(jaxpr) for jaxpr in _inside(params.values())]
    if name == "cond":
        return max(inner)
    return sum(inner) * (params["length"] if name == "scan" else 1)


def _inside(values):
    """The jaxprs among an equation's parameters."""
    for value in values:
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
        elif isinstance(value, list | tuple):
            yield from _inside(value)
