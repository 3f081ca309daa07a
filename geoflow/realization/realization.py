"""Realization: an embedding, what is certified of it, and the parametrization it gives."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from geoflow._validate import as_points, describe
from geoflow.domains import Box, ConvexDomain
from geoflow.errors import DomainError
from geoflow.legendre import LegendreFunction
from geoflow.realization import spectral, twist
from geoflow.realization.certificate import Certificate, certify, relative_metric_error
from geoflow.realization.embedding import Embedding
from geoflow.realization.region import Metric, sample_region
from geoflow.realization.spectral import Stage
from geoflow.realization.submanifold import NearestPoint, Submanifold, SubmanifoldParametrization

FRESH_POINTS = 2500


class Method(str):
    """The name of a method, "exact", "twist" or "spectral", and why it was taken.

    Attributes
    ----------
    reason : str
    """

    reason: str

    def __new__(cls, name: str, reason: str) -> Method:
        value = super().__new__(cls, name)
        value.reason = reason
        return value

    def __repr__(self) -> str:
        return f"{self} ({self.reason})"


class Realization:
    """An isometric embedding F of a metric H on a region: dF^T dF = H, certified at fresh points; see `realize`.

    Attributes
    ----------
    dim, ambient_dim : int
        d and D.
    region : ConvexDomain
        Where F is certified.
    method : Method
        "exact", "twist" or "spectral"; `method.reason` says why.
    certificate : Certificate
    stages : list of Stage
        What a numerical solver reached, stage by stage.
    potential : LegendreFunction, or None
        R, where the metric is its Hessian.
    map : Embedding
        F and its derivatives, without checks.
    """

    def __init__(
        self,
        embedding: Embedding,
        metric: Metric,
        region: ConvexDomain,
        method: Method,
        tol: float,
        potential: LegendreFunction | None = None,
        stages: list[Stage] | None = None,
        seed: int = 0,
    ):
        self.map, self.region, self.method, self.potential = embedding, region, method, potential
        self.dim, self.ambient_dim = embedding.dim, embedding.ambient_dim
        self.stages = stages or []
        self._metric = metric
        self.certificate: Certificate = self.certify(tol, seed=seed)

    # the embedding --------------------------------------------------------------------------------------------------

    @property
    def exact(self) -> bool:
        """Whether F is a closed form, good on all of dom R, rather than the answer of a solver on a box."""
        return self.method == "exact"

    def embedding(self, w: Any) -> np.ndarray:
        """F(w), shape=[..., d] to shape=[..., D].

        Raises
        ------
        DomainError
            Where a point is outside the region (or, for an exact F, outside dom R).
        """
        return self._evaluate(w, 0)

    __call__ = embedding

    def jacobian(self, w: Any) -> np.ndarray:
        """dF(w), shape=[..., D, d]."""
        return self._evaluate(w, 1)

    def second_derivative(self, w: Any) -> np.ndarray:
        """hess F(w), shape=[..., D, d, d]."""
        return self._evaluate(w, 2)

    def metric_matrix(self, w: Any) -> np.ndarray:
        """The metric that was asked for, H(w), shape=[..., d, d]."""
        w = self._require(w)
        return self._metric(w.reshape(-1, self.dim)).reshape(*w.shape, self.dim)

    def metric_error(self, w: Any) -> np.ndarray:
        """Relative metric error || L^{-1} dF^T dF L^{-T} - I ||_2, H = L L^T, at each point; shape=[...]."""
        w = self._require(w)
        flat = w.reshape(-1, self.dim)
        return relative_metric_error(self.map.jacobian(flat), self._metric(flat)).reshape(w.shape[:-1])

    @cached_property
    def parametrization(self) -> SubmanifoldParametrization:
        """G = F^{-1} on M = F(region), extended to R^D by the nearest point; commuting exactly when H is Hessian."""
        nearest = NearestPoint(self.map, self._near, lambda n: self._sample(n, np.random.default_rng(1)))
        space = Submanifold(self.map, nearest, self._sample)
        name = self.potential.name if self.potential is not None else "metric"
        return SubmanifoldParametrization(space, nearest, f"G of {name}", self.certificate.metric_error)

    def certify(self, tol: float, n_points: int = FRESH_POINTS, seed: int = 0) -> Certificate:
        """Measure F again at `n_points` random points of the region, from a seed."""
        rng = np.random.default_rng([seed, 20_221])  # not a stream any solver draws from
        points = self._sample(n_points, rng)
        widths = np.maximum(np.ptp(points, axis=0), 1e-300) * np.ones_like(points)
        # near the boundary of dom R an exact F bends at the scale of the distance to it
        if self.exact:
            widths = np.minimum(widths, 10 * self._room(points)[:, None])
        return certify(self.map, self._metric, points, tol, widths, self._inside)

    def save(self, file: Any) -> None:
        """Write to an .npz file that `load_realization` reads.

        An exact realization is saved as the request it answers: reading it back needs the potential.
        """
        box = self.region if isinstance(self.region, Box) else None
        data: dict[str, Any] = {
            "kind": str(self.method),
            "reason": self.method.reason,
            "tol": self.certificate.tol,
            "lower": np.full(self.dim, np.nan) if box is None else box.lower,
            "upper": np.full(self.dim, np.nan) if box is None else box.upper,
            "stages": np.array([(s.parameter, s.grid, s.fitted, s.fresh, s.seconds) for s in self.stages]).reshape(
                -1, 5
            ),
            "probe": self._sample(200, np.random.default_rng(5)),
        }
        data["probe_metric"] = self._metric(data["probe"])
        if isinstance(self.map, spectral.SpectralMap):
            data.update(degree=self.map.basis.degree, coefficients=self.map.coefficients)
        elif isinstance(self.map, twist.TwistMap):
            data.update(
                front=self.map.front,
                directions=self.map.directions,
                frequency=self.map.frequency,
                coefficients=self.map.amplitudes.coefficients,
            )
        with open(file, "wb") as stream:
            np.savez_compressed(stream, **data)

    def __str__(self) -> str:
        return f"F: {self.region} -> R^{self.ambient_dim}, {self.method!r}; {self.certificate}"

    def __repr__(self) -> str:
        return f"Realization(R^{self.dim} -> R^{self.ambient_dim}, {self.method}, {self.certificate.metric_error:.1e})"

    # inside ---------------------------------------------------------------------------------------------------------

    def _evaluate(self, w: Any, order: int) -> np.ndarray:
        w = self._require(w)
        flat = w.reshape(-1, self.dim)
        value = self.map.value(flat) if order == 0 else self.map.jet(flat)[order]
        if not np.isfinite(value).all():
            index = int(np.argwhere(~np.isfinite(value))[0][0])
            raise DomainError(
                "point where the embedding is not finite",
                got=describe(flat[index]),
                wanted=f"a point of {self.region}",
                point=flat[index],
            )
        return value.reshape(*w.shape[:-1], *value.shape[1:])

    def _require(self, w: Any) -> np.ndarray:
        w = as_points(w, self.dim, "point of the realization")
        inside = self._near(w.reshape(-1, self.dim))
        if not inside.all():
            point = w.reshape(-1, self.dim)[int(np.argmin(inside))]
            raise DomainError(
                "point outside the realized region",
                got=describe(point),
                wanted=f"a point of {self.region}",
                remedy="realize on a larger box",
                point=point,
            )
        return w

    def _inside(self, w: np.ndarray) -> np.ndarray:
        inside = np.asarray(self.region.belongs(w))
        return inside & np.asarray(self.potential.domain.belongs(w)) if self.potential is not None else inside

    def _near(self, w: np.ndarray) -> np.ndarray:
        """Where F may be used: an exact one on dom R, a solver's on the closed box and a millionth beyond."""
        if self.exact and self.potential is not None:
            dual = self.potential._conjugate
            if dual is not None and not dual.has_closed_conjugate:
                return np.isfinite(w).all(axis=-1)  # its domain is known only by the solve that F makes anyway
            return np.asarray(self.potential.domain.belongs(w))
        assert isinstance(self.region, Box)
        room = 1e-6 * (self.region.upper - self.region.lower)
        with np.errstate(invalid="ignore"):
            return np.all((w >= self.region.lower - room) & (w <= self.region.upper + room), axis=-1)

    def _sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return sample_region(self.region, self.potential, n, rng)

    def _room(self, w: np.ndarray) -> np.ndarray:
        """How far each point may move along the axes and stay inside, at most 1, to a factor of 2."""
        size, todo = np.ones(len(w)), np.ones(len(w), dtype=bool)
        axes = np.concatenate([np.eye(self.dim), -np.eye(self.dim)])
        for _ in range(60):
            inside = np.stack([self._inside(w + size[:, None] * e) for e in axes]).all(axis=0)
            todo &= ~inside
            if not todo.any():
                break
            size = np.where(todo, size / 2, size)
        return size
