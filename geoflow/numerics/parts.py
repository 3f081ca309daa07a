"""Some outputs of a recorded map as a map of their own, and which outputs are one function of their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array, Index, Map
from geoflow.numerics.records import Record, Step
from geoflow.numerics.structure import CONTRACTIONS, ENTRYWISE, MOVES, PARTS_FROM, REDUCTIONS, vector_times_matrix

#: primitives whose result is filled with numbers of their own, which labels cannot tell from places
FILLS = {"pad"}
_SEED = np.uint64(0x9E3779B97F4A7C15)


class UnknownStepError(Exception):
    """A step that is not read entry by entry."""


def kinds(record: Record, names: Index) -> Index | None:
    """Labels of the outputs of a map recorded at one point: with one label they are one function, input for input.

    `names`, shape=[D], are those of the inputs in the function of an output: outputs over inputs of the same names, by
    the same steps and constants in the same order, have one label. None where a step is not read entry by entry.
    """
    try:
        codes: list[Any] = [_mixed(np.asarray(names, dtype=np.uint64))]
        for step in record.steps[1:]:
            codes.append(_codes(step, [codes[parent] for parent in step.parents]))
    except UnknownStepError:
        return None
    return np.unique(np.ravel(codes[record.output]), return_inverse=True)[1]


def part(record: Record, outputs: Index) -> tuple[Map, Index] | None:
    """Some outputs of a map recorded at one point, as a function of the inputs that they depend on, and those inputs.

    The function, in autograd.numpy, takes x of shape=[..., m] to shape=[..., len(outputs)]; it costs what these outputs
    cost. None where a step is not read entry by entry.
    """
    reader = _Reader(record)
    try:
        end = reader.needed(record.output, np.asarray(outputs, dtype=int))
    except UnknownStepError:
        return None
    used = np.unique(np.concatenate([places for _, places in reader.inputs] or [np.zeros(0, dtype=int)]))
    steps: list[Callable[[list[Any]], Any]] = list(reader.program)
    for place, inputs in reader.inputs:
        steps[place] = _taken(np.searchsorted(used, inputs))

    def function(x: Any) -> Any:
        values: list[Any] = [x]
        for step in steps:
            values.append(step(values))
        return values[1 + end]

    return function, used


def _taken(places: Index) -> Callable[[list[Any]], Any]:
    return lambda values: values[0][..., places]


class _Reader:
    """The steps that some entries need, each on the entries that it has to give, along one last axis.

    A step of the `program` takes the values before it, the input and one for each step; `inputs` are the steps that
    give entries of the input, and which.
    """

    def __init__(self, record: Record):
        self._record = record
        self.program: list[Callable[[list[Any]], Any]] = []
        self.inputs: list[tuple[int, Index]] = []
        self._known: dict[tuple[int, bytes], int] = {}

    def needed(self, place: int, entries: Index) -> int:
        """The number of the program's step that gives these entries of the result of a step of the record."""
        key = place, entries.tobytes()
        if key not in self._known:
            step = self._record.steps[place]
            found = self._input(entries) if step.primitive is None else self._read(step, entries)
            self.program.append(found)
            self._known[key] = len(self.program) - 1
            if step.primitive is None:
                self.inputs.append((self._known[key], entries))
        return self._known[key]

    def _input(self, entries: Index) -> Callable[[list[Any]], Any]:
        return _taken(entries)

    def _read(self, step: Step, entries: Index) -> Callable[[list[Any]], Any]:
        kind = _kind(step)
        if kind == "moves":
            return self._moved(step, entries)
        if kind == "entrywise":
            return self._entrywise(step, entries)
        if kind == "reduction":
            groups, axis = _groups(step), -1
            inner = self.needed(step.parents[0], groups[entries].ravel())
            primitive, m = step.primitive, groups.shape[1]
            return lambda v: primitive(anp.reshape(v[1 + inner], (*v[0].shape[:-1], len(entries), m)), axis=axis)
        places, weights = _terms(step)
        inner, weight, m = self.needed(step.parents[0], places[entries].ravel()), weights[entries], places.shape[1]
        return lambda v: anp.sum(anp.reshape(v[1 + inner], (*v[0].shape[:-1], len(entries), m)) * weight, axis=-1)

    def _moved(self, step: Step, entries: Index) -> Callable[[list[Any]], Any]:
        sources, constants = _sources(step)
        chosen = sources.ravel()[entries]
        sizes = [int(np.size(step.args[position])) for position in step.argnums]
        begins = np.cumsum([len(constants), *sizes])
        parts: list[tuple[int | None, Array]] = []
        order = []
        for k in range(-1, len(sizes)):
            low, high = (0, begins[0]) if k < 0 else (begins[k], begins[k + 1])
            here = np.flatnonzero((chosen >= low) & (chosen < high))
            if len(here) == 0:
                continue
            order.append(here)
            if k < 0:
                parts.append((None, constants[chosen[here]]))
            else:
                parts.append((self.needed(step.parents[k], chosen[here] - low), np.empty(0)))
        back = np.argsort(np.concatenate(order)) if order else np.zeros(0, dtype=int)
        if len(parts) == 1 and parts[0][0] is not None:
            inner = parts[0][0]
            return lambda v: v[1 + inner]

        def joined(v: list[Any]) -> Any:
            batch = v[0].shape[:-1]
            found = [anp.broadcast_to(c, (*batch, len(c))) if k is None else v[1 + k] for k, c in parts]
            return anp.concatenate(found, axis=-1)[..., back]

        return joined

    def _entrywise(self, step: Step, entries: Index) -> Callable[[list[Any]], Any]:
        shape = np.shape(step.value)
        args: list[tuple[bool, Any]] = []
        for position, arg in enumerate(step.args):
            if position in step.argnums:
                parent = step.parents[step.argnums.index(position)]
                own = np.arange(np.size(arg)).reshape(np.shape(arg))
                args.append((True, self.needed(parent, np.broadcast_to(own, shape).ravel()[entries])))
            elif np.ndim(arg) == 0:
                args.append((False, arg))
            else:
                args.append((False, np.broadcast_to(arg, shape).ravel()[entries]))
        primitive, kwargs = step.primitive, dict(step.kwargs)
        return lambda v: primitive(*[v[1 + arg] if varies else arg for varies, arg in args], **kwargs)


