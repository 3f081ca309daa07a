"""The theorems as functions that return (defect, scale): used by the tests, and by `verify` on a user's own map.

A law holds where defect <= tol * scale. Each raises what the objects it calls raise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import cumulative_simpson

from geoflow import autodiff
from geoflow.bias import rate_bound as _rate_bound
from geoflow.dual import DuallyFlatManifold
from geoflow.errors import DomainError
from geoflow.fields import joint_flow
from geoflow.flows import gradient_flow, mirror_flow
from geoflow.holonomy import area_law, lift_curve
from geoflow.induced import InducedLegendreFunction, mirror_map
from geoflow.legendre import LegendreFunction
from geoflow.lie_algebra import LieAlgebra
from geoflow.losses import PointwiseLoss
from geoflow.maps import affine_image, precompose, restrict_to_leaf
from geoflow.metrics import HessianMetric
from geoflow.obstruction import time_warp
from geoflow.parametrization import Parametrization
from geoflow.realization import Realization
from geoflow.realization.codazzi import codazzi_brackets, metric_jet
from geoflow.results import EquivalenceReport, Trajectory

Law = tuple[float, float]


def _size(value: Any) -> float:
    return float(np.abs(value).max(initial=0.0)) if np.size(value) else 0.0


def _compare(value: Any, reference: Any) -> Law:
    """Largest difference, and the largest entry of the reference."""
    value, reference = np.asarray(value, dtype=float), np.asarray(reference, dtype=float)
    return _size(value - reference), max(_size(reference), np.finfo(float).tiny)


# parametrizations ---------------------------------------------------------------------------------------------------


def gradients_commute(G: Parametrization, x: Any) -> Law:
    """[grad G_i, grad G_j] = 0; the scale is that of the two terms whose difference it is."""
    check = G.check_commuting(x)
    return check.defect * check.scale, check.scale


def regular(G: Parametrization, x: Any) -> Law:
    """rank dG = d: the defect is 0 where it is, relative to the threshold of `check_regular`."""
    return G.check_regular(x).defect, 1.0


def jacobian_is_derivative(G: Parametrization, x: Any) -> Law:
    """A closed-form jacobian is the derivative of the map."""
    x = G._flat(np.asarray(x, dtype=float))
    return _compare(G.differential(x), G._gradient(autodiff.jacobian(G._function)(x), x))


def gradient_is_riemannian(G: Parametrization, x: Any, v: Any) -> Law:
    """g(grad G_i, v) = dG_i(v) for tangent vectors v, with the inner product of the manifold's own metric."""
    x, v = np.asarray(x, dtype=float), np.asarray(v, dtype=float)
    rows = np.moveaxis(G.jacobian(x), x.ndim - len(G.point_shape), 0)
    inner = np.stack([_inner_product(G, row, v, x) for row in rows], axis=-1)
    return _compare(inner, autodiff.jvp(G._function, G._flat(x), G._flat(v))[1])


