"""Checks of arguments at the public calls, seen from there: finite arrays, shapes, types and times."""

import re

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
        (None, gf.ArgumentError, "got None"),
        ([1.0, None], gf.ArgumentError, r"None at index \(1,\)"),
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
        with pytest.raises(error, match=words):
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


def big_mistakes():
    """Calls with arrays of 1,000 entries, or 30,000, each of which is refused."""
    n, rng = 1000, np.random.default_rng(0)
    ones, far = np.ones(n), np.full(n, 1e9)
    square = gf.Parametrization(lambda x: x**2, n, n, name="square")
    quadratic = gf.LegendreFunction(lambda w: (w**2).sum(-1), gf.domains.Ball(np.zeros(n)))
    on_simplex = gf.catalog.potentials["negative_entropy"](n)
    yield lambda: gf.domains.Orthant(n).require(-ones)
    yield lambda: gf.domains.Ball(rng.standard_normal(n)).require(far)
    yield lambda: gf.domains.Box(-ones, rng.uniform(0, 1, n)).require(far)
    yield lambda: gf.domains.Box(ones, -ones)
    yield lambda: gf.domains.Orthant(n).require(np.where(np.eye(3, n) > 0, -1.0, np.ones((3, n))))
    yield lambda: quadratic(far)
    yield lambda: on_simplex.gradient(-ones)
    yield lambda: square(np.full((30, n), np.nan))
    yield lambda: square(np.full((30, n), 1e300))
    yield lambda: square([*ones.tolist(), 1.0])
    yield lambda: gf.mirror_map(square, 0 * ones).unwrap()
    yield lambda: square.check_regular(0 * ones).unwrap()
    yield lambda: gf.LogisticLoss(np.ones((n, 2)), rng.standard_normal(n))
    yield lambda: gf.LeastSquares(np.ones((n, 2)), ones[1:])
    yield lambda: gf.gradient_flow(lambda w: w[0], SQUARE, [1.0, 1.0], rng.standard_normal(n))
    yield lambda: gf.fitted_order(lambda h: -1.0, rng.uniform(0.1, 1, n))
    yield lambda: gf.fitted_order(lambda h: 1.0, -rng.uniform(0.1, 1, n))
    yield lambda: gf.gradient_flow(lambda w: w[0], SQUARE, rng.standard_normal((n, 3)), 1.0)
    yield lambda: gf.catalog.diagonal_network(n, 3, -rng.uniform(size=n))
    yield lambda: gf.catalog.parametrizations[str(ones.tolist())]
    yield lambda: gf.catalog.parametrizations["sine"](ones.tolist())
    yield lambda: gf.gradient_flow(lambda w: w[0], SQUARE, [1.0, 1.0], 1.0, method=ones.tolist())
    yield lambda: gf.lift_curve(SQUARE, [1.0, 1.0], rng.standard_normal((n, 3)))
    yield lambda: gf.bregman_projection(on_simplex, -np.ones((1, n)), [1.0], ones)
    yield lambda: gf.Parametrization(lambda x: (_ for _ in ()).throw(KeyError(ones.tolist())), 2, 2)


def test_no_message_prints_a_long_array():
    for k, call in enumerate(big_mistakes()):
        with pytest.raises(gf.GeoflowError) as caught:
            call()
        numbers = re.findall(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?", str(caught.value))
        assert len(numbers) <= 60 and "\n" not in str(caught.value), (k, str(caught.value))


def test_counts_are_refused_by_their_size():
    """Before anything of that size is formed: an array of it takes 8 to 8e12 GB."""
    for call in (
        lambda: gf.Parametrization(lambda x: x, 10**9, 1),
        lambda: gf.Parametrization(lambda x: x, 2, 10**9),
        lambda: gf.LegendreFunction(lambda w: w[..., 0], 10**21),
        lambda: gf.domains.Orthant(10**9),
        lambda: gf.domains.Simplex(10**6),
        lambda: gf.catalog.potentials["burg"](10**9),
        lambda: gf.catalog.diagonal_network(2, 10**5000),
        lambda: gf.gradient_descent(lambda w: w[0], SQUARE, [1.0, 1.0], 0.1, 10**9),
    ):
        with pytest.raises(gf.ArgumentError, match="at most"):
            call()


@pytest.mark.parametrize("tol", ["1e-8", None, True, -1.0, 0.0, np.nan, np.inf, [1e-8, 1e-8]])
def test_a_tolerance_is_a_positive_number(tol):
    calls = {
        "max_margin": lambda: gf.max_margin(np.eye(2), [1, 1], tol=tol),
        "bregman_projection": lambda: gf.bregman_projection(ENTROPY, [[1.0, 1.0]], [1.0], [1.0, 1.0], tol=tol),
        "verify_equivalence": lambda: gf.verify_equivalence(lambda w: w.sum(), SQUARE, [1.0, 1.0], 1.0, tol=tol),
    }
    for call in calls.values():
        with pytest.raises((gf.ArgumentError, gf.NotFiniteError), match=r"^tol; got") as caught:
            call()
        assert "index" not in str(caught.value)
