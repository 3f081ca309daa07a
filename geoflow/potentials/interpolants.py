"""The Hessian of a recorded function on a box by its Chebyshev interpolant, and how far off that is, proved.

With P a polynomial near L^{-1}, H = L L^T, the entries of P q P^T - I are polynomials for the interpolant q of H, and
bounded on the box by their values at enough nodes: H is positive definite where that, and P (H - q) P^T, are small.
"""

from __future__ import annotations

import itertools
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np

from geoflow._typing import Array
from geoflow.numerics import bernstein, rounded
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, upper
from geoflow.numerics.chebyshev import TensorGrid, TensorSeries, pairs
from geoflow.numerics.enclosures import Evaluation
from geoflow.numerics.records import Record
from geoflow.numerics.rounded import Floats, Rounded, Rows, tensor
from geoflow.spaces.domains import Box

#: points at which H is evaluated; points an axis at which polynomials are, times their degree; by dimension
MOST_POINTS, RATIO = {1: 1000, 2: 70_000, 3: 200_000}, {1: 4.0, 2: 3.0, 3: 2.5}
WHITE, WHITE_DEGREES = 0.05, (2, 4, 6, 8, 10, 12, 16, 20, 26)
#: nodes that are looked at together
SLAB = 60_000
#: enlarges sums and quotients of a few positive floats, by a thousand times their rounding
SAFE = 1 + 1e-12


class Metric(Protocol):
    """A metric on balls: see `identities.Rule`."""

    def metric(self, scalar: Scalar, w: Any) -> list[list[Any]]: ...


class Fields:
    """H on [-1, 1]^d, the box by an affine map, and near it; and, with another metric g, g - H."""

    def __init__(self, flint: Any, box: Box, recorded: Record, other: Metric | None = None):
        self.flint, self.box, self.d, self.other = flint, box, box.dim, other
        ends = [[flint.arb(float(c)) for c in side] for side in (box.lower, box.upper)]
        self.middle = [(a + b) / 2 for a, b in zip(*ends, strict=True)]
        self.half = [(b - a) / 2 for a, b in zip(*ends, strict=True)]
        self.real, self.complex, self.floats = Scalar(flint, False), Scalar(flint, True), Floats(flint)
        self._function = {s: Evaluation(recorded, s.constant) for s in (self.real, self.floats)}
        try:  # a comparison that the whole box decides holds of the function that is continued to complex points
            whole = [a.union(b) for a, b in zip(*ends, strict=True)]
            decided = self._function[self.real].comparisons(Jet.variables(self.real, whole))
        except UndecidedError:
            decided = {}
        self._function[self.complex] = Evaluation(recorded, self.complex.constant, decided)

    def point(self, u: Any) -> list[Any]:
        return [c + h * t for c, h, t in zip(self.middle, self.half, u, strict=True)]

    def at(self, scalar: Scalar, w: Any) -> list[Any] | None:
        """H_ij and, with another metric, g_ij - H_ij, i <= j, on a ball; None where a comparison is open there."""
        places, zero = pairs(self.d), scalar.kind(0)
        try:
            jet: Any = self._function[scalar](Jet.variables(scalar, w)).item()
            H = [[zero] * self.d] * self.d if jet.first is None else hessian_of(jet, self.d)
            found = [H[i][j] for i, j in places]
            if self.other is not None:
                g = self.other.metric(scalar, w)
                found += [g[i][j] - H[i][j] for i, j in places]
        except UndecidedError:
            return None
        return found

    def bound(self, u: Any) -> float:
        """On a cell of C^d, infinite where they are not shown to be analytic."""
        found = self.at(self.complex, self.point(u))
        return inf if found is None else max(upper(h) for h in found)

    def interpolant(self, n: int) -> tuple[Rounded, float] | None:
        """Chebyshev coefficients of their interpolants, the entries last, and how far off those are for rounding."""
        u, shape = bernstein.nodes(self.flint, n + 1), [n + 1] * self.d
        axes = [Rounded.of_balls([c + h * x for x in u]) for c, h in zip(self.middle, self.half, strict=True)]
        places = np.indices(shape).reshape(self.d, -1)
        found = self.at(self.floats, [axis[place] for axis, place in zip(axes, places, strict=True)])
        if found is None:  # a comparison that comes out one way at some nodes and another at others
            points = [self.at(self.real, self.point([u[i] for i in place])) for place in places.T]
            if any(point is None for point in points):
                return None
            values = Rounded.of_balls(points)
        else:
            values = rounded.stacked(found, places.shape[1])
        return bernstein.interpolant(self.flint, values.reshaped((*shape, -1)), self.d)

    def hessians(self, w: Array) -> Array:
        """H at float points, without errors, shape=[N, d, d]."""
        found = self.at(self.floats, [Rounded(column) for column in w.T])
        points = [self.at(self.real, [self.flint.arb(float(c)) for c in x]) for x in w] if found is None else None
        if points is not None:
            values = np.array(
                [[np.nan if p is None else float(p[e]) for e in range(len(pairs(self.d)))] for p in points]
            )
        else:
            values = rounded.stacked(found or [], len(w)).value
        H = np.empty((len(w), self.d, self.d))
        for e, (i, j) in enumerate(pairs(self.d)):
            H[:, i, j] = H[:, j, i] = values[:, e]
        return H


class Outline(NamedTuple):
    """What an argument by interpolation is made with: coefficients of P, a radius, how it is shown, the degree of q."""

    white: Array
    rho: float
    fine: bool
    degree: int

    def nodes(self, other: int = 0) -> int:
        """How many points an axis are looked at, for polynomials of another degree too."""
        d, k = self.white.ndim - 1, len(self.white) - 1
        return int(np.ceil(RATIO[d] * (max(self.degree, other) + 2 * k)))


