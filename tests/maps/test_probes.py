"""Closed forms that are the derivatives of the map are taken, others are refused with the defect."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.spd_matrices import SPDMatrices

import geoflow as gf

A = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7]])


def plain(x):
    """A map that autograd cannot trace: numpy's own einsum and an array that is filled."""
    value = np.empty((*x.shape[:-1], 2))
    value[...] = np.einsum("ij,...j->...i", A, np.asarray(x, dtype=float) ** 3)
    return value


def traced(x):
    return anp.einsum("ij,...j->...i", A, x**3)


def jacobian(x):
    return 3 * A * x[..., None, :] ** 2


def hessian_product(x, u, v):
    return 6 * np.einsum("...i,ij->...j", u, A) * x * v


def build(function, space=3, **forms):
    return gf.Parametrization(function, space, 2, **forms)


def test_closed_forms_are_taken_and_agree_with_autograd(rng):
    G, H = build(plain, jacobian=jacobian, hessian_product=hessian_product), build(traced)
    x, mu, u, v = (rng.standard_normal((5, k)) for k in (3, 2, 2, 3))
    a, b = G.kernel, H.kernel
    for of in (
        lambda k: k.value(x), lambda k: k.jacobian(x), lambda k: k.gradients(x), lambda k: k.cometric(x),
        lambda k: k.pullback(x, mu), lambda k: k.pushforward(x, v), lambda k: k.bracket(x, mu, u),
        lambda k: k.derivative_of_pullback(x, mu, v), lambda k: k.derivative_of_gradients(x, np.stack([v, 2 * v], 1)),
        lambda k: k.derivative_of_cometric(x, v[:, None]), lambda k: k.linearized(x)[1](mu),
        lambda k: k.derivative_of_pullback(x[0], mu[0], v[0]), lambda k: k.derivative_of_gradients(x[0], v[:2]),
    ):  # fmt: skip
        assert np.allclose(of(a), of(b), rtol=1e-12, atol=1e-12)
    assert np.allclose(G.brackets(x), H.brackets(x), rtol=1e-12, atol=1e-12)
    for i in range(2):
        assert np.allclose(G.gradient_fields[i](x), H.gradient_fields[i](x), rtol=1e-12)
        assert np.allclose(G.gradient_fields[i].derivative(x, v), H.gradient_fields[i].derivative(x, v), rtol=1e-12)


def test_a_map_that_nothing_can_trace_flows_by_its_closed_forms():
    def square(x):
        return np.array(x, dtype=float) ** 2

    with pytest.raises(gf.ArgumentError):
        gf.Parametrization(square, 2, 2).jacobian(np.ones(2))
    G = gf.Parametrization(
        square, 2, 2, jacobian=lambda x: 2 * x[..., None] * np.eye(2), hessian_product=lambda x, u, v: 2 * u * v
    )
    assert G.check_commuting(np.array([1.0, 2.0])) and G.check_regular(np.ones(2))
    report = gf.verify_equivalence(gf.LeastSquares([[1.0, 0.5]], [1.0]), G, [0.8, 0.6], 0.5)
    assert report


@pytest.mark.parametrize("function", [plain, traced])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_wrong_closed_forms_are_refused_with_the_defect(function, scale):
    def scaled(x):
        return scale * function(x)

    forms = {"jacobian": lambda x: scale * jacobian(x), "hessian_product": lambda *a: scale * hessian_product(*a)}
    build(scaled, **forms)
    for name in forms:
        wrong = {**forms, name: lambda *a, right=forms[name]: 1.01 * right(*a)}
        with pytest.raises(gf.ArgumentError, match=f"{name} of G") as caught:
            build(scaled, **wrong)
        assert 5e-3 < caught.value.defect < 20


def test_one_wrong_entry_among_many_is_found():
    d = 300
    bump = np.zeros((d, d))
    bump[17, 17] = 1e-3

    def build(J):
        return gf.Parametrization(lambda x: x**2, d, d, jacobian=J)

    build(lambda x: 2 * x[..., None] * np.eye(d))
    with pytest.raises(gf.ArgumentError, match="jacobian") as caught:
        build(lambda x: 2 * x[..., None] * (np.eye(d) + bump))
    assert caught.value.defect == pytest.approx(1e-3, rel=0.1)


def test_shapes_are_checked_and_a_product_alone_needs_a_map_that_can_be_traced():
    with pytest.raises(gf.ShapeError, match="jacobian"):
        build(traced, jacobian=lambda x: np.swapaxes(jacobian(x), -1, -2))
    with pytest.raises(gf.ShapeError, match="hessian_product"):
        build(traced, hessian_product=lambda x, u, v: u)
    with pytest.raises(gf.ArgumentError, match="jacobian="):
        build(plain, hessian_product=hessian_product)
    G, x = build(traced, hessian_product=hessian_product), np.array([[0.3, 1.0, -0.7]])
    mu, v = np.array([[1.0, 2.0]]), np.array([[0.1, 0.2, 0.3]])
    assert np.allclose(G.kernel.derivative_of_pullback(x, mu, v), hessian_product(x, mu, v))


def test_closed_forms_on_curved_spaces(rng):
    """On a sphere, and on matrices with the affine-invariant metric, whose own derivatives are autograd's."""
    sphere = build(traced, Hypersphere(2), jacobian=jacobian, hessian_product=hessian_product)
    cone = gf.Parametrization(
        lambda X: X[..., 0, :] ** 2, SPDMatrices(2), 2,
        jacobian=lambda X: 2 * np.einsum("...k,ik,a->...iak", X[..., 0, :], np.eye(2), [1.0, 0.0]),
        hessian_product=lambda X, u, V: 2 * np.einsum("...k,...k,a->...ak", u, V[..., 0, :], [1.0, 0.0]),
    )  # fmt: skip
    automatic = gf.Parametrization(lambda X: X[..., 0, :] ** 2, SPDMatrices(2), 2)
    x = rng.standard_normal((4, 3))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    B = rng.standard_normal((4, 2, 2))
    X = (B @ np.swapaxes(B, 1, 2) + np.eye(2)).reshape(4, 4)
    for ours, other, at in ((sphere, build(traced, Hypersphere(2)), x), (cone, automatic, X)):
        mu, u = rng.standard_normal((2, 4, 2))
        v = other.kernel.pullback(at, u)
        found, expected = ([
            k.derivative_of_pullback(at, mu, v), k.bracket(at, mu, u),
            k.derivative_of_gradients(at, v[:, None]), k.derivative_of_cometric(at, v[:, None]),
        ] for k in (ours.kernel, other.kernel))  # fmt: skip
        for a, b in zip(found, expected, strict=True):
            assert np.allclose(a, b, rtol=1e-10, atol=1e-13 * np.abs(expected[0]).max())
