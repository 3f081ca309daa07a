"""Cases that laws hold on, and the same with one thing made wrong."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import autograd.numpy as anp
import numpy as np
from geomstats.numerics.geodesic import ExpODESolver
from geomstats.numerics.ivp import GSIVPIntegrator

from geoflow._typing import Array, Map
from geoflow.catalog.registry import Case, noncommuting, parametrizations, potentials
from geoflow.flows.losses import LeastSquares
from geoflow.flows.mirror import mirror_flow
from geoflow.maps.kernel import MapKernel
from geoflow.maps.parametrization import Parametrization
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.metrics.hessian import HessianMetric
from geoflow.potentials.composition import product
from geoflow.potentials.induced import InducedLegendreFunction, mirror_map
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.projection import bregman_projection
from geoflow.realization.construct import realize, realize_metric
from geoflow.realization.embedding import Embedding, Jet
from geoflow.realization.realized import Realization
from geoflow.results import EquivalenceReport, Trajectory
from geoflow.spaces.domains import Box, Orthant
from geoflow.theorems.equivalence import verify_equivalence

LOSS = LeastSquares([[1.0, 2.0]], [1.0])
W = np.array([[0.5, 1.0], [1.5, 0.2]])
A, B = np.array([[0.0, -1.0]]), np.array([[1.0, -0.5]])  # of the Gaussian family
Arguments = tuple[Any, ...]

# maps ---------------------------------------------------------------------------------------------------------------


def case_of(name: str = "hyperbolic") -> Case:
    """An entry of the catalogue, d = 2; u^2 - v^2 by default."""
    return parametrizations[name](2) if name in parametrizations else noncommuting[name]()


def at_start(name: str = "hyperbolic", **false: float) -> Arguments:
    """(G, x0) of an entry, its kernel falsified by factors."""
    case = case_of(name)
    G = case.parametrization
    return Parametrization.from_kernel(FalseKernel(G.kernel, false), G.space, G.name) if false else G, case.x0


class FalseKernel(MapKernel):
    """A kernel with methods multiplied by factors: of a map whose derivatives are not those of its values."""

    def __init__(self, part: MapKernel, factors: dict[str, float]):
        self.part, self.factors, self.dim, self.codomain_dim = part, factors, part.dim, part.codomain_dim

    def value(self, x: Array) -> Array:
        return self.factors.get("value", 1.0) * self.part.value(x)

    def jacobian(self, x: Array) -> Array:
        return self.factors.get("jacobian", 1.0) * self.part.jacobian(x)

    def gradients(self, x: Array) -> Array:
        return self.factors.get("gradients", 1.0) * self.part.gradients(x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        return self.gradients(x), self.factors.get("cometric", 1.0) * self.part.cometric(x)

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        return self.factors.get("derivative", 1.0) * self.part.derivative_of_gradients(x, directions)


class FalseOperations(Parametrization):
    """A map whose affine images have another offset, and whose leaves start elsewhere."""

    def affine(self, A: Any, b: Any = 0.0) -> Parametrization:
        return super().affine(A, 2 * np.asarray(b) + 1)

    def on_leaf(self, x0: Any) -> Parametrization:
        return super().on_leaf(np.asarray(x0) * np.linspace(1.1, 0.9, self.dim))


def false_operations() -> Arguments:
    """(G, x0) of u^2 - v^2 with operations that are wrong."""
    G, x0 = at_start()
    return FalseOperations.from_kernel(G.kernel, G.space), x0


def square_loop(name: str) -> Arguments:
    """A map, its start, and a small square in w."""
    G, x0 = at_start(name)
    return G, x0, G(x0) + 0.1 * np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])


def product_of(*names: str) -> Arguments:
    """The product of x^2 and sin x, its start, the closed forms of the entries named, and points."""
    square, sine = (parametrizations[name](1) for name in ("square", "sine"))
    G, x0 = product(square.parametrization, sine.parametrization), np.concatenate([square.x0, sine.x0])
    return G, x0, [parametrizations[name](1).legendre for name in names], G(x0) + 0.1 * np.eye(2)


class Shifted(InducedLegendreFunction):
    """An induced function whose lift and Hessian are off by a thousandth."""

    def lift(self, w: Any) -> Array:
        return super().lift(w) * 1.001

    def hessian(self, w: Any) -> Array:
        return super().hessian(w) * 1.001


@cache
def induced() -> tuple[InducedLegendreFunction, Array]:
    """R of u^2 - v^2, and points its flows reach."""
    return mirror_map(*at_start()), case_of().reach(4, np.random.default_rng(0))


def closed_form(factor: float = 1.0) -> Arguments:
    """An induced function, its closed form times a factor, and points."""
    (R, w), closed = induced(), case_of().legendre
    return R, closed if factor == 1.0 or closed is None else factor * closed, w


# potentials and their geometry --------------------------------------------------------------------------------------


def entropy() -> tuple[LegendreFunction, Array]:
    """Negative entropy, at two points."""
    return potentials["negative_entropy"](2), W


def wrong(order: int) -> Arguments:
    """Negative entropy with one derivative off by a hundredth; that of order 3 is not symmetric either."""
    R, name = entropy()[0], ("gradient", "hessian", "third_derivative")[order - 1]
    shift = 0.01 * np.arange(2) if order == 3 else 0.0
    closed: dict[str, Any] = {name: lambda w: 1.01 * R.kernel.derivative(order, w) + shift}
    return LegendreFunction(R.potential, R.domain, check=False, **closed), W


def wrong_conjugate() -> Arguments:
    """Negative entropy with a conjugate that is off by a hundredth, and says it is closed."""
    R, Q = entropy()[0], LegendreFunction(lambda mu: 1.01 * anp.sum(anp.exp(mu), axis=-1), 2)
    return LegendreFunction(R.potential, R.domain, conjugate=Q, check=False), W


def on_half() -> Arguments:
    """|w|^2 / 2 where w > 0: its gradient is bounded at the boundary."""
    return LegendreFunction(lambda w: anp.sum(w**2, axis=-1) / 2, Orthant(2)), W


def gaussian(exact: bool = True) -> HessianMetric:
    """The Gaussian family's metric, or the same with geomstats' 100 Euler steps and vectors left alone in transport."""
    R = potentials["gaussian_log_partition"](2)
    if exact:
        return R.metric
    space = copy.copy(R.domain)
    space.equip_with_metric(HessianMetric, potential=R, closed_forms=False)
    metric: Any = space.metric
    metric.exp_solver = ExpODESolver(metric.domain, GSIVPIntegrator(n_steps=100))
    metric.parallel_transport = lambda u, w, direction: u
    return metric


def with_velocity(exact: bool = True) -> Arguments:
    """The metric, the logarithm of B at A, and A."""
    return (metric := gaussian(exact)), metric.log(B, A), A


def dual_pair(exact: bool = True) -> Arguments:
    """The entropy's dually flat manifold, or one whose dual connection is the primal one; vectors and two points."""
    M = DuallyFlatManifold(entropy()[0])
    M.dual = M.dual if exact else M.primal
    return M, W, W[::-1], *W


