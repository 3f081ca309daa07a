"""Checks of arguments at the public calls, seen from there: finite arrays, shapes, types and times."""

import numpy as np
import pytest

import geoflow as gf
from geoflow._validate import all_finite

SQUARE = gf.Parametrization(lambda x: x**2, 2, 2, name="square")
ENTROPY = gf.catalog.potentials["negative_entropy"](2)


@pytest.mark.parametrize(
    "value, error, words",
    [
        ("abc", gf.ArgumentError, "real numbers"),
        (None, gf.ArgumentError, "real numbers|NaN"),
        ([1.0, 2j], gf.ArgumentError, "complex"),
        ([[1.0, 2.0], [3.0]], gf.ArgumentError, "real numbers"),
        ([1.0, np.nan], gf.NotFiniteError, r"nan at index \(1,\)"),
        ([[1.0, 2.0], [np.inf, 0.0]], gf.NotFiniteError, r"inf at index \(1, 0\)"),
        ([1.0, 2.0, 3.0], gf.ShapeError, r"shape \[\.\.\., 2\]"),
        (1.0, gf.ShapeError, "put the coordinates on the last axis"),
        (np.zeros((0, 2)), gf.ArgumentError, "empty array"),
    ],
)
def test_what_is_no_array_of_points_is_named(value, error, words):
    for call in (SQUARE, SQUARE.gradients, ENTROPY, ENTROPY.gradient):
        with pytest.raises((error, gf.NotFiniteError) if value is None else error, match=words):
            call(value)


@pytest.mark.parametrize("value", [[1, 2], (1.0, 2.0), np.array([1, 2], dtype=np.int8), np.float32([1, 2])])
def test_whatever_numpy_reads_as_numbers_is_accepted(value):
    assert SQUARE(value).tolist() == [1.0, 4.0] and SQUARE(value).dtype == float


def test_a_long_array_is_printed_short():
    G = gf.Parametrization(lambda x: x[..., :1], 100, 1)
    with pytest.raises(gf.DomainError) as caught:
        gf.domains.Orthant(100).require(-np.ones(100))
    assert len(str(caught.value)) < 300 and "..." in str(caught.value)
    assert G(np.ones(100)).shape == (1,)


@pytest.mark.parametrize(
    "times, error, words",
    [
        (0.0, gf.ArgumentError, "positive"),
        (-2.0, gf.ArgumentError, "positive"),
        ([], gf.ShapeError, "n_times"),
        ([[0.0, 1.0]], gf.ShapeError, "n_times"),
        ([0.5, 0.5], gf.ArgumentError, "strictly increasing"),
        ([-1.0, 1.0], gf.ArgumentError, "sort the times"),
        (np.inf, gf.NotFiniteError, "times"),
        ("soon", gf.ArgumentError, "times"),
    ],
)
def test_times_increase_from_zero_or_later(times, error, words):
    with pytest.raises(error, match=words):
        gf.gradient_flow(lambda w: w[0], SQUARE, [1.0, 1.0], times)


def test_times_that_do_are_kept():
    flow = gf.gradient_flow(lambda w: w[0], SQUARE, [1.0, 1.0], [0.1, 0.2, 0.7])
    assert flow.t.tolist() == [0.1, 0.2, 0.7]
    assert np.allclose(gf.gradient_flow(lambda w: w[0], SQUARE, [1.0, 1.0], 0.5).t, np.linspace(0, 0.5, 101))


@pytest.mark.parametrize(
    "call, kind",
    [
        (lambda: gf.mirror_map(ENTROPY, [1.0, 1.0]), "Parametrization"),
        (lambda: gf.mirror_flow(lambda w: w[0], SQUARE, [1.0, 1.0], 1.0), "LegendreFunction"),
        (lambda: gf.bregman_projection(SQUARE, [[1.0, 1.0]], [1.0], [1.0, 1.0]), "LegendreFunction"),
        (lambda: gf.realize(SQUARE), "LegendreFunction"),
    ],
)
def test_the_wrong_kind_of_object_is_named_with_the_right_one(call, kind):
    with pytest.raises(gf.ArgumentError, match=f"wanted a gf.{kind}"):
        call()


def test_unknown_options_are_named_with_the_function_that_took_them():
    with pytest.raises(TypeError, match=r"mirror_flow\(\) got an unexpected keyword 'rtoll'; the options are rtol"):
        gf.mirror_flow(lambda w: w[0], ENTROPY, [1.0, 1.0], 1.0, rtoll=1e-9)
    with pytest.raises(TypeError, match=r"gradient_flow\(\) got an unexpected"):
        gf.gradient_flow(lambda w: w[0], SQUARE, [1.0, 1.0], 1.0, rtoll=1e-9)
    with pytest.raises(TypeError, match=r"realize\(\) got an unexpected keyword 'degree'; the options are ambient_dim"):
        gf.realize(ENTROPY, degree=4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.zeros(0), np.array(2.0), np.full((2, 3), 1e300), np.ones((4, 6))[::2, ::3]])
def test_finite_numbers_of_any_size_are_finite_and_one_that_is_not_is_seen(value):
    assert all_finite(value)
    for wrong in (np.nan, np.inf, -np.inf):
        if value.size:
            spoiled = value.copy()
            spoiled.flat[-1] = wrong
            assert not all_finite(spoiled)
