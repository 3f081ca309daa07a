"""Laws of Legendre functions: their derivatives, their conjugates and their divergences."""

from __future__ import annotations

import numpy as np

from geoflow._typing import ArrayLike
from geoflow.numerics import autodiff
from geoflow.potentials.legendre import LegendreFunction
from geoflow.theorems.laws import cases
from geoflow.theorems.laws.law import Defect, compare, law, size_of


@law("potential", 1e-12, cases.entropy, lambda: cases.wrong(1))
def gradient_is_derivative(R: LegendreFunction, w: ArrayLike) -> Defect:
    """grad R is the derivative of R."""
    return compare(R.gradient(w), autodiff.jacobian(R.potential)(np.asarray(w, dtype=float)))


@law("potential", 1e-11, cases.entropy, lambda: cases.wrong(2))
def hessian_is_derivative(R: LegendreFunction, w: ArrayLike) -> Defect:
    """hess R is the derivative of grad R, by automatic differentiation of R."""
    return compare(R.hessian(w), autodiff.hessian(R.potential)(np.asarray(w, dtype=float)))


@law("potential", 1e-10, cases.entropy, lambda: cases.wrong(3))
def third_derivative_is_derivative(R: LegendreFunction, w: ArrayLike) -> Defect:
    """T_ijk is the third derivative of R."""
    return compare(R.third_derivative(w), autodiff.third_derivative(R.potential)(np.asarray(w, dtype=float)))


@law("potential", 1e-8, cases.entropy, lambda: cases.wrong(3), "T symmetric")
def third_derivative_is_symmetric(R: LegendreFunction, w: ArrayLike) -> Defect:
    """T_ijk is totally symmetric (Codazzi)."""
    T = R.third_derivative(w)
    gaps = [size_of(T - np.swapaxes(T, -1, -2)), size_of(T - np.swapaxes(T, -2, -3))]
    return max(gaps), max(size_of(T), np.finfo(float).tiny)


@law("potential", 1e-9, cases.entropy, cases.wrong_conjugate)
def gradient_inverts(R: LegendreFunction, w: ArrayLike) -> Defect:
    """grad Q(grad R(w)) = w."""
    return compare(R.inverse_gradient(R.gradient(w)), w)


@law("potential", 1e-9, cases.entropy, cases.wrong_conjugate)
def fenchel_young(R: LegendreFunction, w: ArrayLike) -> Defect:
    """R(w) + Q(mu) = <w, mu> at mu = grad R(w)."""
    w = np.asarray(w, dtype=float)
    mu = R.gradient(w)
    value, conjugate = R(w), R.conjugate(mu)
    product = np.einsum("...i,...i->...", w, mu)
    return size_of(value + conjugate - product), max(size_of(value), size_of(conjugate), size_of(product), 1e-300)


@law("potential", 1e-9, cases.entropy, cases.wrong_conjugate)
def conjugate_is_involution(R: LegendreFunction, w: ArrayLike) -> Defect:
    """(R*)* = R: the conjugate of Q, computed from Q alone, gives R back."""
    Q = R.conjugate
    w = np.asarray(w, dtype=float)
    mu = R.gradient(w)
    value = np.einsum("...i,...i->...", Q.gradient(mu), mu) - Q(mu)
    return compare(value, R(w))


@law("potential", 1e-9, cases.entropy, cases.wrong_conjugate)
def inverse_hessian_is_conjugate_hessian(R: LegendreFunction, w: ArrayLike) -> Defect:
    """hess Q(grad R(w)) hess R(w) = I."""
    product = np.einsum("...ij,...jk->...ik", R.conjugate.hessian(R.gradient(w)), R.hessian(w))
    return size_of(product - np.eye(R.dim)), 1.0


@law("pair", 1e-12, cases.two_points, cases.not_convex)
def bregman_is_nonnegative(R: LegendreFunction, w: ArrayLike, v: ArrayLike) -> Defect:
    """D_R(w, v) >= 0."""
    divergence = R.bregman_divergence(w, v)
    return size_of(np.minimum(divergence, 0.0)), max(size_of(divergence), size_of(R(w)), 1e-300)