def outline(fields: Fields, tol: float) -> Outline | str:
    """P, a radius and a degree with which H - q is likely to add tol to the whitened error; or why there are none."""
    white, d = whitening(fields), fields.d
    if white is None:
        return "the Hessian cannot be whitened by a polynomial"
    size = float(np.abs(white).sum(axis=tuple(range(d))).max()) * d
    tol /= 2 * d * size**2
    found = bernstein.analytic(fields.bound, fields.flint, d, tol)
    if found is None:
        return "the Hessian is not shown to be analytic near the box"
    n = min(found.degree(tol), int(MOST_POINTS[d] ** (1 / d)) - 1)
    if not 2 * d * found.tail(n) * size**2 < 0.1:
        needed = found.degree(tol)
        return f"degree {needed} an axis is needed, radius {found.rho:g}: H varies too fast, by a bump perhaps"
    return Outline(white, found.rho, found.fine, n)


def whitening(fields: Fields) -> Array | None:
    """Coefficients of a polynomial P near L^{-1}, shape=[k+1, ..., d d], of the least degree near enough."""
    box, d = fields.box, fields.d
    w = np.random.default_rng(3).uniform(box.lower, box.upper, (500, d))
    w = np.concatenate([w, np.array(list(itertools.product(*np.stack([box.lower, box.upper], 1))))])
    wanted = fields.hessians(w)
    best: tuple[float, Array | None] = (0.9, None)
    for k in WHITE_DEGREES:
        grid = TensorGrid(box.lower, box.upper, k)
        try:
            L = np.linalg.inv(np.linalg.cholesky(fields.hessians(grid.points)))
        except np.linalg.LinAlgError:
            return None
        coefficients = grid.coefficients(L.reshape(len(L), -1))
        P = TensorSeries(grid.lower, grid.upper, coefficients).derivatives(w, 0)[0].reshape(-1, d, d)
        error = float(np.abs(P @ wanted @ np.swapaxes(P, 1, 2) - np.eye(d)).sum(axis=2).max())
        if error < best[0]:
            best = error, coefficients
        if error < WHITE:
            break
    return best[1]


class Near(NamedTuple):
    """|P q P^T - I| <= delta and (1 - delta) / |P|^2 <= H on the box, with what H - q may add in both; |P|^2 there."""

    delta: float
    least: float
    squared: float


def near_identity(unit: float, square: float, off: float, sizes: tuple[int, int, int, int]) -> Near:
    """From the largest |P q P^T - I| and |P|^2 at the nodes, and |H - q| <= off for every entry; sizes d, k, n, m."""
    d, k, n, m = sizes
    rise = bernstein.between_nodes
    squared = square * rise(2 * k, m, d) * SAFE
    delta = (unit * rise(n + 2 * k, m, d) + d * off * squared) * SAFE
    return Near(delta, (1 - delta) / squared / SAFE if delta < 1 else 0.0, squared)


def slabs(m: int, d: int) -> list[slice]:
    """Parts of the first axis of m^d nodes."""
    step = max(1, SLAB // m ** (d - 1))
    return [slice(j, min(j + step, m)) for j in range(0, m, step)]


class AtNodes:
    """P and the interpolants at the m^d Chebyshev points, slab by slab."""

    def __init__(self, flint: Any, q: Rounded, white: Array, m: int):
        self.q, self.white, self.d = q, Rounded(white), white.ndim - 1
        self._at = [bernstein.values_at_nodes(flint, m, len(series.value) - 1) for series in (q, self.white)]

    def __call__(self, part: slice) -> tuple[Rows, Rounded]:
        """P by rows, and the interpolants of all entries."""
        d, (at_q, at_p) = self.d, self._at
        values = tensor(self.q, [at_q[part], *[at_q] * (d - 1)])
        p = tensor(self.white, [at_p[part], *[at_p] * (d - 1)])
        return [[p[..., i * d + j] for j in range(d)] for i in range(d)], values


def symmetric(entries: Rounded, d: int) -> Rows:
    """A matrix of arrays from its entries i <= j, which are last."""
    rows: Rows = [[entries[..., 0]] * d for _ in range(d)]
    for e, (i, j) in enumerate(pairs(d)):
        rows[i][j] = rows[j][i] = entries[..., e]
    return rows


def whitened(P: Rows, H: Rows) -> tuple[float, float]:
    """Bounds of |P H P^T - I| and of |P|^2 over the nodes."""
    off = rounded.difference(rounded.congruence(P, H), rounded.identity(len(P)))
    return rounded.largest_norm(off), rounded.largest(rounded.squares(P))


def least_eigenvalue(flint: Any, box: Box, recorded: Record) -> float:
    """A lower bound of the eigenvalues of the Hessian on a box, d <= 3; 0 where it is not shown positive."""
    fields = Fields(flint, box, recorded)
    found = outline(fields, 1e-3)
    if isinstance(found, str):
        return 0.0
    d, n, m = box.dim, found.degree, found.nodes()
    size = bernstein.sup_on_polyellipse(fields.bound, flint, d, found.rho, found.fine)
    series = fields.interpolant(n)
    if series is None:
        return 0.0
    q, lost = series
    nodes, unit, square = AtNodes(flint, q, found.white, m), 0.0, 0.0
    for part in slabs(m, d):
        P, values = nodes(part)
        one, two = whitened(P, symmetric(values, d))
        unit, square = max(unit, one), max(square, two)
    off = 2 * bernstein.Analytic(found.rho, size, d).tail(n) + lost
    near = near_identity(unit, square, off, (d, len(found.white) - 1, n, m))
    return max(0.0, near.least)
