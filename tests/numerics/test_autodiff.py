"""Batched derivatives against hand-written ones."""

from functools import partial

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics import autodiff


def vector(x):
    return anp.stack([x[..., 0] ** 2 * x[..., 1], anp.sin(x[..., 1])], axis=-1)


def vector_jacobian(x):
    zero = 0 * x[..., 0]
    rows = [[2 * x[..., 0] * x[..., 1], x[..., 0] ** 2], [zero, np.cos(x[..., 1])]]
    return np.stack([np.stack(r, -1) for r in rows], -2)


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (2, 1, 3)])
def test_jacobian_over_any_batch(batch, rng):
    x = rng.standard_normal((*batch, 2))
    assert np.allclose(autodiff.jacobian(vector)(x), vector_jacobian(x), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_second_and_third_derivatives_and_their_index_order(batch, rng):
    x = rng.standard_normal((*batch, 2))
    H = autodiff.hessian(vector)(x)
    assert H.shape == (*batch, 2, 2, 2)
    assert np.allclose(H[..., 0, 0, 1], 2 * x[..., 0]) and np.allclose(H[..., 1, 1, 1], -np.sin(x[..., 1]))
    T = autodiff.third_derivative(vector)(x)
    assert np.allclose(T[..., 0, 0, 0, 1], 2.0) and np.allclose(T[..., 1, 1, 1, 1], -np.cos(x[..., 1]))


def test_scalar_functions(rng):
    x = rng.standard_normal((5, 3))

    def f(y):
        return anp.sum(y**4, axis=-1)

    assert np.allclose(autodiff.jacobian(f)(x), 4 * x**3)
    assert np.allclose(autodiff.hessian(f)(x), 12 * x[..., None] ** 2 * np.eye(3))
    assert autodiff.third_derivative(f)(x).shape == (5, 3, 3, 3)


def test_jvp_forward_and_its_fallback(rng):
    x, v = rng.standard_normal((4, 2)), rng.standard_normal((4, 2))
    expected = np.einsum("...ij,...j->...i", vector_jacobian(x), v)
    assert np.allclose(autodiff.jvp(vector, x, v)[1], expected)

    def without_forward_rule(y):  # autograd has no forward rule for the Cholesky factor
        matrix = anp.eye(2) * 3 + y[..., :, None] * y[..., None, :]
        return anp.linalg.cholesky(matrix)[..., 1, :]

    step = 1e-6
    slope = (without_forward_rule(x + step * v) - without_forward_rule(x - step * v)) / (2 * step)
    assert np.allclose(autodiff.jvp(without_forward_rule, x, v)[1], slope, atol=1e-8)


def test_constant_maps_have_zero_derivative_and_do_not_warn():
    assert np.all(autodiff.jacobian(lambda x: anp.ones((3, 2)))(np.ones((3, 4))) == 0)


def test_directional_jacobian(rng):
    x, v = rng.standard_normal((3, 2)), rng.standard_normal((3, 5, 2))
    out = autodiff.directional_jacobian(autodiff.jacobian(vector), x, v)
    assert np.allclose(out, np.einsum("...iqp,...mq->...mip", autodiff.hessian(vector)(x), v))


@pytest.mark.parametrize("derivative", [autodiff.jacobian, autodiff.hessian, autodiff.third_derivative])
def test_two_calls_of_the_map_serve_a_batch_of_any_size(derivative, rng):
    """The speed of a batch, without a clock: a loop over points would call the map once for each."""
    calls = []

    def counted(x):
        calls.append(x.size)
        return vector(x)

    for n in (1, 10, 1000):
        calls.clear()
        derivative(counted)(rng.standard_normal((n, 2)))
        assert len(calls) == 2  # one tells the number of outputs


@pytest.mark.parametrize("d", [2, 300])
def test_all_rows_are_one_pass_until_memory_is_what_counts(d, monkeypatch, rng):
    calls = []

    def squares(x):
        calls.append(x.shape)
        return x**2

    x = rng.standard_normal((2, d))
    assert np.allclose(autodiff.jacobian(squares, d)(x), 2 * x[..., None] * np.eye(d), rtol=0, atol=0)
    assert calls == ([(2 * d, d)] if d == 2 else [(2, d)])


def test_the_calls_of_the_map_do_not_grow_with_the_directions(rng):
    calls = []

    def counted(x):
        calls.append(x.size)
        return vector(x)

    autodiff.jvp(counted, rng.standard_normal((1000, 2)), rng.standard_normal((1000, 2)))
    assert len(calls) == 1
    for m in (1, 7):
        calls.clear()
        autodiff.directional_jacobian(
            autodiff.jacobian(counted, 2), rng.standard_normal((100, 2)), rng.standard_normal((100, m, 2))
        )
        assert len(calls) == 1


def test_given_derivatives_are_used_and_wrong_ones_are_not_mended(rng):
    x = rng.uniform(0.5, 2, (4, 2))
    right = autodiff.with_derivative(lambda y, z: (y**2 + z).sum(-1), lambda y, z: (2 * y, np.ones_like(z)))
    assert np.allclose(autodiff.jacobian(lambda y: right(y, x))(x), 2 * x)
    assert np.allclose(autodiff.jacobian(lambda y: right(x, y))(x), 1)
    wrong = autodiff.with_derivative(lambda y, z: y**2, lambda y, z: (3 * y[..., None] * np.eye(2), 0 * y[..., None]))
    assert np.allclose(autodiff.jacobian(lambda y: wrong(y, x))(x), 3 * x[..., None] * np.eye(2))


def test_a_function_outside_autograd_is_refused_with_the_remedy():
    with pytest.raises(gf.ArgumentError, match=r"autograd\.numpy"):
        autodiff.jacobian(lambda x: np.array([float(x[0]), 1.0]))(np.ones(2))


def test_traced_values_and_the_arrays_behind_them():
    seen = []

    def f(x):
        seen.append((autodiff.is_traced(x), type(autodiff.untraced(x)), autodiff.untraced(x).tolist()))
        return anp.sum(x**2, axis=-1)

    autodiff.jacobian(f)(np.array([1.0, 2.0]))
    assert seen == [(True, np.ndarray, [1.0, 2.0])]
    assert not autodiff.is_traced(np.ones(2))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_function_of_one_point_alone_is_given_that_point(order):
    """Indices and branches that would mean something else for a batch of copies."""

    def f(x):
        return anp.array([x[0] ** 3 * x[1], x[1] ** 2]) if x[0] > x[1] else x

    derivative = partial(autodiff.derivative, order=order)
    batched = derivative(lambda x: anp.stack([x[..., 0] ** 3 * x[..., 1], x[..., 1] ** 2], -1))
    x = np.array([2.0, 1.5])
    assert np.allclose(derivative(f)(x), batched(x[None])[0], rtol=1e-13)
