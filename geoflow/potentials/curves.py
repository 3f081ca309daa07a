"""Functions of one variable as the recorded calls that make them, each kept once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array

#: calls of one function beyond which it is not read
LONGEST = 2000


@dataclass(frozen=True)
class Call:
    """A primitive called on constants and on the nodes number `places[i][1]`, as argument `places[i][0]`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Affinity:
    """A constant plus multiples of nodes: constant + sum_k coefficients_k node_k."""

    constant: float
    coefficients: tuple[float, ...]
    nodes: tuple[int, ...]


class Curve(Portable):
    """s to r(s), entry by entry, in autograd.numpy."""

    def __init__(self, steps: Sequence[Call | Affinity]):
        self.steps = tuple(steps)

    def __call__(self, s: Array) -> Array:
        values: list[Any] = [s]
        for step in self.steps:
            if isinstance(step, Affinity):
                values.append(_combined(step, values))
                continue
            args = list(step.args)
            for position, node in step.places:
                args[position] = values[node]
            values.append(step.function(*args, **dict(step.kwargs)))
        return values[-1]


def _combined(step: Affinity, values: list[Any]) -> Any:
    terms = [values[k] if c == 1 else c * values[k] for c, k in zip(step.coefficients, step.nodes, strict=True)]
    total = step.constant + anp.zeros(anp.shape(values[0])) if not terms else terms[0]
    for term in terms[1:]:
        total = total + term
    return total + step.constant if terms and step.constant else total


