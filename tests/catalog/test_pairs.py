"""Pairs (u, v): differences of powers and products, and the hyperbolic entropy they induce."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog.pairs import hypentropy, hyperbolic


def test_the_hyperbolic_entropy_is_its_formula(rng):
    w0, width, w = np.array([0.3, -0.2]), np.array([0.8, 1.5]), rng.uniform(-2, 2, (6, 2))
    R = hypentropy(w0, width, rate=3.0)
    mu0 = np.arcsinh(w0 / width) / 3

    def formula(v):
        return (v * np.arcsinh(v / width) - np.sqrt(v**2 + width**2)) / 3

    assert np.allclose(R(w), (formula(w) - formula(w0) - mu0 * (w - w0)).sum(-1), rtol=1e-13, atol=1e-15)
    assert np.allclose(R.gradient(w), np.arcsinh(w / width) / 3 - mu0, rtol=1e-13, atol=1e-15)
    assert np.allclose(R.inverse_gradient(R.gradient(w)), w, rtol=1e-13)
    assert np.allclose(np.einsum("nii->ni", R.hessian(w)), 1 / (3 * np.sqrt(w**2 + width**2)), rtol=1e-13)


@pytest.mark.parametrize("alpha", [1.0, 1e-3])
def test_equal_starts_give_a_width_of_twice_their_square(alpha):
    case = hyperbolic(3, alpha, alpha)
    assert np.array_equal(case.parametrization(case.x0), np.zeros(3))
    w = alpha**2 * np.array([[1.0, -2.0, 3.0]])
    assert np.allclose(case.legendre.gradient(w), np.arcsinh(w / (2 * alpha**2)) / 4, rtol=1e-13)
    induced = gf.mirror_map(case.parametrization, case.x0)
    assert np.allclose(induced.gradient(w), case.legendre.gradient(w), rtol=1e-9)


def test_products_are_differences_of_squares_in_rotated_coordinates(rng):
    product, x = gf.catalog.parametrizations["product"](1), rng.uniform(0.5, 1.5, (5, 2))
    p, q = (x[:, :1] + x[:, 1:]) / np.sqrt(2), (x[:, :1] - x[:, 1:]) / np.sqrt(2)
    assert np.allclose(product.parametrization(x), (p**2 - q**2) / 2, rtol=1e-13)


@pytest.mark.parametrize("name", ["hyperbolic", "product", "power_difference"])
def test_closed_jacobians_and_what_the_flows_conserve(name, rng):
    case = gf.catalog.parametrizations[name](2)
    G, x = case.parametrization, case.sample(4, rng)
    assert gf.laws.jacobian_is_derivative(G, x)[0] < 1e-13
    conserved = {
        "hyperbolic": lambda y: y[..., :2] * y[..., 2:],
        "product": lambda y: y[..., :2] ** 2 - y[..., 2:] ** 2,
        "power_difference": lambda y: 1 / y[..., :2] + 1 / y[..., 2:],
    }[name]
    moved = gf.joint_flow(G, case.x0, rng.uniform(-0.2, 0.2, (3, 2)))
    assert np.allclose(conserved(moved), conserved(case.x0), rtol=1e-10)
    assert np.abs(moved - case.x0).max() > 1e-2
