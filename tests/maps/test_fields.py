"""Vector fields, their brackets and their flows."""

import autograd.numpy as anp
import numpy as np
import pytest
from scipy.linalg import expm

import geoflow as gf

A = np.array([[0.0, -1.0], [1.0, 0.0]])
B = np.array([[1.0, 0.5], [0.0, -1.0]])


def linear(M):
    return gf.VectorField(lambda x: x @ M.T, "linear")


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_bracket_of_linear_fields_has_the_sign_DY_X_minus_DX_Y(batch, rng):
    x = rng.standard_normal((*batch, 2))
    assert np.allclose(gf.lie_bracket(linear(A), linear(B))(x), x @ (B @ A - A @ B).T, atol=1e-15)
    assert np.allclose(gf.lie_bracket(linear(A), linear(A))(x), 0)


def test_jacobi_identity_of_nonlinear_fields(rng):
    X = gf.VectorField(lambda x: anp.stack([x[..., 1] ** 2, anp.sin(x[..., 0])], -1))
    Y = gf.VectorField(lambda x: anp.stack([x[..., 0] * x[..., 1], x[..., 1]], -1))
    Z = linear(B)
    x = rng.standard_normal((6, 2))
    br = gf.lie_bracket
    terms = [br(X, br(Y, Z))(x), br(Y, br(Z, X))(x), br(Z, br(X, Y))(x)]
    assert np.abs(sum(terms)).max() < 1e-12 * np.abs(terms).max()


def test_flow_of_a_linear_field_with_a_time_for_each_point(rng):
    x, t = rng.standard_normal((4, 2)), np.array([0.5, -0.3, 2.0, 0.0])
    expected = np.stack([expm(s * B) @ p for s, p in zip(t, x, strict=True)])
    assert np.allclose(linear(B).flow(x, t), expected, rtol=1e-11, atol=1e-12)
    assert np.allclose((linear(A) + 2 * linear(B) - linear(A)).flow(x, 0.1), linear(B).flow(x, 0.2), atol=1e-11)


def test_bracket_is_the_second_order_defect_of_the_flows():
    """phi_Y^-s phi_X^-s phi_Y^s phi_X^s (x) = x + s^2 [X, Y](x) + O(s^3): slope 2."""
    X, Y = linear(A), gf.VectorField(lambda x: anp.stack([x[..., 0] ** 2, x[..., 1]], -1))
    x = np.array([0.7, 0.4])
    steps = 2.0 ** -np.arange(3, 8)
    moved = np.stack([Y.flow(X.flow(Y.flow(X.flow(x, s), s), -s), -s) - x for s in steps])
    slope = np.polyfit(np.log(steps), np.log(np.linalg.norm(moved, axis=1)), 1)[0]
    assert abs(slope - 2) < 0.1, slope
    assert np.allclose(moved[-1] / steps[-1] ** 2, gf.lie_bracket(X, Y)(x), atol=0.05)


def test_bad_fields():
    with pytest.raises(gf.ShapeError):
        gf.VectorField(lambda x: x[..., :1])(np.ones(3))
    with pytest.raises(gf.ArgumentError):
        gf.VectorField(3.0)
    with pytest.raises(gf.NotFiniteError):
        linear(A)([np.nan, 1.0])
