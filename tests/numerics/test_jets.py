"""Derivatives by jets in the place of autograd's: when they are used, when they are not, and that they are the same."""

import pickle

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad
from autograd.extend import defvjp, primitive

import geoflow as gf
from geoflow.numerics import autodiff, jets
from geoflow.numerics.jets import Jets, coordinatewise
from geoflow.numerics.records import record

A = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])
SCALAR = lambda x: anp.log(1 + anp.sum(anp.exp(x), axis=-1))  # noqa: E731
VECTOR = lambda x: anp.sin(anp.matmul(x, A.T)) + x[..., :1] * x[..., 1:]  # noqa: E731
MAKERS = {2: autodiff.hessian, 3: autodiff.third_derivative}


class Counted:
    """A function that counts its calls by numbers and by what is being differentiated."""

    def __init__(self, f):
        self.f, self.plain, self.traced = f, 0, 0

    def __call__(self, x):
        self.traced += autodiff.is_traced(x)
        self.plain += not autodiff.is_traced(x)
        return self.f(x)


def asked_often(derivative, x):
    for _ in range(jets.OFTEN + 1):
        derivative(x)
    return derivative


@pytest.mark.parametrize("f", [SCALAR, VECTOR], ids=["scalar", "vector"])
@pytest.mark.parametrize("order", [2, 3])
def test_the_same_in_any_batch_without_tracing(f, order, rng):
    counted = Counted(f)
    derivative = asked_often(MAKERS[order](counted), rng.standard_normal((4, 3)))
    for batch in [(), (1,), (3,), (2, 3), (40,)]:
        x = rng.standard_normal((*batch, 3))
        wanted = MAKERS[order](f)(x)
        derivative(x)  # the first batch with so many axes is looked at
        traced, plain = counted.traced, counted.plain
        got = derivative(x)
        assert got.shape == wanted.shape and np.abs(got - wanted).max() <= 1e-14 * np.abs(wanted).max()
        assert (counted.traced, counted.plain) == (traced, plain + 1)  # asked whether it has changed


@pytest.mark.parametrize("f", [SCALAR, VECTOR], ids=["scalar", "vector"])
def test_two_orders_by_one_pass(f, rng):
    x, counted = rng.standard_normal((2, 3, 3)), Counted(f)
    derivative = autodiff.third_derivative(counted)
    assert derivative.fast_with_lower(x) is None  # not asked often yet
    asked_often(derivative, x)
    traced = counted.traced
    for found, order in zip(derivative.fast_with_lower(x), (2, 3), strict=True):
        wanted = MAKERS[order](f)(x)
        assert found.shape == wanted.shape and np.abs(found - wanted).max() <= 1e-14 * np.abs(wanted).max()
    assert counted.traced == traced and derivative.fast_with_lower(np.full((1, 3), np.inf)) is None


def test_many_points_at_once_are_asked_often_and_go_in_parts(rng, monkeypatch):
    monkeypatch.setattr(jets, "AT_ONCE", 1000)
    counted, x = Counted(VECTOR), rng.standard_normal((jets.OFTEN * jets.POINTS, 3))
    got = autodiff.hessian(counted)(x)
    assert counted.traced < 100
    assert np.allclose(got[::500], autodiff.hessian(VECTOR)(x[::500]), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("order", [2, 3])
def test_others_differentiate_through_it(order, rng):
    x = rng.standard_normal((4, 2))
    derivative = asked_often(MAKERS[order](lambda x: anp.sum(x**4, axis=-1)), x)
    found = elementwise_grad(lambda y: anp.sum(derivative(y), axis=tuple(range(1, order + 1))))(x)
    assert np.allclose(found, 24 * x if order == 2 else 24 + 0 * x)


@pytest.mark.parametrize("x", [[0.5, 0.7], [[0.5, 0.7]], [[1, 2], [3, 4]]])
def test_lists_and_integers(x):
    f = lambda x: anp.sum(x**3, axis=-1)  # noqa: E731
    derivative = asked_often(autodiff.hessian(f), np.ones((2, 2)))
    wanted = 6 * np.asarray(x)[..., None] * np.eye(2)
    assert np.allclose(derivative(x), wanted) and np.allclose(derivative(np.array(x)), wanted)


def stays_with_autograd(f, x, wanted=None):
    counted = Counted(f)
    derivative = asked_often(autodiff.hessian(counted), x)
    traced = counted.traced
    found = derivative(x)
    assert counted.traced > traced
    assert np.allclose(found, autodiff.hessian(f)(x) if wanted is None else wanted, equal_nan=True)


def test_a_primitive_without_a_rule():
    @primitive
    def cube(x):
        return x**3

    defvjp(cube, lambda ans, x: lambda g: 3 * g * x**2)
    stays_with_autograd(lambda x: anp.sum(cube(x), axis=-1), np.ones((3, 2)), 6 * np.eye(2) * np.ones((3, 1, 1)))


def test_a_long_computation_is_not_asked_more_often():
    """Of a function with a primitive of its own nothing but one trace is asked, and never at points that are far."""
    seen = []

    @primitive
    def solved(x):
        seen.append(x)
        return x**3

    defvjp(solved, lambda ans, x: lambda g: 3 * g * x**2)
    derivative, x = autodiff.hessian(lambda x: anp.sum(solved(x), axis=-1)), np.ones((3, 2))
    derivative(x)
    once = len(seen)
    asked_often(derivative, x)
    assert len(seen) <= (jets.OFTEN + 2) * once + 1 and max(np.abs(x).max() for x in seen) <= 1.5


def test_a_function_of_one_point_alone():
    stays_with_autograd(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0]), [[4.0, 2.0], [2.0, 0.0]])


