"""Laws of flows and of the converse theorem: limits, rates, time warps, embeddings and their inverses."""

from __future__ import annotations

import numpy as np
from scipy.integrate import cumulative_simpson, solve_ivp

from geoflow._typing import Array, ArrayLike, Map
from geoflow.errors import DomainError, NotIntrinsicError
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.losses import Loss, PointwiseLoss, Schedule
from geoflow.flows.mirror import mirror_flow
from geoflow.flows.rates import check_rate_bound
from geoflow.maps.fibred import IntrinsicLeaf, fibred_leaf
from geoflow.maps.parametrization import Parametrization
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.regularized import regularized_mirror_map
from geoflow.realization.codazzi import codazzi_brackets, metric_jet
from geoflow.realization.realized import Realization
from geoflow.results import Trajectory
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.register import Defect, compare, law, scale_of, size_of
from geoflow.theorems.obstruction import time_warp


@law("projection", 1e-9, lambda: (*cases.projected()[:4], cases.projected()[3]), cases.projected)
def projection_is_optimal(R: LegendreFunction, Z: ArrayLike, y: ArrayLike, w0: ArrayLike, w: ArrayLike) -> Defect:
    """Zw = y, and grad R(w) - grad R(w0) in range(Z^T); each relative to its own size."""
    Z, y, w = np.asarray(Z, dtype=float), np.asarray(y, dtype=float), np.asarray(w, dtype=float)
    force = R.gradient(w) - R.gradient(w0)
    outside = force - Z.T @ np.linalg.lstsq(Z.T, force, rcond=None)[0]
    feasible = size_of(Z @ w - y) / max(size_of(y), 1e-300)
    return max(feasible, size_of(outside) / max(size_of(force), 1e-300)), 1.0


@law("trajectory", 0.0, lambda: cases.rate(100.0), cases.rate)
def rate_is_bounded(R: LegendreFunction, trajectory: Trajectory, loss: Loss, w_star: ArrayLike) -> Defect:
    """L(w(t)) - L(w*) <= D_R(w*, w0) / t for a convex loss; the defect is the excess over the bound."""
    return check_rate_bound(R, trajectory, loss, w_star).defect, 1.0


@law("trajectory", 1e-9, cases.moving_away, cases.descending)
def bregman_decreases(R: LegendreFunction, trajectory: Trajectory, w_star: ArrayLike) -> Defect:
    """t -> D_R(w*, w(t)) is nonincreasing when w* is a minimiser of a convex loss."""
    divergence = R.bregman_divergence(np.broadcast_to(w_star, trajectory.w.shape), trajectory.w)
    if not divergence[0] > 0:
        raise DomainError("w*", got=f"D_R(w*, w0) = {divergence[0]:.2e}", wanted="w* away from w(0)")
    return float(np.maximum(np.diff(divergence), 0.0).max(initial=0.0)), float(divergence[0])


@law("flow", 1e-7, lambda: cases.regularized(False), lambda: cases.regularized(True))
def regularized_flow_is_mirror_flow(
    loss: Loss, G: Parametrization, h: Map, x0: ArrayLike, t: ArrayLike, schedule: Schedule
) -> Defect:
    """Gradient flow of L_t(G(x)) + alpha(t) h(x) is mirror flow of R_a, a = int alpha; relative to the way w goes."""
    flow = gradient_flow(loss, G, x0, t, rtol=1e-11, atol=1e-13, regularizer=h, schedule=schedule).unwrap()
    R = regularized_mirror_map(G, x0, h)
    mirror = mirror_flow(loss, R, G(x0), t, rtol=1e-11, atol=1e-13, schedule=schedule).unwrap()
    return size_of(flow.w - mirror.w), scale_of(flow.w - flow.w[0])


