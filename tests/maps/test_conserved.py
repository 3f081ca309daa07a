"""Conservation laws of twenty maps against theory: which, how many, constant along flows, at every scale."""

import copy
import pickle
from itertools import pairwise

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.conserved import ConservationLaw

N, P = gf.catalog.noncommuting, gf.catalog.parametrizations


def matrix(x, at, n, m):
    return anp.reshape(x[..., at : at + n * m], (*anp.shape(x)[:-1], n, m))


def flat(A):
    return anp.reshape(A, (*anp.shape(A)[:-2], -1))


def factors(n, m, r):
    """U V^T, U n x r and V m x r."""

    def product(x):
        return flat(anp.einsum("...ia,...ja->...ij", matrix(x, 0, n, r), matrix(x, n * r, m, r)))

    return gf.Parametrization(product, (n + m) * r, n * m)


def deep(widths):
    """W_L ... W_1, W_k of shape widths[k+1] x widths[k]."""
    sizes = [b * a for a, b in pairwise(widths)]
    starts = np.cumsum([0, *sizes])

    def network(x):
        W = matrix(x, 0, widths[1], widths[0])
        for k in range(1, len(sizes)):
            W = anp.matmul(matrix(x, int(starts[k]), widths[k + 1], widths[k]), W)
        return flat(W)

    return gf.Parametrization(network, int(starts[-1]), widths[0] * widths[-1])


def coordinates(depth, d):
    """Products of the blocks of x, entry by entry."""

    def product(x):
        w = x[..., :d]
        for k in range(1, depth):
            w = w * x[..., k * d : (k + 1) * d]
        return w

    return gf.Parametrization(product, depth * d, d)


def of(f, D, d):
    return gf.Parametrization(f, D, d)


def entries(A, B):
    """The upper triangle of A^T A - B^T B, A and B matrices of the numbers of coordinates."""
    laws = []
    for i in range(A.shape[1]):
        for j in range(i, A.shape[1]):
            terms = {}
            for M, sign in ((A, 1), (B, -1)):
                for row in M:
                    terms[tuple(sorted((int(row[i]), int(row[j]))))] = sign
            laws.append(terms)
    return laws


def indices(at, n, m):
    return np.arange(at, at + n * m).reshape(n, m)


def differences(depth, d):
    return [{(i, i): 1, (i + k * d, i + k * d): -1} for i in range(d) for k in range(1, depth)]


ROW = np.array([[1.0], [2.0], [-1.0]])


def mixed(x):
    return x[..., :1] * x[..., 1:2] + x[..., 2:]


PAIRS2 = [{(0, 2): 1}, {(1, 3): 1}]
# name: map, degree, laws of theory, D - dim Lie
CASES = {
    "x^2": (of(lambda x: x**2, 3, 3), 3, [], 0),
    "u^2 - v^2": (P["hyperbolic"](2).parametrization, 2, PAIRS2, 2),
    "u^2 - v^2, degree 4": (P["hyperbolic"](2).parametrization, 4, PAIRS2, 2),
    "u v": (P["product"](2).parametrization, 2, differences(2, 2), 2),
    "u v z": (coordinates(3, 2), 2, differences(3, 2), 4),
    "depth 4": (coordinates(4, 1), 2, differences(4, 1), 3),
    "u^3 - v^3": (P["power_difference"](2).parametrization, 4, [], 2),  # 1/u + 1/v is no polynomial
    "u^2 v": (of(lambda x: x[..., :1] ** 2 * x[..., 1:], 2, 1), 2, [{(0, 0): 1, (1, 1): -2}], 1),
    "|x|^2": (of(lambda x: anp.sum(x**2, -1, keepdims=True), 3, 1), 4, [], 2),  # x_1 / x_2 is none
    "U V^T, 2 2 1": (factors(2, 2, 1), 2, entries(indices(0, 2, 1), indices(2, 2, 1)), 1),
    "U V^T, 2 2 2": (factors(2, 2, 2), 2, entries(indices(0, 2, 2), indices(4, 2, 2)), 3),
    "U V^T, 3 2 2": (factors(3, 2, 2), 2, entries(indices(0, 3, 2), indices(6, 2, 2)), 3),
    "U V^T, 2 1 3": (factors(2, 1, 3), 2, entries(indices(0, 2, 3), indices(6, 1, 3)), 6),
    "U U^T": (N["matrix_square"]().parametrization, 4, [], 0),
    "W3 W2 W1": (
        deep((2, 2, 2, 2)), 2,
        entries(indices(0, 2, 2).T, indices(4, 2, 2)) + entries(indices(4, 2, 2).T, indices(8, 2, 2)), 6,
    ),
    "neuron": (N["neuron"]().parametrization, 2, [{(0, 0): 1, (1, 1): -1, (2, 2): -1}], 1),
    "parabola": (N["parabola"]().parametrization, 4, [], 0),
    "linear": (of(lambda x: x @ ROW, 3, 1), 2, [{(0,): 1, (2,): 1}, {(0,): 2, (1,): -1}], 2),
    "x + y^2": (of(lambda x: x[..., :1] + x[..., 1:2] ** 2 + 0 * x[..., 2:], 3, 1), 2, [{(2,): 1}], 2),
    "x y + z, affine fields": (of(lambda x: mixed(x), 3, 1), 2, [{(0, 0): 1, (1, 1): -1}], 2),
    "log u + log v": (of(lambda x: anp.log(x[..., :2]) + anp.log(x[..., 2:]), 4, 2), 2, differences(2, 2), 2),
    "depth 5": (coordinates(5, 1), 2, differences(5, 1), 4),
    "u e^v": (of(lambda x: x[..., :1] * anp.exp(x[..., 1:]), 2, 1), 2, [{(0, 0): 1, (1,): -2}], 1),
}  # fmt: skip
NUMERICAL = {"log u + log v", "depth 5", "u e^v"}


