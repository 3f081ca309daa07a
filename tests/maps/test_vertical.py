"""Brackets that w does not see."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.vertical import vertical_check


@pytest.mark.parametrize("name", ["heisenberg", "stiefel_rows", "matrix_square", "matrix_product", "parabola"])
def test_brackets_pushed_to_w_are_those_of_all_pairs(name, rng):
    case = gf.catalog.noncommuting[name]()
    G, x = case.parametrization, case.sample(4, rng)
    check = vertical_check(G.kernel, G.flatten(x), G.name, G.point_shape)
    B = G.brackets(x).reshape(4, G.codomain_dim, G.codomain_dim, -1)
    J = G.jacobian(x).reshape(4, G.codomain_dim, -1)
    pushed = np.abs(np.einsum("nkD,nijD->nijk", J, B)).max()
    assert bool(check) == (name in ("heisenberg", "stiefel_rows")) == (pushed < 1e-9)
    if not check:
        assert check.defect > 1e-3
        with pytest.raises(gf.NotCommutingError, match="ker dG"):
            check.unwrap()


def test_the_largest_of_many_points_is_the_witness(rng):
    case = gf.catalog.noncommuting["parabola"]()
    x = case.sample(50, rng)
    check = vertical_check(case.parametrization.kernel, x, "G", (2,))
    alone = [vertical_check(case.parametrization.kernel, point[None], "G", (2,)).defect for point in x]
    assert check.n_points == 50 and check.defect > 0.1 * max(alone) and check.witness.shape == (2,)
