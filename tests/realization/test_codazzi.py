"""Which metrics are Hessian, and what the others give."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
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
