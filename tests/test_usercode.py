"""What a user's function raises: a typed error with the user's own line, from every place that calls it."""

import inspect

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow._usercode import Guarded, described_place, guarded, place_of, takes_second

SQUARE = gf.Parametrization(lambda x: x**2, 2, 2, name="square")


def line_of(marker):
    source = inspect.getsource(inspect.getmodule(line_of)).splitlines()
    return next(i for i, text in enumerate(source, 1) if text.rstrip().endswith(f"# {marker}"))


def fails(x):
    return x / np.array(0.0) if np.sum(x) > 1e300 else [][0] if False else {}["alpha"]  # here


class Late:
    """A function that raises from the n-th call on."""

    def __init__(self, function, calls, error):
        self.function, self.left, self.error = function, calls, error

    def __call__(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise self.error  # late
        return self.function(*arguments)


def test_an_exception_of_a_map_is_no_shape_error_and_has_its_line():
    with pytest.raises(gf.UserCodeError, match="G raised KeyError") as caught:
        gf.Parametrization(fails, 2, 2)
    assert (caught.value.file, caught.value.line) == (__file__, line_of("here"))
    assert isinstance(caught.value.__cause__, KeyError) and f"line {line_of('here')}: `return" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("a"), KeyError("a"), RuntimeError("a\nb"), MemoryError(), np.linalg.LinAlgError("a"),
     AttributeError("a"), FloatingPointError("a"), StopIteration(), NotImplementedError("mine"), RecursionError("a")],
    ids=lambda e: type(e).__name__,
)  # fmt: skip
def test_late_in_a_flow_too(error):
    """Not a status, not a NaN, not a raw traceback: in the map, the potential, the loss, the noise, the schedule."""
    quadratic = gf.LeastSquares(np.eye(2), [2.0, 0.1])
    R = gf.LegendreFunction(Late(lambda w: anp.sum(anp.cosh(w), axis=-1), 30, error), 2)
    runs = [
        lambda: gf.gradient_flow(
            quadratic, gf.Parametrization(Late(lambda x: x**2, 40, error), 2, 2), [1.0, 0.5], 1.0
        ),
        lambda: gf.mirror_flow(quadratic, R, [0.1, 0.2], 1.0),
        lambda: gf.gradient_flow(Late(lambda w: anp.sum(w**2, axis=-1), 60, error), SQUARE, [1.0, 0.5], 1.0),
        lambda: gf.gradient_descent(
            quadratic, SQUARE, [1.0, 0.5], 1e-3, 9, noise=Late(lambda k: np.zeros(2), 5, error)
        ),
        lambda: gf.gradient_flow(
            quadratic, SQUARE, [1.0, 0.5], 1.0, regularizer=lambda x: anp.sum(x**2, axis=-1),
            schedule=Late(lambda t: 0.1, 10, error),
        ),
    ]  # fmt: skip
    for run in runs:
        with pytest.raises(gf.UserCodeError, match=type(error).__name__) as caught:
            run()
        assert caught.value.line == line_of("late") and caught.value.__cause__ is error
        assert "\n" not in str(caught.value)


def test_solvers_do_not_take_it_for_a_point_outside():
    """Where a typed error means no value, one of the user's code is raised."""
    late = Late(lambda x: x**3, 300, ZeroDivisionError("a"))
    R = gf.mirror_map(gf.Parametrization(late, 2, 2), [1.0, 0.5])
    late.left = 0
    with pytest.raises(gf.UserCodeError):
        R.kernel.gradient(np.array([[1.3, 0.4]]))


def test_typed_errors_of_a_function_pass_and_say_what_they_said():
    def refuses(x):
        raise gf.DomainError("no value here")

    with pytest.raises(gf.DomainError, match="no value here"):
        gf.Parametrization(refuses, 2, 2)


def test_a_point_that_is_not_finite_is_no_fault_of_the_function():
    def strict(x):
        if np.isnan(x).any():
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        return np.sort(x)

    f = guarded(strict, "G", "x")
    with pytest.raises(gf.NotFiniteError, match="not finite"):
        f(np.array([np.nan, 1.0]))
    assert f(np.array([2.0, 1.0])).tolist() == [1, 2]


@pytest.mark.parametrize(
    "value, words", [(None, "NoneType"), ("a", "str"), (1j, "complex"), (np.array([1j]), "complex128"), ({}, "dict")]
)
def test_what_is_no_number_is_refused(value, words):
    with pytest.raises(gf.ArgumentError, match=words):
        gf.Parametrization(lambda x: value, 1, 1)


