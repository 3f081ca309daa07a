"""Iterated brackets of vector fields at a point, exactly, by Leibniz' rule from derivatives of the generators.

A bracket is a word: (i, j, k) stands for the left-normed [X_i, [X_j, X_k]].
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from geoflow._typing import Array, Map
from geoflow.numerics import autodiff

RANK_TOL = 1e-10
FLOOR = 1e-2
MAX_TENSOR = 4_000_000
#: powers of ten of coefficients from which coordinates get other units
BALANCED = 3.0
Vectors = tuple[Array, ...]
Word = tuple[int, ...]
Directions = tuple[tuple[Array, float], ...]
#: brackets by their words, each with the size of its terms
Tested = dict[Word, tuple[Array, float]]


class Rank:
    """A numerical rank, one vector at a time: new where its part outside the span exceeds RANK_TOL of its scale."""

    def __init__(self, dim: int):
        self.basis = np.zeros((0, dim))
        self.smallest, self.largest, self.seen = 1.0, 0.0, 0

    @property
    def value(self) -> int:
        return len(self.basis)

    @property
    def gap(self) -> tuple[float, float]:
        return self.smallest, self.largest

    def add(self, vector: Array, scale: float) -> bool:
        self.seen += 1
        if not scale > 0:
            return False
        rest = vector / scale
        for _ in range(2):  # once more for what the first pass leaves by rounding
            rest = rest - self.basis.T @ (self.basis @ rest)
        size = float(np.linalg.norm(rest))
        if size <= RANK_TOL or len(self.basis) == self.basis.shape[1]:
            self.largest = max(self.largest, size)
            return False
        self.smallest = min(self.smallest, size)
        self.basis = np.vstack([self.basis, rest / size])
        return True


class Generator:
    """A field with its derivatives of every order: tensors where it is a polynomial, forward mode elsewhere."""

    def __init__(self, function: Map, dim: int):
        self.function, self.dim = function, dim
        self.tensors = _tensors(function, dim)
        self.degree = None if self.tensors is None else len(self.tensors) - 1

    def derivative(self, x: Array, vectors: Vectors) -> Array:
        """D^m X(x)[v_1, ..., v_m], shape=[D]."""
        if self.tensors is not None:
            return _polynomial(self.tensors, x, vectors)
        f = self.function
        for v in vectors:
            f = _along(f, v)
        return np.asarray(f(x), dtype=float)

    def matrix(self) -> Array:
        assert self.tensors is not None
        M = np.zeros((self.dim + 1, self.dim + 1))
        M[:-1, -1] = self.tensors[0]
        if len(self.tensors) > 1:
            M[:-1, :-1] = self.tensors[1]
        return M


def _along(f: Map, v: Array) -> Map:
    return lambda y: autodiff.jvp(f, y, v)[1]


@np.errstate(all="ignore")
def _tensors(f: Map, D: int) -> list[Array] | None:
    """Derivative tensors at 0 of a polynomial field of degree at most 3, by differences over a lattice; else None.

    The degree is that of f on lines through generic points, and the polynomial is compared with f at fresh ones.
    """
    rng, degree = np.random.default_rng(0), 0
    x, v = rng.standard_normal((2, 4, D))
    for start, direction in zip(x, v, strict=True):  # the first line that is no polynomial ends it
        try:
            line = np.stack([np.asarray(f(start + t * direction), dtype=float) for t in range(-3, 4)])
        except Exception:
            return None
        size = np.abs(line).max(axis=0)  # of each component: one may be far smaller than others
        rest = (np.abs(np.diff(line, n=k + 1, axis=0)).max(axis=0) for k in range(4))
        found = next((k for k, left in enumerate(rest) if np.all(left <= 1e-11 * size)), None)
        if found is None or D ** (found + 1) > MAX_TENSOR:
            return None
        degree = max(degree, found)
    try:
        tensors = _lattice(f, D, degree)
    except Exception:
        return None
    if not all(np.isfinite(T).all() for T in tensors):
        return None
    for y in rng.standard_normal((3, D)) * np.array([0.3, 1.0, 3.0])[:, None]:
        wanted, size = np.asarray(f(y), dtype=float), _polynomial([np.abs(T) for T in tensors], np.abs(y), ())
        if not np.all(np.abs(_polynomial(tensors, y, ()) - wanted) <= 1e-11 * (size + np.abs(wanted))):
            return None
    return tensors


def _polynomial(tensors: list[Array], x: Array, vectors: Vectors) -> Array:
    """The derivative along the vectors of a polynomial with these derivatives at 0."""
    total, factorial = np.zeros(len(x)), 1.0
    for order in range(len(vectors), len(tensors)):
        value = tensors[order]
        for v in (*vectors, *[x] * (order - len(vectors))):
            value = value @ v
        total = total + value / factorial
        factorial *= order - len(vectors) + 1
    return total


def _lattice(f: Map, D: int, degree: int) -> list[Array]:
    """Derivatives at 0 up to a degree, of a polynomial of at most that degree, from values at small integers."""
    eye, zero = np.eye(D), np.zeros((1, D))

    def even(y: Array) -> Array:
        return (np.asarray(f(y), dtype=float) + np.asarray(f(-y), dtype=float)) / 2

    def odd(y: Array) -> Array:
        return (np.asarray(f(y), dtype=float) - np.asarray(f(-y), dtype=float)) / 2

    def cubic(y: Array) -> Array:
        return (odd(2 * y) - 2 * odd(y)) / 6

    tensors = [even(zero)[0]]
    if degree > 0:
        tensors.append((odd(eye) - (cubic(eye) if degree > 2 else 0.0)).T)
    if degree > 1:
        pairs, single = even((eye[:, None] + eye[None]).reshape(-1, D)).reshape(D, D, D), even(eye)
        tensors.append(np.moveaxis(pairs - single[:, None] - single[None] + tensors[0], -1, 0))
    if degree > 2:
        one, two = cubic(eye), cubic((eye[:, None] + eye[None]).reshape(-1, D)).reshape(D, D, D)
        three = cubic((eye[:, None, None] + eye[None, :, None] + eye[None, None]).reshape(-1, D)).reshape(D, D, D, D)
        three = three - two[:, :, None] - two[:, None] - two[None]
        three = three + one[:, None, None] + one[None, :, None] + one[None, None]
        tensors.append(np.moveaxis(three, -1, 0))
    # what is less than rounding of its row is none: a zero that is off would be a term of a bracket
    return [np.where(np.abs(T) <= 1e-13 * _largest_of(tensors, T), 0.0, T) for T in tensors]


def _largest_of(tensors: list[Array], T: Array) -> Array:
    """The largest coefficient of every component over all orders, in the shape of T up to broadcasting."""
    rows = np.max([np.abs(other).reshape(len(other), -1).max(axis=1) for other in tensors], axis=0)
    return rows.reshape(-1, *[1] * (T.ndim - 1))


def balanced_powers(generators: list[Generator]) -> Array | None:
    """Powers of ten for coordinates, with which coefficients of polynomials are nearest to 1, up to a factor a field.

    In coordinates x / s those of x_l x_m in component k are multiplied by s_l s_m / s_k. None where nothing is to do.
    """
    if any(g.tensors is None for g in generators):
        return None
    logs = [np.log10(np.abs(T[T != 0])) for g in generators for T in g.tensors or ()]
    size = np.concatenate(logs)
    if len(size) == 0 or np.abs(size).max() < BALANCED:
        return None
    D, rows = generators[0].dim, []
    for n, g in enumerate(generators):
        for T in g.tensors or ():
            places = np.argwhere(T != 0)
            row = np.zeros((len(places), D + len(generators)))
            for column in range(T.ndim):
                np.add.at(row, (np.arange(len(places)), places[:, column]), -1.0 if column == 0 else 1.0)
            row[:, D + n] = 1.0
            rows.append(row)
    powers = np.round(np.linalg.lstsq(np.concatenate(rows), -size, rcond=None)[0][:D])
    return powers if powers.any() and np.abs(powers).max() < 100 else None


def _order(generators: list[Generator], word: Word) -> float:
    """The degree of a bracket of polynomial fields; infinite where one is no polynomial."""
    degrees = [generators[i].degree for i in word]
    return np.inf if None in degrees else sum(d - 1 for d in degrees if d is not None) + 1


def _derivative(generators: list[Generator], word: Word, x: Array, directions: Directions) -> tuple[Array, float]:
    """D^m B(x)[v_1, ..., v_m] of the left-normed bracket B = [X_i, B'], by Leibniz' rule on DB'.X_i - DX_i.B'.

    Beside it, the sum of the sizes of all terms that were added and may have cancelled.
    """
    g, rest = generators[word[0]], word[1:]
    if not rest:
        value = g.derivative(x, tuple(v for v, _ in directions))
        return value, float(np.linalg.norm(value) * np.prod([ratio for _, ratio in directions]))
    if len(directions) > _order(generators, word):
        return np.zeros(len(x)), 0.0
    total, size = np.zeros(len(x)), 0.0
    for k in range(len(directions) + 1):
        for chosen in combinations(range(len(directions)), k):
            inside = tuple(directions[i] for i in chosen)
            outside = tuple(v for i, v in enumerate(directions) if i not in chosen)
            if g.degree is None or k <= g.degree:
                along = _derivative(generators, word[:1], x, inside)
                first, more = _derivative(generators, rest, x, (*outside, _direction(*along)))
                total, size = total + first, size + more
            if g.degree is None or k + 1 <= g.degree:
                inner = _derivative(generators, rest, x, outside)
                second, more = _derivative(generators, word[:1], x, (*inside, _direction(*inner)))
                total, size = total - second, size + more
    return total, size


def _direction(value: Array, size: float) -> tuple[Array, float]:
    """A vector with how much larger than it the terms are whose sum it is."""
    norm = float(np.linalg.norm(value))
    return value, max(size / norm, 1.0) if norm > 0 else 1.0


def bracket_at(generators: list[Generator], word: Word, x: Array) -> tuple[Array, float]:
    """A bracket at x, and the size of the terms whose sum it is; not less than where those are rounding themselves."""
    value, size = _derivative(generators, word, x, ())
    if len(word) > 1:
        outer, inner = (np.linalg.norm(_derivative(generators, w, x, ())[0]) for w in (word[:1], word[1:]))
        size = max(size, FLOOR * float(outer * inner) / (float(np.linalg.norm(x)) or 1.0))
    return value, size


def largest_pushed(e: Array, tested: Tested) -> tuple[float, Word]:
    """The largest |e_i.B| of brackets of length at least 2, relative to |e_i| and to their terms, and which one it is.

    e, shape=[d, D], are derivatives of outputs, each of a unit of its own.
    """
    worst: tuple[float, Word] = 0.0, ()
    size = np.linalg.norm(e, axis=-1)
    for word, (B, scale) in tested.items():
        if len(word) > 1 and scale > 0:
            defect = float((np.abs(e @ B) / np.where(size > 0, size, 1.0)).max()) / scale
            if not defect <= worst[0]:
                worst = defect, word
    return worst


class FieldWords:
    """Brackets of fields, as their values at several points of an orbit, weighted to one size."""

    def __init__(self, generators: list[Generator], points: Array):
        self._generators, self._points, self.size = generators, points, points.size
        self._weights = [1 / max(np.linalg.norm(g.derivative(p, ())) for g in generators) for p in points]

    def value(self, word: Word) -> tuple[Array, float]:
        """The bracket of a word, and the size of its terms."""
        parts = [bracket_at(self._generators, word, p) for p in self._points]
        scale = np.linalg.norm([w * part[1] for w, part in zip(self._weights, parts, strict=True)])
        return self._joined([part[0] for part in parts]), float(scale)

    def commutator(self, one: Word, other: Word) -> Array:
        """[B, C] = DC.B - DB.C of two brackets."""
        g, parts = self._generators, []
        for p in self._points:
            B, C = (_direction(*_derivative(g, word, p, ())) for word in (one, other))
            parts.append(_derivative(g, other, p, (B,))[0] - _derivative(g, one, p, (C,))[0])
        return self._joined(parts)

    def _joined(self, parts: Sequence[Array]) -> Array:
        return np.concatenate([w * part for w, part in zip(self._weights, parts, strict=True)])


class MatrixWords:
    """Brackets of affine fields, as matrices: [A, B] is BA - AB."""

    def __init__(self, matrices: Array):
        self._matrices: dict[Word, Array] = {(i,): M for i, M in enumerate(matrices)}
        self.size = int(matrices[0].size)

    def value(self, word: Word) -> tuple[Array, float]:
        """The bracket of a word, and its size."""
        if word not in self._matrices:
            M, B = self._matrices[word[:1]], self._matrices[word[1:]]
            self._matrices[word] = B @ M - M @ B
        return self._matrices[word].ravel(), float(np.linalg.norm(self._matrices[word]))

    def commutator(self, one: Word, other: Word) -> Array:
        """[B, C] of two brackets."""
        M, N = self._matrices[one], self._matrices[other]
        return np.ravel(N @ M - M @ N)


def matrix_levels(matrices: Array, depth: int | None) -> list[list[tuple[Array, float]]]:
    """Matrices of brackets by length, each with the size of its terms, until no new one appears; [A, B] is BA - AB."""
    rank = Rank(matrices[0].size)
    levels: list[list[tuple[Array, float]]] = []
    new = [(M, float(np.linalg.norm(M))) for M in matrices]
    while new and (depth is None or len(levels) < depth):
        kept = [(B, scale) for B, scale in new if rank.add(B.ravel(), scale)]
        levels.append(kept)
        new = []
        for B, _ in kept:
            for M in matrices:
                first, second, floor = B @ M, M @ B, FLOOR * np.linalg.norm(B) * np.linalg.norm(M)
                new.append((first - second, float(max(np.linalg.norm(first) + np.linalg.norm(second), floor))))
    return levels
