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
