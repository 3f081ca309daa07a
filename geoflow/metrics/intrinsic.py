"""The metric that a map induces on w where its cometric is a function of w, Hessian or not, as a geomstats metric."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.numerics.geodesic import ExpSolver, LogSolver

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_points
from geoflow.maps.classes import classify
from geoflow.maps.fibred import IntrinsicLeaf, fibred_leaf
from geoflow.maps.leaf import Leaf
from geoflow.maps.lifts import metric_jet
from geoflow.maps.parametrization import Parametrization
from geoflow.metrics.geodesics import ShootingLog, geodesic_ends
from geoflow.numerics.batches import inverse_or_nan
from geoflow.numerics.integrate import FLOW_ATOL, FLOW_RTOL, Steps, Stop, integrate_batch
from geoflow.numerics.picard import Rowwise
from geoflow.potentials.induced import mirror_map
from geoflow.spaces.domains import ImplicitDomain

#: where a geodesic passes the boundary, C is singular: its end is resolved to this part of its time
TO_BOUNDARY = Steps(least=1e-7)
#: step of the differences that curvature is taken by, in lengths of the metric
DIFFERENCE = 1e-3


def induced_metric(G: Parametrization, x0: ArrayLike) -> RiemannianMetric:
    """The metric C^{-1} on the w that flows from x0, shape=[D], reach: C = dG dG^T at the lift x(w), a function of w.

    Gradient flow of every loss through G from x0 is w' = -C(w) grad L(w). Where that is a mirror flow the metric is the
    Hessian one of `mirror_map`, elsewhere an `InducedMetric`: a geomstats metric, of a space of those w that the lift
    of the segment from G(x0) reaches.

    Raises
    ------
    NotIntrinsicError
        Where two lifts of one w have different C: carries these `lifts`.
    NotRegularError, NotOnManifoldError, ConvergenceError
        What `classify` raises.

    Reference
    ---------
    Marcotte, Peyre, Gribonval, Intrinsic training dynamics of deep neural networks, 2025.
    """
    found = classify(G, x0)
    found.require_intrinsic()
    if found.is_mirror_flow:
        return mirror_map(G, x0).metric
    leaf = fibred_leaf(G, np.asarray(x0, dtype=float), IntrinsicLeaf)
    space = ImplicitDomain(G.codomain_dim, leaf.reaches, leaf.w0, f"range of {G.name} from x0")
    space.equip_with_metric(InducedMetric, leaf=leaf)
    metric: RiemannianMetric = space.metric
    return metric


class InducedMetric(Portable, RiemannianMetric):
    """The metric g = C^{-1}, C the cometric at the lift of w to a leaf, with its derivatives along horizontal lifts.

    Geodesics are integrated on the leaf: x' = sum_i p_i grad G_i with p_k' = -<p, d_k C p> / 2, which lies over the
    geodesic w' = C p; logarithms are by shooting.
    """

    def __init__(self, space: Any, leaf: Leaf):
        super().__init__(space=space)
        self.leaf, self.dim = leaf, len(leaf.w0)

    def __str__(self) -> str:
        return f"of {self.leaf.name} on w in R^{self.dim}"

    # the metric -----------------------------------------------------------------------------------------------------

    def cometric_matrix(self, base_point: ArrayLike) -> Array:
        """C(w), shape=[..., d, d]."""
        return self.leaf.kernel.cometric(self._over(base_point))

    def metric_matrix(self, base_point: ArrayLike) -> Array:
        """C(w)^{-1}, shape=[..., d, d]."""
        return np.linalg.inv(self.cometric_matrix(base_point))

    def inner_product_derivative_matrix(self, base_point: ArrayLike) -> Array:
        """d_k g_ij = -g (d_k C) g; the index of the derivation is last, shape=[..., d, d, d]."""
        return metric_jet(self.leaf.kernel, self._over(base_point))[2]

    def christoffels(self, base_point: ArrayLike) -> Array:
        """Gamma^k_ij = C^{kl} (d_i g_lj + d_j g_li - d_l g_ij) / 2, k first; shape=[..., d, d, d]."""
        return self._christoffels(self._over(base_point))

    def riemann_tensor(self, base_point: ArrayLike) -> Array:
        """R_ijk^l with R(e_j, e_k) e_i = R_ijk^l e_l, l last; shape=[..., d, d, d, d].

        Derivatives of the Christoffel symbols are differences of order four along horizontal lifts: eight digits.
        """
        w = as_points(base_point, self.dim, "base_point")
        C = self.cometric_matrix(w)
        units = DIFFERENCE * np.sqrt(np.einsum("...ii->...i", C))
        steps = np.array([2.0, 1.0, -1.0, -2.0])[:, None, None] * (units[..., None, None, :] * np.eye(self.dim))
        around = self.christoffels(w[..., None, None, :] + steps)
        far, near, back, behind = np.moveaxis(around, -5, 0)
        slope = (8 * (near - back) - (far - behind)) / (12 * units[..., :, None, None, None])  # derivation first
        gamma = self.christoffels(w)
        # R(e_j, e_k) e_i = (d_j Gamma^l_ki - d_k Gamma^l_ji + Gamma^l_jp Gamma^p_ki - Gamma^l_kp Gamma^p_ji) e_l
        first = np.einsum("...jlki->...ijkl", slope) + np.einsum("...ljp,...pki->...ijkl", gamma, gamma)
        return first - np.swapaxes(first, -3, -2)

    # geodesics ------------------------------------------------------------------------------------------------------

    @cached_property
    def exp_solver(self) -> ExpSolver:
        """What computes exponentials."""
        return _LiftedExp(self)

    @cached_property
    def log_solver(self) -> LogSolver:
        """What computes logarithms."""
        return ShootingLog(self, _straight)

    def geodesic_equation(self, state: Any) -> Array:
        """(v, -Gamma(v, v)) of (w, v), shape=[..., 2, d]; NaN where w has no lift, for an integrator."""
        state = np.asarray(state, dtype=float)
        w, v = state[..., 0, :], state[..., 1, :]
        with np.errstate(all="ignore"):
            gamma = self._christoffels(self.leaf.lift_or_nan(w).x)
        return np.stack([v, -np.einsum("...kij,...i,...j->...k", gamma, v, v)], axis=-2)

    def exp(self, tangent_vec: ArrayLike, base_point: ArrayLike) -> Array:
        """End at time 1 of the geodesic from base_point with velocity tangent_vec; shape=[..., d].

        `DomainError` where it leaves what can be reached.
        """
        v, w = (
            as_points(part, self.dim, what)
            for part, what in ((tangent_vec, "tangent vector"), (base_point, "base_point"))
        )
        v, w = np.broadcast_arrays(v, w)
        way, stop = self._geodesics(v.reshape(-1, self.dim), w.reshape(-1, self.dim))
        if stop is not None:
            raise geodesic_ends(stop, w.shape[:-1], self.dim)
        return w + way.reshape(w.shape)

    def log(self, point: ArrayLike, base_point: ArrayLike) -> Array:
        """Velocity at base_point of the geodesic that reaches point at time 1; shape=[..., d].

        `DomainError` where a point is out of reach, `ConvergenceError` where no geodesic was found.
        """
        y, w = (as_points(part, self.dim, what) for part, what in ((point, "point"), (base_point, "base_point")))
        self._over(y), self._over(w)
        return self.log_solver.log(*np.broadcast_arrays(y, w))

    def shoot(self, v: Array, w: Array) -> Array:
        """exp_w(v) - w, shape=[N, d]; NaN where a geodesic leaves what can be reached."""
        alive, end = np.arange(len(w)), np.full(w.shape, np.nan)
        while len(alive):
            way, stop = self._geodesics(v[alive], w[alive], Steps(least=1e-6))
            if stop is None:
                end[alive] = way
                break
            alive = np.delete(alive, stop.entry)
        return end

    # inside ---------------------------------------------------------------------------------------------------------

    def _over(self, w: ArrayLike) -> Array:
        """x(w), shape=[..., D], or `DomainError`."""
        return self.leaf.lift(as_points(w, self.dim, "point")).x

    def _christoffels(self, x: Array) -> Array:
        C, _, dg = metric_jet(self.leaf.kernel, x)
        lower = np.swapaxes(dg, -2, -1) + dg - np.moveaxis(dg, -1, -3)  # l first
        return 0.5 * np.einsum("...kl,...lij->...kij", C, lower)

    def _geodesics(self, v: Array, w: Array, steps: Steps = TO_BOUNDARY) -> tuple[Array, Stop | None]:
        """The ways from w that geodesics with velocities v go in unit time, shape=[N, d], or where one ends."""
        kernel, D, d = self.leaf.kernel, self.leaf.kernel.dim, self.dim
        x = self.leaf.lift(w).x
        p = np.einsum("nij,nj->ni", inverse_or_nan(kernel.cometric(x)), v)

        def field(s: float, y: Array) -> Array:
            x, p = y[:, :D], y[:, D : D + d]
            rows, C = kernel.gradients_and_cometric(x)
            change = np.einsum("nkij,ni,nj->nk", kernel.derivative_of_cometric(x, rows), p, p)
            dp = -0.5 * np.einsum("nij,nj->ni", inverse_or_nan(C), change)
            return np.concatenate([np.einsum("niD,ni->nD", rows, p), dp, np.einsum("nij,nj->ni", C, p)], axis=1)

        def length(part: Array) -> Array:
            return np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-280) * np.ones(part.shape[1])

        atol = FLOW_ATOL * np.concatenate([length(x), length(p), length(v)], axis=1)
        end, stop = integrate_batch(Rowwise(field), np.concatenate([x, p, 0 * v], axis=1), FLOW_RTOL, atol, steps)
        if stop is not None:
            stop = Stop(stop.s, stop.entry, w + stop.state[:, D + d :])
        return end[:, D + d :], stop


def _straight(w: Array, y: Array) -> Array:
    return y - w


class _LiftedExp(ExpSolver):
    """The exponential of an induced metric, for whoever asks geomstats' way."""

    def __init__(self, metric: InducedMetric):
        super().__init__(solves_ivp=True)
        self._metric = metric

    def exp(self, tangent_vec: Array, base_point: Array) -> Array:
        return self._metric.exp(tangent_vec, base_point)

    def geodesic_ivp(self, tangent_vec: Array, base_point: Array) -> Callable[[ArrayLike], Array]:
        """t of shape=[n_times] to points of shape=[..., n_times, d]."""

        def path(t: ArrayLike) -> Array:
            times = np.atleast_1d(np.asarray(t, dtype=float))
            return self._metric.exp(times[:, None] * tangent_vec[..., None, :], base_point[..., None, :])

        return path
