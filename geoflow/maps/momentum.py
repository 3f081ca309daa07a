"""What is conserved under momentum, x'' + g x' = sum mu_i(t) X_i(x), of rational polynomial fields."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, combinations_with_replacement

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_points
from geoflow.maps.exact import ModularRank, product_modulo
from geoflow.maps.rational import (
    PRIMES,
    Column,
    Monomial,
    Polynomial,
    add_to,
    along,
    modulo,
    null_space,
    partial_derivative,
    plus,
)


class MomentumLaw(Portable):
    """J(x, v) = <A x + b, v>, A skew, with e^{g t} J(x, x') constant along x'' + g x' = sum mu_i(t) X_i(x).

    From rest J stays 0. A, shape=[D, D], and b, shape=[D], move x by an isometry orthogonal to every field: one that
    leaves G invariant, where the fields are its gradients (Noether).
    """

    def __init__(self, A: Array, b: Array, shape: tuple[int, ...]):
        self.A, self.b, self.shape = A, b, shape

    def __call__(self, x: ArrayLike, velocity: ArrayLike) -> Array:
        """J(x, v): two arrays of shape=[..., D] to shape=[...]."""
        x, v = as_points(x, self.shape, "x"), as_points(velocity, self.shape, "velocity")
        axes = tuple(range(-len(self.shape), 0))
        return np.asarray(np.sum(self.isometry(x) * v, axis=axes))

    def isometry(self, x: ArrayLike) -> Array:
        """A x + b, in the shape of x."""
        x = as_points(x, self.shape, "x")
        flat = x.reshape(*x.shape[: x.ndim - len(self.shape)], -1)
        return np.reshape(flat @ self.A.T + self.b, x.shape)

    def __str__(self) -> str:
        turns = sorted(((a, c) for c, a in np.argwhere(self.A).tolist()), key=lambda p: (*sorted(p), p))
        terms = [(f"x_{a + 1} v_{c + 1}", self.A[c, a]) for a, c in turns]
        terms += [(f"v_{a + 1}", self.b[a]) for a in np.flatnonzero(self.b).tolist()]
        text = ""
        for name, value in terms:
            sign = (" - " if value < 0 else " + ") if text else ("-" if value < 0 else "")
            text += f"{sign}{'' if abs(value) == 1 else f'{abs(value):g} '}{name}"
        return text

    def __repr__(self) -> str:
        return f"MomentumLaw({self})"


def momentum_laws(
    fields: Sequence[Sequence[Polynomial]], powers: Index, shape: tuple[int, ...]
) -> tuple[MomentumLaw, ...]:
    """All A x + b, A skew, that are orthogonal to fields given in coordinates x / 10^powers."""
    dim = len(fields[0])
    turns, shifts = list(combinations(range(dim), 2)), list(range(dim))
    moving = [[(i, field[a]) for i, field in enumerate(fields) if field[a]] for a in shifts]
    columns: list[Column] = []
    for a, c in turns:  # x_a e_c - x_c e_a
        column: dict[Hashable, Fraction] = {}
        for variable, component, sign in ((a, c, 1), (c, a, -1)):
            for i, p in moving[component]:
                for m, value in p.items():
                    add_to(column, (i, *sorted((*m, variable))), sign * value)
        columns.append(column)
    for a in shifts:
        columns.append({(i, *m): value for i, p in moving[a] for m, value in p.items()})
    laws = []
    units = 10.0**powers
    for found in null_space(columns):
        A, b = np.zeros((dim, dim)), np.zeros(dim)
        for k, number in found.items():
            if k < len(turns):
                a, c = turns[k]
                A[c, a], A[a, c] = number / (units[a] * units[c]), -number / (units[a] * units[c])
            else:
                b[k - len(turns)] = number / units[k - len(turns)]
        size = np.abs(A[A != 0]).min() if A.any() else np.abs(b[b != 0]).min()
        laws.append(MomentumLaw(A / size, b / size, shape))
    return tuple(laws)


def survives(law: Mapping[Monomial, int], fields: Sequence[Sequence[Polynomial]]) -> bool:
    """Whether a law h is constant along x'' + g x' = sum mu_i(t) X_i(x) from rest, for every mu.

    That is where <grad h, Y> = 0 for all Y that symmetric products DX.Y + DY.X make of the X_i. Products are taken
    until they add nothing to the span at a random point modulo a prime.
    """
    h: Polynomial = {m: Fraction(c) for m, c in law.items()}
    if all(len(m) <= 1 for m in h):
        return True
    dim = len(fields[0])
    x = np.random.default_rng(1).integers(1, PRIMES[0], dim)
    if _bends(h, fields, x):
        return False
    rank, basis = ModularRank(dim), []
    for X in fields:
        if rank.add(_at(X, x)):
            basis.append(X)
    done: set[tuple[int, int]] = set()
    while pending := [p for p in combinations_with_replacement(range(len(basis)), 2) if p not in done]:
        for i, j in pending:
            done.add((i, j))
            product = symmetric_product(basis[i], basis[j])
            if along(h, product):
                return False
            if rank.add(_at(product, x)):
                basis.append(product)
    return True


def _bends(h: Polynomial, fields: Sequence[Sequence[Polynomial]], x: Index) -> bool:
    """Whether X_i^T hess h X_j, which is -<grad h, DX_i.X_j + DX_j.X_i> / 2, is not 0 at x modulo the prime."""
    variables = sorted({v for m in h for v in m})
    first = [partial_derivative(h, v) for v in variables]
    hessian = [[modulo(partial_derivative(p, v), x) for v in variables] for p in first]
    values = [[modulo(X[v], x) for v in variables] for X in fields]
    H, V = np.array(hessian, dtype=np.int64), np.array(values, dtype=np.int64)
    return bool(product_modulo(product_modulo(V, H), V.T).any())


def symmetric_product(X: Sequence[Polynomial], Y: Sequence[Polynomial]) -> list[Polynomial]:
    """DX.Y + DY.X."""
    return [plus(along(p, Y), along(q, X)) for p, q in zip(X, Y, strict=True)]


def _at(X: Sequence[Polynomial], x: Index) -> Index:
    return np.array([modulo(p, x) for p in X], dtype=np.int64)
