"""Laws of where flows tend, of several starts with one R, and of losses that jump in time."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from geoflow._typing import ArrayLike
from geoflow.catalog.networks import diagonal_network
from geoflow.flows.gradient import gradient_flow
from geoflow.flows.links import implicit_bias
from geoflow.flows.losses import LeastSquares, LinearModelLoss
from geoflow.flows.mirror import mirror_flow
from geoflow.flows.piecewise import PiecewiseLoss
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow
from geoflow.potentials.induced import mirror_map
from geoflow.potentials.legendre import LegendreFunction
from geoflow.theorems.laws import flow_cases as cases
from geoflow.theorems.laws.register import Defect, compare, law, scale_of, size_of


@law("limit", 1e-6, lambda: cases.limit(10.0), lambda: cases.limit(100.0))
def flow_tends_to_bias(loss: LinearModelLoss, R: LegendreFunction, w0: ArrayLike, t: float) -> Defect:
    """w(t) tends to argmin { D_R(w, w0) : Zw = y } for every l(Zw - y), l least at 0 only; beside the way from w0."""
    flow = mirror_flow(loss, R, w0, [0.0, t], rtol=1e-10, atol=1e-12).unwrap()
    limit = implicit_bias(loss, R, w0)
    return size_of(flow.w[-1] - limit), scale_of(limit - flow.w[0])


@law("limit", 1e-9, lambda: cases.links("projection of another start"), lambda: cases.links("one start"))
def bias_does_not_see_the_link(losses: tuple[LinearModelLoss, ...], R: LegendreFunction, starts: ArrayLike) -> Defect:
    """Losses with one Z and y have one limit from one start, whatever the link; starts of shape=[n_losses, d]."""
    ends = np.stack([implicit_bias(loss, R, w0) for loss, w0 in zip(losses, np.asarray(starts), strict=True)])
    return size_of(ends - ends[0]), scale_of(ends)


@law("limit", 1e-4, lambda: cases.sparse(0.1), lambda: cases.sparse(1e-8))
def small_start_tends_to_l1(Z: ArrayLike, y: ArrayLike, alpha: float) -> Defect:
    """The limit of u^2 - v^2 from u = v = alpha has the least |w|_1 of all w with Zw = y, as alpha tends to 0."""
    loss = LeastSquares(Z, y)
    case = diagonal_network(loss.dim, 2, alpha)
    assert case.legendre is not None
    w = implicit_bias(loss, case.legendre, np.zeros(loss.dim))
    found = linprog(np.ones(2 * loss.dim), A_eq=np.c_[loss.Z, -loss.Z], b_eq=loss.y)  # w = p - q, p and q >= 0
    return float(np.abs(w).sum() - found.fun), float(found.fun)


@law("limit", 1e-9, cases.on_a_plateau, cases.excess)
def excess_is_integrable(
    loss: LinearModelLoss, R: LegendreFunction, w0: ArrayLike, w_star: ArrayLike, t: float
) -> Defect:
    """int_0^t (L(w(s)) - L(w*)) ds <= D_R(w*, w0) - D_R(w*, w(t)) for convex L, w* any point: the rate follows."""
    times = np.linspace(0, t, 2001)
    flow = mirror_flow(loss, R, w0, times, rtol=1e-11, atol=1e-13).unwrap()
    excess = flow.loss - float(loss(w_star))
    area = float(np.sum(excess[1:] + excess[:-1]) * times[1] / 2)
    spent = R.bregman_divergence(w_star, flow.w[0]) - R.bregman_divergence(w_star, flow.w[-1])
    slack = float(np.abs(np.diff(excess)).sum() * times[1] / 2)  # what the trapezoidal rule may be off by
    return max(0.0, area - slack - float(spent)), scale_of(spent)


@law("starts", 1e-8, lambda: cases.two_starts(False), lambda: cases.two_starts(True))
def starts_share_potential(G: Parametrization, x0: ArrayLike, x1: ArrayLike, w: ArrayLike) -> Defect:
    """R from x1 = psi(x0; mu) is R from x0 less its tangent at w1 = G(x1): R_1(w) = D_{R_0}(w, w1)."""
    first, second = mirror_map(G, x0), mirror_map(G, x1)
    w1 = G(x1)
    tangent = first(w1) + np.einsum("i,...i->...", first.gradient(w1), np.asarray(w) - w1)
    return compare(second(w), first(w) - tangent)


@law("starts", 1e-8, lambda: cases.two_starts(False)[:3], lambda: cases.two_starts(True)[:3])
def starts_share_leaf(G: Parametrization, x0: ArrayLike, x1: ArrayLike) -> Defect:
    """psi(x0; grad R(G(x1))) = x1 where x1 is on the leaf of x0, and only there."""
    return compare(joint_flow(G, x0, mirror_map(G, x0).gradient(G(x1))), x1)


@law("flow", 1e-7, lambda: cases.piecewise(1.05), lambda: cases.piecewise(1.0))
def piecewise_flow_is_mirror_flow(
    loss: PiecewiseLoss, G: Parametrization, R: LegendreFunction, x0: ArrayLike
) -> Defect:
    """With losses that jump in time, as minibatches and noise do, w of gradient flow is mirror flow; beside its way."""
    times = loss.duration * np.arange(len(loss.losses) + 1)
    flow = gradient_flow(loss, G, x0, times, rtol=1e-11, atol=1e-13).unwrap()
    mirror = mirror_flow(loss, R, G(x0), times, rtol=1e-11, atol=1e-13).unwrap()
    return size_of(flow.w - mirror.w), scale_of(flow.w - flow.w[0])