@pytest.mark.parametrize("operation", ["median", "ptp", "interp", "heaviside"])
def test_an_operation_without_a_derivative_is_named_with_the_remedy(operation):
    arguments = {"interp": ([0.0, 9.0], [0.0, 2.0]), "heaviside": (0.5,)}.get(operation, ())
    reduced = {"axis": -1} if operation in ("median", "ptp") else {}

    def function(x):
        value = getattr(anp, operation)(x, *arguments, **reduced)
        return x * (value[..., None] if reduced else value)

    for name, act in (
        ("jacobian=", lambda: gf.Parametrization(function, 2, 2).jacobian([1.0, 2.0])),
        ("gradient=", lambda: gf.LegendreFunction(lambda w: anp.sum(function(w), -1), 2).hessian([1.0, 2.0])),
    ):
        with pytest.raises(gf.DerivativeError, match=name) as caught:
            act()
        assert caught.value.operation == operation and f"np.{operation}" in str(caught.value)
        assert caught.value.line > 0 and isinstance(caught.value, NotImplementedError)
    closed = gf.Parametrization(
        lambda x: anp.cbrt(x), 1, 1, lambda x: (x ** (-2 / 3) / 3)[..., None], "G",
        lambda x, u, v: -2 / 9 * u * v * x ** (-5 / 3),
    )  # fmt: skip
    assert np.allclose(closed.jacobian([8.0]), 1 / 12, rtol=1e-14)  # the remedy works


def descend(noise):
    return gf.gradient_descent(lambda w: anp.sum(w), SQUARE, [1.0, 1.0], 0.1, 3, noise=noise)


def test_calls_that_do_not_fit_are_typed():
    for call, words in (
        (lambda: gf.Parametrization(lambda x, y: x, 2, 2), "function of .x, y."),
        (lambda: gf.LegendreFunction(lambda: 0.0, 2), r"called with \(w\)"),
        (lambda: gf.LegendreFunction(lambda w: w, 2, gradient=3), "gradient= of R"),
        (lambda: gf.catalog.parametrizations["sine"](2, 3), "one argument at most"),
        (lambda: gf.catalog.potentials["burg"](d=2, dim=3), "one argument at most"),
        (lambda: descend(lambda k, w, z: w), r"function of \(k, w, z\)"),
        (lambda: descend([0.1]), "the noise; got list"),
        (lambda: descend(lambda k: [1, 2, 3]), "of the noise"),
    ):
        with pytest.raises(gf.ArgumentError if "of the" not in words else gf.ShapeError, match=words):
            call()


def test_functions_of_math_are_told_from_those_of_numpy():
    import math

    with pytest.raises(gf.UserCodeError, match=r"autograd\.numpy, which take arrays"):
        gf.Parametrization(lambda x: math.sin(x[..., 0]), 2, 1)
    with pytest.raises(gf.UserCodeError, match=r"np\.where"):
        gf.Parametrization(lambda x: x if x > 0 else -x, 2, 2)


def test_places_are_of_the_user():
    def wrong():
        np.linalg.inv(np.zeros((2, 2)))  # inner

    with pytest.raises(np.linalg.LinAlgError) as caught:
        wrong()
    assert place_of(caught.value) == (__file__, line_of("inner"))
    assert place_of(None) is None and described_place(None) == ""
    with pytest.raises(SyntaxError) as syntax:
        compile("a = (", "mine.py", "exec")
    assert place_of(syntax.value) == ("mine.py", 1)
    once = guarded(np.sin, "f")
    assert isinstance(once, Guarded) and guarded(once, "g") is once and guarded(None, "f") is None


def test_long_messages_are_shortened_and_on_one_line():
    error = gf.ArgumentError("thing", got="a\nb" + 5000 * "x", wanted="c")
    assert len(str(error)) < 1400 and "\n" not in str(error) and str(error).endswith("wanted c")


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_numbers_of_few_digits_are_refused(kind):
    few = np.ones((2, 3)).astype(kind)
    with pytest.raises(gf.ArgumentError, match=f"{kind}.*astype"):
        gf.Parametrization(lambda x: (x**2).astype(kind), 2, 2)
    with pytest.raises(gf.ArgumentError, match=kind):
        gf.Parametrization(lambda x: few[:, 0] * (x**2).astype(kind), 2, 2)


def test_a_second_argument_is_wanted_where_it_has_no_default_or_has_the_name():
    for function, wanted in (
        (lambda k: 0, False), (lambda k, w: 0, True), (lambda k, w=0: 0, True), (lambda k, scale=2: 0, False),
        (lambda k, anything: 0, True), (lambda *k: 0, False), (lambda k, *, w: 0, False), (print, False),
    ):  # fmt: skip
        assert takes_second(function, "w") is wanted
