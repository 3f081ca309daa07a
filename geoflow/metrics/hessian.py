"""Hessian metrics as geomstats Riemannian metrics: curvature, geodesics, distance and parallel transport."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property, partial, wraps
from typing import Any

import autograd.numpy as anp
import numpy as np
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.numerics.geodesic import ExpODESolver, ExpSolver, LogSolver

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import all_finite, as_finite, as_points
from geoflow.errors import ArgumentError, DomainError
from geoflow.metrics.geodesics import BatchedIVP, ClosedExp, ClosedLog, ShootingLog, geodesic_ends, mean_of_flat_logs
from geoflow.metrics.isometries import isometry
from geoflow.metrics.space_forms import Isometry
from geoflow.numerics import autodiff
from geoflow.numerics.batches import same_batch
from geoflow.numerics.engine import Compiled, Point, definite_solve, einsum
from geoflow.numerics.integrate import FLOW_ATOL, STEPS, Steps, Stop, integrate_batch
from geoflow.numerics.picard import Rowwise
from geoflow.potentials.convexity import SINGULAR, require_definite
from geoflow.potentials.divergence import require_digits
from geoflow.potentials.kernel import CompiledFormula
from geoflow.potentials.legendre import LegendreFunction

DIFFERENCE = 1e-3


def _taking_lists(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of vectors and points, shape=[..., d], for whatever numpy reads as such; `ShapeError` for another d."""

    def array(metric: HessianMetric, value: Any) -> Any:
        if value is None or isinstance(value, (int, np.integer)) or autodiff.is_traced(value):
            return value
        return as_points(value, metric.potential.dim, f"argument of {method.__name__}")

    @wraps(method)
    def taken(self: HessianMetric, *arguments: Any, **keywords: Any) -> Any:
        named = {key: array(self, value) for key, value in keywords.items()}
        return method(self, *(array(self, value) for value in arguments), **named)

    return taken