@law("flow", 1e-7, lambda: cases.warped("matrix_square"), lambda: cases.warped("neuron"))
def warped_flow_is_mirror_flow(loss: Loss, G: Parametrization, x0: ArrayLike, t: float) -> Defect:
    """grad R(w(t)) = -int s grad L dt where s C^{-1} = hess R: mirror flow in the time of rate s, by Simpson's rule."""
    times = np.linspace(0, t, 801)
    flow = gradient_flow(loss, G, x0, times, rtol=1e-11, atol=1e-13).unwrap()
    warp = time_warp(G, x0, flow.w[1:])
    factor = np.r_[1.0, warp.factor]
    pointwise = PointwiseLoss(loss, G.codomain_dim)
    force = -np.concatenate([pointwise.gradient(w[None], float(s)) for w, s in zip(flow.w, times, strict=True)])
    integral = cumulative_simpson(factor[:, None] * force, x=times, axis=0)
    return compare(warp.mu[1::2], integral[1::2])


@law("flow", 1e-8, lambda: cases.warped("matrix_product"), lambda: cases.warped("matrix_square"))
def intrinsic_flow_is_of_w(loss: Loss, G: Parametrization, x0: ArrayLike, t: float) -> Defect:
    """w' = -C(w) grad L(w), C at the lift of the segment from G(x0) to w: the flow in w alone, beside that in x.

    Where two lifts of one w have different C, it is by how much.
    """
    flow = gradient_flow(loss, G, x0, [0.0, t], rtol=1e-11, atol=1e-13).unwrap()
    leaf = fibred_leaf(G, np.asarray(x0, dtype=float), IntrinsicLeaf)
    pointwise = PointwiseLoss(loss, G.codomain_dim)

    def velocity(s: float, w: Array) -> Array:
        return -leaf.kernel.cometric_product(leaf.lift(w[None]).x, pointwise.gradient(w[None], s))[0]

    try:
        found = solve_ivp(velocity, (0, t), flow.w[0], method="DOP853", rtol=1e-9, atol=1e-11 * scale_of(flow.w))
    except NotIntrinsicError as error:
        return float(error.evidence["defect"]), 1.0
    return size_of(found.y[:, -1] - flow.w[-1]), scale_of(flow.w - flow.w[0])


@law("realization", 1e-6, lambda: cases.false_realization(1.01, 1.01, 1.01))
def embedding_is_isometric(F: Realization, w: ArrayLike) -> Defect:
    """dF^T dF = H, in the relative norm || L^{-1} dF^T dF L^{-T} - I ||_2."""
    return size_of(F.metric_error(w)), 1.0


@law("realization", 1e-6, lambda: cases.false_realization(1.0, 1.01, 1.01))
def embedding_jacobian_is_derivative(F: Realization, w: ArrayLike, h: float = 1e-4) -> Defect:
    """dF is the derivative of F, by fourth-order differences of step h."""
    at = [np.asarray(w, dtype=float)[..., None, :] + k * h * np.eye(F.dim) for k in (2, 1, -1, -2)]
    far, near, back, behind = (np.swapaxes(F.embedding(points), -1, -2) for points in at)
    return compare(F.jacobian(w), (8 * (near - back) - (far - behind)) / (12 * h))


@law("realization", 1e-9, cases.false_inverse)
def nearest_point_inverts(F: Realization, w: ArrayLike, offset: float = 0.0) -> Defect:
    """G(F(w) + normal vector) = w for normal vectors of length `offset` times the reach."""
    w = np.asarray(w, dtype=float)
    x, J = F.embedding(w), F.jacobian(w)
    Q = np.linalg.qr(J)[0]
    normal = np.ones(x.shape) - np.einsum("nDi,nEi->nD", Q, Q * np.ones((F.ambient_dim, 1)))
    length = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-300)
    return compare(F.parametrization(x + offset * min(F.certificate.reach, 1.0) * normal / length), w)


@law("realized metric", 1e-5, lambda: cases.realized_metric(cases.stretched), cases.realized_metric)
def bracket_is_codazzi_defect(F: Realization, metric_matrix: Map, w: ArrayLike) -> Defect:
    """[grad G_i, grad G_j] on M is dF of the bracket of g^{-1} e_i and g^{-1} e_j: zero exactly where g is Hessian."""
    points = np.asarray(w, dtype=float)
    inside = codazzi_brackets(*metric_jet(metric_matrix, points))
    return compare(F.parametrization.brackets(F.embedding(w)), np.einsum("nDa,nija->nijD", F.jacobian(w), inside))