def test_branches_of_python():
    def f(x):
        return anp.sum(x**2 if x.shape[0] > 3 and autodiff.untraced(x).max() > 0 else x**3, axis=-1)

    stays_with_autograd(f, np.ones((5, 2)))


def test_more_inputs_than_jets_are_for(rng):
    stays_with_autograd(lambda x: anp.sum(x**3, axis=-1), rng.standard_normal((40, jets.MOST[2] + 1)))
    stays_with_autograd(lambda x: anp.sum(x**3, axis=-1), rng.standard_normal((40, jets.MOST_OF_ONE[2] + 1)))
    stays_with_autograd(lambda x: anp.sum(x**3, axis=-1), rng.standard_normal((2, jets.MOST_OF_ONE[2])))


def test_a_function_that_changes():
    factor = [1.0]
    derivative = asked_often(autodiff.hessian(lambda x: factor[0] * anp.sum(x**2, axis=-1)), np.ones((3, 2)))
    assert np.allclose(derivative(np.ones((3, 2))), 2 * np.eye(2))
    factor[0] = 3.0
    assert np.allclose(derivative(np.ones((3, 2))), 6 * np.eye(2))


def test_derivatives_that_are_wrong_are_not_believed():
    @primitive
    def wrong(x):
        return x**2

    defvjp(wrong, lambda ans, x: lambda g: 3 * g * x)  # autograd is asked, and it says so
    stays_with_autograd(lambda x: anp.sum(wrong(x), axis=-1), np.ones((3, 2)), 3 * np.eye(2) * np.ones((3, 1, 1)))


def test_where_jets_are_not_finite_autograd_is_asked():
    """d^2 x^1.5 is infinite at 0, and autograd's own beside it."""
    f = lambda x: anp.sum(x**1.5, axis=-1)  # noqa: E731
    derivative = asked_often(autodiff.hessian(f), np.ones((3, 2)))
    x = np.array([[1.0, 2.0], [0.0, 2.0], [-1.0, 2.0]])
    with np.errstate(all="ignore"):
        got, wanted = derivative(x), autodiff.hessian(f)(x)
    assert np.isfinite(got[0]).all() and np.array_equal(np.isnan(got), np.isnan(wanted))
    assert np.allclose(got[0], wanted[0]) and np.array_equal(got[1:], wanted[1:], equal_nan=True)


def test_mixed_derivatives_are_left_out_where_coordinates_do_not_meet():
    apart = record(lambda x: anp.sum(anp.where(x > 1, anp.exp(x), 2 * x), axis=-1), np.ones((3, 2)))[0]
    names = [step.name for step in apart.steps[1:]]
    assert [n for n, alone in zip(names, coordinatewise(apart), strict=True) if not alone] == ["greater", "sum"]
    assert np.array_equal(Jets(apart, 2)(np.full((3, 2), 1.5)), np.exp(1.5) * np.eye(2) * np.ones((3, 1, 1)))
    turned = record(lambda x: anp.exp(x) * x[..., ::-1] + x[..., :1], np.ones((3, 2)))[0]
    names = [step.name for step in turned.steps[1:]]
    assert [n for n, alone in zip(names, coordinatewise(turned), strict=True) if alone] == ["exp"]


def test_no_jets_without_rules():
    with pytest.raises(NotImplementedError, match="without a rule"):
        Jets(record(lambda x: anp.linalg.inv(x[..., None] * x[..., None, :] + np.eye(2)), np.ones((3, 2)))[0], 2)


def test_fields_of_a_map_move_as_before(rng):
    f = lambda x: anp.stack([x[..., 0] ** 2 * x[..., 1], anp.sin(x[..., 1])], axis=-1)  # noqa: E731
    counted = Counted(f)
    often, fresh = (gf.Parametrization(g, 2, 2).kernel for g in (counted, f))
    x, v = rng.standard_normal((3, 2)), rng.standard_normal((3, 4, 2))
    for _ in range(jets.OFTEN + 1):
        often.derivative_of_gradients(x, v)
    traced = counted.traced
    assert np.allclose(often.derivative_of_gradients(x, v), fresh.derivative_of_gradients(x, v), rtol=1e-14)
    assert counted.traced == traced
    assert np.allclose(often.derivative_of_cometric(x, v), fresh.derivative_of_cometric(x, v), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_geometry_of_a_plain_potential(scale, rng):
    """log(1 + sum e^w) is a sphere of radius 2, whatever the unit of w."""
    R = gf.LegendreFunction(lambda w: 4 * anp.log(1 + anp.sum(anp.exp(w / scale), axis=-1)), 2)
    w = scale * rng.standard_normal((5, 2))
    for _ in range(jets.OFTEN + 2):
        K = R.metric.sectional_curvature(np.array([1.0, 0.0]), np.array([0.3, 1.0]), w)
        assert np.allclose(K, 1 / 16, rtol=1e-11)


def of_exponentials(x):
    return anp.log(1 + anp.exp(x[..., 0]) + anp.exp(x[..., 1]))


@pytest.mark.parametrize("order", [2, 3])
def test_what_is_asked_often_is_pickled_without_its_record(order):
    x = np.array([[0.1, 0.4]])
    R = gf.LegendreFunction(of_exponentials, 2)
    profile = gf.Profile(anp.cosh)
    for _ in range(jets.OFTEN + 5):
        asked = R.kernel.derivative(order, x), profile.derivative(order, x)
    again = pickle.loads(pickle.dumps((R, profile)))
    for _ in range(jets.OFTEN + 5):
        assert np.allclose(again[0].kernel.derivative(order, x), asked[0], rtol=1e-13, atol=1e-16)
        assert np.allclose(again[1].derivative(order, x), asked[1], rtol=1e-14)
