"""Weight decay and other explicit regularization as a time-dependent Legendre function."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws


def decay(x):
    return anp.sum(x**2, axis=-1) / 2


def switched_off(t):
    """Weight decay of strength 0.6 that is switched off smoothly at t = 1."""
    return 0.6 * (1 - t) ** 2 * (1 + 2 * t) if t < 1 else 0.0


def cubic_difference():
    return gf.Parametrization(lambda x: x[..., :2] ** 3 - x[..., 2:] ** 3, 4, 2, name="u^3 - v^3")


COMMUTING = {
    "x^2": (gf.catalog.parametrizations["square"](2), decay),
    "u^2 - v^2": (gf.catalog.parametrizations["hyperbolic"](2), decay),
    "u v": (gf.catalog.parametrizations["product"](2), decay),
}


@pytest.mark.parametrize("name", list(COMMUTING))
def test_weight_decay_is_mirror_flow_of_a_moving_legendre_function(name):
    case, h = COMMUTING[name]
    loss = gf.LeastSquares([[1.0, 0.5]], [0.4])
    defect, scale = laws.regularized_flow_is_mirror_flow(loss, case.parametrization, h, case.x0, 2.0, switched_off)
    assert defect <= 1e-7 * scale, defect / scale


def test_cubic_differences_commute_with_the_sum_of_cubes_and_not_with_weight_decay():
    G, x0 = cubic_difference(), np.array([1.0, 0.9, 0.8, 1.1])
    loss = gf.LeastSquares([[1.0, 0.5]], [0.4])
    defect, scale = laws.regularized_flow_is_mirror_flow(
        loss, G, lambda x: anp.sum(x**3, axis=-1) / 6, x0, 2.0, switched_off
    )
    assert defect <= 1e-7 * scale, defect / scale
    with pytest.raises(gf.NotCommutingError, match="grad h") as caught:
        gf.regularized_mirror_map(G, x0, decay)
    assert caught.value.defect > 1e-3 and caught.value.pair[1] == 2


def test_the_law_fails_for_a_regularizer_that_does_not_commute(monkeypatch):
    """With the check switched off, the moving function gives another flow."""
    G, x0 = cubic_difference(), np.array([1.0, 0.9, 0.8, 1.1])
    monkeypatch.setattr(gf.Parametrization, "commuting_tol", 10.0)
    defect, scale = laws.regularized_flow_is_mirror_flow(
        gf.LeastSquares([[1.0, 0.5]], [0.4]), G, decay, x0, 0.5, switched_off
    )
    assert defect > 1e-4 * scale


def test_decay_of_squares_shrinks_the_start_in_closed_form():
    """x^2 with h = |x|^2 / 2: x_a = exp(-a) x0, and mu = log(w / w_a) / 4."""
    case = gf.catalog.parametrizations["square"](2)
    family = gf.regularized_mirror_map(case.parametrization, case.x0, decay)
    w = case.reach(4, np.random.default_rng(0))
    for a in (0.0, 0.3, 1.0):
        R = family(a)
        start = np.exp(-2 * a) * case.x0**2
        assert np.allclose(R.w0, start, rtol=1e-11)
        assert np.allclose(R.gradient(w), np.log(w / start) / 4, rtol=1e-9)
        assert np.allclose(family.inverse_gradient(R.gradient(w), a), w, rtol=1e-10)


def test_on_a_manifold_and_with_a_constant_schedule():
    """log det X commutes with every measurement of affine-invariant SPD matrices: its gradient is X itself."""
    A = np.array([[[1.0, 0.2], [0.2, 0.5]], [[0.3, -0.4], [-0.4, 1.0]]])
    from geomstats.geometry.spd_matrices import SPDMatrices

    G = gf.Parametrization(lambda X: anp.einsum("aij,...ij->...a", A, X), SPDMatrices(2), 2)
    x0 = np.array([[1.0, 0.2], [0.2, 0.8]])
    with pytest.raises(gf.NotCommutingError):  # X -> X and X -> X A X scale differently
        gf.regularized_mirror_map(G, x0, lambda X: anp.log(X[..., 0, 0] * X[..., 1, 1] - X[..., 0, 1] * X[..., 1, 0]))
    B = np.array([[0.5, 0.1], [0.1, 0.9]])
    loss = gf.LeastSquares([[1.0, 0.5]], [1.0])
    defect, scale = laws.regularized_flow_is_mirror_flow(loss, G, lambda X: anp.sum(B * X, axis=(-1, -2)), x0, 0.5, 0.3)
    assert defect <= 1e-8 * scale


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda c: gf.regularized_mirror_map(c.parametrization, c.x0, 3), gf.ArgumentError, "callable"),
        (lambda c: gf.regularized_mirror_map(c.parametrization, c.x0, lambda x: x), gf.ShapeError, "one number"),
        (lambda c: gf.gradient_flow(lambda w: w[0], c.parametrization, c.x0, 1.0, schedule=1.0), gf.ArgumentError,
         "regularizer=h"),
        (lambda c: gf.mirror_flow(lambda w: w[0], c.legendre, c.x0**2, 1.0, schedule=1.0), gf.ArgumentError,
         "regularizer=h"),
        (lambda c: gf.gradient_flow(lambda w: w[0], c.parametrization, c.x0, 1.0, regularizer=decay, schedule=[1.0]),
         gf.ArgumentError, "a number"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make(gf.catalog.parametrizations["square"](2))
