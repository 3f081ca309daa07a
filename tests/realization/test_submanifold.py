"""M = F(K) as a manifold, and G on it and off it."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf


def test_manifold_and_parametrization(realized):
    F = realized("spectral, log-sum-exp")
    G, M = F.parametrization, F.parametrization.space
    w = np.random.default_rng(0).uniform(-0.9, 0.9, size=(3, 4, 2))
    x = F.embedding(w)
    assert G(x).shape == w.shape and np.allclose(G(x), w, atol=1e-11)
    assert M.belongs(x).all() and not M.belongs(x + 0.01).any()
    assert np.allclose(M.projection(M.projection(x + 1e-3)), M.projection(x + 1e-3), atol=1e-11)
    v = M.to_tangent(np.ones(5), x[0, 0])
    assert M.is_tangent(v, x[0, 0]) and not M.is_tangent(np.ones(5), x[0, 0])
    assert M.belongs(M.random_point(5)).all() and M.random_point().shape == (5,)
    assert np.allclose(G.cometric(x), np.linalg.inv(F.metric_matrix(w)), rtol=1e-7)
    # closed derivatives against differences, on M and off it
    y = x[0] + 1e-3
    steps = 1e-5 * np.eye(5)
    rows = np.stack([(G(y + e) - G(y - e)) / 2e-5 for e in steps], axis=-1)
    assert np.allclose(G.gradients(y), rows, atol=1e-7)
    tangent = G.gradients(x[0])[:, 0]
    along = (G.gradients(F.embedding(w[0] + 1e-5 * G.cometric(x[0])[:, :, 0]))
             - G.gradients(F.embedding(w[0] - 1e-5 * G.cometric(x[0])[:, :, 0]))) / 2e-5  # fmt: skip
    assert np.allclose(G.kernel.derivative_of_gradients(x[0], tangent[:, None])[:, 0], along, atol=1e-7)
    X, Y = G.gradient_fields
    assert np.abs(gf.lie_bracket(X, Y)(x[0])).max() <= 1e-6
    assert np.abs(gf.lie_bracket(X, 2 * X - Y + X)(x[0])).max() <= 1e-6
    with pytest.raises(gf.NotOnManifoldError):
        gf.gradient_flow(lambda u: anp.sum(u**2), G, x[0, 0] + 0.01, 1.0)
    with pytest.raises(gf.DomainError):
        F.embedding([2.0, 0.0])


def test_a_flow_that_reaches_the_edge_of_the_box_stops_there(realized):
    F = realized("spectral, log-sum-exp")
    flow = gf.gradient_flow(lambda w: -w[..., 0] * 2.0, F.parametrization, F.embedding([0.0, 0.0]), 50.0)
    assert not flow.success and flow.w[-1, 0] == pytest.approx(1.0, abs=1e-2)


def test_projections_to_a_curve_in_the_plane(rng):
    """F(w) = 2 sqrt w for the entropies: M is a quadrant of R^2, and everything there is on it."""
    F = gf.realize(gf.catalog.potentials["negative_entropy"](2), tol=1e-11)
    M, G = F.parametrization.space, F.parametrization
    x = rng.uniform(0.5, 2, (4, 2))
    assert M.belongs(x).all() and np.allclose(M.projection(x), x, atol=1e-12) and (M.distance_to(x) < 1e-12).all()
    assert np.allclose(G(x), x**2 / 4, rtol=1e-12)
    assert np.allclose(M.to_tangent(np.ones((4, 2)), x), 1, atol=1e-12)
    assert not M.belongs(np.ones(3)) and np.isnan(M.distance_to(np.array([-1.0, 1.0])))


def test_derivatives_of_gradients_are_differences_along_the_manifold(realized, rng):
    F, h = realized("spectral, a sphere"), 1e-5
    kernel, w, dw = F.parametrization.kernel, rng.uniform(-0.6, 0.6, (3, 2)), rng.standard_normal((3, 4, 2))
    v = np.einsum("nDi,nmi->nmD", F.jacobian(w), dw)
    x = F.embedding(w)
    for f, derivative in [
        (kernel.gradients, kernel.derivative_of_gradients),
        (kernel.cometric, kernel.derivative_of_cometric),
    ]:
        found = derivative(x, v)
        for m in range(4):
            up, down = (f(F.embedding(w + s * dw[:, m])) for s in (h, -h))
            assert np.allclose(found[:, m], (up - down) / (2 * h), rtol=1e-6, atol=1e-6)
    assert np.isnan(kernel.value(np.full((1, 3), 50.0))).all()
