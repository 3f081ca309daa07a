"""Which metrics are Hessian, and what the others give."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.realization.codazzi import codazzi_brackets, metric_jet
from geoflow.theorems import laws
from geoflow.theorems.converse import converse_figures

P, Box = gf.catalog.potentials, gf.domains.Box
SQUARE = Box([-1, -1], [1, 1])


def diagonal(first, second):
    zero = anp.zeros(anp.shape(first))
    return anp.stack([anp.stack([first, zero], axis=-1), anp.stack([zero, second], axis=-1)], axis=-2)


NOT_HESSIAN = {
    "1 + w1^2": lambda w: diagonal(anp.ones(anp.shape(w)[:-1]), 1 + w[..., 0] ** 2),
    "exp w2": lambda w: diagonal(anp.exp(w[..., 1]), anp.ones(anp.shape(w)[:-1])),
}


@pytest.mark.parametrize("name", NOT_HESSIAN)
def test_a_metric_that_is_not_hessian_gives_a_map_that_does_not_commute(name):
    metric, w = NOT_HESSIAN[name], np.random.default_rng(1).uniform(-0.8, 0.8, size=(40, 2))
    F = gf.realize_metric(metric, SQUARE, tol=1e-8)
    codazzi = gf.is_hessian(metric, w)
    assert not codazzi and codazzi.defect > 0.1
    seen = F.parametrization.check_commuting(F.embedding(w))
    largest = np.linalg.norm(F.parametrization.brackets(F.embedding(w)), axis=-1).max()
    assert not seen and largest == pytest.approx(codazzi.evidence["bracket"], rel=1e-5)
    defect, scale = laws.bracket_is_codazzi_defect(F, metric, w)
    assert defect <= 1e-5 * scale
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(F.parametrization, F.embedding(w[0]))
    with pytest.raises(gf.ArgumentError):
        converse_figures(F)


def test_is_hessian_accepts_hessians_with_and_without_autodiff():
    for name in ("log_sum_exp", "gaussian_log_partition", "quartic", "quadratic_form"):
        R = P[name](2)
        w = R.domain.random_point(20, bound=0.4, rng=0)
        assert gf.is_hessian(R.kernel.hessian, w), name
    assert gf.is_hessian(lambda w: np.asarray(P["quartic"](2).kernel.hessian(np.array(w, dtype=float))), w, tol=1e-6)


def test_the_jet_of_a_metric_is_its_derivative_with_and_without_autodiff(rng):
    R, w = P["gaussian_log_partition"](2), rng.uniform([-1, -2], [1, -0.5], (6, 2))
    g, T = metric_jet(R.kernel.hessian, w)
    assert np.allclose(g, R.hessian(w), rtol=1e-14) and np.allclose(T, R.third_derivative(w), rtol=1e-12)
    _, T = metric_jet(lambda v: np.asarray(R.kernel.hessian(np.array(v, dtype=float))), w)
    assert np.allclose(T, R.third_derivative(w), rtol=1e-7)


def test_brackets_of_a_metric_vanish_exactly_where_its_derivative_is_symmetric(rng):
    R, w = P["quartic"](2), rng.uniform(-1, 1, (5, 2))
    assert np.abs(codazzi_brackets(R.hessian(w), R.third_derivative(w))).max() < 1e-14
    g, T = metric_jet(NOT_HESSIAN["1 + w1^2"], w)
    found = codazzi_brackets(g, T)
    # g = diag(1, 1 + u^2): fields d_u and d_v / (1 + u^2), bracket -2 u / (1 + u^2)^2 d_v
    wanted = -2 * w[:, 0] / (1 + w[:, 0] ** 2) ** 2
    assert np.allclose(found[:, 0, 1], np.stack([0 * wanted, wanted], axis=-1), rtol=1e-12, atol=1e-15)
    assert np.array_equal(found, -np.swapaxes(found, 1, 2))


def test_where_a_metric_fails_is_said_in_words():
    check = gf.is_hessian(NOT_HESSIAN["1 + w1^2"], [[0.0, 0.0], [0.7, 0.1]])
    assert not check and check.n_points == 2 and check.witness.tolist() == [0.7, 0.1]
    assert "d_1 g_22" in check.detail or "d_2 g_21" in check.detail
    assert gf.is_hessian(lambda w: np.broadcast_to(np.eye(2), (*w.shape, 2)) + 0 * w[..., None], [[0.0, 1.0]])
