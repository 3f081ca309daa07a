"""A recorded map on another arithmetic: its primitives on arrays of polynomials, or of balls, entry by entry.

An *element* has +, -, *, /, **, and methods with the names of numpy's functions (`exp`, `log`, `square`, ...), by which
numpy applies them to arrays of objects. Floats in the record are the binary numbers that they stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce
from itertools import permutations
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import GeoflowError, OperationError, ProofError
from geoflow.numerics import autodiff
from geoflow.numerics.jet_rules import NORM, OWN, WHERE
from geoflow.numerics.polynomials import Additive
from geoflow.numerics.records import ControlFlowError, IndependentError, Record, Step, quiet, traced
from geoflow.numerics.replay import TAKE

#: order of a matrix up to which its determinant is expanded
LARGEST_MATRIX = 5
#: relative difference of a record from its map, by rounding, and points at which the course of a map is compared
SAME, FEW = 1e-9, 8

JOINED = OWN["array_from_args"]
#: primitives that numpy applies to arrays of objects as they are
PLAIN = {
    TAKE, anp.negative, anp.reshape, anp.ravel, anp.expand_dims, anp.squeeze, anp.transpose, anp.swapaxes, anp.moveaxis,
    anp.rollaxis, anp.repeat, anp.tile, anp.roll, anp.flipud, anp.fliplr, anp.rot90, anp.diag, anp.diagonal, anp.trace,
    anp.sum, anp.prod, anp.cumsum, anp.diff, anp.atleast_1d, anp.atleast_2d, anp.atleast_3d, anp.broadcast_to,
    OWN["_array_from_scalar_or_array"], OWN["concatenate_args"],
    anp.add, anp.subtract, anp.multiply, anp.true_divide, anp.power, anp.square, anp.matmul, anp.dot, anp.inner,
    anp.outer, anp.tensordot, anp.einsum, anp.greater, anp.less, anp.greater_equal, anp.less_equal, anp.maximum,
    anp.minimum, anp.abs, anp.exp, anp.expm1, anp.log, anp.log1p, anp.sqrt, anp.sin, anp.cos, anp.tan, anp.sinh,
    anp.cosh, anp.tanh, anp.arcsin, anp.arccos, anp.arctan, anp.arcsinh, anp.arccosh, anp.arctanh,
}  # fmt: skip
#: those whose constant arrays are numbers, made exact, rather than places
ARITHMETIC = {
    anp.add, anp.subtract, anp.multiply, anp.true_divide, anp.matmul, anp.dot, anp.inner, anp.outer, anp.tensordot,
    anp.einsum, OWN["concatenate_args"], JOINED, WHERE,
}  # fmt: skip

COMPARED = {anp.greater, anp.less, anp.greater_equal, anp.less_equal}


class Evaluation:
    """A recorded map of one point, shape=[D], as a function of arrays of elements of that shape.

    `like` makes an element of a number; comparisons are those of `decided`, by step, where it has them. Raises
    `OperationError` that names a primitive which elements do not have.
    """

    def __init__(self, recorded: Record, like: Callable[[Any], Any], decided: Mapping[int, Any] | None = None):
        self._decided = decided or {}
        self._output, self._steps = recorded.output, [(step, _rule(step.primitive)) for step in recorded.steps[1:]]
        self._args = [_arguments(step, like) for step, _ in self._steps]
        require_elements(recorded)

    def __call__(self, x: Array) -> Array:
        found = np.asarray(self._values(x)[self._output], dtype=object)
        if not all(isinstance(element, Additive) for element in found.ravel()):
            raise _missing(self._steps[self._output - 1][0].name, "its result is no element, and has lost derivatives")
        return found

    def comparisons(self, x: Array) -> dict[int, Any]:
        """How every comparison in the record comes out, by step."""
        values = self._values(x)
        return {k: values[k] for k, (step, _) in enumerate(self._steps, 1) if step.primitive in COMPARED}

    def _values(self, x: Array) -> list[Any]:
        values: list[Any] = [x]
        for (step, rule), constants in zip(self._steps, self._args, strict=True):
            if len(values) in self._decided:
                values.append(self._decided[len(values)])
                continue
            args = list(constants)
            for position, parent in zip(step.argnums, step.parents, strict=True):
                args[position] = values[parent]
            try:
                values.append(rule(*args, **step.kwargs))
            except (TypeError, AttributeError, NotImplementedError) as error:
                if isinstance(error, GeoflowError):
                    raise
                raise _missing(step.name, f"{error}") from error
        return values


def require_elements(recorded: Record) -> None:
    """`OperationError` for what is another function on elements than on floats: types, and numbers that stay in it."""
    for step in recorded.steps[1:]:
        _require_untyped(step)
    _require_cancelling(recorded)


def _require_untyped(step: Step) -> None:
    """Refuse what turns elements into numbers of a type, or only some of them: dtype, out and where of numpy."""
    own = [arg for k, arg in enumerate(step.args) if k not in step.argnums]
    if step.primitive in (JOINED, OWN["_array_from_scalar_or_array"]):  # all that numpy.array takes
        positional, kwargs = own[:2]
        named = ["a type"] * bool(positional) + [f"{name}=" for name, value in kwargs.items() if value is not None]
    else:
        dicts = [step.kwargs, *(arg for arg in own if isinstance(arg, Mapping))]
        named = [f"{name}=" for kwargs in dicts for name in ("dtype", "out", "where") if kwargs.get(name) is not None]
        types = (type, np.dtype) if step.primitive is anp.einsum else (type, np.dtype, str)
        named += ["a type"] * any(isinstance(arg, types) for arg in own)
    if named:
        raise _missing(step.name, f"with {', '.join(named)}")


def _require_cancelling(recorded: Record) -> None:
    """Refuse a largest entry that may not be any number: but log sum exp(z - c) + c and exp(z - c) / sum exp(z - c)."""
    steps = recorded.steps
    users: list[list[int]] = [[] for _ in steps]
    for k, step in enumerate(steps):
        for parent in step.parents:
            users[parent].append(k)

    def of(k: int, *names: str) -> list[int]:
        """What uses a step, each of these names; none where anything else does, or it is the value of the whole."""
        named = k != recorded.output and all(steps[user].name in names for user in users[k])
        return users[k] if named else []

    def quotient(k: int, above: int, below: int) -> bool:
        return steps[k].name in ("true_divide", "divide") and steps[k].parents == (above, below)

    def cancels(c: int) -> bool:
        uses = of(c, "subtract", "__getitem__")
        places = [k for k in uses if steps[k].name == "__getitem__"]
        if not uses or any(steps[k].args[1:] != ((Ellipsis, 0),) for k in places):
            return False
        logs = []
        for away in (k for k in uses if k not in places):
            if steps[away].parents != (steps[c].parents[0], c) or not of(away, "exp"):
                return False
            for grown in of(away, "exp"):
                above = of(grown, "sum", "true_divide", "divide")
                sums = [k for k in above if steps[k].name == "sum"]
                if not sums or any(_last_axis(steps[k]) is None for k in sums):
                    return False
                if not all(any(quotient(k, grown, total) for total in sums) for k in above if k not in sums):
                    return False
                for total in sums:
                    kept = _last_axis(steps[total])
                    over = of(total, "true_divide", "divide") if kept else of(total, "log")
                    if not over or (kept and not all(quotient(k, grown, total) for k in over)):
                        return False
                    logs += [] if kept else over
        ends = [of(k, "add") for k in (*logs, *places)]
        pairs = [set(steps[k].parents) for end in ends for k in end]
        return all(ends) and all(pair & set(logs) and pair & set(places) for pair in pairs)

    for c, step in enumerate(steps):
        if step.primitive is autodiff.largest and not cancels(c):
            raise _missing("largest", "which does not cancel")


def _last_axis(step: Step) -> bool | None:
    """Whether a sum over the last axis keeps it; None of another sum."""
    if step.args[1:] or step.kwargs.get("axis") != -1 or not set(step.kwargs) <= {"axis", "keepdims"}:
        return None
    return bool(step.kwargs.get("keepdims", False))


def _where(condition: Any, a: Any, b: Any) -> Any:
    """By a comparison, and no number taken for one."""
    if np.asarray(condition).dtype != bool:
        raise NotImplementedError("a condition that is no comparison")
    return np.where(condition, a, b)


def _arguments(step: Step, like: Callable[[Any], Any]) -> list[Any]:
    """The arguments of a step, those that are numbers as elements."""
    args = list(step.args)
    if step.primitive in ARITHMETIC:
        args = [_exactly(arg, like) if k not in step.argnums else arg for k, arg in enumerate(args)]
    if step.primitive in (JOINED, WHERE):
        first = 2 if step.primitive is JOINED else 1
        args[first:] = [like(a) if isinstance(a, (int, float)) else a for a in args[first:]]
    return args


def recorded_or_error(f: Map, points: Array, what: str) -> Record:
    """The record of a map at the first of some points, shape=[N, D], once it has been compared with the map at all.

    `ProofError` that says why there is none: control flow that depends on x, another course or value at a point.
    """
    remedy = "write it in autograd.numpy, without Python's `if` on its argument"
    wanted, note = "a function whose record is the function itself", ""
    try:
        with quiet():
            found = traced(f, points[0])
            values = np.stack([np.asarray(f(x), dtype=float) for x in points])
            replayed = np.stack([np.asarray(found.replay(x), dtype=float) for x in points])
            courses = [[(s.primitive, s.parents) for s in traced(f, x).steps] for x in points[:FEW]]
    except ControlFlowError:
        note = "Python's control flow depends on the argument"
    except IndependentError:
        note = "a value that does not come from the argument by operations of autograd.numpy"
    except Exception as error:
        raise ProofError(f"recording {what}", f"{type(error).__name__}: {error}", wanted, remedy) from error
    if not note and any(course != courses[0] for course in courses):
        note = "another course at another point"
    if not note and not np.abs(values - replayed).max() <= SAME * np.abs(values).max():
        note = "other values than those of its record"
    if note:
        raise ProofError(f"recording {what}", note, wanted, remedy)
    return found


def _exactly(arg: Any, like: Callable[[Any], Any]) -> Any:
    """A constant array as elements, each the binary number that it holds."""
    if not isinstance(arg, np.ndarray) or arg.dtype.kind not in "fiu":
        return arg
    found = np.empty(arg.shape, dtype=object)
    for place in np.ndindex(arg.shape):
        found[place] = like(arg[place])
    return found


def _missing(name: str, why: str = "") -> OperationError:
    got = f"{name}" + (f" ({why})" if why else "")
    wanted = "polynomial operations, and for balls the elementary functions: see docs/proof.md"
    return OperationError("a map on exact numbers or balls", got, wanted, "write it by others", operation=name)


def _rule(primitive: Any) -> Callable[..., Any]:
    if primitive in PLAIN:
        raw: Callable[..., Any] = getattr(primitive, "fun", primitive)
        return raw
    rule = _others().get(primitive)
    if rule is None:
        raise _missing(str(getattr(primitive, "__name__", primitive)))
    return rule


@cache
def _others() -> dict[Any, Callable[..., Any]]:
    """Primitives that numpy does not have for objects."""
    import autograd.scipy.special

    special: Any = autograd.scipy.special
    return {
        OWN.get("_primitive_mean", anp.mean): _mean,
        WHERE: _where,
        JOINED: lambda args, kwargs, *parts: np.stack([np.asarray(a, dtype=object) for a in parts]),
        anp.logaddexp: lambda x, y: np.log(np.exp(x) + np.exp(y)),
        special.logsumexp: _logsumexp,
        special.expit: lambda x: 1 / (1 + np.exp(-x)),
        NORM: _norm,
        anp.linalg.det: lambda A: _each(determinant, A, 0),
        anp.linalg.inv: lambda A: _each(inverse, A, 2),
        autodiff.largest: _some_number,
        anp.linalg.slogdet: lambda A: (1, np.log(_each(determinant, A, 0))),
    }


def known_primitives() -> list[Any]:
    """All primitives that there is a rule for."""
    return [*PLAIN, *_others()]


def _some_number(z: Any) -> Any:
    """A number near the largest entry: what is taken from exponents and added again may be any."""
    rows = z.reshape(-1, z.shape[-1])
    found = np.empty(len(rows), dtype=object)
    found[:] = [row[0].like(max(element.middle() for element in row)) for row in rows]
    return found.reshape(*z.shape[:-1], 1)


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    total = np.sum(x, axis=axis, keepdims=keepdims)
    return total / (np.size(x) // max(1, np.size(total)))


def _logsumexp(x: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.sum(np.exp(x) * (1 if b is None else np.asarray(b, dtype=object)), axis=axis, keepdims=keepdims))


def _norm(x: Any, order: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if order not in (None, 2) or not (np.ndim(x) == 1 or isinstance(axis, int)):
        raise NotImplementedError(f"order {order} and axis {axis}")
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _each(f: Callable[[Any], Any], A: Any, axes: int) -> Any:
    """A function of every matrix of a batch."""
    n = A.shape[-1]
    if n > LARGEST_MATRIX:
        raise NotImplementedError(f"a matrix of order {n}, beyond {LARGEST_MATRIX}")
    flat = [f(matrix) for matrix in A.reshape(-1, n, n)]
    found = np.empty((len(flat), *[n] * axes), dtype=object)
    for k, value in enumerate(flat):
        found[k] = value
    return found.reshape(*A.shape[:-2], *[n] * axes) if A.ndim > 2 or axes else found[0]


def determinant(A: Any) -> Any:
    """By Leibniz' formula."""
    n = len(A)
    return reduce(lambda a, b: a + b, (_signed(p) * _product([A[i, p[i]] for i in range(n)]) for p in _orders(n)))


def inverse(A: Any) -> Any:
    """By cofactors."""
    n, det = len(A), determinant(A)
    if n == 1:
        return np.array([[1 / det]], dtype=object)
    found = np.empty((n, n), dtype=object)
    for i in range(n):
        for j in range(n):
            minor = np.delete(np.delete(A, j, axis=0), i, axis=1)
            found[i, j] = (-1) ** (i + j) * determinant(minor) / det
    return found


def _orders(n: int) -> list[tuple[int, ...]]:
    return list(permutations(range(n)))


def _signed(p: tuple[int, ...]) -> int:
    inversions = sum(a > b for k, a in enumerate(p) for b in p[k + 1 :])
    return -1 if inversions % 2 else 1


def _product(factors: Sequence[Any]) -> Any:
    return reduce(lambda a, b: a * b, factors)
