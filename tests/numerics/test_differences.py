"""Differences that converge tell a wrong derivative; rough functions and kinks give no verdict."""

import numpy as np
import pytest

from geoflow.numerics.differences import FINER, clearly_off, entrywise_jacobian, slopes, stays_off

X, V = np.array([[0.7, 1.3], [-0.4, 2.0]]), np.array([[1.0, -0.5], [0.3, 1.0]])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("frequency", [1.0, 30.0, 300.0])
def test_smooth_functions_of_any_scale_are_differentiated_to_seven_digits(scale, frequency):
    found = slopes(lambda x: scale * np.sin(frequency * x), X, V)
    exact = scale * frequency * np.cos(frequency * X) * V
    error = np.abs(found.value - exact)
    assert (error <= 1e-7 * scale * frequency).all() and (error <= 100 * found.error).all()
    assert not clearly_off(exact, found).any()
    assert clearly_off(exact * (1 + 1e-2), found).all()


def test_a_function_that_is_defined_nearby_alone_is_differentiated_there():
    found = slopes(lambda x: np.sqrt(x - 0.69), X[:1, :1], V[:1, :1])
    assert np.isclose(found.value[0, 0], 5.0, rtol=1e-6)


def test_kinks_and_noise_give_no_verdict():
    noise = np.random.default_rng(0)
    for f, exact in (
        (lambda x: np.abs(x - 0.7) + 0 * x, np.zeros((1, 1))),
        (lambda x: x**2 + 1e-5 * noise.standard_normal(x.shape), 1.4 * np.ones((1, 1))),
        (lambda x: (1e9 + x**2) - 1e9, 1.4 * np.ones((1, 1))),
    ):
        for wrong in (exact, exact * (1 + 1e-7)):
            found = slopes(f, X[:1, :1], V[:1, :1])
            off = clearly_off(wrong, found)
            assert not stays_off(wrong, lambda w, f=f: slopes(f, X[:1, :1], V[:1, :1], w), off).any()


def test_what_is_rough_agrees_on_the_finest_scale():
    def f(x):
        return x + 1e-8 * np.sin(1e9 * x)

    exact = V * (1 + 10 * np.cos(1e9 * X))
    found = slopes(f, X, V)
    off = clearly_off(exact, found)
    assert off.any()  # coarse steps do not see the ripple
    assert not stays_off(exact, lambda width: slopes(f, X, V, width), off).any()
    wrong = 2 * V
    assert stays_off(wrong, lambda width: slopes(lambda x: x + 0 * x, X, V, width), np.ones_like(off)).all()
    assert tuple(sorted(FINER, reverse=True)) == FINER


def test_a_derivative_that_is_not_finite_is_off_where_the_differences_converge():
    found = slopes(lambda x: x**2, X, V)
    assert clearly_off(np.full(X.shape, np.nan), found).all()
    assert not clearly_off(np.full(X.shape, np.nan), slopes(lambda x: np.sign(x - X[:1]) / 0.0, X, V)).any()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_jacobian_of_entries_that_stand_alone_is_block_diagonal_and_one_call(scale):
    calls = []

    def field(y):
        calls.append(len(y))
        u = y / scale
        return scale * np.stack([u[:, 0] * u[:, 1], np.log(u[:, 0]), u[:, 1] ** 2], axis=1)

    y = scale * np.array([[2.0, 3.0, 7.0], [0.5, -1.0, 8.0]])
    u, J = y / scale, entrywise_jacobian(field, y, 2)
    exact = np.zeros((2, 3, 2, 3))
    for n in range(2):
        exact[n, :, n, :2] = [[u[n, 1], u[n, 0]], [1 / u[n, 0], 0], [0, 2 * u[n, 1]]]
    assert np.allclose(J, exact.reshape(6, 6), rtol=1e-5, atol=1e-6) and calls == [6]


def test_where_a_field_has_no_value_beside_its_jacobian_is_zero():
    edge = entrywise_jacobian(lambda y: np.where(y > 1, np.nan, y), np.ones((1, 1)), 1)
    assert edge == 0 and np.isfinite(entrywise_jacobian(np.sqrt, np.zeros((1, 1)), 1)).all()
    assert np.allclose(entrywise_jacobian(np.sin, np.zeros((1, 2)), 2), np.eye(2), rtol=1e-6)


def test_a_jacobian_of_many_columns_is_taken_in_slices(monkeypatch):
    from geoflow.numerics import differences

    y, A = np.random.default_rng(0).standard_normal((2, 40)), np.random.default_rng(1).standard_normal((40, 40))
    whole = entrywise_jacobian(lambda x: np.sin(x @ A), y, 30)
    monkeypatch.setattr(differences, "MOVED", 200)
    sizes = []
    parts = entrywise_jacobian(lambda x: sizes.append(x.size) or np.sin(x @ A), y, 30)
    exact = np.einsum("ij,nj->nji", A[:30], np.cos(y @ A))
    # a product of another shape is rounded in another way, and the step of a difference makes it larger
    assert np.allclose(whole, parts, rtol=0, atol=1e-5) and max(sizes) <= 2 * (200 + 2 * y.size)
    assert np.allclose(whole.reshape(2, 40, 2, 40)[1, :, 1, :30], exact[1], atol=1e-4)
    assert not whole.reshape(2, 40, 2, 40)[1, :, 0].any() and not whole[:, 30:40].any()
