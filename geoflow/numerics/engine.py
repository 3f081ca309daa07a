"""The jax engine: functions of one point, compiled for batches of float64. The only file that imports jax and diffrax.

A function of one point is written in jax.numpy, or made by `replayed` from a record. Nothing here is imported before it
is asked for: the base install has neither jax nor diffrax.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from types import SimpleNamespace
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import rebuilt_by
from geoflow._typing import Array, ArrayLike
from geoflow.errors import ArgumentError
from geoflow.numerics import autodiff
from geoflow.numerics.records import Record, record

ENGINES = ("auto", "autograd", "jax")
#: relative difference up to which compiled values and autograd's are the same
AGREE = 1e-9
#: unknowns up to which a system is eliminated entry by entry
SMALL = 4
#: arrays of jax at one point to an array, or to several
Point = Callable[..., Any]


def require_engine(engine: Any) -> None:
    """Refuse a name that is no engine, and "jax" where the extra is not installed."""
    if engine not in ENGINES:
        raise ArgumentError("engine", got=repr(engine), wanted=f"one of {', '.join(map(repr, ENGINES))}")
    if engine == "jax":
        load()


def load(name: str = "jax") -> Any:
    """The module jax or diffrax, or what to do where it is not installed."""
    try:
        return __import__(name)
    except ImportError as error:
        raise not_installed(error) from error


def not_installed(error: ImportError) -> ArgumentError:
    """What a missing jax means."""
    return ArgumentError('engine "jax"', str(error), "jax and diffrax", "install the extra: pip install geoflow[jax]")


def is_jax_array(value: Any) -> bool:
    """Whether a value comes from jax, told without importing it."""
    return type(value).__module__.partition(".")[0] in ("jax", "jaxlib")


def written_in_jax(f: Callable[[Array], Any], x: Array) -> bool:
    """Whether f computes with jax.numpy, seen at a point or a batch; it is not called where jax was never imported."""
    if not loaded():
        return False
    x = np.asarray(x, dtype=float)
    try:
        with double():
            if is_jax_array(f(x)):
                return True
            try:  # parts of jax give numpy's arrays back as they are, and refuse autograd's
                autodiff.value_and_vjp(f, x)
                return False
            except Exception:
                return is_jax_array(f(load("jax").numpy.asarray(x)))
    except Exception:  # what is wrong with it is said where it is used
        return False


def refuse_jax(what: str) -> ArgumentError:
    """What a function of jax.numpy means to autograd."""
    return ArgumentError(what, 'a function written in jax.numpy, and engine="autograd"', 'engine="auto" or "jax"')


def loaded() -> bool:
    """Whether anything has imported jax: a function that uses it has."""
    return "jax" in sys.modules


def has_diffrax() -> bool:
    """Whether flows can be compiled too."""
    return importlib.util.find_spec("diffrax") is not None


def double() -> Any:
    """float64, whatever the rest of the program has chosen."""
    jax = load()
    return nullcontext() if jax.config.jax_enable_x64 else jax.enable_x64(True)


# functions of one point ---------------------------------------------------------------------------------------------


def jacobian(f: Point) -> Point:
    """The derivative of f, index last, by whichever mode takes fewer passes."""
    jax = load()

    def df(x: Any) -> Any:
        value = jax.eval_shape(f, x)
        mode = jax.grad if value.shape == () else jax.jacfwd if value.size > x.size else jax.jacrev
        return mode(f)(x)

    return df


def hessian(f: Point) -> Point:
    """The second derivative of f, indices last."""
    return rebuilt_by(load().jacfwd(jacobian(f)), hessian, f)


def third_derivative(f: Point) -> Point:
    """The third derivative of f, indices last."""
    return rebuilt_by(load().jacfwd(hessian(f)), third_derivative, f)


def pullback(f: Point, argnum: int = 0) -> Point:
    """(*arguments, u) to u^T df, the derivative in one argument."""
    jax = load()

    def pull(*arguments: Any) -> Any:
        *at, u = arguments
        return jax.vjp(lambda x: f(*at[:argnum], x, *at[argnum + 1 :]), at[argnum])[1](u)[0]

    return pull


def pushforward(f: Point) -> Point:
    """(x, v) to df(x).v; f may give several arrays."""
    jax = load()
    return lambda x, v: jax.jvp(f, (x,), (v,))[1]


def over(f: Point, *axes: int | None) -> Point:
    """f for several of the arguments whose axis is named, one a row."""
    return rebuilt_by(load().vmap(f, axes), over, f, *axes)


def einsum(subscripts: str, *operands: Any) -> Any:
    """numpy's, of jax arrays."""
    return load().numpy.einsum(subscripts, *operands)


