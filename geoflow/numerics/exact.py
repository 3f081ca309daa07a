"""Sums and differences of products without the rounding that cancellation brings out: 1 - sum w, a c - b^2, log det.

All take what is being differentiated as it is: there the plain formula.
"""

from __future__ import annotations

from fractions import Fraction

import autograd.numpy as anp
import numpy as np

from geoflow._typing import Array
from geoflow.numerics import autodiff

#: of a sum that is smaller than this beside its terms, all digits are computed; ten are left of a larger one
CANCELS = 2.0**-20


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b rounded, and its rounding error (Dekker); of numbers up to 1e290."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _split(a: Array) -> tuple[Array, Array]:
    large = 134217729.0 * a
    high = large - (large - a)
    return high, a - high


def difference_of_products(a: Array, b: Array, c: Array, d: Array) -> Array:
    """a b - c d."""
    if any(autodiff.is_traced(x) for x in (a, b, c, d)):
        return a * b - c * d
    with np.errstate(all="ignore"):
        (p, p_low), (q, q_low) = two_product(a, b), two_product(c, d)
        low = p_low - q_low
        return (p - q) + np.where(np.isfinite(low), low, 0.0)


def affine(w: Array, A: Array, b: Array) -> Array:
    """A w + b, shape=[..., m]; entries that cancel are summed exactly, so that distances to a wall have all digits."""
    s = anp.matmul(w, A.T) + b
    if autodiff.is_traced(s):
        return s
    w = np.asarray(w)
    small = np.abs(s) < CANCELS * (np.matmul(np.abs(w), np.abs(A.T)) + np.abs(b))
    for place in np.argwhere(small):
        *entry, k = (int(i) for i in place)
        terms = [Fraction(float(x)) * Fraction(float(y)) for x, y in zip(w[tuple(entry)], A[k], strict=True) if y]
        s[(*entry, k)] = float(sum(terms, Fraction(float(b[k]))))
    return s


def complement(w: Array) -> Array:
    """1 - sum of w over the last axis, which stays with one entry."""
    if autodiff.is_traced(w):
        return 1 - anp.sum(w, axis=-1, keepdims=True)
    return affine(w, -np.ones((1, np.shape(w)[-1])), np.ones(1))


def log_det_one_plus(E: Array) -> Array:
    """log det(I + E) for I + E with positive leading minors, by elimination; shape=[..., n, n] to shape=[...]."""
    total: Array = np.zeros(())
    for _ in range(anp.shape(E)[-1]):
        pivot = E[..., 0, 0]
        total = total + anp.log1p(pivot)
        E = E[..., 1:, 1:] - E[..., 1:, :1] * E[..., :1, 1:] / (1 + pivot)[..., None, None]
    return total
