"""Bregman projection: where a mirror flow converges to."""

from __future__ import annotations

import numpy as np

from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_finite, require_converged, require_type
from geoflow.errors import InfeasibleError, ShapeError
from geoflow.potentials.legendre import LegendreFunction

DUAL_STEPS = 500


def bregman_projection(R: LegendreFunction, Z: ArrayLike, y: ArrayLike, w0: ArrayLike, tol: float = 1e-10) -> Array:
    """Bregman projection of w0 onto an affine subspace: argmin { D_R(w, w0) : Z w = y }.

    The optimum has grad R(w) = grad R(w0) + Z^T nu; nu maximises the concave dual <y, nu> - Q(grad R(w0) + Z^T nu).
    Z has shape=[n, d]; `tol` bounds |Zw - y| relative to |y|, recomputed from the answer.

    Raises
    ------
    InfeasibleError, ConvergenceError
        When Zw = y has no solution in the domain of R; when the constraint is not met to `tol`.

    Reference
    ---------
    LWLA22, theorem 4.17.
    """
    require_type(R, LegendreFunction, "R")
    Z, y = as_finite(Z, "Z"), as_finite(y, "y")
    if Z.ndim != 2 or Z.shape[1] != R.dim or y.shape != Z.shape[:1]:
        got, wanted = f"Z of shape {Z.shape}, y of shape {y.shape}", f"shapes [n, {R.dim}] and [n]"
        raise ShapeError("constraint Z w = y", got=got, wanted=wanted)
    w0 = as_finite(w0, "w0")
    if w0.shape != (R.dim,):
        raise ShapeError("w0", got=f"shape {w0.shape}", wanted=f"one point, shape ({R.dim},)")
    mu0 = R.gradient(w0)
    A, b = _independent_rows(Z, y)
    _require_feasible(R, A, b)
    w, defect = _dual_newton(R, A, b, w0, mu0)
    scale = np.abs(b).max(initial=0.0) + np.abs(A @ w0).max(initial=0.0) + 1e-300
    if not np.isfinite(defect) or defect > 1e-3 * scale:
        raise InfeasibleError(
            "constraint Z w = y",
            got=f"|Zw - y| = {defect:.2e} where the dual iteration stops shrinking it",
            wanted="a solution in the domain of R",
            remedy="check that Zw = y meets the domain",
            defect=defect,
        )
    require_converged(defect / scale, tol, "Bregman projection", "rescale Z and y, or raise tol")
    return w


def _independent_rows(Z: Array, y: Array) -> tuple[Array, Array]:
    """Orthonormal rows with the same solutions, or an error where Zw = y has none at all."""
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    rank = int((s > s.max(initial=0.0) * max(Z.shape) * 1e-15 * 8).sum())
    missing = np.linalg.norm(y - U[:, :rank] @ (U[:, :rank].T @ y))
    if missing > 1e-9 * (np.linalg.norm(y) + 1e-300):
        raise InfeasibleError(
            "constraint Z w = y",
            got=f"y at distance {missing:.2e} from the range of Z (rank {rank})",
            wanted="y in the range of Z",
            remedy="drop contradictory rows, or project y on the range of Z",
            defect=float(missing),
        )
    return Vt[:rank], (U[:, :rank].T @ y) / s[:rank]


def _require_feasible(R: LegendreFunction, A: Array, b: Array) -> None:
    """A polyhedral domain that {Aw = b} does not meet is found by a linear program."""
    bound = getattr(R.domain, "b", None)
    if bound is None or len(bound) == 0:
        return
    halfspaces = R.domain.A
    from scipy.optimize import linprog

    # widest margin of the half-spaces over the constraint set, capped so that unbounded sets have an answer
    A_ub, A_eq = np.c_[halfspaces, np.ones(len(bound))], np.c_[A, np.zeros(len(A))]
    cost, bounds = np.r_[np.zeros(R.dim), -1.0], [(None, None)] * R.dim + [(None, 1.0)]
    result = linprog(cost, A_ub=A_ub, b_ub=bound, A_eq=A_eq, b_eq=b, bounds=bounds)
    if result.status == 2 or (result.status == 0 and result.x[-1] <= 0):
        margin = f"widest margin {result.x[-1]:.2e}" if result.status == 0 else "no solution"
        raise InfeasibleError(
            "constraint Z w = y",
            got=f"a constraint set that misses the domain {R.domain} ({margin})",
            wanted="a solution inside the domain",
            remedy="choose y = Z w for some w of the domain",
        )


def _dual_newton(R: LegendreFunction, A: Array, b: Array, w0: Array, mu0: Array) -> tuple[Array, float]:
    """Maximise <b, nu> - Q(mu0 + A^T nu) by damped Newton; returns w = grad Q(mu0 + A^T nu) and |Aw - b|."""
    nu: Array = np.zeros(len(b))
    w, points = w0, R.moving_points(mu0[None], w0[None])

    def primal(trial: Array) -> Array | None:
        with np.errstate(all="ignore"):
            value = points.move((mu0 + A.T @ trial)[None])[0]
        return value if np.isfinite(value).all() else None

    def shortened(nu: Array, step: Array, gain: float) -> tuple[Array, Array] | None:
        """nu and w after the step, halved until the dual grows: as long as its slope along the step is positive."""
        for fraction in 0.5 ** np.arange(60):
            trial = primal(nu + fraction * step)
            if trial is not None and float((b - A @ trial) @ step) >= -0.5 * gain:
                return nu + fraction * step, trial
        return None

    best, history = (w, np.inf), []
    for _ in range(DUAL_STEPS):
        missing = b - A @ w
        defect = float(np.abs(missing).max(initial=0.0))
        if defect < best[1]:
            best = w, defect
        history.append(best[1])
        if len(history) > points.patience and history[-1] > 0.9 * history[-points.patience]:
            break  # an infeasible constraint: the dual grows for ever while its gradient stays away from zero
        if defect <= 4e-16 * (np.abs(b).max(initial=0.0) + np.abs(w).max()):
            break
        system = points.gram(A)  # where the last accepted move ended
        if not np.isfinite(system).all():
            break
        step = np.linalg.lstsq(system, missing, rcond=1e-15)[0]
        gain = float(missing @ step)
        t = min(1.0, points.reach((A.T @ step)[None]))
        moved = shortened(nu, t * step, gain)
        if moved is None:
            break
        nu, w = moved
    return best
