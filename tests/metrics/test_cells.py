"""Balls, bisectors and Voronoi cells."""

import copy
import pickle

import mpmath as mp
import numpy as np
import pytest
from random_potentials import TEN, relative

import geoflow as gf
from geoflow.metrics.gaps import SIDES, divergence_from

NAMES = ["negative_entropy", "burg", "log_sum_exp", "quartic", "simplex_entropy"]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", NAMES)
def test_spheres_have_their_radius(name, side, rng):
    R = gf.catalog.potentials[name](2)
    c, u = R.domain.interior_point() * 0.9, rng.standard_normal((3, 7, 2))
    for radius in (1e-12, 1e-3, 0.05):
        ball = gf.BregmanBall(R, c, radius, side)
        edge = ball.boundary(u)
        # at a distance of 1e-6 a coordinate of 1 is rounded to 1e-10 of it
        assert np.allclose(divergence_from(R, edge, c, side), radius, rtol=1e-9 if radius > 1e-12 else 1e-8)
        assert ball.contains(c + 0.999 * (edge - c)).all() and not ball.contains(c + 1.001 * (edge - c)).any()


def test_balls_in_closed_form():
    """|w - c|^2 / 2 <= r, and w / c - log(w / c) - 1 <= r of -log w, by Lambert's function."""
    from scipy.special import lambertw

    R = gf.catalog.potentials["quadratic_form"](2)
    A = R.hessian(np.zeros(2))
    u = np.array([1.0, 0.0])
    assert np.allclose(gf.BregmanBall(R, [1e8, 0.0], 8.0).boundary(u)[0] - 1e8, 4 / np.sqrt(A[0, 0]), rtol=1e-7)
    burg = gf.BregmanBall(gf.catalog.potentials["burg"](1), [1e6], 3.0)
    ends = [float((-1e6 * lambertw(-np.exp(-4.0), k)).real) for k in (-1, 0)]
    assert np.allclose(burg.boundary([[1.0], [-1.0]])[:, 0], ends, rtol=1e-12)


@pytest.mark.parametrize("one", TEN[::3], ids=lambda one: one.R.name)
def test_spheres_and_bisectors_of_random_functions_against_mpmath(one, rng):
    with mp.workdps(40):
        c, a, b = 5 * rng.standard_normal((3, one.d))
        edge = gf.BregmanBall(one.R, c, 0.7).boundary(rng.standard_normal((3, one.d)))
        assert max(relative(one.divergence(x, c), 0.7) for x in edge) < 1e-9
        for side, D in (("right", one.divergence), ("left", lambda x, y: one.divergence(y, x))):
            x = gf.bisector(one.R, a, b, side).crossing(a, b)
            assert relative(D(x, a), D(x, b)) < 1e-9
            x = gf.bisector(one.R, a, a + 1e-6, side).crossing(a, a + 1e-6)
            assert relative(D(x, a), D(x, a + 1e-6)) < 1e-8  # x itself is rounded to 1e-9 of the distance


@pytest.mark.parametrize("name", NAMES)
def test_bisectors_are_hyperplanes_in_their_chart(name, rng):
    R = gf.catalog.potentials[name](3)
    a, b, *w = R.domain.random_point(200, rng=rng)
    w = np.array(w)
    for side, y in (("right", w), ("left", R.gradient(w))):
        wall = gf.bisector(R, a, b, side)
        gap, flat = wall.gap(w), y @ wall.normal - wall.offset
        assert np.allclose(gap, flat, rtol=1e-9, atol=1e-11 * np.abs(gap).max())
        near, far = w[gap < 0], w[gap > 0]
        k = min(len(near), len(far))
        x = wall.crossing(near[:k], far[:k])
        assert np.allclose(divergence_from(R, x, a, side), divergence_from(R, x, b, side), rtol=1e-9)
    for side in ("symmetrised", "jensen"):
        wall = gf.bisector(R, a, b, side)
        assert wall.normal is None and wall.offset is None
        middle = wall.crossing(a, b)
        assert np.isclose(divergence_from(R, middle, a, side), divergence_from(R, middle, b, side), rtol=1e-9)


