"""A recorded map and its pullback on plain numpy arrays: autograd's derivative rules without its tracing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.core import SparseObject, VJPNode, primitive_vjps
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import notrace_primitives

from geoflow._typing import Array
from geoflow.numerics.records import Record, Step


def power(x: Any, p: Any) -> Any:
    """x^p, for a small integer p >= 0 by products: numpy's power of an array is many times slower from p = 3 on."""
    if not (isinstance(p, (int, np.integer)) and 0 <= p <= 16):
        return x**p
    result = None
    while p:
        if p & 1:
            result = x if result is None else result * x
        x, p = (x * x if p > 1 else x), p >> 1
    return x**0.0 if result is None else result


#: derivatives g d(value)/d(argument k) of primitives between arrays of one shape, (g, a, b, k) to that of argument k
ENTRYWISE: dict[Any, Callable[[Any, Any, Any, int], Any]] = {
    anp.add: lambda g, a, b, k: g,
    anp.subtract: lambda g, a, b, k: g if k == 0 else -g,
    anp.multiply: lambda g, a, b, k: g * (b if k == 0 else a),
    anp.power: lambda g, a, p, k: g * (p * power(a, p - 1)),
}
#: the primitive of x[index]
TAKE: Any = ArrayBox.__getitem__
#: entries of x that are replayed at once
IN_CACHE = 2**14


