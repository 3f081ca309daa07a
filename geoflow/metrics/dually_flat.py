"""Dually flat manifolds: the two flat connections of a Legendre function, Pythagoras, and projections."""

from __future__ import annotations

import numpy as np
from geomstats.geometry.connection import Connection

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike
from geoflow._validate import as_finite, as_points, require_type
from geoflow.errors import ArgumentError, DomainError, in_a_line
from geoflow.metrics.hessian import metric_of
from geoflow.potentials.convexity import require_definite
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.projection import bregman_projection
from geoflow.spaces.domains import ConvexDomain


class FlatConnection(Connection):
    """The connection whose geodesics are straight in the affine chart w or, `dual`, in mu = grad R(w).

    Vectors keep their components in the chart: v in w, and p = H(w) v in mu.
    """

    def __init__(self, space: ConvexDomain, potential: LegendreFunction, dual: bool):
        super().__init__(space)
        self.potential, self.dual = potential, dual

    def chart(self, point: ArrayLike) -> Array:
        """Affine coordinates, shape=[..., d]."""
        return self.potential.gradient(point) if self.dual else np.asarray(point, dtype=float)

    def chart_inverse(self, coordinates: ArrayLike) -> Array:
        """The point with these affine coordinates, shape=[..., d]."""
        if self.dual:
            return self.potential.inverse_gradient(coordinates)
        return self._point(coordinates, "end of the primal geodesic")

    def christoffels(self, base_point: ArrayLike) -> Array:
        """In the chart w, k first: zero for the primal connection, H^{kl} T_lij for the dual; shape=[..., d, d, d]."""
        R, w = self.potential, self._point(base_point)
        if not self.dual:
            return np.zeros((*w.shape, R.dim, R.dim))
        T, H = R.third_derivative(w), R.hessian(w)
        require_definite(H, w, R.name)
        return np.linalg.solve(H, T.reshape(*w.shape[:-1], R.dim, -1)).reshape(T.shape)

    def exp(self, tangent_vec: ArrayLike, base_point: ArrayLike) -> Array:
        """End of the geodesic, a straight line in the chart, or `DomainError` where it leaves; shape=[..., d]."""
        v, w = self._vector(tangent_vec), self._point(base_point)
        return self.chart_inverse(self.chart(w) + self._push(v, w))

    def log(self, point: ArrayLike, base_point: ArrayLike) -> Array:
        """Velocity at base_point of the geodesic to point, shape=[..., d]."""
        y, w = self._point(point, "point"), self._point(base_point)
        return self._pull(self.chart(y) - self.chart(w), w)

    def parallel_transport(
        self,
        tangent_vec: ArrayLike,
        base_point: ArrayLike,
        direction: ArrayLike | None = None,
        end_point: ArrayLike | None = None,
    ) -> Array:
        """Parallel transport, the same along every path; shape=[..., d].

        Exactly one of `direction`, the velocity of the geodesic, and `end_point` is given.
        """
        v, w = self._vector(tangent_vec), self._point(base_point)
        if direction is not None and end_point is None:
            end = self.exp(direction, w)
        elif direction is None and end_point is not None:
            end = self._point(end_point, "end_point")
        else:
            raise ArgumentError("parallel transport", "neither or both of direction and end_point", "exactly one")
        return self._pull(self._push(v, w), end)

    def _push(self, v: Array, w: Array) -> Array:
        return np.einsum("...ij,...j->...i", self.potential.hessian(w), v) if self.dual else v

    def _pull(self, p: Array, w: Array) -> Array:
        p, w = np.broadcast_arrays(p, w)
        if not self.dual:
            return p
        H = self.potential.hessian(w)
        require_definite(H, w, self.potential.name)
        return np.linalg.solve(H, p[..., None])[..., 0]

    def _point(self, w: ArrayLike, what: str = "base_point") -> Array:
        return self.potential.domain.require(w, what)

    def _vector(self, v: ArrayLike) -> Array:
        return as_points(v, self.potential.dim, "tangent vector")


