"""Losses of residuals by any link, and what their flows tend to."""

import pickle

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems.laws.flow_cases import log_cosh, saturating

Z, Y = np.array([[1.0, 2.0, 0.5], [0.3, -0.4, 1.0]]), np.array([1.0, 0.4])
W0 = np.array([0.5, 0.4, 0.7])
R = gf.catalog.potentials["negative_entropy"](3)


def quartic(r):
    return r**2 / 2 + r**4


LINKS = {"log cosh": log_cosh, "quartic": quartic, "saturating": saturating}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_derivatives_against_autograd(link):
    loss = gf.LinkLoss(Z, Y, link)
    w = np.random.default_rng(0).standard_normal((5, 3))
    assert np.allclose(loss.gradient(w), gf.autodiff.jacobian(lambda v: loss(v)[..., None])(w)[..., 0, :], rtol=1e-12)
    hessian = np.einsum("nk,ki,kj->nij", loss.link_hessian(w @ Z.T), Z, Z)
    assert np.allclose(hessian, gf.autodiff.hessian(lambda v: loss(v)[..., None])(w)[..., 0, :, :], atol=1e-11)
    assert np.array_equal(loss(w[0]), loss(w)[0])


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_flows_tend_to_one_projection_whatever_the_link(link):
    loss = gf.LinkLoss(Z, Y, link)
    limit = gf.implicit_bias(loss, R, W0)
    assert np.allclose(limit, gf.bregman_projection(R, Z, Y, W0), rtol=1e-12)
    defect, scale = gf.laws.flow_tends_to_bias(loss, R, W0, 60.0)
    assert defect <= 1e-6 * scale


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_the_divergence_to_a_minimiser_decreases_even_for_quasiconvex_links(link):
    loss = gf.LinkLoss(Z[:1], Y[:1], link)
    flow = gf.mirror_flow(loss, R, W0, np.linspace(0, 20, 101)).unwrap()
    limit = gf.implicit_bias(loss, R, W0)
    defect, scale = gf.laws.bregman_decreases(R, flow, limit)
    assert defect <= 1e-9 * scale
    assert R.bregman_divergence(limit, flow.w[-1]) < 1e-6 * scale


def test_gradient_flow_through_a_map_tends_to_the_same():
    case = gf.catalog.parametrizations["square"](3)
    G, x0 = case.parametrization, np.sqrt(W0)
    flow = gf.gradient_flow(gf.LinkLoss(Z, Y, log_cosh), G, x0, 40.0).unwrap()
    limit = gf.implicit_bias(gf.LinkLoss(Z, Y, quartic), gf.mirror_map(G, x0), G(x0))
    assert np.abs(flow.w[-1] - limit).max() < 1e-6


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_scales(size):
    """Units of w and y do not matter to the entropy's projection."""
    loss = gf.LinkLoss(Z, size * Y, log_cosh)
    assert np.allclose(gf.implicit_bias(loss, R, size * W0), size * gf.implicit_bias(gf.LeastSquares(Z, Y), R, W0))


def test_least_squares_whose_data_contradict_each_other():
    rows = np.array([[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]])
    quadratic = gf.catalog.potentials["quartic"](2)
    loss = gf.LeastSquares(rows, [1.0, 1.0, 0.0])
    best = gf.implicit_bias(loss, quadratic, [0.1, 0.2])
    assert np.allclose(loss.gradient(best), 0, atol=1e-9)
    with pytest.raises(gf.InfeasibleError):
        gf.implicit_bias(gf.LinkLoss(rows, [1.0, 1.0, 0.0], log_cosh), quadratic, [0.1, 0.2])


def test_bad_input():
    with pytest.raises(gf.ArgumentError, match="link"):
        gf.LinkLoss(Z, Y, 3.0)
    with pytest.raises(gf.ArgumentError, match="grows away from r = 0") as caught:
        gf.LinkLoss(Z, Y, lambda r: (r - 1) ** 2)
    assert caught.value.residual > 0
    with pytest.raises(gf.ArgumentError, match="a value a residual"):
        gf.LinkLoss(Z, Y, lambda r: anp.sum(r**2, axis=-1))
    with pytest.raises(gf.ShapeError):
        gf.LinkLoss(Z, Y[:1], log_cosh)
    with pytest.raises(gf.InfeasibleError, match="not attained"):
        gf.implicit_bias(gf.LogisticLoss(Z, [1.0, -1.0]), R, W0)
    with pytest.raises(gf.ArgumentError, match="LinkLoss"):
        gf.implicit_bias(lambda w: 0.0, R, W0)
    with pytest.raises(gf.InfeasibleError):
        gf.implicit_bias(gf.LeastSquares([[1.0, 1.0, 1.0]], [-1.0]), R, W0)


def test_pickles():
    loss = gf.LinkLoss(Z, Y, log_cosh)
    assert pickle.loads(pickle.dumps(loss))(W0) == loss(W0)
