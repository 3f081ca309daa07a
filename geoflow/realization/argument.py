"""What a proof of a metric error computes, in one pass from its plan: no search, and nothing in the plan is believed.

With q the Chebyshev interpolant of H and P a polynomial near L^{-1}, H = L L^T, the entries of P (dF^T dF - q) P^T are
polynomials, bounded on the box by their values at enough nodes; P q P^T is near I, by the same bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np

from geoflow._typing import Array
from geoflow.numerics import bernstein, rounded
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, precision, upper
from geoflow.numerics.chebyshev import BoxMap, pairs
from geoflow.numerics.enclosures import Evaluation
from geoflow.numerics.records import Record
from geoflow.numerics.rounded import Floats, Rounded, Rows, tensor
from geoflow.numerics.stored import record_of
from geoflow.potentials.proofs import definite
from geoflow.realization.embedding import Embedding
from geoflow.realization.identities import Rule
from geoflow.realization.separation import separation
from geoflow.realization.spectral import SpectralMap
from geoflow.realization.twist import TwistMap
from geoflow.spaces.domains import Box

#: nodes that are looked at together, and all of them
SLAB, MOST_NODES = 60_000, 20_000_000
#: enlarges sums and quotients of a few positive floats, by a thousand times their rounding
SAFE = 1 + 1e-12


@dataclass(frozen=True, eq=False)
class Plan:
    """What is needed to compute the bound again.

    Attributes
    ----------
    record, rule : str
        The function R, and of an exact F the rule it comes from, as text; "" of a solver's.
    rho : float
        The polyellipse on which H is analytic.
    degree, nodes : int
        Of the interpolant of H, and of the points, an axis.
    white : array, shape=[k+1, ..., k+1, d d]
        Chebyshev coefficients of P.
    """

    record: str
    rule: str
    rho: float
    degree: int
    nodes: int
    white: Array


class Bounds(NamedTuple):
    """(1 - eps) H <= dF^T dF <= (1 + eps) H, least <= H <= largest, |F(w) - F(v)| >= injectivity |w - v|."""

    eps: float
    least: float = 0.0
    largest: float = inf
    injectivity: float = 0.0
    argument: str = ""


def on_balls(recorded: Record, scalars: tuple[Scalar, Scalar], box: list[Any]) -> dict[Scalar, Evaluation]:
    """A recorded function on real balls, and continued to complex ones: a comparison that the whole box decides holds
    of the function that is continued."""
    real, complex_ = scalars
    on_reals = Evaluation(recorded, real.constant)
    try:
        decided = on_reals.comparisons(Jet.variables(real, box))
    except UndecidedError:
        decided = {}
    return {real: on_reals, complex_: Evaluation(recorded, complex_.constant, decided)}


class Fields:
    """H on [-1, 1]^d, the box by an affine map, and near it; of an exact F the metric of its rule less H."""

    def __init__(self, flint: Any, box: Box, plan_record: str, rule: str):
        self.flint, self.d = flint, box.dim
        ends = [[flint.arb(float(c)) for c in side] for side in (box.lower, box.upper)]
        self.middle = [(a + b) / 2 for a, b in zip(*ends, strict=True)]
        self.half = [(b - a) / 2 for a, b in zip(*ends, strict=True)]
        self.real, self.complex = (Scalar(flint, is_complex) for is_complex in (False, True))
        self.floats = Floats(flint)
        w = [flint.arb(float(a)).union(flint.arb(float(b))) for a, b in zip(box.lower, box.upper, strict=True)]
        recorded = record_of(plan_record)
        self._function = on_balls(recorded, (self.real, self.complex), w)
        self._function[self.floats] = Evaluation(recorded, self.floats.constant)
        self.rule = Rule.of_text(flint, rule) if rule else None

    def point(self, u: Any) -> list[Any]:
        return [c + h * t for c, h, t in zip(self.middle, self.half, u, strict=True)]

    def at(self, scalar: Scalar, w: Any) -> list[Any] | None:
        """H_ij and, of an exact F, g_ij - H_ij, i <= j, at a point or on a cell; None where a comparison is open."""
        try:
            jet: Any = self._function[scalar](Jet.variables(scalar, w)).item()
            H = hessian_of(jet, self.d)
            found = [H[i][j] for i, j in pairs(self.d)]
            if self.rule is not None:
                g = self.rule.metric(scalar, w)
                found += [g[i][j] - H[i][j] for i, j in pairs(self.d)]
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


def bounds(plan: Plan, box: Box, embedding: Embedding | None) -> Bounds:
    """The bounds that a plan gives for the embedding of a solver, or for an exact one, whose rule is in the plan."""
    d, n, m = box.dim, int(plan.degree), int(plan.nodes)
    k = plan.white.shape[0] - 1
    if not (1 <= n <= 10_000 and m >= 1 and m**d <= MOST_NODES and plan.white.shape == (*[k + 1] * d, d * d)):
        return Bounds(inf, argument=f"a plan of degree {n}, {m} nodes and P of shape {plan.white.shape}")
    if not (1 < plan.rho < inf and np.isfinite(plan.white).all()):
        return Bounds(inf, argument=f"a plan of radius {plan.rho} and size {np.abs(plan.white).max()}")
    with precision() as flint:
        fields = Fields(flint, box, plan.record, plan.rule)
        size = bernstein.sup_on_polyellipse(fields.bound, flint, d, plan.rho)
        if size == inf:
            return Bounds(inf, argument=f"the Hessian is not shown to be analytic with radius {plan.rho:g}")
        tail = 2 * bernstein.Analytic(plan.rho, size, d).tail(n)
        found = fields.interpolant(n)
        if found is None:
            return Bounds(inf, argument="a comparison in the potential is not decided at a node")
        q, off = found
        tail += off
        solved = None if plan.rule else Polynomials(fields, embedding)
        degree = max(n, 0 if solved is None else solved.degree) + 2 * k
        if m <= degree:
            return Bounds(inf, argument=f"{m} nodes an axis for degree {degree}")
        gap, unit, square, largest = _at_nodes(flint, (d, k, m), (q, Rounded(plan.white)), solved)
        rise = bernstein.between_nodes
        P2 = square * rise(2 * k, m, d) * SAFE
        rest = d * tail * P2  # what H - q may add to either norm
        delta = (unit * rise(n + 2 * k, m, d) + rest) * SAFE
        if not delta < 1:
            return Bounds(inf, argument=f"P H P^T is not shown to be near I: {delta:.1e}")
        eps = (gap * rise(degree, m, d) + rest) * SAFE / ((1 - delta) / SAFE)
        least, most = (1 - delta) / P2 / SAFE, (largest * rise(n, m, d) + d * tail) * SAFE
        if solved is None:
            assert fields.rule is not None
            apart = fields.rule.injectivity(fields.real, [(flint.arb(a), flint.arb(b)) for a, b in _sides(box)])
            text = f"by the identity of the rule, {fields.rule}; its difference from hess R enclosed: "
        else:
            apart, text = solved.injectivity(eps, least, most), ""
    text += f"interpolant of degree {n}, radius {plan.rho:g}, off by {tail:.1e}; {m} nodes an axis for degree {degree}"
    return Bounds(eps, least, most, apart, f"{text}, factor {rise(degree, m, d):.2f}")


def _sides(box: Box) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in zip(box.lower, box.upper, strict=True)]


def slabs(m: int, d: int) -> Iterator[slice]:
    """Parts of the first axis of m^d nodes."""
    step = max(1, SLAB // m ** (d - 1))
    return (slice(j, min(j + step, m)) for j in range(0, m, step))


def _at_nodes(
    flint: Any, sizes: tuple[int, int, int], series: tuple[Rounded, Rounded], solved: Polynomials | None
) -> tuple[float, float, float, float]:
    """Largest |P (g - q) P^T|, |P q P^T - I|, |P|^2 and |q| over the nodes."""
    (d, k, m), (q, P) = sizes, series
    n = q.shape[0] - 1
    at_q, at_p = (bernstein.values_at_nodes(flint, m, degree) for degree in (n, k))
    tables = None if solved is None else solved.tables(bernstein.nodes(flint, m))
    worst = [0.0] * 4
    for part in slabs(m, d):
        values = tensor(q, [at_q[part], *[at_q] * (d - 1)])
        p = tensor(P, [at_p[part], *[at_p] * (d - 1)])
        rows = [[p[..., i * d + j] for j in range(d)] for i in range(d)]
        H = symmetric(values, d)
        if solved is None or tables is None:
            over = symmetric(values[..., d * (d + 1) // 2 :], d)
        else:
            over = rounded.difference(solved.metric(tables, part), H)
        found = (
            rounded.largest_norm(rounded.congruence(rows, over)),
            rounded.largest_norm(rounded.difference(rounded.congruence(rows, H), rounded.identity(d))),
            rounded.largest(rounded.squares(rows)),
            rounded.largest_norm(H),
        )
        worst = [max(a, b) for a, b in zip(worst, found, strict=True)]
    return worst[0], worst[1], worst[2], worst[3]


def symmetric(entries: Rounded, d: int) -> Rows:
    rows: Rows = [[entries[..., 0]] * d for _ in range(d)]
    for e, (i, j) in enumerate(pairs(d)):
        rows[i][j] = rows[j][i] = entries[..., e]
    return rows


#: T_k, T_k' and T_k'' at the points of every axis
Tables = list[tuple[Rounded, Rounded, Rounded]]


class Polynomials:
    """dF^T dF of a solver's map, a polynomial: of derivatives of F, or of the amplitudes of a twist."""

    def __init__(self, fields: Fields, embedding: Embedding | None):
        if not isinstance(embedding, (SpectralMap, TwistMap)):
            raise TypeError(f"{type(embedding).__name__} is no polynomial")
        self.fields, self.map, self.d = fields, embedding, fields.d
        self.series: BoxMap
        if isinstance(embedding, SpectralMap):
            self.series, p = embedding.basis, embedding.basis.degree
            coefficients: Array = np.zeros((*[p + 1] * self.d, len(embedding.coefficients)))
            coefficients[tuple(embedding.basis.index.T)] = embedding.coefficients.T
        else:
            self.series, p = embedding.amplitudes, embedding.amplitudes.degree
            coefficients = embedding.amplitudes.coefficients
        #: the degree an axis of dF^T dF
        self.degree = 2 * p - 2 if isinstance(embedding, SpectralMap) else 2 * p
        self.p, self.coefficients = p, Rounded(coefficients)

    def tables(self, u: Any, order: int = 1) -> Tables:
        """Chebyshev polynomials at the numbers u of [-1, 1] on every axis, and their derivatives in w."""
        flint, found = self.fields.flint, []
        for i in range(self.d):
            scale, low = flint.arb(float(self.series.scale[i])), flint.arb(float(self.series.lower[i]))
            t = [(self.fields.middle[i] + self.fields.half[i] * x - low) * scale - 1 for x in u]
            s = Rounded(float(self.series.scale[i]))
            slopes = bernstein.slopes_at(flint, t, self.p)
            bends = bernstein.bends_of(slopes, self.p) * s * s if order > 1 else slopes
            found.append((bernstein.values_at(flint, t, self.p), slopes * s, bends))
        return found

    def derivative(self, tables: Tables, axes: tuple[int, ...], part: slice) -> Rounded:
        """The series derived along axes, at nodes of which the first are a part."""
        chosen = [tables[i][axes.count(i)] for i in range(self.d)]
        return tensor(self.coefficients, [chosen[0][part], *chosen[1:]])

    def metric(self, tables: Tables, part: slice) -> Rows:
        """dF^T dF at the nodes."""
        d, F = self.d, self.map
        slopes = [self.derivative(tables, (i,), part) for i in range(d)]
        products: Callable[[int, int], Rounded] = lambda i, j: (slopes[i] * slopes[j]).total()  # noqa: E731
        if isinstance(F, SpectralMap):
            entries = {(i, j): products(i, j) for i, j in pairs(d)}
        else:
            a = self.derivative(tables, (), part)
            weights, lines, front = a * a, F.directions, F.front
            arb = self.fields.flint.arb
            small = Rounded.of_balls([1 / (arb(float(F.frequency)) * arb(float(F.frequency)))])[0]
            entries = {}
            for i, j in pairs(d):
                turned = (weights * (Rounded(lines[:, i]) * Rounded(lines[:, j]))).total()
                flat = (Rounded(front[:, i]) * Rounded(front[:, j])).total()
                entries[i, j] = turned + products(i, j) * small + flat
        return [[entries[min(i, j), max(i, j)] for j in range(d)] for i in range(d)]

    def injectivity(self, eps: float, least: float, largest: float) -> float:
        """c with |F(w) - F(v)| >= c |w - v|: by the front part of a twist; else near points by the second derivatives,
        and far ones cell by cell."""
        F, d, arb = self.map, self.d, self.fields.flint.arb
        if isinstance(F, TwistMap):
            B = [[arb(float(c)) for c in row] for row in F.front]
            S = [[sum((r[i] * r[j] for r in B), arb(0)) for j in range(d)] for i in range(d)]
            return float(np.sqrt(max(0.0, definite(S))) * (1 - 1e-12))
        if not eps < 1:
            return 0.0
        return separation(self, float(np.sqrt((1 - eps) * least) * (1 - 1e-12)))

    def bend(self) -> float:
        """A bound on the box of the norms of the second derivatives of F."""
        m = max(2, 5 * self.p)
        tables = self.tables(bernstein.nodes(self.fields.flint, m), 2)
        worst = 0.0
        for part in slabs(m, self.d):
            parts = [(self.derivative(tables, (i, j), part), 1.0 + (i != j)) for i, j in pairs(self.d)]
            total = [(b * b).total() * weight for b, weight in parts]
            worst = max(worst, rounded.largest(sum(total[1:], total[0])))
        return float(np.sqrt(worst * bernstein.between_nodes(2 * self.p, m, self.d)) * SAFE)

    # cells ----------------------------------------------------------------------------------------------------------

    def half_sides(self, count: int) -> Array:
        """Of count^d equal cells of the box, rounded up."""
        return np.array([upper(h / count) for h in self.fields.half])

    def centres(self, count: int) -> tuple[Rounded, list[Rounded]]:
        """F and its derivatives at the centres of count^d cells, shape=[count, ..., D]."""
        arb = self.fields.flint.arb
        tables = self.tables([(arb(2 * j + 1) - count) / count for j in range(count)])
        every = slice(None)
        return self.derivative(tables, (), every), [self.derivative(tables, (i,), every) for i in range(self.d)]
