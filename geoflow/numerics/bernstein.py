"""Analytic functions on a box and their Chebyshev interpolants, with proved errors, in ball arithmetic.

f analytic on the closed polyellipse of radius rho about [-1, 1]^d with |f| <= M there has Chebyshev coefficients of at
most 2^(number of k_i > 0) M rho^-|k|. Those beyond degree n an axis sum to at most d M T S^(d-1), where
T = 2 rho^-n / (rho - 1) and S = (rho + 1) / (rho - 1), and the interpolant at the n + 1 Chebyshev points an axis is off
by at most twice that.

A polynomial of degree N an axis is bounded on [-1, 1]^d by its values at m > N Chebyshev points an axis, times
cos(pi N / 2m)^-d.

References
----------
Trefethen, Approximation Theory and Approximation Practice, chapter 8.
Rivlin, Chebyshev Polynomials, section 2.4.
Ehlich, Zeller, Schwankung von Polynomen zwischen Gitterpunkten, Math. Z. 86, 1964.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from geoflow.numerics.chebyshev import derivative_matrix
from geoflow.numerics.rounded import Rounded

#: cells that cover a polyellipse, and how often a side is halved
MOST_CELLS, HALVINGS = {1: 4000, 2: 6000, 3: 30_000}, 6
#: times the largest value at the corners of the box, above which a cell is halved though it has a bound
TIMES = 1e3
RADII = (6.0, 4.0, 3.0, 2.4, 2.0, 1.7, 1.45, 1.3, 1.2, 1.12)
FIRST = 2.0
#: f on a complex cell: an upper bound of its values, infinite where it is not shown to be analytic
Bound = Callable[[Sequence[Any]], float]


@dataclass(frozen=True)
class Analytic:
    """|f| <= M on the polyellipse of radius rho about [-1, 1]^d, where f is analytic.

    `fine` where cells were halved for the sake of M: see `sup_on_polyellipse`.
    """

    rho: float
    size: float
    dim: int
    fine: bool = False

    def tail(self, n: int) -> float:
        """A bound of the sum of the Chebyshev coefficients beyond degree n an axis."""
        if self.size == 0:
            return 0.0
        rho, d = self.rho, self.dim
        log = np.log(2 * d * self.size / (rho - 1)) - n * np.log(rho) + (d - 1) * np.log((rho + 1) / (rho - 1))
        return float(np.exp(log) * (1 + 1e-9)) if log < 700 else inf

    def degree(self, tol: float) -> int:
        """The least n whose tail is at most tol, found by the formula."""
        n = (np.log(max(self.tail(0), 1e-300)) - np.log(tol)) / np.log(self.rho) if self.tail(0) < inf else inf
        return int(min(max(np.ceil(n), 1), 10**9))


def analytic(f: Bound, flint: Any, d: int, tol: float) -> Analytic | None:
    """The radius, of those tried, with which the fewest coefficients are needed for a tail of tol."""

    def tried(rho: float) -> Analytic | None:
        size = sup_on_polyellipse(f, flint, d, rho)
        if size == inf:
            return None
        finer = inf if size <= _loose(f, flint, d) else sup_on_polyellipse(f, flint, d, rho, fine=True)
        return Analytic(rho, min(size, finer), d, finer < size)

    first = RADII.index(FIRST)
    best = tried(FIRST)
    if best is None:
        return next((found for found in map(tried, RADII[first + 1 :]) if found is not None), None)
    for rho in reversed(RADII[:first]):
        found = tried(rho)
        if found is None or found.degree(tol) >= best.degree(tol):
            break
        best = found
    return best


def sup_on_polyellipse(f: Bound, flint: Any, d: int, rho: float, fine: bool = False) -> float:
    """A bound of |f| on the filled polyellipse, by complex cells that cover it; infinite where one resists.

    f is real on the reals, so that half of the first ellipse is enough. Cells are halved until f is analytic on them,
    and, `fine`, until it is not much larger than at the corners of the box.
    """
    a, b = (rho + 1 / rho) / 2 * (1 + 1e-12), (rho - 1 / rho) / 2 * (1 + 1e-12)
    first = np.array([[-a, a]] * d + [[-b, b]] * d)
    first[d, 0] = 0.0
    enough = _loose(f, flint, d) if fine else np.finfo(float).max
    waiting, largest, cells = [(first, np.zeros(2 * d, dtype=int))], 0.0, 0
    while waiting:
        sides, halved = waiting.pop()
        if _outside(sides, a, b):
            continue
        cells += 1
        size = f([flint.acb(_interval(flint, sides[i]), _interval(flint, sides[d + i])) for i in range(d)])
        if size <= enough and halved.min() >= 1:
            largest = max(largest, size)
            continue
        free = np.where(halved < HALVINGS, sides[:, 1] - sides[:, 0], -1.0)
        axis = int(np.argmax(free))
        if free[axis] <= 0 or cells > MOST_CELLS[d]:
            if size == inf:
                return inf
            largest = max(largest, size)
            continue
        middle = sides[axis].mean()
        for end in (0, 1):
            part, count = sides.copy(), halved.copy()
            part[axis, 1 - end] = middle
            count[axis] += 1
            waiting.append((part, count))
    return largest


def _loose(f: Bound, flint: Any, d: int) -> float:
    """A multiple of the largest value at the corners of the box."""
    return TIMES * max(f([flint.acb(c) for c in corner]) for corner in itertools.product((-1, 1), repeat=d))


def _outside(sides: Any, a: float, b: float) -> bool:
    """Whether a cell has no point of the polyellipse."""
    near = np.where(sides[:, 0] * sides[:, 1] <= 0, 0.0, np.abs(sides).min(axis=1))
    d = len(sides) // 2
    return bool(np.any((near[:d] / a) ** 2 + (near[d:] / b) ** 2 > 1 + 1e-9))


def _interval(flint: Any, ends: Any) -> Any:
    return flint.arb(float(ends[0])).union(flint.arb(float(ends[1])))


# tensor polynomials on grids ----------------------------------------------------------------------------------------


def nodes(flint: Any, m: int) -> list[Any]:
    """The Chebyshev points cos(pi (j + 1/2) / m)."""
    return [(flint.arb(2 * j + 1) / (2 * m)).cos_pi() for j in range(m)]


def values_at(flint: Any, points: Sequence[Any], degree: int) -> Rounded:
    """T_k at points, by rows."""
    return Rounded.of_balls([[t.chebyshev_t(k) for k in range(degree + 1)] for t in points])


def slopes_at(flint: Any, points: Sequence[Any], degree: int) -> Rounded:
    """T_k' = k U_(k-1) at points, by rows."""
    zero = flint.arb(0)
    rows = [[zero, *(k * t.chebyshev_u(k - 1) for k in range(1, degree + 1))] for t in points]
    return Rounded.of_balls(rows)