def definite_solve(matrix: Any, right: Any) -> tuple[Any, Any]:
    """matrix^-1 right for a symmetric matrix, shape=[d, d], and right of shape=[d, k], and the least pivot.

    Every coordinate is taken in a unit of its own, as by `convexity.pivots`. The pivot is not positive, or NaN, where
    the matrix is not positive definite, and the solution is then of no use. Small matrices are eliminated entry by
    entry: over a batch, that is many times faster than a routine for one matrix after the other.
    """
    import jax.scipy.linalg

    jnp, d = jax.numpy, len(matrix)
    unit = 1 / jnp.sqrt(jnp.diagonal(matrix))
    A, b = matrix * unit[:, None] * unit, right * unit[:, None]
    if d > SMALL:
        L = jnp.linalg.cholesky(A)
        return jax.scipy.linalg.cho_solve((L, True), b) * unit[:, None], jnp.min(jnp.diagonal(L)) ** 2
    rows, rights = [[A[i, j] for j in range(d)] for i in range(d)], list(b)
    for k in range(d):
        for i in range(k + 1, d):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [rows[i][j] - factor * rows[k][j] for j in range(d)]
            rights[i] = rights[i] - factor * rights[k]
    found: list[Any] = [None] * d
    for i in reversed(range(d)):
        known = sum((rows[i][j] * found[j] for j in range(i + 1, d)), jnp.zeros_like(rights[i]))
        found[i] = (rights[i] - known) / rows[i][i]
    return jnp.stack(found) * unit[:, None], jnp.min(jnp.stack([rows[k][k] for k in range(d)]))


def concatenate(parts: Any) -> Any:
    """Vectors of jax, end to end."""
    return load().numpy.concatenate(parts)


def recorded_point(function: Callable[[Array], Any], points: Array) -> tuple[Point | None, str]:
    """A function in autograd.numpy as one of jax, recorded at the first of these points and compared at all of them."""
    table()  # what scipy has is recorded once autograd knows it
    found, note = record(function, points[0], points)
    point, note = (None, note) if found is None else replayed(found)
    return rebuilt_by(point, _recorded_again, function, points) if point else None, note


def _recorded_again(function: Callable[[Array], Any], points: Array) -> Point | None:
    return recorded_point(function, points)[0]


def disagreement(compiled: Array, plain: Array) -> float:
    """The largest relative difference where the plain values are finite; 0 where it is within `AGREE`."""
    both = np.isfinite(plain)
    gap = np.abs(np.where(both, compiled - plain, 0.0)).max() / (np.abs(np.where(both, plain, 0.0)).max() + 1e-300)
    return 0.0 if gap <= AGREE else float(gap)


def replayed(recorded: Record) -> tuple[Point | None, str]:
    """A record of one point on jax arrays, and an empty note; or None and the primitives that jax does not have."""
    functions = {step.primitive: getattr(step.primitive, "point", None) for step in recorded.steps}
    known = {**table(), **{primitive: point for primitive, point in functions.items() if point is not None}}
    if missing := recorded.missing(known):
        return None, f"no function of jax is known for {', '.join(missing)}"
    return lambda x: recorded.replay(x, known), ""


@cache
def table() -> Mapping[Any, Callable[..., Any]]:
    """autograd's primitives to the functions of jax with the same name in the same place."""
    import autograd.builtins
    import autograd.core
    import autograd.numpy.numpy_boxes
    import autograd.numpy.numpy_vjps
    import autograd.scipy.linalg
    import autograd.scipy.special
    import jax.scipy.linalg
    import jax.scipy.special

    own: Any = vars(anp)["numpy_wrapper"]
    jnp, vectors = load().numpy, autograd.core.VSpace

    def untake(x: Any, index: Any, space: Any) -> Any:
        return jnp.zeros(space.shape, space.dtype).at[index].add(x)

    def add(space: Any, x: Any, y: Any) -> Any:
        return y if x is None else x + y

    array = SimpleNamespace(
        power=_power,
        concatenate_args=lambda axis, *parts: jnp.concatenate(parts, axis),
        array_from_args=lambda args, kwargs, *parts: jnp.array(parts, *args, **kwargs),
        _array_from_scalar_or_array=lambda args, kwargs, x: jnp.array(x, *args, **kwargs),
    )
    places = [
        (autograd.scipy.linalg, jax.scipy.linalg), (autograd.scipy.special, jax.scipy.special),
        (anp.linalg, jnp.linalg), (anp, jnp), (own, jnp), (own, array),
    ]  # fmt: skip
    found = {
        f: getattr(theirs, f.__name__)
        for ours, theirs in places
        for f in vars(ours).values()
        if getattr(f, "_is_autograd_primitive", False) and hasattr(theirs, f.__name__)
    }
    return found | {
        anp.numpy_boxes.ArrayBox.__getitem__: lambda x, index: x[index],
        autodiff.largest: lambda x: jax.lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True)),
        autograd.builtins.container_take: lambda x, index: x[index],
        autograd.numpy.numpy_vjps.untake: untake,
        autograd.core.sparse_add: add, vectors.add: add, vectors.mut_add: add,
        vectors.scalar_mul: lambda space, x, a: x * a,
        vectors.covector: lambda space, x: x,
    }  # fmt: skip


