"""Exponential families by name: normal, categorical, multinomial, Poisson, gamma and von Mises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, Mask
from geoflow._validate import as_count
from geoflow.catalog import log_partitions
from geoflow.catalog.exponential import ExponentialFamily
from geoflow.catalog.registry import potentials
from geoflow.errors import ArgumentError
from geoflow.numerics import exact, special
from geoflow.potentials import categorical as classes_of
from geoflow.potentials import divergence

#: by what probabilities may miss the sum 1
SUM = 1e-9


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

    def fitted(self, x: Array, p: Array) -> Array:
        mean = p @ x
        return self.to_natural(log_partitions.packed(mean, np.einsum("n,ni,nj->ij", p, x - mean, x - mean)))

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
        shape = log_partitions.gamma_shape(np.log(eta[..., 1]) - eta[..., 0])
        return np.stack([shape, -shape / eta[..., 1]], axis=-1)

    def fitted(self, x: Array, p: Array) -> Array:
        mean = p @ x
        shape = log_partitions.gamma_shape(p @ divergence.log_barrier(x / mean, np.ones(len(x)), (x - mean) / mean))
        return np.stack([shape, -shape / mean])

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
    """Counts of all classes in independent trials, their number known; coordinates of `categorical`, eta = trials p."""
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
