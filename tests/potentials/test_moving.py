"""Points that move with their dual coordinates: closed, solved and on a leaf, all the same points."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.moving import ClosedPoints, MovingLeafPoints, SolvedPoints

CASE = gf.catalog.parametrizations["hyperbolic"](3)
CLOSED, INDUCED = CASE.legendre, gf.mirror_map(CASE.parametrization, CASE.x0)
SOLVED = gf.LegendreFunction(CLOSED.potential, CLOSED.domain)
FUNCTIONS = {"closed": (CLOSED, ClosedPoints), "solved": (SOLVED, SolvedPoints), "leaf": (INDUCED, MovingLeafPoints)}


@pytest.fixture(params=FUNCTIONS)
def points(request):
    R, kind = FUNCTIONS[request.param]
    w0 = CASE.parametrization(CASE.x0)[None]
    found = R.moving_points(R.gradient(w0), w0)
    assert isinstance(found, kind)
    return found


def test_moves_go_where_grad_q_says_from_anywhere(points, rng):
    for size in (0.3, 1e-3, 1e-5, 2.0, 0.1):
        mu = size * rng.standard_normal((1, 3))
        assert np.allclose(points.move(mu), CLOSED.inverse_gradient(mu), rtol=1e-8, atol=1e-9)
    path = 0.2 * rng.standard_normal((4, 1, 3))
    assert np.allclose(points.along(path), CLOSED.inverse_gradient(path), rtol=1e-8, atol=1e-9)


def test_the_gram_matrix_is_that_of_the_last_point(points, rng):
    mu, A = 0.2 * rng.standard_normal((1, 3)), rng.standard_normal((2, 3))
    points.move(mu)
    assert np.allclose(points.gram(A), A @ CLOSED.conjugate.hessian(mu[0]) @ A.T, rtol=1e-8)
    assert 0 < points.reach(np.ones((1, 3))) < np.inf


def test_points_of_a_leaf_stay_where_they_are_when_a_flow_ends_before_its_mu():
    cubes = gf.Parametrization(lambda x: x**3, 2, 2)
    R = gf.mirror_map(cubes, np.ones(2))
    points = R.moving_points(np.zeros((1, 2)), np.ones((1, 2)))
    assert np.isnan(points.move(np.full((1, 2), 0.5))).all()  # x blows up at mu = 1/3
    assert np.allclose(points.move(np.full((1, 2), 0.1)), (1 - 0.3) ** -3.0, rtol=1e-10)
    assert points.reach(np.full((1, 2), 0.1)) * 0.1 < 1 / 3


def test_many_small_moves_end_where_one_large_does(rng):
    points = INDUCED.moving_points(np.zeros((1, 3)), CASE.parametrization(CASE.x0)[None])
    end = 0.5 * rng.standard_normal((1, 3))
    for s in np.linspace(0, 1, 201):
        w = points.move(s * end)
    assert np.allclose(w, CLOSED.inverse_gradient(end), rtol=1e-10)


def test_an_entry_that_has_no_solution_leaves_the_others_of_its_batch_alone():
    R = gf.LegendreFunction(lambda w: anp.sum(anp.exp(w), -1), 2)
    points = R.moving_points(np.ones((3, 2)), np.zeros((3, 2)))
    mu = np.array([[2.0, 3.0], [-1.0, 1.0], [1e-3, 5.0]])
    w = points.move(mu)
    assert np.allclose(w[[0, 2]], np.log(mu[[0, 2]]), rtol=1e-12) and np.isnan(w[1]).all()
    assert np.allclose(points.move(np.full((3, 2), 2.0)), np.log(2.0), rtol=1e-12)


@pytest.mark.parametrize("q", [1.5, 3, 4])
def test_a_batch_of_flows_through_the_point_where_the_hessian_degenerates(q):
    R = gf.LegendreFunction(lambda w: anp.sum(anp.abs(w) ** q, -1) / q, 1)
    w0, t = np.array([[1.0], [-1.0], [0.3]]), np.linspace(0, 2, 9)
    flow = gf.mirror_flow(lambda w: anp.sum(w, -1), R, w0, t, coordinates="mu")
    mu = np.sign(w0) * np.abs(w0) ** (q - 1) - t[:, None, None]
    assert flow.success and (flow.statuses == "success").all()
    assert np.allclose(flow.mu, mu, atol=1e-9)
    far = np.abs(mu) > 1e-3
    assert np.isfinite(flow.w).all()
    assert np.allclose(flow.w[far], (np.sign(mu) * np.abs(mu) ** (1 / (q - 1)))[far], rtol=1e-6)