def _power(x: Any, exponent: Any) -> Any:
    """x^p, by multiplication where p is a whole number."""
    if not is_jax_array(exponent) and np.ndim(exponent) == 0 and abs(exponent) <= 64 and exponent == int(exponent):
        exponent = int(exponent)
    return load().numpy.power(x, exponent)


# batches ------------------------------------------------------------------------------------------------------------


class Compiled:
    """A function of one point, compiled: numpy arrays of any batch in, numpy arrays out.

    The arguments have `ranks` axes at one point, and batches that broadcast. It is compiled once for a few sizes of
    batch, of four an octave, up to which a batch is filled by its last point.
    """

    def __init__(self, point: Point, *ranks: int):
        jax = load()
        self._point, self._ranks, self._batched = point, ranks, jax.jit(jax.vmap(point))

    def __reduce__(self) -> tuple[Any, ...]:
        return Compiled, (self._point, *self._ranks)  # it is compiled again

    def __call__(self, *arguments: ArrayLike) -> Any:
        arrays = [np.asarray(a, dtype=float) for a in arguments]
        batch, rows = self._rows(arrays)
        n = len(rows[0])
        if (size := padded_size(n)) != n:
            rows = [padded(a, size) for a in rows]
        with double():
            values = self._batched(*rows)
            if isinstance(values, tuple):
                return tuple(_read(v, batch) for v in values)
            return _read(values, batch)

    def _rows(self, arrays: list[Array]) -> tuple[tuple[int, ...], list[Array]]:
        """The batch that the arguments have together, and each of them with one point a row."""
        batches = [a.shape[: a.ndim - rank] for a, rank in zip(arrays, self._ranks, strict=True)]
        batch = batches[0]
        if batches.count(batch) == len(batches) and len(batch) == 1:
            return batch, arrays
        batch = np.broadcast_shapes(*batches)
        points = [a.shape[len(own) :] for a, own in zip(arrays, batches, strict=True)]
        n = math.prod(batch)
        return batch, [np.broadcast_to(a, batch + p).reshape(n, *p) for a, p in zip(arrays, points, strict=True)]


def _read(value: Any, batch: tuple[int, ...]) -> Array:
    """The first values of a batch in memory of their own, as what jax gives cannot be written to."""
    found = np.asarray(value.block_until_ready())  # what is waited for first is read sooner
    if found.shape[:1] != batch:
        found = found[: math.prod(batch)].reshape(batch + found.shape[1:])
    return found.copy()


def padded_size(n: int) -> int:
    """The next number with three leading binary digits: at most a quarter more."""
    step = 1 << max(max(n, 1).bit_length() - 3, 0)
    return -(-max(n, 1) // step) * step


def padded(rows: Array, size: int, fill: float | None = None) -> Array:
    """Rows filled up, by the last one unless it is said by what, to so many."""
    if (n := len(rows)) == size:
        return rows
    filled = np.empty((size, *rows.shape[1:]))
    filled[:n], filled[n:] = rows, fill if fill is not None else rows[-1] if n else 1.0
    return filled


def traceable(point: Point, *ranks: int) -> Callable[..., Array]:
    """A compiled function that autograd can differentiate, to any order: each derivative is compiled by jax.

    Its attribute `point` is the function of one point, so that a record that calls it can be replayed.
    """

    @cache
    def derivative(argnum: int, rank: int) -> Callable[..., Array]:
        return traceable(pullback(point, argnum), *ranks, rank)

    def pull(argnum: int, value: Array, arguments: tuple[Array, ...], u: Array) -> Array:
        rank = anp.ndim(value) - max(anp.ndim(a) - r for a, r in zip(arguments, ranks, strict=True))
        g, shape = derivative(argnum, rank)(*arguments, u), anp.shape(arguments[argnum])
        extra = anp.ndim(g) - len(shape)
        g = anp.sum(g, axis=tuple(range(extra))) if extra else g
        ones = tuple(k for k, n in enumerate(shape) if n == 1 and anp.shape(g)[k] > 1)
        return anp.sum(g, axis=ones, keepdims=True) if ones else g

    function = autodiff.with_pullback(Compiled(point, *ranks), pull)
    function.point = point  # type: ignore[attr-defined]
    return rebuilt_by(function, traceable, point, *ranks)
