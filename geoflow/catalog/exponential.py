"""Exponential families by their log-partition function: three kinds of coordinates, densities, divergences, fits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Mask
from geoflow._validate import as_finite, as_points, describe
from geoflow.errors import ArgumentError, DomainError, ShapeError, in_a_line
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.metrics.gaps import chernoff_information, jeffreys_divergence
from geoflow.potentials.legendre import LegendreFunction


class ExponentialFamily(Portable):
    """Densities exp(<theta, t(x)> - R(theta) + k(x)), R the log-partition function, convex in theta.

    Coordinates are "natural", theta of shape=[..., d], in which `log_partition` is a Legendre function; "expectation",
    eta = grad R(theta) = E t(x) of shape=[..., d]; and "ordinary", those the family is known by. The functions of
    `gf.families` make them.

    Attributes
    ----------
    name : str
    log_partition : LegendreFunction
        R on the natural parameters.
    point_shape : tuple of int
        Of one observation: () for a number, (n,) for a vector.

    Reference
    ---------
    Barndorff-Nielsen, Information and Exponential Families, 1978; Amari, Nagaoka, Methods of Information Geometry,
    2000.
    """

    name: str
    point_shape: tuple[int, ...] = ()
    #: what ordinary coordinates, expectations and observations have to be
    ordinary_set: ClassVar[str]
    expectation_set: ClassVar[str]
    support: ClassVar[str]

    def __init__(self, name: str, log_partition: LegendreFunction, ordinary_dim: int):
        self.name, self.log_partition, self.ordinary_dim = name, log_partition, ordinary_dim
        self.dim = log_partition.dim

    @property
    def manifold(self) -> DuallyFlatManifold:
        """The natural parameters with their metric, that of Fisher, and their two flat connections."""
        return DuallyFlatManifold(self.log_partition)

    def convert(self, values: ArrayLike, source: str, target: str) -> Array:
        """Coordinates of one kind, shape=[..., m], as those of another: "natural", "expectation" or "ordinary".

        Raises `ArgumentError` for another kind, `ShapeError`, and `DomainError` for values that no member has.
        """
        for kind in (source, target):
            if kind not in ("natural", "expectation", "ordinary"):
                raise ArgumentError("kind of coordinates", repr(kind), "'natural', 'expectation' or 'ordinary'")
        theta = self._theta(values, source)
        if target == source:
            return as_finite(values, source)
        if target == "natural":
            return theta
        return self.log_partition.gradient(theta) if target == "expectation" else self.to_ordinary(theta)

    def statistic(self, x: ArrayLike) -> Array:
        """t(x), shape=[..., d], of observations; `DomainError` outside the support."""
        return self.statistic_of(self._observed(x))

    def log_density(self, x: ArrayLike, theta: ArrayLike) -> Array:
        """log p(x; theta), shape=[...], for observations and natural parameters whose batches broadcast.

        The density is that by the usual measure, Lebesgue's or counting.
        """
        x, theta = self._observed(x), self.log_partition.domain.require(theta, "theta")
        try:
            np.broadcast_shapes(x.shape[: x.ndim - len(self.point_shape)], theta.shape[:-1])
        except ValueError:
            got, wanted = f"x of shape {x.shape} and theta of shape {theta.shape}", "batches that broadcast"
            raise ShapeError(f"log density of {self.name}", got, wanted, "add axes of length 1") from None
        return self.log_density_of(x, theta)

    def kl_divergence(self, p: ArrayLike, q: ArrayLike) -> Array:
        """KL(p, q) = int p log(p / q) = D_R(q, p) by natural parameters, shape=[...]."""
        return self.log_partition.bregman_divergence(q, p)

    def jeffreys_divergence(self, p: ArrayLike, q: ArrayLike) -> Array:
        """KL(p, q) + KL(q, p) by natural parameters, shape=[...]."""
        return jeffreys_divergence(self.log_partition, p, q)

    def chernoff_information(self, p: ArrayLike, q: ArrayLike) -> Array:
        """-log min_alpha int p^alpha q^(1 - alpha) by natural parameters, shape=[...]."""
        return chernoff_information(self.log_partition, p, q)

    def maximum_likelihood(self, x: ArrayLike, weights: ArrayLike | None = None) -> Array:
        """The natural parameters that fit observations x best, shape=[d]: those whose expectation is the mean of t(x).

        x has shape=[n, ...] and `weights` shape=[n]; raises `DomainError` where the likelihood has no maximum.
        """
        x = self._observed(x)
        t = self.statistic_of(x)
        if t.ndim != 2:
            raise ShapeError(
                "observations", f"shape {x.shape}", f"shape [{', '.join(map(str, ('n', *self.point_shape)))}]"
            )
        p = np.ones(len(t)) if weights is None else as_finite(weights, "weights")
        if p.shape != t.shape[:1] or (p < 0).any() or not p.any():
            raise ArgumentError("weights", describe(p), f"{len(t)} numbers of at least 0, not all of them 0")
        with np.errstate(all="ignore"):
            return self._members(self.fitted(x, p / p.sum()), p @ t / p.sum(), "expectation")

    def _theta(self, values: ArrayLike, source: str) -> Array:
        if source == "natural":
            return self.log_partition.domain.require(values, "natural coordinates")
        size = self.ordinary_dim if source == "ordinary" else self.dim
        given = as_points(values, size, f"{source} coordinates of {self.name}")
        with np.errstate(all="ignore"):
            theta = self.to_natural(given) if source == "ordinary" else self.from_expectation(given)
        return self._members(theta, given, source)

    def _members(self, theta: Array, given: Array, source: str) -> Array:
        """theta, or the error about what it was computed from."""
        fine = np.isfinite(theta).all(axis=-1) & self.log_partition.domain.belongs(theta)
        if not np.all(fine):
            index = tuple(int(i) for i in np.argwhere(~np.asarray(fine))[0])
            raise DomainError(
                f"{source} coordinates of {self.name}",
                got=describe(given[index]) + (f" at batch entry {index}" if index else ""),
                wanted=self.ordinary_set if source == "ordinary" else self.expectation_set,
                remedy="choose those of a member of the family, away from its limits",
                point=given[index],
                index=index,
            )
        return theta

    def _observed(self, x: ArrayLike) -> Array:
        x = as_points(x, self.point_shape, f"observation of {self.name}")
        fine = np.asarray(self.supports(x))
        if not fine.all():
            index = tuple(int(i) for i in np.argwhere(~fine)[0])
            raise DomainError(
                f"observation of {self.name} outside its support",
                got=describe(x[index]) + (f" at batch entry {index}" if index else ""),
                wanted=self.support,
                remedy="remove it: its density is 0",
                point=x[index],
                index=index,
            )
        return x

    def __repr__(self) -> str:
        return in_a_line(f"ExponentialFamily({self.name})")

    # what a family is, unchecked: NaN where there is none ------------------------------------------------------------

    def to_natural(self, ordinary: Array) -> Array:
        """theta, shape=[..., d]."""
        raise NotImplementedError

    def to_ordinary(self, theta: Array) -> Array:
        """Ordinary coordinates."""
        raise NotImplementedError

    def from_expectation(self, eta: Array) -> Array:
        """theta, shape=[..., d]."""
        raise NotImplementedError

    def fitted(self, x: Array, p: Array) -> Array:
        """theta, shape=[d], with the mean of t(x), for weights of sum 1."""
        return self.from_expectation(p @ self.statistic_of(x))

    def supports(self, x: Array) -> Mask:
        """Which observations are possible, shape=[...]."""
        return np.ones(x.shape[: x.ndim - len(self.point_shape)], dtype=bool)

    def statistic_of(self, x: Array) -> Array:
        """t(x), shape=[..., d]."""
        raise NotImplementedError

    def log_density_of(self, x: Array, theta: Array) -> Array:
        """log p(x; theta), shape=[...], without the cancellation of <theta, t(x)> and R(theta)."""
        raise NotImplementedError
