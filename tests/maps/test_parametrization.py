"""Parametrizations: values, shapes, compositions and refusals."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.poincare_ball import PoincareBall
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.spd_matrices import (
    SPDMatrices,
)
from geomstats.geometry.stiefel import Stiefel

import geoflow as gf
from geoflow.maps.traced import FunctionKernel
from geoflow.theorems import laws


def hyperbolic(d=2):
    return gf.Parametrization(lambda x: x[..., :d] ** 2 - x[..., d:] ** 2, space=2 * d, codomain_dim=d)


def sphere_squares(d=2):
    return gf.Parametrization(lambda x: x[..., :d] ** 2, space=Hypersphere(d), codomain_dim=d)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_shapes_over_any_batch(batch, rng):
    G, x = hyperbolic(), rng.standard_normal((*batch, 4))
    assert G(x).shape == (*batch, 2)
    assert G.gradients(x).shape == (*batch, 2, 4)
    assert G.cometric(x).shape == (*batch, 2, 2)
    assert G.brackets(x).shape == (*batch, 2, 2, 4)
    for i, X in enumerate(G.gradient_fields):
        assert np.allclose(X(x), G.gradients(x)[..., i, :])


def test_a_wrong_closed_jacobian_fails_its_law(rng):
    x = rng.standard_normal((4, 2)) + 3
    right = gf.Parametrization(lambda y: y**2, 2, 2, jacobian=lambda y: 2 * y[..., None] * np.eye(2))
    kernel = FunctionKernel(lambda y: y**2, right.space, 2, lambda y: 3 * y[..., None] * np.eye(2))
    wrong = gf.Parametrization.from_kernel(kernel, right.space)  # a kernel is believed, a map is not
    defect, scale = gf.laws.jacobian_is_derivative(right, x)
    assert defect <= 1e-14 * scale
    defect, scale = gf.laws.jacobian_is_derivative(wrong, x)
    assert defect > 0.1 * scale


def squares(x):
    return x**2


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: hyperbolic()(np.ones(3)), gf.ShapeError, r"\[..., 4\]"),
        (lambda: hyperbolic().jacobian(np.ones((2, 5))), gf.ShapeError, r"\[..., 4\]"),
        (lambda: hyperbolic()([1, np.nan, 1, 1]), gf.NotFiniteError, "nan at index"),
        (lambda: hyperbolic()([1, np.inf, 1, 1]), gf.NotFiniteError, "inf at index"),
        (lambda: gf.Parametrization(squares, 3, 2), gf.ShapeError, "codomain_dim = 2"),
        (lambda: gf.Parametrization(lambda x: x / anp.sum(x), 3, 3), gf.ArgumentError, "mixes batch entries"),
        (lambda: gf.Parametrization(lambda x: x - anp.mean(x, axis=0), 3, 3), gf.ArgumentError, "mixes batch"),
        (lambda: gf.Parametrization(lambda x: x[:2] ** 2, 3, 2), gf.ShapeError, "last axis"),
        (lambda: gf.Parametrization(lambda x: x @ np.ones((7, 2)), 3, 2), gf.ShapeError, "check space"),
        (lambda: gf.Parametrization(squares, 3, 0), gf.ArgumentError, "codomain_dim"),
        (lambda: gf.Parametrization(squares, 0, 3), gf.ArgumentError, "space"),
        (lambda: gf.Parametrization(squares, "R3", 3), gf.ArgumentError, "manifold"),
        (lambda: gf.Parametrization(3, 3, 3), gf.ArgumentError, "callable"),
        (lambda: sphere_squares().require_points(np.ones(3)), gf.NotOnManifoldError, "Hypersphere"),
        (lambda: gf.Parametrization(anp.log, 1, 1)([-1.0]), gf.NotFiniteError, "NaN or infinity"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert caught.value.got and caught.value.wanted


def test_construction_leaves_the_global_random_state_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    sphere_squares()
    assert np.array_equal(before, np.random.get_state()[1])


def traces(A):
    return lambda X: anp.einsum("aij,...ij->...a", A, X)


def symmetric(rng, d=2, n=3, commuting=False):
    if commuting:
        V = np.linalg.qr(rng.standard_normal((n, n)))[0]
        return np.einsum("ik,dk,jk->dij", V, rng.standard_normal((d, n)), V)
    A = rng.standard_normal((d, n, n))
    return A + np.swapaxes(A, 1, 2)


def points_of(space, n, seed=1):
    state = np.random.get_state()
    np.random.seed(seed)
    points = np.asarray(space.random_point(n))
    np.random.set_state(state)
    return points


def test_shapes_of_matrix_points(rng):
    G = gf.Parametrization(traces(symmetric(rng)), SPDMatrices(3), 2)
    for batch in [(), (4,), (2, 3)]:
        x = points_of(SPDMatrices(3), 6)[: int(np.prod(batch))].reshape(*batch, 3, 3)
        assert G(x).shape == (*batch, 2) and G.gradients(x).shape == (*batch, 2, 3, 3)
        assert G.brackets(x).shape == (*batch, 2, 2, 3, 3) and G.cometric(x).shape == (*batch, 2, 2)
        assert np.allclose(G.gradient_fields[1](x), G.gradients(x)[..., 1, :, :])
    X, Y = G.gradient_fields
    assert np.abs(gf.lie_bracket(X, Y)(x)).max() < 1e-11 * np.abs(X(x)).max()
    assert gf.joint_flow(G, x[0, 0], 0.01 * np.ones((5, 2))).shape == (5, 3, 3)
    assert X.flow(x, 0.01).shape == x.shape
    with pytest.raises(gf.ShapeError, match=r"\[..., 3, 3\]"):
        G(np.eye(2))
    with pytest.raises(gf.NotOnManifoldError, match="SPDMatrices"):
        gf.gradient_flow(lambda w: anp.sum(w), G, -np.eye(3), 1.0)


def test_a_product_of_two_spaces_of_matrices(rng):
    space = ProductManifold([SPDMatrices(2), Stiefel(3, 2)])
    G = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 4]], axis=-1), space, 2)
    x = points_of(space, 3)
    assert G.require_points(x).shape == (3, 10) and G.check_commuting(x).defect < 1e-12
    with pytest.raises(gf.NotOnManifoldError):
        G.require_points(-x)
    assert gf.verify_equivalence(gf.LeastSquares(np.eye(2), G(x[0]) + 0.02), G, x[0], 1.0)


CASE = gf.catalog.parametrizations["hyperbolic"](2)
HYPERBOLIC, X0 = CASE.parametrization, CASE.x0
W = CASE.reach(3, np.random.default_rng(0))


def test_isometries_keep_the_function_and_other_maps_do_not():
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    defect, scale = laws.isometry_keeps_legendre(HYPERBOLIC, lambda y: anp.matmul(y, Q.T) + 0.1, 4, (X0 - 0.1) @ Q, W)
    assert defect <= 1e-10 * scale
    defect, scale = laws.isometry_keeps_legendre(HYPERBOLIC, lambda y: 1.2 * y, 4, X0 / 1.2, W)
    assert defect > 1e-2 * scale
    hyperboloid = gf.catalog.parametrizations["hyperboloid_gaussian"](2)

    def chart(y):
        size = anp.sum(y**2, axis=-1, keepdims=True)
        return anp.concatenate([1 + size, 2 * y], axis=-1) / (1 - size)

    w = hyperboloid.reach(3, np.random.default_rng(0))
    y0 = hyperboloid.x0[1:] / (1 + hyperboloid.x0[0])
    assert isinstance(hyperboloid.parametrization.space, Hyperboloid)
    defect, scale = laws.isometry_keeps_legendre(hyperboloid.parametrization, chart, PoincareBall(2), y0, w)
    assert defect <= 1e-9 * scale


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: HYPERBOLIC.affine(np.ones((2, 3))), gf.ShapeError, "A of shape"),
        (lambda: HYPERBOLIC.affine(np.ones((2, 2))), gf.NotRegularError, "rank 1"),
        (lambda: HYPERBOLIC.precompose(3), gf.ArgumentError, "callable"),
        (lambda: gf.product(HYPERBOLIC, CASE.legendre), gf.ArgumentError, "factor"),
        (lambda: gf.product(), gf.ArgumentError, "at least one"),
        (lambda: gf.identity(3), gf.ArgumentError, "LegendreFunction"),
    ],
)
def test_bad_maps_from_maps_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_what_a_map_says_of_itself():
    sphere = sphere_squares()
    assert repr(hyperbolic()) == "Parametrization(G: R^4 -> R^2)" and "Hypersphere in R^3" in repr(sphere)
    assert sphere.generic_points().shape == (3, 3) and np.array_equal(sphere.generic_points(), sphere.generic_points())
    with pytest.raises(gf.ShapeError, match="one point"):
        hyperbolic().require_point(np.ones((2, 4)))


def test_a_map_by_its_kernel_alone_is_the_same_map(rng):
    G, x = hyperbolic(), rng.standard_normal((3, 4))
    again = gf.Parametrization.from_kernel(G.kernel, 4, "again", commuting_tol=1e-3)
    assert again.name == "again" and again.commuting_tol == 1e-3 and gf.Parametrization.commuting_tol == 1e-9
    assert np.array_equal(again(x), G(x)) and np.array_equal(again.cometric(x), G.cometric(x))


def test_points_of_matrices_are_flattened_and_back(rng):
    G = gf.Parametrization(lambda X: X[..., 0, :], SPDMatrices(2), 2)
    X = points_of(SPDMatrices(2), 6).reshape(2, 3, 2, 2)
    assert G.flatten(X).shape == (2, 3, 4) and np.array_equal(G.unflatten(G.flatten(X)), X)
    assert np.array_equal(G(X), X[..., 0, :]) and np.array_equal(G.kernel.value(G.flatten(X)), X[..., 0, :])


def test_values_on_matrices_are_never_reshaped():
    with pytest.raises(gf.ShapeError, match="wanted shape"):
        gf.Parametrization(lambda X: X[..., 0, 0], SPDMatrices(2), 1)
    with pytest.raises(gf.ShapeError):
        gf.Parametrization(lambda X: X, SPDMatrices(2), 4)


def test_a_point_outside_an_open_manifold_is_named():
    G = gf.Parametrization(lambda X: X[..., 0, :] * 1.0, SPDMatrices(2), 2)
    with pytest.raises(gf.NotOnManifoldError, match="SPDMatrices"):
        G([[1.0, 2.0], [2.0, 1.0]])
