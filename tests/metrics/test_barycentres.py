"""Barycentres against closed forms and mpmath, near and far, and by what they minimise."""

import mpmath as mp
import numpy as np
import pytest
from random_potentials import TEN, relative
from scipy.special import lambertw

import geoflow as gf
from geoflow.metrics.gaps import SIDES, divergence_from

P = np.array([0.5, 0.2, 0.3])


def points_of(one, rng):
    """About the centre, far from it, spread, and at a distance of 1e-9 from each other."""
    w = rng.standard_normal((3, one.d))
    return [w, 15 + w, 20 * w, 1 + 1e-9 * w]


def stationary(one, side, w, c):
    """The gradient, in mpmath, of what the centre on that side minimises."""
    w, c, p = [[mp.mpf(x) for x in row] for row in w], list(c), [mp.mpf(x) for x in P]
    if side == "jensen":
        parts = [one.slope([(x + y) / 2 for x, y in zip(row, c, strict=True)]) for row in w]
    else:
        parts = [one.slope(row) for row in w]
    change = [s - mp.fdot(p, column) for s, column in zip(one.slope(c), zip(*parts, strict=True), strict=True)]
    if side != "symmetrised":
        return change
    mean = [mp.fdot(p, column) for column in zip(*w, strict=True)]
    pull = one.bend(c) * mp.matrix([x - y for x, y in zip(c, mean, strict=True)])
    return [x + y for x, y in zip(change, pull, strict=True)]


@pytest.mark.parametrize("one", TEN, ids=lambda one: one.R.name)
@pytest.mark.parametrize("side", ["left", "symmetrised", "jensen"])
def test_ten_random_functions_against_mpmath(one, side, rng):
    """The error is the Newton step from the centre, in 30 digits, to where the gradient vanishes."""
    with mp.workdps(30):
        for w in points_of(one, rng):
            c = [mp.mpf(x) for x in gf.barycentre(one.R, w, P, side)]
            here, h = stationary(one, side, w, c), mp.mpf(10) ** -12
            J = mp.matrix(one.d)
            for j in range(one.d):
                there = stationary(one, side, w, [x + (i == j) * h for i, x in enumerate(c)])
                for i in range(one.d):
                    J[i, j] = (there[i] - here[i]) / h
            step = mp.lu_solve(J, mp.matrix(here))
            assert max(map(abs, step)) < 1e-9 * max(map(abs, c))
            assert mp.det(J) > 0


