"""Tolerances in units of where a flow sets out: small initializations, other units, starts at 0."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.flows.units import sized, sizes_of, sizes_of_mu
from geoflow.numerics.integrate import Solver


def network(degree, scale=1.0):
    return gf.Parametrization(lambda x: (x[..., :2] / scale) ** degree - (x[..., 2:] / scale) ** degree, 4, 2)


@pytest.mark.parametrize("coordinates", ["auto", "w", "mu", "nu"])
@pytest.mark.parametrize("degree, alpha, end", [(2, 1e-4, 6.0), (2, 1e-8, 6.0), (3, 1e-3, 400.0)])
def test_a_small_initialization_keeps_its_digits_in_all_coordinates(degree, alpha, end, coordinates):
    """w grows from alpha^L by orders of magnitude: an absolute error of 1e-12 at the start was one of 20 percent."""
    G, x0, t = network(degree), np.full(4, alpha), np.linspace(0, end, 21)
    loss = gf.LeastSquares(np.eye(2), [1.0, -0.5])
    wanted = gf.gradient_flow(loss, G, x0, t, rtol=1e-12, atol=1e-15).unwrap()
    flow = gf.mirror_flow(loss, gf.mirror_map(G, x0), [0.0, 0.0], t, coordinates=coordinates).unwrap()
    at_each_time = np.abs(flow.w - wanted.w)[1:].max(axis=1) / np.abs(wanted.w)[1:].max(axis=1)
    assert at_each_time.max() < 2e-6 and flow.n_evaluations < 2000
    plain = gf.gradient_flow(loss, G, x0, t).unwrap()
    assert np.abs(plain.w - wanted.w).max() < 1e-7 * np.abs(wanted.w).max()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_inputs_in_other_units_make_the_same_flow(scale, rng):
    loss = gf.LeastSquares(rng.standard_normal((1, 2)), rng.standard_normal(1))
    wanted = gf.gradient_flow(loss, network(2), np.full(4, 0.3), 0.3, rtol=1e-12, atol=1e-15).unwrap().w[-1]
    G, x0 = network(2, scale), np.full(4, 0.3 * scale)
    end = 0.3 * scale**2  # x' = dG^T force is 1 / scale as fast, and x scale times as long
    assert np.allclose(gf.gradient_flow(loss, G, x0, end).unwrap().w[-1], wanted, rtol=1e-8)
    for coordinates in ("w", "mu", "nu"):
        flow = gf.mirror_flow(loss, gf.mirror_map(G, x0), [0.0, 0.0], end, coordinates=coordinates).unwrap()
        assert np.allclose(flow.w[-1], wanted, rtol=1e-8)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_a_multiple_of_a_potential_and_its_loss_make_the_same_flow(scale, rng):
    R, Z, y = gf.catalog.potentials["negative_entropy"](3), rng.standard_normal((2, 3)), rng.standard_normal(2)
    wanted = gf.mirror_flow(gf.LeastSquares(Z, y), R, np.full(3, 0.5), 3.0, rtol=1e-12, atol=1e-15).unwrap().w[-1]
    loss = gf.LeastSquares(Z * np.sqrt(scale), y * np.sqrt(scale))
    for coordinates in ("mu", "w"):
        flow = gf.mirror_flow(loss, scale * R, np.full(3, 0.5), 3.0, coordinates=coordinates).unwrap()
        assert np.allclose(flow.w[-1], wanted, rtol=1e-8)


def test_sizes_are_those_of_the_start_or_of_the_way():
    assert np.array_equal(sizes_of(np.array([0.0, 1e-20, -2.0]), np.array([3.0, 5.0, 1e9])), [3.0, 5.0, 2.0])
    assert sized(Solver(), np.array([0.0, np.nan, 1e-3, 5.0])).atol == 1e-3 * Solver().atol
    assert sized(Solver(), np.array([7.0])).atol == Solver().atol == sized(Solver(), np.zeros(2)).atol
    w = np.array([[2.0, 1e-3]])  # of s (w log w - w), mu = s log w, and s of mu moves w by itself
    assert np.allclose(sizes_of_mu(lambda u: 1e-6 * np.log(u), w, 1e-6 * np.log(w), np.zeros((1, 2))), 1e-6, rtol=1e-2)


@pytest.mark.parametrize("coordinates", ["w", "mu", "nu"])
def test_a_dense_map_from_zero_and_a_start_at_the_optimum(coordinates):
    A = np.array([[1.0, 0.5], [0.2, 1.0]])
    G, loss = gf.Parametrization(lambda x: anp.matmul(x, A), 2, 2), gf.LeastSquares(np.eye(2), [1.0, 1.0])
    R = gf.mirror_map(G, [0.0, 0.0])
    flow = gf.mirror_flow(loss, R, [0.0, 0.0], 1.0, coordinates=coordinates).unwrap()
    assert np.allclose(flow.w[-1], gf.gradient_flow(loss, G, [0.0, 0.0], 1.0).unwrap().w[-1], rtol=1e-7)
    assert np.allclose(R.inverse_gradient([0.3, 0.4]), A.T @ A @ [0.3, 0.4], rtol=1e-12)
    x1, Z = np.array([1.0, 2.0, 0.5, 0.5]), np.array([[0.1, 0.7]])
    H = network(2)
    for factor in (1.0, 1 + 1e-12):
        still = gf.LeastSquares(Z, Z @ H(x1) * factor)
        rest = gf.mirror_flow(still, gf.mirror_map(H, x1), H(x1), 3.0, coordinates=coordinates)
        assert rest.success and np.allclose(rest.w[-1], H(x1), rtol=1e-11)


@pytest.mark.parametrize("coordinates", ["mu", "nu"])
def test_a_map_that_does_not_commute_on_the_way_is_a_failure(coordinates):
    def bent(x):
        more = 5.0 * anp.maximum(x[..., 0] - 1, 0) ** 3 * x[..., 1]
        return anp.stack([x[..., 0] ** 2, x[..., 1] ** 2 + more, x[..., 2] ** 2], axis=-1)

    G = gf.Parametrization(bent, 3, 3)
    R = gf.mirror_map(G, [0.5, 0.5, 0.5])
    loss = gf.LeastSquares([[1, 0.1, 0], [0.2, 1, 1]], [4.0, 3.0])
    flow = gf.mirror_flow(loss, R, G([0.5, 0.5, 0.5]), 5.0, coordinates=coordinates)
    assert flow.status == gf.Status.FAILURE and "commuting of G fails" in flow.message


@pytest.mark.parametrize("start", [0.0, 1e-8, 1e-6, -1e-4, 1.0])
@pytest.mark.parametrize("function", [lambda x: x + 0.0, anp.sinh, lambda x: x + x**3, anp.exp])
def test_projections_from_starts_near_zero_of_maps_that_pass_it(function, start):
    G = gf.Parametrization(function, 2, 2)
    R, Z = gf.mirror_map(G, [start, start]), np.array([[1.0, 2.0]])
    w = gf.bregman_projection(R, Z, [3.5], G([start, start]))
    mu = R.gradient(w)
    assert abs(Z @ w - 3.5) < 1e-10 and abs(mu[1] - 2 * mu[0]) < 1e-10 * np.abs(mu).max()


def test_what_is_given_is_not_kept_and_not_given_back():
    G, x0, w0 = network(2), np.full(4, 0.5), np.array([0.1, 0.2])
    R = gf.mirror_map(G, x0)
    before = R.gradient([0.3, 0.1])
    x0[:] = 2.0
    assert np.array_equal(R.x0, np.full(4, 0.5)) and np.allclose(gf.mirror_map(G, R.x0).gradient([0.3, 0.1]), before)
    w = gf.bregman_projection(R, [[1.0, 1.0]], [w0.sum()], w0)
    w *= 0
    y = np.array([1.0])
    loss = gf.LeastSquares([[1.0, 1.0]], y)
    y[:] = 5.0
    assert np.array_equal(w0, [0.1, 0.2]) and loss([1.0, 0.0]) == 0
