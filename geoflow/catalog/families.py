"""Exponential families in natural, expectation and ordinary coordinates, as dually flat manifolds."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from geoflow._pickling import Portable
from geoflow._typing import Array, ArrayLike, Mask
from geoflow._validate import as_count, as_finite, as_points, describe
from geoflow.catalog import log_partitions
from geoflow.catalog.registry import potentials
from geoflow.errors import ArgumentError, DomainError, ShapeError
from geoflow.metrics.dually_flat import DuallyFlatManifold
from geoflow.metrics.gaps import chernoff_information, jeffreys_divergence
from geoflow.numerics import exact, special
from geoflow.potentials import categorical as classes_of
from geoflow.potentials import divergence
from geoflow.potentials.legendre import LegendreFunction

#: by what probabilities may miss the sum 1
SUM = 1e-9


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
    Barndorff-Nielsen, Information and Exponential Families, 1978; Amari, Nagaoka, Methods of Information Geometry, 2000.
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
        t = self.statistic(x)
        if t.ndim != 2:
            raise ShapeError(
                "observations", f"shape {np.shape(x)}", f"shape [n, {', '.join(map(str, self.point_shape))}]"
            )
        p = np.ones(len(t)) if weights is None else as_finite(weights, "weights")
        if p.shape != t.shape[:1] or (p < 0).any() or not p.any():
            raise ArgumentError("weights", describe(p), f"{len(t)} numbers of at least 0, not all of them 0")
        return self._theta(p @ t / p.sum(), "expectation")

    def _theta(self, values: ArrayLike, source: str) -> Array:
        if source == "natural":
            return self.log_partition.domain.require(values, "natural coordinates")
        size = self.ordinary_dim if source == "ordinary" else self.dim
        given = as_points(values, size, f"{source} coordinates of {self.name}")
        with np.errstate(all="ignore"):
            theta = self.to_natural(given) if source == "ordinary" else self.from_expectation(given)
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
        return f"ExponentialFamily({self.name})"

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

    def supports(self, x: Array) -> Mask:
        """Which observations are possible, shape=[...]."""
        return np.ones(x.shape[: x.ndim - len(self.point_shape)], dtype=bool)

    def statistic_of(self, x: Array) -> Array:
        """t(x), shape=[..., d]."""
        raise NotImplementedError

    def log_density_of(self, x: Array, theta: Array) -> Array:
        """log p(x; theta), shape=[...], without the cancellation of <theta, t(x)> and R(theta)."""
        raise NotImplementedError


class _Normal(ExponentialFamily):
    ordinary_set = "a mean, and the upper triangle of a positive definite covariance"
    expectation_set = "a mean m, and second moments E x x^T with E x x^T - m m^T positive definite"
    support = "finite numbers"

    def __init__(self, dim: int):
        self.n = dim
        R = log_partitions.normal(dim)
        super().__init__(f"normal on R^{dim}", R, R.dim)
        self.point_shape = (dim,)

    def to_natural(self, ordinary: Array) -> Array:
        mean, S = log_partitions.unpacked(ordinary, self.n)
        fine = log_partitions.is_definite(S)
        P = np.linalg.inv(np.where(fine[..., None, None], S, np.eye(self.n)))
        b = np.einsum("...ij,...j->...i", P, mean)
        theta = log_partitions.packed(b, -P / (1 + np.eye(self.n)))
        return np.where(fine[..., None], theta, np.nan)

    def to_ordinary(self, theta: Array) -> Array:
        return log_partitions.packed(*log_partitions.moments(theta, self.n))

    def from_expectation(self, eta: Array) -> Array:
        m, second = log_partitions.unpacked(eta, self.n)
        S = exact.difference_of_products(second, np.ones(()), m[..., :, None], m[..., None, :])
        return self.to_natural(log_partitions.packed(m, S))

    def statistic_of(self, x: Array) -> Array:
        return log_partitions.packed(x, x[..., :, None] * x[..., None, :])

    def log_density_of(self, x: Array, theta: Array) -> Array:
        mean, S = log_partitions.moments(theta, self.n)
        z = x - mean
        away = np.einsum("...i,...ij,...j->...", z, log_partitions.precision(theta, self.n)[1], z)
        return -away / 2 - np.linalg.slogdet(S)[1] / 2 - self.n * np.log(2 * np.pi) / 2


class _Counts(ExponentialFamily):
    """Counts of classes in a number of trials."""

    ordinary_set = "the positive probabilities of all classes, of sum 1"
    expectation_set = "positive expected counts of all classes but the first, of a sum below the number of trials"
    support = "counts of all classes: integers of at least 0 whose sum is the number of trials"

    def __init__(self, classes: int, trials: int, name: str):
        R = potentials["log_sum_exp"](classes - 1)
        super().__init__(name, R if trials == 1 else trials * R, classes)
        self.log_partition.name = f"{name} log-partition"
        self.trials, self.point_shape = trials, (classes,)

    def to_natural(self, ordinary: Array) -> Array:
        fine = (ordinary > 0).all(axis=-1) & (np.abs(ordinary.sum(axis=-1) - 1) <= SUM)
        safe = np.where(fine[..., None], ordinary, 1.0)
        return np.where(fine[..., None], _log_ratio(safe[..., 1:], safe[..., :1]), np.nan)

    def to_ordinary(self, theta: Array) -> Array:
        return classes_of.probabilities(theta)

    def from_expectation(self, eta: Array) -> Array:
        p = eta / self.trials
        first = exact.complement(p)
        return np.where((first > 0) & (p > 0), _log_ratio(p, first), np.nan)

    def supports(self, x: Array) -> Mask:
        return ((x >= 0) & (x == np.floor(x))).all(axis=-1) & (x.sum(axis=-1) == self.trials)

    def statistic_of(self, x: Array) -> Array:
        return x[..., 1:]

    def log_density_of(self, x: Array, theta: Array) -> Array:
        """By Stirling's formula: minus the divergence of x from its expectation, and what factorials have beside it."""
        expected = self.trials * classes_of.probabilities(theta)
        x, expected = np.broadcast_arrays(x, expected)
        return -(_count_divergence(x, expected) + _factorial_rest(x)).sum(axis=-1) + _factorial_rest(
            np.asarray(float(self.trials))
        )