def laws_of(name):
    G, degree, _, _ = CASES[name]
    return gf.LieAlgebra(G.gradient_fields).conservation_laws(degree)


def generic(G):
    return np.random.default_rng(7).uniform(0.6, 1.4, G.dim)


@pytest.mark.parametrize("name", CASES)
def test_laws_are_those_of_theory(name):
    _, _, theory, count = CASES[name]
    found = laws_of(name)
    assert found.count == count and found.exact == (name not in NUMERICAL)
    # each law of theory is a combination of what was found, and there are as many
    keys = sorted({m for h in found for m in h.terms} | {m for terms in theory for m in terms})
    have = np.array([[float(h.terms.get(m, 0)) for m in keys] for h in found]).reshape(len(found), len(keys))
    want = np.array([[float(terms.get(m, 0)) for m in keys] for terms in theory]).reshape(len(theory), len(keys))
    assert len(found) == len(theory)
    if theory:
        assert np.linalg.matrix_rank(np.concatenate([have, want])) == np.linalg.matrix_rank(have) == len(found)
    assert found.complete == (len(theory) == count)
    assert all(h.exact == found.exact for h in found)


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n][2]])
def test_laws_are_constant_along_flows_and_independent(name):
    G, found = CASES[name][0], laws_of(name)
    x0 = generic(G)
    for h in found:
        defect, scale = gf.laws.is_conserved(h, G, x0)
        assert defect <= 1e-9 * scale
    gradients = np.stack([h.gradient(x0) for h in found])
    assert np.linalg.matrix_rank(gradients) == len(found)
    if found.complete:
        assert gf.laws.conserved_are_complete(tuple(found), G, x0)[0] == 0


def test_a_basis_is_what_people_expect():
    assert [str(h) for h in laws_of("u^2 - v^2")] == ["x_1 x_3", "x_2 x_4"]
    assert str(laws_of("neuron")[0]) == "x_1^2 - x_2^2 - x_3^2"
    assert sorted(len(h.terms) for h in laws_of("W3 W2 W1")) == [4] * 6
    text = str(laws_of("|x|^2"))
    assert "incomplete: 0 of 2 up to degree 4" in text and "complete" in str(laws_of("u v"))


def test_without_the_products_of_lower_laws():
    """Degree 4 of u^2 - v^2 has (u v)^2 and more, all functions of two laws."""
    assert len(laws_of("u^2 - v^2, degree 4")) == 2


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize("name", ["u^2 - v^2", "U V^T, 2 2 2", "log u + log v", "x + y^2"])
@pytest.mark.parametrize("given", [True, False])
def test_scales_of_coordinates_change_nothing(size, name, given):
    G, degree, _, count = CASES[name]
    plain = laws_of(name)
    units = size ** np.random.default_rng(1).integers(-1, 2, G.dim).astype(float)
    if name in NUMERICAL and not given:
        pytest.skip("fields that are looked at near a point are given one")
    fields = [gf.VectorField(lambda y, X=X: units * X(y / units), space=G.space) for X in G.gradient_fields]
    found = gf.LieAlgebra(fields).conservation_laws(degree, units if given else None)
    assert found.count == count and found.exact == plain.exact and found.complete == plain.complete
    for h, other in zip(found, plain, strict=True):
        x = generic(G)
        ratio = h.gradient(units * x) * units / np.abs(h.gradient(units * x) * units).max()
        assert np.allclose(ratio, other.gradient(x) / np.abs(other.gradient(x)).max(), atol=1e-9)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_scales_of_outputs_change_nothing(size):
    G = of(lambda x: size * (x[..., :2] ** 2 - x[..., 2:] ** 2), 4, 2)
    found = gf.LieAlgebra(G.gradient_fields).conservation_laws(2)
    assert [str(h) for h in found] == ["x_1 x_3", "x_2 x_4"] and found.exact and found.complete


