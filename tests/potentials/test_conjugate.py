"""Conjugates by Newton's method against closed forms."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.conjugate import ConjugateFormula, range_test

entropy = gf.LegendreFunction(lambda w: anp.sum(w * anp.log(w) - w, axis=-1), gf.domains.Orthant(3), name="entropy")
log_sum_exp = gf.LegendreFunction(lambda w: anp.log(1 + anp.sum(anp.exp(w), axis=-1)), 2, name="log-sum-exp")


def test_numerical_conjugate_against_closed_forms(rng):
    mu = rng.uniform(-30, 5, size=(40, 3))
    assert np.allclose(entropy.inverse_gradient(mu), np.exp(mu), rtol=1e-10, atol=0)
    assert np.allclose(entropy.conjugate(mu), np.exp(mu).sum(-1), rtol=1e-9)
    q = rng.dirichlet([1, 1, 1], size=30)[:, :2]  # conjugate of log-sum-exp: simplex entropy
    expected = (q * np.log(q)).sum(-1) + (1 - q.sum(-1)) * np.log(1 - q.sum(-1))
    assert np.allclose(log_sum_exp.conjugate(q), expected, rtol=1e-10, atol=1e-13)
    assert log_sum_exp.conjugate.domain.belongs(np.array([0.3, 0.3]))
    assert not log_sum_exp.conjugate.domain.belongs(np.array([0.7, 0.7]))


def test_a_potential_that_is_not_convex_is_refused_with_the_point():
    well = gf.LegendreFunction(lambda w: anp.sum(w**4 - w**2, axis=-1), 2)
    with pytest.raises(gf.NotLegendreError) as caught:
        well.inverse_gradient(np.array([0.1, 0.2]))
    assert np.abs(caught.value.point).max() < 0.5  # it is convex for |w_i| > 1 / sqrt(6)


def test_newton_at_hard_covectors():
    mu = np.array([1e-30, 0.5])
    assert np.allclose(log_sum_exp.inverse_gradient(mu), np.log(mu / (1 - mu.sum())), rtol=1e-12)
    far = np.array([300.0, -300.0, 0.0])
    assert np.allclose(entropy.inverse_gradient(far), np.exp(far), rtol=1e-10, atol=0)
    degenerate = gf.LegendreFunction(lambda w: anp.sum(w**4, axis=-1), 2)  # its Hessian vanishes at 0
    assert np.allclose(degenerate.inverse_gradient([4.0, -32.0]), [1.0, -2.0], rtol=1e-12)
    not_twice = gf.LegendreFunction(lambda w: anp.sum(anp.abs(w) ** 1.5, axis=-1), 2)
    assert np.allclose(not_twice.inverse_gradient([1.5, -3.0]), [1.0, -4.0], rtol=1e-10)


def test_the_formula_of_a_conjugate_solves_for_w(rng):
    """Q, w, the inverse Hessian and its derivative, all from R and a way to solve; NaN where there is none."""
    formula = ConjugateFormula(entropy.kernel, lambda mu: np.where(mu < 3, np.exp(mu), np.nan))
    mu = rng.uniform(-1, 1, (4, 3))
    assert np.allclose(formula.derivative(0, mu), np.exp(mu).sum(-1), rtol=1e-13)
    assert np.allclose(formula.derivative(1, mu), np.exp(mu), rtol=1e-13)
    assert np.allclose(np.einsum("nii->ni", formula.derivative(2, mu)), np.exp(mu), rtol=1e-12)
    assert np.allclose(np.einsum("niii->ni", formula.derivative(3, mu)), np.exp(mu), rtol=1e-12)
    for order in range(4):
        assert np.isnan(formula.derivative(order, np.full(3, 5.0))).all()

    def fails(mu):
        raise gf.NotLegendreError("no solution")

    assert np.isnan(ConjugateFormula(entropy.kernel, fails).derivative(0, mu)).all()


def test_the_range_of_a_gradient_is_where_the_conjugate_gives_mu_back():
    def q(mu):
        return anp.sum(anp.exp(mu), axis=-1)

    inside = range_test(entropy.kernel, q)
    assert inside(np.array([[0.0, 1.0, -2.0], [0.0, np.nan, 0.0]])).tolist() == [True, False]
    wrong = range_test(entropy.kernel, lambda mu: 1.001 * q(mu))
    assert not wrong(np.zeros(3))
    burg_dual = range_test(gf.catalog.potentials["burg"](2).kernel, lambda mu: -anp.sum(anp.log(anp.abs(mu)), axis=-1))
    assert burg_dual(np.array([[-1.0, -2.0], [1.0, -2.0]])).tolist() == [True, False]


def test_a_conjugate_that_is_solved_for_says_what_its_solve_says():
    """Outside, and where rounding hides w, are two errors; the centre is neither."""
    with pytest.raises(gf.DomainError, match="outside the range"):
        log_sum_exp.conjugate([0.7, 0.7])
    regression = gf.catalog.potentials["logistic_regression"](2)
    with pytest.raises(gf.ConvergenceError, match="eight digits"):
        regression.conjugate.gradient(regression.gradient([3e-13, -1e-13]))
    assert np.isclose(regression.conjugate(regression.gradient([0.0, 0.0])), -regression(np.zeros(2)), rtol=1e-14)
