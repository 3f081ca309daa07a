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


# what users bring ---------------------------------------------------------------------------------------------------

PLAIN = {
    "stack": lambda x: np.stack([x[..., 0] ** 2, x[..., 1] ** 2], axis=-1),
    "concatenate": lambda x: np.concatenate([x[..., :1] ** 2, x[..., 1:2] ** 2], axis=-1),
    "einsum": lambda x: np.einsum("ij,...j->...i", np.ones((2, 4)), x) ** 2,
    "where": lambda x: np.where(x > 0, x**2, x)[..., :2],
    "clip": lambda x: np.clip(x, -9.0, 9.0)[..., :2] ** 2,
    "asarray": lambda x: anp.sin(x[..., :2]) * np.asarray(getattr(x, "_value", x), dtype=float)[..., 2:],
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_map_in_plain_numpy_is_refused_as_such(name):
    with pytest.raises(gf.ArgumentError, match="uses plain numpy"):
        gf.Parametrization(PLAIN[name], 4, 2)
    assert gf.Parametrization(PLAIN[name], 4, 2, check=False).codomain_dim == 2


def test_a_jacobian_of_a_map_in_plain_numpy_needs_the_second_derivative_too():
    with pytest.raises(gf.ArgumentError, match="hessian_product="):
        build(plain, jacobian=jacobian)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_zero_jacobian_and_one_wrong_entry_are_refused(scale):
    def square(x):
        return np.array([scale, 1.0]) * anp.stack([x[..., 0] ** 2 - x[..., 2] ** 2, x[..., 1] ** 2], axis=-1)

    def right(x):
        J = np.zeros((*x.shape[:-1], 2, 4))
        J[..., 0, 0], J[..., 0, 2], J[..., 1, 1] = 2 * scale * x[..., 0], -2 * scale * x[..., 2], 2 * x[..., 1]
        return J

    def off(x):
        J = right(x)
        J[..., 0, 2] *= 1.001
        return J

    gf.Parametrization(square, 4, 2, jacobian=right)
    for wrong in (lambda x: 0 * right(x), off):
        with pytest.raises(gf.ArgumentError, match="jacobian= differs from the map"):
            gf.Parametrization(square, 4, 2, jacobian=wrong)


def test_constant_outputs_are_refused_and_ignored_inputs_named():
    for f, which in (
        (lambda x: anp.stack([x[..., 0], 0 * x[..., 1] + 2], axis=-1), (1,)),
        (lambda x: np.ones((*np.shape(x)[:-1], 2)), (0, 1)),
        (lambda x: anp.floor(10 * x[..., :2]), (0, 1)),
    ):
        with pytest.raises(gf.ArgumentError, match="do not depend on x") as caught:
            gf.Parametrization(f, 4, 2)
        assert caught.value.outputs == which
    G = gf.Parametrization(lambda x: x[..., :2] ** 2, 4, 2)
    assert G.ignored == (2, 3) and "ignores x_3, x_4" in repr(G)
    assert gf.Parametrization(traced, 3, 2).ignored == ()


def test_rules_that_autograd_has_wrong_are_right_in_maps(rng):
    x = rng.uniform(0.5, 1.5, (4, 3))
    for f in (lambda x: anp.repeat(x, 2, axis=-1) ** 2, lambda x: anp.tile(x, 2) ** 2):
        G = gf.Parametrization(f, 3, 6)
        assert np.allclose(np.abs(G.jacobian(x)).sum(axis=-1), 2 * np.sqrt(G(x)), rtol=1e-14)
        assert np.allclose(G.jacobian(x)[0], G.jacobian(x[0]), rtol=1e-14)


def test_brackets_of_maps_through_eigenvectors_do_not_vanish():
    # the pullback has no forward rule, and is differentiated in reverse twice
    def f(x):
        S = anp.reshape(x, (*anp.shape(x)[:-1], 2, 2))
        v = anp.linalg.eigh(S + anp.swapaxes(S, -1, -2))[1]
        return anp.stack([v[..., 0, 0] ** 2, x[..., 0] * x[..., 1]], axis=-1)

    G, x, h = gf.Parametrization(f, 4, 2), np.array([0.3, 0.8, 0.5, 1.4]), 1e-5
    X, Y = (lambda y, i=i: G.gradients(y)[i] for i in (0, 1))
    along = (Y(x + h * X(x)) - Y(x - h * X(x)) - X(x + h * Y(x)) + X(x - h * Y(x))) / (2 * h)
    assert np.abs(along).max() > 1e-2 and np.allclose(G.brackets(x)[0, 1], along, atol=1e-8)
    assert not G.check_commuting(x)


def test_a_precomposed_map_and_a_regularizer_are_probed():
    G = gf.Parametrization(traced, 3, 2)
    with pytest.raises(gf.ArgumentError, match="uses plain numpy"):
        G.precompose(lambda y: np.stack([y[..., k] for k in (1, 2, 0)], axis=-1))
    with pytest.raises(gf.ArgumentError, match="uses plain numpy"):
        gf.gradient_flow(
            gf.LeastSquares([[1.0, 0.5]], [1.0]),
            G,
            np.ones(3),
            1.0,
            regularizer=lambda x: np.stack([x[..., 0]])[0] ** 2,
        )
