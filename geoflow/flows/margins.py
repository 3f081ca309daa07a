"""The direction of largest margin of separable data: what flows of a logistic loss tend to, by convex programs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_positive, require_converged, require_type
from geoflow.errors import ArgumentError, ConvergenceError, GeoflowError, InfeasibleError
from geoflow.flows.losses import LogisticLoss
from geoflow.potentials.legendre import LegendreFunction

#: each norm and its dual
NORMS = {1.0: ("l1", np.inf), 2.0: ("l2", 2.0), np.inf: ("linf", 1.0)}
#: a margin of rows of length 1 that is no margin; the largest size of a combination of them that is 0; both relative
NO_MARGIN, VANISHES = 1e-9, 1e-7
#: accuracy of Newton, and its steps
CLOSE, STEPS = 1e-13, 300
PRECISE = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@dataclass(frozen=True, repr=False)
class MaxMargin(Portable):
    """The widest margin of data (Z, y), with what shows that none is wider.

    Attributes
    ----------
    name : str
        "l1", "l2" or "linf", or the name of R.
    direction : array, shape=[d]
        Of norm 1; for an R, w of Euclidean norm 1.
    margin : float
        min_k y_k <z_k, direction>.
    w : array, shape=[d]
        The direction at the length at which that minimum is 1; for an R, the minimiser itself, at which it is `level`.
    weights : array, shape=[n]
        Multipliers of the rows, nonnegative: of sum 1 for a norm, with sum_k weights_k y_k z_k = grad R(w) for an R.
    bound : float
        No direction has a margin above |sum_k weights_k y_k z_k|, in the dual norm; for an R, no w that meets the
        constraints has R(w) below it.
    gap : float
        How far the value is from the bound, relative to it.
    """

    name: str
    direction: Array
    margin: float
    w: Array
    weights: Array
    bound: float
    gap: float

    @property
    def support(self) -> Index:
        """The rows that hold the margin: those with a weight."""
        return np.flatnonzero(self.weights > 1e-9 * self.weights.max(initial=0.0))

    def __str__(self) -> str:
        return f"{self.name}, margin {self.margin:.6g}, gap {self.gap:.1e}, {len(self.support)} support rows"


def max_margin(
    Z: ArrayLike, y: ArrayLike, norm: float | LegendreFunction = 2, *, level: float = 1.0, tol: float = 1e-8
) -> MaxMargin:
    """The direction w that maximises min_k y_k <z_k, w> over |w| <= 1, or argmin { R(w) : y_k <z_k, w> >= level }.

    For the norms 1 and infinity by a linear program, for 2 by nonnegative least squares, for an R by Newton with
    that at every step. The gap to the dual value is recomputed from the answer and is at most `tol`.

    Mirror flow of a logistic loss by R = |w|^2 / 2 tends to the direction of norm 2, that of a homogeneous R to the
    direction of R; that of any other R to the limit of its directions as the level grows. A direction of norm 1 or
    infinity need not be the only one with its margin.

    Parameters
    ----------
    Z : array-like, shape=[n, d]
    y : array-like, shape=[n]
        Labels -1 and +1.
    norm : 1, 2, numpy.inf, or LegendreFunction
    level : float
        Positive, for an R; it scales the w of a homogeneous one.
    tol : float
        Largest relative gap.

    Raises
    ------
    InfeasibleError
        When no w separates the data; `weights`, nonnegative and of sum 1, have sum_k weights_k y_k z_k = 0 up to
        `defect`. When no w of the domain of R meets the constraints.
    ConvergenceError
        When the gap is larger than `tol`.

    Reference
    ---------
    Lawson and Hanson, Solving Least Squares Problems, chapter 23; Pesme, Dragomir and Flammarion 2024 for R.
    """
    data, tol = LogisticLoss(Z, y), as_positive(tol)
    if not data.Z.size:
        raise ArgumentError("Z", got=f"shape {data.Z.shape}", wanted="at least one row and one column")
    A = data.y[:, None] * data.Z
    start = _separating(A)
    if isinstance(norm, LegendreFunction):
        found = _by_potential(A, norm, as_positive(level, "level"), start)
    else:
        if isinstance(norm, bool) or not isinstance(norm, (int, float, np.number)) or float(norm) not in NORMS:
            require_type(norm, LegendreFunction, "norm", "pass 1, 2, numpy.inf, or a gf.LegendreFunction")
        if np.ndim(level) or level != 1.0:
            raise ArgumentError("level", got=f"{level!r} with a norm", wanted="an R beside it: a norm has no level")
        found = _by_norm(A, float(norm))
    what, remedy = f"the margin in {found.name}", "raise tol, or scale the columns of Z to sizes that are alike"
    if isinstance(norm, LegendreFunction):
        remedy += f"; or {found.name} has no least value on the constraints"
    require_converged(found.gap, tol, what, remedy)
    return found


def _separating(A: Array) -> Array:
    """Some w with Aw > 0, shape=[d], or an error with nonnegative weights whose combination of the rows is 0.

    No unit of a column counts: columns are taken in the size of their largest entry.
    """
    units = np.abs(A).max(axis=0)
    A = A / np.where(units > 0, units, 1.0)
    size = np.linalg.norm(A, axis=1)
    if (size == 0).any():
        raise _inseparable(A, np.eye(len(A))[int(np.argmin(size))])
    w, multipliers, margin = _widest(A / size[:, None], np.ones(len(A)))
    if not margin > NO_MARGIN:
        weights = np.maximum(multipliers, 0.0) / size
        raise _inseparable(A, weights / weights.sum())
    return np.where(units > 0, w / np.where(units > 0, units, 1.0), 0.0)


def _inseparable(A: Array, weights: Array) -> InfeasibleError:
    combination = np.abs(weights @ A).max()
    defect = float(combination / max(float((weights @ np.abs(A)).max()), 1e-300)) if combination else 0.0
    k = int(np.count_nonzero(weights > 1e-9 * weights.max()))
    words = f"{k} rows y_k z_k have a combination with nonnegative weights that is 0 up to {defect:.1e}, see `weights`"
    if defect > VANISHES:
        words = "the widest margin is below the rounding of the rows"
    return InfeasibleError(
        "separable data", f"data that no w separates: {words}", "y_k <z_k, w> > 0 for some w and all k",
        "add features, or remove rows that contradict each other", weights=weights, defect=defect,
    )  # fmt: skip


# norms: w of least norm with Uw >= b, and multipliers of the rows ---------------------------------------------------


def _by_norm(A: Array, p: float) -> MaxMargin:
    """Both sides of the duality, recomputed from w and from the multipliers of the rows of length 1."""
    largest = float(2.0 ** np.floor(np.log2(np.abs(A).max())))  # a power of 2, which rounds nothing
    A = A / largest
    size = np.linalg.norm(A, axis=1)
    share = size.min() / size
    w, multipliers, unit = _widest(A / size[:, None], share)
    if p < np.inf:  # in units in which w has a size of about 1
        w, multipliers = (_least_l1 if p == 1 else _least_l2)(A / size[:, None], unit * share)
    name, dual = NORMS[p]
    if not (np.abs(w).max() > 0 and multipliers.max() > 0):
        what, got = f"the margin in {name}", "a margin below what doubles resolve"
        raise ConvergenceError(what, got, "a positive one", "scale the columns of Z to sizes that are alike")
    direction = w / np.linalg.norm(w, p)
    weights = np.maximum(multipliers, 0.0) / size
    weights = weights / weights.sum()
    margin, bound = float((A @ direction).min()), float(np.linalg.norm(weights @ A, dual))
    w, gap = direction / margin / largest, abs(bound - margin) / bound
    return MaxMargin(name, direction, margin * largest, w, weights, bound * largest, gap)


def _least_l1(U: Array, b: Array) -> tuple[Array, Array]:
    from scipy.optimize import linprog

    d = U.shape[1]
    found = linprog(np.ones(2 * d), -np.c_[U, -U], -b, bounds=(0, None), options=PRECISE)
    return _solved(found)[:d] - found.x[d:], -found.ineqlin.marginals


def _widest(U: Array, b: Array) -> tuple[Array, Array, float]:
    """w in the unit cube with the largest s such that Uw >= s b, the multipliers of the rows, and s."""
    from scipy.optimize import linprog

    n, d = U.shape
    bounds = [(-1, 1)] * d + [(None, None)]
    found = linprog(np.r_[np.zeros(d), -1.0], np.c_[-U, b], np.zeros(n), bounds=bounds, options=PRECISE)
    w = _solved(found)
    return w[:d], -found.ineqlin.marginals, float(w[-1])


def _least_l2(U: Array, b: Array) -> tuple[Array, Array]:
    from scipy.optimize import nnls

    u, _ = nnls(np.r_[U.T, b[None]], np.r_[np.zeros(U.shape[1]), 1.0], maxiter=30 * len(b))
    u = u / (1.0 - b @ u)
    return U.T @ u, u


def _solved(found: Any) -> Array:
    if found.status != 0:
        raise GeoflowError("linear program of the margin", found.message, "an optimum", "scale the columns of Z")
    return np.asarray(found.x)


# potentials ---------------------------------------------------------------------------------------------------------


def _by_potential(A: Array, R: LegendreFunction, level: float, separating: Array) -> MaxMargin:
    if A.shape[1] != R.dim:
        raise ArgumentError("Z", got=f"{A.shape[1]} columns", wanted=f"{R.dim}, the dimension of {R.name}")
    w, weights = _newton(A, R, level, _start(A, R, level, separating))
    value, gap, bound, force = float(R(w)), np.inf, -np.inf, weights @ A
    with suppress(GeoflowError):  # what has no dual value has no bound
        u = R.inverse_gradient(force)
        bound = float(level * weights.sum() - force @ u + R(u))
        gap = abs(value - bound) / max(abs(value) + level * float(weights.sum()), 1e-300)
    direction = w / np.linalg.norm(w)
    return MaxMargin(R.name, direction, float((A @ direction).min()), w, weights, bound, gap)


def _start(A: Array, R: LegendreFunction, level: float, separating: Array) -> Array:
    """A w of the domain of R with Aw >= level; well inside by a linear program, where the domain is polyhedral."""
    from scipy.optimize import linprog

    bound = getattr(R.domain, "b", None)
    if bound is None or not len(bound):
        w = separating * (level / (A @ separating).min())
    else:
        n, m = len(A), len(bound)
        rows = np.r_[np.c_[-A / level, np.zeros(n)], np.c_[R.domain.A, np.ones(m)]]
        right = np.r_[-np.ones(n), bound]
        found = linprog(np.r_[np.zeros(R.dim), -1.0], rows, right, bounds=[(None, None)] * R.dim + [(None, 1)])
        w = found.x[:-1] if found.status == 0 else np.full(R.dim, np.nan)
    if not R.domain.belongs(w):
        if bound is None:  # one w is not all
            got = f"none of {R.domain} in one try"
            raise ConvergenceError("a w with y_k <z_k, w> >= level", got, "a w of the domain", "choose another R")
        got, wanted = f"half-spaces that miss the domain {R.domain}", "a w of the domain that meets them"
        raise InfeasibleError("constraints y_k <z_k, w> >= level", got, wanted, "lower level, or choose another R")
    return np.asarray(w)


def _newton(A: Array, R: LegendreFunction, level: float, w: Array) -> tuple[Array, Array]:
    """Newton from a w with Aw >= level, which every step keeps: the least value of the quadratic model of R there.

    With hess R = K K^T and u = K^T (w' - w) + K^{-1} grad R that is the least u with E u >= h, E = A K^{-T}.
    """
    weights: Array = np.zeros(len(A))
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            value, g, H = (R.kernel.derivative(order, w[None])[0] for order in (0, 1, 2))
            try:
                K = np.linalg.cholesky(H)
            except np.linalg.LinAlgError:
                break
            E, down = solve_triangular(K, A.T, lower=True).T, solve_triangular(K, g, lower=True)
            size = float(np.linalg.norm(down))
            if not np.isfinite(E).all() or not 0 < size < np.inf:
                break
            u, weights = _least_l2(E, (level - A @ w + E @ down) / size)
            u, weights = size * u, size * weights
            way = solve_triangular(K, u - down, lower=True, trans="T")
            step = _accepted(R, w, way, (float(value), float(g @ way)))
            w = np.asarray(w + step * way)
            if step == 0.0 or np.linalg.norm(u - down) <= CLOSE * size:
                break
    return w, weights


def _accepted(R: LegendreFunction, w: Array, way: Array, here: tuple[float, float]) -> float:
    """The first of 1, 1/2, 1/4, ... at which R falls as its slope asks, up to rounding; 0 where none does."""
    value, slope = here
    for step in 0.5 ** np.arange(50):
        there = w + step * way
        if R.domain.belongs(there) and R.kernel.value(there[None])[0] <= value + 1e-4 * step * slope + 1e-15 * abs(
            value
        ):
            return float(step)
    return 0.0
