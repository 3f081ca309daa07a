"""What momentum leaves: affine laws, and rotations that keep the map; u v is lost."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.momentum import MomentumLaw

N = gf.catalog.noncommuting


def fields(*functions, dim):
    return gf.LieAlgebra([gf.VectorField(f) for f in functions]).conservation_laws(2, np.ones(dim))


def test_laws_of_squares_are_lost_and_affine_ones_stay():
    found = gf.LieAlgebra(
        gf.catalog.parametrizations["hyperbolic"](2).parametrization.gradient_fields
    ).conservation_laws(2)
    assert [h.survives_momentum for h in found] == [False, False] and found.momentum == ()
    G = gf.Parametrization(lambda x: x @ np.array([[1.0], [1.0]]), 2, 1)
    found = gf.LieAlgebra(G.gradient_fields).conservation_laws(2)
    assert [h.survives_momentum for h in found] == [True] and [str(J) for J in found.momentum] == ["v_1 - v_2"]


def test_a_curved_law_survives_where_orbits_are_straight():
    """X = (1, 0, y): on z = x y, lines; DX.X = 0."""
    found = fields(lambda x: np.stack([1 + 0 * x[..., 0], 0 * x[..., 0], x[..., 1]], -1), dim=3)
    assert [str(h) for h in found] == ["x_2", "x_1 x_2 - x_3"]
    assert [h.survives_momentum for h in found] == [True, True]


def test_a_law_that_only_a_product_of_products_breaks():
    """X = (1, y, 0) is linear in y; the law z - c x of a second field is not broken by it, y is none."""
    found = fields(lambda x: np.stack([1 + 0 * x[..., 0], 0 * x[..., 0], 2 * x[..., 0], 0 * x[..., 0]], -1), dim=4)
    assert {str(h): h.survives_momentum for h in found} == {"x_2": True, "x_4": True, "x_1^2 - x_3": False}


@pytest.mark.parametrize(
    "name, count", [("matrix_square", 1), ("matrix_product", 1), ("deep_linear", 2), ("parabola", 0)]
)
def test_rotations_that_keep_the_map(name, count):
    """r (r - 1) / 2 for each hidden layer of width r."""
    case = N[name]()
    G = case.parametrization
    found = gf.LieAlgebra(G.gradient_fields).conservation_laws(2).momentum
    assert len(found) == count
    for J in found:
        assert np.array_equal(J.A, -J.A.T)
        x = np.random.default_rng(0).standard_normal((5, G.dim))
        assert np.abs(np.einsum("ndD,nD->nd", G.jacobian(x), J.isometry(x))).max() < 1e-14 * np.abs(x).max() ** 3 * 10
        v = np.random.default_rng(1).standard_normal(G.dim)
        defect, scale = gf.laws.momentum_is_conserved(J, G, case.x0, v, 0.4)
        assert defect <= 1e-9 * scale


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_units_change_nothing(size):
    """The inertia is that of x: a map in other units has other isometries."""
    G = gf.Parametrization(lambda x: np.sum(1.0 * x**2, axis=-1, keepdims=True) * size, 2, 1)
    (J,) = gf.LieAlgebra(G.gradient_fields).conservation_laws(2).momentum
    assert str(J) == "x_1 v_2 - x_2 v_1"


def test_values():
    J = MomentumLaw(np.array([[0.0, -1.0], [1.0, 0.0]]), np.array([0.0, 2.0]), (2,))
    x, v = np.random.default_rng(0).standard_normal((2, 7, 2))
    assert np.allclose(J(x, v), x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0] + 2 * v[:, 1], rtol=1e-14)
    assert str(J) == "x_1 v_2 - x_2 v_1 + 2 v_2" and repr(J) == f"MomentumLaw({J})"
    with pytest.raises(gf.ShapeError):
        J([1.0, 2.0, 3.0], [1.0, 2.0])
