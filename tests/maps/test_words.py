"""Iterated brackets at a point by Leibniz' rule."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.words import FieldWords, Generator, MatrixWords, Rank, bracket_at, matrix_levels


def blocks(x, *shapes):
    ends = np.cumsum([0] + [n * m for n, m in shapes])
    batch = anp.shape(x)[:-1]
    return [anp.reshape(x[..., i:j], (*batch, *s)) for i, j, s in zip(ends[:-1], ends[1:], shapes, strict=True)]


def flat(M):
    return anp.reshape(M, (*anp.shape(M)[:-2], -1))


def three_layers(n, m, r):
    def product(x):
        A, B, C = blocks(x, (n, r), (r, r), (r, m))
        return flat(anp.einsum("...ia,...ab,...bj->...ij", A, B, C))

    return gf.Parametrization(product, (n + r + m) * r, n * m)


def test_brackets_by_tensors_are_brackets_by_differentiation(rng):
    G = three_layers(2, 2, 1)
    X, Y, Z = G.gradient_fields[:3]
    L, x = gf.LieAlgebra([X, Y, Z]), rng.standard_normal(G.dim)
    nested = gf.lie_bracket(X, gf.lie_bracket(Y, Z))
    assert np.allclose(bracket_at(L.generators_at(x), (0, 1, 2), x)[0], nested(x), atol=1e-12)
    curved = [gf.VectorField(lambda x, k=k: anp.sin(x + k) * anp.roll(x, k), f"s{k}") for k in range(3)]
    L = gf.LieAlgebra(curved)
    nested = gf.lie_bracket(curved[0], gf.lie_bracket(curved[1], curved[2]))
    assert np.allclose(bracket_at(L.generators_at(x), (0, 1, 2), x)[0], nested(x), atol=1e-12)


def test_ranks_count_what_is_new_relative_to_its_terms():
    rank = Rank(3)
    assert rank.add(np.array([1.0, 0, 0]), 1.0) and rank.add(np.array([1.0, 1e-6, 0]), 1.0)
    assert not rank.add(np.array([1.0, 1.0, 1e-12]), 1.0)  # rounding of its terms
    assert not rank.add(np.array([0.0, 0, 1.0]), 0.0)  # no terms at all
    assert rank.value == 2 and rank.seen == 4
    assert rank.add(np.array([0.0, 0, 1e-30]), 1e-30) and rank.value == 3
    assert not rank.add(np.ones(3), 1.0)  # there is no fourth direction
    assert rank.gap[0] > 1e-7 > 1e-11 > rank.gap[1]


FIELDS = [
    lambda x: 0.0 * x + np.array([1.0, -2.0]),
    lambda x: anp.matmul(x, np.array([[1.0, 2.0], [-0.5, 3.0]])) + 1.0,
    lambda x: x**2 - 3.0 * x * x[..., ::-1] + x,
    lambda x: x**3 + x[..., ::-1] ** 2 * x - x**2 + 2.0,
]


@pytest.mark.parametrize("degree", range(4))
def test_polynomial_fields_are_found_with_their_derivatives(degree, rng):
    """Tensors by differences over a lattice, against automatic differentiation."""
    field = FIELDS[degree]
    X, x, v, u = Generator(field, 2), *rng.standard_normal((3, 2))
    assert X.degree == degree
    assert np.allclose(X.derivative(x, ()), field(x), rtol=1e-12, atol=1e-12)
    assert np.allclose(X.derivative(x, (v,)), gf.autodiff.jacobian(field)(x) @ v, rtol=1e-11, atol=1e-11)
    assert np.allclose(X.derivative(x, (v, u)), gf.autodiff.hessian(field)(x) @ v @ u, rtol=1e-11, atol=1e-11)


def test_fields_that_are_no_polynomials_of_degree_3_are_differentiated(rng):
    x, v, u = rng.standard_normal((3, 2))
    for field in (lambda y: y**4, anp.sin, lambda y: 1 / y):
        X = Generator(field, 2)
        assert X.degree is None and X.tensors is None
        assert np.allclose(X.derivative(x, (v, u)), gf.autodiff.hessian(field)(x) @ v @ u, rtol=1e-11, atol=1e-11)


def test_brackets_of_affine_fields_are_commutators_of_their_matrices(rng):
    """For x -> A x and x -> B x + c, with c as a last column: [A, B] is B A - A B."""
    A, B, (c, x) = rng.standard_normal((2, 2)), rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    X, Y = Generator(lambda y: y @ A.T, 2), Generator(lambda y: y @ B.T + c, 2)
    wanted = (B @ A - A @ B) @ x - A @ c
    assert np.allclose(bracket_at([X, Y], (0, 1), x)[0], wanted, rtol=1e-11, atol=1e-12)
    matrices = np.stack([X.matrix(), Y.matrix()])
    words = MatrixWords(matrices)
    found, size = words.value((0, 1))
    assert np.allclose((found.reshape(3, 3) @ np.r_[x, 1.0])[:2], wanted, rtol=1e-11, atol=1e-12)
    assert abs(size / np.linalg.norm(found) - 1) < 1e-12
    assert np.allclose(words.commutator((0,), (1,)), found, rtol=1e-12, atol=1e-13)
    value, size = bracket_at([X, X], (0, 1), x)
    assert np.abs(value).max() <= 1e-12 * size  # a field commutes with itself, to the rounding of its terms


def test_words_of_fields_are_their_values_at_several_points(rng):
    generators, points = [Generator(f, 2) for f in FIELDS[1:3]], rng.uniform(0.5, 1.5, (3, 2))
    words = FieldWords(generators, points)
    found, _ = words.value((0, 1))
    each = np.stack([bracket_at(generators, (0, 1), p)[0] for p in points])
    ratio = found.reshape(3, 2) / each  # each point has a weight of its own
    assert np.allclose(ratio[:, 0], ratio[:, 1], rtol=1e-11) and (ratio > 0).all()
    assert np.allclose(words.commutator((0,), (1,)), found, rtol=1e-11)
    assert np.allclose(words.commutator((1,), (0,)), -found, rtol=1e-11)


def test_levels_of_matrices_stop_when_nothing_new_appears():
    rotations = np.zeros((2, 4, 4))
    rotations[0, 0, 1], rotations[0, 1, 0] = 1, -1
    rotations[1, 1, 2], rotations[1, 2, 1] = 1, -1
    levels = matrix_levels(rotations, None)
    assert [len(level) for level in levels] == [2, 1, 0]  # so(3) is three-dimensional
    assert [len(level) for level in matrix_levels(rotations, 1)] == [2]
    assert [len(level) for level in matrix_levels(rotations[:1], None)] == [1, 0]


@pytest.mark.parametrize(
    "field",
    [
        lambda y: y + anp.sin(np.pi * y),  # linear at integers
        lambda y: y**2 + anp.sin(2 * np.pi * y) * y[..., ::-1],
        lambda y: y * anp.cos(2 * np.pi * y[..., ::-1]) + 1.0,
    ],
)
def test_what_is_a_polynomial_at_integers_alone_is_none(field):
    assert Generator(field, 2).degree is None


def test_no_bilinear_term_is_missed():
    """x_i x_j between any two of 8 coordinates, beside larger terms in other components."""
    for i in range(8):
        for j in range(i):
            unit = np.eye(8)[(i + 1) % 8]

            def field(x, i=i, j=j, unit=unit):
                return x + 1e-3 * (x[..., i] * x[..., j])[..., None] * unit

            X = Generator(field, 8)
            assert X.degree == 2 and abs(X.tensors[2][(i + 1) % 8, i, j] - 1e-3) < 1e-14
