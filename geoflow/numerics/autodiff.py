"""Batched derivatives: the only file that knows how autograd works.

A map acts on the last axis of its argument and treats every point of the batch on its own; then one reverse pass
differentiates the whole batch, and for all rows of a Jacobian the outputs are one more axis of the batch. Index order:
the index of the derivative is last.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import make_vjp as _make_vjp
from autograd.differential_operators import make_jvp as _make_jvp
from autograd.extend import JVPNode, VJPNode, defvjp, defvjp_argnum, primitive, register_notrace
from autograd.tracer import Box, trace

from geoflow._pickling import rebuilt_by
from geoflow._typing import Array, ArrayLike, Map
from geoflow._usercode import TRACE_WORDS, described_error, described_place, is_of_autograd, place_of
from geoflow.errors import ArgumentError, DerivativeError, GeoflowError
from geoflow.numerics import rules as rules  # registers the rules that autograd has wrong
from geoflow.numerics.jets import Remembered


def is_traced(x: Any) -> bool:
    """Whether a value is being differentiated: it then stands for an array, and cannot be checked or converted."""
    return isinstance(x, Box)


def untraced(x: Any) -> Array:
    """The array that a value being differentiated, to any order, stands for."""
    while is_traced(x):
        x = x._value
    return np.asarray(x)


def follows(f: Map, x: Array) -> bool:
    """Whether the value of f comes from x by operations that autograd follows."""
    with _seam():
        return trace(VJPNode.new_root(), f, x)[1] is not None


def value_and_vjp(f: Map, x: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Value f(x) and the pullback u -> sum_a u_a df_a(x), for the whole batch at once."""
    with _seam():
        vjp, value = _make_vjp(f, x)

    def pull(u: Array) -> Array:
        try:
            return vjp(u)
        except NotImplementedError as error:
            raise _without_derivative(error) from error

    return value, pull


#: entries of the arrays, N d D, up to which a Jacobian is one reverse pass: beyond, memory is what it costs
ONE_PASS = 2**17


def jacobian(f: Map, outputs: int | None = None) -> Map:
    """Return df, the batched derivative of f; one reverse pass, and one an output where the arrays are large.

    f takes x of shape=[..., D] to shape=[..., d] or shape=[...] (scalar), df to shape=[..., d, D] or shape=[..., D].
    `outputs` is d where it is known, which saves the evaluation that tells.
    """

    def df(x: ArrayLike) -> Array:
        x = as_float(x)
        single = anp.ndim(x) == 1  # f may be a function of one point alone: it is never given a batch of its copies
        if outputs is not None and not single and outputs > 1 and outputs * anp.size(x) <= ONE_PASS:
            return _all_rows(f, x, outputs)
        value, vjp = value_and_vjp(f, x)
        shape = anp.shape(value)
        if len(shape) == anp.ndim(x) - 1:
            return vjp(anp.ones(shape))
        if shape[-1] == 1:
            return vjp(anp.ones(shape))[..., None, :]
        if not single and shape[-1] * anp.size(x) <= ONE_PASS:
            return _all_rows(f, x, shape[-1])
        return anp.stack([vjp(anp.broadcast_to(unit, shape)) for unit in anp.eye(shape[-1])], axis=-2)

    return df


def _all_rows(f: Map, x: Array, d: int) -> Array:
    """The Jacobian by one reverse pass over d copies of every point."""
    D, batch = anp.shape(x)[-1], anp.shape(x)[:-1]
    points = anp.reshape(x[..., None, :] + anp.zeros((d, 1)), (-1, D))
    units = anp.reshape(anp.broadcast_to(anp.eye(d), (*batch, d, d)), (-1, d))
    return anp.reshape(value_and_vjp(f, points)[1](units), (*batch, d, D))


def hessian(f: Map) -> Remembered:
    """Return d^2 f: shape=[..., D] to shape=[..., d, D, D] (vector f) or shape=[..., D, D] (scalar f)."""
    return Remembered(f, 2, _nested(f, 2))


