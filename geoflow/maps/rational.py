"""Sparse polynomials with rational coefficients, and null spaces over Q: modulo primes, verified exactly."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from fractions import Fraction
from math import factorial, gcd, isqrt, lcm
from typing import TypeVar

import numpy as np

from geoflow._typing import Index
from geoflow.errors import ConvergenceError
from geoflow.maps.exact import rational_entries
from geoflow.maps.words import Generator

#: a monomial as the numbers of its variables in order: x_0^2 x_3 is (0, 0, 3)
Monomial = tuple[int, ...]
Polynomial = dict[Monomial, Fraction]
#: a linear equation's name, and the coefficient of one unknown in it
Column = Mapping[Hashable, Fraction]
K = TypeVar("K", int, Monomial)
H = TypeVar("H", bound=Hashable)

PRIMES = (2147483647, 2147483629, 2147483587, 2147483579, 2147483563, 2147483549, 2147483543, 2147483497)
#: entries of the matrix of one system, beyond which it is not solved
MAX_ENTRIES = 20_000_000
#: vectors of a basis, beyond which it is left as the elimination has it
MAX_SPARSER = 100


def polynomial_field(g: Generator) -> list[Polynomial] | None:
    """The components of a field, up to a power of ten; None where coefficients are no simple fractions then."""
    size = max((float(np.abs(T).max()) for T in g.tensors or ()), default=0.0)
    entries = rational_entries(g, 10.0 ** round(np.log10(size)) if size > 0 else 1.0)
    if entries is None:
        return None
    components: list[Polynomial] = [{} for _ in range(g.dim)]
    for order, of_order in enumerate(entries):
        for (component, *places), value in of_order:
            add_to(components[component], tuple(sorted(places)), value / factorial(order))
    return components


def add_to(p: dict[H, Fraction], monomial: H, value: Fraction) -> None:
    """p += value * monomial, in place."""
    total = p.get(monomial, Fraction(0)) + value
    if total:
        p[monomial] = total
    else:
        p.pop(monomial, None)


def times(p: Polynomial, q: Polynomial) -> Polynomial:
    """p q."""
    product: Polynomial = {}
    for m, a in p.items():
        for n, b in q.items():
            add_to(product, tuple(sorted(m + n)), a * b)
    return product


def plus(p: Polynomial, q: Polynomial) -> Polynomial:
    """p + q."""
    total = dict(p)
    for m, a in q.items():
        add_to(total, m, a)
    return total


def partial_derivative(p: Polynomial, variable: int) -> Polynomial:
    """dp / dx of a variable."""
    found: Polynomial = {}
    for m, a in p.items():
        if (count := m.count(variable)) > 0:
            place = m.index(variable)
            add_to(found, m[:place] + m[place + 1 :], count * a)
    return found


def along(p: Polynomial, field: Sequence[Polynomial]) -> Polynomial:
    """<grad p, X>."""
    total: Polynomial = {}
    for variable in {v for m in p for v in m}:
        if field[variable]:
            total = plus(total, times(partial_derivative(p, variable), field[variable]))
    return total


def modulo(p: Polynomial, x: Index, prime: int = PRIMES[0]) -> int:
    """p(x) modulo a prime."""
    total = 0
    for m, a in p.items():
        value = a.numerator * pow(a.denominator, -1, prime) % prime
        for variable in m:
            value = value * int(x[variable]) % prime
        total += value
    return total % prime


def null_space(columns: Sequence[Column]) -> list[dict[int, int]]:
    """A sparse basis over Q of the numbers c with sum_k c_k columns[k] = 0, as coprime integers.

    Unknowns that share no equation are solved for apart. Modulo a prime the
    null space is never smaller than over Q; what is reconstructed from it is verified exactly.
    """
    found = []
    for part in _components(columns):
        if len(part) > 1:
            found += [{part[k]: c for k, c in v.items()} for v in _solved([columns[k] for k in part])]
        elif not columns[part[0]]:
            found.append({part[0]: 1})
    return found


def _components(columns: Sequence[Column]) -> list[list[int]]:
    """Numbers of the columns, those that share equations together."""
    parent = list(range(len(columns)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    first: dict[Hashable, int] = {}
    for k, column in enumerate(columns):
        for equation in column:
            one, other = root(k), root(first.setdefault(equation, k))
            parent[max(one, other)] = min(one, other)
    parts: dict[int, list[int]] = {}
    for k in range(len(columns)):
        parts.setdefault(root(k), []).append(k)
    return list(parts.values())


def _solved(columns: Sequence[Column]) -> list[dict[int, int]]:
    """The null space of one system, by as many primes as its numbers need."""
    modulus, known, pivots = 1, np.zeros((0, 0), dtype=object), None
    for prime in PRIMES:
        rows, at = _reduced(_matrix(columns, prime), prime)
        free = np.setdiff1d(np.arange(len(columns)), at)
        if not len(free):
            return []
        vectors = np.zeros((len(free), len(columns)), dtype=np.int64)
        vectors[np.arange(len(free)), free] = 1
        vectors[:, at] = (-rows[:, free].T) % prime
        if pivots is None or len(at) > len(pivots):
            modulus, known, pivots = prime, vectors.astype(object), at
        elif len(at) == len(pivots) and (at == pivots).all():  # a prime of less rank is an unlucky one
            step = (vectors.astype(object) - known) * pow(modulus, -1, prime) % prime
            known, modulus = known + modulus * step, modulus * prime
        found = [_integers(v, modulus) for v in known]
        whole = [v for v in found if v is not None and _vanishes(columns, v)]
        if len(whole) == len(found):
            return sparser(whole)
    raise ConvergenceError(
        "null space over Q",
        got=f"numbers of more than {modulus.bit_length() // 2} bits in {len(columns)} unknowns",
        wanted="coefficients that are simple fractions",
        remedy="ask for a lower degree",
    )


def _matrix(columns: Sequence[Column], prime: int) -> Index:
    names: dict[Hashable, int] = {}
    for column in columns:
        for equation in column:
            names.setdefault(equation, len(names))
    if len(names) * len(columns) > MAX_ENTRIES:
        raise ConvergenceError(
            "linear system over Q",
            got=f"{len(names)} equations in {len(columns)} unknowns that all depend on each other",
            wanted=f"at most {MAX_ENTRIES} entries",
            remedy="ask for a lower degree",
        )
    matrix = np.zeros((len(names), len(columns)), dtype=np.int64)
    for k, column in enumerate(columns):
        for equation, value in column.items():
            matrix[names[equation], k] = value.numerator * pow(value.denominator, -1, prime) % prime
    return matrix


def _reduced(matrix: Index, prime: int) -> tuple[Index, Index]:
    """The reduced row echelon form modulo a prime, without its zero rows, and the columns of its pivots."""
    matrix = np.unique(matrix, axis=0)
    rank, at = 0, []
    for column in range(matrix.shape[1]):
        below = np.flatnonzero(matrix[rank:, column])
        if not len(below):
            continue
        place = rank + int(below[0])
        matrix[[rank, place]] = matrix[[place, rank]]
        matrix[rank] = matrix[rank] * pow(int(matrix[rank, column]), -1, prime) % prime
        others = np.flatnonzero(matrix[:, column])
        others = others[others != rank]
        wide = np.flatnonzero(matrix[rank])
        block = np.ix_(others, wide)
        matrix[block] = (matrix[block] - matrix[others, column, None] * matrix[rank, wide] % prime) % prime
        rank += 1
        at.append(column)
        if rank == len(matrix):
            break
    return matrix[:rank], np.array(at, dtype=int)


def sparser(vectors: list[dict[int, int]]) -> list[dict[int, int]]:
    """The vectors less multiples of each other, as long as that leaves fewer entries, and no later last one."""
    vectors, changed = list(vectors), len(vectors) <= MAX_SPARSER
    while changed:
        changed = False
        for i, v in enumerate(vectors):
            for k, u in enumerate(vectors):
                if k == i or max(u) > max(v):
                    continue
                for ratio in {Fraction(v[c], u[c]) for c in u.keys() & v.keys()}:
                    rest = {c: v.get(c, 0) - ratio * u.get(c, 0) for c in u.keys() | v.keys()}
                    rest = {c: value for c, value in rest.items() if value}
                    if len(rest) < len(v):
                        v = vectors[i] = coprime(rest)
                        changed = True
    return vectors


def _integers(vector: Index, modulus: int) -> dict[int, int] | None:
    """Coprime integers in the ratios of residues, the last of them positive; None where a fraction is too long."""
    entries = {}
    for k in np.flatnonzero(vector != 0).tolist():
        fraction = _fraction(int(vector[k]), modulus)
        if fraction is None:
            return None
        entries[k] = fraction
    return coprime(entries)


def coprime(entries: Mapping[K, Fraction]) -> dict[K, int]:
    """The integers in the ratios of fractions, without a common factor, the first of them positive."""
    common = lcm(*(f.denominator for f in entries.values()))
    whole = {k: int(f * common) for k, f in entries.items()}
    divisor = gcd(*whole.values()) * (1 if whole[min(whole)] > 0 else -1)
    return {k: c // divisor for k, c in whole.items()}


def _fraction(residue: int, modulus: int) -> Fraction | None:
    """The fraction of numbers below sqrt(modulus / 2) with this residue, by Euclid's algorithm (Wang 1981)."""
    bound = isqrt(modulus // 2)
    (r, t), (s, u) = (modulus, 0), (residue, 1)
    while s > bound:
        quotient = r // s
        (r, t), (s, u) = (s, u), (r - quotient * s, t - quotient * u)
    return None if u == 0 or abs(u) > bound else Fraction(s, u)


def _vanishes(columns: Sequence[Column], vector: Mapping[int, int]) -> bool:
    """Whether sum_k c_k columns[k] = 0, in exact numbers."""
    total: dict[Hashable, Fraction] = {}
    for k, c in vector.items():
        for equation, value in columns[k].items():
            total[equation] = total.get(equation, Fraction(0)) + c * value
    return not any(total.values())