def test_derivatives_against_autograd():
    h = ConservationLaw({(0, 0, 1): 2, (2,): -3, (1, 1): 1}, (3,), True)
    x = np.random.default_rng(0).standard_normal((4, 5, 3))
    assert np.allclose(h(x), 2 * x[..., 0] ** 2 * x[..., 1] - 3 * x[..., 2] + x[..., 1] ** 2, rtol=1e-14)
    assert np.allclose(h.gradient(x), gf.autodiff.jacobian(lambda y: h(y)[..., None])(x)[..., 0, :], rtol=1e-13)
    assert np.allclose(h.hessian(x), gf.autodiff.hessian(lambda y: h(y)[..., None])(x)[..., 0, :, :], rtol=1e-13)
    assert np.allclose(h.gradient(x[0, 0]), h.gradient(x)[0, 0]) and h(x[0, 0]) == h(x)[0, 0]
    assert (h.size(x) >= np.abs(h(x))).all()


def test_batches_and_matrices():
    found = laws_of("u v")
    x = np.random.default_rng(0).standard_normal((6, 4))
    assert found.values(x).shape == (6, 2) and np.array_equal(found.values(x)[2], found.values(x[2]))
    assert laws_of("x^2").values(x[:, :3]).shape == (6, 0)
    law = ConservationLaw({(0, 3): 1}, (2, 2), True)
    X = np.random.default_rng(0).standard_normal((3, 2, 2))
    assert np.allclose(law(X), X[:, 0, 0] * X[:, 1, 1]) and law.gradient(X).shape == (3, 2, 2)


# fields of mechanics, and what they are known to conserve
def top(x):
    return np.stack([x[..., 1] * x[..., 2], -2 * x[..., 0] * x[..., 2], x[..., 0] * x[..., 1]], axis=-1)


def turn(x):
    return np.stack([-x[..., 1], x[..., 0], 0 * x[..., 0]], axis=-1)


def lorenz(x):
    a, b, c = x[..., 0], x[..., 1], x[..., 2]
    return np.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], axis=-1)


FIELDS = {
    "Euler's top": (top, ["2 x_1^2 + x_2^2", "x_1^2 - x_3^2"], True),
    "a rotation": (turn, ["x_3", "x_1^2 + x_2^2"], True),
    "resonance": (lambda x: x * np.array([1.0, -1.0, 2.0]), ["x_1 x_2", "x_2^2 x_3"], True),
    "Lorenz": (lorenz, [], False),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_fields_that_are_no_gradients(name):
    field, theory, complete = FIELDS[name]
    found = gf.LieAlgebra([gf.VectorField(field)]).conservation_laws(4, [1.0, 2.0, 3.0])
    assert [str(h) for h in found] == theory and found.complete == complete and found.exact and found.count == 2


def test_large_maps_are_searched_block_by_block():
    found = gf.LieAlgebra(P["hyperbolic"](30).parametrization.gradient_fields).conservation_laws(2)
    assert found.complete and [str(h) for h in found[:2]] == ["x_1 x_31", "x_2 x_32"] and len(found) == 30


def test_bad_input():
    L = gf.LieAlgebra(P["hyperbolic"](2).parametrization.gradient_fields)
    for degree in (0, -1, 2.5, True, "2"):
        with pytest.raises(gf.ArgumentError, match="degree"):
            L.conservation_laws(degree)
    with pytest.raises(gf.ArgumentError, match="ask for a lower degree"):
        L.conservation_laws(60)
    with pytest.raises(gf.ShapeError):
        L.conservation_laws(2, [1.0, 2.0])
    with pytest.raises(gf.NotFiniteError):
        L.conservation_laws(2, [1.0, np.nan, 1.0, 1.0])
    with pytest.raises(gf.ArgumentError, match="dimension of R"):
        gf.LieAlgebra(lambda x: x).conservation_laws(2)
    # coordinates that depend on each other on M: |x|^2 on a sphere, x_12 - x_21 of symmetric matrices
    for case in (N["hyperboloid_coordinates"](), P["sphere_squares"](2), P["spd_affine"](2)):
        with pytest.raises(gf.ArgumentError, match="open set"):
            gf.LieAlgebra(case.parametrization.gradient_fields).conservation_laws(2)
    with pytest.raises(gf.ShapeError):
        laws_of("u v")[0]([1.0, 2.0])


def test_pickles_and_copies():
    found = laws_of("neuron")
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert str(again) == str(found) and again[0]([1.0, 2.0, 3.0]) == found[0]([1.0, 2.0, 3.0])
    assert repr(found[0]) == "ConservationLaw(x_1^2 - x_2^2 - x_3^2, exact)"
