"""Conserved polynomials of fields that are no rational polynomials: least squares at random points, and its gap."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from geoflow._typing import Array, Map
from geoflow.errors import ConvergenceError, NotFiniteError
from geoflow.maps.conserved import ConservationLaw, ConservationLaws, exact_conservation, monomials, require_few
from geoflow.maps.momentum import momentum_laws
from geoflow.maps.rational import Monomial, coprime, polynomial_field
from geoflow.maps.words import Generator, Rank

#: singular values of laws are below the first, those of others above the second, relative to the largest
SMALL, CLEAR = 1e-12, 1e-9
#: unknowns of one least-squares problem
MAX_UNKNOWNS = 2000
#: a coefficient is the fraction of a small denominator it is this near to
NEAR, DENOMINATOR = 1e-10, 1000


def search(
    generators: Sequence[Generator], y: Array, units: Array, shape: tuple[int, ...], asked: tuple[int, int]
) -> ConservationLaws:
    """The laws of fields in coordinates x / units, exact where they can be; asked for a degree and how many there are.

    y is a flat generic point in units, near which fields that are no rational polynomials are looked at.
    """
    degree, count = asked
    fields = [field for g in generators if (field := polynomial_field(g)) is not None]
    if len(fields) < len(generators):
        laws = fitted_conservation([g.function for g in generators], y, units, shape, degree, count)
        return ConservationLaws(tuple(laws), degree, count, False)
    powers = np.round(np.log10(units)).astype(int)
    exact = exact_conservation(fields, powers, shape, degree, count)
    return ConservationLaws(tuple(exact), degree, count, True, momentum_laws(fields, powers, shape))


def fitted_conservation(
    functions: Sequence[Map], start: Array, units: Array, shape: tuple[int, ...], degree: int, count: int
) -> list[ConservationLaw]:
    """Independent polynomials conserved to rounding, of fields of y = x / units near a flat point of units.

    Raises `ConvergenceError` where singular values leave no gap between laws and what is none.
    """
    require_few(len(start), degree, MAX_UNKNOWNS)
    found: list[ConservationLaw] = []
    rank = Rank(len(start))
    for k in range(1, degree + 1):
        if len(found) >= count:
            break
        candidates = monomials(len(start), k, 1)
        points = _points(functions, start, 2 * len(candidates) + 8)
        for vector in _null_vectors(functions, points, candidates, k):
            law = ConservationLaw(_simple(vector, candidates), (len(start),), False)
            y = points[0]
            slope = law.gradient(y)
            if len(found) < count and rank.add(slope, float(np.linalg.norm(slope)) * 1e3):
                found.append(law)
    return [_in_coordinates(law, units, shape) for law in found]


def _points(functions: Sequence[Map], start: Array, n: int) -> Array:
    """Random points near the start where all fields are finite."""
    rng = np.random.default_rng(2)
    width = np.where(start == 0, 1.0, np.abs(start))
    points = start + 0.7 * width * rng.uniform(-1, 1, (4 * n, len(start)))
    with np.errstate(all="ignore"):
        fine = np.all([np.isfinite(f(points)).all(axis=-1) for f in functions], axis=0)
    if fine.sum() < n:
        got = f"{int(fine.sum())} of {4 * n} random points near x where all fields are finite"
        raise NotFiniteError("fields", got, f"{n} of them", "give an x well inside the domain of the fields")
    return np.asarray(points[fine][:n])


def _null_vectors(functions: Sequence[Map], points: Array, candidates: list[Monomial], degree: int) -> Array:
    """A reduced basis of the c with sum_k c_k <grad m_k, X_i> = 0 at the points, shape=[n, n_monomials]."""
    gradients = _gradients(points, candidates, degree)
    values = np.stack([np.asarray(f(points), dtype=float) for f in functions])
    system = np.einsum("nmD,inD->inm", gradients, values)
    terms = np.einsum("nmD,inD->inm", np.abs(gradients), np.abs(values)).max(axis=1)
    of_field, scale = _scales(terms)
    system = (system / of_field[:, None, None] / scale).reshape(-1, len(candidates))
    _, s, Vt = np.linalg.svd(system, full_matrices=True)
    s = np.r_[s, np.zeros(len(candidates) - len(s))] / np.sqrt(len(system))
    small, clear = s < SMALL * max(s[0], 1e-300), s > CLEAR * s[0]
    if not (small | clear).all():
        unclear = s[~(small | clear)] / s[0]
        raise ConvergenceError(
            f"conservation laws of degree {degree}",
            got=f"singular values of {unclear.min():.0e} to {unclear.max():.0e} of the largest",
            wanted=f"a gap, below {SMALL:.0e} or above {CLEAR:.0e}",
            remedy="ask for a lower degree, or give an x further from where the fields are singular",
            singular_values=s,
        )
    return _reduced(Vt[small] / scale)


def _scales(terms: Array) -> tuple[Array, Array]:
    """Factors of rows and columns with which the largest entry of each is near 1; 1 where all are 0."""
    columns = np.ones(terms.shape[1])
    for _ in range(5):
        rows = (terms / columns).max(axis=1)
        rows = np.where(rows > 0, rows, 1.0)
        columns = (terms / rows[:, None]).max(axis=0)
        columns = np.where(columns > 0, columns, 1.0)
    return rows, columns


def _gradients(points: Array, candidates: list[Monomial], degree: int) -> Array:
    """grad m at points, shape=[n, n_monomials, D]."""
    n, D = points.shape
    one = np.concatenate([points, np.ones((n, 1))], axis=1)
    places = np.array([[*m, *[D] * (degree - len(m))] for m in candidates])
    factors, unit, out = one[:, places], np.eye(D + 1)[places], np.zeros((n, len(candidates), D + 1))
    for k in range(degree):
        out += np.delete(factors, k, axis=-1).prod(axis=-1)[..., None] * unit[:, k]
    return out[..., :D]


def _reduced(vectors: Array) -> Array:
    """The reduced echelon form from the last monomial, by pivots that are no rounding."""
    vectors, done = vectors.copy(), 0
    for column in range(vectors.shape[1] - 1, -1, -1):
        if done == len(vectors):
            break
        rest = np.abs(vectors[done:]).max(axis=1)
        here = np.abs(vectors[done:, column]) / np.where(rest > 0, rest, 1.0)
        place = int(np.argmax(here))
        if here[place] < 1e-6:
            continue
        vectors[[done, done + place]] = vectors[[done + place, done]]
        vectors[done] /= vectors[done, column]
        others = np.arange(len(vectors)) != done
        vectors[others] -= vectors[others, column, None] * vectors[done]
        done += 1
    return vectors[::-1]


def _simple(vector: Array, candidates: list[Monomial]) -> dict[Monomial, float]:
    """The terms of a vector, coprime integers where all coefficients are near to simple fractions."""
    vector = vector / np.abs(vector).max()
    kept = {candidates[k]: float(vector[k]) for k in np.flatnonzero(np.abs(vector) > NEAR)}
    simple = {m: Fraction(c).limit_denominator(DENOMINATOR) for m, c in kept.items()}
    if all(abs(float(simple[m]) - c) <= NEAR and simple[m] for m, c in kept.items()):
        return dict(coprime(simple).items())
    return kept


def _in_coordinates(law: ConservationLaw, units: Array, shape: tuple[int, ...]) -> ConservationLaw:
    """A law of y as one of x, undecided under momentum unless it is affine."""
    if not (units == 1).all():
        terms = {m: c / float(np.prod(units[list(m)])) for m, c in law.terms.items()}
        size = max(abs(c) for c in terms.values())
        law = ConservationLaw({m: c / size for m, c in terms.items()}, shape, False)
    return ConservationLaw(law.terms, shape, False, True if law.degree == 1 else None)