class Replay:
    """x to f(x) and its pullback, from the record of f at a batch.

    It runs what autograd would run, call by call, but for a few rules of its own: the derivative of a part taken
    by slices is added in place, sums and products of arrays of one shape are not looked at for broadcasting, and the
    derivative of a constant power is not a power with an array of exponents.
    """

    def __init__(self, record: Record):
        self._steps, self._output = record.steps[1:], record.output
        self._record, self._outputs = record, int(np.shape(record.steps[record.output].value)[-1])
        self._argnums = differentiated(record)
        self._raw = raw_functions(record)
        self._sliced = [_is_slice(step) for step in self._steps]
        self._entrywise = [_entrywise_rule(step) for step in self._steps]

    @staticmethod
    def of(record: Record | None) -> Replay | None:
        """The replay of a record, None where a primitive has no derivative."""
        if record is None or record.pointwise:
            return None
        needed = zip(record.steps[1:], differentiated(record), strict=True)
        return (
            None
            if any(argnums and step.primitive not in primitive_vjps for step, argnums in needed)
            else Replay(record)
        )

    def __call__(self, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        """f(x) and u -> sum_a u_a df_a(x), for x of shape=[..., D]; a large batch in parts that stay in the cache."""
        if x.ndim != 2:
            batch = x.shape[:-1]
            value, vjp = self(x.reshape(-1, x.shape[-1]))
            return value.reshape((*batch, *value.shape[1:])), lambda u: vjp(np.reshape(u, value.shape)).reshape(x.shape)
        if x.size <= IN_CACHE or len(x) == 1:
            return self._once(x)
        step = max(1, IN_CACHE // x.shape[1])
        parts = [(slice(k, k + step), *self._once(x[k : k + step])) for k in range(0, len(x), step)]

        def pull(u: Array) -> Array:
            out = np.empty(x.shape)
            for rows, _, one in parts:
                out[rows] = one(u[rows])
            return out

        return np.concatenate([value for _, value, _ in parts]), pull

    def with_jacobian(self, x: Array) -> tuple[Array, Array]:
        """f(x), shape=[..., d], and df(x), shape=[..., d, D], for x of shape=[..., D]: all rows by one reverse pass."""
        points, d, D = x.reshape(-1, x.shape[-1]), self._outputs, x.shape[-1]
        if not x.size:
            return np.empty((*x.shape[:-1], d)), np.empty((*x.shape[:-1], d, D))
        value, pull = self._once(np.repeat(points, d, axis=0))
        rows = pull(np.tile(np.eye(d), (len(points), 1)))
        return value[::d].reshape(*x.shape[:-1], d), rows.reshape(*x.shape[:-1], d, D)

    def plain(self, x: Array) -> Array:
        """f(x) by the very operations that were recorded; shape=[..., d]."""
        flat = self._record.replay(x.reshape(-1, x.shape[-1]))
        return np.asarray(flat, dtype=float).reshape(*x.shape[:-1], -1)

    def _once(self, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        values: list[Any] = [x]
        calls = []
        for step, raw in zip(self._steps, self._raw, strict=True):
            args = list(step.args)
            for position, parent in zip(step.argnums, step.parents, strict=True):
                args[position] = values[parent]
            calls.append(tuple(args))
            values.append(raw(*calls[-1], **step.kwargs))

        def pull(u: Array) -> Array:
            gradients: list[Any] = [None] * len(values)
            owned = [False] * len(values)

            def add(parent: int, part: Any, place: Any = None) -> None:
                """Add a part to a gradient, in place where it is an array of ours: at a place, or where it says."""
                sparse = isinstance(part, SparseObject)
                if gradients[parent] is None and not sparse and place is None:
                    gradients[parent] = part
                    return
                if not owned[parent]:
                    kept = gradients[parent]
                    gradients[parent] = np.zeros(np.shape(values[parent])) if kept is None else np.array(kept, float)
                    owned[parent] = True
                if sparse:
                    gradients[parent] = part.mut_add(gradients[parent])
                else:
                    gradients[parent][... if place is None else place] += part

            gradients[self._output] = u
            for k in range(self._output, 0, -1):
                g, step, argnums = gradients[k], self._steps[k - 1], self._argnums[k - 1]
                if g is None or not argnums:
                    continue
                if self._sliced[k - 1]:
                    add(step.parents[0], g, calls[k - 1][1])
                    continue
                parents = [parent for n, parent in zip(step.argnums, step.parents, strict=True) if n in argnums]
                for parent, part in zip(parents, self._parts(k, g, values[k], calls[k - 1]), strict=True):
                    add(parent, part)
            found = gradients[0]
            return np.zeros(np.shape(x)) if found is None else np.asarray(found)

        return values[self._output], pull

    def _parts(self, k: int, g: Any, value: Any, args: tuple[Any, ...]) -> Iterable[Any]:
        """The derivatives of step k, one for each of its parents."""
        step, rule, argnums = self._steps[k - 1], self._entrywise[k - 1], self._argnums[k - 1]
        if rule is not None and all(np.shape(args[n]) == np.shape(value) for n in argnums):
            return [rule(g, args[0], args[1], n) for n in argnums]
        return primitive_vjps[step.primitive](argnums, value, args, step.kwargs)(g)


def raw_functions(record: Record) -> list[Callable[..., Any]]:
    """What every step after the input calls on plain arrays."""
    return [power if _is_power(step) else getattr(step.primitive, "fun", step.primitive) for step in record.steps[1:]]


def is_constant(step: Step) -> bool:
    """Whether derivatives do not pass through a step, as a comparison."""
    return step.primitive in notrace_primitives[VJPNode]


def differentiated(record: Record) -> list[tuple[int, ...]]:
    """The arguments of every step through which a derivative passes: not through comparisons and the like."""
    passes, found = [True], []
    for step in record.steps[1:]:
        pairs = () if is_constant(step) else zip(step.argnums, step.parents, strict=True)
        found.append(tuple(n for n, parent in pairs if passes[parent]))
        passes.append(bool(found[-1]))
    return found


def _is_slice(step: Step) -> bool:
    """Whether a step takes a part by slices and numbers alone, each entry once."""
    if step.primitive is not TAKE or step.argnums != (0,):
        return False
    index = step.args[1] if isinstance(step.args[1], tuple) else (step.args[1],)
    return all(part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)) for part in index)


def _entrywise_rule(step: Step) -> Callable[[Any, Any, Any, int], Any] | None:
    """Our own rule of a step, of powers for exponents that are numbers other than 0."""
    if step.primitive is anp.power and not (_is_power(step) and step.args[1] != 0):
        return None
    return ENTRYWISE.get(step.primitive)


def _is_power(step: Step) -> bool:
    """Whether a step is x^p for a number p."""
    numbers = (int, float, np.integer, np.floating)
    return step.primitive is anp.power and step.argnums == (0,) and isinstance(step.args[1], numbers)