def _inner_product(G: Parametrization, a: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    """g_x(a, b) by the metric of the manifold, as geomstats computes it."""
    metric = getattr(G.space, "metric", None)
    if metric is None:
        return np.sum(G._flat(a) * G._flat(b), axis=-1)
    return np.asarray(metric.inner_product(a, b, x))


def cometric_is_gram(G: Parametrization, x: Any) -> Law:
    """The cometric's entries are <grad G_i, grad G_j> of the gradient fields."""
    x = np.asarray(x, dtype=float)
    fields = [np.asarray(X(x)) for X in G.gradient_fields]
    gram = np.stack([np.stack([_inner_product(G, a, b, x) for b in fields], axis=-1) for a in fields], axis=-2)
    return _compare(G.cometric(x), gram)


def flows_commute(G: Parametrization, x: Any, s: float = 0.1) -> Law:
    """phi_i^s phi_j^s = phi_j^s phi_i^s for the first and the last gradient field."""
    X, Y = G.gradient_fields[0], G.gradient_fields[-1]
    one, other = Y.flow(X.flow(x, s), s), X.flow(Y.flow(x, s), s)
    return _size(one - other), _size(one - np.asarray(x, dtype=float))


# Legendre functions -------------------------------------------------------------------------------------------------


def gradient_is_derivative(R: LegendreFunction, w: Any) -> Law:
    """grad R is the derivative of R."""
    return _compare(R.gradient(w), autodiff.jacobian(R.potential)(np.asarray(w, dtype=float)))


def hessian_is_derivative(R: LegendreFunction, w: Any) -> Law:
    """hess R is the derivative of grad R, by automatic differentiation of R."""
    return _compare(R.hessian(w), autodiff.hessian(R.potential)(np.asarray(w, dtype=float)))


def third_derivative_is_derivative(R: LegendreFunction, w: Any) -> Law:
    """T_ijk is the third derivative of R."""
    return _compare(R.third_derivative(w), autodiff.third_derivative(R.potential)(np.asarray(w, dtype=float)))


def third_derivative_is_symmetric(R: LegendreFunction, w: Any) -> Law:
    """T_ijk is totally symmetric (Codazzi)."""
    T = R.third_derivative(w)
    gaps = [_size(T - np.swapaxes(T, -1, -2)), _size(T - np.swapaxes(T, -2, -3))]
    return max(gaps), max(_size(T), np.finfo(float).tiny)


def gradient_inverts(R: LegendreFunction, w: Any) -> Law:
    """grad Q(grad R(w)) = w."""
    return _compare(R.inverse_gradient(R.gradient(w)), w)


def fenchel_young(R: LegendreFunction, w: Any) -> Law:
    """R(w) + Q(mu) = <w, mu> at mu = grad R(w)."""
    w = np.asarray(w, dtype=float)
    mu = R.gradient(w)
    value, conjugate = R(w), R.conjugate(mu)
    product = np.einsum("...i,...i->...", w, mu)
    return _size(value + conjugate - product), max(_size(value), _size(conjugate), _size(product), 1e-300)


def conjugate_is_involution(R: LegendreFunction, w: Any) -> Law:
    """(R*)* = R: the conjugate of Q, computed from Q alone, gives R back."""
    Q = R.conjugate
    w = np.asarray(w, dtype=float)
    mu = R.gradient(w)
    value = np.einsum("...i,...i->...", Q.gradient(mu), mu) - Q(mu)
    return _compare(value, R(w))


def inverse_hessian_is_conjugate_hessian(R: LegendreFunction, w: Any) -> Law:
    """hess Q(grad R(w)) hess R(w) = I."""
    product = np.einsum("...ij,...jk->...ik", R.conjugate.hessian(R.gradient(w)), R.hessian(w))
    return _size(product - np.eye(R.dim)), 1.0


def bregman_is_nonnegative(R: LegendreFunction, w: Any, v: Any) -> Law:
    """D_R(w, v) >= 0."""
    divergence = R.bregman_divergence(w, v)
    return _size(np.minimum(divergence, 0.0)), max(_size(divergence), _size(R(w)), 1e-300)


# the direct theorem -------------------------------------------------------------------------------------------------


def lift_inverts(R: InducedLegendreFunction, w: Any) -> Law:
    """G(lift(w)) = w."""
    return _compare(R.parametrization(R.lift(w)), w)


def lift_is_joint_flow(R: InducedLegendreFunction, w: Any) -> Law:
    """lift(w) = psi(x0; grad R(w))."""
    return _compare(joint_flow(R.parametrization, R.x0, R.gradient(w)), R.lift(w))


def lift_is_path_independent(R: InducedLegendreFunction, w: Any) -> Law:
    """Lifting to w by way of the corner (w_1, ..., w_{d-1}, w0_d) ends where the straight lift ends."""
    w = np.atleast_2d(np.asarray(w, dtype=float))
    direct = R.lift(w)
    corner = w.copy()
    corner[:, -1] = R.w0[-1]
    ends = []
    for via, point in zip(R.lift(corner), w, strict=True):
        ends.append(InducedLegendreFunction(R.parametrization, via).lift(point))
    return _size(np.stack(ends) - direct), max(_size(direct - R.x0), np.finfo(float).tiny)


def inverse_hessian_is_cometric(R: InducedLegendreFunction, w: Any) -> Law:
    """hess R(w) dG dG^T = I at the lifted point."""
    product = np.einsum("...ij,...jk->...ik", R.hessian(w), R.parametrization.cometric(R.lift(w)))
    return _size(product - np.eye(R.dim)), 1.0


def induced_gradient_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: Any) -> Law:
    """grad R of the induced function is that of a closed form with the same normalisation."""
    return _compare(R.gradient(w), closed.gradient(w))


