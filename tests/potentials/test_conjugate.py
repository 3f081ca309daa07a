"""Conjugates by Newton's method against closed forms."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

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
