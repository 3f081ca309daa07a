"""Structures found in potentials written as users write them, and in none that only looks like one."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import logsumexp

import geoflow as gf
from geoflow.realization.certificate import relative_metric_error
from geoflow.realization.rules import exact_embedding


def written(d):
    """Potentials as users write them: name, function, domain."""
    rng = np.random.default_rng(d)
    A, b = rng.standard_normal((2 * d, d)) / np.sqrt(d), rng.standard_normal(2 * d)
    y, t, c = rng.integers(0, 5, 2 * d) * 1.0, rng.standard_normal(d), rng.uniform(0.5, 2, 2 * d)
    Q = A.T @ A + np.eye(d)
    sign = 2.0 * (y > 2) - 1

    def stable(w):
        z = w @ A.T + b
        top = anp.max(z, axis=-1, keepdims=True)
        return anp.max(z, axis=-1) + anp.log(anp.sum(anp.exp(z - top), axis=-1)) + 0.1 * anp.sum(w**2, axis=-1)

    def regression(w):
        residual = w @ A.T - b
        return 0.5 * anp.linalg.norm(residual, axis=-1) ** 2 + 0.1 * anp.sum(anp.sqrt(1 + (w - t) ** 2), axis=-1)

    def simplex(w):
        rest = 1 - anp.sum(w, axis=-1)
        return anp.sum(w * anp.log(w), axis=-1) + rest * anp.log(rest)

    inner = gf.domains.Box(np.full(d, -0.5), np.full(d, 0.5))
    yield "softplus", lambda w: anp.sum(anp.log(1 + anp.exp(w @ A.T + b)), axis=-1), d
    yield "quartic", lambda w: anp.sum(w**4, -1) / 4 + anp.sum(w**2, -1) / 2, d
    yield "barrier", lambda w: -anp.sum(anp.log(6 - w @ A.T), -1) - anp.sum(anp.log(4 - w**2), -1), inner
    yield "poisson", lambda w: anp.sum(anp.exp(w @ A.T + b) - y * (w @ A.T + b), axis=-1), d
    yield (
        "logistic",
        lambda w: anp.mean(anp.log1p(anp.exp(-sign * (w @ A.T))), axis=-1) + 0.05 * anp.sum(w * w, axis=-1),
        d,
    )
    yield "log of a sum", lambda w: anp.log(anp.sum(anp.exp(w @ A.T + b), -1)) + 0.1 * anp.sum(w**2, -1), d
    yield "stable log of a sum", stable, d
    yield "logsumexp", lambda w: logsumexp(w @ A.T + b, axis=-1) / 3 + 0.1 * anp.sum((w - t) ** 2, -1), d
    yield "simplex", simplex, gf.domains.Simplex(d)
    yield "regression", regression, d
    yield "einsum", lambda w: 0.5 * anp.einsum("...i,ij,...j->...", w, Q, w) + anp.sum(anp.cosh(w), -1), d
    yield "weights", lambda w: anp.sum(c * anp.logaddexp(0, w @ A.T + b), -1) + anp.sum(w @ Q * w, -1) / 2, d
    yield "mixed", lambda w: anp.sum(anp.log(1 + anp.exp(w @ A.T)) + 1e-3 * (w @ A.T) ** 4, axis=-1), d
    yield "relative entropy", lambda w: anp.sum(w * (anp.log(w / anp.exp(t)) - 1), -1), gf.domains.Orthant(d)


@pytest.mark.parametrize("d", [2, 7, 50, 200])
def test_potentials_as_users_write_them(d):
    for name, potential, domain in written(d):
        R = gf.LegendreFunction(potential, domain, check=False)
        found = gf.find_structure(R)
        assert found, (name, str(found))
        assert found.stopped_at == "" and max(found.checked["value"], found.checked["hessian"]) < 1e-12, (name, found)
        F = exact_embedding(found.potential)[0]
        centre = R.domain.interior_point()  # at the boundary hess R itself has fewer digits
        w = centre + 0.9 * (R.domain.random_point(3, rng=1) - centre)
        assert relative_metric_error(F.jacobian(w), R.hessian(w)).max() < 1e-12, name


SINES = {
    "a sine of the norm": lambda f, w: f(w) + 1e-6 * anp.sin(anp.sum(w**2, axis=-1)),
    "a sine of a product": lambda f, w: f(w) + 1e-6 * anp.sin(3 * w[..., 0] * w[..., -1]),
    "groups coupled": lambda f, w: f(w) + 1e-4 * w[..., 0] ** 2 * w[..., -1] ** 2,
    "a factor of w": lambda f, w: f(w) * (1 + 1e-6 * w[..., 0]),
    "a weight of w": lambda f, w: f(w) + 1e-7 * anp.tanh(w[..., 0]) * w[..., -1] ** 2,
    "a root": lambda f, w: f(w) + 1e-6 * anp.sqrt(1 + anp.sum(w**2, axis=-1)),
}


@pytest.mark.parametrize("alike", SINES)
@pytest.mark.parametrize("d", [2, 6])
def test_what_only_looks_similar_stays_a_black_box(alike, d):
    for name, potential, domain in written(d):
        R = gf.LegendreFunction(lambda w, f=potential: SINES[alike](f, w), domain, check=False)
        found = gf.find_structure(R)
        assert not found and found.potential is None and found.stopped_at, (name, str(found))


def test_a_ridge_that_is_not_convex_makes_a_black_box():
    k = np.array([1.0, -2.0, 0.5])
    R = gf.LegendreFunction(lambda w: anp.sum(w**2, -1) / 2 + 1e-6 * anp.sin(w @ k), 3)
    found = gf.find_structure(R)
    assert not found and "not convex" in found.stopped_at
    for potential, why in [
        (lambda w: anp.sum(w**2, -1) + 3 * w[..., 0] * w[..., 1], "eigenvalue"),
        (lambda w: anp.log(anp.sum(anp.exp(w), -1)), "not strictly convex"),
        (lambda w: anp.sum(w**2, -1) - anp.log(anp.sum(anp.exp(w), -1)) / 9, "not positive"),
        (lambda w: anp.sum(w, -1), "affine"),
    ]:
        assert why in gf.find_structure(gf.LegendreFunction(potential, 3, check=False)).stopped_at


def test_a_product_of_coordinates_beside_squares_is_a_quadratic_form():
    R = gf.LegendreFunction(lambda w: anp.sum(w**4 + w**2, axis=-1) + w[..., 0] * w[..., 1], 3)
    found = gf.find_structure(R)
    assert found.name == "ridge sum + quadratic form" and found.checked["hessian"] < 1e-14


def test_profiles_end_where_their_functions_do():
    for scale in (1e-6, 1.0, 1e6):
        box = gf.domains.Box(np.full(2, -0.3 * scale), np.full(2, 0.6 * scale))
        R = gf.LegendreFunction(
            lambda w, s=scale: -anp.sum(anp.log(s - w) + anp.log(w / s + 0.5), -1), box, check=False
        )
        found = gf.find_structure(R)
        assert found and found.checked["hessian"] < 1e-13
        F, w = exact_embedding(found.potential)[0], box.random_point(4, bound=0.2 * scale, rng=0)
        assert relative_metric_error(F.jacobian(w), R.hessian(w)).max() < 1e-13
        assert np.isfinite(F.value(w)).all()


def test_realize_uses_what_is_found():
    A = np.random.default_rng(1).standard_normal((9, 6))
    R = gf.LegendreFunction(lambda w: anp.sum(anp.log(1 + anp.exp(w @ A.T)), axis=-1), 6)
    F = gf.realize(R, gf.domains.Box(-np.ones(6), np.ones(6)))
    assert F.method == "exact" and F.reason == "ridge sum of 9" and F.certificate.metric_error < 1e-12
    black = gf.LegendreFunction(lambda w: anp.sum(w**2, -1) + anp.sqrt(1 + anp.sum(w**2, -1)), 6)
    with pytest.raises(gf.RealizationError, match=r"its record: step .*, sqrt: a function of several variables"):
        gf.realize(black, gf.domains.Box(-np.ones(6), np.ones(6)), method="exact")


def test_what_is_no_formula_and_what_is_declared():
    with pytest.raises(gf.ArgumentError, match=r"got function; wanted a gf.LegendreFunction; .*gf.LegendreFunction"):
        gf.find_structure(lambda w: anp.sum(w**2, axis=-1))
    declared = gf.RidgeSum(np.eye(2), 0.0, "exp")
    assert gf.find_structure(declared).potential is declared and "Ridges" in str(gf.find_structure(declared))
    induced = gf.mirror_map(gf.Parametrization(lambda x: x**3, 2, 2), [1.0, 1.0])
    assert "formula" in gf.find_structure(induced).stopped_at
    loop = gf.LegendreFunction(lambda w: anp.sum(w**2, -1) if np.ndim(w) and float(w.sum()) < 9 else w, 2, check=False)
    assert not gf.find_structure(loop) and "black box" in str(gf.find_structure(loop))
