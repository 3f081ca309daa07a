"""Exact ranks: modular elimination, brackets modulo a prime, and what is not decided."""

from fractions import Fraction

import autograd.numpy as anp
import numpy as np

from geoflow.maps.exact import PRIME, ModularRank, exact_dimension
from geoflow.maps.words import Generator


def generators(*fields, dim=3):
    return [Generator(f, dim) for f in fields]


def stacked(*parts):
    return lambda x: anp.stack([p(x) for p in parts], axis=-1)


def zero(x):
    return 0 * x[..., 0]


def one(x):
    return 1 + 0 * x[..., 0]


def test_ranks_of_integers_are_exact():
    """Rows that floats take for dependent: a determinant of 1 beside entries of 1e9."""
    n = 10**9
    rank = ModularRank(2)
    assert rank.add(np.array([n, n + 1]) % PRIME) and rank.add(np.array([n - 1, n]) % PRIME) and rank.value == 2
    same = ModularRank(3)
    rows = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert [same.add(row % PRIME) for row in rows] == [True, True, False]


def test_growth_of_fields_of_degree_two_is_counted():
    """d_x and d_y + x^2 d_z reach z by brackets of length 3 at x = 0, which is not generic, of length 2 elsewhere."""
    fields = generators(stacked(one, zero, zero), stacked(zero, one, lambda x: x[..., 0] ** 2))
    assert exact_dimension(fields, np.array([0.5, 0.0, 1.0]), None)[:2] == (3, [2, 3])
    assert exact_dimension(fields, np.zeros(3), None) is None  # the brackets that are enough elsewhere are not here
    assert exact_dimension(fields, np.zeros(3), 2)[0] == 2 and exact_dimension(fields, np.zeros(3), 3)[0] == 3


def test_affine_fields_are_decided_anywhere():
    """Rotations: spheres, and the origin alone."""
    E = np.zeros((3, 3, 3))
    for i, j, k in [(0, 1, 2), (1, 2, 0), (2, 0, 1)]:
        E[i, j, k], E[i, k, j] = 1, -1
    fields = generators(*(lambda x, M=M: x @ M.T for M in E[:2]))
    assert exact_dimension(fields, np.array([1.0, 2.0, 0.3]), None)[0] == 2
    assert exact_dimension(fields, np.zeros(3), None)[0] == 0


def test_what_is_not_rational_is_left_to_floats(rng):
    M = rng.standard_normal((3, 3))
    assert exact_dimension(generators(lambda x: x @ M.T), np.ones(3), None) is None
    assert exact_dimension(generators(anp.sin), np.ones(3), None) is None
    thirds = generators(lambda x: x / 3 + float(Fraction(22, 7)) * x**2)
    assert exact_dimension(thirds, np.array([0.5, 1.0, 2.0]), None)[0] == 1