class _Categorical(_Counts):
    expectation_set = "positive probabilities of all classes but the first, of a sum below 1"
    support = "classes: integers from 0 to the number of classes, exclusive"

    def __init__(self, classes: int):
        super().__init__(classes, 1, f"categorical of {classes} classes")
        self.point_shape = ()

    def supports(self, x: Array) -> Mask:
        return (x >= 0) & (x == np.floor(x)) & (x < self.ordinary_dim)

    def statistic_of(self, x: Array) -> Array:
        return np.eye(self.ordinary_dim)[x.astype(int)][..., 1:]

    def log_density_of(self, x: Array, theta: Array) -> Array:
        z = classes_of.with_zero(theta)
        shape = np.broadcast_shapes(x.shape, z.shape[:-1])
        place = np.broadcast_to(x, shape).astype(int)[..., None]
        z = np.broadcast_to(z, (*shape, z.shape[-1]))
        z = z - np.take_along_axis(z, place, axis=-1)  # -log of the sum of odds, to all digits of a likely class too
        return -classes_of.log_sum_exp_of(z)


class _Poisson(ExponentialFamily):
    ordinary_set = expectation_set = "positive rates"
    support = "integers of at least 0"

    def __init__(self, dim: int):
        R = potentials["negative_entropy"](dim).conjugate
        super().__init__(f"Poisson, {dim} independent" if dim > 1 else "Poisson", R, dim)
        self.point_shape = (dim,)

    def to_natural(self, ordinary: Array) -> Array:
        return np.log(ordinary)

    def to_ordinary(self, theta: Array) -> Array:
        return np.exp(theta)

    def from_expectation(self, eta: Array) -> Array:
        return np.log(eta)

    def supports(self, x: Array) -> Mask:
        return ((x >= 0) & (x == np.floor(x))).all(axis=-1)

    def statistic_of(self, x: Array) -> Array:
        return x

    def log_density_of(self, x: Array, theta: Array) -> Array:
        x, rate = np.broadcast_arrays(x, np.exp(theta))
        return -(_count_divergence(x, rate) + _factorial_rest(x)).sum(axis=-1)


class _Gamma(ExponentialFamily):
    ordinary_set = "a positive shape and a positive rate"
    expectation_set = "means of log x and of x with E log x < log E x"
    support = "positive numbers"

    def __init__(self) -> None:
        super().__init__("gamma", log_partitions.gamma(), 2)

    def to_natural(self, ordinary: Array) -> Array:
        return ordinary * np.array([1.0, -1.0])

    def to_ordinary(self, theta: Array) -> Array:
        return theta * np.array([1.0, -1.0])

    def from_expectation(self, eta: Array) -> Array:
        shape = log_partitions.gamma_shape(eta)
        return np.stack([shape, -shape / eta[..., 1]], axis=-1)

    def supports(self, x: Array) -> Mask:
        return x > 0

    def statistic_of(self, x: Array) -> Array:
        return np.stack([np.log(x), x], axis=-1)

    def log_density_of(self, x: Array, theta: Array) -> Array:
        a, rate = theta[..., 0], -theta[..., 1]
        at, mean = np.broadcast_arrays(rate * x, a)
        away = mean * divergence.log_barrier(at / mean, np.ones(at.shape), (at - mean) / mean)
        return -away - special.stirling_rest(a) - np.log(x)


