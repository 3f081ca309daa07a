"""Named Legendre functions, in any dimension d unless said otherwise; drawn data come from a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.catalog.registry import Entry, potentials
from geoflow.numerics import autodiff, exact
from geoflow.potentials import categorical, divergence
from geoflow.potentials.categorical import log_sum_exp_of
from geoflow.potentials.composition import RidgeSum
from geoflow.potentials.legendre import LegendreFunction
from geoflow.potentials.profiles import PROFILES
from geoflow.potentials.structure import Pullback, Ridges, Separable
from geoflow.spaces.domains import Box, ImplicitDomain, Simplex


def separable(profile: str, name: str) -> Callable[[int], LegendreFunction]:
    """d to the sum of a named profile over the coordinates."""
    return lambda d: LegendreFunction.composed(Separable(PROFILES[profile], d, name))


def _entropy(w: Array) -> Array:
    """Of w and 1 - sum w; the logarithm of what is left by the sum where that is small."""
    last, total = exact.complement(w), anp.sum(w, axis=-1, keepdims=True)
    if autodiff.is_traced(w):  # derivatives have no use for the digits, and a proof none for a case
        return anp.sum(w * anp.log(w), axis=-1) + (last * anp.log(last))[..., 0]
    most = total < 0.5
    logarithm = anp.where(most, anp.log1p(-anp.where(most, total, 0.0)), anp.log(anp.where(most, 1.0, last)))
    return anp.sum(w * anp.log(w), axis=-1) + (last * logarithm)[..., 0]


def _log_odds(w: Array) -> Array:
    """log(w_i / (1 - sum w)), to all digits also where they are near."""
    last = exact.complement(w)
    if autodiff.is_traced(w):
        return anp.log(w) - anp.log(last)
    d = np.shape(w)[-1]
    gap = exact.affine(w, np.ones((d, d)) + np.eye(d), -np.ones(d)) / last
    return np.where(np.abs(gap) < 0.5, np.log1p(np.maximum(gap, -0.5)), np.log(w) - np.log(last))


def _simplex_pair(d: int) -> tuple[LegendreFunction, LegendreFunction]:
    """Simplex entropy and log-sum-exp, conjugate to each other."""
    dual = LegendreFunction(
        lambda mu: log_sum_exp_of(categorical.with_zero(mu)),
        d,
        gradient=categorical.softmax,
        hessian=lambda mu: categorical.covariance(categorical.probabilities(mu)),
        third_derivative=lambda mu: categorical.third_cumulant(categorical.probabilities(mu)),
        name="log-sum-exp",
    ).set_structure(categorical.LogSumExp(d))
    dual.closed_divergence, dual.frame = categorical.divergence_of, categorical.likeliest_first
    structure = Ridges(
        np.concatenate([np.eye(d), -np.ones((1, d))]), np.r_[np.zeros(d), 1.0], (PROFILES["entropy"],) * (d + 1)
    )
    primal = LegendreFunction(
        _entropy,
        Simplex(d),
        gradient=_log_odds,
        hessian=lambda w: np.eye(d) / w[..., None] + 1 / exact.complement(w)[..., None],
        third_derivative=partial(structure.derivative, 3),
        conjugate=dual,
        name="simplex entropy",
    ).set_structure(structure)
    return primal, dual


def _polytope_barrier(d: int) -> LegendreFunction:
    """-sum log(b - A w) over 3 d half-spaces: a cube about 0, cut by d random ones."""
    rng = np.random.default_rng(0)
    cuts = rng.standard_normal((d, d))
    cuts /= np.linalg.norm(cuts, axis=1, keepdims=True)
    A, b = np.concatenate([np.eye(d), -np.eye(d), cuts]), np.r_[np.ones(2 * d), np.full(d, 0.8)]
    return RidgeSum(-A, b, "log_barrier", name="polytope barrier")


def _logistic_regression(d: int) -> LegendreFunction:
    """Mean of log(1 + exp(<z_k, w>)) over 10 d random z_k, plus |w|^2 / 20, which makes it Legendre on R^d."""
    Z = np.random.default_rng(1).standard_normal((10 * d, d))
    result = (1 / len(Z)) * RidgeSum(Z, 0.0, "softplus") + 0.1 * RidgeSum(np.eye(d), 0.0, "quadratic")
    result.name = "logistic regression"
    return result


def _gaussian_log_partition(d: int) -> LegendreFunction:
    """Natural parameters t1, t2 < 0 of the normal family."""
    R = LegendreFunction(
        lambda t: -(t[..., 0] ** 2) / (4 * t[..., 1]) - anp.log(-2 * t[..., 1]) / 2,
        Box([-np.inf, -np.inf], [np.inf, 0.0]),
        gradient=lambda t: anp.stack([-t[..., 0] / (2 * t[..., 1]), _second_moment(t)], axis=-1),
        hessian=_gaussian_hessian,
        third_derivative=_gaussian_third,
        name="Gaussian log-partition",
    ).set_structure(
        Pullback(
            (("hyperbolic plane", _half_plane_chart),),
            _from_half_plane_chart,
            (_half_plane_derivatives,),
            ((_mean_and_deviation, _normal_step),),
        )
    )
    R.closed_divergence = _normal_divergence
    return R


def _second_moment(t: Array) -> Array:
    return (t[..., 0] / (2 * t[..., 1])) ** 2 - 1 / (2 * t[..., 1])


def _symmetric(a: Array, b: Array, c: Array) -> Array:
    """[[a, b], [b, c]], shape=[..., 2, 2]."""
    return anp.stack([anp.stack([a, b], axis=-1), anp.stack([b, c], axis=-1)], axis=-2)


def _gaussian_hessian(t: Array) -> Array:
    t1, t2 = t[..., 0], t[..., 1]
    return _symmetric(-1 / (2 * t2), t1 / (2 * t2**2), 1 / (2 * t2**2) - t1**2 / (2 * t2**3))


def _gaussian_third(t: Array) -> Array:
    t1, t2 = t[..., 0], t[..., 1]
    a112, a122, a222 = 1 / (2 * t2**2), -t1 / t2**3, 3 * t1**2 / (2 * t2**4) - 1 / t2**3
    return anp.stack([_symmetric(0.0 * t1, a112, a122), _symmetric(a112, a122, a222)], axis=-3)


def _mean_and_deviation(t: Array) -> Array:
    """(m / sqrt 2, s), coordinates of the half plane."""
    return anp.stack([-t[..., 0] / (2 * anp.sqrt(2.0) * t[..., 1]), 1 / anp.sqrt(-2 * t[..., 1])], axis=-1)


def _normal_step(y: Array, t: Array, h: Array) -> Array:
    product = t[..., 1] * y[..., 1]
    mean = exact.difference_of_products(t[..., 0], y[..., 1], y[..., 0], t[..., 1]) / (2 * np.sqrt(2.0) * product)
    a, b = np.sqrt(-2 * t[..., 1]), np.sqrt(-2 * y[..., 1])
    return np.stack([mean, 2 * h[..., 1] / ((a + b) * a * b)], axis=-1)


def _normal_divergence(y: Array, t: Array, h: Array) -> Array:
    mean = np.sqrt(2.0) * _normal_step(y, t, h)[..., 0]
    return divergence.log_barrier(y[..., 1], t[..., 1], h[..., 1]) / 2 - y[..., 1] * mean**2


def _half_plane_chart(t: Array) -> Array:
    """(u, v) with Fisher metric 2 (du^2 + cosh(u)^2 dv^2): distance from, and length along, the geodesic t1 = 0."""
    t1, t2 = t[..., 0], t[..., 1]
    v = anp.log(t1**2 / (8 * t2**2) - 1 / (2 * t2)) / 2
    return anp.stack([anp.arcsinh(t1 / (2 * anp.sqrt(-t2))), v], axis=-1)


def _half_plane_derivatives(t: Array) -> tuple[Array, Array]:
    t1, t2 = t[..., 0], t[..., 1]
    q = t1**2 - 4 * t2
    root = anp.sqrt(q)
    first = [anp.stack([1 / root, -t1 / (2 * t2 * root)], -1), anp.stack([t1 / q, -2 / q - 1 / t2], -1)]
    u22, v22 = t1 / (2 * t2**2 * root) - t1 / (t2 * q * root), 1 / t2**2 - 8 / q**2
    second = [
        _symmetric(-t1 / (q * root), 2 / (q * root), u22),
        _symmetric(1 / q - 2 * t1**2 / q**2, 4 * t1 / q**2, v22),
    ]
    return anp.stack(first, -2), anp.stack(second, -3)


def _from_half_plane_chart(c: Array) -> Array:
    u, v = c[..., 0], c[..., 1]
    root = anp.cosh(u) * anp.exp(-v) / anp.sqrt(2.0)
    return anp.stack([2 * anp.sinh(u) * root, -(root**2)], axis=-1)


def _determinant(w: Array) -> Array:
    return exact.difference_of_products(w[..., 0], w[..., 2], w[..., 1], w[..., 1])


_BEND = np.array([[0.0, 0.0, 1.0], [0.0, -2.0, 0.0], [1.0, 0.0, 0.0]])  # second derivative of the determinant


def _scale_derivatives(w: Array) -> tuple[Array, Array]:
    slope = (w @ _BEND / _determinant(w)[..., None])[..., None, :]
    second = _BEND / _determinant(w)[..., None, None, None] - slope[..., :, None] * slope[..., None, :]
    return slope / np.sqrt(2.0), second / np.sqrt(2.0)


def _shape_derivatives(w: Array) -> tuple[Array, Array]:
    a, b, c = np.moveaxis(w, -1, 0)
    det, zero, e = _determinant(w), 0 * a, np.eye(3)[1]
    D, ac = w @ _BEND, a * c  # u = arcsinh(b / sqrt(det)), with 1 + sinh(u)^2 = a c / det
    top = det[..., None] * e - (b / 2)[..., None] * D  # du = top / (det sqrt(a c))
    dtop = e[:, None] * D[..., None, :] - D[..., :, None] * e / 2 - (b / 2)[..., None, None] * _BEND
    rate = D / det[..., None] + np.stack([1 / (2 * a), zero, 1 / (2 * c)], -1)  # of log(det sqrt(a c))
    size = (det * np.sqrt(ac))[..., None]
    du, ddu = top / size, (dtop - top[..., :, None] * rate[..., None, :]) / size[..., None]
    dv = np.stack([1 / (2 * a), zero, -1 / (2 * c)], -1)
    ddv = np.stack([-1 / (2 * a**2), zero, 1 / (2 * c**2)], -1)[..., None] * np.eye(3)
    return np.stack([du, dv], -2), np.stack([ddu, ddv], -3)


def _shape_of(w: Array) -> Array:
    """(b, sqrt(det)) / c, coordinates of the half plane."""
    return anp.stack([w[..., 1], anp.sqrt(_determinant(w))], axis=-1) / w[..., 2:]


def _scale_step(y: Array, w: Array, h: Array) -> Array:
    (a, b, c), (da, db, dc), det = np.moveaxis(w, -1, 0), np.moveaxis(h, -1, 0), _determinant(w)
    gained = (c * da + a * dc - 2 * b * db + exact.difference_of_products(da, dc, db, db)) / det
    return np.where(np.abs(gained) < 0.5, np.log1p(gained), np.log(_determinant(y) / det))[..., None] / np.sqrt(2.0)


def _shape_step(y: Array, w: Array, h: Array) -> Array:
    (a, b, c), (p, q, r) = np.moveaxis(w, -1, 0), np.moveaxis(y, -1, 0)
    start, end = _shape_of(w), _shape_of(y)
    right = exact.difference_of_products(q, c, b, r) / (c * r)
    squared = exact.difference_of_products(p, c, a, r) / (c * r)  # of a / c = x^2 + y^2
    up = (squared - right * (start[..., 0] + end[..., 0])) / (start[..., 1] + end[..., 1])
    return np.stack([right, up], axis=-1)


def _log_det_divergence(w: Array, v: Array, h: Array) -> Array:
    """sum x_i - log(1 + x_i) over the eigenvalues x_i of V^-1 (W - V)."""
    x, s = _whitened(h, v), _whitened(w, v)  # s = 1 + x, of which the smaller is what is left of the determinant
    s = np.stack([_determinant(w) / _determinant(v) / s[..., 1], s[..., 1]], axis=-1)
    return divergence.log_barrier(s, np.ones(x.shape), x).sum(axis=-1)


def _whitened(w: Array, v: Array) -> Array:
    """The eigenvalues of V^-1 W, increasing, as those of L^-1 W L^-T for V = L L^T."""
    (a, b, _), (p, q, r), det = np.moveaxis(v, -1, 0), np.moveaxis(w, -1, 0), _determinant(v)
    mixed = exact.difference_of_products(a, q, b, p) / a
    low = exact.difference_of_products(a, r, b, q) / a - b / a * mixed
    return np.linalg.eigvalsh(_symmetric(p / a, mixed / np.sqrt(det), low * a / det))


def _log_det_spd(d: int) -> LegendreFunction:
    """-log det of [[a, b], [b, c]], w = (a, b, c)."""
    cone = ImplicitDomain(3, lambda w: (w[..., 0] > 0) & (_determinant(w) > 0), [1.0, 0.0, 1.0], "SPD(2) as (a, b, c)")

    def scale_chart(w: Array) -> Array:
        return anp.log(_determinant(w))[..., None] / anp.sqrt(2.0)

    def shape_chart(w: Array) -> Array:
        # w / sqrt(det) is on the hyperboloid y0^2 - y1^2 - y2^2 = 1, a, c = y0 +- y1, b = y2
        u = anp.arcsinh(w[..., 1] / anp.sqrt(_determinant(w)))
        return anp.stack([u, anp.log(w[..., 0] / w[..., 2]) / 2], axis=-1)

    def from_charts(scale: Array, shape: Array) -> Array:
        root, u, v = anp.exp(scale[..., 0] / anp.sqrt(2.0)), shape[..., 0], shape[..., 1]
        long = root * anp.cosh(u)
        return anp.stack([long * anp.exp(v), root * anp.sinh(u), long * anp.exp(-v)], axis=-1)

    E = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])

    def moved(w: Array) -> Array:
        """W^{-1} E_i, shape=[..., 3, 2, 2]."""
        inverse = _symmetric(w[..., 2], -w[..., 1], w[..., 0]) / _determinant(w)[..., None, None]
        return anp.einsum("...ab,ibc->...iac", inverse, E)

    def third(w: Array) -> Array:
        B = moved(w)
        half = anp.einsum("...iab,...jbc,...kca->...ijk", B, B, B)
        return -(half + anp.einsum("...ijk->...ikj", half))

    R = LegendreFunction(
        lambda w: -anp.log(_determinant(w)),
        cone,
        gradient=lambda w: anp.stack([-w[..., 2], 2 * w[..., 1], -w[..., 0]], axis=-1) / _determinant(w)[..., None],
        hessian=lambda w: anp.einsum("...iab,...jba->...ij", moved(w), moved(w)),
        third_derivative=third,
        name="-log det on SPD(2)",
    ).set_structure(
        Pullback(
            (("euclidean", scale_chart), ("hyperbolic plane", shape_chart)),
            from_charts,
            (_scale_derivatives, _shape_derivatives),
            ((scale_chart, _scale_step), (_shape_of, _shape_step)),
        )
    )
    R.closed_divergence = _log_det_divergence
    return R


def _quartic(d: int) -> LegendreFunction:
    def third(w: Array) -> Array:
        pair = 2 * w[..., :, None, None] * np.eye(d)
        return pair + anp.einsum("...ijk->...jik", pair) + anp.einsum("...ijk->...jki", pair)

    def hessian(w: Array) -> Array:
        return (1 + anp.sum(w**2, axis=-1))[..., None, None] * np.eye(d) + 2 * w[..., :, None] * w[..., None, :]

    return LegendreFunction(
        lambda w: anp.sum(w**2, axis=-1) / 2 + anp.sum(w**2, axis=-1) ** 2 / 4,
        d,
        gradient=lambda w: w * (1 + anp.sum(w**2, axis=-1, keepdims=True)),
        hessian=hessian,
        third_derivative=third,
        name="quartic",
    )


def _quadratic_form(d: int) -> LegendreFunction:
    B = np.random.default_rng(2).standard_normal((d, d))
    A = B @ B.T / d + np.eye(d)
    C = np.linalg.inv(A)
    dual = LegendreFunction(lambda mu: anp.sum(mu * (mu @ C), axis=-1) / 2, d, gradient=lambda mu: mu @ C)
    structure = Ridges(np.linalg.cholesky(A).T, np.zeros(d), (PROFILES["quadratic"],) * d)
    return LegendreFunction(
        lambda w: anp.sum(w * (w @ A), axis=-1) / 2,
        d,
        gradient=lambda w: w @ A,
        conjugate=dual,
        name="quadratic form",
        third_derivative=partial(structure.derivative, 3),
    ).set_structure(structure)


def _soft_max_affine(d: int) -> LegendreFunction:
    """Log-sum-exp of 3 d random affine functions, plus |w|^2 / 20."""
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((3 * d, d)), rng.standard_normal(3 * d)
    # log sum exp of z_0, ..., z_m is z_0 plus the log-sum-exp potential of the differences z_k - z_0
    spread = _simplex_pair(3 * d - 1)[1].compose_affine(A[1:] - A[0], b[1:] - b[0]).add_affine(A[0], b[0])
    result = spread + 0.1 * RidgeSum(np.eye(d), 0.0, "quadratic")
    result.name = "soft maximum of affine functions"
    return result


_dims: dict[str, tuple[int, ...]] = {"gaussian_log_partition": (2,), "log_det_spd": (3,)}
for _name, _formula, _domain, _build in [
    ("negative_entropy", "sum w log w - w", "w > 0", separable("entropy", "negative entropy")),
    ("burg", "-sum log w", "w > 0", separable("log_barrier", "Burg entropy")),
    ("fermi_dirac", "sum w log w + (1-w) log(1-w)", "0 < w < 1", separable("fermi_dirac", "Fermi-Dirac entropy")),
    (
        "hyperbolic_entropy",
        "sum w arsinh w - sqrt(1+w^2)",
        "R^d",
        separable("hyperbolic_entropy", "hyperbolic entropy"),
    ),
    ("log_sum_exp", "log(1 + sum exp w)", "R^d", lambda d: _simplex_pair(d)[1]),
    ("simplex_entropy", "sum w log w over d + 1 entries", "simplex", lambda d: _simplex_pair(d)[0]),
    ("polytope_barrier", "-sum log(b - A w)", "polytope", _polytope_barrier),
    ("logistic_regression", "mean log(1 + exp Zw) + |w|^2/20", "R^d", _logistic_regression),
    ("gaussian_log_partition", "-t1^2/(4 t2) - log(-2 t2)/2", "t2 < 0", _gaussian_log_partition),
    ("log_det_spd", "-log(a c - b^2)", "SPD(2)", _log_det_spd),
    ("quartic", "|w|^2/2 + |w|^4/4", "R^d", _quartic),
    ("quadratic_form", "w^T A w / 2", "R^d", _quadratic_form),
    ("power", "sum |w|^4/4 + |w|^2/2", "R^d", separable("quartic", "power 4")),
    ("soft_max_affine", "log sum exp(A w + b) + |w|^2/20", "R^d", _soft_max_affine),
]:
    potentials.add(Entry(_name, "potential", _formula, _domain, "", _build, _dims.get(_name, ())))
