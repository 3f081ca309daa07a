"""Realization: an embedding, what is certified of it, and the parametrization it gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np

from geoflow._html import verdict_table
from geoflow._showing import Paged
from geoflow._typing import Array, ArrayLike, Mask
from geoflow._validate import as_points, describe
from geoflow.errors import DomainError, in_a_line
from geoflow.maps.parametrization import Parametrization
from geoflow.realization.certificate import FRESH_POINTS, Certificate, certify, relative_metric_error
from geoflow.realization.embedding import Embedding
from geoflow.realization.files import StoredMetric, write
from geoflow.realization.methods import Stage
from geoflow.realization.nearest import NearestPoint
from geoflow.realization.proof import Proof, prove
from geoflow.realization.submanifold import NearestPointKernel, Submanifold
from geoflow.realization.target import Target
from geoflow.results import Claim
from geoflow.spaces.domains import Box


class Realization(Paged):
    """An isometric embedding F of a metric H on a region: dF^T dF = H, certified at fresh points; see `realize`.

    Attributes
    ----------
    dim, ambient_dim : int
        d and D.
    target : Target
        The metric that was asked for, its `region`, where F is certified, and its `potential` R where it is a Hessian.
    region, potential : ConvexDomain; LegendreFunction, or None
        Those of the target.
    method, reason : str
        "exact", "twist" or "spectral"; why, and what it took.
    exact : bool
        Whether F is a closed form, good on all of dom R, rather than the answer of a solver on a box.
    certificate : Certificate
        Of a realization that was loaded without its potential, as it was measured when that was saved.
    remeasured : bool
        Whether the certificate was measured of this very F, and not read from a file.
    stages : list of Stage
        What a numerical solver reached, stage by stage.
    map : Embedding
        F and its derivatives, without checks.
    proof : Proof, or None
        What `prove` proved last, saved with F; of a realization that was loaded, what its file states.
    """

    def __init__(
        self,
        embedding: Embedding,
        target: Target,
        method: str,
        reason: str,
        certificate: Certificate,
        stages: Sequence[Stage] = (),
    ):
        self.map, self.target, self.method, self.reason = embedding, target, method, reason
        self.dim, self.ambient_dim = embedding.dim, embedding.ambient_dim
        self.certificate, self.stages = certificate, list(stages)
        self.region, self.potential, self.exact = target.region, target.potential, method == "exact"
        self.proof: Proof | None = None
        self.remeasured = not isinstance(target.metric, StoredMetric)

    # the embedding --------------------------------------------------------------------------------------------------

    def embedding(self, w: ArrayLike) -> Array:
        """F(w), shape=[..., d] to [..., D]; `DomainError` outside the region or, for an exact F, outside dom R."""
        return self._evaluate(w, 0)

    __call__ = embedding

    def jacobian(self, w: ArrayLike) -> Array:
        """dF(w), shape=[..., D, d]."""
        return self._evaluate(w, 1)

    def metric_matrix(self, w: ArrayLike) -> Array:
        """The metric that was asked for, H(w), shape=[..., d, d]."""
        w = self._require(w)
        return self.target.metric(w.reshape(-1, self.dim)).reshape(*w.shape, self.dim)

    def metric_error(self, w: ArrayLike) -> Array:
        """Relative metric error || L^{-1} dF^T dF L^{-T} - I ||_2, H = L L^T, at each point; shape=[...]."""
        w = self._require(w)
        flat = w.reshape(-1, self.dim)
        return relative_metric_error(self.map.jacobian(flat), self.target.metric(flat)).reshape(w.shape[:-1])

    @cached_property
    def parametrization(self) -> Parametrization:
        """G = F^{-1} on M = F(region), extended to R^D by the nearest point; commuting exactly when H is Hessian."""
        nearest = NearestPoint(self.map, self.usable, lambda n: self.target.sample(n, np.random.default_rng(1)))
        space = Submanifold(self.map, nearest, self.target.sample)
        # brackets are derivatives of the metric, and cannot be smaller than its error allows
        tol, kernel = max(1e-6, 30 * self.certificate.metric_error), NearestPointKernel(self.map, nearest)
        return Parametrization.from_kernel(kernel, space, f"G of {self.target.name}", tol)

    def certify(self, tol: float, n_points: int = FRESH_POINTS, seed: int = 0) -> Certificate:
        """Measure F again at `n_points` random points of the region, from a seed."""
        return certify(self.map, self.target, tol, n_points, seed, self.exact)

    def prove(self) -> Proof:
        """A bound eps of the relative metric error at every point of the box, by ball arithmetic; see `Proof`.

        In dimension 1 to 3, for a potential written in autograd.numpy; of an exact F by the identity of its rule. Of a
        realization that was loaded without its potential the proof in the file is checked again. `ProofError` where no
        proof can be tried, and without python-flint: pip install geoflow[proof].
        """
        self.proof = prove(self)
        return self.proof

    def save(self, file: str | PathLike[str]) -> Path:
        """Write to an .npz file that `load_realization` reads, and return its path, with the suffix .npz.

        An exact realization is saved as the request it answers: reading it back needs the potential. What was there is
        replaced once the new file is whole, is on the disk and was read; `FileError` where that fails, and it stays.
        """
        return write(self, file)

    def __str__(self) -> str:
        when = "" if self.remeasured else ", measured when it was saved and not again"
        return f"F: {self.region} -> R^{self.ambient_dim}, {self.method} ({self.reason}); {self.certificate}{when}"

    def __repr__(self) -> str:
        return in_a_line(
            f"Realization(R^{self.dim} -> R^{self.ambient_dim}, {self.method}, {self.certificate.metric_error:.1e})"
        )

    @property
    def claims(self) -> list[Claim]:
        """What F is, and what its certificate claims of it."""
        own = [
            Claim(f"F realizes {self.target.name} on {self.region}", f"R^{self.dim} to R^{self.ambient_dim}"),
            Claim("method", f"{self.method} ({self.reason})"),
        ]
        when = [] if self.remeasured else [Claim("measured", "when it was saved, and not again")]
        return own + when + self.certificate.claims

    def _repr_html_(self) -> str:
        verdict = "certified" if self.certificate.passed else "NOT certified"
        return verdict_table(f"Realization: {verdict}", self.claims)

    # inside ---------------------------------------------------------------------------------------------------------

    def _evaluate(self, w: ArrayLike, order: int) -> Array:
        w = self._require(w)
        flat = w.reshape(-1, self.dim)
        value = self.map.value(flat) if order == 0 else self.map.jacobian(flat)
        if not np.isfinite(value).all():
            point = flat[int(np.argwhere(~np.isfinite(value))[0][0])]
            wanted = f"a point of {self.region}"
            raise DomainError("point where the embedding is not finite", describe(point), wanted, point=point)
        return value.reshape(*w.shape[:-1], *value.shape[1:])

    def _require(self, w: ArrayLike) -> Array:
        w = as_points(w, self.dim, "point of the realization")
        inside = self.usable(w.reshape(-1, self.dim))
        if not inside.all():
            point, wanted = w.reshape(-1, self.dim)[int(np.argmin(inside))], f"a point of {self.region}"
            remedy = "realize on a larger box"
            raise DomainError("point outside the realized region", describe(point), wanted, remedy, point=point)
        return w

    def usable(self, w: Array) -> Mask:
        """Where F may be used, shape=[N]: an exact one on dom R, a solver's on its box and a millionth beyond."""
        if self.exact and self.potential is not None:
            dual = self.potential.known_conjugate
            if (
                dual is not None and not dual.has_closed_conjugate
            ):  # dom R is known only by the solve that F makes anyway
                return np.asarray(np.isfinite(w).all(axis=-1))
            return np.asarray(self.potential.domain.belongs(w))
        assert isinstance(self.region, Box)
        room = 1e-6 * (self.region.upper - self.region.lower)
        with np.errstate(invalid="ignore"):
            return np.all((w >= self.region.lower - room) & (w <= self.region.upper + room), axis=-1)
