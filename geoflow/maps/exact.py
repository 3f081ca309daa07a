"""Lie algebras of polynomial fields with rational coefficients, exactly: all arithmetic is modulo a large prime.

The rank of integers modulo a prime is never more than over Q, and less with a probability of about 1e-9 times the
degree. Brackets at a random point of the field of p elements have the rank of those at a generic point of R^D, which
the dimension at no point exceeds; where the same brackets have that rank at x, it is the dimension at x.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np

from geoflow._typing import Array, Index
from geoflow.maps.words import Generator, Word

PRIME = 2**31 - 1
DENOMINATOR = 10_000
#: a coefficient is the rational number it is this near to, relative to the largest of its component
NEAR = 1e-12
MAX_WORDS = 4000
#: entries of a basis of matrices up to which it is reduced
MAX_BASIS = 200_000


def exact_dimension(generators: Sequence[Generator], x: Array, depth: int | None) -> tuple[int, list[int], int] | None:
    """The dimension at x, its growth by length of bracket, and the number of brackets; None where it is not decided.

    That is where a field is no polynomial of rational coefficients, or x is not generic among the points of R^D.
    """
    fields = [_rational_tensors(g) for g in generators]
    if any(tensors is None for tensors in fields):
        return None
    at = np.array([residue(_nearest(float(c), abs(float(c)))) for c in x])
    known = [tensors for tensors in fields if tensors is not None]
    if all(len(tensors) <= 2 for tensors in known):
        return _of_matrices(np.stack([_matrix(tensors) for tensors in known]), at, depth)
    if depth is not None:
        found = _of_words(known, at, depth, every=True)
        return None if found is None else found[:3]
    generic = np.random.default_rng(0).integers(1, PRIME, len(x))
    found = _of_words(known, generic, None)
    if found is None:
        return None
    value, growth, seen, words = found
    rank = ModularRank(len(x))
    for word in words:
        rank.add(_derivative(known, word, at, ()))
    return (value, growth, seen) if rank.value == value else None


class ModularRank:
    """The rank modulo the prime, one vector at a time."""

    def __init__(self, dim: int):
        self.rows, self.pivots = np.zeros((0, dim), dtype=np.int64), np.zeros(0, dtype=int)

    @property
    def value(self) -> int:
        return len(self.rows)

    def add(self, vector: Index) -> bool:
        """Whether it is new."""
        vector = (vector - product_modulo(vector[self.pivots], self.rows)) % PRIME
        place = int(np.argmax(vector != 0))
        if vector[place] == 0:
            return False
        vector = vector * pow(int(vector[place]), -1, PRIME) % PRIME
        rows = (self.rows - self.rows[:, place, None] * vector % PRIME) % PRIME
        self.rows, self.pivots = np.vstack([rows, vector]), np.r_[self.pivots, place]
        return True


def _nearest(value: float, size: float) -> Fraction:
    """The simple fraction that a number is to rounding, or the number itself."""
    simple = Fraction(value).limit_denominator(DENOMINATOR)
    return simple if abs(float(simple) - value) <= NEAR * size else Fraction(value)


def residue(value: Fraction) -> int:
    return value.numerator * pow(value.denominator, -1, PRIME) % PRIME


def rational_entries(g: Generator, unit: float = 1.0) -> list[list[tuple[tuple[int, ...], Fraction]]] | None:
    """Entries of the derivative tensors at 0 in a unit, by place, where every one is a simple fraction to rounding."""
    if g.tensors is None:
        return None
    sizes = np.max([np.abs(T).reshape(len(T), -1).max(axis=1) for T in g.tensors], axis=0)
    found = []
    for T in g.tensors:
        entries = []
        for index in np.argwhere(T != 0).tolist():
            simple = _nearest(float(T[tuple(index)]) / unit, float(sizes[index[0]]) / unit)
            if simple.denominator > DENOMINATOR:
                return None
            entries.append((tuple(index), simple))
        found.append(entries)
    return found


def _rational_tensors(g: Generator) -> list[Index] | None:
    """Coefficients modulo the prime, where every one is a simple fraction to rounding."""
    entries = rational_entries(g)
    if entries is None or g.tensors is None:
        return None
    found: list[Index] = [np.zeros(T.shape, dtype=np.int64) for T in g.tensors]
    for T, of_order in zip(found, entries, strict=True):
        for index, value in of_order:
            T[index] = residue(value)
    return found


def product_modulo(left: Index, right: Index) -> Index:
    """left @ right for a vector, or rows of vectors, and a matrix."""
    return np.asarray((left[..., None] * right % PRIME).sum(axis=-2) % PRIME, dtype=np.int64)


def _along(tensors: list[Index], x: Index, vectors: Sequence[Index]) -> Index:
    """The derivative along the vectors of the polynomial with these derivatives at 0."""
    total, factorial = np.zeros(len(x), dtype=np.int64), 1
    for order in range(len(vectors), len(tensors)):
        value = tensors[order]
        for v in (*vectors, *[x] * (order - len(vectors))):
            value = (value * v % PRIME).sum(axis=-1) % PRIME
        total = (total + value * pow(factorial, -1, PRIME)) % PRIME
        factorial *= order - len(vectors) + 1
    return total


def _derivative(fields: list[list[Index]], word: Word, x: Index, directions: tuple[Index, ...]) -> Index:
    """D^m B(x)[v_1, ..., v_m] of a left-normed bracket, by Leibniz' rule on DB'.X_i - DX_i.B'."""
    tensors, rest = fields[word[0]], word[1:]
    if not rest:
        return _along(tensors, x, directions)
    total = np.zeros(len(x), dtype=np.int64)
    if len(directions) > sum(len(fields[i]) - 2 for i in word) + 1:
        return total
    for k in range(min(len(directions), len(tensors) - 1) + 1):
        for chosen in combinations(range(len(directions)), k):
            inside = tuple(directions[i] for i in chosen)
            outside = tuple(v for i, v in enumerate(directions) if i not in chosen)
            total = total + _derivative(fields, rest, x, (*outside, _along(tensors, x, inside)))
            if k + 1 < len(tensors):
                total = total - _along(tensors, x, (*inside, _derivative(fields, rest, x, outside)))
            total %= PRIME
    return total


