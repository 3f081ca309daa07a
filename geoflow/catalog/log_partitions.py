"""Log-partition functions of exponential families, as Legendre functions of their natural parameters."""

from __future__ import annotations

import autograd.numpy as anp
import autograd.scipy.special as asp
import numpy as np

from geoflow._typing import Array, Index, Mask
from geoflow.catalog.registry import potentials
from geoflow.numerics import autodiff, exact, special
from geoflow.numerics.batches import solved_or_nan
from geoflow.potentials import divergence
from geoflow.potentials.legendre import LegendreFunction
from geoflow.spaces.domains import Box, ImplicitDomain

# normal ---------------------------------------------------------------------------------------------------------------


def pairs(dim: int) -> tuple[Index, Index]:
    """The rows and columns of the upper triangle, diagonal included."""
    return np.triu_indices(dim)


def packed(mean: Array, matrix: Array) -> Array:
    """A vector and the upper triangle of a symmetric matrix, row by row; shape=[..., n + n (n + 1) / 2]."""
    i, j = pairs(mean.shape[-1])
    return np.concatenate([mean, matrix[..., i, j]], axis=-1)


def unpacked(values: Array, dim: int) -> tuple[Array, Array]:
    """The vector and the symmetric matrix, in autograd.numpy."""
    i, j = pairs(dim)
    place = np.zeros((len(i), dim, dim))
    place[np.arange(len(i)), i, j] = place[np.arange(len(i)), j, i] = 1.0
    return values[..., :dim], anp.einsum("...k,kij->...ij", values[..., dim:], place)


def precision(t: Array, dim: int) -> tuple[Array, Array]:
    """P m and P, the inverse covariance, of natural parameters <t, (x_i, x_i x_j)>, i <= j."""
    first, second = unpacked(t, dim)
    return first, -second * (1 + np.eye(dim))


def is_definite(P: Array) -> Mask:
    """Which symmetric matrices are positive definite, each coordinate in its own unit; shape=[...]."""
    diagonal = np.einsum("...ii->...i", P)
    with np.errstate(all="ignore"):
        unit = 1 / np.sqrt(diagonal)
        scaled = P * unit[..., :, None] * unit[..., None, :]
    fine = (diagonal > 0).all(axis=-1) & np.isfinite(scaled).all(axis=(-2, -1))
    scaled = np.where(fine[..., None, None], scaled, np.eye(P.shape[-1]))
    return fine & (np.linalg.eigvalsh(scaled)[..., 0] > 0)


def moments(t: Array, dim: int) -> tuple[Array, Array]:
    """Mean and covariance."""
    b, P = precision(t, dim)
    S = anp.linalg.inv(P)
    return anp.einsum("...ij,...j->...i", S, b), S


def normal(dim: int) -> LegendreFunction:
    """b^T P^-1 b / 2 - log det(P) / 2 for the density exp(b^T x - x^T P x / 2), in R^dim."""
    k = dim + dim * (dim + 1) // 2
    if dim == 1:
        known = potentials["gaussian_log_partition"](2)
        levels = [lambda t, order=order: known.formula.derivative(order, t) for order in range(4)]
        domain: Box | ImplicitDomain = Box([-np.inf, -np.inf], [np.inf, 0.0])
        R = LegendreFunction(
            levels[0], domain, gradient=levels[1], hessian=levels[2], third_derivative=levels[3],
            conjugate=lambda eta: -0.5 - anp.log(eta[..., 1] - eta[..., 0] ** 2) / 2, name="normal log-partition",
            check=False,
        ).set_structure(known.structure)  # fmt: skip
        R.closed_divergence = known.closed_divergence
    else:
        domain = ImplicitDomain(
            k, lambda t: is_definite(precision(np.asarray(t, dtype=float), dim)[1]),
            np.r_[np.zeros(dim), -np.eye(dim)[pairs(dim)] / 2], f"natural parameters of normals in R^{dim}",
        )  # fmt: skip
        R = LegendreFunction(
            lambda t: _normal_value(t, dim), domain, gradient=lambda t: _normal_gradient(t, dim),
            hessian=lambda t: _normal_hessian(t, dim), conjugate=lambda eta: _normal_entropy(eta, dim),
            name="normal log-partition", check=False,
        )  # fmt: skip
        R.closed_divergence = lambda w, v, h: _normal_divergence(w, v, h, dim)
    R.frame = lambda t: _centred(t, dim)
    return R


def _normal_value(t: Array, dim: int) -> Array:
    b, P = precision(t, dim)
    return anp.sum(b * anp.linalg.solve(P, b[..., None])[..., 0], axis=-1) / 2 - anp.linalg.slogdet(P)[1] / 2


