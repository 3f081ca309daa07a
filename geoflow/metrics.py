"""Hessian metrics as geomstats Riemannian metrics."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from geomstats.geometry.riemannian_metric import RiemannianMetric
from geomstats.numerics.bvp import ScipySolveBVP
from geomstats.numerics.geodesic import ExpODESolver, LogODESolver
from geomstats.numerics.ivp import ScipySolveIVP

from geoflow.legendre import LegendreFunction


class HessianMetric(RiemannianMetric):
    """The metric H = hess R on the domain of a Legendre function.

    Christoffel symbols need no derivative of the metric beyond T_ijk = d_i d_j d_k R:
    Gamma_ijk = T_ijk / 2 and Gamma^k_ij = H^{kl} T_lij / 2.

    Parameters
    ----------
    space : ConvexDomain
    potential : LegendreFunction

    Reference
    ---------
    Shima, The Geometry of Hessian Structures, 2007, section 2.
    """

    def __init__(self, space: Any, potential: LegendreFunction):
        super().__init__(space=space)
        self.potential = potential
        # geomstats' defaults are 100 Euler steps, and shooting by automatic differentiation through them
        self.exp_solver = ExpODESolver(space, ScipySolveIVP(method="DOP853", point_ndim=1, rtol=1e-10, atol=1e-12))
        self.log_solver = LogODESolver(space, integrator=ScipySolveBVP(tol=1e-9, max_nodes=20_000), use_jac=False)

    def metric_matrix(self, base_point: Any = None) -> Any:
        """H(w), shape=[..., d, d]."""
        return self.potential.hessian(base_point)

    def cometric_matrix(self, base_point: Any = None) -> Any:
        """H(w)^{-1}, shape=[..., d, d]."""
        return self.potential.cometric(base_point)

    def inner_product_derivative_matrix(self, base_point: Any = None) -> Any:
        """d_k H_ij = T_ijk; the index of the derivation is last, shape=[..., d, d, d]."""
        return self.potential.third_derivative(base_point)

    def christoffels(self, base_point: Any = None) -> Any:
        """Gamma^k_ij = H^{kl} T_lij / 2; the contravariant index k is first, shape=[..., d, d, d]."""
        H, T = self.potential.hessian(base_point), self.potential.third_derivative(base_point)
        d = self.potential.dim
        flat = np.linalg.solve(H, np.reshape(T, (*np.shape(T)[:-2], d * d)))
        return np.reshape(flat, np.shape(T)) / 2
