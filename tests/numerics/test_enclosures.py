"""A record run on exact numbers and on balls: it is the map, with every operation, or an error that names one."""

from fractions import Fraction

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.enclosures import Evaluation, recorded_or_error
from geoflow.numerics.polynomials import Polynomial

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
