"""Polynomials that flows of fields conserve: what they are, and the search for those of rational polynomial fields."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement, permutations
from math import comb

import autograd.numpy as anp
import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_points
from geoflow.errors import ArgumentError, in_a_line
from geoflow.maps.exact import ModularRank
from geoflow.maps.momentum import MomentumLaw, survives
from geoflow.maps.rational import (
    PRIMES,
    Column,
    Monomial,
    Polynomial,
    add_to,
    coprime,
    modulo,
    null_space,
    partial_derivative,
)
from geoflow.numerics import autodiff

#: candidates up to which a degree is searched
MAX_MONOMIALS = 30_000

#: integers that are printed in full
LONGEST = 10**9


class ConservationLaw(Portable):
    """A polynomial h with <grad h, X_i> = 0 for every field X_i: constant along every flow x' = sum mu_i(t) X_i(x).

    Attributes
    ----------
    terms : dict
        Coefficients by monomials, which are the numbers of their variables from 0: x_1^2 x_4 is (0, 0, 3). Coprime
        integers where the law is exact.
    exact : bool
        Whether <grad h, X_i> = 0 was verified in exact numbers, or else at random points to rounding.
    survives_momentum : bool or None
        Whether h stays constant along x'' + g x' = sum mu_i(t) X_i(x) from rest; None where it was not decided.
    """

    def __init__(
        self,
        terms: Mapping[Monomial, float],
        shape: tuple[int, ...],
        exact: bool,
        survives_momentum: bool | None = None,
    ):
        self.terms = dict(sorted(terms.items(), key=lambda term: (-len(term[0]), term[0])))
        self.shape, self.dim = shape, int(np.prod(shape))
        self.exact, self.survives_momentum = exact, survives_momentum

    @property
    def degree(self) -> int:
        """The degree of h."""
        return max(len(m) for m in self.terms)

    def __call__(self, x: ArrayLike) -> Array:
        """h(x): shape=[..., D] to shape=[...]."""
        return anp.sum(self._values * anp.prod(self._factors(x), axis=-1), axis=-1)

    def gradient(self, x: ArrayLike) -> Array:
        """The Euclidean derivative of h, in the shape of x."""
        factors, out = self._factors(x), 0.0
        for k in range(self.degree):
            out = out + np.prod(np.delete(factors, k, axis=-1), axis=-1) * self._values @ self._unit[:, k]
        return np.reshape(out, np.shape(x))

    def hessian(self, x: ArrayLike) -> Array:
        """Second derivatives of h in flat coordinates, shape=[..., D, D]."""
        factors = self._factors(x)
        out = np.zeros((*factors.shape[:-2], self.dim, self.dim))
        for k, other in permutations(range(self.degree), 2):
            rest = np.prod(np.delete(factors, [k, other], axis=-1), axis=-1) * self._values
            out += np.einsum("...t,ta,tb->...ab", rest, self._unit[:, k], self._unit[:, other])
        return out

    def size(self, x: ArrayLike) -> Array:
        """The sum of the absolute values of the terms at x, beside which h(x) is rounded; shape=[...]."""
        return np.asarray(np.sum(np.abs(self._values * np.prod(self._factors(x), axis=-1)), axis=-1))

    def __str__(self) -> str:
        text = ""
        for monomial, value in self.terms.items():
            powers = [(v + 1, monomial.count(v)) for v in sorted(set(monomial))]
            factors = " ".join(f"x_{v}" if power == 1 else f"x_{v}^{power}" for v, power in powers)
            whole = isinstance(value, int) and abs(value) < LONGEST
            size = "" if abs(value) == 1 else f"{abs(value)} " if whole else f"{abs(value):.6g} "
            sign = (" - " if value < 0 else " + ") if text else ("-" if value < 0 else "")
            text += sign + size + factors
        return text

    def __repr__(self) -> str:
        return in_a_line(f"ConservationLaw({self}, {'exact' if self.exact else 'numerical'})")

    @cached_property
    def _values(self) -> Array:
        return np.array([float(c) for c in self.terms.values()])

    @cached_property
    def _places(self) -> Index:
        """Variables of each term, shape=[n_terms, degree], where it has fewer that of a 1 after the coordinates."""
        return np.array([[*m, *[self.dim] * (self.degree - len(m))] for m in self.terms])

    @cached_property
    def _unit(self) -> Array:
        """The unit vectors of these variables, shape=[n_terms, degree, D]."""
        return np.eye(self.dim + 1)[self._places][..., :-1]

    def _factors(self, x: ArrayLike) -> Array:
        if not autodiff.is_traced(x):
            x = as_points(x, self.shape, "x")
        batch = anp.shape(x)[: anp.ndim(x) - len(self.shape)]
        flat = anp.reshape(x, (*batch, self.dim))
        return anp.concatenate([flat, np.ones((*batch, 1))], axis=-1)[..., self._places]


@dataclass(frozen=True)
class ConservationLaws(Portable):
    """Functionally independent polynomials up to a degree that flows of fields conserve; a sequence of them.

    Attributes
    ----------
    laws : tuple of ConservationLaw
    degree : int
        The largest that was asked for.
    count : int
        dim M - dim Lie at a generic point: how many independent functions, polynomials or not, are conserved near it.
    exact : bool
        Whether the search was one in exact numbers: every law is verified, and there are no others of its degree.
    momentum : tuple of MomentumLaw
        The <A x + b, x'>, A skew, which e^{g t} makes constant along x'' + g x' = sum mu_i(t) X_i(x); of exact laws.
    """

    laws: tuple[ConservationLaw, ...]
    degree: int
    count: int
    exact: bool
    momentum: tuple[MomentumLaw, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every conserved function is, near generic points, a function of these."""
        return len(self.laws) == self.count

    def values(self, x: ArrayLike) -> Array:
        """All laws at x, shape=[..., D] to shape=[..., n]."""
        return np.stack([h(x) for h in self.laws], axis=-1) if self.laws else np.zeros((*np.shape(x)[:-1], 0))

    def __len__(self) -> int:
        return len(self.laws)

    def __iter__(self) -> Iterator[ConservationLaw]:
        return iter(self.laws)

    def __getitem__(self, k: int) -> ConservationLaw:
        return self.laws[k]

    def __str__(self) -> str:
        found = f"incomplete: {len(self)} of {self.count} up to degree {self.degree}"
        head = f"{len(self)} conservation laws, {'exact' if self.exact else 'numerical'}, "
        return "\n".join([head + ("complete" if self.complete else found), *(f"  {h}" for h in self.laws)])


