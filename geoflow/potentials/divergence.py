"""Bregman divergences to all their digits: D = int_0^1 (1 - t) <h, H(v + t h) h> dt, h = w - v, where values cancel.

R(w) - R(v) - <grad R(v), h> is of the size of h^2 and its terms are not: at a distance of 1e-9 nothing of it is left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geoflow._typing import Array, Bilinear, Index
from geoflow._validate import describe
from geoflow.errors import ConvergenceError, NotLegendreError
from geoflow.numerics.batches import in_slices
from geoflow.numerics.quadrature import ORDERS, gauss, integrals
from geoflow.potentials.kernel import Formula

#: a function of (s, t, h) with h = s - t
Pairwise = Callable[[Array, Array, Array], Array]

EPS = float(np.finfo(float).eps)
#: the relative error that is given, and how much of it the difference of values may have to be taken at once
ACCURACY, CLEAR = 1e-9, 1e-11
#: how far from the points, beside them, R and grad R are asked for their rounding
ASIDE = 1e-13


def between(formula: Formula, w: Array, v: Array, h: Array, bend: Bilinear | None = None) -> Array:
    """D_R(w, v) for points of shape=[N, d], h = w - v; shape=[N], NaN where its digits are in doubt.

    `bend`, (w, h) to <h, H(w) h>, saves forming H. The difference of values is taken where its rounding is small beside
    it, the integral elsewhere, if the two agree to what the former resolves.
    """
    quadratic = bend or (lambda at, h: np.einsum("...i,...ij,...j->...", h, formula.derivative(2, at), h))
    with np.errstate(all="ignore"):
        value, noise = _difference(formula, w, v, h)
        found = np.where(noise <= CLEAR * np.abs(value), value, np.nan)
        found = np.where(h.any(axis=-1), found, 0.0)
        rest = np.flatnonzero(np.isnan(found))
        if len(rest):
            base, way, entries = v[rest], h[rest], v.shape[-1] ** (1 if bend else 2)
            integral, doubt = segment(quadratic, base, way, entries)
            found[rest] = settled(value[rest], noise[rest], integral, doubt)
    return found


def confirmed(formula: Formula, closed: Pairwise, w: Array, v: Array, h: Array) -> Array:
    """A closed form of D_R(w, v) where it is the difference of values to what that resolves; `between` elsewhere."""
    with np.errstate(all="ignore"):
        value, noise = _difference(formula, w, v, h)
        found = np.array(closed(w, v, h))
        rest = np.flatnonzero(~(np.abs(value - found) <= noise + 10 * ACCURACY * np.abs(found)))
    if len(rest):
        found[rest] = between(formula, w[rest], v[rest], h[rest])
    return found


def require_digits(found: Array, w: Array, v: Array, what: str) -> Array:
    """The numbers found for pairs of points; `ConvergenceError` where one is NaN, `NotLegendreError` where negative."""
    if not np.isfinite(found).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        entry = f", batch entry {index}" if index else ""
        raise ConvergenceError(
            what,
            got=f"no eight digits between {describe(w[index])} and {describe(v[index])}{entry}",
            wanted="two ways of computing it that agree",
            remedy="choose nearer points, or give the Hessian in closed form",
            index=index,
        )
    if (found < 0).any():
        index = tuple(int(i) for i in np.argwhere(found < 0)[0])
        raise NotLegendreError(
            what, got=f"{found[index]:.6g} at w = {describe(w[index])} and v = {describe(v[index])}",
            wanted="0 or more, as of a convex function", remedy="check the potential: it is not convex between them",
            point=v[index],
        )  # fmt: skip
    return found


def segment(quadratic: Bilinear, v: Array, h: Array, entries: int) -> tuple[Array, Array]:
    """int_0^1 (1 - t) <h, H(v + t h) h> dt and what is in doubt of it, shape=[N]."""
    size = np.abs(h).max(axis=-1, keepdims=True)  # squares of h may be too small for a number
    unit = h / size

    def integrand(k: Index, t: Array) -> Array:
        at = v[k][:, None, :] + t[..., None] * h[k][:, None, :]
        return (1 - t) * quadratic(at, np.broadcast_to(unit[k][:, None, :], at.shape))

    return tuple(part * size[:, 0] ** 2 for part in integrals(integrand, len(v), entries))


def gradient_change(formula: Formula, w: Array, v: Array, h: Array) -> Array:
    """grad R(w) - grad R(v), shape=[..., d], h = w - v: by the Hessian between near points, where gradients cancel."""
    return change_and_noise(formula, w, v, h)[0]


def change_and_noise(formula: Formula, w: Array, v: Array, h: Array, beside: float = 1e-4) -> tuple[Array, Array]:
    """The change of the gradient, and what rounding or an unresolved integral leaves in doubt of it.

    Entries that are smaller than `beside` beside their gradients are integrated.
    """
    upper, lower = (np.asarray(formula.derivative(1, point), dtype=float) for point in (w, v))
    found, noise = np.array(upper - lower), np.array(4 * EPS * (np.abs(upper) + np.abs(lower)))
    cancels = np.abs(found) < beside * (np.abs(upper) + np.abs(lower))
    rows = np.array(cancels.any(axis=-1))
    for panels in (1, 8, 64):
        if not rows.any():
            break
        base, way = np.broadcast_to(v, found.shape)[rows], np.broadcast_to(h, found.shape)[rows]
        flat = base.reshape(-1, base.shape[-1]), way.reshape(-1, base.shape[-1])
        entries = panels * sum(ORDERS) * base.shape[-1] ** 2
        low, high = in_slices(lambda at, step, panels=panels: _along(formula, at, step, panels), entries, *flat)
        gap = np.abs(low - high)
        sure = gap.max(axis=-1, keepdims=True) <= ACCURACY / 10 * np.abs(high).max(axis=-1, keepdims=True)
        found[rows] = np.where(cancels[rows] & sure, high, found[rows])
        noise[rows] = np.where(cancels[rows] & sure, gap + 4 * EPS * np.abs(high), noise[rows])
        rows[rows] = ~sure[:, 0]
    return found, noise


def _along(formula: Formula, v: Array, h: Array, panels: int) -> tuple[Array, ...]:
    """int_0^1 H(v + t h) h dt by both orders on equal panels, shape=[N, d] each."""
    found = []
    for n in ORDERS:
        x, weight = gauss(n)
        t = ((np.arange(panels)[:, None] + x) / panels).ravel()
        H = np.asarray(formula.derivative(2, v[:, None] + t[:, None] * h[:, None]))
        found.append(np.einsum("t,ntij,nj->ni", np.tile(weight / panels, panels), H, h, optimize=True))
    return tuple(found)


def settled(value: Array, noise: Array, integral: Array, doubt: Array) -> Array:
    """The integral, or the difference of values, where the one that is taken is not in doubt; NaN elsewhere."""
    sure, exact = doubt <= ACCURACY / 10 * np.abs(integral), noise <= ACCURACY * np.abs(value)
    agree = np.abs(value - integral) <= noise + 10 * ACCURACY * np.abs(integral)
    return np.where(sure & agree, integral, np.where(exact & ~sure, value, np.nan))


def _difference(formula: Formula, w: Array, v: Array, h: Array) -> tuple[Array, Array]:
    """R(w) - R(v) - <grad R(v), h>, and its rounding: that of its terms, and what R and grad R scatter on a line."""
    back, on = (ASIDE * np.sign(h) * np.minimum(np.abs(h), np.abs(point)) for point in (w, v))
    values = [np.asarray(formula.derivative(0, w - k * back), dtype=float) for k in range(3)]
    slopes = [np.asarray(formula.derivative(1, v + k * on), dtype=float) for k in range(3)]
    base, terms = np.asarray(formula.derivative(0, v), dtype=float), slopes[0] * h
    size = np.abs(values[0]) + np.abs(base) + np.abs(terms).sum(axis=-1) + np.abs(slopes[0] * v).sum(axis=-1)
    scatter = np.abs(values[0] - 2 * values[1] + values[2])
    scatter = scatter + (np.abs(slopes[0] - 2 * slopes[1] + slopes[2]) * np.abs(h)).sum(axis=-1)
    return values[0] - base - terms.sum(axis=-1), 8 * EPS * size + 8 * scatter


# functions of one variable -------------------------------------------------------------------------------------------


def near(bend: Callable[[Array], Array], t: Array, h: Array) -> Array:
    """h^2 int_0^1 (1 - u) r''(t + u h) du, where r'' is analytic to twice |h| around the interval."""
    total: Array = np.zeros(np.shape(h))
    for u, weight in zip(*gauss(12), strict=True):
        total = total + weight * (1 - u) * bend(t + u * h)
    return h * (total * h)


def of_ratio(delta: Array) -> Array:
    """(1 + x) log(1 + x) - x for x >= -1: the divergence of the entropy from 1."""
    close = np.abs(delta) < 0.5
    inner, outer = np.where(close, delta, 0.0), np.where(close, 1.0, delta)
    s = np.maximum(1 + outer, 0.0)
    far = s * np.log(np.where(s > 0, s, 1.0)) - outer
    return np.where(close, near(lambda x: 1 / (1 + x), np.zeros(np.shape(delta)), inner), far)


def entropy(s: Array, t: Array, h: Array) -> Array:
    delta = h / t
    direct = s * (np.log(s) - np.log(t)) - h  # where the ratio is beyond all numbers
    return np.where(np.isfinite(delta), t * of_ratio(np.where(np.isfinite(delta), delta, 0.0)), direct)


def log_barrier(s: Array, t: Array, h: Array) -> Array:
    delta = h / t
    close = np.abs(delta) < 0.5
    inner = np.where(close, delta, 0.0)
    far = delta - (np.log(np.abs(s)) - np.log(np.abs(t)))
    return np.where(close, near(lambda x: 1 / (1 + x) ** 2, np.zeros(np.shape(delta)), inner), far)


def fermi_dirac(s: Array, t: Array, h: Array) -> Array:
    return t * of_ratio(h / t) + (1 - t) * of_ratio(-h / (1 - t))


def hyperbolic_entropy(s: Array, t: Array, h: Array) -> Array:
    scale = np.hypot(1.0, t)
    close = np.abs(h) < 0.5 * scale
    inner = np.where(close, h, 0.0)
    roots = h / (np.hypot(1.0, s) + scale) * (s + t)  # sqrt(1 + s^2) - sqrt(1 + t^2)
    far = s * (np.arcsinh(s) - np.arcsinh(t)) - roots
    return np.where(close, near(lambda x: 1 / np.hypot(1.0, x), t, inner), far)


def softplus(s: Array, t: Array, h: Array) -> Array:
    s, h, t = np.where(t > 0, -s, s), np.where(t > 0, -h, h), -np.abs(t)  # r(s) = s + r(-s)
    close = np.abs(h) < 0.5
    inner = np.where(close, h, 0.0)
    e = np.exp(t)
    p = e / (1 + e)
    # log(1 - p + p e^h) - p h
    grown = np.where(h > 0, (np.exp(np.minimum(s, 30.0)) - e) / (1 + e), p * np.expm1(np.minimum(h, 0.0)))
    far = np.where(s < 30, np.log1p(grown), s - np.log1p(e) + np.exp(-np.maximum(s, 0.0)))
    return np.where(close, near(logistic_variance, t, inner), far - p * h)


def logistic_variance(s: Array) -> Array:
    """r'' of softplus, e^-|s| / (1 + e^-|s|)^2."""
    e = np.exp(-np.abs(s))
    return e / (1 + e) ** 2


def cosh(s: Array, t: Array, h: Array) -> Array:
    close = np.abs(h) < 1
    inner = np.where(close, h, 0.0)
    return np.where(close, near(np.cosh, t, inner), 2 * np.sinh((s + t) / 2) * np.sinh(h / 2) - np.sinh(t) * h)


def exp(s: Array, t: Array, h: Array) -> Array:
    close = np.abs(h) < 1
    inner = np.where(close, h, 0.0)
    return np.where(close, near(np.exp, t, inner), np.exp(s) - np.exp(t) * (1 + h))


def quadratic(s: Array, t: Array, h: Array) -> Array:
    return h * h / 2


def quartic(s: Array, t: Array, h: Array) -> Array:
    return h * h / 2 * (1 + ((h + 2 * t) ** 2 + 2 * t * t) / 2)


# what int sqrt(r'') changes by


def log_change(s: Array, t: Array, h: Array) -> Array:
    """log(s / t)."""
    delta = h / t
    close = np.abs(delta) < 0.5
    far = np.log(np.abs(s)) - np.log(np.abs(t))
    return np.where(close, np.log1p(np.where(close, delta, 0.0)), far)


def arcsine_change(s: Array, t: Array, h: Array) -> Array:
    """2 arcsin(sqrt(s)) - 2 arcsin(sqrt(t))."""
    sine = h / (np.sqrt(s * (1 - t)) + np.sqrt(t * (1 - s)))
    return 2 * np.arctan2(sine, np.sqrt((1 - s) * (1 - t)) + np.sqrt(s * t))


def arctangent_change(s: Array, t: Array, h: Array) -> Array:
    """2 arctan(e^(s / 2)) - 2 arctan(e^(t / 2))."""
    sign = np.where(t > 0, -1.0, 1.0)
    s, t, h = sign * s, sign * t, sign * h
    y, top = np.exp(t / 2), np.maximum(s, 0.0) / 2  # both sides over e^top
    change = np.where(s < 0, y * np.expm1(np.minimum(h, -t) / 2), -np.expm1(-np.abs(h) / 2))
    return sign * 2 * np.arctan2(change, np.exp(-top) + y * np.exp(np.minimum(s, 0.0) / 2))
