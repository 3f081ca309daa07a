"""Jensen, Jeffreys and Chernoff against mpmath, closed forms and quadrature of densities, near and far."""

import mpmath as mp
import numpy as np
import pytest
from random_potentials import TEN, relative
from scipy.integrate import quad

import geoflow as gf
from geoflow.metrics.gaps import SIDES, divergence_from

NORMAL = gf.catalog.potentials["gaussian_log_partition"](2)


def natural(mean, variance):
    return np.array([mean / variance, -0.5 / variance])


def density(x, mean, variance):
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def pairs(one, rng):
    """A pair about the centre, one far off, one of far points, and points at a distance of 1e-9."""
    w, v, u = rng.standard_normal((3, one.d))
    return [(w, v), (20 + w, 20 + v), (30 * w, -20 * v), (w, w + 1e-9 * u), (10 + w, 10 + w + 1e-9 * u)]


def test_kl_jeffreys_and_chernoff_of_two_normals():
    """N(0, 1) and N(1, 4): 2.25 / 8 + ... in closed form, and by quadrature of the densities."""
    p, q = natural(0, 1), natural(1, 4)
    closed = [
        np.log(2) + 2 / 8 - 0.5,
        -np.log(2) + 5 / 2 - 0.5,
    ]  # KL(p, q) = log(s2/s1) + (s1^2 + m^2) / (2 s2^2) - 1/2
    for exact, (one, other) in zip(closed, [((0, 1), (1, 4)), ((1, 4), (0, 1))], strict=True):
        kl = NORMAL.bregman_divergence(natural(*other), natural(*one))

        def integrand(x, one=one, other=other):
            return density(x, *one) * np.log(density(x, *one) / density(x, *other))

        assert abs(kl - exact) < 1e-14
        assert abs(kl - quad(integrand, -30, 30, epsabs=1e-13, limit=500)[0]) < 1e-11
    assert abs(gf.jeffreys_divergence(NORMAL, p, q) - sum(closed)) < 1e-14
    alpha, best = gf.chernoff_exponent(NORMAL, p, q), gf.chernoff_information(NORMAL, p, q)

    def coefficient(a):
        return quad(lambda x: density(x, 0, 1) ** a * density(x, 1, 4) ** (1 - a), -40, 40, epsabs=1e-14, limit=500)[0]

    assert abs(best + np.log(coefficient(alpha))) < 1e-12
    for a in (0.1, 0.5, alpha - 1e-3, alpha + 1e-3, 0.9):
        assert abs(gf.jensen_divergence(NORMAL, p, q, a) + np.log(coefficient(a))) < 1e-12
        assert -np.log(coefficient(a)) < best
    assert abs(best - gf.chernoff_information(NORMAL, q, p)) < 1e-15
    assert abs(alpha + gf.chernoff_exponent(NORMAL, q, p) - 1) < 1e-12


def test_chernoff_of_normals_of_one_variance_is_an_eighth_of_their_squared_distance():
    for step in (1e-9, 1.0, 1e8):
        found = gf.chernoff_information(NORMAL, natural(0, 1), natural(step, 1))
        assert abs(found / (step**2 / 8) - 1) < 1e-9


@pytest.mark.parametrize("one", TEN, ids=lambda one: one.R.name)
def test_ten_random_functions_against_mpmath(one, rng):
    with mp.workdps(60):
        for w, v in pairs(one, rng):
            found = gf.jensen_divergence(one.R, w, v, [0.5, 0.03, 0.9])
            assert max(relative(x, one.gap(a, w, v)) for x, a in zip(found, (0.5, 0.03, 0.9), strict=True)) < 1e-9
            assert relative(gf.jeffreys_divergence(one.R, w, v), one.divergence(w, v) + one.divergence(v, w)) < 1e-9
            alpha = mp.mpf(float(gf.chernoff_exponent(one.R, w, v)))
            h = mp.mpf(2) ** -20  # alpha is at the top of a concave function: by a parabola through three values
            low, top, high = (one.gap(alpha + t, w, v) for t in (-h, 0, h))
            shift = h * (low - high) / (2 * (low - 2 * top + high))
            best = one.gap(alpha + shift, w, v)
            assert relative(gf.chernoff_information(one.R, w, v), best) < 1e-9 and abs(shift) < 1e-7
            points = np.stack([w, v, (w + v) / 3])
            p = [mp.mpf(x) / 6 for x in (1, 2, 3)]
            mean = [mp.fdot(p, column) for column in zip(*points, strict=True)]
            exact = mp.fdot(p, [one.exact(x) for x in points]) - one.exact(mean)
            assert relative(gf.bregman_information(one.R, points, [1, 2, 3]), exact) < 1e-9


@pytest.mark.parametrize(
    "name", ["negative_entropy", "burg", "log_sum_exp", "quartic", "fermi_dirac", "hyperbolic_entropy"]
)
@pytest.mark.parametrize("distance", [1e-9, 1e-14])
def test_near_points_have_the_gap_of_their_metric(name, distance, rng):
    """J_alpha = alpha (1 - alpha) <h, H h> / 2 + O(h^3)."""
    R = gf.catalog.potentials[name](3)
    w = R.domain.random_point(20, bound=0.4, rng=rng)
    v = w + distance * rng.standard_normal(w.shape)
    h = w - v
    metric = np.einsum("ni,nij,nj->n", h, R.hessian((w + v) / 2), h)
    alpha = rng.uniform(0.01, 0.99, 20)
    assert np.allclose(gf.jensen_divergence(R, w, v, alpha), alpha * (1 - alpha) * metric / 2, rtol=2e-8)
    assert np.allclose(gf.jeffreys_divergence(R, w, v), metric, rtol=2e-8)
    assert np.allclose(gf.chernoff_information(R, w, v), metric / 8, rtol=2e-8)