def bends_of(slopes: Rounded, degree: int) -> Rounded:
    """T_k'' at points from T_k', by rows: T_k' is a sum of T_j, and T_k'' that of T_j'."""
    return slopes.along(Rounded(derivative_matrix(degree).T), 1)


def values_at_nodes(flint: Any, m: int, degree: int) -> Rounded:
    """T_k at the m Chebyshev points, by rows: cos(k pi (2j + 1) / 2m), of which there are 4m."""
    angles = Rounded.of_balls([(flint.arb(i) / (2 * m)).cos_pi() for i in range(4 * m)])
    return angles[np.outer(2 * np.arange(m) + 1, np.arange(degree + 1)) % (4 * m)]


def transform(flint: Any, n: int) -> Any:
    """Values at the n + 1 Chebyshev points to the coefficients of the interpolant."""
    points, scale = nodes(flint, n + 1), flint.arb(2) / (n + 1)
    return flint.arb_mat([
        [points[j].chebyshev_t(k) * (scale if k else scale / 2) for j in range(n + 1)] for k in range(n + 1)
    ])  # fmt: skip


def interpolant(flint: Any, values: Rounded, d: int) -> tuple[Rounded, float]:
    """Coefficients of the polynomials through values at (n + 1)^d Chebyshev points, shape=[n+1, ..., K], without their
    errors, and a bound of what those change anywhere on the box: the largest times the power of Lebesgue's constant.
    """
    n, found = values.shape[0] - 1, values.value
    if not np.isfinite(found).all():
        return values, inf
    matrix = transform(flint, n)
    table: Any = np.empty(found.shape, dtype=object)
    table.flat[:] = [flint.arb(v) for v in found.ravel().tolist()]
    for axis in range(d):
        moved = np.moveaxis(table, axis, 0)
        product = matrix * flint.arb_mat(moved.reshape(n + 1, -1).tolist())
        flat = np.empty(moved.size, dtype=object)
        flat[:] = product.entries()
        table = np.moveaxis(flat.reshape(moved.shape), 0, axis)
    lebesgue = 2 / np.pi * np.log(n + 1) + 1
    return Rounded.of_balls(table), float(values.error.max() * lebesgue**d * (1 + 1e-12))


def between_nodes(N: int, m: int, d: int) -> float:
    """cos(pi N / 2m)^-d, rounded up: how far a polynomial of degree N may rise over its values at m points an axis."""
    return float(np.cos(np.pi * N / (2 * m)) ** -d * (1 + 1e-12)) if m > N else inf
