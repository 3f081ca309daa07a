"""Null spaces over Q against exact elimination, and polynomials against their values."""

from fractions import Fraction

import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.rational import (
    PRIMES,
    along,
    coprime,
    modulo,
    null_space,
    partial_derivative,
    plus,
    polynomial_field,
    sparser,
    times,
)
from geoflow.maps.words import Generator


def columns_of(matrix):
    return [{r: Fraction(v) for r, v in enumerate(column) if v} for column in np.transpose(matrix)]


def value(p, x):
    return sum(float(c) * np.prod([x[v] for v in m]) for m, c in p.items())


@pytest.mark.parametrize("seed", range(5))
def test_null_vectors_are_null_and_as_many_as_they_should_be(seed):
    rng = np.random.default_rng(seed)
    A = rng.integers(-9, 10, (6, 3)) @ rng.integers(-9, 10, (3, 8))  # rank 3 in 8 unknowns
    found = null_space(columns_of(A.tolist()))
    N = np.zeros((len(found), 8), dtype=object)
    for row, v in enumerate(found):
        for k, c in v.items():
            N[row, k] = c
    assert len(found) == 5 and np.linalg.matrix_rank(N.astype(float)) == 5
    assert not (A.astype(object) @ N.T).any()  # in Python's integers


def test_full_rank_and_no_equation():
    assert null_space(columns_of([[2, 1], [1, 1]])) == []
    assert null_space([{}, {0: Fraction(1)}]) == [{0: 1}]
    assert null_space([]) == []


def test_numbers_longer_than_one_prime():
    long = 10**30 + 7
    assert null_space([{0: Fraction(long)}, {0: Fraction(1)}]) == [{0: 1, 1: -long}]


def test_numbers_longer_than_all_primes_are_refused():
    with pytest.raises(gf.ConvergenceError, match="lower degree"):
        null_space([{0: Fraction(10**90 + 7)}, {0: Fraction(1)}])


def test_the_primes_are_primes():
    for p in PRIMES:
        assert all(pow(a, p - 1, p) == 1 for a in (2, 3, 5, 7, 11)) and p < 2**31


def test_a_basis_gets_the_vectors_people_expect():
    assert sparser([{0: 1, 1: -1}, {0: 1, 1: -1, 2: 1, 3: -1}]) == [{0: 1, 1: -1}, {2: 1, 3: -1}]


def test_coprime_integers():
    assert coprime({3: Fraction(-2, 3), 5: Fraction(4, 9)}) == {3: 3, 5: -2}


def test_polynomials_against_values():
    p, q = {(0, 0, 1): Fraction(2), (): Fraction(1)}, {(1,): Fraction(1, 3), (0, 1): Fraction(-1)}
    x, h = np.array([0.7, -1.3]), 1e-6
    assert value(times(p, q), x) == pytest.approx(value(p, x) * value(q, x), rel=1e-14)
    assert value(plus(p, q), x) == pytest.approx(value(p, x) + value(q, x), rel=1e-14)
    for k, e in enumerate(np.eye(2)):
        slope = (value(p, x + h * e) - value(p, x - h * e)) / (2 * h)
        assert value(partial_derivative(p, k), x) == pytest.approx(slope, rel=1e-8)
    field = [q, p]
    slope = sum(value(partial_derivative(p, k), x) * value(field[k], x) for k in range(2))
    assert value(along(p, field), x) == pytest.approx(slope, rel=1e-14)
    assert modulo(p, np.array([2, 3])) == 25 and plus(p, {m: -c for m, c in p.items()}) == {}


def test_fields_of_polynomials_and_others():
    field = polynomial_field(Generator(lambda x: np.stack([x[..., 0] ** 2 / 3, 1 + 0 * x[..., 0]], -1), 2))
    size = field[0][0, 0] / field[1][()]  # up to a power of ten
    assert size == Fraction(1, 3) and len(field[0]) == len(field[1]) == 1
    assert polynomial_field(Generator(np.sin, 2)) is None
    assert polynomial_field(Generator(lambda x: np.pi * x + x[..., ::-1], 2)) is None
