"""Chebyshev series: interpolation on boxes, and antiderivatives by panels."""

from math import comb

import numpy as np
import pytest
from numpy.polynomial import chebyshev

from geoflow.numerics.chebyshev import (
    Antiderivative,
    BoxMap,
    ProductBasis,
    TensorGrid,
    TensorSeries,
    derivative_matrix,
    total_degree,
    vandermonde,
)
from geoflow.realization.spectral import SpectralMap


def test_panels_extend_on_demand_and_stay_consistent():
    phi = Antiderivative(lambda s: np.cosh(s), 0.0)
    first = phi(np.array([0.5, 1.0]))
    phi(np.array([-7.0, 9.0]))
    assert np.allclose(phi(np.array([0.5, 1.0])), first, rtol=1e-14)
    s = np.linspace(-7, 9, 50)
    assert np.allclose(phi(s), np.sinh(s), rtol=1e-13, atol=1e-13)


def test_series_agree_with_the_functions_they_interpolate():
    lower, upper = np.array([-1.0, 0.5]), np.array([1.0, 2.0])
    grid = TensorGrid(lower, upper, 24)

    def f(w):
        return np.stack([np.sin(w[:, 0]) * np.exp(w[:, 1]), w[:, 0] ** 2 * w[:, 1]], axis=-1)

    w = np.random.default_rng(0).uniform(lower, upper, size=(7, 2))
    value, first, second = TensorSeries(lower, upper, grid.coefficients(f(grid.points))).jet(w)
    assert np.allclose(value, f(w), atol=1e-13)
    assert np.allclose(first[:, 0, 0], np.cos(w[:, 0]) * np.exp(w[:, 1]), atol=1e-11)
    assert np.allclose(second[:, 1, 0, 1], 2 * w[:, 0], atol=1e-9)
    assert np.allclose(grid.gradient(f(grid.points))[:, 1, 1], grid.points[:, 0] ** 2, atol=1e-10)
    basis = ProductBasis(lower, upper, total_degree(len(lower), 5))
    A = np.random.default_rng(1).standard_normal((3, len(basis)))
    value, first, second = SpectralMap(basis, A).jet(w)
    e = np.array([1e-4, 0.0])
    up, down = SpectralMap(basis, A).jet(w + e), SpectralMap(basis, A).jet(w - e)
    assert np.allclose((up[0] - down[0]) / 2e-4, first[:, :, 0], rtol=1e-4, atol=1e-4)
    assert np.allclose((up[1] - down[1]) / 2e-4, second[:, :, :, 0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("d, degree", [(1, 0), (1, 5), (2, 4), (3, 3)])
def test_products_of_a_total_degree_are_all_of_them_once(d, degree):
    k = total_degree(d, degree)
    assert len(k) == comb(d + degree, d) == len(np.unique(k, axis=0))
    assert k.min() == 0 and k.sum(axis=1).max() == degree


def test_a_basis_of_some_products_has_those(rng):
    index = np.array([[0, 0], [5, 1], [0, 2]])
    basis = ProductBasis([-1.0, -1.0], [1.0, 1.0], index)
    w, T = rng.uniform(-1, 1, (6, 2)), lambda k, t: np.cos(k * np.arccos(t))
    assert basis.degree == 5 and len(basis) == 3
    assert np.allclose(basis.derivatives(w, 0)[0], np.stack([T(a, w[:, 0]) * T(b, w[:, 1]) for a, b in index], axis=1))


@pytest.mark.parametrize("n", [0, 1, 7])
def test_values_and_gradients_alone_are_those_of_the_jet(n, rng):
    basis = ProductBasis([-1.0, 0.0, 2.0], [1.0, 3.0, 2.5], total_degree(3, 4))
    A, w = rng.standard_normal((2, len(basis))), rng.uniform([-1, 0, 2], [1, 3, 2.5], (n, 3))
    value, first, _ = basis.jet(w, A)
    assert value.shape == (n, 2) and first.shape == (n, 2, 3)
    assert np.allclose(basis.value(w, A), value, rtol=1e-13, atol=1e-13)
    assert np.allclose(basis.gradient(w, A), first, rtol=1e-13, atol=1e-13)


def test_columns_of_the_derivative_matrix_are_derivatives(rng):
    c, t = rng.standard_normal(8), np.linspace(-1, 1, 9)
    assert np.allclose(derivative_matrix(7) @ c, np.r_[chebyshev.chebder(c), 0.0], atol=1e-13)
    values, first, second = vandermonde(t, 7, 2, 3.0)  # in a coordinate three times as fast
    assert np.allclose(values @ c, chebyshev.chebval(t, c), atol=1e-13)
    assert np.allclose(first @ c, 3 * chebyshev.chebval(t, chebyshev.chebder(c)), atol=1e-11)
    assert np.allclose(second @ c, 9 * chebyshev.chebval(t, chebyshev.chebder(c, 2)), atol=1e-9)


def test_a_box_and_the_unit_cube(rng):
    box = BoxMap([-1.0, 2.0], [3.0, 2.5])
    w = rng.uniform([-1, 2], [3, 2.5], size=(5, 2))
    assert np.allclose(box.from_unit(box.to_unit(w)), w, rtol=1e-15)
    for low, high in np.random.default_rng(0).uniform([-1, 0], [0, 1], (2000, 2)):  # of some, lower + width > upper
        ends = BoxMap([low], [high]).from_unit(np.array([[-1.0], [1.0]]))
        assert ends[0, 0] == low and high - 1e-15 <= ends[1, 0] <= high
    assert box.to_unit(np.array([3.0, 2.0])).tolist() == [1.0, -1.0]


def test_interpolation_of_too_low_a_degree_is_seen_to_be_wrong():
    """|t| has a kink: no degree resolves it, and a smooth function needs enough of it."""
    w = np.linspace(-0.99, 0.99, 50)[:, None]
    for function, degree, bound in [(np.abs, 24, 1e-3), (np.sin, 2, 1e-3)]:
        grid = TensorGrid([-1.0], [1.0], degree)
        value = TensorSeries([-1.0], [1.0], grid.coefficients(function(grid.points))).jet(w)[0]
        assert np.abs(value - function(w)).max() > bound


def test_antiderivatives_outside_the_numbers_are_nan():
    phi = Antiderivative(np.cos, 0.5)
    assert np.isnan(phi(np.array([0.5, np.nan]))).all() and phi(np.array([])).shape == (0,)
    assert phi(np.array([0.5])) == 0
    assert phi(np.ones((2, 3))).shape == (2, 3)
    assert np.allclose(phi(np.array([1.0])), np.sin(1.0) - np.sin(0.5), rtol=1e-14)