def _normal_gradient(t: Array, dim: int) -> Array:
    m, S = moments(t, dim)
    i, j = pairs(dim)
    return anp.concatenate([m, (S + m[..., :, None] * m[..., None, :])[..., i, j]], axis=-1)


def _normal_hessian(t: Array, dim: int) -> Array:
    """The covariance of x_a and of x_i x_j."""
    m, S = moments(t, dim)
    i, j = pairs(dim)
    mixed = m[..., None, i] * S[..., :, j] + m[..., None, j] * S[..., :, i]
    first, second = (i[:, None], j[:, None]), (i[None], j[None])
    both: Array = np.zeros(())
    for a, b in (first, first[::-1]):
        c, d = second
        both = both + S[..., a, c] * S[..., b, d] + m[..., a] * m[..., c] * S[..., b, d]
        both = both + m[..., a] * m[..., d] * S[..., b, c]
    upper = anp.concatenate([S, mixed], axis=-1)
    return anp.concatenate([upper, anp.concatenate([anp.swapaxes(mixed, -1, -2), both], axis=-1)], axis=-2)


def _normal_entropy(eta: Array, dim: int) -> Array:
    m, second = unpacked(eta, dim)
    return -anp.linalg.slogdet(second - m[..., :, None] * m[..., None, :])[1] / 2 - dim / 2


def _normal_divergence(w: Array, v: Array, h: Array, dim: int) -> Array:
    """KL of v's normal from w's: (x - log(1 + x)) / 2 of the eigenvalues of S_v (P_w - P_v), and that of the means."""
    (step, dP), (bv, Pv), (_, Pw) = precision(h, dim), precision(v, dim), precision(w, dim)
    root = solved_or_nan(lambda P: np.linalg.inv(np.linalg.cholesky(P)), Pv, axes=2)
    back = np.swapaxes(root, -1, -2)
    x, s = (np.linalg.eigvalsh(np.nan_to_num(root @ M @ back)) for M in (dP, Pw))
    change = divergence.log_barrier(s, np.ones(x.shape), x).sum(axis=-1) / 2
    mean = np.einsum("nij,nj->ni", back @ root, bv)
    rest = step - np.einsum("nij,nj->ni", dP, mean)
    moved = solved_or_nan(lambda P: np.linalg.inv(np.linalg.cholesky(P)), Pw, axes=2)
    return change + (np.einsum("nij,nj->ni", moved, rest) ** 2).sum(axis=-1) / 2


def _centred(t: Array, dim: int) -> tuple[Array, Array]:
    """Translations of R^dim that take the precision-weighted mean of all to 0, linear in t, and their inverses."""
    b, P = precision(t, dim)
    mean = np.linalg.solve(P.sum(axis=1), b.sum(axis=1)[..., None])[..., 0]
    i, j = pairs(dim)
    A = np.tile(np.eye(t.shape[-1]), (len(t), 1, 1))
    k = dim + np.arange(len(i))
    A[:, i, k] = mean[:, j]
    A[:, j, k] += mean[:, i]
    A[:, i[i == j], k[i == j]] = 2 * mean
    back = A.copy()
    back[:, :dim, dim:] *= -1
    return A, back


# gamma ----------------------------------------------------------------------------------------------------------------


def gamma() -> LegendreFunction:
    """log Gamma(t1) - t1 log(-t2) for the density exp(t1 log x + t2 x) by dx / x: shape t1 and rate -t2."""
    R = LegendreFunction(
        lambda t: asp.gammaln(t[..., 0]) - t[..., 0] * anp.log(-t[..., 1]),
        Box([0.0, -np.inf], [np.inf, 0.0]),
        gradient=lambda t: anp.stack([asp.digamma(t[..., 0]) - anp.log(-t[..., 1]), -t[..., 0] / t[..., 1]], axis=-1),
        hessian=_gamma_hessian,
        third_derivative=_gamma_third,
        name="gamma log-partition",
        check=False,
    )
    R.closed_divergence = _gamma_divergence
    return R


def symmetric(a: Array, b: Array, c: Array) -> Array:
    """[[a, b], [b, c]], shape=[..., 2, 2]."""
    return anp.stack([anp.stack([a, b], axis=-1), anp.stack([b, c], axis=-1)], axis=-2)


def _gamma_hessian(t: Array) -> Array:
    a, s = t[..., 0], t[..., 1]
    return symmetric(asp.polygamma(1, a), -1 / s + 0.0 * a, a / s**2)


