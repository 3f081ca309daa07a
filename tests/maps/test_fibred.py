"""Leaves over which there are many points, or no more than a metric."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.fibred import FibredLeaf, IntrinsicLeaf, fibred_leaf


@pytest.mark.parametrize("name", ["heisenberg", "stiefel_rows"])
def test_mu_is_a_function_of_w_and_x_is_the_end_of_the_joint_flow(name, rng):
    case = gf.catalog.noncommuting[name]()
    G, x0 = case.parametrization, case.x0
    leaf = fibred_leaf(G, x0, FibredLeaf)
    w = leaf.w0 + 0.05 * rng.standard_normal((6, 2))
    found = leaf.lift(w)
    assert np.allclose(G(G.unflatten(found.x)), w, rtol=0, atol=1e-12)
    assert np.allclose(G.flatten(gf.joint_flow(G, x0, found.mu)), found.x, atol=1e-10)
    # by way of another path: the same mu, another x
    for end, mu, x in zip(w, found.mu, found.x, strict=True):
        corner = np.array([end[0], leaf.w0[1]])
        lift = gf.lift_curve(G, x0, [leaf.w0, corner, end])
        assert np.allclose(lift.mu[-1], mu, atol=1e-11)
        assert np.abs(G.flatten(lift.x[-1]) - x).max() > 1e-6


def test_a_leaf_whose_mu_depends_on_the_path_is_refused():
    case = gf.catalog.noncommuting["matrix_square"]()
    G = case.parametrization
    leaf = FibredLeaf(G.kernel, case.x0, lambda points: None, G.point_shape, G.name)
    with pytest.raises(gf.NotCommutingError, match="path"):
        leaf.lift(leaf.w0 + np.array([0.01, 0.005, 0.02]))


def test_brackets_that_are_not_vertical_are_told_on_the_way():
    case = gf.catalog.noncommuting["matrix_square"]()
    leaf = fibred_leaf(case.parametrization, case.x0, FibredLeaf)
    with pytest.raises(gf.NotCommutingError, match="ker dG"):
        leaf.lift(leaf.w0 + 0.01)


def test_the_cometric_over_w_does_not_depend_on_the_path(rng):
    case = gf.catalog.noncommuting["matrix_square"]()
    G, x0 = case.parametrization, case.x0
    leaf = fibred_leaf(G, x0, IntrinsicLeaf)
    a, b = 0.1 * rng.standard_normal((2, 3))
    w = leaf.w0 + a + b
    around = gf.lift_curve(G, x0, [leaf.w0, leaf.w0 + a, w]).x[-1]
    direct = leaf.lift(w[None]).x[0]
    assert np.abs(around - direct).max() > 1e-4
    assert np.allclose(G.cometric(around), G.cometric(direct), rtol=1e-11, atol=1e-13)
    with pytest.raises(gf.DomainError):
        leaf.lift(np.array([[-1.0, 0.0, 1.0]]))
    assert leaf.reaches(np.array([[-1.0, 0.0, 1.0], w])).tolist() == [False, True]
