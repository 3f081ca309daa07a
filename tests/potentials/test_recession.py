"""Outside is said with what shows it: a ray on which R(w) - <mu, w> falls to the end."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

WORDS = "outside the range of the gradient"
log_sum_exp = gf.LegendreFunction(lambda w: anp.log(1 + anp.sum(anp.exp(w), axis=-1)), 2, name="log-sum-exp")
exponential = gf.LegendreFunction(lambda w: anp.sum(anp.exp(w), axis=-1), 2, name="exponential")
burg = gf.LegendreFunction(lambda w: -anp.sum(anp.log(w), axis=-1), gf.domains.Orthant(2), name="burg")
cut = gf.LegendreFunction(lambda w: anp.sum(w**2, axis=-1) / 2, gf.domains.Orthant(2), name="half a quadratic")
soft = gf.LegendreFunction(lambda w: anp.sum(anp.logaddexp(0.0, w), axis=-1), 2, name="softplus")


@pytest.mark.parametrize(
    "R, mu",
    [
        (log_sum_exp, [0.7, 0.7]), (log_sum_exp, [-0.1, 0.5]), (log_sum_exp, [0.5, 0.5]), (log_sum_exp, [0.0, 0.0]),
        (exponential, [-1.0, 2.0]), (exponential, [0.0, 0.0]), (exponential, [-1e-9, 1.0]),
        (burg, [1.0, -1.0]), (burg, [0.0, 0.0]), (burg, [1e-9, 1e9]), (cut, [5.0, -1.0]), (cut, [-1e-6, -1e6]),
        (soft, [1.0 + 1e-9, 0.5]), (soft, [0.3, -1e-9]), (soft, [40.0, -40.0]),
    ],
)  # fmt: skip
def test_outside_is_said_with_the_ray_that_shows_it(R, mu):
    with pytest.raises(gf.DomainError, match=WORDS) as caught:
        R.inverse_gradient(mu)
    assert "along s" in caught.value.got and (caught.value.point == mu).all()
    assert not R.conjugate.domain.belongs(np.array(mu))


@pytest.mark.parametrize(
    "R, mu",
    [(gf.catalog.potentials["negative_entropy"](2).conjugate.conjugate.potential, [3000.0, 0.0])],
)
def test_what_is_too_large_for_a_number_did_not_converge(R, mu):
    entropy = gf.LegendreFunction(R, gf.domains.Orthant(2))
    with pytest.raises(gf.ConvergenceError, match="did not converge") as caught:
        entropy.inverse_gradient(mu)
    assert caught.value.defect > 0.1


@pytest.mark.parametrize("apart", [1e-3, 1e-6, 1e-9, 1e-11, 1e-13])
def test_near_the_edge_of_the_range_is_right_or_refused(apart):
    """grad of log-sum-exp near the faces of the simplex: to all digits at 0, as far as 1 - p has them at the other."""
    mu = np.array([apart, 0.5])
    assert np.allclose(log_sum_exp.inverse_gradient(mu), np.log(mu / (0.5 - apart)), rtol=1e-8, atol=1e-12)
    mu = np.array([0.5 - apart, 0.5])
    wanted = np.log(mu / (1 - mu[0] - mu[1]))
    try:
        assert np.allclose(log_sum_exp.inverse_gradient(mu), wanted, rtol=1e-8)
    except gf.ConvergenceError as error:
        assert apart < 1e-7 and "eight digits" in error.what
