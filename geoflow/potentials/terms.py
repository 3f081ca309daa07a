"""What a recorded step is, entry by entry: an affine function of w, and multiples of functions that are kept once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geoflow._typing import Array
from geoflow.potentials.curves import Nodes

#: relative difference up to which two directions are one
PARALLEL = 4e-15


@dataclass(frozen=True)
class Ridge:
    """A function of one variable: node number `node` at <a, w> + b, the base of direction number `direction`."""

    direction: int
    node: int


@dataclass(frozen=True, eq=False)
class Quadratic:
    """<w, matrix w>."""

    matrix: Array


@dataclass(frozen=True, eq=False)
class SoftMax:
    """log sum_k exp(<a_k, w> + b_k)."""

    directions: Array
    offsets: Array


@dataclass(frozen=True)
class Unread:
    """An entry of a step that is kept as it is, in case it cancels later: a largest entry, a root."""

    step: int
    entry: int


@dataclass(frozen=True)
class Shifted:
    """exp(<a, w> + b + multiples of unread entries)."""

    direction: tuple[float, ...]
    offset: float
    shift: tuple[tuple[int, float], ...]


Atom = Ridge | Quadratic | SoftMax | Unread | Shifted


@dataclass(frozen=True, eq=False)
class Value:
    """An array of `shape` whose entries, flattened, are slopes @ w + offsets + weights @ atoms.

    slopes has shape=[n, d], offsets [n] and weights [n, K]; `atoms` are numbers of atoms.
    """

    shape: tuple[int, ...]
    slopes: Array
    offsets: Array
    weights: Array
    atoms: tuple[int, ...] = ()

    @property
    def columns(self) -> Array:
        """All of it as one array, shape=[n, d + 1 + K]."""
        return np.concatenate([self.slopes, self.offsets[:, None], self.weights], axis=1)

    def with_columns(self, shape: tuple[int, ...], columns: Array) -> Value:
        """The value of another shape with these columns."""
        d = self.slopes.shape[1]
        return Value(shape, columns[:, :d], columns[:, d], columns[:, d + 1 :], self.atoms)

    @property
    def affine(self) -> bool:
        return not self.weights.any()

    def row(self, entry: int) -> dict[int, float]:
        """The atoms of an entry with their weights."""
        return {self.atoms[k]: float(self.weights[entry, k]) for k in np.flatnonzero(self.weights[entry])}

    @classmethod
    def of_rows(cls, shape: tuple[int, ...], slopes: Array, offsets: Array, rows: list[dict[int, float]]) -> Value:
        atoms = tuple(dict.fromkeys(k for row in rows for k in row))
        place, weights = {k: i for i, k in enumerate(atoms)}, np.zeros((len(rows), len(atoms)))
        for e, row in enumerate(rows):
            for k, c in row.items():
                weights[e, place[k]] = c
        return cls(shape, slopes, offsets, weights, atoms)

    def joined(self, other: Value) -> Value:
        """The sum of two values of one shape."""
        atoms = tuple(dict.fromkeys(self.atoms + other.atoms))
        place, weights = {k: i for i, k in enumerate(atoms)}, np.zeros((len(self.offsets), len(atoms)))
        for value in (self, other):
            weights[:, [place[k] for k in value.atoms]] += value.weights
        return replace(
            self, slopes=self.slopes + other.slopes, offsets=self.offsets + other.offsets, weights=weights, atoms=atoms
        )


class Terms:
    """The directions, functions of one variable and other atoms that a reading meets."""

    def __init__(self) -> None:
        self.nodes, self.bases, self.atoms = Nodes(), list[tuple[Array, float]](), list[Atom]()
        self._directions: dict[bytes, int] = {}
        self._known: dict[Atom, int] = {}

    def add(self, atom: Atom) -> int:
        """The number of an atom."""
        if atom not in self._known:
            self._known[atom] = len(self.atoms)
            self.atoms.append(atom)
        return self._known[atom]

    def place(self, a: Array, b: float) -> tuple[int, float, float]:
        """(direction, c, o) with <a, w> + b = c s + o at the base s of the direction; a is not zero."""
        k = int(np.argmax(np.abs(a) > 0.5 * np.abs(a).max()))
        key = (np.round(a / a[k], 9) + 0.0).tobytes()
        direction = self._directions.get(key)
        if direction is not None:
            base, offset = self.bases[direction]
            c = float(a[k] / base[k])
            if np.abs(a - c * base).max() <= PARALLEL * np.abs(a).max():
                return direction, c, float(b - c * offset)
        self._directions[key] = len(self.bases)
        self.bases.append((np.array(a), float(b)))
        return len(self.bases) - 1, 1.0, 0.0

    def single(self, value: Value, entry: int) -> tuple[int | None, int] | None:
        """(direction, node) where an entry is a function of one variable, direction None where it is a constant."""
        terms, directions = [], set[int]()
        for k, c in value.row(entry).items():
            atom = self.atoms[k]
            if not isinstance(atom, Ridge):
                return None
            directions.add(atom.direction)
            terms.append((c, atom.node))
        constant, slope = float(value.offsets[entry]), value.slopes[entry]
        if len(directions) > 1:
            return None
        if slope.any():
            direction, c, o = self.place(slope, constant)
            if directions and directions != {direction}:
                return None
            directions, constant = {direction}, o
            terms.append((c, self.nodes.VARIABLE))
        return (directions.pop() if directions else None), self.nodes.affine(constant, terms)

    def split(self, direction: int, node: int, dim: int) -> tuple[Array, float, dict[int, float]]:
        """A function of one variable as a slope, an offset and a row of atoms."""
        constant, parts = self.nodes.parts(node)
        slope, row = np.zeros(dim), dict[int, float]()
        a, b = self.bases[direction]
        for k, c in parts:
            if k == self.nodes.VARIABLE:
                slope, constant = slope + c * a, constant + c * b
            else:
                row[self.add(Ridge(direction, k))] = c
        return slope, constant, row
