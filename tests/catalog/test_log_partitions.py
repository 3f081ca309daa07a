"""Log-partition functions: closed forms against autodiff, divergences against mpmath, frames."""

import pickle

import autograd.numpy as anp
import mpmath as mp
import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog import log_partitions
from geoflow.numerics import autodiff

POINTS = {
    "normal in R^1": (log_partitions.normal(1), [[0.3, -0.5], [-2.0, -3.0], [1e3, -1e-3]]),
    "normal in R^2": (
        log_partitions.normal(2),
        [[0.3, 1.0, -0.5, 0.2, -1.0], [-2.0, 0.1, -3.0, -0.5, -0.4], [9.0, 8.0, -5.0, 0.1, -7.0]],
    ),
    "gamma": (log_partitions.gamma(), [[0.3, -0.5], [20.0, -3.0], [1e3, -1e-3]]),
    "von Mises": (log_partitions.von_mises(), [[0.3, -0.5], [0.0, 1e-3], [30.0, 40.0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_derivatives_are_those_of_the_one_before(name):
    R, w = POINTS[name][0], np.array(POINTS[name][1])
    for order in range(3):

        def below(t, R=R, order=order):
            return R.formula.derivative(order, t)

        exact = R.formula.derivative(order + 1, w)
        if name == "von Mises" and order == 2:  # its Hessian is not written in autograd
            h = 1e-4 * np.abs(w).max(axis=-1)
            found = np.stack(
                [(below(w + h[:, None] * e) - below(w - h[:, None] * e)) / (2 * h[:, None, None]) for e in np.eye(2)],
                -1,
            )
            assert np.allclose(found, exact, rtol=1e-6, atol=1e-6 * np.abs(exact).max())
        else:
            found = np.stack([autodiff.jacobian(lambda t, i=i: below(t).reshape(len(t), -1)[..., i])(w)
                              for i in range(R.dim**order)], axis=1).reshape(exact.shape)  # fmt: skip
            assert np.allclose(found, exact, rtol=1e-10, atol=1e-13 * np.abs(exact).max())


@pytest.mark.parametrize("name", POINTS)
def test_closed_divergences_are_differences_of_values(name):
    R, w = POINTS[name][0], np.array(POINTS[name][1])
    for a, b in ((w[0], w[1]), (w[1], w[0])):
        difference = R(a) - R(b) - R.gradient(b) @ (a - b)
        assert np.isclose(R.bregman_divergence(a, b), difference, rtol=1e-12)
        near = R.bregman_divergence(a * (1 + 1e-9), a)
        assert np.isclose(near, 1e-18 * a @ R.hessian(a) @ a / 2, rtol=1e-6)  # the step is rounded to 1e-7 of it


@pytest.mark.parametrize("name", ["normal in R^1", "normal in R^2"])
def test_the_conjugate_is_in_closed_form_and_minus_the_entropy(name):
    R, w = POINTS[name][0], np.array(POINTS[name][1])[:2]
    assert R.has_closed_conjugate
    eta = R.gradient(w)
    assert np.allclose(R.conjugate.gradient(eta), w, rtol=1e-10)
    assert np.allclose(R.conjugate(eta), np.einsum("ni,ni->n", w, eta) - R(w), rtol=1e-10)


def test_frames_of_normals_are_translations():
    for dim in (1, 2, 3):
        R, rng = log_partitions.normal(dim), np.random.default_rng(dim)
        B = rng.standard_normal((2, 4, dim, dim))
        P = np.eye(dim) + B @ B.swapaxes(-1, -2)
        mean = 100 + rng.standard_normal((2, 4, dim))
        t = log_partitions.packed(np.einsum("...ij,...j->...i", P, mean), -P / (1 + np.eye(dim)))
        A, back = R.frame(t)
        moved = np.einsum("kab,kib->kia", A, t)
        assert np.allclose(A @ back, np.eye(R.dim), atol=1e-11)
        m, S = log_partitions.moments(moved, dim)
        assert np.allclose(S @ P, np.eye(dim), atol=1e-10) and np.abs(m).max() < 20
        assert np.allclose(m - m[:, :1], mean - mean[:, :1], atol=1e-10)
        assert np.allclose(
            R.bregman_divergence(moved[:, 0], moved[:, 1]), R.bregman_divergence(t[:, 0], t[:, 1]), rtol=1e-9
        )


def test_packing():
    t = np.array([1.0, 2.0, -1.0, 0.5, -3.0])
    mean, matrix = log_partitions.unpacked(t, 2)
    assert np.array_equal(mean, [1, 2]) and np.array_equal(matrix, [[-1, 0.5], [0.5, -3]])
    assert np.array_equal(log_partitions.packed(mean, matrix), t)
    b, P = log_partitions.precision(t, 2)
    x = np.array([0.3, -0.7])
    straight = t @ np.r_[x, x[0] ** 2, x[0] * x[1], x[1] ** 2]
    assert np.isclose(b @ x - x @ P @ x / 2, straight)
    fine = log_partitions.is_definite(np.array([np.eye(2), [[1, 2], [2, 1]], [[1e-12, 0], [0, 1e12]], -np.eye(2)]))
    assert np.array_equal(fine, [True, False, True, False])


def test_inverse_of_the_means_at_all_scales():
    a = np.array([1e-6, 1e-3, 0.5, 1.0, 17.0, 1e6, 1e12])
    with mp.workdps(40):
        s = np.array([float(mp.log(mp.mpf(x)) - mp.psi(0, mp.mpf(x))) for x in a])
    assert np.allclose(log_partitions.gamma_shape(s), a, rtol=1e-12)
    assert np.isnan(log_partitions.gamma_shape(np.array([0.0, -1.0]))).all()
    kappa = np.array([1e-9, 1e-3, 1.0, 20.0, 200.0])
    with mp.workdps(40):
        rho = np.array([float(mp.besseli(1, mp.mpf(k)) / mp.besseli(0, mp.mpf(k))) for k in kappa])
    assert np.allclose(log_partitions.concentration(rho), kappa, rtol=1e-12)
    assert log_partitions.concentration(np.zeros(1)) == 0
    assert np.isnan(log_partitions.concentration(np.array([1.0, -0.1, 2.0]))).all()


@pytest.mark.parametrize("name", POINTS)
def test_they_are_pickled_and_differentiated_through(name):
    R, w = POINTS[name][0], np.array(POINTS[name][1])
    again = pickle.loads(pickle.dumps(R))
    assert np.array_equal(again.hessian(w), R.hessian(w))
    assert np.array_equal(again.bregman_divergence(w[0], w[1]), R.bregman_divergence(w[0], w[1]))
    slope = autodiff.jacobian(lambda t: anp.exp(0.1 * R.potential(t)))(w[:2])
    assert np.allclose(slope, 0.1 * np.exp(0.1 * R(w[:2]))[:, None] * R.gradient(w[:2]), rtol=1e-12)


def test_shapes_of_gammas_have_their_divergence():
    for s, t in [(1e-6, 1e6), (2.0, 2.0 + 1e-9), (1e6, 1e6 + 1), (30.0, 0.1), (0.1, 30.0)]:
        with mp.workdps(50):
            x, y = mp.mpf(s), mp.mpf(t)

            def g(a):
                return mp.loggamma(a) - a * mp.log(a) + a

            exact = g(x) - g(y) - (mp.psi(0, y) - mp.log(y)) * (x - y)
            found = log_partitions.shape_divergence(np.array(s), np.array(t), np.array(s - t))
            assert abs(mp.mpf(float(found)) / exact - 1) < 1e-9


def test_the_metric_is_that_of_fisher():
    R = log_partitions.von_mises()
    eta = gf.DuallyFlatManifold(R).dual_chart([3.0, 4.0])
    assert np.hypot(*eta) < 1 and np.isclose(eta[1] / eta[0], 4 / 3)
    assert np.allclose(R.metric.metric_matrix([3.0, 4.0]), R.hessian([3.0, 4.0]))