def require_few(dim: int, degree: int, most: int = MAX_MONOMIALS) -> None:
    """Refuse a degree with too many monomials."""
    if (number := comb(dim + degree, dim) - 1) > most:
        got = f"{degree}, which has {number if number < 10**12 else 'more than 1e12'} monomials in R^{dim}"
        raise ArgumentError("degree", got, f"at most {most} monomials", "ask for a lower degree")


def monomials(dim: int, degree: int, lowest: int) -> list[Monomial]:
    """Monomials of degrees from `lowest` to `degree`."""
    return [m for k in range(lowest, degree + 1) for m in combinations_with_replacement(range(dim), k)]


def exact_conservation(
    fields: Sequence[Sequence[Polynomial]], powers: Index, shape: tuple[int, ...], degree: int, count: int
) -> list[ConservationLaw]:
    """The laws of rational polynomial fields, given in coordinates x / 10^powers."""
    require_few(len(powers), degree)
    return [
        ConservationLaw(_in_coordinates(law, powers), shape, True, survives(law, fields))
        for law in exact_laws(fields, degree, count)
    ]


def exact_laws(fields: Sequence[Sequence[Polynomial]], degree: int, count: int) -> list[dict[Monomial, int]]:
    """Independent polynomials conserved by rational polynomial fields, by degree, until there are `count` of them.

    One whose gradient at a random point, modulo a prime, is a combination of those before it is a function of them and
    is left out: a product of lower ones, say.
    """
    dim = len(fields[0])
    homogeneous = all(len({len(m) for p in field for m in p}) <= 1 for field in fields)
    x = np.random.default_rng(0).integers(1, PRIMES[0], dim)
    rank, found = ModularRank(dim), []
    for k in range(1, degree + 1):
        candidates = monomials(dim, k, k if homogeneous else 1) if rank.value < count else []
        for vector in sorted(null_space(_columns(fields, candidates)), key=len):
            law = {candidates[place]: Fraction(c) for place, c in vector.items()}
            gradient = np.zeros(dim, dtype=np.int64)
            for variable in {v for m in law for v in m}:
                gradient[variable] = modulo(partial_derivative(law, variable), x)
            if rank.add(gradient):
                found.append(coprime(law))
    return found


def _columns(fields: Sequence[Sequence[Polynomial]], candidates: Sequence[Monomial]) -> list[Column]:
    """<grad m, X_i> of every candidate m, by i and monomial."""
    moving = [[(i, field[v]) for i, field in enumerate(fields) if field[v]] for v in range(len(fields[0]))]
    columns: list[Column] = []
    for m in candidates:
        column: dict[Hashable, Fraction] = {}
        for variable in sorted(set(m)):
            place = m.index(variable)
            rest, power = m[:place] + m[place + 1 :], m.count(variable)
            for i, component in moving[variable]:
                for other, value in component.items():
                    add_to(column, (i, *sorted(rest + other)), power * value)
        columns.append(column)
    return columns


def _in_coordinates(law: Mapping[Monomial, int], powers: Index) -> dict[Monomial, int]:
    """A law in coordinates x / 10^powers as one in x, its coefficients coprime integers again."""
    return coprime({m: Fraction(c) / Fraction(10) ** sum(int(powers[v]) for v in m) for m, c in law.items()})
