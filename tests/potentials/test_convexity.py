"""Hessians that are not positive definite are refused where they would be inverted, in any units."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.convexity import pivots, require_definite


def test_units_of_coordinates_do_not_matter(rng):
    A = rng.standard_normal((5, 3, 3))
    H, units = A @ np.swapaxes(A, -1, -2), 10.0 ** np.array([-6, 0, 6])
    least = pivots(H)
    assert (least > 1e-4).all() and np.allclose(pivots(H * units[:, None] * units), least, rtol=1e-8)
    assert pivots(np.diag([1e-300, 1.0, 1e300])) == 1.0


def test_singular_indefinite_and_nan_are_told_apart(rng):
    v = rng.standard_normal(3)
    H = np.stack(
        [np.outer(v, v), np.diag([1.0, -1.0, 1.0]), np.diag([1.0, 0.0, 1.0]), np.eye(3), np.full((3, 3), np.nan)]
    )
    least = pivots(H)
    assert (least[:3] <= 1e-13).all() and least[3] == 1 and np.isnan(least[4])
    with pytest.raises(gf.NotLegendreError, match="not positive definite") as caught:
        require_definite(H[3:0:-1], np.arange(9.0).reshape(3, 3), "R")
    assert caught.value.index == (1,) and caught.value.point.tolist() == [3, 4, 5]
    require_definite(H[3:], np.zeros((2, 3)), "R")  # a NaN is somebody else's error


SAMPLES = {
    "concave": lambda w: -anp.sum(w**2, axis=-1),
    "saddle": lambda w: w[..., 0] ** 2 - w[..., 1] ** 2 / 2 + w[..., 2] ** 2,
    "log-sum-exp": lambda w: anp.log(anp.sum(anp.exp(w), axis=-1)),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_nothing_is_made_of_a_hessian_that_is_not_positive_definite(name, unit):
    R = gf.LegendreFunction(lambda w: SAMPLES[name](w / unit), 3)
    w, a, b = unit * np.array([0.1, 0.2, 0.3]), np.eye(3)[0], np.eye(3)[1]
    for act in (
        lambda: R.cometric(w),
        lambda: R.metric.christoffels(w),
        lambda: R.metric.ricci_tensor(w),
        lambda: R.metric.sectional_curvature(a, b, w),
        lambda: gf.mirror_flow(lambda w: anp.sum(w, axis=-1) / unit, R, w, 1.0),
    ):
        with pytest.raises(gf.NotLegendreError, match=r"positive definite|singular") as caught:
            act()
        assert np.allclose(caught.value.point, w)


def test_a_flow_to_where_the_potential_is_concave_is_no_success():
    R = gf.LegendreFunction(lambda w: anp.sum(w**2 / 2 - w**4 / 12, axis=-1), 1)  # convex for |w| < 1
    found = gf.mirror_flow(lambda w: -anp.sum(w, axis=-1), R, [0.0], 0.5)
    assert found.success
    late = gf.mirror_flow(lambda w: -anp.sum(w, axis=-1), R, [0.0], 1.0)  # mu = w - w^3 / 3 is at most 2 / 3
    assert late.status is gf.Status.FAILURE and "not positive definite" in late.message


def test_natural_gradient_descent_asks_for_a_convex_potential():
    loss, saddle = (
        gf.LeastSquares(np.eye(2), [0.3, 0.3]),
        gf.LegendreFunction(lambda w: w[..., 0] ** 2 - w[..., 1] ** 2, 2),
    )
    with pytest.raises(gf.NotLegendreError, match="positive definite"):
        gf.natural_gradient_descent(loss, saddle, [1.0, 1.0], 0.1, 10)
    double_well = gf.LegendreFunction(lambda w: anp.sum(w**4 / 4 - w**2 / 2, axis=-1), 2)  # convex for |w| > 3^(-1/2)
    found = gf.natural_gradient_descent(loss, double_well, [1.0, 1.5], 0.1, 50)
    assert found.status is gf.Status.FAILURE and "not positive definite" in found.message
