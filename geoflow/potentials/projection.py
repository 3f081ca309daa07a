"""Bregman projection: where a mirror flow converges to."""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr

from geoflow._typing import Array, ArrayLike, Mask
from geoflow._validate import as_finite, as_positive, require_converged, require_type
from geoflow.errors import InfeasibleError, ShapeError
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.moving import MovingPoints
from geoflow.potentials.newton import Newton
from geoflow.potentials.recession import reason
from geoflow.spaces.domains import WholeSpace

#: margin, in units of y, below which a linear program shows that there is no solution without a try
CLEAR = 1e-6
#: relative misses of the constraint that one step of Newton mends: from rounding on
ROUNDED, NEAR = 1e-13, 1e-4


def bregman_projection(R: LegendreFunction, Z: ArrayLike, y: ArrayLike, w0: ArrayLike, tol: float = 1e-10) -> Array:
    """Bregman projection of w0 onto an affine subspace: argmin { D_R(w, w0) : Z w = y }.

    The optimum has grad R(w) = grad R(w0) + Z^T nu; nu maximises the concave dual <y, nu> - Q(grad R(w0) + Z^T nu).
    Z has shape=[n, d], its rows may depend on each other; `tol` bounds |Zw - y| row by row, relative to |y| + |Z| |w|,
    recomputed from the answer.

    Raises
    ------
    InfeasibleError, ConvergenceError
        When Zw = y has no solution in the domain of R, with what shows it; when the dual iteration stops before the
        constraint is met to `tol`.

    Reference
    ---------
    LWLA22, theorem 4.17.
    """
    require_type(R, LegendreFunction, "R")
    Z, y, tol = as_finite(Z, "Z"), as_finite(y, "y"), as_positive(tol)
    if Z.ndim != 2 or Z.shape[1] != R.dim or y.shape != Z.shape[:1]:
        got, wanted = f"Z of shape {Z.shape}, y of shape {y.shape}", f"shapes [n, {R.dim}] and [n]"
        raise ShapeError("constraint Z w = y", got=got, wanted=wanted)
    w0 = as_finite(w0, "w0")
    if w0.shape != (R.dim,):
        raise ShapeError("w0", got=f"shape {w0.shape}", wanted=f"one point, shape ({R.dim},)")
    rows = _independent_rows(Z, y)
    A, b = Z[rows], y[rows]
    margin = _margin(R, A, b)
    if margin < -CLEAR:
        raise _infeasible(R, f"the widest margin of the half-spaces on it is {margin:.2e} of its size", -margin)
    dual = _Dual(R, A, w0)
    found = Newton(dual, convex=True).solve(b[None], np.zeros((1, len(b))), sure=False)
    w = dual.kernel.primal(found.w[0])
    worst = _defect(Z, y, w)
    if ROUNDED < worst < NEAR:  # towards an end of the range of grad R, w resolves more than mu, and nu, do
        nudged = dual.kernel.nudged(found.w[0], b)
        better = _defect(Z, y, nudged)
        if better < worst / 2 and R.domain.belongs(nudged):
            w, worst = nudged, better
    if worst <= tol and R.domain.belongs(w):
        return w.copy()  # which is w0 itself where that is on the subspace
    if margin <= 0:
        raise _infeasible(R, f"the widest margin of the half-spaces on it is {margin:.2e} of its size", worst)
    if np.isnan(margin) and (why := reason(dual.kernel, b, found.w[0])):
        raise _infeasible(R, f"{why}, for R the dual and mu = y", worst)
    remedy = "start from a w0 nearer to the constraint, or raise tol; an R whose gradient is finite at the edge of its "
    remedy += "domain may have its projection on that edge"
    what = "Bregman projection, its constraint row by row"
    require_converged(worst if R.domain.belongs(w) else np.inf, tol, what, remedy)
    return w


def _defect(Z: Array, y: Array, w: Array) -> float:
    """The largest |Zw - y|, row by row, relative to |y| + |Z| |w|; infinite where w is not finite."""
    with np.errstate(all="ignore"):
        defect = np.abs(Z @ w - y) / (np.abs(y) + np.abs(Z) @ np.abs(w) + 1e-300)
    return float(np.nan_to_num(defect, nan=np.inf).max(initial=0.0))


def _infeasible(R: LegendreFunction, why: str, defect: float) -> InfeasibleError:
    return InfeasibleError(
        "constraint Z w = y",
        got=f"a constraint set that misses the domain {R.domain}: {why}",
        wanted="a solution inside the domain",
        remedy="choose y = Z w for some w of the domain",
        defect=defect,
    )


