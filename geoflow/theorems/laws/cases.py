"""Cases that laws hold on, and the same with one thing made wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.catalog.registry import Case, noncommuting, parametrizations, potentials
from geoflow.flows.losses import LeastSquares
from geoflow.flows.mirror import mirror_flow
from geoflow.maps.kernel import MapKernel
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.products import product_of_maps
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.metrics.hessian import HessianMetric
from geoflow.potentials.induced import InducedLegendreFunction, mirror_map
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.projection import bregman_projection
from geoflow.realization.construct import realize, realize_metric
from geoflow.realization.embedding import Embedding, Jet
from geoflow.realization.realized import Realization
from geoflow.results import EquivalenceReport, Trajectory
from geoflow.spaces.domains import Box
from geoflow.theorems.equivalence import verify_equivalence

LOSS = LeastSquares([[1.0, 2.0]], [1.0])

# maps ---------------------------------------------------------------------------------------------------------------


def commuting(name: str = "hyperbolic") -> Case:
    """A commuting entry of the catalogue, d = 2."""
    return parametrizations[name](2)


def at_start(case: Case) -> tuple[Parametrization, Array]:
    """Its map and its start."""
    return case.parametrization, case.x0


def parabola() -> tuple[Parametrization, Array]:
    """A map that does not commute, at a point."""
    return noncommuting["parabola"]().parametrization, np.ones(2)


class FalseKernel(MapKernel):
    """A kernel with methods multiplied by factors: of a map whose derivatives are not those of its values.

    Parameters
    ----------
    part : MapKernel
    **factors : float
        For `value`, `gradients`, `cometric` or `derivative_of_gradients`.
    """

    def __init__(self, part: MapKernel, **factors: float):
        self.part, self._factors, self.dim, self.codomain_dim = part, factors, part.dim, part.codomain_dim

    def value(self, x: Array) -> Array:
        return self._factors.get("value", 1.0) * self.part.value(x)

    def jacobian(self, x: Array) -> Array:
        return self.part.jacobian(x)

    def gradients(self, x: Array) -> Array:
        return self._factors.get("gradients", 1.0) * self.part.gradients(x)

    def gradients_and_cometric(self, x: Array) -> tuple[Array, Array]:
        rows, C = self.part.gradients_and_cometric(x)
        return self._factors.get("gradients", 1.0) * rows, self._factors.get("cometric", 1.0) * C

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        return self._factors.get("derivative_of_gradients", 1.0) * self.part.derivative_of_gradients(x, directions)


def falsified(G: Parametrization, **factors: float) -> Parametrization:
    """The same map with a `FalseKernel`."""
    return Parametrization.from_kernel(FalseKernel(G.kernel, **factors), G.space, f"falsified {G.name}")


def with_wrong_jacobian() -> tuple[Parametrization, Array]:
    """A closed form that is 3/2 of the derivative."""
    G = Parametrization(lambda y: y**2, 2, 2, jacobian=lambda y: 3 * y[..., None] * np.eye(2))
    return G, np.array([[2.0, 3.0], [1.0, -1.0]])


class WrongOperations(Parametrization):
    """A map whose affine images and leaves are those of another start or offset."""

    def affine(self, A: Any, b: Any = 0.0) -> Parametrization:
        return super().affine(A, 2 * np.asarray(b) + 1)

    def on_leaf(self, x0: Any) -> Parametrization:
        return super().on_leaf(np.asarray(x0) * np.linspace(1.1, 0.9, self.dim))


def with_wrong_operations(case: Case) -> WrongOperations:
    """The map of a case, with operations that are wrong."""
    G = case.parametrization
    return WrongOperations.from_kernel(G.kernel, G.space, G.name)


def square_loop(case: Case) -> tuple[Parametrization, Array, Array]:
    """A map, its start, and a small square in w."""
    w0 = case.parametrization(case.x0)
    return case.parametrization, case.x0, w0 + 0.1 * np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])


def product_of(*names: str, swapped: bool = False) -> tuple[Parametrization, Array, list[LegendreFunction], Array]:
    """The product of two entries, d = 1, its start, the closed forms of the parts in their order or not, and points."""
    parts = [parametrizations[name](1) for name in names]
    functions = [case.legendre for case in parts if case.legendre is not None]
    w0 = np.concatenate([case.parametrization(case.x0) for case in parts])
    product = product_of_maps(*(case.parametrization for case in parts))
    x0 = np.concatenate([case.x0 for case in parts])
    return product, x0, functions[::-1] if swapped else functions, w0 + 0.1 * np.eye(2)


# induced functions --------------------------------------------------------------------------------------------------


class Shifted(InducedLegendreFunction):
    """An induced function whose lift and Hessian are off by a thousandth."""

    def lift(self, w: Any) -> Array:
        return super().lift(w) * 1.001

    def hessian(self, w: Any) -> Array:
        return super().hessian(w) * 1.001


@cache
def induced() -> tuple[InducedLegendreFunction, Array]:
    """R of u^2 - v^2, and points its flows reach."""
    case = commuting()
    return mirror_map(*at_start(case)), case.reach(4, np.random.default_rng(0))


def shifted() -> tuple[InducedLegendreFunction, Array]:
    """The same, off by a thousandth."""
    return Shifted(*at_start(commuting())), induced()[1]


def closed_form(factor: float = 1.0) -> tuple[InducedLegendreFunction, LegendreFunction, Array]:
    """An induced function, its closed form times a factor, and points."""
    R, w = induced()
    closed = commuting().legendre
    assert closed is not None
    return R, closed if factor == 1.0 else factor * closed, w


# potentials ---------------------------------------------------------------------------------------------------------

W = np.array([[0.5, 1.0], [1.5, 0.2]])


def entropy() -> tuple[LegendreFunction, Array]:
    """Negative entropy, at two points."""
    return potentials["negative_entropy"](2), W


def wrong(order: int) -> tuple[LegendreFunction, Array]:
    """Negative entropy with the closed form of one derivative off by a hundredth; of order 3, not symmetric either."""
    R = entropy()[0]
    skew = 1.01 if order < 3 else np.array([1.0, 1.01])
    closed: dict[str, Callable[[Array], Array]] = {
        ("gradient", "hessian", "third_derivative")[order - 1]: lambda w: (
            skew * R.kernel.derivative(order, w) + (0.01 if order == 3 else 0.0) * np.arange(2)
        )
    }
    return LegendreFunction(R.potential, R.domain, **closed), W  # type: ignore[arg-type]


def wrong_conjugate() -> tuple[LegendreFunction, Array]:
    """Negative entropy with a conjugate that is off by a hundredth, and says it is closed."""
    R = entropy()[0]
    Q = LegendreFunction(lambda mu: 1.01 * anp.sum(anp.exp(mu), axis=-1), 2)
    return LegendreFunction(R.potential, R.domain, conjugate=Q), W


def two_points() -> tuple[LegendreFunction, Array, Array]:
    """Negative entropy and a pair of points."""
    return (*entropy(), W[::-1])


def not_convex() -> tuple[LegendreFunction, Array, Array]:
    """Minus a square, which has no Legendre function's divergence."""
    return LegendreFunction(lambda w: -anp.sum(w**2, axis=-1), 2), W, W[::-1]


