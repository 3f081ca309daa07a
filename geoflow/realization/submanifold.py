"""M = F(K) as a geomstats manifold, and G = F^{-1} on it, extended by the nearest point, with closed derivatives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geomstats.geometry.manifold import Manifold

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Mask
from geoflow.maps.kernel import MapKernel
from geoflow.realization.embedding import Embedding
from geoflow.realization.nearest import NearestPoint, solve_or_nan


class Submanifold(Portable, Manifold):
    """M = F(K) in R^D; `sample` takes n and a generator to points of K, shape=[n, d]."""

    #: a nearest point is sought from the last: asked again about what has passed, it is dear and may be another
    remembers = True

    def __init__(self, F: Embedding, nearest: NearestPoint, sample: Callable[..., Array]):
        super().__init__(dim=F.dim, shape=(F.ambient_dim,), equip=False)
        self._F, self._nearest, self._sample = F, nearest, sample

    @property
    def extent(self) -> float:
        """The largest |F| at a few points of K."""
        return self._nearest.extent

    def distance_to(self, point: ArrayLike) -> Array:
        """Distance in R^D to the nearest point of M, shape=[...]; NaN where there is none in K."""
        point = np.asarray(point, dtype=float)
        foot = self._nearest(point.reshape(-1, self.shape[0]))
        return np.where(np.isnan(foot.w[:, 0]), np.nan, foot.distance).reshape(point.shape[:-1])

    def belongs(self, point: ArrayLike, atol: float = 1e-8) -> Mask:
        """Whether each point is within `atol` (1 + |x|) of M; shape=[..., D] to shape=[...]."""
        point = np.asarray(point, dtype=float)
        if point.shape[-1:] != self.shape:
            return np.zeros(point.shape[:-1], dtype=bool)
        with np.errstate(invalid="ignore"):
            return self.distance_to(point) <= atol * (1 + np.linalg.norm(point, axis=-1))

    def projection(self, point: ArrayLike) -> Array:
        """Nearest point of M, shape=[..., D]; NaN where it is outside F(K)."""
        point = np.asarray(point, dtype=float)
        foot = self._nearest(point.reshape(-1, self.shape[0]))
        return np.where(np.isnan(foot.w[:, :1]), np.nan, foot.x - foot.offset).reshape(point.shape)

    def to_tangent(self, vector: ArrayLike, base_point: ArrayLike) -> Array:
        """Orthogonal projection of vectors to the tangent space at the nearest point of M; shape=[..., D]."""
        vector, base_point = np.broadcast_arrays(np.asarray(vector, float), np.asarray(base_point, float))
        D = self.shape[0]
        J = self._nearest(base_point.reshape(-1, D)).J
        v = vector.reshape(-1, D)
        coordinates = solve_or_nan(np.swapaxes(J, 1, 2) @ J, np.einsum("nDi,nD->ni", J, v))
        return np.einsum("nDi,ni->nD", J, coordinates).reshape(vector.shape)

    def is_tangent(self, vector: ArrayLike, base_point: ArrayLike, atol: float = 1e-8) -> Mask:
        """Whether each vector is tangent to M at its base point."""
        return np.linalg.norm(self.to_tangent(vector, base_point) - np.asarray(vector), axis=-1) <= atol

    def random_point(self, n_samples: int = 1, bound: float = 1.0) -> Array:
        """F at random points of K, shape=[n_samples, D] or [D]."""
        value = self._F.value(self._sample(n_samples, np.random.default_rng(np.random.randint(2**31))))
        return value[0] if n_samples == 1 else value


class NearestPointKernel(MapKernel):
    """G = F^{-1} on M = F(K), and off M the nearest point: G(x) = argmin_w |F(w) - x|^2.

    dG(x) = A^{-1} dF^T with A = dF^T dF - <x - F, hess F>; on M, dG = H^{-1} dF^T, whose rows commute exactly when H is
    Hessian.
    """

    def __init__(self, F: Embedding, nearest: NearestPoint):
        self.dim, self.codomain_dim, self._nearest = F.ambient_dim, F.dim, nearest

    @property
    def extent(self) -> float:
        return self._nearest.extent

    def value(self, x: Array) -> Array:
        x = np.asarray(x, dtype=float)
        return self._nearest(x.reshape(-1, self.dim)).w.reshape(*x.shape[:-1], self.codomain_dim)

    def gradients(self, x: Array) -> Array:
        x = np.asarray(x, dtype=float)
        foot = self._nearest(x.reshape(-1, self.dim))
        rows = solve_or_nan(foot.A, np.swapaxes(foot.J, 1, 2))
        rows[np.isnan(foot.w[:, 0])] = np.nan
        return rows.reshape(*x.shape[:-1], self.codomain_dim, self.dim)

    def derivative_of_gradients(self, x: Array, directions: Array) -> Array:
        """D(dG)(x).v for directions v of shape=[..., m, D], to shape=[..., m, d, D].

        D(dG).v = A^{-1} (dJ^T - dA dG) with dw = dG v, dJ = hess F dw and dA = d(J^T J) - <v - J dw, hess F>; the term
        <x - F, d^3 F dw> of dA, which vanishes on M, is left out.
        """
        x, directions = np.asarray(x, dtype=float), np.asarray(directions, dtype=float)
        d, D = self.codomain_dim, self.dim
        foot = self._nearest(x.reshape(-1, D))
        v = directions.reshape(len(foot.x), -1, D)
        rows = solve_or_nan(foot.A, np.swapaxes(foot.J, 1, 2))
        dw = np.einsum("niD,nmD->nmi", rows, v)
        dJ = np.einsum("nDij,nmj->nmDi", foot.S, dw)
        half = np.einsum("nmDi,nDj->nmij", dJ, foot.J)
        normal = v - np.einsum("nDi,nmi->nmD", foot.J, dw)
        dA = half + np.swapaxes(half, -1, -2) - np.einsum("nmD,nDij->nmij", normal, foot.S)
        inner = np.swapaxes(dJ, -1, -2) - np.einsum("nmij,njD->nmiD", dA, rows)
        n, m = v.shape[:2]
        flat = np.moveaxis(inner, 1, 2).reshape(n, d, m * D)
        out = np.moveaxis(solve_or_nan(foot.A, flat).reshape(n, d, m, D), 2, 1)
        return out.reshape(*directions.shape[:-1], d, D)
