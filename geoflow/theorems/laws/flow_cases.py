"""Cases of the laws of what flows conserve and where they tend, and the same with one thing made wrong."""

from __future__ import annotations

from functools import cache

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.flows.links import LinkLoss
from geoflow.flows.losses import LeastSquares
from geoflow.flows.piecewise import PiecewiseLoss, TiltedLoss
from geoflow.maps.conserved import ConservationLaw, ConservationLaws
from geoflow.maps.lie_algebra import LieAlgebra
from geoflow.maps.momentum import MomentumLaw
from geoflow.maps.parametrization import Parametrization
from geoflow.maps.reach import joint_flow
from geoflow.potentials.projection import bregman_projection
from geoflow.theorems.laws import cases

# conservation laws --------------------------------------------------------------------------------------------------


@cache
def _conserved(name: str) -> ConservationLaws:
    return LieAlgebra(cases.case_of(name).parametrization.gradient_fields).conservation_laws(2)


def conserved(holds: bool, name: str = "matrix_product") -> cases.Arguments:
    """An entry of U^T U - V^T V, its map or another one, and a start."""
    G, x0 = cases.at_start(name)
    return _conserved(name)[1], G if holds else Parametrization(lambda x: x[..., :4] + 0.3 * x[..., 4:] ** 2, 8, 4), x0


def all_conserved(holds: bool) -> cases.Arguments:
    """All laws of u^2 - v^2, or one of them and its square, its map and a start."""
    (G, x0), laws = cases.at_start(), tuple(_conserved("hyperbolic"))
    square = ConservationLaw({m + m: c for m, c in laws[0].terms.items()}, (4,), True)
    return laws if holds else (laws[0], square), G, x0


def pushed(kind: str) -> cases.Arguments:
    """A law of u^2 - v^2, or u^2 + v^2, which is none, its map, a start, a velocity and a friction."""
    (G, x0), h = cases.at_start(), _conserved("hyperbolic")[0]
    h = h if kind == "conserved" else ConservationLaw({(0, 0): 1, (2, 2): 1}, (4,), False)
    return h, G, x0, 0.2 * np.array([1.0, -1.0, 0.5, 1.0]), 0.7


def from_rest(holds: bool) -> cases.Arguments:
    """A law of a linear map from R^3, which is affine, or u v, which momentum breaks."""
    if not holds:
        (G, x0), laws = cases.at_start(), _conserved("hyperbolic")
        return laws[0], G, x0, 0.5
    G = Parametrization(lambda x: anp.stack([x[..., 0] + x[..., 1], x[..., 2] ** 2], axis=-1), 3, 2)
    return LieAlgebra(G.gradient_fields).conservation_laws(1)[0], G, np.array([0.3, 0.8, 1.0]), 0.5


def turning(holds: bool) -> cases.Arguments:
    """The momentum of the rotations that keep U U^T, or of one that does not; the map, a start, a velocity."""
    G, x0 = cases.at_start("matrix_square")
    J = _conserved("matrix_square").momentum[0]
    other = MomentumLaw(J.A * np.array([1.0, 1.0, 0.0, 0.0]), J.b, J.shape)
    return J if holds else other, G, x0, np.array([0.3, -0.2, 0.1, 0.4]), 0.7


# limits, starts and losses that jump --------------------------------------------------------------------------------


def log_cosh(r: Array) -> Array:
    """A convex link that grows linearly."""
    return anp.logaddexp(r, -r) - np.log(2.0)


def saturating(r: Array) -> Array:
    """A link that is quasi-convex and not convex."""
    return 1 - anp.exp(-(r**2) / 2)


def limit(t: float) -> cases.Arguments:
    """log cosh of one residual, negative entropy, a start and a time, long enough or not."""
    return LinkLoss(cases.LOSS.Z, cases.LOSS.y, log_cosh), cases.entropy()[0], cases.W[0], t / 5


def links(kind: str) -> cases.Arguments:
    """Three losses with one Z and y, R, and starts that are the same or not."""
    losses = (
        cases.LOSS,
        LinkLoss(cases.LOSS.Z, cases.LOSS.y, log_cosh),
        LinkLoss(cases.LOSS.Z, cases.LOSS.y, saturating),
    )
    return losses, cases.entropy()[0], [cases.W[0], cases.W[0], cases.W[0] if kind == "one start" else cases.W[1]]


def excess(t: float = 3.0) -> cases.Arguments:
    """A least-squares loss, R, a start, its projection and a time."""
    return cases.LOSS, cases.entropy()[0], cases.W[0], cases.projected()[4], t


def on_a_plateau() -> cases.Arguments:
    """The same far out on a link that is not convex, where the loss is large and its gradient is not."""
    R, loss = cases.entropy()[0], LinkLoss(cases.LOSS.Z, [8.0], saturating)
    return loss, R, cases.W[0], bregman_projection(R, loss.Z, loss.y, cases.W[0]), 3.0


def sparse(alpha: float) -> cases.Arguments:
    """Four measurements of a vector of eight entries, two of them not 0, and the size of a start."""
    Z = np.random.default_rng(0).standard_normal((4, 8))
    return Z, Z @ np.array([0, 0, 1.3, 0, 0, -0.7, 0, 0]), alpha


def two_starts(one_leaf: bool) -> cases.Arguments:
    """u^2 - v^2, a start, another one on its leaf or beside it, and points w."""
    (G, x0), w = cases.at_start(), cases.case_of().reach(3, np.random.default_rng(0))
    x1 = joint_flow(G, x0, [0.2, -0.1])
    return G, x0, x1 if one_leaf else x1 * np.array([1.1, 1.0, 1.0, 1.0]), w


def piecewise(factor: float) -> cases.Arguments:
    """Minibatches with noise, u^2 - v^2, its R times a factor, and a start."""
    rng, (G, x0) = np.random.default_rng(0), cases.at_start()
    whole = LeastSquares(rng.standard_normal((6, 2)), rng.standard_normal(6))
    batches = PiecewiseLoss.minibatches(whole, 2, 4, 0.05).losses
    noisy = PiecewiseLoss(
        [TiltedLoss(loss, xi) for loss, xi in zip(batches, rng.standard_normal((4, 2)), strict=True)], 0.05
    )
    R = cases.case_of().legendre
    assert R is not None
    return noisy, G, factor * R if factor != 1.0 else R, x0
