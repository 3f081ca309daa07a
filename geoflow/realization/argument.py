"""What a proof of a metric error computes, in one pass from its plan: no search, and nothing in the plan is believed.

With q the Chebyshev interpolant of H and P a polynomial near L^{-1}, H = L L^T, the entries of P (dF^T dF - q) P^T are
polynomials, bounded on the box by their values at enough nodes; P q P^T is near I, by the same bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

import numpy as np

from geoflow._typing import Array, Index
from geoflow.numerics import bernstein, rounded
from geoflow.numerics.balls import precision, upper
from geoflow.numerics.chebyshev import BoxMap, pairs
from geoflow.numerics.rounded import Rounded, Rows, tensor
from geoflow.numerics.stored import record_of
from geoflow.potentials.interpolants import SAFE, AtNodes, Fields, near_identity, slabs, symmetric, whitened
from geoflow.potentials.proofs import definite
from geoflow.realization.embedding import Embedding
from geoflow.realization.identities import Rule
from geoflow.realization.separation import injective
from geoflow.realization.spectral import SpectralMap
from geoflow.realization.twist import TwistMap
from geoflow.spaces.domains import Box

#: nodes in all, beyond which a plan is not looked at
MOST_NODES = 20_000_000


@dataclass(frozen=True, eq=False)
class Plan:
    """What is needed to compute the bound again.

    Attributes
    ----------
    record, rule : str
        The function R, and of an exact F the rule it comes from, as text; "" of a solver's.
    rho, fine : float, bool
        The polyellipse on which H is analytic, and how that is shown.
    degree, nodes : int
        Of the interpolant of H, and of the points, an axis.
    white : array, shape=[k+1, ..., k+1, d d]
        Chebyshev coefficients of P.
    """

    record: str
    rule: str
    rho: float
    fine: bool
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


def bounds(plan: Plan, box: Box, embedding: Embedding | None) -> Bounds:
    """The bounds that a plan gives for the embedding of a solver, or for an exact one, whose rule is in the plan."""
    if bool(plan.rule) == (embedding is not None):
        return Bounds(inf, argument="a plan of an exact realization with the map of a solver, or the other way round")
    d, n, m, k = box.dim, int(plan.degree), int(plan.nodes), len(plan.white) - 1
    if not (1 <= n <= 10_000 and m >= 1 and m**d <= MOST_NODES and plan.white.shape == (*[k + 1] * d, d * d)):
        return Bounds(inf, argument=f"a plan of degree {n}, {m} nodes and P of shape {plan.white.shape}")
    if not (1 < plan.rho < inf and np.isfinite(plan.white).all()):
        return Bounds(inf, argument=f"a plan of radius {plan.rho} and size {np.abs(plan.white).max()}")
    with precision() as flint:
        fields = fields_of(flint, plan, box)
        size = bernstein.sup_on_polyellipse(fields.bound, flint, d, plan.rho, plan.fine)
        if size == inf:
            return Bounds(inf, argument=f"the Hessian is not shown to be analytic with radius {plan.rho:g}")
        found = fields.interpolant(n)
        if found is None:
            return Bounds(inf, argument="a comparison in the potential is not decided at a node")
        q, lost = found
        solved = None if plan.rule else Polynomials(fields, embedding)
        degree = max(n, 0 if solved is None else solved.degree) + 2 * k
        if m <= degree:
            return Bounds(inf, argument=f"{m} nodes an axis for degree {degree}")
        off = 2 * bernstein.Analytic(plan.rho, size, d).tail(n) + lost
        gap, unit, square, largest = _at_nodes(AtNodes(flint, q, plan.white, m), solved, m)
        near, rise = near_identity(unit, square, off, (d, k, n, m)), bernstein.between_nodes
        if not near.delta < 1:
            return Bounds(inf, argument=f"P H P^T is not shown to be near I: {near.delta:.1e}")
        # what H - q, and of an exact F the other interpolant, may add to the error
        eps = (gap * rise(degree, m, d) + d * off * near.squared) * SAFE / ((1 - near.delta) / SAFE)
        most = (largest * rise(n, m, d) + d * off) * SAFE
        if solved is None:
            assert isinstance(fields.other, Rule)
            sides = [(flint.arb(float(a)), flint.arb(float(b))) for a, b in zip(box.lower, box.upper, strict=True)]
            apart = fields.other.injectivity(fields.real, sides)
            text = f"by the identity of the rule, {fields.other}; its difference from hess R enclosed: "
        else:
            apart, text = solved.injectivity(eps, near.least), ""
    text += f"interpolant of degree {n}, radius {plan.rho:g}, off by {off:.1e}; {m} nodes an axis for degree {degree}"
    return Bounds(eps, near.least, most, apart, f"{text}, factor {rise(degree, m, d):.2f}")


def fields_of(flint: Any, plan: Plan, box: Box) -> Fields:
    """The Hessian of the record of a plan, and of an exact F how far the metric of its rule is from it."""
    return Fields(flint, box, record_of(plan.record), Rule.of_text(flint, plan.rule) if plan.rule else None)


def _at_nodes(nodes: AtNodes, solved: Polynomials | None, m: int) -> tuple[float, float, float, float]:
    """Largest |P (g - q) P^T|, |P q P^T - I|, |P|^2 and |q| over the nodes."""
    d = nodes.d
    tables = None if solved is None else solved.tables(bernstein.nodes(solved.fields.flint, m))
    worst = [0.0] * 4
    for part in slabs(m, d):
        P, values = nodes(part)
        H = symmetric(values, d)
        if solved is None or tables is None:
            over = symmetric(values[..., len(pairs(d)) :], d)
        else:
            over = rounded.difference(solved.metric(tables, part), H)
        found = rounded.largest_norm(rounded.congruence(P, over)), *whitened(P, H), rounded.largest_norm(H)
        worst = [max(a, b) for a, b in zip(worst, found, strict=True)]
    return worst[0], worst[1], worst[2], worst[3]


#: T_k, T_k' and T_k'' at the points of every axis
Tables = list[tuple[Rounded, Rounded, Rounded]]


def slopes_degree(index: Index) -> int:
    """The largest degree in one variable of the first derivatives of products, shape=[m, d]."""
    by_axis = [index[index[:, i] > 0] - np.eye(index.shape[1], dtype=int)[i] for i in range(index.shape[1])]
    return int(np.concatenate(by_axis).max(initial=0))


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
        self.degree = 2 * (slopes_degree(embedding.basis.index) if isinstance(embedding, SpectralMap) else p)
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

    def injectivity(self, eps: float, least: float) -> float:
        """c with |F(w) - F(v)| >= c |w - v|: by the front part of a twist; else near points by the second derivatives,
        and far ones cell by cell."""
        F, d, arb = self.map, self.d, self.fields.flint.arb
        if isinstance(F, TwistMap):
            B = [[arb(float(c)) for c in row] for row in F.front]
            S = [[sum((r[i] * r[j] for r in B), arb(0)) for j in range(d)] for i in range(d)]
            return float(np.sqrt(max(0.0, definite(S))) * (1 - 1e-12))
        if not eps < 1:
            return 0.0
        return injective(self, float(np.sqrt((1 - eps) * least) * (1 - 1e-12)))

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
