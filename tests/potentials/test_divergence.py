"""Bregman divergences of near and far points against mpmath: eight digits or a refusal, never negative."""

import autograd.numpy as anp
import mpmath as mp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.divergence import change_and_noise, gradient_change
from geoflow.potentials.profiles import PROFILES

P = gf.catalog.potentials
V = np.array([0.7, 300.0])
POSITIVE = gf.domains.Orthant(2)

#: r and r' in mpmath, and bases in the domain of r
EXACT = {
    "quadratic": (lambda s: s * s / 2, lambda s: s, (-1e12, 1e-12, 3.0)),
    "entropy": (lambda s: s * mp.log(s) - s, mp.log, (1e-12, 0.7, 1e12)),
    "log_barrier": (lambda s: -mp.log(s), lambda s: -1 / s, (1e-12, 0.7, 1e12)),
    "dual_log_barrier": (lambda s: -1 - mp.log(-s), lambda s: -1 / s, (-1e-12, -0.7, -1e12)),
    "fermi_dirac": (lambda s: s * mp.log(s) + (1 - s) * mp.log(1 - s), lambda s: mp.log(s / (1 - s)),
                    (1e-12, 0.4, 1 - 2.0**-40)),
    "hyperbolic_entropy": (lambda s: s * mp.asinh(s) - mp.sqrt(1 + s * s), mp.asinh, (-1e12, 1e-12, 3.0, 1e12)),
    "softplus": (lambda s: mp.log1p(mp.exp(s)), lambda s: 1 / (1 + mp.exp(-s)), (-300.0, -1e-12, 3.0, 300.0)),
    "cosh": (mp.cosh, mp.sinh, (-300.0, 1e-12, 3.0)),
    "exp": (mp.exp, mp.exp, (-300.0, 1e-12, 3.0, 300.0)),
    "quartic": (lambda s: s**4 / 4 + s**2 / 2, lambda s: s**3 + s, (-1e12, 1e-12, 3.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_at_all_scales_and_separations(name):
    r, slope, bases = EXACT[name]
    with mp.workdps(400):
        for t in bases:
            for h in (1e-12, -1e-9, 1e-6, -1e-3, 0.3, -0.49, -0.9):
                s = t * (1 + h) if name != "fermi_dirac" or t < 0.5 else 1 - (1 - t) * (1 + h)
                found = float(PROFILES[name].divergence(np.array(s), np.array(t), np.array(s - t)))
                S, T = mp.mpf(s), mp.mpf(t)
                wanted = r(S) - r(T) - slope(T) * (S - T)
                assert abs(found - wanted) <= 1e-12 * wanted, (t, h, found, float(wanted))


def test_the_sample_of_entropy_and_of_burg():
    w = V * (1 + 1e-9)
    exact = {}
    with mp.workdps(60):
        pairs = [(mp.mpf(x), mp.mpf(y)) for x, y in zip(w, V, strict=True)]
        exact["negative_entropy"] = sum(x * mp.log(x / y) - (x - y) for x, y in pairs)
        exact["burg"] = sum(x / y - 1 - mp.log(x / y) for x, y in pairs)
    for name, wanted in exact.items():
        assert abs(P[name](2).bregman_divergence(w, V) / float(wanted) - 1) < 1e-14
    assert abs(float(exact["negative_entropy"]) / 1.5e-16 - 1) < 0.01


@pytest.mark.parametrize("separation", [1e-12, 1e-9, 1e-6, 1e-3, 0.3, 10.0, 1e8])
def test_what_has_no_closed_form_is_integrated(separation):
    """The entropy as a user writes it, also with a constant that buries its values."""
    for constant in (0.0, 1e6):
        R = gf.LegendreFunction(lambda w, c=constant: anp.sum(w * anp.log(w) - w, axis=-1) + c, POSITIVE)
        for w, v in ((V * (1 + separation), V), (V, V * (1 + separation))):
            wanted = P["negative_entropy"](2).bregman_divergence(w, v)
            assert abs(R.bregman_divergence(w, v) - wanted) <= 1e-8 * wanted
    assert P["negative_entropy"](2).bregman_divergence(V, V) == 0 == R.bregman_divergence(V, V)


def test_a_far_point_by_the_boundary_and_a_batch():
    R = gf.LegendreFunction(lambda w: -anp.sum(anp.log(w), axis=-1), POSITIVE)
    w = np.array([[1e-12, 1.0], [1.0, 1e12], [0.7, 300.0 * (1 + 1e-10)]])
    v = np.array([[1.0, 1e-9], [1e-12, 2.0], [0.7, 300.0]])
    assert np.allclose(R.bregman_divergence(w, v), P["burg"](2).bregman_divergence(w, v), rtol=1e-8, atol=0)
    grid = R.bregman_divergence(w[:, None], v[None, :])
    assert grid.shape == (3, 3) and (grid > 0).all()


def test_compositions_keep_the_digits():
    E, h = P["negative_entropy"](2), 1e-10 * np.array([0.3, -2.0])
    A, b = np.array([[1.0, 0.2], [0.1, 2.0]]), np.array([0.1, 1.0])
    cases = [
        (E + 3 * P["burg"](2), 1 / V + 3 / V**2),
        (E.tilt([1.0, 2.0]), 1 / V),
        (0.25 * E, 0.25 / V),
        (gf.product(P["negative_entropy"](1), P["burg"](1)), np.array([1 / V[0], 1 / V[1] ** 2])),
    ]
    for R, diagonal in cases:
        w = V + h
        assert abs(R.bregman_divergence(w, V) / (diagonal * (w - V) ** 2).sum() * 2 - 1) < 1e-8
    R, w = E.compose_affine(A, b), V + h
    H = A.T @ np.diag(1 / (A @ V + b)) @ A
    assert abs(R.bregman_divergence(w, V) / ((w - V) @ H @ (w - V)) * 2 - 1) < 1e-8


@pytest.mark.parametrize("name", ["square", "hyperbolic", "sphere_squares"])
def test_induced_functions_from_the_base_point(name, rng):
    """By the lift from the base point, against the closed form: to all digits of how near the points are."""
    case = gf.catalog.parametrizations[name]()
    R, (v, other) = gf.mirror_map(case.parametrization, case.x0), case.reach(2, rng)
    w = v + np.array([1e-12, 1e-8, 1e-4, 1.0])[:, None] * (other - v)
    found, wanted = R.bregman_divergence(w, v), case.legendre.bregman_divergence(w, v)
    assert np.allclose(found, wanted, rtol=1e-8, atol=0)
    assert R.bregman_divergence(v, v) == 0
    both = gf.product(R, P["burg"](1)).bregman_divergence(np.append(w[1], 2.0), np.append(v, 2.0))
    assert abs(both / wanted[1] - 1) < 1e-8


def test_a_closed_form_is_compared_and_a_wrong_hessian_refused():
    E = P["log_sum_exp"](2)
    w, v = np.array([0.3, -0.2]), np.array([0.1, 0.4])
    wanted = E.bregman_divergence(w, v)
    E.closed_divergence = lambda w, v, h: 2 * (h**2).sum(axis=-1)
    assert abs(E.bregman_divergence(w, v) / wanted - 1) < 1e-8
    R = gf.LegendreFunction(
        lambda w: anp.sum(w**4, axis=-1) / 4 + anp.sum(w**2, axis=-1) / 2, 2,
        hessian=lambda w: 7 * (1 + 3 * w[..., None] ** 2) * np.eye(2), check=False,
    )  # fmt: skip
    with pytest.raises(gf.ConvergenceError, match="Bregman divergence") as caught:
        R.bregman_divergence(np.array([[1.0, 1.0], [1.0001, 1.0]]), np.ones(2))
    assert caught.value.index == (1,)


@pytest.mark.parametrize("name", ["square", "sinh", "hyperbolic", "sphere_squares"])
def test_tilts_and_their_conjugates_keep_the_digits_near_the_base_point(name):
    """R(w0 + h) = <h, H h> / 2, grad R = H h and Q(mu) = <w0, mu> + ..., to first order in h = 1e-10."""
    case = gf.catalog.parametrizations[name]()
    R, w0 = case.legendre, case.parametrization(case.x0)
    w = w0 + 1e-10 * np.array([0.3, -0.7])
    h, H = w - w0, R.hessian(w0)
    assert abs(R(w) / (h @ H @ h / 2) - 1) < 1e-8
    assert np.allclose(R.gradient(np.stack([w, w])), [H @ h] * 2, rtol=1e-8, atol=0)
    assert R(w0) == 0 and not R.gradient(w0).any()
    assert np.allclose(R.conjugate(H @ h), w0 @ H @ h, rtol=1e-8, atol=0) and R.conjugate(np.zeros(2)) == 0


def test_a_negative_divergence_is_refused_as_none_of_a_convex_function():
    R = gf.LegendreFunction(lambda w: w[..., 0] ** 2 - w[..., 1] ** 2 / 2, 2)
    with pytest.raises(gf.NotLegendreError, match="not convex between them") as caught:
        R.bregman_divergence([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    assert np.array_equal(caught.value.point, [0.0, 0.0])


@pytest.mark.parametrize("ends", [(30.0, 31.0), (30.0, 33.0), (20.0, 60.0), (1.0, 1 + 1e-9), (-3.0, 5.0)])
def test_changes_of_a_gradient_and_what_is_in_doubt_of_them(ends):
    """Of softplus, which is 1 to the last digit from 37 on: by panels of an integral."""
    R = gf.RidgeSum(np.eye(1), 0.0, "softplus")
    v, w = (np.array([[end]]) for end in ends)
    with mp.workdps(60):
        exact = float(1 / (1 + mp.exp(-mp.mpf(w[0, 0]))) - 1 / (1 + mp.exp(-mp.mpf(v[0, 0]))))
    found, noise = change_and_noise(R.formula, w, v, w - v)
    assert abs(found[0, 0] - exact) <= noise[0, 0] and noise[0, 0] < 1e-9 * exact
    assert np.array_equal(found, gradient_change(R.formula, w, v, w - v))
