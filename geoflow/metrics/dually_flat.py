"""Dually flat manifolds: the two flat connections of a Legendre function, Pythagoras, and projections."""

from __future__ import annotations

from typing import Any

import numpy as np
from geomstats.geometry.connection import Connection

from geoflow._validate import as_finite, as_points, require_type
from geoflow.errors import ArgumentError, DomainError
from geoflow.metrics.hessian import metric_of
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.projection import bregman_projection
from geoflow.spaces.domains import ConvexDomain


class _FlatConnection(Connection):
    """A flat connection given by a global affine chart of the space."""

    def __init__(self, space: Any, potential: LegendreFunction):
        super().__init__(space)
        self.potential = potential

    def chart(self, point: Any) -> np.ndarray:
        """Affine coordinates, shape=[..., d]."""
        raise NotImplementedError

    def chart_inverse(self, coordinates: Any) -> np.ndarray:
        """The point with these affine coordinates, shape=[..., d]."""
        raise NotImplementedError

    def _push(self, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _pull(self, p: np.ndarray, w: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def exp(self, tangent_vec: Any, base_point: Any) -> np.ndarray:
        """End of the geodesic, a straight line in the chart; shape=[..., d].

        Raises
        ------
        DomainError
            When the line leaves the domain.
        """
        v, w = self._vector(tangent_vec), self.potential.domain.require(base_point, "base_point")
        return self.chart_inverse(self.chart(w) + self._push(v, w))

    def log(self, point: Any, base_point: Any) -> np.ndarray:
        """Velocity at base_point of the geodesic to point, shape=[..., d]."""
        y, w = self.potential.domain.require(point, "point"), self.potential.domain.require(base_point, "base_point")
        return self._pull(self.chart(y) - self.chart(w), w)

    def parallel_transport(
        self, tangent_vec: Any, base_point: Any, direction: Any = None, end_point: Any = None
    ) -> np.ndarray:
        """Parallel transport, the same along every path; shape=[..., d].

        Exactly one of `direction`, the velocity of the geodesic, and `end_point` is given.
        """
        if (direction is None) == (end_point is None):
            raise ArgumentError(
                "parallel transport", got="neither or both of direction and end_point", wanted="exactly one of them"
            )
        v, w = self._vector(tangent_vec), self.potential.domain.require(base_point, "base_point")
        end = self.exp(direction, w) if end_point is None else self.potential.domain.require(end_point, "end_point")
        return self._pull(self._push(v, w), end)

    def _vector(self, v: Any) -> np.ndarray:
        return as_points(v, self.potential.dim, "tangent vector")


class PrimalConnection(_FlatConnection):
    """The connection that is flat in w: geodesics are straight in w, and vectors are transported unchanged."""

    def christoffels(self, base_point: Any = None) -> np.ndarray:
        """Zero in the chart w, shape=[..., d, d, d]."""
        w = self.potential.domain.require(base_point, "base_point")
        return np.zeros((*w.shape, w.shape[-1], w.shape[-1]))

    def chart(self, point: Any) -> np.ndarray:
        return np.asarray(point, dtype=float)

    def chart_inverse(self, coordinates: Any) -> np.ndarray:
        return self.potential.domain.require(coordinates, "end of the primal geodesic")

    def _push(self, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        return v

    def _pull(self, p: np.ndarray, w: np.ndarray) -> np.ndarray:
        return p


class DualConnection(_FlatConnection):
    """The connection that is flat in mu = grad R(w): H^{-1} H moves vectors, geodesics are straight in mu."""

    def christoffels(self, base_point: Any = None) -> np.ndarray:
        """H^{kl} T_lij in the chart w, k first; shape=[..., d, d, d]."""
        R, w = self.potential, self.potential.domain.require(base_point, "base_point")
        T = R.third_derivative(w)
        return np.linalg.solve(R.hessian(w), T.reshape(*w.shape[:-1], R.dim, -1)).reshape(T.shape)

    def chart(self, point: Any) -> np.ndarray:
        return self.potential.gradient(point)

    def chart_inverse(self, coordinates: Any) -> np.ndarray:
        return self.potential.inverse_gradient(coordinates)

    def _push(self, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.einsum("...ij,...j->...i", self.potential.hessian(w), v)

    def _pull(self, p: np.ndarray, w: np.ndarray) -> np.ndarray:
        p, w = np.broadcast_arrays(p, w)
        return np.linalg.solve(self.potential.hessian(w), p[..., None])[..., 0]


class DuallyFlatManifold:
    """The domain of a Legendre function with its Hessian metric and its two flat connections.

    Points are given in the primal chart w; `dual_chart` goes to mu = grad R(w) and `primal_chart` back.

    Parameters
    ----------
    potential : LegendreFunction

    Attributes
    ----------
    space : ConvexDomain
        The domain as a geomstats manifold, equipped with `metric`.
    metric : HessianMetric
    primal, dual : Connection
        geomstats connections; the Levi-Civita connection of `metric` is their mean.

    Reference
    ---------
    Amari, Nagaoka, Methods of Information Geometry, 2000, chapter 3.
    """

    def __init__(self, potential: LegendreFunction):
        require_type(potential, LegendreFunction, "potential")
        self.potential, self.dim = potential, potential.dim
        self.metric = metric_of(potential)
        self.space: ConvexDomain = self.metric.domain
        self.primal, self.dual = PrimalConnection(self.space, potential), DualConnection(self.space, potential)

    def dual_chart(self, point: Any) -> np.ndarray:
        """mu = grad R(w), shape=[..., d]."""
        return self.potential.gradient(point)

    def primal_chart(self, mu: Any) -> np.ndarray:
        """w = grad Q(mu), shape=[..., d]."""
        return self.potential.inverse_gradient(mu)

    def divergence(self, point_a: Any, point_b: Any) -> np.ndarray:
        """D_R(a, b), shape=[...]."""
        return self.potential.bregman_divergence(point_a, point_b)

    def pythagoras_defect(self, a: Any, b: Any, c: Any) -> np.ndarray:
        """D(a, c) - D(a, b) - D(b, c) = -<a - b, grad R(c) - grad R(b)>, shape=[...].

        Zero exactly when the primal geodesic from b to a meets the dual geodesic from b to c orthogonally.
        """
        return self.divergence(a, c) - self.divergence(a, b) - self.divergence(b, c)

    def project_to_primal_flat(self, point: Any, Z: Any, y: Any, tol: float = 1e-10) -> np.ndarray:
        """argmin { D_R(w, point) : Z w = y }, joined to the point by a dual geodesic that is orthogonal to {Z w = y}.

        Parameters
        ----------
        point : array-like, shape=[d]
        Z : array-like, shape=[n, d]
        y : array-like, shape=[n]

        Raises
        ------
        InfeasibleError, ConvergenceError
        """
        return bregman_projection(self.potential, Z, y, point, tol=tol)

    def project_to_dual_flat(self, point: Any, Z: Any, y: Any, tol: float = 1e-10) -> np.ndarray:
        """argmin { D_R(point, w) : Z grad R(w) = y }, joined to the point by an orthogonal primal geodesic; shape=[d].

        It is the projection of grad R(point) by the conjugate, D_R(p, w) = D_Q(grad R(w), grad R(p)).

        Parameters
        ----------
        point : array-like, shape=[d]
        Z : array-like, shape=[n, d]
        y : array-like, shape=[n]

        Raises
        ------
        InfeasibleError, ConvergenceError
        """
        mu = bregman_projection(self.potential.conjugate, Z, y, self.dual_chart(point), tol=tol)
        return self.primal_chart(mu)

    @property
    def translations(self) -> DualTranslations:
        """The translations of the dual chart, as a group that geomstats' `ExponentialBarycenter` accepts."""
        return DualTranslations(self)

    def __repr__(self) -> str:
        return f"DuallyFlatManifold({self.potential.name} on {self.potential.domain})"


class DualTranslations:
    """The domain as the group of translations in mu: a * b has mu(a) + mu(b).

    Where R is induced by a commuting parametrization these are its joint flows, and the exponential barycenter is the
    point with the mean of mu. The group exists where grad R is onto R^d; elsewhere a product may fall outside.

    Parameters
    ----------
    manifold : DuallyFlatManifold

    Raises
    ------
    DomainError
        When mu = 0 is not in the range of grad R.
    """

    def __init__(self, manifold: DuallyFlatManifold):
        self._manifold, self.dim, self.shape, self.point_ndim = manifold, manifold.dim, (manifold.dim,), 1
        try:
            self.identity = manifold.primal_chart(np.zeros(manifold.dim))
        except DomainError as error:
            raise DomainError(
                "group of dual translations",
                got=f"mu = 0 outside the range of grad {manifold.potential.name}",
                wanted="a Legendre function whose gradient takes every value",
                remedy="use FrechetMean with the metric instead",
            ) from error

    def compose(self, point_a: Any, point_b: Any) -> np.ndarray:
        """The point with mu(a) + mu(b), shape=[..., d]."""
        M = self._manifold
        return M.primal_chart(M.dual_chart(point_a) + M.dual_chart(point_b))

    def inverse(self, point: Any) -> np.ndarray:
        """The point with -mu, shape=[..., d]."""
        M = self._manifold
        return M.primal_chart(-M.dual_chart(point))

    def exp(self, tangent_vec: Any, base_point: Any = None) -> np.ndarray:
        """Dual geodesic from the identity, or from base_point, at time 1; shape=[..., d]."""
        return self._manifold.dual.exp(as_finite(tangent_vec, "tangent vector"), self._base(base_point))

    def log(self, point: Any, base_point: Any = None) -> np.ndarray:
        """Velocity of the dual geodesic from the identity, or from base_point, to the point; shape=[..., d]."""
        return self._manifold.dual.log(point, self._base(base_point))

    def _base(self, base_point: Any) -> np.ndarray:
        return self.identity if base_point is None else base_point