def _of_words(
    fields: list[list[Index]], x: Index, depth: int | None, every: bool = False
) -> tuple[int, list[int], int, list[Word]] | None:
    """Rank at x, growth, brackets seen, and those that were new; None beyond MAX_WORDS."""
    rank, seen = ModularRank(len(x)), 0
    growth: list[int] = []
    words: list[Word] = []
    new: list[Word] = [(i,) for i in range(len(fields))]
    while new and (depth is None or len(growth) < depth):
        kept = []
        for word in new:
            seen += 1
            if seen > MAX_WORDS:
                return None
            fresh = rank.add(_derivative(fields, word, x, ()))
            if fresh:
                words.append(word)
            if fresh or every or len(word) == 1:
                kept.append(word)
        growth.append(rank.value)
        if rank.value == len(x):
            break
        new = [(i, *word) for word in kept for i in range(len(fields)) if len(word) > 1 or i < word[0]]
    return rank.value, growth, seen, words


def _matrix(tensors: list[Index]) -> Index:
    M = np.zeros((len(tensors[0]) + 1, len(tensors[0]) + 1), dtype=np.int64)
    M[:-1, -1] = tensors[0]
    if len(tensors) > 1:
        M[:-1, :-1] = tensors[1]
    return M


def _of_matrices(matrices: Index, x: Index, depth: int | None) -> tuple[int, list[int], int] | None:
    """Affine fields, at any x: their algebra has a finite dimension, and matrices for brackets, [A, B] = BA - AB."""
    algebra, rank, seen = ModularRank(matrices[0].size), ModularRank(len(x)), 0
    growth: list[int] = []
    at, new = np.r_[x, 1], list(matrices)
    while new and (depth is None or len(growth) < depth):
        kept = []
        for B in new:
            seen += 1
            if seen > MAX_WORDS or algebra.rows.size > MAX_BASIS:
                return None
            if algebra.add(B.ravel()):
                kept.append(B)
                rank.add((B * at % PRIME).sum(axis=-1)[:-1] % PRIME)
        growth.append(rank.value)
        if rank.value == len(x):
            break
        new = [(product_modulo(B, M) - product_modulo(M, B)) % PRIME for B in kept for M in matrices]
    return rank.value, growth, seen
