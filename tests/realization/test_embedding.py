"""Embeddings with their 2-jets, and the ways to compose them."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.profiles import PROFILES
from geoflow.realization.embedding import (
    AffineChart,
    Composite,
    DualChart,
    Embedding,
    Multiple,
    RidgeMap,
    SmoothChart,
    Stack,
    block_chart,
)

P = gf.catalog.potentials
ENTROPY = RidgeMap(np.eye(2), np.zeros(2), [PROFILES["entropy"]] * 2)
WAVES = RidgeMap(
    np.array([[1.0, 0.5], [0.2, -1.0], [1.0, 1.0]]), np.array([0.1, 0.2, 2.0]),
    [PROFILES["softplus"], PROFILES["quadratic"], PROFILES["log_barrier"]],
)  # fmt: skip
A, B = np.array([[1.0, 0.3], [0.2, 2.0]]), np.array([0.5, 0.4])


def polar(w):
    return anp.stack([w[..., 0] * anp.cos(w[..., 1]) + 2.0, w[..., 0] * anp.sin(w[..., 1]) + 2.0], axis=-1)


EMBEDDINGS = {
    "ridges": WAVES,
    "stack": Stack([ENTROPY, WAVES]),
    "multiple": Multiple(3.0, WAVES),
    "affine": Composite(ENTROPY, AffineChart(A, B), 2),
    "block": Composite(ENTROPY, block_chart(slice(1, 3), 3), 3),
    "smooth": Composite(ENTROPY, SmoothChart(polar), 2),
    "dual, closed": Composite(ENTROPY, DualChart(P["negative_entropy"](2)), 2),
    "dual, solved": Composite(WAVES, DualChart(P["quartic"](2)), 2),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_jets_are_values_and_their_differences(name, rng):
    F, h = EMBEDDINGS[name], 1e-5
    w = rng.uniform(0.3, 0.9, (5, F.dim))
    value, J, S = F.jet(w)
    assert value.shape == (5, F.ambient_dim) and J.shape == (5, F.ambient_dim, F.dim)
    assert S.shape == (5, F.ambient_dim, F.dim, F.dim) and np.allclose(S, np.swapaxes(S, 2, 3), atol=1e-12)
    assert np.array_equal(F.value(w), value) and np.array_equal(F.jacobian(w), J)
    for k, e in enumerate(h * np.eye(F.dim)):
        up, down = F.jet(w + e), F.jet(w - e)
        assert np.allclose(J[:, :, k], (up[0] - down[0]) / (2 * h), rtol=1e-7, atol=1e-8)
        assert np.allclose(S[:, :, :, k], (up[1] - down[1]) / (2 * h), rtol=1e-6, atol=1e-7)


def test_values_of_compositions(rng):
    w = rng.uniform(0.3, 0.9, (4, 2))
    root = 2 * np.sqrt(w)
    assert np.allclose(ENTROPY.value(w), root, rtol=1e-15)
    assert np.allclose(EMBEDDINGS["stack"].value(w)[:, :2], root) and EMBEDDINGS["stack"].ambient_dim == 5
    assert np.allclose(Multiple(3.0, ENTROPY).value(w), 3 * root)
    assert np.allclose(EMBEDDINGS["affine"].value(w), 2 * np.sqrt(w @ A.T + B), rtol=1e-14)
    assert np.allclose(EMBEDDINGS["block"].value(np.c_[w[:, :1], w]), root, rtol=1e-14)
    assert np.allclose(EMBEDDINGS["dual, closed"].value(w), 2 * np.exp(w / 2), rtol=1e-13)
    assert ENTROPY.guess(root) is None


def test_the_metric_of_ridges_is_the_hessian_of_their_sum(rng):
    w = rng.uniform(0.3, 0.9, (4, 2))
    J = WAVES.jacobian(w)
    R = gf.RidgeSum(WAVES.directions, WAVES.offsets, list(WAVES.profiles))
    assert np.allclose(np.swapaxes(J, 1, 2) @ J, R.hessian(w), rtol=1e-13)


def test_outside_their_domain_ridges_are_nan():
    value, J, S = ENTROPY.jet(np.array([[1.0, 2.0], [-1.0, 2.0], [np.nan, 1.0]]))
    for part in (value, J[..., 0, 0], S[..., 0, 0, 0]):
        flat = part.reshape(3, -1)
        assert np.isfinite(flat[0]).all() and np.isnan(flat[1:]).any(axis=1).all()
    assert np.isfinite(value[1, 1])


def test_a_dual_chart_has_nothing_outside_the_range_of_the_gradient():
    chart = DualChart(gf.LegendreFunction(P["log_sum_exp"](2).potential, 2))
    for mu in (np.array([[0.3, 0.3], [0.7, 0.7]]), np.array([[0.31, 0.3], [0.2, 0.7]])):
        w, C, T = chart(mu)
        inside = mu.sum(axis=1) < 1
        for part in (w, C, T):
            assert np.array_equal(np.isfinite(part.reshape(2, -1)).all(axis=1), inside)
        assert np.allclose(w[inside], np.log(mu[inside] / (1 - mu[inside].sum(1, keepdims=True))), rtol=1e-9)


def test_an_embedding_without_a_jet_is_abstract():
    with pytest.raises(NotImplementedError):
        Embedding().jet(np.ones((1, 1)))