def induced_value_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: Any) -> Law:
    """R of the induced function is that of a closed form with the same normalisation."""
    return _compare(R(w), closed(w))


def induced_hessian_matches(R: InducedLegendreFunction, closed: LegendreFunction, w: Any) -> Law:
    """hess R of the induced function is that of a closed form."""
    return _compare(R.hessian(w), closed.hessian(w))


def equivalence_gap(report: EquivalenceReport) -> Law:
    """Gradient flow through G is mirror flow of R; already relative to the size of the trajectory."""
    return report.gap, 1.0


def dual_coordinate_is_loss_integral(report: EquivalenceReport) -> Law:
    """grad R(w(t)) = -int_0^t grad L_s(w(s)) ds, and lift(w(t)) = x(t); already relative."""
    return max(report.dual_gap, report.lift_gap), 1.0


# implicit bias ------------------------------------------------------------------------------------------------------


def projection_is_optimal(R: LegendreFunction, Z: Any, y: Any, w0: Any, w: Any) -> Law:
    """Zw = y, and grad R(w) - grad R(w0) in range(Z^T); each relative to its own size."""
    Z, y, w = np.asarray(Z, dtype=float), np.asarray(y, dtype=float), np.asarray(w, dtype=float)
    force = R.gradient(w) - R.gradient(w0)
    outside = force - Z.T @ np.linalg.lstsq(Z.T, force, rcond=None)[0]
    feasible = _size(Z @ w - y) / max(_size(y), 1e-300)
    return max(feasible, _size(outside) / max(_size(force), 1e-300)), 1.0


def rate_bound(R: LegendreFunction, trajectory: Trajectory, loss: Any, w_star: Any) -> Law:
    """L(w(t)) - L(w*) <= D_R(w*, w0) / t for a convex loss; the defect is the excess over the bound."""
    check = _rate_bound(R, trajectory, loss, w_star)
    return check.defect, 1.0


def bregman_decreases(R: LegendreFunction, trajectory: Trajectory, w_star: Any) -> Law:
    """t -> D_R(w*, w(t)) is nonincreasing when w* is a minimiser of a convex loss."""
    divergence = R.bregman_divergence(np.broadcast_to(w_star, trajectory.w.shape), trajectory.w)
    if not divergence[0] > 0:
        raise DomainError("w*", got=f"D_R(w*, w0) = {divergence[0]:.2e}", wanted="w* away from w(0)")
    return float(np.maximum(np.diff(divergence), 0.0).max(initial=0.0)), float(divergence[0])


# realizations -------------------------------------------------------------------------------------------------------


def embedding_is_isometric(F: Realization, w: Any) -> Law:
    """dF^T dF = H, in the relative norm || L^{-1} dF^T dF L^{-T} - I ||_2."""
    return _size(F.metric_error(w)), 1.0


def embedding_jacobian_is_derivative(F: Realization, w: Any, h: float = 1e-4) -> Law:
    """dF is the derivative of F, by fourth-order differences of step h."""
    w = np.asarray(w, dtype=float)
    columns = []
    for e in h * np.eye(F.dim):
        outer, inner = F.embedding(w + 2 * e) - F.embedding(w - 2 * e), F.embedding(w + e) - F.embedding(w - e)
        columns.append((8 * inner - outer) / (12 * h))
    return _compare(F.jacobian(w), np.stack(columns, axis=-1))


