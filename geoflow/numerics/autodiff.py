"""Batched derivatives: the only file that knows how autograd works.

A map acts on the last axis of its argument and treats every point of the batch on its own; then one reverse pass an
output differentiates the whole batch. Index order: the index of the derivative is last.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp as _make_vjp
from autograd.differential_operators import make_jvp as _make_jvp
from autograd.extend import defvjp, primitive
from autograd.tracer import Box

from geoflow._typing import Array, ArrayLike, Map
from geoflow.errors import ArgumentError


def is_traced(x: Any) -> bool:
    """Whether a value is being differentiated: it then stands for an array, and cannot be checked or converted."""
    return isinstance(x, Box)


def untraced(x: Any) -> Array:
    """The array that a value being differentiated, to any order, stands for."""
    while is_traced(x):
        x = x._value
    return np.asarray(x)


def value_and_vjp(f: Map, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Value f(x) and the pullback u -> sum_a u_a df_a(x), for the whole batch at once."""
    with _seam():
        vjp, value = _make_vjp(f, x)
    return value, vjp


def jacobian(f: Map) -> Map:
    """Return df, the batched derivative of f; one reverse pass an output.

    Parameters
    ----------
    f : callable
        x of shape=[..., D] to shape=[..., d] (vector) or shape=[...] (scalar).

    Returns
    -------
    callable
        x of shape=[..., D] to shape=[..., d, D], or shape=[..., D] where f is scalar.
    """

    def df(x: ArrayLike) -> Array:
        x = as_float(x)
        value, vjp = value_and_vjp(f, x)
        if anp.ndim(value) == anp.ndim(x) - 1:
            return vjp(anp.ones(anp.shape(value)))
        units = anp.eye(anp.shape(value)[-1])
        return anp.stack([vjp(anp.broadcast_to(unit, anp.shape(value))) for unit in units], axis=-2)

    return df


def hessian(f: Map) -> Map:
    """Return d^2 f: shape=[..., D] to shape=[..., d, D, D] (vector f) or shape=[..., D, D] (scalar f)."""
    return _nested(f, 2)


def third_derivative(f: Map) -> Map:
    """Return d^3 f: shape=[..., D] to shape=[..., d, D, D, D] (vector f) or shape=[..., D, D, D] (scalar f)."""
    return _nested(f, 3)


def _nested(f: Map, order: int) -> Map:
    """Differentiate `order` times; earlier derivative indices are flattened into the output axis and restored."""

    def derivative(x: ArrayLike) -> Array:
        x = as_float(x)
        batch, dim = anp.shape(x)[:-1], anp.shape(x)[-1]
        shapes: list[tuple[int, ...]] = []

        def flat(g: Map) -> Map:
            def dg(y: Array) -> Array:
                rows = jacobian(g)(y)
                return anp.reshape(rows, (*anp.shape(y)[:-1], -1))

            return dg

        def vector(y: Array) -> Array:
            value = f(y)
            if anp.ndim(value) == anp.ndim(y) - 1:
                shapes.append(())
                return value[..., None]
            shapes.append(anp.shape(value)[-1:])
            return value

        g: Map = vector
        for _ in range(order):
            g = flat(g)
        rows = g(x)
        return anp.reshape(rows, (*batch, *shapes[-1], *(dim,) * order))

    return derivative


def jvp(f: Map, x: ArrayLike, direction: ArrayLike) -> tuple[Array, Array]:
    """Value f(x) and directional derivative df(x).v, forward mode; reverse twice where f has no forward rule.

    Parameters
    ----------
    x, direction : array-like, shape=[..., D]
    """
    x, direction = as_float(x), as_float(direction)
    try:
        with _seam():
            return _make_jvp(f)(x)(direction)
    except NotImplementedError:
        value, _ = value_and_vjp(f, x)

        def pullback(u: Array) -> Array:
            return value_and_vjp(f, x)[1](u)

        return value, value_and_vjp(pullback, anp.zeros(anp.shape(value)))[1](direction)


def directional_jacobian(f: Map, x: Array, directions: Array) -> Array:
    """Derivative of the jacobian of f along several directions in one pass: forward over reverse.

    out_{m i p} = sum_q d_q d_p f_i(x) v_{m q}.

    Parameters
    ----------
    f : callable
        x to the jacobian itself, shape=[..., D] to shape=[..., d, D].
    x : array-like, shape=[..., D]
    directions : array-like, shape=[..., m, D]

    Returns
    -------
    array, shape=[..., m, d, D]
    """
    # the directions become one more batch axis, so a single forward pass serves all of them
    points = anp.broadcast_to(x[..., None, :], anp.shape(directions))
    return jvp(f, anp.array(points), directions)[1]


def with_derivative(f: Callable[..., Array], derivatives: Callable[..., tuple[Array, ...]]) -> Callable[..., Array]:
    """f with its derivatives given instead of traced, so that others can differentiate through it.

    Parameters
    ----------
    f : callable
        Arrays of shape=[..., D] each, of one batch, to shape=[..., d], or to shape=[...].
    derivatives : callable
        The same arguments to one array an argument, shape=[..., d, D], or shape=[..., D].
    """
    traced = primitive(f)

    def pullback(argnum: int) -> Callable[..., Map]:
        def rule(value: Array, *arguments: Array) -> Map:
            J = derivatives(*arguments)[argnum]
            scalar = anp.ndim(J) == anp.ndim(arguments[argnum])
            return lambda u: u[..., None] * J if scalar else anp.einsum("...iD,...i->...D", J, u)

        return rule

    defvjp(traced, *[pullback(k) for k in range(2)])
    return traced


@contextmanager
def _seam() -> Iterator[None]:
    """Silence autograd on constant maps, whose derivative is zero, and say what a failure to trace means."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Output seems independent of input")
        try:
            yield
        except (TypeError, ValueError) as error:
            if not any(word in str(error) for word in ("Box", "array element with a sequence", "vector space")):
                raise
            raise ArgumentError(
                "a function that cannot be differentiated",
                got=f"{type(error).__name__}: {error}",
                wanted="a function of real arrays written with autograd.numpy",
                remedy="use `import autograd.numpy as np` where it is defined, or give its derivative in closed form",
            ) from error


# of arrays that may be being differentiated
einsum, matmul, concatenate, inv = anp.einsum, anp.matmul, anp.concatenate, anp.linalg.inv


def as_float(x: ArrayLike) -> Array:
    """An array of floats, or what is being differentiated as it is."""
    traced: Array = x  # type: ignore[assignment]
    return traced if is_traced(x) else np.asarray(x, dtype=float)
