"""Joint flows: values, ends of maximal solutions, and the points they reach."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from benchmarks.classes import FAMILIES
from geoflow.maps.reach import length_of, orbit_sample, points_of_leaf, push_by, shrunk_until, unit_forces


def test_joint_flow_is_the_exponential_of_the_sum(rng):
    G = gf.Parametrization(lambda x: x**2, space=3, codomain_dim=3)
    x0, mu = np.array([1.0, 2.0, 0.5]), rng.standard_normal((2, 4, 3))
    assert np.allclose(gf.joint_flow(G, x0, mu), x0 * np.exp(2 * mu), rtol=1e-11)


@pytest.mark.parametrize("entry", [0, 2])
def test_joint_flow_past_a_blow_up_names_entry_and_parameter(entry):
    G = gf.Parametrization(lambda x: x**3, space=2, codomain_dim=2)  # dx/ds = 3 mu x^2 ends at s = 1/(3 mu x0)
    mu = np.full((3, 2), 0.1)
    mu[entry, 1] = 1.0
    with pytest.raises(gf.DomainError) as caught:
        gf.joint_flow(G, np.ones(2), mu)
    assert caught.value.index == (entry,)
    assert abs(caught.value.s - 1 / 3) < 1e-6
    assert f"({entry},)" in str(caught.value)


def test_joint_flow_that_reaches_the_edge_of_the_map():
    G = gf.Parametrization(anp.log, space=1, codomain_dim=1)  # x^2 = x0^2 + 2 mu s
    with pytest.raises(gf.DomainError) as caught:
        gf.joint_flow(G, [1.0], [-1.0])
    assert abs(caught.value.s - 0.5) < 1e-6


SQUARE = gf.Parametrization(lambda x: x**2, 2, 2)


def test_pushes_in_a_row_add_up_where_fields_commute(rng):
    x0, forces = np.array([1.0, 0.5]), 0.3 * rng.standard_normal((3, 5, 2))
    found = push_by(SQUARE, x0, forces)
    assert np.allclose(found, x0 * np.exp(2 * forces.sum(axis=0)), rtol=1e-9)
    case = gf.catalog.noncommuting["matrix_square"]()
    forces = 0.3 * rng.standard_normal((2, 1, 3))
    ahead, back = (push_by(case.parametrization, case.x0, f) for f in (forces, forces[::-1]))
    assert np.abs(ahead - back).max() > 1e-3


def test_steps_are_shortened_until_no_flow_ends(rng):
    tried = []

    def attempt(size):
        tried.append(size)
        if size > 0.3:
            raise gf.DomainError("too far")
        return "arrived"

    assert shrunk_until(attempt, 1.0) == ("arrived", 0.25) and tried == [1.0, 0.5, 0.25]

    def never(size):
        raise gf.ConvergenceError("never")

    with pytest.raises(gf.DomainError, match="end at once"):
        shrunk_until(never, 1.0, tries=3)
    with pytest.raises(ZeroDivisionError):  # a fault of the attempt is no flow that ends
        shrunk_until(lambda size: 1 / 0, 1.0)


def test_unit_forces_move_the_start_at_unit_speed(rng):
    x0 = np.array([1.0, 0.5])
    forces = unit_forces(SQUARE, x0, rng.standard_normal((6, 2)))
    assert np.allclose(np.linalg.norm(SQUARE.kernel.pullback(np.tile(x0, (6, 1)), forces), axis=-1), 1, rtol=1e-13)


def test_points_of_a_leaf_and_of_an_orbit_conserve_what_the_flows_do(rng):
    """u^2 - v^2 conserves u v."""
    case = gf.catalog.parametrizations["hyperbolic"](1)
    G, x0 = case.parametrization, case.x0
    for points in (points_of_leaf(G, x0), orbit_sample(G, x0, 0.5, 10, rng)):
        assert np.ptp(points, axis=0).min() > 1e-2
        assert np.allclose(points[:, 0] * points[:, 1], x0[0] * x0[1], rtol=1e-5)
    assert np.array_equal(points_of_leaf(G, x0)[0], x0)
    assert np.abs(orbit_sample(G, x0, 1e-3, 10, rng) - x0).max() < 1e-2


def test_length_of_a_point_is_1_at_the_origin():
    assert length_of(np.array([3.0, 4.0])) == 5 and length_of(np.zeros(2)) == 1


def test_points_of_a_leaf_stay_where_brackets_have_digits():
    """Flows of unit speed take a coordinate in small units over hundreds of decades, without an end."""
    G, x0 = FAMILIES["commuting"](np.random.default_rng([0, 0, 40]))
    ended = gf.joint_flow(G, x0, 0.3 * length_of(x0) * unit_forces(G, x0, np.eye(4)), rtol=1e-6, atol=1e-9)
    assert np.abs(ended / x0).max() > 1e100
    points = points_of_leaf(G, x0)
    ratio = np.abs(points[1:] / x0)
    assert len(points) == 9 and (ratio.max() < 1e6) and (np.abs(ratio - 1).max(axis=1) > 1e-3).all()
    assert gf.classify(G, x0).kind == "commuting"