def third_derivative(f: Map) -> Remembered:
    """Return d^3 f: shape=[..., D] to shape=[..., d, D, D, D] (vector f) or shape=[..., D, D, D] (scalar f)."""
    return Remembered(f, 3, _nested(f, 3))


def derivative(f: Map, order: int) -> Map:
    """Return the derivative of order 1, 2 or 3: `jacobian`, `hessian` or `third_derivative`."""
    makers: tuple[Callable[[Map], Map], ...] = (jacobian, hessian, third_derivative)
    return makers[order - 1](f)


def _nested(f: Map, order: int) -> Map:
    """Differentiate in reverse once, then forwards along the unit vectors, which become axes of the batch."""

    def derivative(x: ArrayLike) -> Array:
        x = as_float(x)
        D = anp.shape(x)[-1]

        def along_units(g: Map) -> Map:
            def derivative(y: Array) -> Array:
                if anp.ndim(y) == 1:
                    return anp.stack([jvp(g, y, unit)[1] for unit in np.eye(D)])
                return directional_jacobian(g, y, anp.broadcast_to(anp.eye(D), (*anp.shape(y), D)))

            return derivative

        g = jacobian(f)
        for _ in range(order - 1):
            g = along_units(g)
        # indices of forward passes come first, those of later passes before those of earlier ones
        value, first = g(x), anp.ndim(x) - 1
        forward = list(range(first, first + order - 1))
        rest = [k for k in range(anp.ndim(value)) if k not in forward]
        return anp.transpose(value, rest + forward[::-1])

    return derivative


def jvp(f: Map, x: ArrayLike, direction: ArrayLike) -> tuple[Array, Array]:
    """Value f(x) and df(x).v, both arguments of shape=[..., D]: forward mode, or reverse twice where f has no rule."""
    x, direction = as_float(x), as_float(direction)
    try:
        with _seam():
            return _make_jvp(f)(x)(direction)
    except NotImplementedError:
        value, pullback = value_and_vjp(f, x)
        # a pullback is linear, so any covector will do; rules of autograd take another course at zero
        generic = np.reshape(np.cos(1.0 + np.arange(anp.size(value))), anp.shape(value))
        return value, value_and_vjp(pullback, generic)[1](direction)


def directional_jacobian(f: Map, x: Array, directions: Array) -> Array:
    """Derivatives of f, shape=[..., D] to any, as a Jacobian [..., d, D], along v of shape=[..., m, D]: [..., m, d, D].

    out_{m i p} = sum_q d_q f_{i p}(x) v_{m q}, in one forward pass: the directions become one more batch axis.
    """
    return jvp(f, anp.array(anp.broadcast_to(x[..., None, :], anp.shape(directions))), directions)[1]


def with_derivative(f: Callable[..., Array], derivatives: Callable[..., tuple[Array, ...]]) -> Callable[..., Array]:
    """f with its derivatives given instead of traced, so that others can differentiate through it.

    f takes two arrays of shape=[..., D], of one batch, to shape=[..., d] or shape=[...], and `derivatives` takes them
    to one array an argument, shape=[..., d, D] or shape=[..., D].
    """
    traced = primitive(f)

    def pullback(argnum: int) -> Callable[..., Map]:
        def rule(value: Array, *arguments: Array) -> Map:
            J = derivatives(*arguments)[argnum]
            scalar = anp.ndim(J) == anp.ndim(arguments[argnum])
            return lambda u: u[..., None] * J if scalar else anp.einsum("...iD,...i->...D", J, u)

        return rule

    defvjp(traced, pullback(0), pullback(1))
    return rebuilt_by(traced, with_derivative, f, derivatives)