class _VonMises(ExponentialFamily):
    ordinary_set = "a direction, an angle, and a concentration of at least 0"
    expectation_set = "a mean of (cos x, sin x) inside the unit circle"
    support = "angles in radians"

    def __init__(self) -> None:
        super().__init__("von Mises", log_partitions.von_mises(), 2)

    def to_natural(self, ordinary: Array) -> Array:
        angle, kappa = ordinary[..., 0], ordinary[..., 1]
        return np.where(kappa >= 0, kappa, np.nan)[..., None] * self.statistic_of(angle)

    def to_ordinary(self, theta: Array) -> Array:
        return np.stack([np.arctan2(theta[..., 1], theta[..., 0]), np.hypot(theta[..., 0], theta[..., 1])], axis=-1)

    def from_expectation(self, eta: Array) -> Array:
        size = np.hypot(eta[..., 0], eta[..., 1])
        return (
            np.where(size > 0, log_partitions.concentration(size) / np.where(size > 0, size, 1.0), 2.0)[..., None] * eta
        )

    def statistic_of(self, x: Array) -> Array:
        return np.stack([np.cos(x), np.sin(x)], axis=-1)

    def log_density_of(self, x: Array, theta: Array) -> Array:
        angle, kappa = np.moveaxis(self.to_ordinary(theta), -1, 0)
        return -2 * kappa * np.sin((x - angle) / 2) ** 2 - special.log_scaled_bessel(kappa) - np.log(2 * np.pi)


def _log_ratio(p: Array, q: Array) -> Array:
    """log(p / q), to all digits also where they are near."""
    gap = (p - q) / q
    return np.where(np.abs(gap) < 0.5, np.log1p(np.maximum(gap, -0.5)), np.log(p) - np.log(q))


def _count_divergence(x: Array, rate: Array) -> Array:
    """x log(x / rate) - x + rate, which is the rate for x = 0."""
    return np.where(x > 0, divergence.entropy(np.where(x > 0, x, 1.0), rate, np.where(x > 0, x, 1.0) - rate), rate)


def _factorial_rest(x: Array) -> Array:
    """log x! - x log x + x, 0 for x = 0."""
    at = np.where(x > 0, x, 1.0)
    return np.where(x > 0, special.stirling_rest(at) + np.log(at), 0.0)


def gaussian(dim: int = 1) -> ExponentialFamily:
    """Normal densities in R^dim; ordinary (m_i, then S_ij for i <= j row by row), t(x) = (x_i, x_i x_j), i <= j."""
    return _Normal(as_count(dim, "dimension of a normal family", most=1000))


def categorical(classes: int = 2) -> ExponentialFamily:
    """Classes 0, 1, ...; ordinary all their probabilities, natural log(p_i / p_0), t(x) the indicators of i > 0."""
    return _Categorical(_classes(classes))


def multinomial(classes: int = 2, trials: int = 1) -> ExponentialFamily:
    """Counts of all classes in independent trials, their number known; coordinates but eta = trials p as `categorical`."""
    name = f"multinomial of {_classes(classes)} classes, {as_count(trials, 'trials')} trials"
    return _Counts(classes, trials, name)


def poisson(dim: int = 1) -> ExponentialFamily:
    """Independent counts; ordinary rates, natural their logarithms, t(x) = x."""
    return _Poisson(as_count(dim, "dimension of a Poisson family"))


def gamma() -> ExponentialFamily:
    """x^(a - 1) e^(-b x) b^a / Gamma(a); ordinary (a, b), shape and rate, natural (a, -b), t(x) = (log x, x)."""
    return _Gamma()


def von_mises() -> ExponentialFamily:
    """e^(k cos(x - m)) / (2 pi I_0(k)); ordinary (m, k), natural k (cos m, sin m), t(x) = (cos x, sin x)."""
    return _VonMises()


def _classes(classes: int) -> int:
    if as_count(classes, "number of classes", most=10_001) < 2:
        raise ArgumentError("number of classes", got=repr(classes), wanted="at least 2")
    return classes


#: the families by name, each a function that makes it
FAMILIES: dict[str, Callable[..., ExponentialFamily]] = {
    f.__name__: f for f in (gaussian, categorical, multinomial, poisson, gamma, von_mises)
}
