"""Differences that converge tell a wrong derivative; rough functions and kinks give no verdict."""

import numpy as np
import pytest

from geoflow.numerics.differences import FINER, clearly_off, slopes, stays_off

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
