"""A bound on the metric error of a realization at every point of its box, proved in ball arithmetic.

With q the Chebyshev interpolant of H and P a polynomial near L^{-1}, H = L L^T, the entries of P (dF^T dF - q) P^T are
polynomials, bounded on the box by their values at enough nodes; P q P^T is near I, by the same bound.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from geoflow._typing import Array
from geoflow._validate import as_finite
from geoflow.errors import ArgumentError, ProofError, RealizationError
from geoflow.numerics import bernstein
from geoflow.numerics.balls import Jet, Scalar, UndecidedError, hessian_of, lower, precision, upper
from geoflow.numerics.chebyshev import TensorGrid, TensorSeries
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from geoflow.numerics.records import Record
from geoflow.potentials.proofs import definite, sample
from geoflow.realization.spectral import SpectralMap
from geoflow.realization.twist import TwistMap
from geoflow.results import Verdict
from geoflow.spaces.domains import Box

#: share of the sampled error that the interpolation of H may add, and an error below which it is not followed
SHARE, FLOOR = 0.03, 1e-13
#: points at which H, and polynomials, are evaluated; times the degree, the points an axis, by dimension
MOST_POINTS, MOST_NODES, RATIO = {1: 1000, 2: 40_000, 3: 50_000}, 200_000, {1: 4.0, 2: 1.55, 3: 1.7}
WHITE, WHITE_DEGREES = 0.05, (2, 4, 6, 8, 10, 12, 16, 20, 26)


@dataclass(frozen=True, eq=False, repr=False)
class Proof(Verdict):
    """What is proved of an embedding F of H = hess R on a box, for every point of it; truthy where eps < 1.

    Attributes
    ----------
    eps : float
        (1 - eps) H <= dF^T dF <= (1 + eps) H on the whole box; infinite where nothing is proved.
    measured : float
        The largest relative error at the certificate's points, which proves nothing.
    least_eigenvalue, largest_eigenvalue : float
        Bounds of the eigenvalues of H on the box: it is positive definite there, and F an immersion where eps < 1.
    injectivity : float
        c > 0 with |F(w) - F(v)| >= c |w - v| for all w, v of the box; 0 where F is not proved injective.
    box : Box
    argument : str
        In words, how it was proved, or why it was not.
    """

    eps: float
    measured: float
    least_eigenvalue: float
    largest_eigenvalue: float
    injectivity: float
    box: Box
    argument: str

    @property
    def failures(self) -> list[str]:
        return [] if self.eps < 1 else ["metric error not proved"]

    @property
    def immersion(self) -> bool:
        """Whether dF is proved injective at every point."""
        return self.eps < 1

    def flow_gap(self, t: float, lipschitz: float, gradient: float) -> float:
        """A bound of |w_1(t) - w_2(t)|, gradient flow on M and mirror flow of R from one start, while in the box.

        r (exp(K t) - 1) / (K m) with K = lipschitz / m, r = eps / (1 - eps) sqrt(m'/ m) gradient, m and m' the bounds
        of the eigenvalues of H: by Gronwall in mu = grad R(w), where H (dF^T dF)^{-1} differs from I by at most r.

        Parameters
        ----------
        t, lipschitz, gradient : float
            The time; a Lipschitz constant of grad L, and a bound of |grad L|, on the box. All nonnegative.
        """
        values = as_finite([t, lipschitz, gradient], "time, Lipschitz constant and bound of the gradient")
        if (values < 0).any():
            raise ArgumentError("arguments of flow_gap", got=f"{values}", wanted="nonnegative numbers")
        if not self.eps < 1:
            return inf
        m = self.least_eigenvalue
        rest = self.eps / (1 - self.eps) * (self.largest_eigenvalue / m) ** 0.5 * gradient
        K = lipschitz / m
        with np.errstate(over="ignore"):
            grown = t if K * t < 1e-12 else float(np.expm1(K * t)) / K
        return float(rest * grown / m * (1 + 1e-9))

    def unwrap(self) -> Proof:
        """Return the proof, or raise `RealizationError` with the reason."""
        if self.passed:
            return self
        raise RealizationError("proof of a metric error", self.argument, "a bound below 1", "see docs/proof.md")

    def __str__(self) -> str:
        if not self.passed:
            return f"nothing is proved on {self.box}: {self.argument}"
        injective = f"injective with margin {self.injectivity:.2g}" if self.injectivity > 0 else "injective: not proved"
        return (
            f"proved on all of {self.box}: relative metric error at most {self.eps:.2e} "
            f"(measured {self.measured:.1e}), "
            f"eigenvalues of H in [{self.least_eigenvalue:.3g}, {self.largest_eigenvalue:.3g}], {injective}; "
            f"{self.argument}"
        )


def prove(F: Any) -> Proof:
    """A bound of the metric error of a `Realization`, whose module imports this one, on its whole box."""
    R, box = F.potential, F.target.box
    if R is None:
        raise ProofError("proof of a realization", "one without its potential", "F of a Legendre function R")
    if box is None or box.dim > 3:
        raise ProofError("proof of a realization", f"the region {F.region}", "a bounded box of dimension 1, 2 or 3")
    if not isinstance(F.map, (SpectralMap, TwistMap)):
        got, remedy = f"method {F.method!r}", "an exact F is an identity of its rule: F.reason"
        raise ProofError("proof of a realization", got, "method 'spectral' or 'twist'", remedy)
    recorded = recorded_or_error(R.potential, sample(box), R.name)
    measured = float(F.certificate.metric_error)
    with precision() as flint:
        return _Argument(flint, F, box, recorded, measured).proof()


class _Argument:
    """The steps of one proof."""

    def __init__(self, flint: Any, F: Any, box: Box, recorded: Record, measured: float):
        self.flint, self.map, self.box, self.measured = flint, F.map, box, measured
        self.d, self.F = box.dim, F
        ends = [[flint.arb(float(c)) for c in side] for side in (box.lower, box.upper)]
        self.middle = [(a + b) / 2 for a, b in zip(*ends, strict=True)]
        self.half = [(b - a) / 2 for a, b in zip(*ends, strict=True)]
        self.real, self.complex = (Scalar(flint, is_complex) for is_complex in (False, True))
        self.function = {s: Evaluation(recorded, s.constant) for s in (self.real, self.complex)}

    def proof(self) -> Proof:
        white = self._whitening()
        if white is None:
            return self._nothing("the Hessian cannot be whitened by a polynomial")
        P, k = white
        size = float(np.abs(P).sum(axis=tuple(range(self.d))).max()) * self.d
        tol = SHARE * max(self.measured, FLOOR) / (2 * self.d * size**2)
        found = bernstein.analytic(self._bound_of_hessian, self.flint, self.d, tol)
        if found is None:
            return self._nothing("the Hessian is not shown to be analytic near the box")
        n = min(found.degree(tol), int(MOST_POINTS[self.d] ** (1 / self.d)) - 1)
        N = max(n, self._degree()) + 2 * k
        m = min(int(np.ceil(RATIO[self.d] * N)), int(MOST_NODES ** (1 / self.d)))
        tail = 2 * found.tail(n)
        if not self.d * tail * size**2 < 0.1 or m <= N:
            needed = max(found.degree(tol), self._degree()) + 2 * k
            why = f"degree {needed} an axis is needed, radius {found.rho:g}: H varies too fast, by a bump perhaps"
            return self._nothing(why)
        return self._bounded(P, (k, n, N, m), tail, found.rho)

    def _bounded(self, P: Array, sizes: tuple[int, int, int, int], tail: float, rho: float) -> Proof:
        d, (k, n, N, m) = self.d, sizes
        u = bernstein.nodes(self.flint, m)
        q = self._at(self._interpolant(n), n, u)
        p = self._at(self._exact(P), k, u)
        p = [[p[..., i * d + j] for j in range(d)] for i in range(d)]
        H = _symmetric(q, d)
        g = self._metric(u)
        rise = bernstein.between_nodes
        gap = bernstein.largest_norm(_congruence(p, _minus(g, H, d), d), d) * rise(N, m, d)
        one = [[self.flint.arb(int(i == j)) for j in range(d)] for i in range(d)]
        unit = bernstein.largest_norm(_minus(_congruence(p, H, d), one, d), d) * rise(n + 2 * k, m, d)
        squares = sum(p[i][j] * p[i][j] for i in range(d) for j in range(d))
        P2 = max(upper(c) for c in squares.ravel()) * rise(2 * k, m, d) * (1 + 1e-12)
        rest = d * tail * P2  # what H - q may add to either norm
        delta = (unit + rest) * (1 + 1e-12)
        if not delta < 1:
            return self._nothing(f"P H P^T is not shown to be near I: {delta:.1e}")
        eps = float((gap + rest) / (1 - delta) * (1 + 1e-9))
        least = float((1 - delta) / P2 * (1 - 1e-9))
        largest = bernstein.largest_norm(H, d) * rise(n, m, d) + d * tail
        argument = (
            f"interpolant of H of degree {n}, radius {rho:g}, off by {tail:.1e}; {m} nodes an axis for degree {N}, "
            f"factor {rise(N, m, d):.2f}"
        )
        return Proof(eps, self.measured, least, float(largest), self._injectivity(u), self.box, argument)

    def _nothing(self, why: str) -> Proof:
        return Proof(inf, self.measured, 0.0, inf, 0.0, self.box, why)

    # the metric that was asked for ----------------------------------------------------------------------------------

    def _hessian(self, scalar: Scalar, u: Any) -> list[list[Any]] | None:
        """H at u of [-1, 1]^d, or on a cell of C^d."""
        w = [c + h * t for c, h, t in zip(self.middle, self.half, u, strict=True)]
        try:
            jet: Any = self.function[scalar](Jet.variables(scalar, w)).item()
        except UndecidedError:
            return None
        return None if jet.first is None else hessian_of(jet, self.d)

    def _bound_of_hessian(self, u: Any) -> float:
        H = self._hessian(self.complex, u)
        return inf if H is None else max(upper(h) for row in H for h in row)

    def _interpolant(self, n: int) -> Any:
        """Chebyshev coefficients of the interpolants of the entries i <= j of H, the entries last."""
        u, d = bernstein.nodes(self.flint, n + 1), self.d
        values = np.empty((*[n + 1] * d, d * (d + 1) // 2), dtype=object)
        for place in itertools.product(range(n + 1), repeat=d):
            H = self._hessian(self.real, [u[i] for i in place])
            if H is None:
                raise ProofError(
                    "a comparison in the potential", "one that is not decided at a node", "smooth formulas"
                )
            for e, (i, j) in enumerate(_pairs(d)):
                values[(*place, e)] = H[i][j]
        return bernstein.along_axes(self.flint, values, [bernstein.transform(self.flint, n)] * d)

    def _whitening(self) -> tuple[Array, int] | None:
        """Coefficients of a polynomial P near L^{-1}, shape=[k+1, ..., d d], of the least degree near enough."""
        d, R = self.d, self.F.potential
        rng = np.random.default_rng(3)
        w = rng.uniform(self.box.lower, self.box.upper, (500, d))
        w = np.concatenate([w, np.array(list(itertools.product(*np.stack([self.box.lower, self.box.upper], 1))))])
        best: tuple[float, Array, int] = (0.9, np.zeros(0), 0)
        for k in WHITE_DEGREES:
            grid = TensorGrid(self.box.lower, self.box.upper, k)
            try:
                L = np.linalg.inv(np.linalg.cholesky(R.kernel.derivative(2, grid.points)))
            except np.linalg.LinAlgError:
                return None
            coefficients = grid.coefficients(L.reshape(len(L), -1))
            P = _series(grid, coefficients, w).reshape(-1, d, d)
            off = P @ R.kernel.derivative(2, w) @ np.swapaxes(P, 1, 2) - np.eye(d)
            error = float(np.abs(off).sum(axis=2).max())
            if error < best[0]:
                best = error, coefficients, k
            if error < WHITE:
                break
        return (best[1], best[2]) if best[2] else None

    # polynomials at the nodes ---------------------------------------------------------------------------------------

    def _exact(self, coefficients: Array) -> Any:
        """Floats as balls."""
        found = np.empty(coefficients.shape, dtype=object)
        arb = self.flint.arb
        found.flat[:] = [arb(float(c)) for c in coefficients.ravel()]
        return found

    def _at(self, coefficients: Any, degree: int, u: Any) -> Any:
        """Series in u at the nodes of the box."""
        V = bernstein.values_matrix(self.flint, u, degree)
        return bernstein.along_axes(self.flint, coefficients, [V] * self.d)

    def _degree(self) -> int:
        """The degree an axis of the entries of dF^T dF."""
        F = self.map
        return 2 * F.basis.degree - 2 if isinstance(F, SpectralMap) else 2 * F.amplitudes.degree

    def _slopes(self, u: Any) -> tuple[Any, list[Any]]:
        """The series that F is made of, and their derivatives in w, at the nodes: functions last."""
        F, arb = self.map, self.flint.arb
        if isinstance(F, SpectralMap):
            p, box = F.basis.degree, F.basis
            tensor = np.zeros((*[p + 1] * self.d, len(F.coefficients)))
            for k, column in zip(F.basis.index, F.coefficients.T, strict=True):
                tensor[tuple(k)] = column
        else:
            p, box, tensor = F.amplitudes.degree, F.amplitudes, F.amplitudes.coefficients
        values, slopes = [], []
        for i in range(self.d):
            scale, low = arb(float(box.scale[i])), arb(float(box.lower[i]))
            t = [(self.middle[i] + self.half[i] * x - low) * scale - 1 for x in u]
            values.append(bernstein.values_matrix(self.flint, t, p))
            slopes.append(bernstein.slopes_matrix(self.flint, t, p) * scale)
        exact = self._exact(tensor)
        at = [
            bernstein.along_axes(self.flint, exact, [slopes[j] if j == i else values[j] for j in range(self.d)])
            for i in range(self.d)
        ]
        return bernstein.along_axes(self.flint, exact, values), at

    def _metric(self, u: Any) -> list[list[Any]]:
        """dF^T dF at the nodes, by rows of arrays."""
        F, d, arb = self.map, self.d, self.flint.arb
        a, da = self._slopes(u)
        g: list[list[Any]] = [[None] * d for _ in range(d)]
        for i, j in _pairs(d):
            total = sum(da[i][..., r] * da[j][..., r] for r in range(da[0].shape[-1]))
            if isinstance(F, TwistMap):
                lam = arb(float(F.frequency))
                total = total / (lam * lam)
                for r, line in enumerate(F.directions):
                    total = total + a[..., r] * a[..., r] * (arb(float(line[i])) * arb(float(line[j])))
                front = sum((arb(float(row[i])) * arb(float(row[j])) for row in F.front), arb(0))
                total = total + front
            g[i][j] = g[j][i] = total
        self.da = da
        return g

    def _injectivity(self, u: Any) -> float:
        """c with |F(w) - F(v)| >= c |w - v|: the front part of a twist; else a fixed A with A dF near I."""
        F, d, arb = self.map, self.d, self.flint.arb
        if isinstance(F, TwistMap):
            B = [[arb(float(c)) for c in row] for row in F.front]
            return _root_of_least([[sum((r[i] * r[j] for r in B), arb(0)) for j in range(d)] for i in range(d)])
        # <v - w, A (F(v) - F(w))> = the mean over the segment of <v - w, A dF (v - w)> >= (1 - r) |v - w|^2
        w = np.random.default_rng(4).uniform(self.box.lower, self.box.upper, (500, d))
        A = np.linalg.pinv(F.jacobian(w).mean(axis=0))
        rows = [[arb(float(c)) for c in row] for row in A]
        D = self.da[0].shape[-1]
        near = [
            [sum(rows[i][r] * self.da[j][..., r] for r in range(D)) - int(i == j) for j in range(d)] for i in range(d)
        ]
        even = [[(near[i][j] + near[j][i]) / 2 for j in range(d)] for i in range(d)]
        gap = bernstein.largest_norm(even, d) * bernstein.between_nodes(F.basis.degree, len(u), d)
        size = sum((c * c for row in rows for c in row), arb(0)).sqrt()
        return max(0.0, lower((1 - arb(gap)) / size)) if gap < 1 else 0.0


def _series(grid: TensorGrid, coefficients: Array, w: Array) -> Array:
    return TensorSeries(grid.lower, grid.upper, coefficients).derivatives(w, 0)[0]


def _pairs(d: int) -> list[tuple[int, int]]:
    return list(itertools.combinations_with_replacement(range(d), 2))


def _symmetric(entries: Any, d: int) -> list[list[Any]]:
    rows: list[list[Any]] = [[None] * d for _ in range(d)]
    for e, (i, j) in enumerate(_pairs(d)):
        rows[i][j] = rows[j][i] = entries[..., e]
    return rows


def _minus(A: Any, B: Any, d: int) -> list[list[Any]]:
    return [[A[i][j] - B[i][j] for j in range(d)] for i in range(d)]


def _congruence(p: Any, S: Any, d: int) -> list[list[Any]]:
    """P S P^T of matrices of arrays."""
    half = [[sum(p[i][k] * S[k][j] for k in range(d)) for j in range(d)] for i in range(d)]
    return [[sum(half[i][k] * p[j][k] for k in range(d)) for j in range(d)] for i in range(d)]


def _root_of_least(S: list[list[Any]]) -> float:
    """A lower bound of the root of the least eigenvalue of a symmetric matrix of balls; 0 where it is not positive."""
    return float(np.sqrt(max(0.0, definite(S))) * (1 - 1e-12))
