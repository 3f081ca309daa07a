"""Named Legendre functions, in any dimension d unless said otherwise; drawn data come from a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import autograd.numpy as np
import numpy as onp

from geoflow.catalog.registry import Registry
from geoflow.composition import Affine, Pullback, Ridges, RidgeSum, Sum
from geoflow.domains import Box, Orthant, Region, Simplex
from geoflow.errors import ArgumentError
from geoflow.legendre import LegendreFunction
from geoflow.profiles import profiles


@dataclass(frozen=True)
class PotentialEntry:
    """A named family of Legendre functions; calling it with d builds one.

    Attributes
    ----------
    name, formula, domain : str
    build : callable
        d to LegendreFunction.
    dims : tuple of int
        Dimensions it exists in; empty means every d >= 1.
    """

    name: str
    formula: str
    domain: str
    build: Callable[[int], LegendreFunction] = field(repr=False)
    dims: tuple[int, ...] = ()

    def __call__(self, d: int | None = None) -> LegendreFunction:
        d = (self.dims[0] if self.dims else 2) if d is None else d
        if isinstance(d, bool) or not isinstance(d, (int, onp.integer)) or d < 1 or (self.dims and d not in self.dims):
            wanted = f"one of {self.dims}" if self.dims else "an integer, at least 1"
            raise ArgumentError(f"dimension d of {self.name!r}", got=repr(d), wanted=wanted)
        return self.build(int(d))


potentials: Registry[PotentialEntry] = Registry("potential")


def _separable(profile: str, d: int) -> Ridges:
    """The structure sum_i r(w_i)."""
    return Ridges(onp.eye(d), onp.zeros(d), (profiles[profile],) * d)


def _entropy(p: Any) -> Any:
    return np.sum(p * np.log(p), axis=-1)


def _negative_entropy(d: int) -> LegendreFunction:
    return LegendreFunction(
        lambda w: _entropy(w) - np.sum(w, axis=-1),
        Orthant(d),
        gradient=np.log,
        hessian=lambda w: onp.eye(d) / w[..., None],
        conjugate=LegendreFunction(lambda mu: np.sum(np.exp(mu), axis=-1), d, gradient=np.exp, name="sum exp"),
        name="negative entropy",
        structure=_separable("entropy", d),
    )


def _burg(d: int) -> LegendreFunction:
    dual = LegendreFunction(
        lambda mu: -np.sum(np.log(-mu), axis=-1) - d, Box(-onp.inf, onp.zeros(d)), gradient=lambda mu: -1 / mu
    )
    return LegendreFunction(
        lambda w: -np.sum(np.log(w), axis=-1),
        Orthant(d),
        gradient=lambda w: -1 / w,
        conjugate=dual,
        name="Burg entropy",
        structure=_separable("log_barrier", d),
    )


def _fermi_dirac(d: int) -> LegendreFunction:
    dual = LegendreFunction(
        lambda mu: np.sum(np.logaddexp(0.0, mu), axis=-1), d, gradient=lambda mu: (1 + np.tanh(mu / 2)) / 2
    )
    return LegendreFunction(
        lambda w: _entropy(w) + _entropy(1 - w),
        Box(onp.zeros(d), onp.ones(d)),
        gradient=lambda w: np.log(w) - np.log1p(-w),
        conjugate=dual,
        name="Fermi-Dirac entropy",
        structure=_separable("fermi_dirac", d),
    )


def _hyperbolic_entropy(d: int) -> LegendreFunction:
    dual = LegendreFunction(lambda mu: np.sum(np.cosh(mu), axis=-1), d, gradient=np.sinh)
    return LegendreFunction(
        lambda w: np.sum(w * np.arcsinh(w) - np.sqrt(1 + w**2), axis=-1),
        d,
        gradient=np.arcsinh,
        conjugate=dual,
        name="hyperbolic entropy",
        structure=_separable("hyperbolic_entropy", d),
    )


def _with_zero(w: Any) -> Any:
    return np.concatenate([np.zeros((*np.shape(w)[:-1], 1)), w], axis=-1)


def log_sum_exp_of(z: Any) -> Any:
    """log sum_k exp(z_k) over the last axis, without overflow."""
    top = onp.max(getattr(z, "_value", z), axis=-1, keepdims=True)
    while hasattr(top, "_value"):
        top = top._value
    return np.log(np.sum(np.exp(z - top), axis=-1)) + top[..., 0]


def _softmax(w: Any) -> Any:
    z = _with_zero(w)
    return np.exp(z - log_sum_exp_of(z)[..., None])[..., 1:]


def _simplex_pair(d: int) -> tuple[LegendreFunction, LegendreFunction]:
    """Simplex entropy and log-sum-exp, conjugate to each other."""
    dual = LegendreFunction(
        lambda mu: log_sum_exp_of(_with_zero(mu)),
        d,
        gradient=_softmax,
        hessian=lambda mu: _covariance(_softmax(mu)),
        third_derivative=lambda mu: _third_cumulant(_softmax(mu)),
        name="log-sum-exp",
    )
    primal = LegendreFunction(
        lambda w: _entropy(w) + _entropy(1 - np.sum(w, axis=-1, keepdims=True)),
        Simplex(d),
        gradient=lambda w: np.log(w) - np.log(1 - np.sum(w, axis=-1, keepdims=True)),
        hessian=lambda w: onp.eye(d) / w[..., None] + 1 / (1 - np.sum(w, axis=-1))[..., None, None],
        conjugate=dual,
        name="simplex entropy",
        structure=Ridges(
            onp.concatenate([onp.eye(d), -onp.ones((1, d))]),
            onp.r_[onp.zeros(d), 1.0],
            (profiles["entropy"],) * (d + 1),
        ),
    )
    return primal, dual


def _covariance(p: Any) -> Any:
    return p[..., None] * onp.eye(np.shape(p)[-1]) - p[..., :, None] * p[..., None, :]


def _third_cumulant(p: Any) -> Any:
    """Of the indicator vector of a categorical variable: the derivative of its covariance."""
    E = onp.eye(np.shape(p)[-1])
    pair = np.einsum("...i,ij,...k->...ijk", p, E, p)
    mixed = pair + np.einsum("...ijk->...ikj", pair) + np.einsum("...ijk->...kij", pair)
    return np.einsum("...i,ij,ik->...ijk", p, E, E) - mixed + 2 * np.einsum("...i,...j,...k->...ijk", p, p, p)


def _polytope_barrier(d: int) -> LegendreFunction:
    """-sum log(b - A w) over 3 d half-spaces: a cube about 0, cut by d random ones."""
    rng = onp.random.default_rng(0)
    cuts = rng.standard_normal((d, d))
    cuts /= onp.linalg.norm(cuts, axis=1, keepdims=True)
    A, b = onp.concatenate([onp.eye(d), -onp.eye(d), cuts]), onp.r_[onp.ones(2 * d), onp.full(d, 0.8)]
    return RidgeSum(-A, b, "log_barrier", name="polytope barrier")


def _logistic_regression(d: int) -> LegendreFunction:
    """Mean of log(1 + exp(<z_k, w>)) over 10 d random z_k, plus |w|^2 / 20, which makes it Legendre on R^d."""
    Z = onp.random.default_rng(1).standard_normal((10 * d, d))
    result = (1 / len(Z)) * RidgeSum(Z, 0.0, "softplus") + 0.1 * RidgeSum(onp.eye(d), 0.0, "quadratic")
    result.name = "logistic regression"
    return result


def _gaussian_log_partition(d: int) -> LegendreFunction:
    """Natural parameters t1, t2 < 0 of the normal family."""
    return LegendreFunction(
        lambda t: -(t[..., 0] ** 2) / (4 * t[..., 1]) - np.log(-2 * t[..., 1]) / 2,
        Box([-onp.inf, -onp.inf], [onp.inf, 0.0]),
        hessian=lambda t: _symmetric(-1 / (2 * t[..., 1]), *_gaussian_rows(t)[:2]),
        third_derivative=_gaussian_third,
        name="Gaussian log-partition",
        structure=Pullback((("hyperbolic plane", _half_plane_chart),), _from_half_plane_chart),
    )


def _symmetric(a: Any, b: Any, c: Any) -> Any:
    """[[a, b], [b, c]], shape=[..., 2, 2]."""
    return np.stack([np.stack([a, b], axis=-1), np.stack([b, c], axis=-1)], axis=-2)


def _gaussian_rows(t: Any) -> tuple[Any, Any, Any, Any]:
    """A_12, A_22, A_122 and A_222; A_112 = 1 / (2 t2^2)."""
    t1, t2 = t[..., 0], t[..., 1]
    return (
        t1 / (2 * t2**2), 1 / (2 * t2**2) - t1**2 / (2 * t2**3), -t1 / t2**3, 3 * t1**2 / (2 * t2**4) - 1 / t2**3
    )  # fmt: skip


def _gaussian_third(t: Any) -> Any:
    zero, a112 = 0.0 * t[..., 0], 1 / (2 * t[..., 1] ** 2)
    _, _, a122, a222 = _gaussian_rows(t)
    return np.stack([_symmetric(zero, a112, a122), _symmetric(a112, a122, a222)], axis=-3)


def _half_plane_chart(t: Any) -> Any:
    """(u, v) with Fisher metric 2 (du^2 + cosh(u)^2 dv^2): distance from, and length along, the geodesic t1 = 0."""
    t1, t2 = t[..., 0], t[..., 1]
    v = np.log(t1**2 / (8 * t2**2) - 1 / (2 * t2)) / 2
    return np.stack([np.arcsinh(t1 / (2 * np.sqrt(-t2))), v], axis=-1)


def _from_half_plane_chart(c: Any) -> Any:
    u, v = c[..., 0], c[..., 1]
    root = np.cosh(u) * np.exp(-v) / np.sqrt(2.0)
    return np.stack([2 * np.sinh(u) * root, -(root**2)], axis=-1)


def _log_det_spd(d: int) -> LegendreFunction:
    """-log det of [[a, b], [b, c]], w = (a, b, c)."""

    def determinant(w: Any) -> Any:
        return w[..., 0] * w[..., 2] - w[..., 1] ** 2

    cone = Region(3, lambda w: (w[..., 0] > 0) & (determinant(w) > 0), [1.0, 0.0, 1.0], "SPD(2) as (a, b, c)")

    def scale_chart(w: Any) -> Any:
        return np.log(determinant(w))[..., None] / np.sqrt(2.0)

    def shape_chart(w: Any) -> Any:
        # w / sqrt(det) is on the hyperboloid y0^2 - y1^2 - y2^2 = 1, a, c = y0 +- y1, b = y2
        return np.stack([np.arcsinh(w[..., 1] / np.sqrt(determinant(w))), np.log(w[..., 0] / w[..., 2]) / 2], axis=-1)

    def from_charts(scale: Any, shape: Any) -> Any:
        root, u, v = np.exp(scale[..., 0] / np.sqrt(2.0)), shape[..., 0], shape[..., 1]
        long = root * np.cosh(u)
        return np.stack([long * np.exp(v), root * np.sinh(u), long * np.exp(-v)], axis=-1)

    E = onp.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])

    def moved(w: Any) -> Any:
        """W^{-1} E_i, shape=[..., 3, 2, 2]."""
        inverse = _symmetric(w[..., 2], -w[..., 1], w[..., 0]) / determinant(w)[..., None, None]
        return np.einsum("...ab,ibc->...iac", inverse, E)

    def third(w: Any) -> Any:
        B = moved(w)
        half = np.einsum("...iab,...jbc,...kca->...ijk", B, B, B)
        return -(half + np.einsum("...ijk->...ikj", half))

    return LegendreFunction(
        lambda w: -np.log(determinant(w)),
        cone,
        hessian=lambda w: np.einsum("...iab,...jba->...ij", moved(w), moved(w)),
        third_derivative=third,
        name="-log det on SPD(2)",
        structure=Pullback((("euclidean", scale_chart), ("hyperbolic plane", shape_chart)), from_charts),
    )


def _quartic(d: int) -> LegendreFunction:
    def third(w: Any) -> Any:
        pair = 2 * w[..., :, None, None] * onp.eye(d)
        return pair + np.einsum("...ijk->...jik", pair) + np.einsum("...ijk->...jki", pair)

    return LegendreFunction(
        lambda w: np.sum(w**2, axis=-1) / 2 + np.sum(w**2, axis=-1) ** 2 / 4,
        d,
        gradient=lambda w: w * (1 + np.sum(w**2, axis=-1, keepdims=True)),
        hessian=lambda w: (
            (1 + np.sum(w**2, axis=-1))[..., None, None] * onp.eye(d) + 2 * w[..., :, None] * w[..., None, :]
        ),
        third_derivative=third,
        name="quartic",
    )


def _quadratic_form(d: int) -> LegendreFunction:
    B = onp.random.default_rng(2).standard_normal((d, d))
    A = B @ B.T / d + onp.eye(d)
    C = onp.linalg.inv(A)
    dual = LegendreFunction(lambda mu: np.sum(mu * (mu @ C), axis=-1) / 2, d, gradient=lambda mu: mu @ C)
    return LegendreFunction(
        lambda w: np.sum(w * (w @ A), axis=-1) / 2,
        d,
        gradient=lambda w: w @ A,
        conjugate=dual,
        name="quadratic form",
        structure=Ridges(onp.linalg.cholesky(A).T, onp.zeros(d), (profiles["quadratic"],) * d),
    )


def _power(d: int) -> LegendreFunction:
    return LegendreFunction(
        lambda w: np.sum(np.abs(w) ** 4, axis=-1) / 4 + np.sum(w**2, axis=-1) / 2,
        d,
        gradient=lambda w: w**3 + w,
        hessian=lambda w: (3 * w**2 + 1)[..., None] * onp.eye(d),
        third_derivative=lambda w: (6 * w)[..., None, None] * onp.eye(d)[:, :, None] * onp.eye(d)[:, None, :],
        name="power 4",
        structure=_separable("quartic", d),
    )


def _soft_max_affine(d: int) -> LegendreFunction:
    """Log-sum-exp of 3 d random affine functions, plus |w|^2 / 20."""
    rng = onp.random.default_rng(3)
    A, b = rng.standard_normal((3 * d, d)), rng.standard_normal(3 * d)
    # log sum exp of z_0, ..., z_m is z_0 plus the log-sum-exp potential of the differences z_k - z_0
    spread = Affine(_simplex_pair(3 * d - 1)[1], A[1:] - A[0], b[1:] - b[0])
    parts = (
        LegendreFunction(lambda w: log_sum_exp_of(w @ A.T + b), d, structure=spread),
        0.1 * RidgeSum(onp.eye(d), 0.0, "quadratic"),
    )
    return LegendreFunction(
        lambda w: log_sum_exp_of(w @ A.T + b) + np.sum(w**2, axis=-1) / 20,
        d,
        name="soft maximum of affine functions",
        structure=Sum(parts),
    )


for _entry in [
    PotentialEntry("negative_entropy", "sum w log w - w", "w > 0", _negative_entropy),
    PotentialEntry("burg", "-sum log w", "w > 0", _burg),
    PotentialEntry("fermi_dirac", "sum w log w + (1-w) log(1-w)", "0 < w < 1", _fermi_dirac),
    PotentialEntry("hyperbolic_entropy", "sum w arsinh w - sqrt(1+w^2)", "R^d", _hyperbolic_entropy),
    PotentialEntry("log_sum_exp", "log(1 + sum exp w)", "R^d", lambda d: _simplex_pair(d)[1]),
    PotentialEntry("simplex_entropy", "sum w log w over d + 1 entries", "simplex", lambda d: _simplex_pair(d)[0]),
    PotentialEntry("polytope_barrier", "-sum log(b - A w)", "polytope", _polytope_barrier),
    PotentialEntry("logistic_regression", "mean log(1 + exp Zw) + |w|^2/20", "R^d", _logistic_regression),
    PotentialEntry(
        "gaussian_log_partition", "-t1^2/(4 t2) - log(-2 t2)/2", "t2 < 0", _gaussian_log_partition, dims=(2,)
    ),
    PotentialEntry("log_det_spd", "-log(a c - b^2)", "SPD(2)", _log_det_spd, dims=(3,)),
    PotentialEntry("quartic", "|w|^2/2 + |w|^4/4", "R^d", _quartic),
    PotentialEntry("quadratic_form", "w^T A w / 2", "R^d", _quadratic_form),
    PotentialEntry("power", "sum |w|^4/4 + |w|^2/2", "R^d", _power),
    PotentialEntry("soft_max_affine", "log sum exp(A w + b) + |w|^2/20", "R^d", _soft_max_affine),
]:
    potentials.add(_entry)