def triangle(right: bool = True) -> Arguments:
    """Points a, b, c with the primal line b-a orthogonal to the dual line b-c, or not."""
    M, (b, c) = DuallyFlatManifold(entropy()[0]), W
    force = M.dual_chart(c) - M.dual_chart(b)
    return M, b + 0.2 * (np.array([-force[1], force[0]]) if right else force) / np.abs(force).max(), b, c


# flows --------------------------------------------------------------------------------------------------------------


@cache
def report() -> EquivalenceReport:
    """Both flows of u^2 - v^2 under a quadratic loss."""
    G, x0 = at_start()
    return verify_equivalence(LOSS, G, x0, 3.0, legendre=case_of().legendre)


@cache
def projected() -> Arguments:
    """R, Z, y, w0 and the Bregman projection of w0."""
    R, w0 = entropy()[0], W[0]
    return R, LOSS.Z, LOSS.y, w0, bregman_projection(R, LOSS.Z, LOSS.y, w0)


@cache
def descending() -> tuple[LegendreFunction, Trajectory, Array]:
    """R, a mirror flow, and its limit."""
    R, _, _, w0, limit = projected()
    return R, mirror_flow(LOSS, R, w0, np.linspace(0, 5, 50)), limit


def rate(factor: float = 1.0) -> Arguments:
    """A mirror flow with its times multiplied, as if it had taken longer."""
    R, flow, limit = descending()
    return R, replace(flow, t=factor * flow.t), LOSS, limit


