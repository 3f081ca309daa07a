"""Lie algebras of fields: dimensions and conservation laws against theory, structure constants, necessary condition."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf

SIZES = [(n, m, r) for n in range(1, 4) for m in range(1, 4) for r in range(1, 5)]


def blocks(x, *shapes):
    ends = np.cumsum([0] + [n * m for n, m in shapes])
    batch = anp.shape(x)[:-1]
    return [anp.reshape(x[..., i:j], (*batch, *s)) for i, j, s in zip(ends[:-1], ends[1:], shapes, strict=True)]


def flat(M):
    return anp.reshape(M, (*anp.shape(M)[:-2], -1))


def two_layers(n, m, r):
    def product(x):
        U, V = blocks(x, (n, r), (m, r))
        return flat(anp.einsum("...ia,...ja->...ij", U, V))

    return gf.Parametrization(product, (n + m) * r, n * m)


def square(n, r):
    upper = np.flatnonzero(np.triu(np.ones((n, n))).ravel())

    def product(x):
        (U,) = blocks(x, (n, r))
        return flat(anp.einsum("...ia,...ja->...ij", U, U))[..., upper]

    return gf.Parametrization(product, n * r, n * (n + 1) // 2)


def three_layers(n, m, r):
    def product(x):
        A, B, C = blocks(x, (n, r), (r, r), (r, m))
        return flat(anp.einsum("...ia,...ab,...bj->...ij", A, B, C))

    return gf.Parametrization(product, (n + r + m) * r, n * m)


@pytest.mark.parametrize("n, m, r", SIZES)
def test_two_layer_linear_networks(n, m, r, rng):
    """The fields are W = (U; V) -> S W, S symmetric and off-diagonal in blocks. For n m > 1 they generate so(n, m) and
    more, whose orbits are those of the N = n + m rows: with rho = min(N, r) they have dimension
    N rho - rho (rho + 1) / 2, since U^T U - V^T V, of rank rho, is all that is conserved; one field has dimension 1.
    (Marcotte, Gribonval, Peyre 2023, theorem 4.1.)
    """
    G = two_layers(n, m, r)
    N, rho = n + m, min(n + m, r)
    dim = N * rho - rho * (rho + 1) // 2 if n * m > 1 else 1
    L, x = gf.LieAlgebra(G.gradient_fields), rng.standard_normal(G.dim)
    report = L.analyse(x)
    assert L.dimension(x) == report.dimension == dim
    assert L.conservation_law_count(x) == N * r - dim
    assert report.gap[0] > 1e5 * report.gap[1]


@pytest.mark.parametrize("n, r", [(n, r) for n in range(1, 4) for r in range(1, 5)])
def test_symmetric_factorization(n, r, rng):
    """The fields U -> 2 A U, A symmetric, generate gl(n): orbits have dimension n rank U, and n r - n rank U laws."""
    G, rho = square(n, r), min(n, r)
    L, x = gf.LieAlgebra(G.gradient_fields), rng.standard_normal(G.dim)
    assert L.dimension(x) == n * rho
    assert L.conservation_law_count(x) == n * r - n * rho
    low = np.outer(np.arange(1.0, n + 1), np.arange(1.0, r + 1)).ravel()  # a point of rank one has a smaller orbit
    assert L.dimension(low) == n
    assert L.dimension(np.zeros(G.dim)) == 0


@pytest.mark.parametrize("n, m, r", [s for s in SIZES if s[0] <= s[1]])
def test_three_layer_linear_networks(n, m, r, rng):
    """W3 W2 W1 of hidden width r conserves W3^T W3 - W2 W2^T and W2^T W2 - W1 W1^T, r (r + 1) functions (Arora, Cohen,
    Hazan 2018), so dim <= D - r (r + 1); with n m > 1 nothing else, and with n m = 1 one field has D - 1 laws.
    """
    G = three_layers(n, m, r)
    L, x = gf.LieAlgebra(G.gradient_fields), rng.standard_normal(G.dim)

    def balance(y):
        A, B, C = blocks(y, (n, r), (r, r), (r, m))
        first = anp.einsum("...ka,...kb->...ab", A, A) - anp.einsum("...ak,...bk->...ab", B, B)
        second = anp.einsum("...ka,...kb->...ab", B, B) - anp.einsum("...ak,...bk->...ab", C, C)
        return anp.concatenate([flat(first), flat(second)], axis=-1)

    differentials = gf.autodiff.jacobian(balance)(x)
    assert np.abs(differentials @ G.gradients(x).T).max() < 1e-12 * np.abs(differentials).max() ** 2
    assert np.linalg.matrix_rank(differentials, tol=1e-9) == r * (r + 1)
    report = L.analyse(x)
    assert G.dim - report.dimension == L.conservation_law_count(x) == (r * (r + 1) if n * m > 1 else G.dim - 1)
    assert report.gap[0] > 1e4 * report.gap[1]


def test_growth_stops_by_itself_and_depth_is_respected(rng):
    """Fields d_x and d_y + x d_z grow by one at length 2 and close; depth 1 sees the two of them only."""
    X = gf.VectorField(lambda x: anp.stack([1 + 0 * x[..., 0], 0 * x[..., 0], 0 * x[..., 0]], -1), "X")
    Y = gf.VectorField(lambda x: anp.stack([0 * x[..., 0], 1 + 0 * x[..., 0], x[..., 0]], -1), "Y")
    L, x = gf.LieAlgebra([X, Y]), rng.standard_normal(3)
    report = L.analyse(x)
    assert report.growth == (2, 3) and report.dimension == 3 and L.conservation_law_count(x) == 0
    assert L.dimension(x, depth=1) == 2 and L.dimension(x, depth=2) == 3
    c, names = L.structure_constants(x)
    assert names == ("X", "Y", "[X, Y]") or names == ("X", "Y", "[Y, X]")
    assert np.abs(np.abs(c).sum() - 2) < 1e-12


def test_rotations_have_the_structure_constants_of_so3(rng):
    E = np.zeros((3, 3, 3))
    for i, j, k in [(0, 1, 2), (1, 2, 0), (2, 0, 1)]:
        E[i, j, k], E[i, k, j] = 1, -1
    L = gf.LieAlgebra([gf.VectorField(lambda x, M=M: x @ M.T, f"L_{i}") for i, M in enumerate(E)])
    c, names = L.structure_constants(np.ones(3))
    assert len(names) == 3
    assert np.abs(np.abs(c) - np.abs(E)).max() < 1e-14
    jacobi = np.einsum("ijl,lkm->ijkm", c, c)
    assert (
        np.abs(jacobi + np.moveaxis(jacobi, [0, 1, 2], [2, 0, 1]) + np.moveaxis(jacobi, [0, 1, 2], [1, 2, 0])).max()
        < 1e-13
    )
    assert L.dimension([1.0, 2.0, 2.0]) == 2 and L.conservation_law_count([1.0, 2.0, 2.0]) == 1


def test_fields_that_are_not_polynomial_have_the_constants_of_affine_ones():
    """In u = log x the fields x d_x and x log x d_x are d_u and u d_u."""
    X = gf.VectorField(lambda x: x, "X")
    Y = gf.VectorField(lambda x: x * anp.log(x), "Y")
    c, _ = gf.LieAlgebra([X, Y]).structure_constants([2.0])
    assert np.allclose(c[0, 1], [1, 0], atol=1e-12) and np.allclose(c, -np.swapaxes(c, 0, 1))
    with pytest.raises(gf.ConvergenceError, match="infinite-dimensional"):
        wild = [gf.VectorField(lambda x: anp.sin(x)), gf.VectorField(lambda x: x**3)]
        gf.LieAlgebra(wild).structure_constants([0.7], max_dim=6)


@pytest.mark.parametrize("name", list(gf.catalog.parametrizations))
def test_the_necessary_condition_holds_where_fields_commute(name, rng):
    entry = gf.catalog.parametrizations[name]
    case = entry(entry.dims[-1] if entry.dims else 2)
    G, x = case.parametrization, case.sample(3, rng)
    L = gf.LieAlgebra(G.gradient_fields)
    assert L.check_necessary_condition(G, x), str(L.check_necessary_condition(G, x))
    assert L.dimension(x[0]) == G.codomain_dim


@pytest.mark.parametrize("name", list(gf.catalog.noncommuting))
def test_the_necessary_condition_fails_where_it_should(name, rng):
    """It holds where the fields are horizontal lifts of commuting ones: their brackets are vertical, and w does not see
    them."""
    vertical = name in ("heisenberg", "stiefel_rows")
    case = gf.catalog.noncommuting[name]()
    G, x = case.parametrization, case.sample(3, rng)
    L = gf.LieAlgebra(G.gradient_fields)
    check = L.check_necessary_condition(G, x)
    assert bool(check) == vertical
    assert L.dimension(x[0]) >= G.codomain_dim
    if not vertical:
        assert check.defect > 1e-3
        with pytest.raises(gf.CheckError, match=r"\[grad"):
            check.unwrap()


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: gf.LieAlgebra([]), gf.ArgumentError, "at least one"),
        (lambda: gf.LieAlgebra([3]), gf.ArgumentError, "vector field"),
        (lambda: gf.LieAlgebra(square(2, 2).gradient_fields).dimension(np.ones((2, 4))), gf.ShapeError, "one point"),
        (
            lambda: gf.LieAlgebra(square(2, 2).gradient_fields).dimension(np.ones(4), depth=0),
            gf.ArgumentError,
            "depth",
        ),
        (lambda: gf.LieAlgebra([gf.VectorField(anp.log)]).dimension([-1.0]), gf.NotFiniteError, "defined at x"),
        (lambda: gf.LieAlgebra([gf.VectorField(anp.exp)]).structure_constants(), gf.ArgumentError, "a point"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_the_law_of_the_necessary_condition():
    group, product = (gf.catalog.noncommuting[n]() for n in ("heisenberg", "matrix_product"))
    assert gf.laws.necessary_condition(group.parametrization, group.x0)[0] < 1e-12
    assert gf.laws.necessary_condition(product.parametrization, product.x0)[0] > 1e-2


def polynomial(terms, units):
    """y -> sum of c y^e in component l over terms (l, c, e), in coordinates x = y units."""

    def field(x):
        y = x / units
        out = [0 * y[..., 0] for _ in units]
        for place, c, powers in terms:
            value = c * (1 + 0 * y[..., 0])
            for k, n in enumerate(powers):
                for _ in range(n):
                    value = value * y[..., k]
            out[place] = out[place] + value
        return anp.stack(out, axis=-1) * units

    return gf.VectorField(field)


#: fields by their terms, a point in units, and the rank of all brackets there over Q
POLYNOMIALS = [
    # d_x and d_y + x^3 d_z: brackets of length 2 to 4
    ([[(0, 1, (0, 0, 0))], [(1, 1, (0, 0, 0)), (2, 1, (3, 0, 0))]], (0.5, 1.0, 2.0), 3),
    # x d_x + 2 y d_y and x y d_z: a plane, since [., .] = 3 x y d_z
    ([[(0, 1, (1, 0, 0)), (1, 2, (0, 1, 0))], [(2, 1, (1, 1, 0))]], (0.5, 1.5, 2.0), 2),
    # rotations about two axes, and at a point of an axis
    ([[(0, -1, (0, 1, 0)), (1, 1, (1, 0, 0))], [(1, -1, (0, 0, 1)), (2, 1, (0, 1, 0))]], (0.0, 0.0, 3.0), 2),
    # quadratic fields that keep x + y: x^2 (d_x - d_y), x y (d_x - d_y)
    ([[(0, 1, (2, 0, 0)), (1, -1, (2, 0, 0))], [(0, 1, (1, 1, 0)), (1, -1, (1, 1, 0))]], (0.5, 1.5, 2.0), 1),
    # a field that vanishes at the point
    ([[(0, 1, (1, 0, 0)), (2, 1, (1, 1, 0))]], (0.0, 1.0, 2.0), 0),
]


@pytest.mark.parametrize("case", range(len(POLYNOMIALS)))
@pytest.mark.parametrize("seed", range(4))
def test_dimensions_have_no_units(case, seed):
    fields, point, wanted = POLYNOMIALS[case]
    units = 10.0 ** (6 * np.random.default_rng(seed).integers(-1, 2, 3)) if seed else np.ones(3)
    L = gf.LieAlgebra([polynomial(terms, units) for terms in fields])
    report = L.analyse(np.array(point) * units)
    assert report.dimension == wanted and report.decided


def test_an_undecided_rank_is_said(rng):
    """Two fields that differ by a part of the size of RANK_TOL: neither new nor rounding."""
    bend = gf.VectorField(lambda x: anp.stack([anp.exp(x[..., 0]), 3e-10 * anp.cos(x[..., 1])], -1), "X")
    other = gf.VectorField(lambda x: anp.stack([anp.exp(x[..., 0]), 2.96e-10 * anp.cos(x[..., 1])], -1), "Y")
    third = gf.VectorField(lambda x: anp.stack([anp.exp(x[..., 0]), 1.5e-10 * anp.cos(x[..., 1])], -1), "Z")
    L = gf.LieAlgebra([bend, other, third])
    report = L.analyse([0.3, 0.4], depth=1)
    assert not report.decided and "undecided" in str(report)
    with pytest.raises(gf.ConvergenceError, match="undecided"):
        L.dimension([0.3, 0.4], depth=1)


def test_a_map_in_the_place_of_its_fields_is_named_with_the_remedy():
    G = gf.Parametrization(lambda x: x**2, 2, 2)
    for given in (G, [G]):
        with pytest.raises(gf.ArgumentError, match="gradient_fields"):
            gf.LieAlgebra(given)
