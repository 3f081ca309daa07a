"""Mirror flow in each of its coordinates."""

import dataclasses

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

square = gf.Parametrization(lambda x: x**2, 2, 2)
x0 = np.array([1.0, 0.5])
entropy = gf.LegendreFunction(
    lambda w: anp.sum(w * anp.log(w) - w, -1) / 4,
    gf.domains.Orthant(2),
    conjugate=lambda mu: anp.sum(anp.exp(4 * mu), -1) / 4,
)
a = np.array([0.5, 2.0])


def quadratic(w):
    return anp.sum((w - a) ** 2) / 2


def exact(t):
    """w' = -4 w (w - a): the logistic equation."""
    w0, t = x0**2, np.asarray(t)[..., None]
    return a / (1 + (a / w0 - 1) * np.exp(-4 * a * t))


@pytest.mark.parametrize("coordinates", ["auto", "w", "mu", "nu"])
def test_mirror_flow_in_every_coordinate(coordinates):
    loss = gf.LeastSquares(np.eye(2), a)
    t = np.linspace(0, 3, 13)
    flow = gf.mirror_flow(loss, entropy, x0**2, t, coordinates=coordinates)
    # multistep LSODA (coordinates nu) is a digit or two behind DOP853 at the same tolerance
    assert np.abs(flow.w - exact(t)).max() < 2e-7
    assert np.abs(flow.mu - entropy.gradient(flow.w)).max() < 1e-9
    assert np.allclose(flow.loss, loss(flow.w), rtol=1e-12, atol=1e-18)


def test_bad_coordinates_are_named():
    with pytest.raises(gf.ArgumentError, match="coordinates"):
        gf.mirror_flow(quadratic, entropy, x0, 1.0, coordinates="x")
    with pytest.raises(gf.ArgumentError, match="Zw"):
        gf.mirror_flow(quadratic, entropy, x0, 1.0, coordinates="nu")
    with pytest.raises(gf.DomainError):
        gf.mirror_flow(quadratic, entropy, [-1.0, 1.0], 1.0)
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        gf.mirror_flow(quadratic, square, x0, 1.0)


def flow_to_the_minimum(R, loss, w0):
    return gf.mirror_flow(loss, R, w0, np.r_[0.0, np.geomspace(1e-2, 50.0, 40)])


def test_the_rate_of_convex_losses_is_bounded(rng):
    """L(w(t)) - L(w*) <= D_R(w*, w0) / t, for every w*."""
    loss, w0 = gf.LeastSquares(np.eye(2), a), x0**2
    flow = flow_to_the_minimum(entropy, loss, w0)
    for target in (a, rng.uniform(0.2, 2, 2)):
        check = gf.check_rate_bound(entropy, flow, loss, target)
        assert check and check.evidence["largest_ratio"] <= 1 and check.n_points == len(flow.t)
    assert gf.check_rate_bound(entropy, flow, loss, a).evidence["largest_ratio"] > 1e-2
    slow = dataclasses.replace(flow, t=100 * flow.t)  # as if it had taken longer
    check = gf.check_rate_bound(entropy, slow, loss, a)
    assert not check and check.defect > 0.1
    with pytest.raises(gf.CheckError, match="rate bound"):
        check.unwrap()


def test_the_rate_bound_fails_for_a_loss_of_another_value():
    loss = gf.LeastSquares(np.eye(2), a)
    flow = flow_to_the_minimum(entropy, loss, x0**2)
    nearby = x0**2 + 1e-3 * (a - x0**2)
    assert not gf.check_rate_bound(entropy, flow, lambda v: -1.0, nearby)


def test_the_rate_bound_asks_for_a_start_at_zero_and_another_point():
    loss = gf.LeastSquares(np.eye(2), a)
    flow = flow_to_the_minimum(entropy, loss, x0**2)
    with pytest.raises(gf.DomainError, match="away from"):
        gf.check_rate_bound(entropy, flow, loss, flow.w[0])
    with pytest.raises(gf.ArgumentError, match="t = 0"):
        gf.check_rate_bound(entropy, dataclasses.replace(flow, t=1 + flow.t), loss, a)
    with pytest.raises(gf.DomainError):
        gf.check_rate_bound(entropy, flow, loss, [-1.0, 1.0])


@pytest.mark.parametrize("coordinates", ["auto", "mu", "w"])
def test_a_flow_of_an_induced_function_that_ends_at_the_boundary_does_not_raise(coordinates):
    R = gf.mirror_map(gf.Parametrization(lambda x: x**2, 2, 2), np.ones(2))
    loss = gf.LeastSquares(np.eye(2), np.array([-1.0, 2.0]))
    found = gf.mirror_flow(loss, R, np.ones(2), np.array([0.0, 10.0]), coordinates=coordinates)
    assert 0 <= found.w[-1, 0] < 1e-6 and abs(found.w[-1, 1] - 2) < 1e-6
    steps = gf.mirror_descent(loss, R, np.ones(2), 0.1, 300)
    assert len(steps.t) > 100 and steps.w[-1, 0] < 1e-6


@pytest.mark.parametrize("q", [3.0, 4.0])
def test_a_hessian_that_vanishes_on_the_way_is_passed_in_mu(q):
    """grad R = |w|^(q - 1) sign(w), whose inverse is continuous where the Hessian has none."""
    R, force, w0 = gf.LegendreFunction(lambda w: anp.sum(anp.abs(w) ** q, -1) / q, 2), np.array([1.0, 0.5]), [0.5, 1.0]
    flow = gf.mirror_flow(lambda w: anp.sum(w * force, -1), R, w0, [0, 2.2])
    exact = np.array(w0) ** (q - 1) - 2.2 * force
    assert flow.success and "no inverse" in flow.message
    assert np.allclose(flow.w[-1], np.sign(exact) * np.abs(exact) ** (1 / (q - 1)), rtol=1e-7)


def test_a_few_equations_are_as_many_unknowns(rng):
    """A closed R of many coordinates is followed in nu, mu = mu0 + Z^T nu: n numbers for the solver."""
    d, n = 300, 20
    R = gf.catalog.diagonal_network(d, depth=2, alpha=1e-3).legendre
    Z, t = rng.standard_normal((n, d)) / n**0.5, np.r_[0.0, np.geomspace(1e-2, 1e4, 20)]
    loss = gf.LeastSquares(Z, Z[:, :3].sum(axis=1))
    few, every = (gf.mirror_flow(loss, R, np.zeros(d), t, coordinates=c) for c in ("auto", "mu"))
    assert few.success and np.abs(few.w - every.w).max() < 1e-9 and np.abs(few.mu - every.mu).max() < 1e-8
    assert few.n_evaluations < every.n_evaluations
    assert np.abs(few.mu[-1] - Z.T @ np.linalg.lstsq(Z.T, few.mu[-1], rcond=None)[0]).max() < 1e-10