def _kind(step: Step) -> str:
    raw = getattr(step.primitive, "fun", step.primitive)
    if isinstance(step.value, (tuple, list, dict)):
        raise UnknownStepError
    if step.name in MOVES - FILLS and getattr(raw, "__module__", "").startswith(("numpy", "autograd", "_operator")):
        return "moves"
    plain = not set(step.kwargs) - {"axis", "keepdims"}
    if plain and (step.name in ENTRYWISE or (isinstance(raw, np.ufunc) and raw.signature is None)):
        return "entrywise"
    if plain and step.name in REDUCTIONS and step.name != "logsumexp" and len(step.args) <= 2:
        return "reduction"
    if step.name in CONTRACTIONS and vector_times_matrix(step):
        return "contraction"
    raise UnknownStepError


def _sources(step: Step) -> tuple[Index, Array]:
    """For every entry of a result that only moves entries, its place among constants and then the parents' entries.

    Place 0 is a constant 0, which fills what primitives leave empty.
    """
    args, constants, begin = list(step.args), [np.zeros(1)], 1
    for place in range(PARTS_FROM.get(step.name, len(args)), len(args)):
        if place not in step.argnums:
            value = np.asarray(args[place], dtype=float)
            args[place] = begin + np.arange(value.size).reshape(value.shape)
            constants.append(value.ravel())
            begin += value.size
    for position in step.argnums:
        shape = np.shape(step.args[position])
        args[position] = begin + np.arange(int(np.prod(shape))).reshape(shape)
        begin += int(np.prod(shape))
    raw = getattr(step.primitive, "fun", step.primitive)
    return np.broadcast_to(np.asarray(raw(*args, **step.kwargs)), np.shape(step.value)), np.concatenate(constants)


def _groups(step: Step) -> Index:
    """The entries that each entry of a reduction joins, shape=[entries, m]."""
    shape = np.shape(step.args[step.argnums[0]])
    axis = step.kwargs.get("axis", step.args[1] if len(step.args) > 1 else None)
    axes = tuple(range(len(shape))) if axis is None else tuple(np.atleast_1d(axis) % max(len(shape), 1))
    own = np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), axes, range(-len(axes), 0))
    return own.reshape(int(np.size(step.value)), -1)


def _terms(step: Step) -> tuple[Index, Array]:
    """The entries of a vector that each entry of its product with a matrix takes, and their weights; padded by 0."""
    position = step.argnums[0]
    matrix = np.asarray(step.args[1 - position], dtype=float)
    rows = matrix.T if position == 0 and step.name != "inner" else matrix
    m = max(int((rows != 0).sum(axis=1).max(initial=0)), 1)
    places = np.argsort(rows == 0, axis=1, kind="stable")[:, :m]
    return places, np.take_along_axis(rows, places, axis=1)


# codes of the functions of entries ----------------------------------------------------------------------------------


def _mixed(*codes: Any) -> Any:
    """One code of several in their order, entry by entry (splitmix64)."""
    total = np.uint64(len(codes))
    with np.errstate(over="ignore"):
        for code in codes:
            total = (total ^ code) + _SEED
            total = (total ^ (total >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            total = (total ^ (total >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            total = total ^ (total >> np.uint64(31))
    return total


def _of_constant(value: Any) -> Any:
    return _mixed((np.asarray(value, dtype=float) + 0.0).view(np.uint64))


def _codes(step: Step, parents: list[Any]) -> Any:
    """The codes of the entries of a result, from those of its parents."""
    kind, shape = _kind(step), np.shape(step.value)
    own = np.uint64(id(step.primitive))
    if kind == "moves":
        sources, constants = _sources(step)
        table = np.concatenate([_of_constant(constants), *(np.ravel(parent) for parent in parents)])
        return table[sources]
    if kind == "entrywise":
        args = list(step.args)
        for position, arg in enumerate(args):
            if position in step.argnums:
                args[position] = parents[step.argnums.index(position)]
            else:
                args[position] = np.uint64(0) if arg is None else _of_constant(arg)
        return np.broadcast_to(_mixed(own, *args), shape)
    inner = np.ravel(parents[0])
    if kind == "reduction":
        return _mixed(own, *np.moveaxis(inner[_groups(step)], 1, 0)).reshape(shape)
    places, weights = _terms(step)
    terms = np.where(weights != 0, _mixed(_of_constant(weights), inner[places]), np.uint64(0))
    with np.errstate(over="ignore"):
        return _mixed(own, terms.sum(axis=1, dtype=np.uint64)).reshape(shape)
