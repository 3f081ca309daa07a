"""A map recorded: the list of the primitives it calls, to be run on another arithmetic or read for its structure."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import register_notrace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import Node, trace

from geoflow._typing import Array, Map
from geoflow._validate import describe
from geoflow.errors import UserCodeError

#: primitives of autograd to the functions that replace them
Table = Mapping[Any, Callable[..., Any]]

SAME = 1e-9
SCALES = (1.0, 1e-6, 1e6, 30.0, 1e-2)


@dataclass(frozen=True)
class Step:
    """One call of a primitive: the arguments number `argnums` are the results of the steps `parents`.

    Attributes
    ----------
    primitive : callable, or None
        The primitive of autograd; None at step 0, the input.
    args, kwargs : tuple, mapping
        The arguments of the example run, those of `argnums` included.
    argnums, parents : tuple of int
    value : array
        The result in the example run.
    """

    primitive: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    argnums: tuple[int, ...]
    parents: tuple[int, ...]
    value: Any

    @property
    def name(self) -> str:
        return "input" if self.primitive is None else str(getattr(self.primitive, "__name__", self.primitive))


@dataclass(frozen=True)
class Record:
    """What a map does to its argument, step by step; only the steps its value depends on.

    Attributes
    ----------
    steps : tuple of Step
        Each after its parents; step 0 is the input.
    output : int
        The step whose result is the value of the map.
    """

    steps: tuple[Step, ...]
    output: int

    @property
    def pointwise(self) -> bool:
        """Whether it is a record at one point, shape=[D], to be replayed at one point at a time."""
        return np.ndim(self.steps[0].value) == 1

    def replay(self, x: Any, table: Table | None = None) -> Any:
        """The value at x, by the functions of a table or by the primitives themselves.

        x has shape=[D] for a record at one point, and as many axes as the example for one of a batch; raises `KeyError`
        where a primitive is not in the table.
        """
        return self.values(x, table)[self.output]

    def values(self, x: Any, table: Table | None = None) -> list[Any]:
        """The results of all steps at x, as `replay` has the last of them."""
        values = [x]
        for step in self.steps[1:]:
            args = list(step.args)
            for position, parent in zip(step.argnums, step.parents, strict=True):
                args[position] = values[parent]
            f = step.primitive if table is None else table[step.primitive]
            values.append(f(*args, **step.kwargs))
        return values

    def missing(self, table: Table) -> list[str]:
        """Names of the primitives that a table does not have."""
        return sorted({step.name for step in self.steps[1:] if step.primitive not in table})


def record(
    f: Map, example: Array, points: Array | None = None, known: Callable[[Step], bool] | None = None
) -> tuple[Record | None, str]:
    """Record a map at an example: the record and an empty note, or None and a note that says why there is none.

    f is written in autograd.numpy and takes x of shape=[..., D] to shape=[..., d] or shape=[...]. The example is one
    point, shape=[D], whose record is replayed a point at a time, or a batch, shape=[..., D], whose record is replayed
    at batches of any size with as many axes. A record is returned only where it agrees with f at fresh points of both
    signs and of several sizes, at `points`, shape=[N, D], and at batches of other shapes. Python's control flow must
    not depend on x, since a record follows one branch. Where a step is not `known` there is no record, and f, which may
    be a long computation, is not compared with it. Nothing is raised.

    Reference
    ---------
    Maclaurin, Duvenaud, Adams, Autograd: effortless gradients in numpy, 2015.
    """
    x = np.array(example, dtype=float)
    if x.ndim == 0:
        return None, "a record is made at a point of shape [D] or a batch of shape [..., D]"
    with quiet():
        try:
            recorded = traced(f, x)
            if known and (unknown := [step.name for step in recorded.steps[1:] if not known(step)]):
                return None, f"nothing is known of {', '.join(unknown)}"
            return (recorded, "") if not (found := _disagreement(f, recorded, points)) else (None, found)
        except Exception as error:
            return None, _reason(error)


# the trace ----------------------------------------------------------------------------------------------------------


class ControlFlowError(Exception):
    """Python asked for the truth of a value that depends on x."""


class _Flag(ArrayBox):
    """A recorded truth value: a comparison of one point, or `any` and `all`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        if not isinstance(self._node, _Recorder):
            return bool(self._value)
        raise ControlFlowError

    def __and__(self, other: Any) -> Any:
        return anp.logical_and(self, other)

    def __or__(self, other: Any) -> Any:
        return anp.logical_or(self, other)

    def __invert__(self) -> Any:
        return anp.logical_not(self)


_Flag.register(np.bool_)


class _Recorder(Node):
    """autograd's node of a trace that keeps every call, comparisons included, on a tape."""

    __slots__ = ("call", "parents", "place", "tape", "value")

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, argnums: Any, parents: Any):
        self.value, self.call, self.parents, self.tape = value, (fun, args, kwargs, argnums), parents, parents[0].tape
        self.place = len(self.tape)
        self.tape.append(self)

    def initialize_root(self, x: Array) -> None:
        self.value, self.call, self.parents, self.tape, self.place = x, (None, (), {}, ()), (), [self], 0


register_notrace(_Recorder, anp.size)  # a number, as a shape is


