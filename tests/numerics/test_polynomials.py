"""Exact polynomials: the ring's laws at rational points, derivatives, and sizes that are refused."""

import random
from fractions import Fraction

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.polynomials import Polynomial, Quotient, exact


def some(rng, terms=5):
    x = [Polynomial.variable(i) for i in range(3)]
    total = Polynomial.constant(Fraction(rng.randint(-9, 9), rng.randint(1, 9)))
    for _ in range(terms):
        term = Polynomial.constant(rng.randint(-9, 9))
        for v in x:
            term = term * v ** rng.randint(0, 3)
        total = total + term
    return total


def test_sums_products_and_powers_are_those_of_values():
    rng = random.Random(0)
    for _ in range(30):
        p, q = some(rng), some(rng)
        at = [Fraction(rng.randint(-5, 5), rng.randint(1, 5)) for _ in range(3)]
        a, b = p.at(at), q.at(at)
        assert (p + q).at(at) == a + b and (p - q).at(at) == a - b and (p * q).at(at) == a * b
        assert (p**3).at(at) == a**3 and (2.5 - p).at(at) == Fraction(5, 2) - a and (p / 4).at(at) == Fraction(a) / 4
        if b:
            assert (p / q).at(at) == Fraction(a) / b and (p / q - p / q).is_zero() and (q / q - 1).is_zero()


def test_derivatives_satisfy_the_product_and_the_quotient_rule():
    rng = random.Random(1)
    for i in range(3):
        p, q = some(rng), some(rng)
        assert ((p * q).derivative(i) - p.derivative(i) * q - p * q.derivative(i)).is_zero()
        assert ((p / q).derivative(i) * q * q - (p.derivative(i) * q - p * q.derivative(i))).is_zero()
    x, y = Polynomial.variable(0), Polynomial.variable(1)
    assert str((x**2 * y - 0.5 * y + 3).derivative(0)) == "2 x_1 x_2" and str(x - x) == "0"


def test_floats_are_the_binary_numbers_they_are():
    assert exact(0.1) == Fraction(3602879701896397, 36028797018963968) and exact(2.0) == 2
    assert not (0.1 * Polynomial.variable(0) - Polynomial.variable(0) / 10).is_zero()
    with pytest.raises(gf.ProofError):
        exact(float("nan"))


def test_exponents_never_run_into_each_other():
    x, y = Polynomial.variable(0), Polynomial.variable(1)
    assert (x**65535).degree() == 65535 and (x**65535 - y).exponents(1 << 16) == [0, 1]
    for too_large in (lambda: x**65536, lambda: x**65535 * x, lambda: (x * y) ** 40000):
        with pytest.raises(gf.ProofError):
            too_large()


def test_what_is_no_rational_function_is_said():
    x = Polynomial.variable(0)
    with pytest.raises(gf.OperationError, match="exponent"):
        x**0.5
    with pytest.raises(gf.ProofError, match="zero polynomial"):
        1 / (x - x)
    assert isinstance(x**-2, Quotient) and (x**-2).at([3]) == Fraction(1, 9)


def test_floats_of_any_precision_are_the_numbers_they_are():
    more = np.longdouble(1) + np.longdouble(2) ** -60
    assert exact(more) == 1 + Fraction(1, 2**60) and exact(np.float16(0.1)) == Fraction(float(np.float16(0.1)))
    G = gf.Parametrization(
        lambda x: anp.stack([(x[..., 0] ** 2 + more * x[..., 1] ** 2) / 2, x[..., 0] * x[..., 1]], axis=-1), 2, 2
    )
    assert gf.prove_commuting(G).status != "proved"
