"""Laws of Hessian geometry: curvature, geodesics, transport, and the two flat connections."""

from __future__ import annotations

import numpy as np

from geoflow._typing import ArrayLike
from geoflow.catalog.registry import potentials
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.metrics.hessian import HessianMetric
from geoflow.potentials.legendre import LegendreFunction
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.law import Defect, compare, law, size_of


@law(
    "curvature",
    1e-10,
    lambda: (potentials["gaussian_log_partition"](2), cases.A, -0.5),
    lambda: (potentials["quartic"](2), cases.W, 0.0),
)
def curvature_is_constant(R: LegendreFunction, w: ArrayLike, value: float) -> Defect:
    """Every sectional curvature of hess R is `value`: <R(a, b) b, a> = value (|a|^2 |b|^2 - <a, b>^2)."""
    w = np.asarray(w, dtype=float)
    units = [np.broadcast_to(e, w.shape) for e in np.eye(R.dim)]
    found = [R.metric.sectional_curvature(units[i], units[j], w) for i in range(R.dim) for j in range(i)]
    return size_of(np.stack(found) - value), max(abs(value), 1.0)


@law(
    "metric",
    1e-7,
    lambda: (cases.gaussian(), cases.B, cases.A),
    lambda: (cases.gaussian(exact=False), cases.B, cases.A),
)
def exp_inverts_log(metric: HessianMetric, y: ArrayLike, w: ArrayLike) -> Defect:
    """exp_w(log_w(y)) = y, relative to the distance in the chart."""
    y, w = np.asarray(y, dtype=float), np.asarray(w, dtype=float)
    return size_of(metric.exp(metric.log(y, w), w) - y), max(size_of(y - w), np.finfo(float).tiny)


@law(
    "metric",
    1e-9,
    lambda: (cases.gaussian(), cases.velocity(cases.gaussian()), cases.A),
    lambda: (cases.gaussian(exact=False), cases.velocity(cases.gaussian(exact=False)), cases.A),
)
def energy_is_constant(metric: HessianMetric, v: ArrayLike, w: ArrayLike) -> Defect:
    """|w'(t)|^2 is constant along geodesics; the velocity by transport of v along itself."""
    v, w = np.asarray(v, dtype=float), np.asarray(w, dtype=float)
    first = metric.squared_norm(v, w)
    half = metric.exp(v / 2, w)
    # the way back from the middle is minus the velocity there, if the geodesic is one
    velocity = -2 * metric.log(w, half)
    return size_of(metric.squared_norm(velocity, half) - first), max(size_of(first), np.finfo(float).tiny)


@law(
    "metric",
    1e-9,
    lambda: (cases.gaussian(), np.ones((1, 2)), cases.A, cases.B - cases.A),
    lambda: (cases.gaussian(exact=False), np.ones((1, 2)), cases.A, cases.B - cases.A),
)
def transport_is_isometry(metric: HessianMetric, u: ArrayLike, w: ArrayLike, v: ArrayLike) -> Defect:
    """Parallel transport along the geodesic with velocity v keeps lengths."""
    before = metric.squared_norm(np.asarray(u, dtype=float), w)
    moved = metric.parallel_transport(u, w, direction=v)
    return size_of(metric.squared_norm(moved, metric.exp(v, w)) - before), max(size_of(before), np.finfo(float).tiny)


@law(
    "dually flat",
    1e-9,
    lambda: (cases.dual_manifold(), cases.W, cases.W[::-1], *cases.W),
    lambda: (cases.dual_manifold(exact=False), cases.W, cases.W[::-1], *cases.W),
)
def transports_are_dual(M: DuallyFlatManifold, u: ArrayLike, v: ArrayLike, a: ArrayLike, b: ArrayLike) -> Defect:
    """<primal transport of u, dual transport of v> at b is <u, v> at a."""
    moved = M.primal.parallel_transport(u, a, end_point=b), M.dual.parallel_transport(v, a, end_point=b)
    return compare(M.metric.inner_product(*moved, b), M.metric.inner_product(u, v, a))


@law("dually flat", 1e-9, cases.right_triangle, lambda: cases.right_triangle(right=False))
def pythagoras(M: DuallyFlatManifold, a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Defect:
    """D(a, c) = D(a, b) + D(b, c) where the primal geodesic a-b meets the dual geodesic b-c orthogonally."""
    return size_of(M.pythagoras_defect(a, b, c)), max(size_of(M.divergence(a, c)), np.finfo(float).tiny)
