"""The direct theorem on maps written here; the catalogue's own entries are tested in theorems/test_direct."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere

import geoflow as gf
from geoflow.theorems import laws

hyperbolic = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2)
x0 = np.array([1.0, 0.7, 0.5, 0.3])
R = gf.mirror_map(hyperbolic, x0)


def closed_gradient(w):
    u, v = x0[:2], x0[2:]
    return (np.arcsinh(w / (2 * u * v)) - np.log(u / v)) / 4


def test_gradient_value_hessian_and_third_derivative(rng):
    w = rng.uniform(-3, 3, size=(2, 7, 2))
    assert np.allclose(R.gradient(w), closed_gradient(w), rtol=1e-11, atol=1e-13)
    product = (x0[:2] * x0[2:]) ** 2
    assert np.allclose(np.einsum("...ii->...i", R.hessian(w)), 1 / (4 * np.sqrt(w**2 + 4 * product)), rtol=1e-11)
    third = -w / (4 * (w**2 + 4 * product) ** 1.5)
    assert np.allclose(np.einsum("...iii->...i", R.third_derivative(w)), third, rtol=1e-9, atol=1e-13)
    # R against quadrature of its gradient along the segment
    s, weight = np.polynomial.legendre.leggauss(60)
    w0 = hyperbolic(x0)
    along = w0 + ((s + 1) / 2)[:, None] * (w[0, 0] - w0)
    assert abs(R(w[0, 0]) - weight @ (closed_gradient(along) @ (w[0, 0] - w0)) / 2) < 1e-11
    assert abs(R(w0)) < 1e-14 and np.abs(R.gradient(w0)).max() < 1e-14


def test_laws_of_the_lift(rng):
    w = rng.uniform(-3, 3, size=(5, 2))
    for law in (laws.lift_inverts, laws.lift_is_joint_flow, laws.lift_is_path_independent,
                laws.inverse_hessian_is_cometric, laws.third_derivative_is_symmetric):  # fmt: skip
        defect, scale = law(R, w)
        assert defect <= 1e-9 * scale, law.__name__


def test_path_independence_fails_for_a_map_that_does_not_commute():
    parabola = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 0] ** 2 + x[..., 1]], -1), 2, 2)
    product = gf.Parametrization(lambda x: anp.stack([x[..., 0] * x[..., 1], x[..., 0] * x[..., 2]], -1), 3, 2)
    defect, scale = laws.flows_commute(product, np.array([1.0, 0.5, 0.3]), 0.2)
    assert defect > 1e-3 * scale
    defect, scale = laws.flows_commute(hyperbolic, x0, 0.2)
    assert defect <= 1e-10 * scale
    for G in (parabola, product):
        defect, scale = laws.gradients_commute(G, np.array([1.0, 0.5, 0.3])[: G.dim])
        assert defect > 1e-2 * scale


def test_a_map_that_commutes_only_near_the_start_is_refused_along_the_lift():
    def bump(z):
        return anp.where(z > 2, anp.where(z > 2, z - 2, 0.0) ** 4, 0.0)

    G = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 1] + bump(x[..., 0]) * x[..., 1]], -1), 2, 2)
    near = gf.mirror_map(G, [0.0, 1.0])
    assert np.allclose(near.gradient([1.0, 1.5]), [1.0, 0.5])
    with pytest.raises((gf.NotCommutingError, gf.NotRegularError)) as caught:
        near.gradient([3.0, 1.5])
    assert caught.value.defect > 1e-9 and caught.value.point.shape == (2,)


def test_out_of_reach_says_how_far_the_lift_got():
    square = gf.mirror_map(gf.Parametrization(lambda x: x**2, 2, 2), [1.0, 1.0])
    with pytest.raises(gf.DomainError) as caught:
        square.gradient([[0.5, 2.0], [2.0, -3.0]])
    assert caught.value.index == (1,) and abs(caught.value.s - 0.25) < 1e-6
    assert "0.25" in str(caught.value)
    assert list(square.domain.belongs(np.array([[0.5, 2.0], [2.0, -3.0]]))) == [True, False]
    bounded = gf.mirror_map(gf.Parametrization(anp.tanh, 1, 1), [0.0])
    with pytest.raises(gf.DomainError):
        bounded([1.0])


def test_conjugate_of_the_induced_function(rng):
    w = rng.uniform(-1, 2, size=(4, 2))
    mu = R.gradient(w)
    assert np.allclose(R.inverse_gradient(mu), w, rtol=1e-10, atol=1e-11)
    for law in (laws.fenchel_young, laws.inverse_hessian_is_conjugate_hessian, laws.conjugate_is_involution):
        defect, scale = law(R, w)
        assert defect <= 1e-9 * scale, law.__name__
    assert R.conjugate.conjugate is R


def test_on_a_sphere():
    G = gf.Parametrization(lambda x: x[..., :2] ** 2, Hypersphere(2), 2)
    start = np.array([0.6, 0.48, 0.64])
    induced = gf.mirror_map(G, start)
    flow = gf.gradient_flow(lambda w: anp.sum((w - np.array([0.1, 0.7])) ** 2), G, start, 20.0)
    assert np.abs((flow.x**2).sum(-1) - 1).max() < 1e-9
    w, w0 = flow.w, start[:2] ** 2
    rest, rest0 = 1 - w.sum(-1, keepdims=True), start[2] ** 2
    expected = (np.log(w / w0) - np.log(rest / rest0)) / 4
    assert np.allclose(induced.gradient(w), expected, rtol=1e-9, atol=1e-12)
    assert np.abs(induced.lift(w) - flow.x).max() < 1e-9
    assert np.allclose((induced.lift(w) ** 2).sum(-1), 1, atol=1e-11)


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: gf.mirror_map(hyperbolic, np.zeros(4)), gf.NotRegularError, "singular values"),
        (lambda: gf.mirror_map(hyperbolic, np.ones((2, 4))), gf.ShapeError, "one point"),
        (lambda: gf.mirror_map(hyperbolic, np.ones(3)), gf.ShapeError, r"\[..., 4\]"),
        (lambda: gf.mirror_map(hyperbolic, [np.nan] * 4), gf.NotFiniteError, "nan"),
        (lambda: gf.mirror_map(gf.Parametrization(lambda x: anp.concatenate([x, x**2], -1), 2, 4), np.ones(2)),
         gf.NotRegularError, "d = 4 > dim M = 2"),
        (lambda: gf.mirror_map(gf.Parametrization(lambda x: x[..., :2] ** 2, Hypersphere(2), 2), np.ones(3)),
         gf.NotOnManifoldError, "project"),
        (lambda: gf.mirror_map(gf.Parametrization(anp.log, 1, 1), [-1.0]), gf.NotFiniteError, "domain of the map"),
        (lambda: R.lift([1.0, np.nan]), gf.NotFiniteError, "nan"),
        (lambda: R.lift([1.0]), gf.ShapeError, r"\[..., 2\]"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert caught.value.got and caught.value.wanted


def test_close_to_the_boundary_of_the_range():
    square = gf.mirror_map(gf.Parametrization(lambda x: x**2, 2, 2), [1.0, 1.0])
    w = np.array([[1e-10, 2.0], [3.0, 1e10]])
    assert np.allclose(square.gradient(w), np.log(w) / 4, rtol=1e-8)


@pytest.mark.parametrize("call", [gf.mirror_map, lambda G, x: gf.gradient_flow(lambda w: w[0], G, x, 1.0)])
def test_a_bare_function_is_no_parametrization(call):
    with pytest.raises(gf.ArgumentError, match="wrap the map"):
        call(lambda x: x, [1.0])