def _gamma_third(t: Array) -> Array:
    a, s = t[..., 0], t[..., 1]
    mixed = 1 / s**2 + 0.0 * a
    return anp.stack([symmetric(asp.polygamma(2, a), 0.0 * a, mixed), symmetric(0.0 * a, mixed, -2 * a / s**3)], -3)


def _gamma_divergence(w: Array, v: Array, h: Array) -> Array:
    """That of means, and that of the shapes by what log Gamma has beside Stirling's main terms: both are positive."""
    a, b, p, q = w[:, 0], -w[:, 1], v[:, 0], -v[:, 1]
    size = b * p
    x = exact.difference_of_products(b, p, q, a) / (q * a)
    direct = -(h[:, 1] * p + q * h[:, 0]) / (q * a)
    x = np.where(np.abs(h[:, 0]) + np.abs(h[:, 1]) > 0, np.where(np.isfinite(x), x, direct), 0.0)
    means = a * divergence.log_barrier(size / (q * a), np.ones(len(a)), x)
    return means + shape_divergence(a, p, h[:, 0])


def shape_divergence(s: Array, t: Array, h: Array) -> Array:
    """The Bregman divergence of `special.stirling_rest`."""
    close = np.abs(h) < 0.4 * t
    inner, at = np.where(close, h, 0.0), np.where(close, t, 1.0)
    far = special.stirling_rest(s) - special.stirling_rest(t) - special.stirling_slope(t) * h
    return np.where(close, divergence.near(special.stirling_curvature, at, inner), far)


def gamma_shape(s: Array) -> Array:
    """The a with log a - psi(a) = s = log E x - E log x, shape=[...]; NaN where that is not positive."""
    with np.errstate(all="ignore"):
        a = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
        for _ in range(20):  # Newton's method for 1 / a (Minka, Estimating a gamma distribution, 2002)
            a = 1 / (1 / a + (special.stirling_slope(a) + s) / (a * a * special.stirling_curvature(a)))
    return np.where(s > 0, a, np.nan)


# von Mises ------------------------------------------------------------------------------------------------------------


def von_mises() -> LegendreFunction:
    """log I_0(|t|) for the density exp(t_1 cos x + t_2 sin x) / (2 pi) of angles."""
    value, gradient, hessian = _bessel_value, _bessel_gradient, _bessel_hessian
    slope = autodiff.with_pullback(gradient, lambda _, __, at, u: np.einsum("...ij,...i->...j", hessian(at[0]), u))
    return LegendreFunction(
        autodiff.with_pullback(value, lambda _, __, at, u: u[..., None] * slope(at[0])), 2, gradient=slope,
        hessian=hessian, third_derivative=_bessel_third, name="von Mises log-partition", check=False,
    )  # fmt: skip


def _bessel_value(t: Array) -> Array:
    return special.log_bessel(np.hypot(t[..., 0], t[..., 1]))


def _bessel_gradient(t: Array) -> Array:
    return special.bessel_ratio(np.hypot(t[..., 0], t[..., 1]))[0][..., None] * t


def _bessel_hessian(t: Array) -> Array:
    size = np.hypot(t[..., 0], t[..., 1])
    ratio, slope, _, _ = (part[..., None, None] for part in special.bessel_ratio(size))
    u = t / np.where(size > 0, size, 1.0)[..., None]
    v = np.stack([-u[..., 1], u[..., 0]], axis=-1)
    outer = slope * u[..., :, None] * u[..., None, :] + ratio * v[..., :, None] * v[..., None, :]
    return np.where(size[..., None, None] > 0, outer, np.eye(2) / 2)


def _bessel_third(t: Array) -> Array:
    _, _, c, rate = special.bessel_ratio(np.hypot(t[..., 0], t[..., 1]))
    pair = t[..., :, None, None] * np.eye(2)
    pair = pair + np.einsum("...ijk->...jik", pair) + np.einsum("...ijk->...jki", pair)
    cube = t[..., :, None, None] * t[..., None, :, None] * t[..., None, None, :]
    return c[..., None, None, None] * pair + rate[..., None, None, None] * cube


def concentration(rho: Array) -> Array:
    """The kappa with I_1(kappa) / I_0(kappa) = rho, 0 <= rho < 1, by Newton's method; NaN elsewhere."""
    with np.errstate(all="ignore"):
        kappa = rho * (2 - rho**2) / ((1 - rho) * (1 + rho))  # Banerjee, Dhillon, Ghosh, Sra, JMLR 2005
        for _ in range(12):
            ratio, slope, _, _ = special.bessel_ratio(np.where(kappa > 0, kappa, 0.0))
            kappa = kappa - (kappa * ratio - rho) / slope
    return np.where((rho >= 0) & (rho < 1), kappa, np.nan)
