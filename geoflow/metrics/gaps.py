"""Divergences made of Bregman divergences, D(w, v) = R(w) - R(v) - <grad R(v), w - v>, to the digits of those."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, ArrayLike, Index
from geoflow._validate import as_finite, as_points, require_type
from geoflow.errors import ArgumentError, ShapeError
from geoflow.numerics.roots import decreasing_zeros
from geoflow.potentials.divergence import require_digits
from geoflow.potentials.legendre import LegendreFunction


def jeffreys_divergence(R: LegendreFunction, w: ArrayLike, v: ArrayLike) -> Array:
    """D(w, v) + D(v, w) = <w - v, grad R(w) - grad R(v)>, shape=[...], of points of shape=[..., d].

    Of two members of an exponential family, by their natural parameters and the log-partition function R, it is the
    Jeffreys divergence KL(p, q) + KL(q, p).

    Raises
    ------
    DomainError, ConvergenceError
        Where a point is outside the domain, or the digits are in doubt; so do all functions here.

    Reference
    ---------
    Nielsen, Nock, Sided and symmetrized Bregman centroids, IEEE Trans. Inf. Theory 2009.
    """
    w, v = _pair(R, w, v)
    return R.bregman_divergence(w, v) + R.bregman_divergence(v, w)


def jensen_divergence(R: LegendreFunction, w: ArrayLike, v: ArrayLike, alpha: ArrayLike = 0.5) -> Array:
    """Skew Jensen divergence alpha R(w) + (1 - alpha) R(v) - R(m), m = alpha w + (1 - alpha) v; shape=[...].

    It is computed as alpha D(w, m) + (1 - alpha) D(v, m), and called a Jensen-Bregman or a Burbea-Rao divergence too.
    `alpha`, in [0, 1], has any shape that goes with the batch of w and v, shape=[..., d]. Of an exponential family it
    is the skew Bhattacharyya distance -log int p_w^alpha p_v^(1 - alpha).

    Reference
    ---------
    Nielsen, Boltz, The Burbea-Rao and Bhattacharyya centroids, IEEE Trans. Inf. Theory 2011.
    """
    w, v = _pair(R, w, v)
    alpha = as_alpha(alpha)
    try:
        shape = np.broadcast_shapes(w.shape[:-1], alpha.shape)
    except ValueError:
        got, wanted = f"shape {alpha.shape}", f"a shape that broadcasts to the batch {w.shape[:-1]}"
        raise ShapeError("alpha", got, wanted) from None
    w, v = (np.broadcast_to(x, (*shape, R.dim)) for x in (w, v))
    flat = w.reshape(-1, R.dim), v.reshape(-1, R.dim)
    a = np.broadcast_to(alpha, shape).reshape(-1)
    first, second = _sides(R, *flat, a, 1 - a)
    found = np.where(a > 0, a * first, 0.0) + np.where(a < 1, (1 - a) * second, 0.0)
    return require_digits(found.reshape(shape), w, v, f"Jensen divergence of {R.name}")


def bregman_information(R: LegendreFunction, points: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """sum_i p_i R(w_i) - R(sum_i p_i w_i) = min_c sum_i p_i D(w_i, c), the Jensen diversity of points; shape=[...].

    `points` have shape=[..., n, d]; `weights`, shape=[n] or [..., n], are not negative, and 1 / n by default.

    Reference
    ---------
    Banerjee, Merugu, Dhillon, Ghosh, Clustering with Bregman divergences, JMLR 2005.
    """
    w, p = as_weighted(R, points, weights)
    mean = np.einsum("...n,...nd->...d", p, w)
    return np.einsum("...n,...n->...", p, R.bregman_divergence(w, mean[..., None, :]))


def chernoff_information(R: LegendreFunction, w: ArrayLike, v: ArrayLike) -> Array:
    """Chernoff information max_alpha J_alpha(w, v), J the skew `jensen_divergence`; shape=[...].

    Of two members of an exponential family, by their natural parameters w and v of shape=[..., d] and the log-partition
    function R, it is -log min_alpha int p_w^alpha p_v^(1 - alpha), the rate at which the error of the best test falls.

    Reference
    ---------
    Nielsen, An information-geometric characterization of Chernoff information, IEEE Signal Process. Lett. 2013.
    """
    w, v = _pair(R, w, v)
    shape, (w, v) = w.shape[:-1], (x.reshape(-1, R.dim) for x in (w, v))
    a, b = _chernoff_exponents(R, w, v)
    first, second = _sides(R, w, v, a, b)
    return require_digits((a * first + b * second).reshape(shape), w.reshape(*shape, -1), v.reshape(*shape, -1),
                          f"Chernoff information of {R.name}")  # fmt: skip


def chernoff_exponent(R: LegendreFunction, w: ArrayLike, v: ArrayLike) -> Array:
    """The alpha in (0, 1) with the largest J_alpha(w, v), shape=[...]; 1/2 where w = v.

    There D(w, m) = D(v, m), m = alpha w + (1 - alpha) v: the Chernoff point m is on the bisector of w and v.
    """
    w, v = _pair(R, w, v)
    shape, (w, v) = w.shape[:-1], (x.reshape(-1, R.dim) for x in (w, v))
    a = _chernoff_exponents(R, w, v)[0]
    return require_digits(a.reshape(shape), w.reshape(*shape, -1), v.reshape(*shape, -1), f"exponent of {R.name}")


def _chernoff_exponents(R: LegendreFunction, w: Array, v: Array) -> tuple[Array, Array]:
    """alpha and 1 - alpha, shape=[N] each: log D(w, m) - log D(v, m) falls in s = log(alpha / (1 - alpha))."""
    apart = np.flatnonzero((w != v).any(axis=-1))

    def excess(k: Index, s: Array) -> Array:
        first, second = _sides(R, w[apart[k]], v[apart[k]], *_shares(s))
        with np.errstate(all="ignore"):
            return np.log(first) - np.log(second)

    s = np.zeros(len(w))
    s[apart] = decreasing_zeros(excess, len(apart))
    return _shares(s)


def _shares(s: Array) -> tuple[Array, Array]:
    """1 / (1 + e^-s) and 1 / (1 + e^s)."""
    small = np.exp(-np.abs(s))
    large, small = 1 / (1 + small), small / (1 + small)
    return np.where(s > 0, large, small), np.where(s > 0, small, large)


def _sides(R: LegendreFunction, w: Array, v: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """D(w, m) and D(v, m) at m = a w + b v, a + b = 1, unchecked; shape=[N].

    The steps to m are given as they are: what rounding moves m by counts to the second order only, as m is the mean.
    """
    a, b, h = a[:, None], b[:, None], w - v
    m = np.where(h == 0, w, np.clip(a * w + b * v, np.minimum(w, v), np.maximum(w, v)))
    with np.errstate(all="ignore"):
        return R.divergence_or_nan(w, m, b * h), R.divergence_or_nan(v, m, -a * h)


# a centre and the side it stands on -----------------------------------------------------------------------------------


#: of points w and centres c with h = w - c, shape=[N, d] each, unchecked
Sided = Callable[[LegendreFunction, Array, Array, Array], Array]


def _right(R: LegendreFunction, w: Array, c: Array, h: Array) -> Array:
    return R.divergence_or_nan(w, c, h)


def _left(R: LegendreFunction, w: Array, c: Array, h: Array) -> Array:
    return R.divergence_or_nan(c, w, -h)


def _symmetrised(R: LegendreFunction, w: Array, c: Array, h: Array) -> Array:
    return (R.divergence_or_nan(w, c, h) + R.divergence_or_nan(c, w, -h)) / 2


def _jensen(R: LegendreFunction, w: Array, c: Array, h: Array) -> Array:
    m = np.where(h == 0, w, c + h / 2)
    return (R.divergence_or_nan(w, m, h / 2) + R.divergence_or_nan(c, m, -h / 2)) / 2


#: D(w, c), D(c, w), half of both, and J_1/2(w, c)
SIDES: dict[str, Sided] = {"right": _right, "left": _left, "symmetrised": _symmetrised, "jensen": _jensen}


def divergence_from(R: LegendreFunction, points: ArrayLike, centre: ArrayLike, side: str) -> Array:
    """D(w, c) for side "right", D(c, w) for "left", half of both for "symmetrised", J_1/2 for "jensen"; shape=[...]."""
    divergence = SIDES[as_side(side)]
    w, c = _pair(R, points, centre, "points", "centre")
    flat = w.reshape(-1, R.dim), c.reshape(-1, R.dim)
    with np.errstate(all="ignore"):
        found = divergence(R, *flat, flat[0] - flat[1]).reshape(w.shape[:-1])
    return require_digits(found, w, c, f"{side} divergence of {R.name}")


# arguments ------------------------------------------------------------------------------------------------------------


def as_side(side: object) -> str:
    """One of SIDES."""
    if not isinstance(side, str) or side not in SIDES:
        raise ArgumentError("side", got=repr(side), wanted=f"one of {', '.join(map(repr, SIDES))}",
                            remedy="the side is where the centre c stands: D(w, c) is 'right'")  # fmt: skip
    return side


def as_alpha(alpha: ArrayLike) -> Array:
    """Numbers from 0 to 1."""
    a = as_finite(alpha, "alpha")
    if ((a < 0) | (a > 1)).any():
        raise ArgumentError("alpha", got=f"{a[(a < 0) | (a > 1)].ravel()[0]:g}", wanted="numbers from 0 to 1")
    return a


def as_weighted(R: LegendreFunction, points: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array]:
    """Points of the domain, shape=[..., n, d], and their weights with the sum 1, shape=[..., n]."""
    require_type(R, LegendreFunction, "R")
    w = as_points(points, R.dim, "points")
    if w.ndim < 2:
        raise ShapeError(
            "points", f"shape {w.shape}", f"shape [..., n, {R.dim}]", "put the points on the last axis but one"
        )
    w = R.domain.require(w, "points")
    p = np.ones(w.shape[-2]) if weights is None else as_finite(weights, "weights")
    if p.shape not in {w.shape[-2:-1], w.shape[:-1]}:
        raise ShapeError(
            "weights", f"shape {p.shape}", f"shape {w.shape[-2:-1]} or {w.shape[:-1]}", "one weight a point"
        )
    if (p < 0).any() or (p.max(axis=-1) == 0).any():
        got = f"{p.min():g} among them" if (p < 0).any() else "only zeros"
        raise ArgumentError("weights", got=got, wanted="numbers of at least 0, not all of them 0")
    p = p / p.max(axis=-1, keepdims=True)
    return w, np.broadcast_to(p / p.sum(axis=-1, keepdims=True), w.shape[:-1])


def _pair(R: LegendreFunction, w: ArrayLike, v: ArrayLike, first: str = "w", second: str = "v") -> tuple[Array, Array]:
    require_type(R, LegendreFunction, "R")
    w, v = R.domain.require(w, first), R.domain.require(v, second)
    try:
        w, v = np.broadcast_arrays(w, v)
    except ValueError:
        got, wanted = f"shapes {w.shape} and {v.shape}", "batches that broadcast"
        raise ShapeError(f"{first} and {second}", got, wanted, "add axes of length 1") from None
    return w, v