def test_scales_from_1e_minus_6_to_1e8():
    """Of the negative entropy, in closed form: the Jensen gap of w and r w is a function of r, times w."""
    R = gf.catalog.potentials["negative_entropy"](1)
    with mp.workdps(50):
        for scale in (1e-6, 1.0, 1e8):
            for ratio in (1 + 1e-9, 2.0, 1e8):
                w, v = np.array([scale]), np.array([scale * ratio])
                x, y = mp.mpf(w[0]), mp.mpf(v[0])
                gap = (x * mp.log(x) + y * mp.log(y)) / 2 - (x + y) / 2 * mp.log((x + y) / 2)
                assert relative(gf.jensen_divergence(R, w, v), gap) < 1e-9
                alpha = gf.chernoff_exponent(R, w, v)  # grad R(m) = (R(w) - R(v)) / (w - v), so m is the identric mean
                m = mp.exp((y * mp.log(y) - x * mp.log(x)) / (y - x) - 1)
                exact = (m - y) / (x - y)
                assert abs(mp.mpf(float(alpha)) - exact) < 1e-9
                best = exact * x * mp.log(x) + (1 - exact) * y * mp.log(y) - m * mp.log(m)
                assert relative(gf.chernoff_information(R, w, v), best) < 1e-9


def test_ends_batches_and_points_that_are_the_same(rng):
    R = gf.catalog.potentials["log_sum_exp"](3)
    w, v = rng.standard_normal((2, 4, 3))
    assert np.array_equal(gf.jensen_divergence(R, w, v, 0.0), np.zeros(4))
    assert np.array_equal(gf.jensen_divergence(R, w, v, 1.0), np.zeros(4))
    assert gf.jensen_divergence(R, w[:, None], v, [[0.2], [0.3], [0.4], [0.5]]).shape == (4, 4)
    assert np.array_equal(gf.chernoff_information(R, w, w), np.zeros(4))
    assert np.array_equal(gf.chernoff_exponent(R, w, w), np.full(4, 0.5))
    each = [gf.chernoff_information(R, a, b) for a, b in zip(w, v, strict=True)]
    assert np.allclose(gf.chernoff_information(R, w, v), each, rtol=1e-12)
    assert gf.bregman_information(R, rng.standard_normal((2, 5, 7, 3)), np.ones(7)).shape == (2, 5)
    assert np.allclose(gf.bregman_information(R, np.stack([w, v], axis=-2)), gf.jensen_divergence(R, w, v), rtol=1e-12)
    for side in SIDES:
        assert divergence_from(R, w[:, None], v, side).shape == (4, 4)
    a, b = divergence_from(R, w, v, "right"), divergence_from(R, w, v, "left")
    assert np.allclose(divergence_from(R, w, v, "symmetrised"), (a + b) / 2, rtol=1e-14)
    assert np.allclose(divergence_from(R, w, v, "jensen"), gf.jensen_divergence(R, w, v), rtol=1e-12)


def test_a_chernoff_information_takes_a_bounded_number_of_divergences(monkeypatch):
    R, calls = gf.catalog.potentials["negative_entropy"](3), []
    inner = R.divergence_or_nan
    monkeypatch.setattr(R, "divergence_or_nan", lambda *a: calls.append(1) or inner(*a))
    gf.chernoff_information(R, np.geomspace(1e-6, 1e6, 300).reshape(100, 3), np.ones(3))
    assert len(calls) <= 60


def test_bad_input_is_answered():
    R = gf.catalog.potentials["burg"](2)
    w = np.ones(2)
    with pytest.raises(gf.ArgumentError, match=r"R; got int; wanted a gf\.LegendreFunction"):
        gf.jeffreys_divergence(3, w, w)
    with pytest.raises(gf.DomainError, match="v outside the domain"):
        gf.chernoff_information(R, w, -w)
    with pytest.raises(gf.NotFiniteError):
        gf.jensen_divergence(R, [np.nan, 1.0], w)
    with pytest.raises(gf.ArgumentError, match=r"alpha; got 1\.5; wanted numbers from 0 to 1"):
        gf.jensen_divergence(R, w, w, [0.5, 1.5])
    with pytest.raises(gf.ShapeError, match="alpha"):
        gf.jensen_divergence(R, np.ones((3, 2)), w, [0.5, 0.5])
    with pytest.raises(gf.ShapeError, match="w and v"):
        gf.jeffreys_divergence(R, np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(gf.ShapeError, match="points"):
        gf.bregman_information(R, w)
    with pytest.raises(gf.ShapeError, match="weights"):
        gf.bregman_information(R, np.ones((3, 2)), [1, 2])
    for weights, got in [([1, 1, -1], "-1 among them"), ([0, 0, 0], "only zeros")]:
        with pytest.raises(gf.ArgumentError, match=f"weights; got {got}"):
            gf.bregman_information(R, np.ones((3, 2)), weights)
    with pytest.raises(gf.ArgumentError, match="side; got 'up'; wanted one of 'right', 'left'"):
        divergence_from(R, w, w, "up")
