"""Products of matrices: their formulas, and the brackets that keep them from being mirror flows."""

import numpy as np
import pytest

import geoflow as gf

NAMES = ("matrix_square", "matrix_product", "deep_linear", "parabola")


def test_values_are_products_of_the_blocks(rng):
    maps = {name: gf.catalog.noncommuting[name]().parametrization for name in NAMES}
    U, V, W = rng.standard_normal((3, 2, 2))
    assert np.allclose(maps["matrix_square"](U.ravel()), (U @ U.T)[[0, 0, 1], [0, 1, 1]])
    assert np.allclose(maps["matrix_product"](np.r_[U.ravel(), V.ravel()]), (U @ V.T).ravel())
    assert np.allclose(maps["deep_linear"](np.r_[U.ravel(), V.ravel(), W.ravel()]), (W @ V @ U).ravel())
    assert np.allclose(maps["parabola"]([3.0, 1.0]), [3.0, 10.0])


def test_brackets_of_the_square_are_skew_rotations(rng):
    """grad <A, U U^T> = 2 A U, so [grad A, grad B] is U -> 4 (B A - A B) U: zero where A and B commute."""
    G, U = gf.catalog.noncommuting["matrix_square"]().parametrization, rng.standard_normal((2, 2))
    basis = np.array([[[1.0, 0], [0, 0]], [[0, 0.5], [0.5, 0]], [[0, 0], [0, 1.0]]])
    found = G.brackets(U.ravel())
    for i, A in enumerate(basis):
        for j, B in enumerate(basis):
            assert np.allclose(found[i, j], (4 * (B @ A - A @ B) @ U).ravel(), atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_one_measurement_alone_commutes_and_all_of_them_do_not(name):
    case = gf.catalog.noncommuting[name]()
    G = case.parametrization
    first = G.affine(np.eye(G.codomain_dim)[:1])
    assert first.check_commuting(case.x0) and not G.check_commuting(case.x0)
    assert gf.catalog.noncommuting[name].dims == (G.codomain_dim,)
