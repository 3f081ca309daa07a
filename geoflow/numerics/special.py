"""Log-gamma beside Stirling's main terms, and log I_0, with their derivatives, to all digits at all arguments."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import special

from geoflow._typing import Array

# log Gamma ------------------------------------------------------------------------------------------------------------

#: from where Stirling's series is taken, and its Bernoulli numbers B_2, B_4, ...
LARGE = 16.0
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def stirling_rest(a: Array) -> Array:
    """log Gamma(a) - a log a + a for a > 0: -log(a) / 2 + log(2 pi) / 2 + 1 / (12 a) - ... of large a."""
    big, small = np.maximum(a, LARGE), np.minimum(a, LARGE)
    series = sum(b / ((2 * k + 2) * (2 * k + 1) * big ** (2 * k + 1)) for k, b in enumerate(BERNOULLI))
    direct = special.gammaln(small) - small * np.log(small) + small
    return np.where(a > LARGE, series - np.log(big) / 2 + np.log(2 * np.pi) / 2, direct)


def stirling_slope(a: Array) -> Array:
    """psi(a) - log a, the derivative of `stirling_rest`."""
    big, small = np.maximum(a, LARGE), np.minimum(a, LARGE)
    series = sum(b / ((2 * k + 2) * big ** (2 * k + 2)) for k, b in enumerate(BERNOULLI))
    return np.where(a > LARGE, -1 / (2 * big) - series, special.digamma(small) - np.log(small))


def stirling_curvature(a: Array) -> Array:
    """psi'(a) - 1 / a, its second derivative, which is positive."""
    big, small = np.maximum(a, LARGE), np.minimum(a, LARGE)
    series = sum(b / big ** (2 * k + 3) for k, b in enumerate(BERNOULLI))
    return np.where(a > LARGE, 1 / (2 * big**2) + series, special.polygamma(1, small) - 1 / small)


# log I_0 --------------------------------------------------------------------------------------------------------------

#: from where, and to what order, the asymptotic series of I_1 / I_0 is taken; terms of the power series, up to 1
ASYMPTOTIC, ORDER, TERMS = 30.0, 26, 40


@cache
def _power_series() -> Array:
    """Coefficients of F' in q = kappa^2 / 4, F(q) = log I_0: q (F'' + F'^2) + F' = 1."""
    b = np.zeros(TERMS)
    b[0] = 1.0
    for k in range(1, TERMS):
        b[k] = -(b[:k] @ b[:k][::-1]) / (k + 1)
    return b


@cache
def _asymptotic() -> Array:
    """Coefficients of A = I_1 / I_0 in 1 / kappa: A' = 1 - A / kappa - A^2."""
    a = np.zeros(ORDER)
    a[0] = 1.0
    for k in range(1, ORDER):
        a[k] = ((k - 2) * a[k - 1] - a[1:k] @ a[1:k][::-1]) / 2
    return a


def log_bessel(kappa: Array) -> Array:
    """log I_0(kappa), kappa >= 0."""
    near, far = np.minimum(kappa, 1.0), np.maximum(kappa, 1.0)
    q, b = near**2 / 4, _power_series()
    series = q * np.polynomial.polynomial.polyval(q, b / np.arange(1, TERMS + 1))
    return np.where(kappa < 1, series, far + np.log(special.i0e(far)))


def log_scaled_bessel(kappa: Array) -> Array:
    """log I_0(kappa) - kappa, which stays small."""
    return np.log(special.i0e(kappa))


def bessel_ratio(kappa: Array) -> tuple[Array, Array, Array, Array]:
    """A / kappa, A', c = (A' - A / kappa) / kappa^2 and c' / kappa, of A = I_1 / I_0, the derivative of log I_0.

    They are what the derivatives of log I_0(|w|) are made of; all have limits at 0.
    """
    near, mid, far = np.minimum(kappa, 1.0), np.clip(kappa, 1.0, ASYMPTOTIC), np.maximum(kappa, ASYMPTOTIC)
    low, middle, high = _near(near), _between(mid), _far(far)
    first, second, third, fourth = (
        np.where(kappa < 1, a, np.where(kappa < ASYMPTOTIC, b, c)) for a, b, c in zip(low, middle, high, strict=True)
    )
    return first, second, third, fourth


def _near(kappa: Array) -> tuple[Array, ...]:
    b, q, value = _power_series(), kappa**2 / 4, np.polynomial.polynomial.polyval
    first, second, third = (value(q, np.polynomial.polynomial.polyder(b, k)) for k in range(3))
    return first / 2, first / 2 + q * second, second / 4, third / 8


def _assembled(kappa: Array, a: Array, slope: Array, bend: Array) -> tuple[Array, ...]:
    ratio = a / kappa
    c = (slope - ratio) / kappa**2
    return ratio, slope, c, (bend - 3 * kappa * c) / kappa**3


def _between(kappa: Array) -> tuple[Array, ...]:
    a = special.i1e(kappa) / special.i0e(kappa)
    slope = 1 - a / kappa - a * a
    return _assembled(kappa, a, slope, -slope / kappa + a / kappa**2 - 2 * a * slope)


def _far(kappa: Array) -> tuple[Array, ...]:
    a, k, value = _asymptotic(), np.arange(ORDER), np.polynomial.polynomial.polyval
    t = 1 / kappa
    return _assembled(kappa, value(t, a), t * value(t, -k * a), t * t * value(t, k * (k + 1) * a))
