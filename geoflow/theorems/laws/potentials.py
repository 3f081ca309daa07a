"""Laws of Legendre functions and their geometry: derivatives, conjugates, curvature, geodesics, connections."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np

from geoflow._typing import ArrayLike
from geoflow.catalog.registry import potentials
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.metrics.hessian import HessianMetric
from geoflow.numerics import autodiff
from geoflow.potentials.legendre import LegendreFunction
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.register import Defect, compare, law, scale_of, size_of


@law("potential", 1e-12, lambda: cases.wrong(1))
def gradient_is_derivative(R: LegendreFunction, w: ArrayLike) -> Defect:
    """grad R is the derivative of R."""
    return compare(R.gradient(w), autodiff.jacobian(R.potential)(np.asarray(w, dtype=float)))


@law("potential", 1e-11, lambda: cases.wrong(2))
def hessian_is_derivative(R: LegendreFunction, w: ArrayLike) -> Defect:
    """hess R is the derivative of grad R, by automatic differentiation of R."""
    return compare(R.hessian(w), autodiff.hessian(R.potential)(np.asarray(w, dtype=float)))


@law("potential", 1e-10, lambda: cases.wrong(3))
def third_derivative_is_derivative(R: LegendreFunction, w: ArrayLike) -> Defect:
    """T_ijk is the third derivative of R."""
    return compare(R.third_derivative(w), autodiff.third_derivative(R.potential)(np.asarray(w, dtype=float)))


@law("potential", 1e-8, lambda: cases.wrong(3), figure="T symmetric")
def third_derivative_is_symmetric(R: LegendreFunction, w: ArrayLike) -> Defect:
    """T_ijk is totally symmetric (Codazzi); what rounding leaves of a constant Hessian, 10 eps |H| / |w|, is no T."""
    T, rounding = R.third_derivative(w), 1e-7 * scale_of(R.hessian(w)) / (scale_of(w) + 1e-300)
    return max(size_of(T - np.swapaxes(T, -1, -2)), size_of(T - np.swapaxes(T, -2, -3))), max(scale_of(T), rounding)


@law("potential", 0.2, cases.on_half)
def gradient_blows_up(R: LegendreFunction, w: ArrayLike) -> Defect:
    """<grad R, outward> grows without bound towards the boundary of the domain, by as much a decade as log does."""
    return R.essential_smoothness.defect, 1.0


@law("potential", 1e-9, cases.wrong_conjugate)
def gradient_inverts(R: LegendreFunction, w: ArrayLike) -> Defect:
    """grad Q(grad R(w)) = w."""
    return compare(R.inverse_gradient(R.gradient(w)), w)


@law("potential", 1e-9, cases.wrong_conjugate)
def fenchel_young(R: LegendreFunction, w: ArrayLike) -> Defect:
    """R(w) + Q(mu) = <w, mu> at mu = grad R(w)."""
    mu = R.gradient(w)
    value, conjugate, product = R(w), R.conjugate(mu), np.einsum("...i,...i->...", np.asarray(w, dtype=float), mu)
    return size_of(value + conjugate - product), scale_of(value, conjugate, product)


@law("potential", 1e-9, cases.wrong_conjugate)
def conjugate_is_involution(R: LegendreFunction, w: ArrayLike) -> Defect:
    """(R*)* = R: the conjugate of Q, computed from Q alone, gives R back."""
    Q, mu = R.conjugate, R.gradient(w)
    return compare(np.einsum("...i,...i->...", Q.gradient(mu), mu) - Q(mu), R(w))


@law("potential", 1e-9, cases.wrong_conjugate)
def inverse_hessian_is_conjugate_hessian(R: LegendreFunction, w: ArrayLike) -> Defect:
    """hess Q(grad R(w)) hess R(w) = I."""
    product = np.einsum("...ij,...jk->...ik", R.conjugate.hessian(R.gradient(w)), R.hessian(w))
    return size_of(product - np.eye(R.dim)), 1.0


@law(
    "pair",
    1e-12,
    lambda: (LegendreFunction(lambda w: -anp.sum(w**2, axis=-1), 2), cases.W, cases.W[::-1]),
    lambda: (*cases.entropy(), cases.W[::-1]),
)
def bregman_is_nonnegative(R: LegendreFunction, w: ArrayLike, v: ArrayLike) -> Defect:
    """D_R(w, v) >= 0."""
    w, v = np.broadcast_arrays(np.asarray(w, dtype=float), np.asarray(v, dtype=float))
    flat = w.reshape(-1, R.dim), v.reshape(-1, R.dim)
    divergence = R.divergence_or_nan(*flat, flat[0] - flat[1])  # a negative one is no error here
    return size_of(np.minimum(divergence, 0.0)), scale_of(divergence, R(w))


@law(
    "curvature",
    1e-10,
    lambda: (potentials["quartic"](2), cases.W, 0.0),
    lambda: (potentials["gaussian_log_partition"](2), cases.A, -0.5),
)
def curvature_is_constant(R: LegendreFunction, w: ArrayLike, value: float) -> Defect:
    """Every sectional curvature of hess R is `value`: <R(a, b) b, a> = value (|a|^2 |b|^2 - <a, b>^2)."""
    w = np.asarray(w, dtype=float)
    units = [np.broadcast_to(e, w.shape) for e in np.eye(R.dim)]
    found = [R.metric.sectional_curvature(units[i], units[j], w) for i in range(R.dim) for j in range(i)]
    return size_of(np.stack(found) - value), max(abs(value), 1.0)


@law("metric", 1e-7, lambda: (cases.gaussian(False), cases.B, cases.A), lambda: (cases.gaussian(), cases.B, cases.A))
def exp_inverts_log(metric: HessianMetric, y: ArrayLike, w: ArrayLike) -> Defect:
    """exp_w(log_w(y)) = y, relative to the distance in the chart."""
    y, w = np.asarray(y, dtype=float), np.asarray(w, dtype=float)
    return size_of(metric.exp(metric.log(y, w), w) - y), scale_of(y - w)


@law("metric", 1e-9, lambda: cases.with_velocity(exact=False), cases.with_velocity)
def energy_is_constant(metric: HessianMetric, v: ArrayLike, w: ArrayLike) -> Defect:
    """|w'(t)|^2 is constant along geodesics; the velocity by transport of v along itself."""
    v, w = np.asarray(v, dtype=float), np.asarray(w, dtype=float)
    first = metric.squared_norm(v, w)
    half = metric.exp(v / 2, w)
    # the way back from the middle is minus the velocity there, if the geodesic is one
    velocity = -2 * metric.log(w, half)
    return compare(metric.squared_norm(velocity, half), first)


