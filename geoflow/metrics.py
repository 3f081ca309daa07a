"""Hessian metrics as geomstats Riemannian metrics: curvature, geodesics, distance and parallel transport."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import autograd.numpy as np
import numpy as onp
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.numerics.geodesic import ExpODESolver, ExpSolver, LogSolver

from geoflow import autodiff
from geoflow._validate import as_points
from geoflow.errors import ArgumentError
from geoflow.fields import FLOW_ATOL, FLOW_RTOL, Stop, integrate_batch
from geoflow.geodesics import BatchedIVP, ShootingLog, geodesic_ends
from geoflow.legendre import LegendreFunction
from geoflow.space_forms import Isometry, isometry

DIFFERENCE = 1e-3


class HessianMetric(RiemannianMetric):
    """The metric H = hess R on the domain of a Legendre function.

    Its Christoffel symbols and its curvature need no derivative beyond T_ijk = d_i d_j d_k R:
    Gamma_ijk = T_ijk / 2 and <R(e_i, e_j) e_k, e_l> = H^{pq} (T_ikp T_jlq - T_ilp T_jkq) / 4.

    Geodesics are closed forms where the structure of R makes the metric that of a product of spheres, Euclidean and
    hyperbolic spaces (attribute `isometry`); elsewhere one adaptive solve for a whole batch, and shooting for
    logarithms. Assign geomstats' own solvers to `exp_solver` and `log_solver` to use those instead.

    Parameters
    ----------
    space : ConvexDomain
    potential : LegendreFunction
    closed_forms : bool
        Whether to use a known isometry to space forms.

    Reference
    ---------
    Shima, The Geometry of Hessian Structures, 2007, section 2.
    """

    def __init__(self, space: Any, potential: LegendreFunction, closed_forms: bool = True):
        super().__init__(space=space)
        self.potential = potential
        self.isometry: Isometry | None = isometry(potential) if closed_forms else None
        self.exp_solver: Any = ExpODESolver(space, BatchedIVP())
        self.log_solver: Any = ShootingLog(self)
        if self.isometry is not None:
            self.exp_solver, self.log_solver = _ClosedExp(self), _ClosedLog(self)

    # the metric -----------------------------------------------------------------------------------------------------

    def metric_matrix(self, base_point: Any = None) -> Any:
        """H(w), shape=[..., d, d]."""
        return self.potential.hessian(base_point)

    def cometric_matrix(self, base_point: Any = None) -> Any:
        """H(w)^{-1}, shape=[..., d, d]."""
        if hasattr(base_point, "_value"):
            return np.linalg.inv(self.potential.hessian(base_point))
        return self.potential.cometric(base_point)

    def inner_product_derivative_matrix(self, base_point: Any = None) -> Any:
        """d_k H_ij = T_ijk; the index of the derivation is last, shape=[..., d, d, d]."""
        return self.potential.third_derivative(base_point)

    def christoffels(self, base_point: Any = None) -> Any:
        """Gamma^k_ij = H^{kl} T_lij / 2; the contravariant index k is first, shape=[..., d, d, d]."""
        return self._raise(self.potential.third_derivative(base_point), base_point) / 2

    def christoffels_first_kind(self, base_point: Any = None) -> Any:
        """Gamma_kij = T_kij / 2 = <nabla_{e_i} e_j, e_k>, shape=[..., d, d, d]."""
        return self.potential.third_derivative(base_point) / 2

    # curvature ------------------------------------------------------------------------------------------------------

    def riemann_tensor(self, base_point: Any = None) -> Any:
        """R_ijk^l with R(e_j, e_k) e_i = R_ijk^l e_l: geomstats' index order, l last; shape=[..., d, d, d, d]."""
        T = self.potential.third_derivative(base_point)
        S = self._raise(T, base_point)
        first = np.einsum("...ljp,...pki->...ijkl", S, S)
        return (np.einsum("...ijkl->...ikjl", first) - first) / 4

    def curvature(self, tangent_vec_a: Any, tangent_vec_b: Any, tangent_vec_c: Any, base_point: Any = None) -> Any:
        """R(a, b) c, shape=[..., d]."""
        S = self._raise(self.potential.third_derivative(base_point), base_point)

        def act(u: Any, v: Any) -> Any:
            return np.einsum("...kij,...i,...j->...k", S, u, v)

        a, b, c = tangent_vec_a, tangent_vec_b, tangent_vec_c
        return (act(b, act(a, c)) - act(a, act(b, c))) / 4

    def sectional_curvature(self, tangent_vec_a: Any, tangent_vec_b: Any, base_point: Any = None) -> Any:
        """<R(a, b) b, a> / (|a|^2 |b|^2 - <a, b>^2), shape=[...]; NaN never: dependent vectors are an error.

        Raises
        ------
        ArgumentError
            When a and b do not span a plane.
        """
        w = self.potential.domain.require(base_point, "base_point")
        a, b = (as_points(v, self.potential.dim, "tangent vector") for v in (tangent_vec_a, tangent_vec_b))
        L = onp.linalg.cholesky(self.potential.hessian(w))
        pair = onp.stack(onp.broadcast_arrays(a, b), axis=-1)
        # in coordinates where H = I, an orthonormal basis of the plane: what cancels there cancels to rounding
        frame, size = onp.linalg.qr(onp.swapaxes(L, -1, -2) @ pair)
        if not onp.all(onp.abs(size[..., 1, 1]) > 1e-12 * onp.linalg.norm(size[..., :, 1], axis=-1)):
            raise ArgumentError(
                "plane of a sectional curvature",
                got="tangent vectors that are zero or linearly dependent",
                wanted="two independent vectors at every point",
            )
        lower = onp.linalg.inv(L)
        plane = onp.swapaxes(frame, -1, -2) @ lower
        T = onp.einsum("...ijk,...ai,...bj,...ck->...abc", self.potential.third_derivative(w), plane, plane, lower,
                       optimize=True)  # fmt: skip
        return ((T[..., 0, 1, :] ** 2).sum(-1) - (T[..., 0, 0, :] * T[..., 1, 1, :]).sum(-1)) / 4

    def ricci_tensor(self, base_point: Any = None) -> Any:
        """Ric_jk = R_ijk^i of R(e_i, e_j) e_k, positive on spheres, shape=[..., d, d]."""
        S = self._raise(self.potential.third_derivative(base_point), base_point)
        trace = np.einsum("...iip->...p", S)
        return (np.einsum("...ijp,...pik->...jk", S, S) - np.einsum("...p,...pjk->...jk", trace, S)) / 4

    # geodesics ------------------------------------------------------------------------------------------------------

    def geodesic_equation(self, state: Any) -> Any:
        """(v, -H^{-1} T(v, v) / 2) of (w, v), shape=[..., 2, d]; NaN outside the domain, for an integrator."""
        w, v = state[..., 0, :], state[..., 1, :]
        acceleration = self._transport_rate(w, v, v)
        return np.stack([np.broadcast_to(v, np.shape(acceleration)), acceleration], axis=-2)

    def exp(self, tangent_vec: Any, base_point: Any) -> Any:
        """End at time 1 of the geodesic from base_point with velocity tangent_vec; shape=[..., d].

        Raises
        ------
        DomainError
            When the base point is outside the domain, or the geodesic leaves it before time 1.
        """
        if hasattr(tangent_vec, "_value") or hasattr(base_point, "_value"):
            return self._traced_exp(*_same_batch(tangent_vec, base_point))
        v = as_points(tangent_vec, self.potential.dim, "tangent vector")
        v, w = onp.broadcast_arrays(v, self.potential.domain.require(base_point, "base_point"))
        return self.exp_solver.exp(v, w)

    def log(self, point: Any, base_point: Any) -> Any:
        """Velocity at base_point of the geodesic that reaches point at time 1; shape=[..., d].

        Raises
        ------
        DomainError
            When a point is outside the domain.
        ConvergenceError
            When no geodesic was found.
        """
        y, w = self.potential.domain.require(point, "point"), self.potential.domain.require(base_point, "base_point")
        return self.log_solver.log(*onp.broadcast_arrays(y, w))

    def squared_dist(self, point_a: Any, point_b: Any) -> Any:
        """Squared geodesic distance, shape=[...]."""
        if hasattr(point_a, "_value") or hasattr(point_b, "_value"):
            return self._traced_squared_dist(*_same_batch(point_a, point_b))
        return self.squared_norm(self.log(point_b, point_a), point_a)

    def dist(self, point_a: Any, point_b: Any) -> Any:
        """Geodesic distance, shape=[...]."""
        return np.sqrt(self.squared_dist(point_a, point_b))

    def parallel_transport(
        self, tangent_vec: Any, base_point: Any, direction: Any = None, end_point: Any = None
    ) -> Any:
        """Levi-Civita parallel transport along the geodesic with velocity `direction`, or to `end_point`.

        Parameters
        ----------
        tangent_vec, base_point, direction, end_point : array-like, shape=[..., d]

        Returns
        -------
        array, shape=[..., d]

        Raises
        ------
        ArgumentError
            When neither or both of `direction` and `end_point` are given.
        """
        if (direction is None) == (end_point is None):
            raise ArgumentError(
                "parallel transport", got="neither or both of direction and end_point", wanted="exactly one of them"
            )
        w = self.potential.domain.require(base_point, "base_point")
        v = self.log(end_point, w) if direction is None else as_points(direction, self.potential.dim, "direction")
        u = as_points(tangent_vec, self.potential.dim, "tangent vector")
        u, v, w = onp.broadcast_arrays(u, v, w)
        if self.isometry is not None:
            end = self.isometry.exp(v, w, self.potential.domain) if direction is not None else end_point
            return self.isometry.transport(u, v, w, onp.broadcast_to(onp.asarray(end, dtype=float), w.shape))
        return self._integrate(w, v, u)[..., 2 * w.shape[-1] :]

    def shoot(self, v: onp.ndarray, w: onp.ndarray) -> onp.ndarray:
        """exp by integration, unchecked; shape=[N, d]; NaN where a geodesic leaves the domain."""
        d, alive, end = w.shape[1], onp.arange(len(w)), onp.full(w.shape, onp.nan)
        while len(alive):
            found, stop = self._solve(onp.concatenate([w, v], axis=1)[alive], min_step=1e-6)
            if stop is None:
                end[alive] = found[:, :d]
                break
            # all that are about to leave, and at least the one that stopped the solve
            ahead = stop.state[:, :d] + 0.01 * stop.state[:, d:]
            leaving = ~onp.asarray(self.potential.domain.belongs(ahead))
            leaving[stop.entry] = True
            alive = alive[~leaving]
        return end

    # inside ---------------------------------------------------------------------------------------------------------

    def _raise(self, T: Any, base_point: Any) -> Any:
        """H^{kl} T_lij, k first."""
        d = self.potential.dim
        flat = np.linalg.solve(self.potential.hessian(base_point), np.reshape(T, (*np.shape(T)[:-2], d * d)))
        return np.reshape(flat, np.shape(T))

    def _transport_rate(self, w: Any, v: Any, u: Any) -> Any:
        """-Gamma(v, u) = -H^{-1} T(v, u) / 2; NaN outside the domain unless it is being differentiated."""
        R = self.potential
        if hasattr(w, "_value") or hasattr(v, "_value"):
            pair = np.einsum("...ijk,...j,...k->...i", R._third(w), v, u)
            return -np.linalg.solve(R._hessian(w), pair[..., None])[..., 0] / 2
        w = onp.asarray(w, dtype=float)
        inside = onp.asarray(R.domain.belongs(w))
        safe = onp.where(inside[..., None], w, R.domain.interior_point())
        with onp.errstate(all="ignore"):
            H, T = onp.asarray(R._hessian(safe), dtype=float), onp.asarray(R._third(safe), dtype=float)
            pair = onp.matmul(onp.matmul(T, v[..., None, :, None])[..., 0], u[..., :, None])
            bad = ~(inside & onp.isfinite(H).all((-1, -2)) & onp.isfinite(pair).all((-1, -2)))
            H = onp.where(bad[..., None, None], onp.eye(R.dim), H)
            try:
                rate = -onp.linalg.solve(H, pair)[..., 0] / 2
            except onp.linalg.LinAlgError:
                return onp.full(w.shape, onp.nan)
        return onp.where(bad[..., None], onp.nan, rate)

    def _integrate(self, w: onp.ndarray, *vectors: onp.ndarray) -> onp.ndarray:
        """(w, v, u, ...) at time 1: the geodesic with velocity v, and u, ... transported along it; shape=[..., k d]."""
        start = onp.concatenate([w, *vectors], axis=-1)
        end, stop = self._solve(start.reshape(-1, start.shape[-1]))
        if stop is not None:
            raise geodesic_ends(stop, w.shape[:-1], 0.0, 1.0, w.shape[-1])
        return end.reshape(start.shape)

    def _solve(self, start: onp.ndarray, **options: float) -> tuple[onp.ndarray, Stop | None]:
        d = self.potential.dim

        def field(s: float, y: onp.ndarray) -> onp.ndarray:
            at, v = y[:, :d], y[:, d : 2 * d]
            rates = [self._transport_rate(at, v, y[:, k : k + d]) for k in range(d, y.shape[1], d)]
            return onp.concatenate([v, *rates], axis=1)

        return integrate_batch(field, start, FLOW_RTOL, FLOW_ATOL, **options)

    @cached_property
    def _traced_exp(self) -> Any:
        """exp for whoever differentiates through it: its derivatives by differences of order four, in one batch."""

        def derivatives(v: onp.ndarray, w: onp.ndarray) -> tuple[onp.ndarray, onp.ndarray]:
            d = w.shape[-1]
            shifts = DIFFERENCE * onp.concatenate([k * onp.eye(2 * d) for k in (2, 1, -1, -2)])
            ends = self.exp(v[..., None, :] + shifts[:, :d], w[..., None, :] + shifts[:, d:])
            far, near, back, behind = onp.split(ends, 4, axis=-2)
            J = onp.swapaxes(8 * (near - back) - (far - behind), -1, -2) / (12 * DIFFERENCE)
            return J[..., :d], J[..., d:]

        return autodiff.with_derivative(self.exp, derivatives)

    @cached_property
    def _traced_squared_dist(self) -> Any:
        """d(a, b)^2 with its derivatives -2 H(a) log_a(b) and -2 H(b) log_b(a)."""

        def derivatives(a: onp.ndarray, b: onp.ndarray) -> tuple[onp.ndarray, onp.ndarray]:
            def one(p: onp.ndarray, q: onp.ndarray) -> onp.ndarray:
                return -2 * onp.einsum("...ij,...j->...i", self.metric_matrix(p), self.log(q, p))

            return one(a, b), one(b, a)

        return autodiff.with_derivative(self.squared_dist, derivatives)


class _ClosedExp(ExpSolver):
    def __init__(self, metric: HessianMetric):
        super().__init__(solves_ivp=False)
        self._metric = metric

    def exp(self, tangent_vec: Any, base_point: Any) -> onp.ndarray:
        assert self._metric.isometry is not None
        return self._metric.isometry.exp(tangent_vec, base_point, self._metric.potential.domain)


class _ClosedLog(LogSolver):
    def __init__(self, metric: HessianMetric):
        super().__init__(solves_bvp=False)
        self._metric = metric

    def log(self, point: Any, base_point: Any) -> onp.ndarray:
        assert self._metric.isometry is not None
        return self._metric.isometry.log(point, base_point)


def _same_batch(a: Any, b: Any) -> tuple[Any, Any]:
    """Two arrays with one batch shape, by operations that can be differentiated."""
    shape = onp.broadcast_shapes(np.shape(a), np.shape(b))
    return a + np.zeros(shape), b + np.zeros(shape)