def moving_away() -> Arguments:
    """A flow and a point near its start, which is no minimiser."""
    R, flow, limit = descending()
    return R, flow, flow.w[0] + 1e-3 * (limit - flow.w[0])


def regularized(commutes: bool) -> Arguments:
    """Weight decay of u^2 - v^2, or of u^3 - v^3, with which it does not commute, the check switched off."""
    G = Parametrization(lambda x: x[..., :2] ** 3 - x[..., 2:] ** 3, 4, 2)
    G.commuting_tol = 10.0
    G, x0 = at_start() if commutes else (G, np.array([1.0, 0.9, 0.8, 1.1]))
    return LeastSquares([[1.0, 0.5]], [0.4]), G, lambda x: anp.sum(x**2, axis=-1) / 2, x0, 0.5, 0.6


def warped(name: str) -> Arguments:
    """A loss, a map whose metric is conformal to a Hessian one or is not, its start and a time."""
    G, x0 = at_start(name)
    target = G(x0) + 0.1 * np.linspace(1.0, 2.0, G.codomain_dim)
    return (lambda w: anp.sum((w - target) ** 2) / 2), G, x0, 0.5


# realizations -------------------------------------------------------------------------------------------------------


class FalseEmbedding(Embedding):
    """An embedding with its values and its derivatives multiplied by factors."""

    def __init__(self, part: Embedding, factors: tuple[float, ...]):
        self.part, self.factors, self.dim, self.ambient_dim = part, factors, part.dim, part.ambient_dim

    def jet(self, w: Array) -> Jet:
        value, first, second = (c * part for c, part in zip(self.factors, self.part.jet(w), strict=True))
        return value, first, second


@cache
def realization() -> tuple[Realization, Array]:
    """A spectral realization of log-sum-exp, and points."""
    R = LegendreFunction(potentials["log_sum_exp"](2).potential, 2)
    F = realize(R, Box([-1, -1], [1, 1]), tol=1e-6, method="spectral")
    return F, np.random.default_rng(0).uniform(-0.8, 0.8, size=(5, 2))


def false_realization(*factors: float) -> Arguments:
    """The same with its values, first and second derivatives multiplied."""
    F, w = realization()
    return Realization(FalseEmbedding(F.map, factors), F.target, F.method, F.reason, F.certificate), w


def false_inverse() -> Arguments:
    """The same with a parametrization that is off by a thousandth."""
    F, w = realization()
    G, other = F.parametrization, copy.copy(F)
    vars(other)["parametrization"] = Parametrization.from_kernel(FalseKernel(G.kernel, {"value": 1.001}), G.space)
    return other, w


def bent(w: Array) -> Array:
    """diag(1, 1 + w_1^2), which is not Hessian."""
    return np.array([[1.0, 0.0], [0.0, 0.0]]) + (1 + w[..., :1, None] ** 2) * np.array([[0.0, 0.0], [0.0, 1.0]])


def stretched(w: Array) -> Array:
    """diag(exp w_2, 1), another one."""
    return anp.exp(w[..., 1:, None]) * np.array([[1.0, 0.0], [0.0, 0.0]]) + np.array([[0.0, 0.0], [0.0, 1.0]])


@cache
def _realized_metric() -> tuple[Realization, Array]:
    return realize_metric(bent, Box([-1, -1], [1, 1])), np.random.default_rng(1).uniform(-0.8, 0.8, size=(10, 2))


def realized_metric(metric: Map = bent) -> Arguments:
    """A realization of `bent`, that metric or another, and points."""
    F, w = _realized_metric()
    return F, metric, w