class _DualKernel:
    """Q(mu0 + A^T nu) as a function of nu: its gradient A w and its Hessian A hess Q A^T, at w = grad Q(mu0 + A^T nu).

    The points w move with nu: a value is asked for again where they were.
    """

    def __init__(self, points: MovingPoints, mu0: Array, A: Array, w0: Array):
        self.domain = WholeSpace(len(A))
        self._points, self._mu0, self._A = points, mu0, A
        self._nu: Array = np.zeros(len(A))
        self._w: Array = w0

    def inside(self, nu: Array) -> Mask:
        return np.asarray(np.isfinite(nu).all(axis=-1))

    def primal(self, nu: Array) -> Array:
        """w, shape=[d]; NaN where there is none."""
        if not (nu == self._nu).all():
            with np.errstate(all="ignore"):
                w = self._points.move((self._mu0 + self._A.T @ nu)[None])[0]
            if not np.isfinite(w).all():
                return w
            self._nu, self._w = nu.copy(), w
        return self._w

    def nudged(self, nu: Array, b: Array) -> Array:
        """w by one more step of Newton, not rounded to a nu; shape=[d]."""
        w, A = self.primal(nu), self._A
        try:
            return self._points.nudged(A.T @ np.linalg.solve(self._points.gram(A), b - A @ w))
        except np.linalg.LinAlgError:
            return w

    def derivative(self, order: int, nu: Array) -> Array:
        return np.reshape([self._at(order, one) for one in np.reshape(nu, (-1, len(self._A)))],
                          (*np.shape(nu), *(len(self._A),) * (order - 1)))  # fmt: skip

    def _at(self, order: int, nu: Array) -> Array:
        w = self.primal(nu)
        if order == 1:
            return self._A @ w
        return self._points.gram(self._A) if np.isfinite(w).all() else np.full((len(nu), len(nu)), np.nan)

    def reach(self, way: Array) -> Array:
        return np.array([self._points.reach((self._A.T @ one)[None]) for one in way])


class _Dual:
    """The dual of the projection, by its kernel and its name."""

    def __init__(self, R: LegendreFunction, A: Array, w0: Array):
        mu0 = R.gradient(w0)
        self.kernel = _DualKernel(R.moving_points(mu0[None], w0[None]), mu0, A, w0)
        self.name = f"the dual of the projection by {R.name}"


def _independent_rows(Z: Array, y: Array) -> Array:
    """Which rows have the same solutions as all, or an error where those that depend on them contradict them.

    Rows are compared at unit length.
    """
    size = np.linalg.norm(Z, axis=1)
    size = np.where(size > 0, size, 1.0)
    unit, wanted = Z / size[:, None], y / size
    _, triangle, order = qr(unit.T, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    rank = int((diagonal > 1e-12 * diagonal.max(initial=0.0)).sum())
    kept, rest = np.sort(order[:rank]), np.sort(order[rank:])
    weights = np.linalg.lstsq(unit[kept].T, unit[rest].T, rcond=None)[0].T if rank else np.zeros((len(rest), 0))
    missing = np.abs(weights @ wanted[kept] - wanted[rest])
    scale = np.abs(weights) @ np.abs(wanted[kept]) + np.abs(wanted[rest])
    if (missing > 1e-9 * scale).any():
        worst = int(np.argmax(missing / (scale + 1e-300)))
        raise InfeasibleError(
            "constraint Z w = y",
            got=f"row {int(rest[worst])} of Z, a combination of others of rank {rank}, with a y that misses theirs by "
            f"{missing[worst] * size[rest[worst]]:.2e}",
            wanted="y in the range of Z",
            remedy="drop contradictory rows, or project y on the range of Z",
            defect=float(missing[worst] * size[rest[worst]]),
        )
    return kept


def _margin(R: LegendreFunction, A: Array, b: Array) -> float:
    """The widest margin of the half-spaces of a polyhedral domain over {Aw = b}, by a linear program, in units of b.

    NaN where the domain is not known by half-spaces, or the program has no answer.
    """
    bound = getattr(R.domain, "b", None)
    if bound is None or len(bound) == 0:
        return float("nan")
    from scipy.optimize import linprog

    size = np.linalg.norm(A, axis=1)
    A, b = A / size[:, None], b / size
    unit = np.abs(b).max(initial=0.0) or 1.0
    # the margin is capped, so that unbounded sets have an answer
    A_ub, A_eq = np.c_[R.domain.A, np.ones(len(bound))], np.c_[A, np.zeros(len(A))]
    cost, bounds = np.r_[np.zeros(R.dim), -1.0], [(None, None)] * R.dim + [(None, 1.0)]
    result = linprog(cost, A_ub=A_ub, b_ub=bound / unit, A_eq=A_eq, b_eq=b / unit, bounds=bounds)
    return float(result.x[-1]) if result.status == 0 else float("nan")