class IndependentError(Exception):
    """The value of a map does not come from its argument."""


def traced(f: Map, x: Array) -> Record:
    """The record of one run; dead steps are left out."""
    root = _Recorder.new_root(x)
    _, end = trace(root, f, x)
    if end is None:
        raise IndependentError
    needed = {end.place}
    for node in reversed(root.tape):
        if node.place in needed:
            needed.update(parent.place for parent in node.parents)
    index = {place: new for new, place in enumerate(sorted(needed | {0}))}
    return Record(tuple(_step(root.tape[place], index) for place in index), index[end.place])


def _step(node: _Recorder, index: dict[int, int]) -> Step:
    fun, args, kwargs, argnums = node.call
    parents = tuple(index[parent.place] for parent in node.parents)
    frozen = tuple(arg if i in argnums else _constant(arg) for i, arg in enumerate(args))
    if fun is anp.reshape and _leads_with_batch(node):
        frozen = (frozen[0], (-1, *np.shape(node.value)[1:]), *frozen[2:])
    return Step(fun, frozen, MappingProxyType(dict(kwargs)), tuple(argnums), parents, node.value)


def _leads_with_batch(node: _Recorder) -> bool:
    """Whether a reshape keeps the axis of the batch, whose size in the example is then no part of the map."""
    x, args = node.tape[0].value, node.call[1]
    shape = args[1] if len(args) > 1 else None
    return np.ndim(x) == 2 and isinstance(shape, (tuple, list)) and len(shape) > 1 and shape[0] == len(x)


def _constant(arg: Any) -> Any:
    """A constant that nobody else can change any more."""
    if not isinstance(arg, np.ndarray):
        return arg
    copy = arg.copy()
    copy.flags.writeable = False
    return copy


# the check ----------------------------------------------------------------------------------------------------------


def _disagreement(f: Map, recorded: Record, points: Array | None) -> str:
    """Where the map differs from its record, in words; empty where it does nowhere."""
    rng, example = np.random.default_rng(0), recorded.steps[0].value
    D, form, compared = example.shape[-1], _form(recorded), 0
    # at one point, then batches: a record at one point is compared with the rows of a batch
    axes = example.ndim - 1
    shapes = [(), (), (), (3,), (2, 3), ()] if axes == 0 else [(1,) * axes, (3,) * axes, (1,) * (axes - 1) + (7,)]
    trials = [scale * rng.standard_normal((*shape, D)) for scale in SCALES for shape in shapes]
    near = example.reshape(-1, D)[:1]
    trials += [np.reshape(near * rng.uniform(0.5, 1.5, (int(np.prod(s)), D)), (*s, D)) for s in shapes]
    if points is not None and axes <= 1:
        trials += [np.array(points, dtype=float), *(np.array(points, dtype=float) if axes == 0 else ())]
    for x in trials:
        try:
            wanted = np.asarray(f(x), dtype=float)
        except Exception:  # the map is not defined there
            continue
        compared += bool(np.isfinite(wanted).any())
        single = x.ndim == 1
        where = f"at x = {describe(x)}" if single else f"at a batch {x.shape[:-1]}"
        try:
            got = np.asarray(recorded.replay(x) if single or not recorded.pointwise else _rows(recorded, x))
        except Exception as error:
            return f"its record cannot be replayed {where}, a constant in it may have a shape: {_reason(error)}"
        if got.shape != wanted.shape:
            return f"its values {where} have shape {wanted.shape}, those of its record {got.shape}"
        if not _close(got, wanted):
            return f"its values {where} are not those of its record: it depends on more than its argument"
        if single and recorded.pointwise and _form(traced(f, x)) != form:
            return f"it takes another course {where}"
    return "" if compared else "it has no finite value at any point that was tried"


def _rows(recorded: Record, x: Array) -> Array:
    values = np.stack([recorded.replay(point) for point in x.reshape(-1, x.shape[-1])])
    return values.reshape((*x.shape[:-1], *values.shape[1:]))


def _form(recorded: Record) -> list[tuple[Any, ...]]:
    return [(step.primitive, step.argnums, step.parents) for step in recorded.steps]


def _close(a: Array, b: Array) -> bool:
    """Equal to rounding at the scale of the largest finite entry of each row, NaN and infinity in the same places."""
    both = np.isfinite(a) & np.isfinite(b)
    size = np.abs(np.where(both, b, 0.0)).max(axis=-1, keepdims=True) if b.ndim else np.abs(b)
    return bool(np.all(np.where(both, np.abs(a - b) <= SAME * size, (a == b) | (np.isnan(a) & np.isnan(b)))))


def _reason(error: Exception) -> str:
    """An exception while a map is recorded, in words."""
    if isinstance(error, UserCodeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, ControlFlowError):
        return "it asks for the truth of a value that depends on x (`if`, `while`, `max`, `and`): use np.where"
    if isinstance(error, IndependentError):
        return "its value does not come from its argument by the operations of autograd.numpy"
    if "unsupported operand" in str(error) and any(f" {s}: " in str(error) for s in "&|~^"):
        return f"{text}: use np.logical_and, np.logical_or, np.logical_not"
    return text


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, of Python's or of numpy's."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