@law(
    "metric",
    1e-9,
    lambda: (cases.gaussian(False), np.ones((1, 2)), cases.A, cases.B - cases.A),
    lambda: (cases.gaussian(), np.ones((1, 2)), cases.A, cases.B - cases.A),
)
def transport_is_isometry(metric: HessianMetric, u: ArrayLike, w: ArrayLike, v: ArrayLike) -> Defect:
    """Parallel transport along the geodesic with velocity v keeps lengths."""
    moved = metric.parallel_transport(u, w, direction=v)
    return compare(metric.squared_norm(moved, metric.exp(v, w)), metric.squared_norm(np.asarray(u, dtype=float), w))


@law("dually flat", 1e-9, lambda: cases.dual_pair(exact=False), cases.dual_pair)
def transports_are_dual(M: DuallyFlatManifold, u: ArrayLike, v: ArrayLike, a: ArrayLike, b: ArrayLike) -> Defect:
    """<primal transport of u, dual transport of v> at b is <u, v> at a."""
    moved = M.primal.parallel_transport(u, a, end_point=b), M.dual.parallel_transport(v, a, end_point=b)
    return compare(M.metric.inner_product(*moved, b), M.metric.inner_product(u, v, a))


@law("dually flat", 1e-9, lambda: cases.triangle(right=False), cases.triangle)
def pythagoras(M: DuallyFlatManifold, a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Defect:
    """D(a, c) = D(a, b) + D(b, c) where the primal geodesic a-b meets the dual geodesic b-c orthogonally."""
    return size_of(M.pythagoras_defect(a, b, c)), scale_of(M.divergence(a, c))