class DuallyFlatManifold(Portable):
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
    primal, dual : FlatConnection
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
        self.primal, self.dual = (FlatConnection(self.space, potential, dual) for dual in (False, True))

    def dual_chart(self, point: ArrayLike) -> Array:
        """mu = grad R(w), shape=[..., d]."""
        return self.potential.gradient(point)

    def primal_chart(self, mu: ArrayLike) -> Array:
        """w = grad Q(mu), shape=[..., d]."""
        return self.potential.inverse_gradient(mu)

    def divergence(self, point_a: ArrayLike, point_b: ArrayLike) -> Array:
        """D_R(a, b), shape=[...]."""
        return self.potential.bregman_divergence(point_a, point_b)

    def pythagoras_defect(self, a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
        """D(a, c) - D(a, b) - D(b, c) = -<a - b, grad R(c) - grad R(b)>, shape=[...].

        Zero exactly when the primal geodesic from b to a meets the dual geodesic from b to c orthogonally.
        """
        return self.divergence(a, c) - self.divergence(a, b) - self.divergence(b, c)

    def project_to_primal_flat(self, point: ArrayLike, Z: ArrayLike, y: ArrayLike, tol: float = 1e-10) -> Array:
        """argmin { D_R(w, point) : Z w = y }, shape=[d], joined to the point by an orthogonal dual geodesic.

        Z has shape=[n, d] and y shape=[n]; errors are those of `bregman_projection`.
        """
        return bregman_projection(self.potential, Z, y, point, tol=tol)

    def project_to_dual_flat(self, point: ArrayLike, Z: ArrayLike, y: ArrayLike, tol: float = 1e-10) -> Array:
        """argmin { D_R(point, w) : Z grad R(w) = y }, shape=[d], joined to the point by an orthogonal primal geodesic.

        It is the projection of grad R(point) by the conjugate, D_R(p, w) = D_Q(grad R(w), grad R(p)).
        """
        mu = bregman_projection(self.potential.conjugate, Z, y, self.dual_chart(point), tol=tol)
        return self.primal_chart(mu)

    @property
    def translations(self) -> DualTranslations:
        """The translations of the dual chart, as a group that geomstats' `ExponentialBarycenter` accepts."""
        return DualTranslations(self)

    def __repr__(self) -> str:
        return in_a_line(f"DuallyFlatManifold({self.potential.name} on {self.potential.domain})")


class DualTranslations:
    """The domain as the group of translations in mu: a * b has mu(a) + mu(b).

    Where R is induced by a commuting parametrization these are its joint flows, and the exponential barycenter is the
    point with the mean of mu. The group exists where grad R is onto R^d; elsewhere a product may fall outside, and
    where even mu = 0 does, there is a `DomainError`.
    """

    def __init__(self, manifold: DuallyFlatManifold):
        self._manifold, self.dim, self.shape, self.point_ndim = manifold, manifold.dim, (manifold.dim,), 1
        try:
            self.identity = manifold.primal_chart(np.zeros(manifold.dim))
        except DomainError as error:
            got = f"mu = 0 outside the range of grad {manifold.potential.name}"
            wanted, remedy = "a gradient that takes every value", "use FrechetMean with the metric instead"
            raise DomainError("group of dual translations", got, wanted, remedy) from error

    def compose(self, point_a: ArrayLike, point_b: ArrayLike) -> Array:
        """The point with mu(a) + mu(b), shape=[..., d]."""
        M = self._manifold
        return M.primal_chart(M.dual_chart(point_a) + M.dual_chart(point_b))

    def inverse(self, point: ArrayLike) -> Array:
        """The point with -mu, shape=[..., d]."""
        return self._manifold.primal_chart(-self._manifold.dual_chart(point))

    def exp(self, tangent_vec: ArrayLike, base_point: ArrayLike | None = None) -> Array:
        """Dual geodesic from the identity, or from base_point, at time 1; shape=[..., d]."""
        base = self.identity if base_point is None else base_point
        return self._manifold.dual.exp(as_finite(tangent_vec, "tangent vector"), base)

    def log(self, point: ArrayLike, base_point: ArrayLike | None = None) -> Array:
        """Velocity of the dual geodesic from the identity, or from base_point, to the point; shape=[..., d]."""
        return self._manifold.dual.log(point, self.identity if base_point is None else base_point)
