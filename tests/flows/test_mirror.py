"""Mirror flow in each of its coordinates."""

import autograd.numpy as anp
import numpy as np
import pytest
from squares import a, entropy, square, x0

import geoflow as gf
from geoflow.numerics.runs import COLLOCATION


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


LINKS = {
    "fourth powers": lambda r: r**4,
    "Cauchy": lambda r: anp.log(1 + 100 * r**2),
    "Huber": lambda r: anp.where(anp.abs(r) < 0.1, r**2 / 2, 0.1 * anp.abs(r) - 0.005),
}


@pytest.mark.parametrize("induced", [False, True])
@pytest.mark.parametrize("link", LINKS)
def test_flows_in_nu_agree_with_lsoda_for_links_of_any_kind(link, induced, rng):
    """By collocation, and by LSODA or DOP853 at a far smaller tolerance."""
    d, n = 60, 6
    R = gf.LegendreFunction(
        lambda w: anp.sum(w * anp.log(w) - w, -1), gf.domains.Orthant(d), conjugate=lambda mu: anp.sum(anp.exp(mu), -1)
    )
    w0 = np.ones(d)
    if induced:
        G = gf.Parametrization(lambda x: x[..., :d] ** 3 - x[..., d:] ** 3, 2 * d, d)
        R, w0 = gf.mirror_map(G, np.full(2 * d, 0.1)), np.zeros(d)
    Z = rng.standard_normal((n, d)) / n**0.5
    loss = gf.LinkLoss(Z, Z @ np.r_[2.0, 2.0, w0[2:]], LINKS[link])
    times = np.r_[0.0, np.geomspace(0.1, 30.0, 10)]
    found = gf.mirror_flow(loss, R, w0, times, coordinates="nu")
    known = gf.mirror_flow(loss, R, w0, times, coordinates="nu", method="LSODA", rtol=1e-12, atol=1e-15)
    assert found.method == COLLOCATION and known.method in ("LSODA", "DOP853")
    assert np.abs(found.w - known.w).max() < (1e-6 if link == "Huber" else 1e-8)


def test_flows_in_nu_of_a_pole_do_not_go_over_it():
    """R = -sum log w: grad Q = -1 / mu, which beyond its pole at mu = 0 is another branch."""
    d, n = 200, 20
    R = gf.LegendreFunction(
        lambda w: -anp.sum(anp.log(w), -1), gf.domains.Orthant(d), conjugate=lambda mu: -anp.sum(anp.log(-mu), -1) - d
    )
    Z = np.random.default_rng(0).standard_normal((n, d)) / n**0.5
    loss = gf.LeastSquares(Z, Z @ np.r_[np.full(5, 1e3), np.ones(d - 5)])
    for rtol in (1e-3, 1e-6, 1e-9):
        found = gf.mirror_flow(loss, R, np.ones(d), 1e3, coordinates="nu", rtol=rtol, atol=1e-3 * rtol)
        assert found.success and (found.w > 0).all() and found.loss[-1] < 1e-6
        w = gf.bregman_projection(R, Z, loss.y, np.ones(d))
        assert np.allclose(found.w[-1], w, rtol=1e-4)


def at_rest(case):
    """A loss, a potential, a start, and where the flow ends: it is there long before its last time, 1e8."""
    if case == "induced":
        d, rng = 6, np.random.default_rng(1)
        Z = 1e6 * rng.standard_normal((2, d))
        G = gf.Parametrization(lambda x: x[..., :d] ** 3 - x[..., d:] ** 3, 2 * d, d)
        return gf.LeastSquares(Z, Z @ np.r_[1.0, -0.5, 0, 0, 0, 0]), gf.mirror_map(G, np.full(2 * d, 1e-3)), np.zeros(d)
    R = gf.LegendreFunction(
        lambda w: -anp.sum(anp.log(w), -1), gf.domains.Orthant(2), conjugate=lambda mu: -anp.sum(anp.log(-mu), -1) - 2
    )
    target, w0 = {"pole": (1e4, 1e-3), "pole, small": (1e2, 1e-6)}[case]
    return gf.LeastSquares([[1.0, 0.5]], [target]), R, np.full(2, w0)


@pytest.mark.parametrize("case", ["induced", "pole", "pole, small"])
def test_a_flow_at_rest_for_long_is_no_work(case):
    loss, R, w0 = at_rest(case)
    found = gf.mirror_flow(loss, R, w0, [0.0, 1e8], coordinates="nu")
    assert found.success and found.method == COLLOCATION and found.n_evaluations < 4000
    assert found.loss[-1] < 1e-14 * float(loss(w0))
    assert np.allclose(found.w[-1], gf.bregman_projection(R, loss.Z, loss.y, w0), rtol=1e-6, atol=1e-9)