def nearest_point_inverts(F: Realization, w: Any, offset: float = 0.0) -> Law:
    """G(F(w) + normal vector) = w for normal vectors of length `offset` times the reach."""
    w = np.asarray(w, dtype=float)
    x, J = F.embedding(w), F.jacobian(w)
    Q = np.linalg.qr(J)[0]
    normal = np.ones(x.shape) - np.einsum("nDi,nEi->nD", Q, Q * np.ones((F.ambient_dim, 1)))
    length = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-300)
    return _compare(F.parametrization(x + offset * min(F.certificate.reach, 1.0) * normal / length), w)


def bracket_is_codazzi_defect(F: Realization, metric_matrix: Any, w: Any) -> Law:
    """[grad G_i, grad G_j] on M is dF of the bracket of g^{-1} e_i and g^{-1} e_j: zero exactly where g is Hessian."""
    w = np.asarray(w, dtype=float)
    inside = codazzi_brackets(*metric_jet(metric_matrix, w))
    predicted = np.einsum("nDa,nija->nijD", F.jacobian(w), inside)
    return _size(F.parametrization.brackets(F.embedding(w)) - predicted), max(_size(predicted), np.finfo(float).tiny)


# Hessian geometry ---------------------------------------------------------------------------------------------------


def curvature_is_constant(R: LegendreFunction, w: Any, value: float) -> Law:
    """Every sectional curvature of hess R is `value`: <R(a, b) b, a> = value (|a|^2 |b|^2 - <a, b>^2)."""
    w = np.asarray(w, dtype=float)
    units = [np.broadcast_to(e, w.shape) for e in np.eye(R.dim)]
    found = [R.metric.sectional_curvature(units[i], units[j], w) for i in range(R.dim) for j in range(i)]
    return _size(np.stack(found) - value), max(abs(value), 1.0)


def exp_inverts_log(metric: HessianMetric, y: Any, w: Any) -> Law:
    """exp_w(log_w(y)) = y, relative to the distance in the chart."""
    y, w = np.asarray(y, dtype=float), np.asarray(w, dtype=float)
    return _size(metric.exp(metric.log(y, w), w) - y), max(_size(y - w), np.finfo(float).tiny)


def energy_is_constant(metric: HessianMetric, v: Any, w: Any) -> Law:
    """|w'(t)|^2 is constant along geodesics; the velocity by transport of v along itself."""
    v, w = np.asarray(v, dtype=float), np.asarray(w, dtype=float)
    first = metric.squared_norm(v, w)
    half = metric.exp(v / 2, w)
    # the way back from the middle is minus the velocity there, if the geodesic is one
    velocity = -2 * metric.log(w, half)
    return _size(metric.squared_norm(velocity, half) - first), max(_size(first), np.finfo(float).tiny)


def transport_is_isometry(metric: HessianMetric, u: Any, w: Any, v: Any) -> Law:
    """Parallel transport along the geodesic with velocity v keeps lengths."""
    before = metric.squared_norm(np.asarray(u, dtype=float), w)
    moved = metric.parallel_transport(u, w, direction=v)
    return _size(metric.squared_norm(moved, metric.exp(v, w)) - before), max(_size(before), np.finfo(float).tiny)


def transports_are_dual(M: DuallyFlatManifold, u: Any, v: Any, a: Any, b: Any) -> Law:
    """<primal transport of u, dual transport of v> at b is <u, v> at a."""
    moved = M.primal.parallel_transport(u, a, end_point=b), M.dual.parallel_transport(v, a, end_point=b)
    return _compare(M.metric.inner_product(*moved, b), M.metric.inner_product(u, v, a))


def pythagoras(M: DuallyFlatManifold, a: Any, b: Any, c: Any) -> Law:
    """D(a, c) = D(a, b) + D(b, c) where the primal geodesic a-b meets the dual geodesic b-c orthogonally."""
    return _size(M.pythagoras_defect(a, b, c)), max(_size(M.divergence(a, c)), np.finfo(float).tiny)


# brackets, loops and compositions -----------------------------------------------------------------------------------


def necessary_condition(G: Parametrization, x: Any) -> Law:
    """dG.B = 0 for all iterated brackets B of length at least 2 of the gradient fields, relative to their terms."""
    return LieAlgebra(G.gradient_fields).check_necessary_condition(G, x).defect, 1.0


