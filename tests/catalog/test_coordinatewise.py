"""Scalar maps on every coordinate: the R they induce against explicit formulas, each minus its affine part at w0."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog.coordinatewise import power_legendre


def eye(value):
    """The diagonal matrices with these diagonals."""
    return value[..., None] * np.eye(value.shape[-1])


def cube(value):
    """The diagonal tensors of order 3 with these diagonals."""
    e = np.eye(value.shape[-1])
    return value[..., None, None] * e[:, :, None] * e[:, None, :]


def separable(value, first, second, third, dual):
    """R minus its affine part at w0, with its derivatives, and grad Q, each from that of one coordinate."""

    def formulas(w, w0, mu):
        m0 = first(w0)
        x, x0 = w.astype(np.longdouble), w0.astype(np.longdouble)  # these differences lose digits, and R does not
        tilted = (value(x) - value(x0) - first(x0) * (x - x0)).sum(-1)
        return tilted, first(w) - m0, eye(second(w)), cube(third(w)), dual(mu + m0)

    return formulas


def simplex(w, w0, mu):
    """A quarter of sum w log w over d + 1 entries, minus its affine part at w0."""
    rest, rest0 = 1 - w.sum(-1, keepdims=True), 1 - w0.sum()
    value = ((w * np.log(w / w0)).sum(-1) + (rest * np.log(rest / rest0))[..., 0]) / 4
    first = (np.log(w / w0) - np.log(rest / rest0)) / 4
    second = (eye(1 / w) + 1 / rest[..., None]) / 4
    third = (-cube(1 / w**2) + 1 / rest[..., None, None] ** 2) / 4
    grown = w0 * np.exp(4 * mu)
    return value, first, second, third, grown / (rest0 + grown.sum(-1, keepdims=True))


FORMULAS = {
    "square": separable(
        lambda w: (w * np.log(w) - w) / 4,
        lambda w: np.log(w) / 4,
        lambda w: 1 / (4 * w),
        lambda w: -1 / (4 * w**2),
        lambda m: np.exp(4 * m),
    ),
    "exponential": separable(
        lambda w: -np.log(w), lambda w: -1 / w, lambda w: 1 / w**2, lambda w: -2 / w**3, lambda m: -1 / m
    ),
    "sine": separable(
        lambda w: ((1 + w) * np.log1p(w) + (1 - w) * np.log1p(-w)) / 2,
        lambda w: np.arctanh(w),
        lambda w: 1 / (1 - w**2),
        lambda w: 2 * w / (1 - w**2) ** 2,
        lambda m: np.tanh(m),
    ),
    "sphere_squares": simplex,
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_tilted_and_scaled_potentials_are_the_explicit_formulas(name, d, rng):
    case = gf.catalog.parametrizations[name](d)
    R, w0 = case.legendre, case.parametrization(case.x0)
    w = case.reach(6, rng)
    mu = rng.uniform(-case.mu_bound, case.mu_bound, (6, d))
    found = R(w), R.gradient(w), R.hessian(w), R.third_derivative(w), R.conjugate.gradient(mu)
    rounding = 1e-15, 0, 0, 0, 0  # R is a sum of terms of size 1, which cancel towards w0
    for one, formula, of_terms in zip(found, FORMULAS[name](w, w0, mu), rounding, strict=True):
        assert np.abs(one - formula).max() <= 5e-15 * np.abs(formula).max() + of_terms


@pytest.mark.parametrize("name", FORMULAS)
def test_the_comparison_sees_another_start(name, rng):
    case = gf.catalog.parametrizations[name](2)
    w0, w = case.parametrization(case.x0), case.reach(6, rng)
    other = FORMULAS[name](w, 1.001 * w0, np.zeros((6, 2)))
    assert np.abs(case.legendre.gradient(w) - other[1]).max() > 1e-5 * np.abs(other[1]).max()


@pytest.mark.parametrize("degree", [3, 4, 7])
def test_powers(degree, rng):
    """mu = (w0^-a - w^-a) / (L (L - 2)), a = (L - 2) / L: the integral of dw / g'(x)^2 for g = x^L."""
    w0, w = np.array([0.5, 0.8]), rng.uniform(0.4, 1.0, (5, 2))
    R, a = power_legendre(degree)(w0), (degree - 2) / degree
    wanted = (w0**-a - w**-a) / (degree * (degree - 2))
    assert np.allclose(R.gradient(w), wanted, rtol=1e-13, atol=1e-16)
    slope = degree * w ** ((degree - 1) / degree)
    assert np.allclose(np.einsum("nii->ni", R.hessian(w)), slope**-2.0, rtol=1e-13)
    assert np.allclose(R.conjugate.gradient(wanted), w, rtol=1e-12)
    with pytest.raises(gf.DomainError):
        R.inverse_gradient(w0**-a / (degree * (degree - 2)) + 0.1)  # psi ends in infinity before that


@pytest.mark.parametrize("name", [n for n, e in gf.catalog.parametrizations.items() if e.family == "coordinatewise"])
def test_the_metric_is_one_over_the_square_of_the_slope(name, rng):
    case = gf.catalog.parametrizations[name](3)
    x = case.sample(5, rng)
    slope = np.einsum("nii->ni", case.parametrization.jacobian(x))
    found = case.legendre.hessian(case.parametrization(x))
    assert np.allclose(found, eye(slope**-2.0), rtol=1e-12)
