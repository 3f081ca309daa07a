"""The unchecked layer of a parametrization: identities of its parts, one point or a batch, and NaN where there is no
value.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.spd_matrices import SPDMatrices

import geoflow as gf

COUPLED = gf.Parametrization(
    lambda x: anp.stack([x[..., 0] * x[..., 1] + x[..., 2], anp.sin(x[..., 2]) * x[..., 0]], axis=-1), 3, 2
).kernel
SPHERE = gf.Parametrization(lambda x: x[..., :2] ** 2, Hypersphere(2), 2).kernel
CONE = gf.Parametrization(lambda X: anp.stack([X[..., 0, 0], X[..., 0, 1]], axis=-1), SPDMatrices(2), 2).kernel


def points(kernel, n, rng):
    if kernel is CONE:
        B = rng.standard_normal((n, 2, 2))
        return (B @ np.swapaxes(B, 1, 2) + np.eye(2)).reshape(n, 4)
    x = rng.uniform(0.3, 1.2, (n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True) if kernel is SPHERE else x


EVERY = pytest.mark.parametrize("kernel", [COUPLED, SPHERE, CONE], ids=["coupled", "sphere", "cone"])


@EVERY
def test_the_pullback_is_the_sum_of_gradients(kernel, rng):
    x, mu = points(kernel, 5, rng), rng.standard_normal((5, 2))
    rows = kernel.gradients(x)
    assert np.allclose(kernel.pullback(x, mu), mu[:, :1] * rows[:, 0] + mu[:, 1:] * rows[:, 1], rtol=1e-14, atol=1e-15)
    assert np.allclose(kernel.pullback(x[0], mu[0]), kernel.pullback(x, mu)[0], rtol=1e-14, atol=1e-15)


@EVERY
def test_a_horizontal_lift_is_pushed_forward_to_what_it_lifts(kernel, rng):
    x, dw = points(kernel, 5, rng), rng.standard_normal((5, 2))
    dx, dmu = kernel.horizontal_lift(x, dw)
    assert np.allclose(kernel.pushforward(x, dx), dw, rtol=1e-12, atol=1e-13)
    assert np.allclose(kernel.pullback(x, dmu), dx, rtol=1e-13, atol=1e-14)
    assert np.allclose(np.einsum("nij,nj->ni", kernel.cometric(x), dmu), dw, rtol=1e-12, atol=1e-13)
    # one covector for all points
    assert np.allclose(
        kernel.horizontal_lift(x, dw[:1])[0][3], kernel.horizontal_lift(x[3:4], dw[:1])[0][0], rtol=1e-13
    )


@EVERY
def test_the_cometric_is_the_derivative_of_the_value_along_the_gradients(kernel, rng):
    x = points(kernel, 4, rng)
    C = np.stack([kernel.pushforward(x, kernel.gradients(x)[:, i]) for i in range(2)], axis=-1)
    assert np.allclose(kernel.cometric(x), C, rtol=1e-12, atol=1e-13)
    assert np.allclose(kernel.cometric(x[0]), C[0], rtol=1e-12, atol=1e-13)


def on_space(kernel, x, v, h):
    """Points at parameter h of a curve on the space with velocity v."""
    y = x + h * v
    return y / np.linalg.norm(y, axis=-1, keepdims=True) if kernel is SPHERE else y


@EVERY
def test_derivatives_of_gradients_and_cometric_are_differences_along_the_space(kernel, rng):
    x, h = points(kernel, 3, rng), 1e-4
    directions = np.einsum("nmi,niD->nmD", rng.standard_normal((3, 4, 2)), kernel.gradients(x))
    for f, derivative in [
        (kernel.gradients, kernel.derivative_of_gradients),
        (kernel.cometric, kernel.derivative_of_cometric),
    ]:
        found = derivative(x, directions)
        for m in range(4):
            up, down = (f(on_space(kernel, x, directions[:, m], s)) for s in (h, -h))
            assert np.allclose(found[:, m], (up - down) / (2 * h), rtol=1e-6, atol=1e-6)
        assert np.allclose(derivative(x[0], directions[0]), found[0], rtol=1e-13, atol=1e-14)
        many = derivative(np.stack([x, x]), np.stack([directions, directions]))
        assert np.allclose(many[1], found, rtol=1e-13, atol=1e-14)


def test_a_derivative_that_is_wrong_differs_from_differences(rng):
    """The comparison above is not vacuous: the derivative along another direction is another one."""
    x = points(COUPLED, 1, rng)
    v = rng.standard_normal((1, 1, 3))
    gap = COUPLED.derivative_of_gradients(x, v) - COUPLED.derivative_of_gradients(x, 1.1 * v)
    assert np.abs(gap).max() > 1e-2


def test_outside_an_open_manifold_there_is_nan_and_no_error(rng):
    inside = points(CONE, 1, rng)[0]
    x = np.stack([inside, np.array([1.0, 0.0, 0.0, -1.0]), np.full(4, np.nan), inside])
    for found in (
        CONE.value(x), CONE.jacobian(x), CONE.gradients(x), CONE.cometric(x), CONE.pullback(x, np.ones((4, 2))),
        *CONE.horizontal_lift(x, np.ones((4, 2))),
    ):  # fmt: skip
        finite = np.isfinite(found).reshape(4, -1)
        assert finite[[0, 3]].all() and not finite[[1, 2]].any()
    assert np.isnan(CONE.value(x[1])).all() and np.isfinite(CONE.value(x[0])).all()
    assert np.isnan(CONE.value(x.reshape(2, 2, 4))).all(axis=-1).tolist() == [[False, True], [True, False]]


def test_a_map_that_is_not_defined_gives_nan_and_a_singular_one_has_no_lift():
    log = gf.Parametrization(anp.log, 2, 2).kernel
    assert np.isnan(log.value(np.array([[1.0, 2.0], [-1.0, 2.0]]))).tolist() == [[False, False], [True, False]]
    squares = gf.Parametrization(lambda x: x**2, 2, 2).kernel
    dx, dmu = squares.horizontal_lift(np.array([[0.0, 0.0], [1.0, 1.0]]), np.ones((2, 2)))
    assert np.isnan(dmu[0]).all() and np.isnan(dx[0]).all()
    assert np.allclose(dmu[1], 0.25) and np.allclose(dx[1], 0.5)
    dx, dmu = squares.horizontal_lift(np.array([[1.0, 0.0]]), np.ones((1, 2)))
    assert np.isnan(dx).all() and np.isnan(dmu).all()


@EVERY
def test_fields_are_the_rows_of_the_gradients(kernel, rng):
    x, v = points(kernel, 4, rng), rng.standard_normal((4, kernel.dim))
    for i in range(2):
        field, closed = kernel.field(i)
        assert np.allclose(field(x), kernel.gradients(x)[:, i], rtol=1e-14, atol=1e-15)
        assert closed is None  # automatic
    reference = gf.identity(gf.catalog.potentials["negative_entropy"](2)).kernel
    w, v = rng.uniform(0.5, 2, (4, 2)), rng.standard_normal((4, 2))
    _, closed = reference.field(1)
    assert np.allclose(closed(w, v), v * [0.0, 1.0], rtol=1e-13, atol=1e-14)  # grad G_2 = w_2 e_2


def test_a_map_that_is_asked_often_is_replayed_and_one_that_changes_is_asked_again():
    A, calls = np.eye(3), []

    def linear(x):
        calls.append(1)
        return anp.matmul(x, A.T) + 0 * x**2

    kernel, x, mu = gf.Parametrization(linear, 3, 3).kernel, np.ones((1, 3)), np.ones((1, 3))
    for _ in range(40):
        assert kernel.pullback(x, mu).tolist() == [[1.0, 1.0, 1.0]]
    calls.clear()
    for _ in range(10):
        kernel.pullback(x, mu)
    assert not calls  # not even once
    A *= 3
    assert kernel.value(x).tolist() == [[3.0, 3.0, 3.0]]  # as every flow begins
    assert kernel.pullback(x, mu).tolist() == [[3.0, 3.0, 3.0]]


def test_a_jacobian_that_is_given_is_used_where_the_map_cannot_be_differentiated():
    for d in (32, 33):
        kernel = gf.Parametrization(
            lambda x: anp.sqrt(x**4), d, d, jacobian=lambda x: 2 * x[..., None] * np.eye(x.shape[-1])
        ).kernel
        x = np.ones((1, d))
        x[0, 0] = 0.0
        assert kernel.pullback(x, np.ones((1, d)))[0, :2].tolist() == [0.0, 2.0]
