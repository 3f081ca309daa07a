"""Compositions of parametrizations, and what each does to R."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.poincare_ball import PoincareBall
from geomstats.geometry.special_orthogonal import SpecialOrthogonal

import geoflow as gf
from geoflow.theorems import laws

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0 = CASE.parametrization, CASE.x0
W = CASE.reach(3, np.random.default_rng(0))


@pytest.mark.parametrize("A", [[[1.0, 0.5], [-0.3, 2.0]], [[1.0, -0.7]]], ids=["square", "projection"])
def test_affine_images(A, rng):
    b = rng.standard_normal(len(A))
    nu = 0.2 * rng.standard_normal((3, len(A)))
    defect, scale = laws.affine_image_transforms_dual(G, X0, A, b, nu)
    assert defect <= 1e-10 * scale
    image = G.affine(A, b)
    assert np.allclose(image(X0), np.array(A) @ G(X0) + b)
    assert laws.jacobian_is_derivative(image, X0)[0] < 1e-13
    parabola = gf.catalog.noncommuting["parabola"]()
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(parabola.parametrization.affine([[1.0, 0.5], [-0.3, 2.0]]), parabola.x0)


def test_a_wrong_transformation_of_the_dual_fails(monkeypatch):
    affine = gf.Parametrization.affine
    monkeypatch.setattr(gf.Parametrization, "affine", lambda G, A, b: affine(G, 1.1 * np.asarray(A), b))
    defect, scale = laws.affine_image_transforms_dual(G, X0, np.eye(2), 0.0, [[0.2, 0.1]])
    assert defect > 1e-2 * scale


def test_isometries_keep_the_function_and_other_maps_do_not():
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    defect, scale = laws.isometry_keeps_legendre(G, lambda y: anp.matmul(y, Q.T) + 0.1, 4, (X0 - 0.1) @ Q, W)
    assert defect <= 1e-10 * scale
    defect, scale = laws.isometry_keeps_legendre(G, lambda y: 1.2 * y, 4, X0 / 1.2, W)
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


def test_products_add():
    sphere = gf.catalog.parametrizations["sphere_squares"](1)
    rotations = gf.catalog.parametrizations["so_diagonal"](1)
    for one, other in [
        (CASE, gf.catalog.parametrizations["exponential"](1)),
        (sphere, rotations),
        (rotations, rotations),
    ]:
        both = gf.product(one.parametrization, other.parametrization)
        x0 = np.concatenate([one.x0.ravel(), other.x0.ravel()]).reshape(both.point_shape)
        parts = [gf.mirror_map(c.parametrization, c.x0) for c in (one, other)]
        rng = np.random.default_rng(1)
        w = np.concatenate([one.reach(3, rng), other.reach(3, rng)], axis=-1)
        defect, scale = laws.product_adds_legendre(both, x0, parts, w)
        assert defect <= 1e-9 * scale
        swapped = parts[::-1] if parts[0].dim == parts[1].dim else [parts[0], parts[0]]
        if one is not other and parts[0].dim == parts[1].dim:
            defect, scale = laws.product_adds_legendre(both, x0, swapped, w)
            assert defect > 1e-3 * scale
    assert gf.product(rotations.parametrization, rotations.parametrization).point_shape == (2, 2, 2)
    assert isinstance(rotations.parametrization.space, type(SpecialOrthogonal(2)))


def test_leaves_keep_the_function():
    case = gf.catalog.parametrizations["hyperbolic"](1)
    one, x0 = case.parametrization, case.x0
    w = one(x0) + np.array([0.2])
    defect, scale = laws.leaf_keeps_legendre(one, x0, w)
    assert defect <= 1e-9 * scale
    leaf = G.on_leaf(X0)
    assert leaf.dim == 2 and leaf.check_commuting(W).defect < 1e-8
    assert np.allclose(leaf.cometric(W), G.cometric(gf.mirror_map(G, X0).lift(W)), rtol=1e-9)
    other = X0 * np.array([1.0, 1.0, 0.5, 1.0])  # on another leaf, another function at the same w
    assert np.abs(G.on_leaf(other).cometric(W) - leaf.cometric(W)).max() > 1e-3


def test_a_leaf_of_another_start_fails_the_law(monkeypatch):
    case = gf.catalog.parametrizations["hyperbolic"](1)
    moved = case.x0 * np.array([1.0, 0.5])
    on_leaf = gf.Parametrization.on_leaf
    monkeypatch.setattr(gf.Parametrization, "on_leaf", lambda G, x0: on_leaf(G, moved))
    defect, scale = laws.leaf_keeps_legendre(case.parametrization, case.x0, case.parametrization(case.x0) + 0.1)
    assert defect > 1e-2 * scale


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: G.affine(np.ones((2, 3))), gf.ShapeError, "A of shape"),
        (lambda: G.affine(np.ones((2, 2))), gf.NotRegularError, "rank 1"),
        (lambda: G.precompose(3), gf.ArgumentError, "callable"),
        (lambda: gf.product(G, CASE.legendre), gf.ArgumentError, "factor"),
        (lambda: gf.product(), gf.ArgumentError, "at least one"),
        (lambda: gf.identity(3), gf.ArgumentError, "LegendreFunction"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
