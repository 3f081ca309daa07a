"""Newton's method for grad R(w) = mu: every entry by itself, to the digits that the gradient has."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.newton import Newton

log_sum_exp = gf.LegendreFunction(lambda w: anp.log(1 + anp.sum(anp.exp(w), axis=-1)), 2, name="log-sum-exp")


def test_newton_reports_the_residual_of_what_it_cannot_reach():
    """grad of log-sum-exp is in the simplex: a covector outside it has no w."""
    newton = Newton(log_sum_exp)
    found = newton.solve(np.array([[0.3, 0.3], [0.7, 0.7], [-0.1, 0.5]]))
    assert found.converged.tolist() == found.accurate.tolist() == [True, False, False]
    assert found.residual[0] < 1e-12 and np.allclose(found.w[0], np.log(0.3 / 0.4))
    assert (found.residual[1:] > 1e-3).all()
    again = newton.solve(np.array([0.3, 0.3]), start=found.w[0])
    assert again.residual.shape == () and np.allclose(again.w, found.w[0], rtol=1e-12)


def user(f, domain, name="R"):
    """As a user gives it: by its values alone."""
    return gf.LegendreFunction(f, domain, name=name)


@pytest.mark.parametrize("d", [1, 2, 3, 200])
@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 1e5, 1e7])
def test_the_gradient_of_a_ball_is_inverted_up_to_its_edge(d, size, rng):
    R = user(lambda w: -anp.sqrt(1 - anp.sum(w**2, -1)), gf.domains.Ball(np.zeros(d)))
    mu = rng.standard_normal(d)
    mu *= size / np.linalg.norm(mu)
    assert np.allclose(R.inverse_gradient(mu), mu / np.sqrt(1 + mu @ mu), rtol=1e-10, atol=0)


@pytest.mark.parametrize("mu", [1e-140, 1e-20, 1e-12, 3.0, 1e12, 1e20, 1e140])
def test_exponentials_are_inverted_from_the_least_to_the_largest_number(mu):
    exponential = user(lambda w: anp.sum(anp.exp(w), -1), 2)
    assert np.allclose(exponential.inverse_gradient([mu, 1.0]), [np.log(mu), 0.0], rtol=1e-12, atol=1e-15)
    burg = user(lambda w: -anp.sum(anp.log(w), -1), gf.domains.Orthant(2))
    assert np.allclose(burg.inverse_gradient([-mu, -2.0]), [1 / mu, 0.5], rtol=1e-12, atol=0)
    entropy = user(lambda w: anp.sum(w * anp.log(w) - w, -1), gf.domains.Orthant(2))
    size = np.log(mu) / 2
    assert np.allclose(entropy.inverse_gradient([size, 0.0]), [np.exp(size), 1.0], rtol=1e-10, atol=0)


@pytest.mark.parametrize("q", [1.5, 3, 4])
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1.0, 1e12, 1e36])
def test_powers_whose_hessian_degenerates_at_their_centre(q, size):
    R = user(lambda w: anp.sum(anp.abs(w) ** q, -1) / q, 2)
    mu = size * np.array([1.0, -0.3])
    assert np.allclose(R.inverse_gradient(mu), np.sign(mu) * np.abs(mu) ** (1 / (q - 1)), rtol=1e-9, atol=0)
    one_zero = R.inverse_gradient(size * np.array([1.0, 0.0]))
    assert np.allclose(one_zero, [size ** (1 / (q - 1)), 0.0], rtol=1e-9, atol=1e-15 * one_zero[0])
    assert (R.inverse_gradient(np.zeros(2)) == 0).all()


def test_entries_of_one_batch_are_apart():
    R = user(lambda w: anp.sum(anp.exp(w), -1), 2)
    mu = np.array([[1.0, 2.0], [-1.0, 1.0], [1e20, 1e-20], [0.0, 1.0], [3.0, 4.0]])
    found = R.newton.solve(mu)
    good = np.array([0, 2, 4])
    assert found.accurate.tolist() == [True, False, True, False, True]
    assert np.allclose(found.w[good], np.log(mu[good]), rtol=1e-12, atol=1e-15)
    with pytest.raises(gf.DomainError) as caught:
        R.inverse_gradient(mu)
    assert caught.value.index == (1,) and caught.value.converged.tolist() == found.accurate.tolist()


def test_what_rounding_hides_is_refused_and_the_centre_is_not():
    """mu of w = 1e-13 differs from that of 0 by an ulp or two where grad R(0) is not 0."""
    R = gf.catalog.potentials["logistic_regression"](2)
    at_centre = R.gradient(np.zeros(2))
    assert (R.inverse_gradient(at_centre) == 0).all()
    with pytest.raises(gf.ConvergenceError, match="eight digits") as caught:
        R.inverse_gradient(R.gradient([3e-13, -1e-13]))
    assert 1e-8 < caught.value.defect < 1
    near = np.array([3e-5, -1e-5])
    assert np.allclose(R.inverse_gradient(R.gradient(near)), near, rtol=1e-8)