class HessianMetric(Portable, RiemannianMetric):
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
        self.potential, self.domain, self._closed_forms = potential, space, closed_forms

    @cached_property
    def isometry(self) -> Isometry | None:
        """The isometry to space forms, where it is known and to be used."""
        return isometry(self.potential) if self._closed_forms else None

    @cached_property
    def exp_solver(self) -> ExpSolver:
        """What computes exponentials."""
        if self.isometry is not None:
            return ClosedExp(self.isometry, self.domain)
        return ExpODESolver(self.domain, BatchedIVP())

    @cached_property
    def log_solver(self) -> LogSolver:
        """What computes logarithms."""
        return ClosedLog(self.isometry) if self.isometry else ShootingLog(self, mean_of_flat_logs(self.potential))

    def __str__(self) -> str:
        return f"hess {self.potential.name} on {self.domain}"

    # the metric -----------------------------------------------------------------------------------------------------

    def metric_matrix(self, base_point: Any = None) -> Array:
        """H(w), shape=[..., d, d]."""
        return self.potential.hessian(base_point)

    def cometric_matrix(self, base_point: Any = None) -> Array:
        """H(w)^{-1}, shape=[..., d, d]."""
        if autodiff.is_traced(base_point):
            return anp.linalg.inv(self.potential.hessian(base_point))
        return self.potential.cometric(base_point)

    def inner_product_derivative_matrix(self, base_point: Any = None) -> Array:
        """d_k H_ij = T_ijk; the index of the derivation is last, shape=[..., d, d, d]."""
        return self.potential.third_derivative(base_point)

    def christoffels(self, base_point: Any = None) -> Array:
        """Gamma^k_ij = H^{kl} T_lij / 2; the contravariant index k is first, shape=[..., d, d, d]."""
        if (found := self._by_engine(_christoffels_of, base_point)) is not None:
            return found
        return self._raise(self.potential.third_derivative(base_point), base_point) / 2

    def christoffels_first_kind(self, base_point: Any = None) -> Array:
        """Gamma_kij = T_kij / 2 = <nabla_{e_i} e_j, e_k>, shape=[..., d, d, d]."""
        return self.potential.third_derivative(base_point) / 2

    # what geomstats makes of the metric, of lists too
    inner_product = _taking_lists(RiemannianMetric.inner_product)
    norm = _taking_lists(RiemannianMetric.norm)
    normalize = _taking_lists(RiemannianMetric.normalize)
    normal_basis = _taking_lists(RiemannianMetric.normal_basis)
    random_unit_tangent_vec = _taking_lists(RiemannianMetric.random_unit_tangent_vec)
    dist_broadcast = _taking_lists(RiemannianMetric.dist_broadcast)
    closest_neighbor_index = _taking_lists(RiemannianMetric.closest_neighbor_index)
    diameter = _taking_lists(RiemannianMetric.diameter)

    def squared_norm(self, vector: Any, base_point: Any = None) -> Array:
        """<v, v>, shape=[...]; `NotLegendreError` where it is negative."""
        found = _taking_lists(RiemannianMetric.squared_norm)(self, vector, base_point)
        if not autodiff.is_traced(found) and np.any(np.asarray(found) < 0):
            w = self.potential.domain.require(base_point, "base_point")
            require_definite(self.potential.hessian(w), w, self.potential.name)
        return found

    def geodesic(self, initial_point: Any, end_point: Any = None, initial_tangent_vec: Any = None) -> Any:
        """The geodesic by its start and its end or its velocity, t of shape=[n_times] to shape=[n_times, d]."""
        path = _taking_lists(RiemannianMetric.geodesic)(self, initial_point, end_point, initial_tangent_vec)
        return lambda t: path(as_finite(t, "times t"))

    # curvature ------------------------------------------------------------------------------------------------------

    def riemann_tensor(self, base_point: Any = None) -> Array:
        """R_ijk^l with R(e_j, e_k) e_i = R_ijk^l e_l: geomstats' index order, l last; shape=[..., d, d, d, d]."""
        if (found := self._by_engine(_riemann_of, base_point)) is not None:
            return found
        S = self._raise(self.potential.third_derivative(base_point), base_point)
        first = anp.einsum("...ljp,...pki->...ijkl", S, S)
        return (anp.einsum("...ijkl->...ikjl", first) - first) / 4

    def curvature(self, tangent_vec_a: Any, tangent_vec_b: Any, tangent_vec_c: Any, base_point: Any = None) -> Array:
        """R(a, b) c, shape=[..., d]."""
        S = self._raise(self.potential.third_derivative(base_point), base_point)
        act = partial(anp.einsum, "...kij,...i,...j->...k", S)
        a, b, c = tangent_vec_a, tangent_vec_b, tangent_vec_c
        return (act(b, act(a, c)) - act(a, act(b, c))) / 4

    def sectional_curvature(self, tangent_vec_a: Any, tangent_vec_b: Any, base_point: Any = None) -> Array:
        """<R(a, b) b, a> / (|a|^2 |b|^2 - <a, b>^2), shape=[...]; `ArgumentError` where a and b span no plane."""
        w = self.potential.domain.require(base_point, "base_point")
        a, b = (as_points(v, self.potential.dim, "tangent vector") for v in (tangent_vec_a, tangent_vec_b))
        require_definite(H := self.potential.hessian(w), w, self.potential.name)
        L = np.linalg.cholesky(H)
        pair = np.stack(np.broadcast_arrays(a, b), axis=-1)
        # in coordinates where H = I, an orthonormal basis of the plane: what cancels there cancels to rounding
        frame, size = np.linalg.qr(np.swapaxes(L, -1, -2) @ pair)
        if not np.all(np.abs(size[..., 1, 1]) > 1e-12 * np.linalg.norm(size[..., :, 1], axis=-1)):
            raise ArgumentError("plane of a sectional curvature", "dependent vectors", "two that are independent")
        lower = np.linalg.inv(L)
        plane = np.swapaxes(frame, -1, -2) @ lower
        T = np.einsum("...ijk,...ai,...bj,...ck->...abc", self.potential.third_derivative(w), plane, plane, lower,
                       optimize=True)  # fmt: skip
        return ((T[..., 0, 1, :] ** 2).sum(-1) - (T[..., 0, 0, :] * T[..., 1, 1, :]).sum(-1)) / 4

    def ricci_tensor(self, base_point: Any = None) -> Array:
        """Ric_jk = R_ijk^i of R(e_i, e_j) e_k, positive on spheres, shape=[..., d, d]."""
        S = self._raise(self.potential.third_derivative(base_point), base_point)
        trace = anp.einsum("...iip->...p", S)
        return (anp.einsum("...ijp,...pik->...jk", S, S) - anp.einsum("...p,...pjk->...jk", trace, S)) / 4

    # geodesics ------------------------------------------------------------------------------------------------------

    def geodesic_equation(self, state: Any) -> Array:
        """(v, -H^{-1} T(v, v) / 2) of (w, v), shape=[..., 2, d]; NaN outside the domain, for an integrator."""
        state = autodiff.as_float(state)
        v = state[..., 1, :]
        acceleration = self._transport_rate(state[..., 0, :], v, v)
        return anp.stack([anp.broadcast_to(v, anp.shape(acceleration)), acceleration], axis=-2)

    def exp(self, tangent_vec: ArrayLike, base_point: ArrayLike) -> Array:
        """End at time 1 of the geodesic from base_point with velocity tangent_vec; shape=[..., d].

        `DomainError` where it leaves the domain, `NotLegendreError` where the Hessian is not positive definite.
        """
        if autodiff.is_traced(tangent_vec) or autodiff.is_traced(base_point):
            return self._traced_exp(*same_batch(tangent_vec, base_point))
        v = as_points(tangent_vec, self.potential.dim, "tangent vector")
        v, w = np.broadcast_arrays(v, self._definite(base_point, "base_point"))
        return self._watched(lambda: self.exp_solver.exp(v, w), w)

    def log(self, point: ArrayLike, base_point: ArrayLike) -> Array:
        """Velocity at base_point of the geodesic that reaches point at time 1; shape=[..., d].

        `DomainError` where a point is outside the domain, `NotLegendreError` where the Hessian is not positive definite
        there, `ConvergenceError` where no geodesic was found.
        """
        y, w = self._definite(point, "point"), self._definite(base_point, "base_point")
        return self.log_solver.log(*np.broadcast_arrays(y, w))

    def squared_dist(self, point_a: ArrayLike, point_b: ArrayLike) -> Array:
        """Squared geodesic distance, shape=[...]; differentiable, as is `dist`."""
        if autodiff.is_traced(point_a) or autodiff.is_traced(point_b):
            return self._traced_squared_dist(*same_batch(point_a, point_b))
        if isinstance(self.log_solver, ClosedLog):
            return self._closed_distance(point_a, point_b) ** 2
        return self.squared_norm(self.log(point_b, point_a), point_a)

    def dist(self, point_a: ArrayLike, point_b: ArrayLike) -> Array:
        """Geodesic distance, shape=[...]; with a closed form to eight digits, or `ConvergenceError`."""
        traced = autodiff.is_traced(point_a) or autodiff.is_traced(point_b)
        if traced or not isinstance(self.log_solver, ClosedLog):
            return super().dist(point_a, point_b)
        return self._closed_distance(point_a, point_b)

    def parallel_transport(
        self, tangent_vec: Any, base_point: Any, direction: Any = None, end_point: Any = None
    ) -> Array:
        """Levi-Civita parallel transport along the geodesic with velocity `direction` or, just as well, to `end_point`.

        Exactly one of the two is given; shape=[..., d].
        """
        if (direction is None) == (end_point is None):
            raise ArgumentError("parallel transport", "neither or both of direction and end_point", "exactly one")
        w, d = self._definite(base_point, "base_point"), self.potential.dim
        v = self.log(end_point, w) if direction is None else as_points(direction, d, "direction")
        u, v, w = np.broadcast_arrays(as_points(tangent_vec, d, "tangent vector"), v, w)
        if self.isometry is not None:
            end = self.isometry.exp(v, w, self.potential.domain) if direction is not None else end_point
            return self.isometry.transport(u, v, w, np.broadcast_to(np.asarray(end, dtype=float), w.shape))
        return self._watched(lambda: self._integrate(w, v, u), w, way=True)[..., 2 * d :]

    def shoot(self, v: Array, w: Array) -> Array:
        """exp_w(v) - w by integration, unchecked; shape=[N, d]; NaN where a geodesic leaves the domain."""
        d, alive, end = w.shape[1], np.arange(len(w)), np.full(w.shape, np.nan)
        while len(alive):
            found, stop = self._solve(w[alive], v[alive], Steps(least=1e-6))
            if stop is None:
                end[alive] = found[:, :d]
                break
            # all that are about to leave, and at least the one that stopped the solve
            ahead = w[alive] + stop.state[:, :d] + 0.01 * stop.state[:, d:]
            leaving = ~np.asarray(self.potential.domain.belongs(ahead))
            leaving[stop.entry] = True
            alive = alive[~leaving]
        return end

    # inside ---------------------------------------------------------------------------------------------------------

    def _definite(self, w: ArrayLike, what: str) -> Array:
        """Points of the domain, with a positive definite Hessian where there is no closed form."""
        self._require_definite(w := self.potential.domain.require(w, what))
        return w

    def _require_definite(self, w: Array) -> None:
        if self.isometry is None:
            require_definite(self.potential.kernel.hessian(w), w, self.potential.name)

    def _watched(self, solve: Callable[[], Array], w: Array, way: bool = False) -> Array:
        """What geodesics from w lead to, begun with their ends or ways; H is looked at there, and where one stops."""
        try:
            found = solve()
        except DomainError as error:
            point, base = np.asarray(error.evidence["point"]), w[error.evidence["index"]]
            self._require_definite(point + np.array([[0.0], [1e-3]]) * (point - base))  # NaN outside the domain
            raise
        self._require_definite(found[..., : w.shape[-1]] + way * w)
        return found

    def _closed_distance(self, point_a: ArrayLike, point_b: ArrayLike) -> Array:
        assert self.isometry is not None
        domain = self.potential.domain
        a, b = np.broadcast_arrays(domain.require(point_a, "point_a"), domain.require(point_b, "point_b"))
        with np.errstate(all="ignore"):
            return require_digits(self.isometry.distance(b, a), a, b, f"distance in {self.potential.name}")

    def _by_engine(self, tensor: Callable[[Any], Any], base_point: Any) -> Array | None:
        """A tensor made of H^{kl} T_lij at one point, compiled; None where R is not, or where it is not finite."""
        formula = self.potential.formula
        if autodiff.is_traced(base_point) or not isinstance(formula, CompiledFormula):
            return None
        if (H := formula.points[2]) is None or (T := formula.points[3]) is None:
            return None
        if tensor not in formula.remembered:
            formula.remembered[tensor] = Compiled(partial(_of_raised, tensor, H, T), 1)
        w = self.potential.domain.require(base_point, "base_point")
        found, pivots = formula.remembered[tensor](w)
        if not (pivots > SINGULAR).all():
            require_definite(self.potential.hessian(w), w, self.potential.name)
        return found if all_finite(found) else None

    def _raise(self, T: Any, base_point: Any) -> Array:
        """H^{kl} T_lij, k first."""
        d, H = self.potential.dim, self.potential.hessian(base_point)
        if not autodiff.is_traced(H):
            require_definite(H, np.asarray(base_point, dtype=float), self.potential.name)
        return anp.reshape(anp.linalg.solve(H, anp.reshape(T, (*anp.shape(T)[:-2], d * d))), anp.shape(T))

    def _transport_rate(self, w: Any, v: Any, u: Any) -> Array:
        """-Gamma(v, u) = -H^{-1} T(v, u) / 2; NaN outside the domain unless it is being differentiated."""
        kernel = self.potential.kernel
        if autodiff.is_traced(w) or autodiff.is_traced(v):
            pair = anp.einsum("...ijk,...j,...k->...i", kernel.derivative(3, w), v, u)
            return -anp.linalg.solve(kernel.derivative(2, w), pair[..., None])[..., 0] / 2
        w = np.asarray(w, dtype=float)
        H, T = kernel.several((2, 3), w)
        with np.errstate(all="ignore"):
            pair = np.matmul(np.matmul(T, v[..., None, :, None])[..., 0], u[..., :, None])
            bad = ~(np.isfinite(H).all((-1, -2)) & np.isfinite(pair).all((-1, -2)))
            H = np.where(bad[..., None, None], np.eye(w.shape[-1]), H)
            try:
                rate = -np.linalg.solve(H, pair)[..., 0] / 2
            except np.linalg.LinAlgError:
                return np.full(w.shape, np.nan)
        return np.where(bad[..., None], np.nan, rate)

    def _integrate(self, w: Array, *vectors: Array) -> Array:
        """The way from w, and v, u, ... at time 1: the geodesic with velocity v, u, ... transported along it."""
        d, moved = w.shape[-1], np.concatenate(vectors, axis=-1)
        end, stop = self._solve(w.reshape(-1, d), moved.reshape(-1, moved.shape[-1]))
        if stop is not None:
            raise geodesic_ends(Stop(stop.s, stop.entry, w.reshape(-1, d) + stop.state[:, :d]), w.shape[:-1], d)
        return end.reshape(*w.shape[:-1], -1)

    def _solve(self, w: Array, vectors: Array, steps: Steps = STEPS) -> tuple[Array, Stop | None]:
        """The same for w and v, u, ... side by side. From its start 0, the way between near points keeps its digits."""
        d, start = self.potential.dim, np.concatenate([np.zeros_like(w), vectors], axis=1)

        def field(s: float, y: Array, w: Array) -> Array:
            at, v = w + y[:, :d], y[:, d : 2 * d]
            rates = (self._transport_rate(at, v, y[:, k : k + d]) for k in range(d, y.shape[1], d))
            return np.concatenate([v, *rates], axis=1)

        lengths = np.linalg.norm(vectors.reshape(len(w), -1, d), axis=2)
        least = np.clip(np.repeat(lengths, d, axis=1), 1e-280, 1.0)  # each vector in its own length
        atol = FLOW_ATOL * np.concatenate([10 * np.maximum(np.abs(vectors[:, :d]), least[:, :d]), least], axis=1)
        return integrate_batch(Rowwise(field, w), start, atol=atol, steps=steps)

    @cached_property
    def _traced_exp(self) -> Callable[..., Array]:
        """exp for whoever differentiates through it: its derivatives by differences of order four, in one batch."""

        def derivatives(v: Array, w: Array) -> tuple[Array, Array]:
            d = w.shape[-1]
            shifts = DIFFERENCE * np.concatenate([k * np.eye(2 * d) for k in (2, 1, -1, -2)])
            ends = self.exp(v[..., None, :] + shifts[:, :d], w[..., None, :] + shifts[:, d:])
            far, near, back, behind = np.split(ends, 4, axis=-2)
            J = np.swapaxes(8 * (near - back) - (far - behind), -1, -2) / (12 * DIFFERENCE)
            return J[..., :d], J[..., d:]

        return autodiff.with_derivative(self.exp, derivatives)

    @cached_property
    def _traced_squared_dist(self) -> Callable[..., Array]:
        """d(a, b)^2 with its derivatives -2 H(a) log_a(b) and -2 H(b) log_b(a)."""

        def derivatives(a: Array, b: Array) -> tuple[Array, Array]:
            at_a, at_b = (
                np.einsum("...ij,...j->...i", self.metric_matrix(p), self.log(q, p)) for p, q in ((a, b), (b, a))
            )
            return -2 * at_a, -2 * at_b

        return autodiff.with_derivative(self.squared_dist, derivatives)


def _of_raised(tensor: Callable[[Any], Any], H: Point, T: Point, w: Any) -> tuple[Any, Any]:
    """The tensor of H^{kl} T_lij at one point of jax, k first, and the least pivot of H."""
    raised, pivot = definite_solve(H(w), (third := T(w)).reshape(len(w), -1))
    return tensor(raised.reshape(third.shape)), pivot


def _christoffels_of(raised: Any) -> Any:
    return raised / 2


def _riemann_of(raised: Any) -> Any:
    first = einsum("ljp,pki->ijkl", raised, raised)
    return (first.transpose(0, 2, 1, 3) - first) / 4


def metric_of(R: LegendreFunction) -> HessianMetric:
    """The metric hess R, on a copy of the domain of R that carries it."""
    space = copy.copy(R.domain)
    space.equip_with_metric(HessianMetric, potential=R)
    metric: HessianMetric = space.metric
    return metric
