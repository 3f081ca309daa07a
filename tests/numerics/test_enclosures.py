"""A record run on exact numbers and on balls: it is the map, with every operation, or an error that names one."""

from fractions import Fraction

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics import autodiff
from geoflow.numerics.balls import Jet, Scalar, precision
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from geoflow.numerics.polynomials import Polynomial
from geoflow.potentials.categorical import log_sum_exp_of, softmax_of

A = np.array([[0.5, -1.0, 2.0], [0.1, 3.0, 0.25]])
RATIONAL = {
    "einsum": lambda x: anp.einsum("ij,...j,...i->...i", A, x**2, x[..., :2]),
    "matmul": lambda x: anp.matmul(A, x)[0] - anp.dot(x[:2], A),
    "stack": lambda x: anp.stack([x[0] * x[1], 3.0 - x[2], 1 / x[0]]),
    "concatenate": lambda x: anp.concatenate([x[1:] ** 3, np.array([0.1]), anp.reshape(x, (3, 1))[:, 0]]),
    "reductions": lambda x: anp.sum(x**2, axis=-1) * anp.mean(x) + anp.prod(x),
    "array": lambda x: anp.array([x[0], 0.1, x[1] * 2]),
    "determinant": lambda x: anp.linalg.det(anp.outer(x, x) + np.diag([1.0, 2.0, 3.0])),
    "inverse": lambda x: anp.linalg.inv(anp.outer(x, x) + np.diag([1.0, 2.0, 4.0]))[0],
}  # fmt: skip


@pytest.mark.parametrize("name", RATIONAL)
def test_exact_values_are_those_of_the_map(name):
    points = np.random.default_rng(0).uniform(0.5, 1.5, (10, 3))
    record = recorded_or_error(RATIONAL[name], points, name)
    x = np.array([Polynomial.variable(i) for i in range(3)], dtype=object)
    found = Evaluation(record, Polynomial.constant)(x)
    for point in points:
        at = [Fraction(float(c)) for c in point]
        got = np.array([float(p.at(at)) for p in found.ravel()])
        assert np.abs(got - np.ravel(RATIONAL[name](point))).max() <= 1e-13 * np.abs(got).max()


@pytest.mark.parametrize(("f", "operation"), [(anp.exp, "exp"), (anp.fft.fft, "fft"), (anp.sort, "sort")])
def test_a_missing_operation_is_named(f, operation):
    points = np.random.default_rng(0).uniform(0.5, 1.5, (5, 3))
    record = recorded_or_error(lambda x: anp.real(f(x)) if f is anp.fft.fft else f(x), points, "f")
    with pytest.raises(gf.OperationError, match=operation):
        Evaluation(record, Polynomial.constant)(np.array([Polynomial.variable(i) for i in range(3)], dtype=object))


def test_a_map_that_is_not_its_record_is_refused():
    points, calls = np.ones((5, 2)) * np.arange(1, 6)[:, None], []

    def drifting(x):
        calls.append(0)
        return x * len(calls)

    for f, why in ((drifting, "other values"), (lambda x: x if x[0] > 2 else 2 * x, "control flow")):
        with pytest.raises(gf.ProofError, match=why):
            recorded_or_error(f, points, "f")


@pytest.mark.parametrize(
    "f",
    [
        lambda w: anp.sum(anp.array([1e6 * w[..., 0], 1e6 * w[..., 1]], "int64") ** 2, axis=0),
        lambda w: anp.sum(anp.array(1e6 * w, "int64") ** 2, axis=-1),
        lambda w: anp.sum(anp.array([w[..., 0], w[..., 1]], dtype="float32") ** 2, axis=0),
        lambda w: anp.sum(w**2, -1) - autodiff.largest(1e3 * w**2)[..., 0],
        lambda w: anp.log(anp.sum(anp.exp(w - autodiff.largest(w)), -1)) + anp.sum(w**2, -1),
        lambda w: anp.log(anp.sum(anp.exp(w - autodiff.largest(w)), -1)) + autodiff.largest(2 * w)[..., 0],
        lambda w: anp.log(anp.sum(anp.exp(2 * w - autodiff.largest(w)), -1)) + autodiff.largest(w)[..., 0],
        lambda w: autodiff.largest(w)[..., 0],
    ],
)
def test_what_is_another_function_on_elements_is_refused(f):
    pytest.importorskip("flint")
    points = np.random.default_rng(0).uniform(0.6, 1.2, (10, 2))
    words = r"with a type|dtype=|does not cancel|differentiate"
    with pytest.raises(gf.GeoflowError, match=words), precision() as module:
        Evaluation(recorded_or_error(f, points, "f"), Scalar(module, False).constant)


def test_shifts_that_cancel_are_taken():
    pytest.importorskip("flint")
    for f in (log_sum_exp_of, lambda z: softmax_of(z) @ np.ones(2), lambda z: log_sum_exp_of(2 * z) + z[..., 0]):
        points = np.random.default_rng(0).uniform(0.6, 1.2, (10, 2))
        with precision() as module:
            scalar = Scalar(module, False)
            function, at = (
                Evaluation(recorded_or_error(f, points, "f"), scalar.constant),
                Jet.variables(scalar, points[0]),
            )
            assert abs(float(function(at).item().value.mid()) - f(points[0])) < 1e-14