def lift_closes(G: Parametrization, x0: Any, loop: Any) -> Law:
    """The lift of a closed loop to (x, mu) closes: path independence, the finite form of commuting; it is relative."""
    return lift_curve(G, x0, loop).defect, 1.0


def holonomy_is_bracket(G: Parametrization, x0: Any, pair: tuple[int, int] = (0, 1)) -> Law:
    """What a small parallelogram leaves is its area times the bracket of the horizontal lifts, up to a side."""
    law = area_law(G, x0, pair)
    return abs(law.slope - 2) + law.limit_defect, 1.0


def affine_image_transforms_dual(G: Parametrization, x0: Any, A: Any, b: Any, nu: Any) -> Law:
    """Q of A G + b is Q(A^T nu) + <b, nu>: its gradient is A grad Q(A^T nu) + b."""
    A, nu = np.asarray(A, dtype=float), np.asarray(nu, dtype=float)
    image = mirror_map(affine_image(G, A, b), x0).inverse_gradient(nu)
    return _compare(image, mirror_map(G, x0).inverse_gradient(nu @ A) @ A.T + b)


def isometry_keeps_legendre(G: Parametrization, isometry: Any, space: Any, y0: Any, w: Any) -> Law:
    """G composed with an isometry induces from y0 what G induces from its image: the same grad R."""
    y0 = np.asarray(y0, dtype=float)
    moved = mirror_map(precompose(G, isometry, space), y0)
    return _compare(moved.gradient(w), mirror_map(G, np.asarray(isometry(y0), dtype=float)).gradient(w))


def product_adds_legendre(product: Parametrization, x0: Any, parts: list[LegendreFunction], w: Any) -> Law:
    """R of a product is the sum of the parts' R, each on its own block of coordinates."""
    w = np.asarray(w, dtype=float)
    ends = np.cumsum([0] + [R.dim for R in parts])
    blocks = [R.gradient(w[..., i:j]) for R, i, j in zip(parts, ends[:-1], ends[1:], strict=True)]
    return _compare(mirror_map(product, x0).gradient(w), np.concatenate(blocks, axis=-1))


def leaf_keeps_legendre(G: Parametrization, x0: Any, w: Any) -> Law:
    """G restricted to the leaf through x0, as the identity of a Hessian manifold, induces the same grad R."""
    leaf = mirror_map(restrict_to_leaf(G, x0), G(x0))
    return _compare(leaf.gradient(w), mirror_map(G, x0).gradient(w))


def regularized_flow_is_mirror_flow(loss: Any, G: Parametrization, h: Any, x0: Any, t: Any, schedule: Any) -> Law:
    """Gradient flow of L_t(G(x)) + alpha(t) h(x) is mirror flow of R_a, a = int alpha; relative to the way w goes."""
    flow = gradient_flow(loss, G, x0, t, rtol=1e-11, atol=1e-13, regularizer=h, schedule=schedule).unwrap()
    R = mirror_map(G, x0, regularizer=h)
    mirror = mirror_flow(loss, R, G(x0), t, rtol=1e-11, atol=1e-13, schedule=schedule).unwrap()
    return _size(flow.w - mirror.w), max(_size(flow.w - flow.w[0]), np.finfo(float).tiny)


def warped_flow_is_mirror_flow(loss: Any, G: Parametrization, x0: Any, t: float) -> Law:
    """grad R(w(t)) = -int s grad L dt where s C^{-1} = hess R: mirror flow in the time of rate s, by Simpson's rule."""
    times = np.linspace(0, t, 801)
    flow = gradient_flow(loss, G, x0, times, rtol=1e-11, atol=1e-13).unwrap()
    warp = time_warp(G, x0, flow.w[1:])
    factor = np.r_[1.0, warp.factor]
    pointwise = PointwiseLoss(loss, G.codomain_dim)
    force = -np.concatenate([pointwise.gradient(w[None], float(s)) for w, s in zip(flow.w, times, strict=True)])
    integral = cumulative_simpson(factor[:, None] * force, x=times, axis=0)
    return _compare(warp.mu[1::2], integral[1::2])