# flows --------------------------------------------------------------------------------------------------------------


@cache
def report() -> EquivalenceReport:
    """Both flows of u^2 - v^2 under a quadratic loss."""
    case = commuting()
    return verify_equivalence(LOSS, case.parametrization, case.x0, 3.0, legendre=case.legendre)


def broken_report() -> EquivalenceReport:
    """The same with gaps of a thousandth."""
    return replace(report(), gap=1e-3, dual_gap=1e-3)


@cache
def projected() -> tuple[LegendreFunction, Array, Array, Array, Array]:
    """R, Z, y, w0 and the Bregman projection of w0."""
    R, w0 = entropy()[0], W[0]
    return R, LOSS.Z, LOSS.y, w0, bregman_projection(R, LOSS.Z, LOSS.y, w0)


@cache
def descending() -> tuple[LegendreFunction, Trajectory, Array]:
    """R, a mirror flow, and its limit."""
    R, Z, y, w0, limit = projected()
    return R, mirror_flow(LeastSquares(Z, y), R, w0, np.linspace(0, 5, 50)), limit


def rate(factor: float = 1.0) -> tuple[LegendreFunction, Trajectory, LeastSquares, Array]:
    """A mirror flow with its times multiplied, as if it had taken longer."""
    R, flow, limit = descending()
    return R, replace(flow, t=factor * flow.t), LOSS, limit


def moving_away() -> tuple[LegendreFunction, Trajectory, Array]:
    """A flow and a point near its start, which is no minimiser."""
    R, flow, limit = descending()
    return R, flow, flow.w[0] + 1e-3 * (limit - flow.w[0])


def decay(x: Array) -> Array:
    """|x|^2 / 2."""
    return anp.sum(x**2, axis=-1) / 2


def regularized(commutes: bool) -> tuple[Any, ...]:
    """Weight decay of u^2 - v^2, or of u^3 - v^3, with which it does not commute, the check switched off."""
    loss = LeastSquares([[1.0, 0.5]], [0.4])
    if commutes:
        case = commuting()
        return loss, case.parametrization, decay, case.x0, 0.5, 0.6
    G = Parametrization(lambda x: x[..., :2] ** 3 - x[..., 2:] ** 3, 4, 2)
    G.commuting_tol = 10.0
    return loss, G, decay, np.array([1.0, 0.9, 0.8, 1.1]), 0.5, 0.6