class Nodes:
    """All functions of one variable that a reading meets: node 0 is s, node 1 is s^2."""

    VARIABLE, SQUARE = 0, 1

    def __init__(self) -> None:
        self._steps: list[Call | Affinity | None] = [None, Call(anp.multiply, (None, None), ((0, 0), (1, 0)))]
        self._known: dict[Any, int] = {}

    def affine(self, constant: float, terms: Iterable[tuple[float, int]]) -> int:
        """The node of a constant plus multiples of nodes, those that are sums themselves taken apart."""
        total, parts = float(constant), dict[int, float]()
        for c, k in terms:
            inner, expanded = self.parts(k)
            total += c * inner
            for node, factor in expanded:
                parts[node] = parts.get(node, 0.0) + c * factor
        kept = [(k, c) for k, c in sorted(parts.items()) if c != 0]
        if total == 0 and len(kept) == 1 and kept[0][1] == 1:
            return kept[0][0]
        return self._add(Affinity(total, tuple(c for _, c in kept), tuple(k for k, _ in kept)))

    def parts(self, node: int) -> tuple[float, list[tuple[int, float]]]:
        """A node as a constant and multiples of nodes that are no sums."""
        step = self._steps[node]
        if isinstance(step, Affinity):
            return step.constant, list(zip(step.nodes, step.coefficients, strict=True))
        return 0.0, [(node, 1.0)]

    def line(self, node: int) -> tuple[float, float] | None:
        """(c, o) where a node is c s + o."""
        constant, parts = self.parts(node)
        if any(k != self.VARIABLE for k, _ in parts):
            return None
        return (parts[0][1] if parts else 0.0), constant

    def call(self, function: Any, args: Sequence[Any], places: Sequence[tuple[int, int]], kwargs: Any) -> int:
        """The node of a call; squares of c s + o are multiplied out."""
        base = _squared(function, args, places)
        straight = None if base is None else self.line(base)
        if straight is not None:
            c, o = straight
            return self.affine(o * o, [(c * c, self.SQUARE), (2 * c * o, self.VARIABLE)])
        if function in (anp.log, anp.log1p) and (found := self._log_of_two(nodes_of(places)[0], function is anp.log1p)):
            return found
        if function is anp.log:
            constant, parts = self.parts(nodes_of(places)[0])
            if constant == 0 and len(parts) == 1 and parts[0][1] > 0 and parts[0][1] != 1:
                alone = self.call(anp.log, (None,), ((0, parts[0][0]),), {})
                return self.affine(np.log(parts[0][1]), [(1.0, alone)])
        if function is anp.multiply and len(places) == 2 and (product := self._product(*nodes_of(places))):
            return product
        given = tuple(None if i in dict(places) else arg for i, arg in enumerate(args))
        return self._add(Call(function, given, tuple(places), tuple(sorted(kwargs.items()))))

    def _product(self, u: int, v: int) -> int | None:
        """c u' times v, and s times a sum, multiplied out."""
        for one, other in ((u, v), (v, u)):
            constant, parts = self.parts(one)
            if constant == 0 and len(parts) == 1 and isinstance(self._steps[one], Affinity):
                return self.affine(0.0, [(parts[0][1], self._times(parts[0][0], other))])
            if other == self.VARIABLE and isinstance(self._steps[one], Affinity):
                return self.affine(0.0, [(constant, other), *((c, self._times(other, k)) for k, c in parts)])
        return None

    def _times(self, u: int, v: int) -> int:
        return self.call(anp.multiply, (None, None), ((0, u), (1, v)), {})

    def _log_of_two(self, node: int, plus_one: bool) -> int | None:
        """log(c + k exp(u)) and log(c exp(u) + k exp(v)), c, k > 0, by logaddexp, whose derivatives do not cancel."""
        constant, parts = self.parts(node)
        constant += plus_one
        inner = [(self.exponent(k), c) for k, c in parts]
        if any(u is None or not c > 0 for u, c in inner) or len(inner) + (constant > 0) != 2 or constant < 0:
            return None
        u, v = (self.affine(np.log(c), [] if k is None else [(1.0, k)]) for k, c in [(None, constant), *inner][-2:])
        low = self.constant(u)
        args, places = ((None, None), [(0, u), (1, v)]) if low is None else ((low, None), [(1, v)])
        if low:  # log c is taken out
            args, places = (0.0, None), [(1, self.affine(-low, [(1.0, v)]))]
        return self.affine(low or 0.0, [(1.0, self.call(anp.logaddexp, args, places, {}))])

    def constant(self, node: int) -> float | None:
        """The number that a node is."""
        constant, parts = self.parts(node)
        return None if parts else constant

    def exponent(self, node: int) -> int | None:
        """The k where a node is exp(node k)."""
        step = self._steps[node]
        return step.places[0][1] if isinstance(step, Call) and step.function is anp.exp else None

    def curve(self, node: int) -> Curve:
        """A node as a function of its own."""
        needed, stack = set[int](), [node]
        while stack:
            k = stack.pop()
            if k not in needed and self._steps[k] is not None:
                needed.add(k)
                stack.extend(_parents(self._steps[k]))
        order = {0: 0} | {k: i + 1 for i, k in enumerate(sorted(needed))}
        return Curve([_moved(self._steps[k], order) for k in sorted(needed)])

    def _add(self, step: Call | Affinity) -> int:
        key = (
            step if isinstance(step, Affinity) else (id(step.function), repr(step.args), step.places, repr(step.kwargs))
        )
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append(step)
        return self._known[key]


def _parents(step: Call | Affinity | None) -> tuple[int, ...]:
    if isinstance(step, Affinity):
        return step.nodes
    return () if step is None else tuple(k for _, k in step.places)


def _moved(step: Call | Affinity | None, order: dict[int, int]) -> Call | Affinity:
    assert step is not None
    if isinstance(step, Affinity):
        return Affinity(step.constant, step.coefficients, tuple(order[k] for k in step.nodes))
    return Call(step.function, step.args, tuple((i, order[k]) for i, k in step.places), step.kwargs)


def nodes_of(places: Sequence[tuple[int, int]]) -> list[int]:
    """The nodes that a call is of."""
    return [k for _, k in places]


def _squared(function: Any, args: Sequence[Any], places: Sequence[tuple[int, int]]) -> int | None:
    """The node that a call squares."""
    nodes = nodes_of(places)
    if function is anp.multiply and len(nodes) == 2 and nodes[0] == nodes[1]:
        return nodes[0]
    if function is anp.square or (function is anp.power and len(nodes) == 1 and places[0][0] == 0 and _is_two(args[1])):
        return nodes[0]
    return None


def _is_two(value: Any) -> bool:
    return bool(np.ndim(value) == 0 and value == 2)
