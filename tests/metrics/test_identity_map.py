"""The identity of a Hessian manifold."""

import numpy as np
import pytest

import geoflow as gf


def test_identity_of_a_hessian_manifold_commutes_for_every_potential(rng):
    for name, entry in gf.catalog.potentials.items():
        R = entry(entry.dims[0] if entry.dims else 2)
        G = gf.identity(R)
        w = R.domain.random_point(6, bound=0.5, rng=rng).reshape(-1, R.dim)
        assert G.check_commuting(w).defect < 1e-10, name
        assert np.allclose(G.cometric(w), R.metric.cometric_matrix(w), rtol=1e-9)


def test_the_identity_induces_the_potential_it_came_from(rng):
    for name in ("negative_entropy", "log_sum_exp", "quartic"):
        R = gf.catalog.potentials[name](2)
        w0, *w = R.domain.random_point(5, bound=0.3, rng=rng)
        induced = gf.mirror_map(gf.identity(R), w0)
        assert np.allclose(induced.gradient(np.stack(w)), R.tilt(w0).gradient(np.stack(w)), rtol=1e-8, atol=1e-10), name


def test_its_kernel_is_the_metric_and_its_derivative(rng):
    R = gf.catalog.potentials["burg"](2)
    kernel, w, v = gf.identity(R, "chart").kernel, rng.uniform(0.5, 2, (4, 2)), rng.standard_normal((4, 3, 2))
    assert np.array_equal(kernel.value(w), w) and np.array_equal(kernel.jacobian(w)[2], np.eye(2))
    assert np.allclose(kernel.gradients(w), w[..., None] ** 2 * np.eye(2), rtol=1e-13)
    assert np.allclose(kernel.derivative_of_gradients(w, v), 2 * (w[:, None] * v)[..., None] * np.eye(2), rtol=1e-12)
    assert np.isnan(kernel.value(np.array([[1.0, 1.0], [-1.0, 1.0]]))).tolist() == [[False, False], [True, True]]
    assert np.isnan(kernel.gradients(np.array([[-1.0, 1.0]]))).all()
    assert gf.identity(R, "chart").name == "chart"
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        gf.identity(lambda w: w)


def test_brackets_of_brackets_of_its_fields_vanish():
    R = gf.RidgeSum([[1, 0], [0, 1], [1, 1]], 0, "entropy")
    X, Y = gf.identity(R).gradient_fields
    assert np.abs(gf.lie_bracket(X, gf.lie_bracket(X, Y))([1.0, 2.0])).max() < 1e-13
    assert np.abs(gf.lie_bracket(X, gf.lie_bracket(X, 2.0 * X + X))([1.0, 2.0])).max() < 1e-13