def with_pullback(f: Callable[..., Array], pull: Callable[..., Array]) -> Callable[..., Array]:
    """f with its derivatives given as pullbacks, (argnum, value, arguments, u) to u^T df in that argument.

    They are differentiated further where what they call can be.
    """
    traced = primitive(f)

    def rule(argnum: int, value: Array, arguments: tuple[Array, ...], keywords: Any) -> Map:
        return lambda u: pull(argnum, value, arguments, u)

    defvjp_argnum(traced, rule)
    return rebuilt_by(traced, with_pullback, f, pull)


def with_closed_forms(f: Map, jacobian: Map, hessian_product: Callable[..., Array]) -> Map:
    """f that is differentiated twice by closed forms, and further where these can be.

    jacobian takes x of shape=[..., D] to shape=[..., d, D], hessian_product (x, u, v) to sum_i u_i hess f_i.v.
    """

    def twice(argnum: int, value: Array, arguments: tuple[Array, ...], v: Array) -> Array:
        x, u = arguments
        return hessian_product(x, u, v) if argnum == 0 else anp.einsum("...iD,...D->...i", jacobian(x), v)

    pulled = with_pullback(lambda x, u: np.einsum("...iD,...i->...D", jacobian(x), u), twice)
    return with_pullback(f, lambda argnum, value, arguments, u: pulled(arguments[0], u))


@contextmanager
def _seam() -> Iterator[None]:
    """Silence autograd on constant maps, whose derivative is zero, and say what a failure to trace means."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Output seems independent of input")
        try:
            yield
        except NotImplementedError as error:
            raise _without_derivative(error) from error
        except (TypeError, ValueError) as error:
            if isinstance(error, GeoflowError) or not any(word in str(error) for word in TRACE_WORDS):
                raise
            raise ArgumentError(
                "a function that cannot be differentiated",
                got=f"{described_error(error)}{described_place(place_of(error))}",
                wanted="a function of real arrays written with autograd.numpy",
                remedy="use `import autograd.numpy as np` where it is defined, or give its derivative in closed form",
            ) from error


#: formulas of operations that autograd has no derivative of, in those that it has
INSTEAD = {
    "cbrt": "np.sign(x) * np.abs(x) ** (1 / 3)",
    "hypot": "np.sqrt(x**2 + y**2)",
    "fmax": "np.maximum",
    "fmin": "np.minimum",
}


def _without_derivative(error: NotImplementedError) -> NotImplementedError:
    """What autograd says of an operation that it has no derivative of, with its name and what to do."""
    if isinstance(error, DerivativeError) or not is_of_autograd(error):
        return error
    named = re.search(r"(?:VJP|JVP|[Gg]radient) of (?:matrix )?(\w+)", str(error))
    operation, place = named.group(1) if named else "", place_of(error)
    remedy = "give closed forms (jacobian= and hessian_product= of a map, gradient= and hessian= of a potential), or "
    file, line = place or ("", 0)
    return DerivativeError(
        "a function that cannot be differentiated: autograd has no derivative of "
        + (f"np.{operation}" if operation else "an operation in it"),
        got=f"{described_error(error)}{described_place(place)}",
        wanted="operations that autograd differentiates, to second order",
        remedy=remedy + (f"write {INSTEAD[operation]}" if operation in INSTEAD else "write it by another formula"),
        operation=operation,
        file=file,
        line=line,
    )


def _largest(x: Array) -> Array:
    """The largest entry on the last axis, which stays with one entry, as a constant: a shift that cancels."""
    return np.max(x, axis=-1, keepdims=True)


largest: Map = primitive(_largest)

for _node in (VJPNode, JVPNode):
    register_notrace(_node, largest)


# of arrays that may be being differentiated
einsum, matmul, concatenate, inv = anp.einsum, anp.matmul, anp.concatenate, anp.linalg.inv


def as_float(x: ArrayLike) -> Array:
    """An array of floats, or what is being differentiated as it is."""
    traced: Array = x  # type: ignore[assignment]
    return traced if is_traced(x) else np.asarray(x, dtype=float)
