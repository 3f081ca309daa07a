"""Which outputs of a map depend on which inputs, read off its record: blocks that share no input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from geoflow._typing import Index
from geoflow.numerics.records import Record, Step

#: primitives that only move entries: run on labels they move the labels
MOVES = {
    "__getitem__", "reshape", "ravel", "transpose", "swapaxes", "moveaxis", "rollaxis", "expand_dims", "squeeze",
    "broadcast_to", "concatenate_args", "array_from_args", "_array_from_scalar_or_array", "repeat", "tile", "roll",
    "flip", "flipud", "fliplr", "rot90", "diag", "diagonal", "_diag", "make_diagonal", "tril", "triu", "pad", "split",
    "array_split", "vsplit", "hsplit", "atleast_1d", "atleast_2d", "atleast_3d",
}  # fmt: skip
#: the first argument that is one of the parts, where a primitive puts parts together
PARTS_FROM = {"concatenate_args": 1, "array_from_args": 2}
#: primitives that join the entries along axes
REDUCTIONS = {"sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std", "logsumexp"}
#: primitives that act entry by entry, beside numpy's universal functions
ENTRYWISE = {"where", "clip", "real", "nan_to_num", "sinc", "abs"}
CONTRACTIONS = {"matmul", "dot", "inner"}


def components(record: Record) -> tuple[Index, Index]:
    """The blocks of a map recorded at one point: a label of every output, shape=[d], and of every input, shape=[D].

    Outputs and inputs with different labels do not depend on one another, whatever the point. An input that no output
    depends on has a label of its own. What an unknown primitive does is taken to mix all of its arguments.
    """
    reader = _Reader()
    size = int(np.size(record.steps[0].value))
    labels: list[Any] = [np.arange(1, size + 1)]  # 0 is a constant
    for step in record.steps[1:]:
        labels.append(reader.labels(step, [labels[parent] for parent in step.parents]))
    pairs = np.concatenate([np.zeros((2, 0), dtype=int), *reader.edges], axis=1)
    graph = coo_matrix((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(size + 1, size + 1))
    found = connected_components(graph, directed=False)[1]
    return found[np.ravel(labels[record.output])], found[1:]


def _shape(value: Any) -> tuple[int, ...]:
    """The shape of a result; one label is enough for several arrays, as of eigenvalues and eigenvectors."""
    return () if isinstance(value, (tuple, list, dict)) else np.shape(value)


class _Reader:
    """Labels of the entries of every step: the place of one input each depends on; `edges` join inputs that meet."""

    def __init__(self) -> None:
        self.edges: list[Index] = []

    def labels(self, step: Step, parents: list[Any]) -> Any:
        """The labels of the result of a step, from those of its parents; of its shape, a list where it is split."""
        args = list(step.args)
        for position, parent in zip(step.argnums, parents, strict=True):
            args[position] = parent
        found = self._rule(step, parents)(step, args, parents)
        return found if isinstance(found, list) else np.broadcast_to(found, _shape(step.value))

    def _rule(self, step: Step, parents: list[Any]) -> Callable[[Step, list[Any], list[Any]], Any]:
        raw = getattr(step.primitive, "fun", step.primitive)
        if step.name in MOVES:
            by_numbers = step.name in PARTS_FROM or max(step.argnums, default=0) == 0  # and no index that depends on x
            return self._moved if by_numbers else self._mixed
        if step.name == "container_take" and isinstance(parents[0], list):
            return self._taken
        if step.name in ENTRYWISE or (isinstance(raw, np.ufunc) and raw.signature is None):
            return self._entrywise
        if step.name in REDUCTIONS:
            return self._reduced
        if step.name in CONTRACTIONS and vector_times_matrix(step):
            return self._contracted
        return self._mixed

    def _moved(self, step: Step, args: list[Any], parents: list[Any]) -> Any:
        raw = getattr(step.primitive, "fun", step.primitive)
        for place in range(PARTS_FROM.get(step.name, len(args)), len(args)):
            if place not in step.argnums:  # numbers put beside what depends on the input: constants
                args[place] = np.zeros(np.shape(args[place]), dtype=int)
        moved = raw(*args, **step.kwargs)
        return moved if isinstance(moved, list) else np.asarray(moved)

    def _taken(self, step: Step, args: list[Any], parents: list[Any]) -> Any:
        """One of the parts that an array was split into."""
        return args[0][step.args[1]]

    def _entrywise(self, step: Step, args: list[Any], parents: list[Index]) -> Index:
        shape = np.shape(step.value)
        first = np.zeros(shape, dtype=int)
        for parent in parents:
            label = np.broadcast_to(parent, shape)
            self._join(first, label)
            first = np.where(first > 0, first, label)
        return first

    def _reduced(self, step: Step, args: list[Any], parents: list[Index]) -> Index:
        if step.argnums != (0,):  # an initial value, or weights, that depend on the input too
            return self._mixed(step, args, parents)
        label = parents[0]
        axis = step.kwargs.get("axis", step.args[1] if len(step.args) > 1 else None)
        axes = range(label.ndim) if axis is None else np.atleast_1d(axis) % max(label.ndim, 1)
        for k in sorted(axes, reverse=True):
            self._chain(np.moveaxis(label, k, 0))
            label = label.max(axis=k)
        return label.reshape(np.shape(step.value))

    def _contracted(self, step: Step, args: list[Any], parents: list[Index]) -> Index:
        """A vector of labels times a constant matrix: joined where the matrix is not zero."""
        position, label = step.argnums[0], parents[0]
        matrix = np.asarray(step.args[1 - position])
        rows = matrix.T if position == 0 and step.name != "inner" else matrix
        out, into = np.nonzero(rows)
        result = np.zeros(len(rows), dtype=int)
        np.maximum.at(result, out, label[into])
        self._join(result[out], label[into])
        return result

    def _mixed(self, step: Step, args: list[Any], parents: list[Any]) -> Index:
        parts = [part for parent in parents for part in (parent if isinstance(parent, list) else [parent])]
        everything = np.concatenate([np.ravel(part) for part in parts])
        self._chain(everything)
        return np.full(_shape(step.value), everything.max(initial=0))

    def _chain(self, label: Index) -> None:
        """Join everything along the first axis, through its largest label."""
        if len(label):
            self._join(label, np.broadcast_to(label.max(axis=0), label.shape))

    def _join(self, a: Index, b: Index) -> None:
        meet = (a > 0) & (b > 0) & (a != b)
        if np.any(meet):
            self.edges.append(np.stack([a[meet], b[meet]]))


def vector_times_matrix(step: Step) -> bool:
    """Whether a product is of a vector that depends on the input with a constant matrix."""
    if len(step.args) != 2 or len(step.argnums) != 1:
        return False
    varying, constant = step.args[step.argnums[0]], step.args[1 - step.argnums[0]]
    return np.ndim(varying) == 1 and np.ndim(constant) == 2