def test_the_chernoff_point_is_on_the_bisector(rng):
    R = gf.catalog.potentials["log_sum_exp"](3)
    a, b = rng.standard_normal((2, 3))
    alpha = gf.chernoff_exponent(R, a, b)
    middle = gf.bisector(R, a, b, "left").crossing(a, b)  # D(a, m) = D(b, m)
    assert np.allclose(middle, alpha * a + (1 - alpha) * b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", NAMES)
def test_cells_are_polyhedra_of_the_nearest_site(name, side, rng):
    R = gf.catalog.potentials[name](2)
    sites, w = R.domain.random_point(6, rng=rng), R.domain.random_point(2000, rng=rng)
    cells = gf.VoronoiCells(R, sites, side)
    label, y = cells.assign(w), w if side == "right" else R.gradient(w)
    assert np.array_equal(cells.assign(sites), np.arange(6)) and cells.divergences(w).shape == (2000, 6)
    for i in range(6):
        A, b = cells.half_spaces(i)
        inside = (y @ A.T <= b).all(axis=-1)
        assert np.array_equal(inside, label == i)
    order = np.sort(cells.divergences(w), axis=1)
    assert (order[:, 0] == divergence_from(R, w, sites[label], side)).all()


def test_cells_of_batches_and_the_curved_ones(rng):
    R = gf.catalog.potentials["negative_entropy"](2)
    cells = gf.VoronoiCells(R, [[1, 2], [3, 0.5]], "symmetrised")
    w = rng.uniform(0.1, 4, (3, 5, 2))
    assert cells.assign(w).shape == (3, 5)
    assert np.array_equal(cells.assign(w) == 0, cells.bisector(0, 1).gap(w) < 0)
    with pytest.raises(gf.ArgumentError, match="half-spaces of a cell; got side 'symmetrised'"):
        cells.half_spaces(0)
    A, b = gf.VoronoiCells(R, [[1.0, 2.0]]).half_spaces(0)
    assert A.shape == (0, 2) and b.shape == (0,)


def test_they_are_pickled():
    R = gf.catalog.potentials["burg"](2)
    for value in (
        gf.BregmanBall(R, [1, 2], 0.1), gf.bisector(R, [1, 2], [2, 1], "left"), gf.VoronoiCells(R, [[1, 2], [2, 1]]),
    ):  # fmt: skip
        for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
            assert repr(again) == repr(value)


def test_bad_input_is_answered():
    R = gf.catalog.potentials["negative_entropy"](2)
    for radius in (0.0, -1.0, [1.0, 2.0]):
        with pytest.raises(gf.ArgumentError, match="radius of a ball"):
            gf.BregmanBall(R, [1, 1], radius)
    with pytest.raises(gf.DomainError, match="center of a ball"):
        gf.BregmanBall(R, [-1, 1], 1.0)
    with pytest.raises(gf.ShapeError, match="one point"):
        gf.BregmanBall(R, [[1, 1]], 1.0)
    with pytest.raises(gf.ArgumentError, match="vectors that are not 0"):
        gf.BregmanBall(R, [1, 1], 1.0).boundary([[0.0, 0.0], [1.0, 0.0]])
    with pytest.raises(gf.DomainError, match=r"a ray in the direction .* ends inside it.*smaller radius"):
        gf.BregmanBall(R, [1, 1], 3.0).boundary([[1.0, 0.0], [-1.0, 0.0]])  # D(w, c) < 1 towards 0
    soft = gf.RidgeSum(np.eye(1), 0.0, "softplus")
    with pytest.raises(gf.DomainError, match="ends inside"):
        gf.BregmanBall(soft, [3.0], 50.0, "left").boundary([1.0])  # bounded on the whole line
    with pytest.raises(gf.ArgumentError, match="twice"):
        gf.bisector(R, [1, 1], [1, 1])
    wall = gf.bisector(R, [1, 1], [2, 2])
    with pytest.raises(gf.ArgumentError, match="points on both sides"):
        wall.crossing([1, 1], [1.1, 1.0])
    cells = gf.VoronoiCells(R, [[1, 1], [2, 2]])
    for index in (2, -1, True, 0.5):
        with pytest.raises(gf.ArgumentError, match="site; got"):
            cells.bisector(0, index)
    with pytest.raises(gf.ShapeError, match="sites"):
        gf.VoronoiCells(R, [1.0, 2.0])
    with pytest.raises(gf.DomainError):
        cells.assign([-1.0, 1.0])
