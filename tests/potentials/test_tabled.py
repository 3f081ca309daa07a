"""Points of an induced R off a table, beside those that are moved."""

import numpy as np

import geoflow as gf
from geoflow.maps import tables
from geoflow.numerics.runs import COLLOCATION
from geoflow.potentials.moving import MovingLeafPoints
from geoflow.potentials.tabled import A_STEP, EACH, TabledLeafPoints


def test_a_table_moves_points_as_the_leaf_does(rng):
    G = gf.Parametrization(lambda x: x[..., :4] ** 3 - x[..., 4:] ** 3, 8, 4)
    leaf, w0 = G.leaf(np.full(8, 0.1)), np.zeros((1, 4))
    table, moved = TabledLeafPoints(leaf, w0), MovingLeafPoints(leaf, w0)
    A = rng.normal(size=(2, 4))
    for _ in range(4):
        mu = rng.uniform(-2.5, 2.5, (1, 4))
        assert np.allclose(table.move(mu), moved.move(mu), rtol=1e-10)
        assert np.allclose(table.gram(A), moved.gram(A), rtol=1e-8)
        assert np.isclose(table.reach(mu), moved.reach(mu), rtol=1e-6)


def test_beyond_the_table_points_are_moved_and_no_longer_than_they_can_be():
    G = gf.Parametrization(lambda x: x**3, 2, 2)
    points = TabledLeafPoints(G.leaf(np.ones(2)), np.ones((1, 2)))
    assert np.isnan(points.move(np.full((1, 2), 0.4))).all()  # blows up at 1/3
    assert np.allclose(points.move(np.full((1, 2), 0.3)), 1e3, rtol=1e-9)


def test_images_are_those_of_points_moved_one_by_one_and_no_number_where_they_are_solved_for(monkeypatch, rng):
    G = gf.Parametrization(lambda x: x**3, 5, 5)
    points, Z = TabledLeafPoints(G.leaf(np.ones(5)), np.ones((1, 5))), rng.normal(size=(3, 5))
    mu0, nu = rng.uniform(-0.1, 0.1, 5), rng.uniform(-0.02, 0.02, (9, 3))

    def towards(mu):
        """The state whose first three coordinates are mu."""
        return np.linalg.solve(Z[:, :3].T, mu0[:3] - mu)[None]

    assert np.isnan(points.images(Z, mu0, towards(0.33))).all() and points._table.pieces <= A_STEP
    exact = (1 - 3 * (mu0 - nu @ Z)) ** -3 @ Z.T
    for numbers in (tables.AT_ONCE, 18):  # in one part, and two outputs at a time
        monkeypatch.setattr(tables, "AT_ONCE", numbers)
        assert np.allclose(points.images(Z, mu0, nu), exact, rtol=1e-11)
    assert np.isnan(points.images(Z, mu0, towards(0.4))).all()


def test_a_flow_that_leaves_its_table_goes_on_without(monkeypatch, rng):
    case = gf.catalog.diagonal_network(6, depth=3, alpha=1e-2)
    R = gf.mirror_map(case.parametrization, case.x0)
    Z = rng.normal(size=(3, 6))
    loss = gf.LeastSquares(Z, Z @ np.r_[1.0, np.zeros(5)])
    whole = gf.mirror_flow(loss, R, np.zeros(6), 20.0)
    monkeypatch.setattr(tables, "PIECES", 2)
    found = gf.mirror_flow(loss, R, np.zeros(6), 20.0)
    assert whole.method == COLLOCATION and found.method == "LSODA"
    assert np.allclose(found.w[-1], whole.w[-1], rtol=1e-6, atol=1e-8)


def test_flows_ask_the_map_as_often_whatever_their_length(monkeypatch, rng):
    """The table is made once: ten times the time asks for no more pullbacks than the pieces it adds."""
    d, n = 20, 5
    case = gf.catalog.diagonal_network(d, depth=3, alpha=1e-2)
    R = gf.mirror_map(case.parametrization, case.x0)
    Z = rng.normal(size=(n, d))
    loss = gf.LeastSquares(Z, Z @ np.r_[1.0, np.zeros(d - 1)])
    calls, kernel = [], R.leaf.alike.kernel
    pull = kernel.pullback
    monkeypatch.setattr(kernel, "pullback", lambda x, mu: calls.append(1) or pull(x, mu))
    found = gf.mirror_flow(loss, R, np.zeros(d), 1e3, rtol=1e-10)
    assert found.success and found.n_evaluations > 300 and len(calls) < 60 * 60
    assert np.allclose(R.gradient(found.w[-1]), found.mu[-1], rtol=1e-8, atol=1e-9)


def test_large_maps_without_kinds_have_no_table(rng):
    d = EACH + 1
    G = gf.Parametrization(lambda x: x**2, d, d)
    assert not TabledLeafPoints.fit(G.leaf(rng.uniform(1, 2, d))) and TabledLeafPoints.fit(G.leaf(np.ones(d)))


def test_where_w_saturates_its_slopes_are_no_negative_weights():
    """x - x^2 / 2 from 0: x = 1 - e^(-mu), and dw/dmu = e^(-2 mu), which at mu = 30 is below the rounding of w."""
    G = gf.Parametrization(lambda x: x - x**2 / 2, 2, 2)
    points = TabledLeafPoints(G.leaf(np.zeros(2)), np.zeros((1, 2)))
    for mu in np.linspace(10, 40, 61):
        points.move(np.array([[mu, mu / 2]]))
        found = points.gram(np.eye(2))
        assert np.allclose(found, np.diag(np.exp([-2 * mu, -mu])), rtol=1e-6, atol=1e-14)