def warped(name: str) -> tuple[Any, ...]:
    """A loss, a map whose metric is conformal to a Hessian one or is not, its start and a time."""
    case = noncommuting[name]()
    w0 = case.parametrization(case.x0)
    target = w0 + 0.1 * np.linspace(1.0, 2.0, len(w0))
    return (lambda w: anp.sum((w - target) ** 2) / 2), case.parametrization, case.x0, 0.5


# realizations -------------------------------------------------------------------------------------------------------


class FalseEmbedding(Embedding):
    """An embedding with its values or its derivatives multiplied."""

    def __init__(self, part: Embedding, factors: tuple[float, float, float]):
        self._part, self._factors, self.dim, self.ambient_dim = part, factors, part.dim, part.ambient_dim

    def jet(self, w: Array) -> Jet:
        value, first, second = self._part.jet(w)
        return self._factors[0] * value, self._factors[1] * first, self._factors[2] * second


@cache
def realization() -> tuple[Realization, Array]:
    """A spectral realization of log-sum-exp, and points."""
    R = potentials["log_sum_exp"](2)
    F = realize(LegendreFunction(R.potential, 2), Box([-1, -1], [1, 1]), tol=1e-6, method="spectral")
    return F, np.random.default_rng(0).uniform(-0.8, 0.8, size=(5, 2))


def false_realization(*factors: float) -> tuple[Realization, Array]:
    """The same with its values, first and second derivatives multiplied."""
    F, w = realization()
    value, first, second = factors
    embedding = FalseEmbedding(F.map, (value, first, second))
    return Realization(embedding, F.target, F.method, F.reason, F.certificate), w


def false_inverse() -> tuple[Realization, Array]:
    """The same with a parametrization that is off by a thousandth."""
    F, w = realization()
    G = copy.copy(F)
    G.__dict__["parametrization"] = falsified(F.parametrization, value=1.001)
    return G, w


def diagonal_metric(first: Array, second: Array) -> Array:
    """diag(first, second), shape=[..., 2, 2]."""
    zero = anp.zeros(anp.shape(first))
    return anp.stack([anp.stack([first, zero], axis=-1), anp.stack([zero, second], axis=-1)], axis=-2)


def bent(w: Array) -> Array:
    """diag(1, 1 + w_1^2), which is not Hessian."""
    return diagonal_metric(anp.ones(anp.shape(w)[:-1]), 1 + w[..., 0] ** 2)


def stretched(w: Array) -> Array:
    """diag(exp w_2, 1), another one."""
    return diagonal_metric(anp.exp(w[..., 1]), anp.ones(anp.shape(w)[:-1]))


@cache
def realized_metric() -> tuple[Realization, Array]:
    """A realization of `bent`, and points."""
    return realize_metric(bent, Box([-1, -1], [1, 1])), np.random.default_rng(1).uniform(-0.8, 0.8, size=(10, 2))


# Hessian geometry ---------------------------------------------------------------------------------------------------

A, B = np.array([[0.0, -1.0]]), np.array([[1.0, -0.5]])


def gaussian(exact: bool = True) -> HessianMetric:
    """The Gaussian family's metric, or the same with geomstats' 100 Euler steps and vectors left alone in transport."""
    from geomstats.numerics.geodesic import ExpODESolver
    from geomstats.numerics.ivp import GSIVPIntegrator

    R = potentials["gaussian_log_partition"](2)
    if exact:
        return R.metric
    space = copy.copy(R.domain)
    space.equip_with_metric(HessianMetric, potential=R, closed_forms=False)
    metric: HessianMetric = space.metric
    metric.exp_solver = ExpODESolver(metric.domain, GSIVPIntegrator(n_steps=100))
    metric.parallel_transport = lambda u, w, direction: u  # type: ignore[method-assign,assignment]
    return metric


def velocity(metric: HessianMetric) -> Array:
    """The logarithm of B at A."""
    return metric.log(B, A)


def dual_manifold(exact: bool = True) -> DuallyFlatManifold:
    """The entropy's, or one whose dual connection is the primal one."""
    M = DuallyFlatManifold(entropy()[0])
    if not exact:
        M.dual = M.primal  # type: ignore[assignment]
    return M


def right_triangle(right: bool = True) -> tuple[DuallyFlatManifold, Array, Array, Array]:
    """Points a, b, c with the primal line b-a orthogonal to the dual line b-c, or not."""
    M = dual_manifold()
    b, c = W
    force = M.dual_chart(c) - M.dual_chart(b)
    across = np.array([-force[1], force[0]]) / np.abs(force).max()
    return M, b + 0.2 * (across if right else force), b, c