def test_right_is_the_mean_and_left_that_of_mu(rng):
    for name in gf.catalog.potentials:
        R = gf.catalog.potentials[name]()
        w = R.domain.random_point(30, rng=rng).reshape(5, 6, R.dim)
        assert np.allclose(gf.barycentre(R, w), w.mean(axis=1), rtol=1e-14, atol=1e-16)
        assert np.allclose(
            R.gradient(gf.barycentre(R, w, side="left")), R.gradient(w).mean(axis=1), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_positive_measures_in_closed_form(scale):
    """Of sum w log w - w: the geometric mean, and the Jeffreys centroid a / W(e a / g) (Nielsen, 2013)."""
    R = gf.catalog.potentials["negative_entropy"](3)
    w = scale * np.array([[1e-6, 1.0, 5.0], [2.0, 3.0, 1e8], [0.5, 1 + 1e-9, 7.0]])
    w[:, 1] = scale * (1 + 1e-9 * np.arange(3))
    a, g = P @ w, np.exp(P @ np.log(w))
    assert np.allclose(gf.barycentre(R, w, P, "left"), g, rtol=1e-12)
    assert np.allclose(gf.barycentre(R, w, P, "symmetrised"), a / lambertw(np.e * a / g).real, rtol=1e-12)


def test_burg_in_closed_form():
    """Of -sum log w: the harmonic mean; and c = sqrt(a h) for Jeffreys, from -(c - a) / c^2 ... = 1 / c - 1 / h."""
    R = gf.catalog.potentials["burg"](1)
    w = np.array([[1e-8], [3.0], [1e8]])
    a, h = P @ w, 1 / (P @ (1 / w))
    assert np.allclose(gf.barycentre(R, w, P, "left"), h, rtol=1e-12)
    assert np.allclose(gf.barycentre(R, w, P, "symmetrised"), np.sqrt(a * h), rtol=1e-12)


def test_the_walk_along_a_geodesic_ends_beside_the_symmetrised_centroid():
    """D(right, c) = D(c, left) at the end of the walk of Nielsen and Nock, where the sum of both is larger."""
    R = gf.catalog.potentials["negative_entropy"](1)
    right, left = np.array([2.0]), np.array([1.0])
    low, high = 0.0, 1.0
    for _ in range(60):
        t = (low + high) / 2
        c = right**t * left ** (1 - t)
        near = R.bregman_divergence(right, c) < R.bregman_divergence(c, left)
        low, high = (low, t) if near else (t, high)
    best = right / lambertw(np.e * right / left).real

    def total(x):
        return float(R.bregman_divergence(right, x) + R.bregman_divergence(x, left))

    assert abs(c - best)[0] > 1e-4 and total(c) > total(best) + 1e-8
    points = np.array([[2 - np.sqrt(3)], [2 + np.sqrt(3)]])  # arithmetic mean 2, geometric mean 1
    assert abs(gf.barycentre(R, points, side="symmetrised") - best) < 1e-14


@pytest.mark.parametrize("far", [0.0, 40.0, 300.0])
def test_rare_classes_keep_their_digits(far):
    """Log-sum-exp far out: probabilities of e^-300 are averaged, that are lost beside 1."""
    R = gf.catalog.potentials["log_sum_exp"](2)
    w = np.array([[far, far + 10], [far + 1, far + 20], [far + 3, far - 9]])
    with mp.workdps(300):

        def probabilities(row):
            e = [mp.mpf(1), *(mp.exp(mp.mpf(x)) for x in row)]
            return [x / mp.fsum(e) for x in e]

        p = [mp.fdot(map(mp.mpf, P), column) for column in zip(*map(probabilities, w), strict=True)]
        assert relative(gf.barycentre(R, w, P, "left"), [mp.log(p[1] / p[0]), mp.log(p[2] / p[0])]) < 1e-12
        assert relative(gf.barycentre(3 * R, w, P, "left"), [mp.log(p[1] / p[0]), mp.log(p[2] / p[0])]) < 1e-12
        for side in ("symmetrised", "jensen"):
            c = gf.barycentre(R, w, P, side)
            other = np.stack([-w[:, 1], w[:, 0] - w[:, 1]], axis=-1)  # the same with the last class first
            assert np.allclose(gf.barycentre(R, other, P, side), [-c[1], c[0] - c[1]], rtol=1e-10, atol=1e-8)


def test_burbea_rao_goes_from_the_right_to_the_left_centroid(rng):
    R = gf.catalog.potentials["log_sum_exp"](3)
    w = rng.standard_normal((4, 3, 3))
    right, left = gf.barycentre(R, w, P), gf.barycentre(R, w, P, "left")
    for alpha, limit in [(1e-6, right), (1 - 1e-6, left)]:
        assert np.allclose(gf.burbea_rao_centroid(R, w, P, alpha), limit, atol=1e-5)
    for alpha in (0.1, 0.5, 0.8):
        c = gf.burbea_rao_centroid(R, w, P, alpha)
        inner = R.gradient(alpha * w + (1 - alpha) * c[:, None])
        assert np.allclose(R.gradient(c), np.einsum("i,kid->kd", P, inner), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_nothing_beside_it_is_better(side, rng):
    for name in ("burg", "simplex_entropy", "quartic", "gaussian_log_partition", "log_det_spd"):
        R = gf.catalog.potentials[name]()
        w = R.domain.random_point(5, bound=0.5, rng=rng)
        c = gf.barycentre(R, w, side=side)
        beside = c + 1e-3 * rng.standard_normal((20, R.dim)) * np.abs(c).max()
        there = divergence_from(R, w, beside[:, None], side).sum(axis=-1)
        assert (there > divergence_from(R, w, c, side).sum()).all()


def test_one_point_equal_points_and_batches(rng):
    R = gf.catalog.potentials["quartic"](3)
    w = rng.standard_normal((2, 4, 5, 3))
    for side in SIDES:
        assert np.allclose(gf.barycentre(R, w[0, 0, :1], side=side), w[0, 0, 0], rtol=1e-14)
        assert np.allclose(gf.barycentre(R, np.repeat(w[0, 0, :1], 3, axis=0), side=side), w[0, 0, 0], rtol=1e-14)
        whole = gf.barycentre(R, w, rng.uniform(size=5), side)
        assert whole.shape == (2, 4, 3)
        p = rng.uniform(size=w.shape[:-1])
        p[..., 0] = 0.0
        found = gf.barycentre(R, w, p, side)
        assert np.allclose(found[1, 2], gf.barycentre(R, w[1, 2], 7 * p[1, 2], side), rtol=1e-12)
        assert np.allclose(found[1, 2], gf.barycentre(R, w[1, 2, 1:], p[1, 2, 1:], side), rtol=1e-12)


def test_what_is_lost_is_said():
    """Normals of the same mean 1e7, by natural parameters: no eight digits of the variance are in the moments."""
    lost = gf.LegendreFunction(gf.catalog.potentials["gaussian_log_partition"](2).potential,
                               gf.domains.Box([-np.inf, -np.inf], [np.inf, 0.0]), check=False)  # fmt: skip
    w = np.array([[1e7, -0.5], [3e7 + 1, -1.5]])
    with pytest.raises(
        gf.ConvergenceError, match=r"centroid of R; got an error of .*; wanted at most 1e-08; give"
    ) as error:
        gf.barycentre(lost, w, side="left")
    assert error.value.defect > 1e-8


def test_bad_input_is_answered():
    R = gf.catalog.potentials["burg"](2)
    w = np.array([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(gf.ArgumentError, match="side; got 'middle'"):
        gf.barycentre(R, w, side="middle")
    with pytest.raises(gf.DomainError, match="points outside the domain"):
        gf.barycentre(R, -w)
    with pytest.raises(gf.ShapeError, match=r"weights; got shape \(3,\); wanted shape \(2,\)"):
        gf.barycentre(R, w, [1, 1, 1])
    for alpha in (0.0, 1.0, [0.5]):
        with pytest.raises(gf.ArgumentError, match=r"alpha of a Burbea-Rao centroid.*the limits are"):
            gf.burbea_rao_centroid(R, w, alpha=alpha)
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        gf.barycentre("burg", w)
