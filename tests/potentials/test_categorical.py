"""Log-sum-exp and its cumulants where classes are rare."""

import numpy as np

import geoflow as gf
from geoflow.numerics import autodiff
from geoflow.potentials import categorical


def lse(w):
    return categorical.log_sum_exp_of(categorical.with_zero(w))


def test_cumulants_are_derivatives(rng):
    w = rng.standard_normal((4, 3))
    p = categorical.probabilities(w)
    assert np.allclose(p.sum(-1), 1) and np.allclose(categorical.softmax(w), autodiff.jacobian(lse)(w))
    assert np.allclose(categorical.covariance(p), autodiff.hessian(lse)(w), atol=1e-14)
    assert np.allclose(categorical.third_cumulant(p), autodiff.third_derivative(lse)(w), atol=1e-14)


def test_rare_and_certain_classes_keep_their_digits():
    for far in (40.0, 300.0):
        rare, sure = np.array([-far]), np.array([far])
        assert np.allclose(lse(rare), np.exp(-far), rtol=1e-13, atol=0)
        for w in (rare, sure):
            assert np.allclose(categorical.covariance(categorical.probabilities(w)), np.exp(-far), rtol=1e-13, atol=0)
        assert np.allclose(
            categorical.third_cumulant(categorical.probabilities(sure)), -np.exp(-far), rtol=1e-13, atol=0
        )
    near = categorical.softmax(np.array([1e12, 1e12 - 1]))
    assert np.allclose(near, 1 / (1 + np.exp([-1.0, 1.0])), rtol=1e-14)


def test_divergences_and_changes_of_logarithms():
    w, v = np.array([[0.3, -0.2], [50.0, 1e9], [700.0, 0.0]]), np.array([[0.1, 0.4], [-1e9, -1.0], [-700.0, 1.0]])
    p = categorical.probabilities(v)
    wanted = lse(w) - lse(v) - (p[:, 1:] * (w - v)).sum(-1)
    assert np.allclose(categorical.divergence_of(w, v, w - v), wanted, rtol=1e-13)
    e = categorical.log_changes(w[:1], v[:1], w[:1] - v[:1])
    assert np.allclose(np.exp(e), categorical.probabilities(w[:1]) / p[:1], rtol=1e-14)
    h = 1e-10 * (w - v)[:1]
    assert np.allclose(
        categorical.divergence_of(v[:1] + h, v[:1], h),
        np.einsum("ni,nij,nj->n", h, categorical.covariance(p[:1]), h) / 2,
        rtol=1e-8,
        atol=0,
    )


def test_the_likeliest_class_first():
    R, rng = gf.catalog.potentials["log_sum_exp"](3), np.random.default_rng(0)
    w = rng.standard_normal((4, 5, 3)) + np.array([[0, 0, 0], [40, 0, 0], [0, 0, 300], [-40, -40, -40]])[:, None]
    A, back = categorical.likeliest_first(w)
    assert np.array_equal(A @ back, np.tile(np.eye(3), (4, 1, 1)))
    moved = np.einsum("kab,kib->kia", A, w)
    p, q = categorical.probabilities(w), categorical.probabilities(moved)
    assert np.allclose(np.sort(p, axis=-1), np.sort(q, axis=-1), rtol=1e-12)
    assert (q.sum(axis=1).argmax(axis=-1) == 0)[1:].all()
    assert np.allclose(
        R.bregman_divergence(moved[:, 0], moved[:, 1]), R.bregman_divergence(w[:, 0], w[:, 1]), rtol=1e-10
    )
