"""The algebra of convex domains: half-spaces, intersections, preimages, products."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.batches import consecutive
from geoflow.spaces.algebra import half_spaces, intersection, polytope, preimage, product_of_domains

Box, Ball, Orthant, Simplex, WholeSpace, Polytope = (
    getattr(gf.domains, name) for name in ("Box", "Ball", "Orthant", "Simplex", "WholeSpace", "Polytope")
)


def test_half_spaces_of_one_coordinate_each_are_a_box():
    A = np.array([[2.0, 0.0], [-1.0, 0.0], [0.0, -4.0], [1.0, 0.0]])
    domain = polytope(A, np.array([6.0, 1.0, 8.0, 5.0]))
    assert isinstance(domain, Box)
    assert domain.lower.tolist() == [-1.0, -2.0] and domain.upper.tolist() == [3.0, np.inf]
    slanted = polytope(np.array([[1.0, 1.0]]), np.array([1.0]))
    assert isinstance(slanted, Polytope) and slanted.belongs([0.4, 0.4]) and not slanted.belongs([0.6, 0.6])
    assert isinstance(polytope(np.zeros((0, 3)), np.zeros(0)), WholeSpace)
    with pytest.raises(gf.DomainError, match="empty"):
        polytope(np.array([[1.0], [-1.0]]), np.array([0.0, -1.0]))


@pytest.mark.parametrize("domain", [WholeSpace(2), Box([-1, 0], [1, np.inf]), Simplex(2)], ids=str)
def test_half_spaces_give_the_domain_back(domain, rng):
    again = polytope(*half_spaces(domain))
    points = rng.uniform(-2, 2, (200, 2))
    assert np.array_equal(again.belongs(points), domain.belongs(points))


def test_a_ball_has_no_half_spaces():
    assert half_spaces(Ball([0.0, 0.0])) is None


@pytest.mark.parametrize(
    "parts",
    [
        [Box([0, 0], [2, 2]), Simplex(2)],
        [Ball([0.0, 0.0]), Orthant(2)],
        [Ball([0.0, 0.0]), Ball([1.2, 0.0]), WholeSpace(2)],
        [Ball([0.0, 0.0]), WholeSpace(2)],
        [Simplex(2), Simplex(2)],
    ],
    ids=lambda parts: " and ".join(map(str, parts)),
)
def test_points_of_an_intersection_are_those_of_every_part(parts, rng):
    both, points = intersection(parts), rng.uniform(-2, 2, (400, 2))
    assert np.array_equal(both.belongs(points), np.all([d.belongs(points) for d in parts], axis=0))
    assert both.belongs(both.interior_point()) and both.belongs(points).any() and not both.belongs(points).all()


def test_what_does_not_meet_has_no_intersection():
    with pytest.raises(gf.DomainError):
        intersection([Box([0], [1]), Box([2], [3])])
    with pytest.raises(gf.DomainError, match="no common point"):
        intersection([Ball([0.0, 0.0], 0.1), Ball([50.0, 0.0], 0.1)])


@pytest.mark.parametrize("domain", [Simplex(2), Ball([0.2, 0.1]), Box([-1, -1], [1, 1])], ids=str)
def test_preimages_under_an_affine_map(domain, rng):
    A, b = np.array([[1.0, 0.5, 0.0], [-0.3, 2.0, 0.1]]), np.array([0.3, 0.2])
    back, points = preimage(domain, A, b), rng.uniform(-1.5, 1.5, (400, 3))
    assert np.array_equal(back.belongs(points), domain.belongs(points @ A.T + b))
    assert back.dim == 3 and back.belongs(back.interior_point()) and back.belongs(points).any()


@pytest.mark.parametrize("domain", [Simplex(2), Ball([0.2, 0.1]), Box([-1, -np.inf], [1, 2]), WholeSpace(2)], ids=str)
@pytest.mark.parametrize("factor", [0.5, -2.0])
def test_a_number_is_a_multiple_of_the_identity(domain, factor, rng):
    b, points = np.array([0.3, 0.2]), rng.uniform(-1.5, 1.5, (400, 2))
    back, other = preimage(domain, factor, b), preimage(domain, factor * np.eye(2), b)
    assert np.array_equal(back.belongs(points), domain.belongs(factor * points + b))
    assert np.array_equal(back.belongs(points), other.belongs(points)) and back.belongs(back.interior_point())
    assert not isinstance(domain, (Box, WholeSpace)) or type(back) is type(domain)


@pytest.mark.parametrize("domain", [Box([0.0, 0.0], [1.0, 1.0]), Ball([0.0, 0.0])], ids=str)
def test_an_affine_map_that_misses_the_domain_has_no_preimage(domain):
    with pytest.raises(gf.DomainError, match="A w \\+ b"):
        preimage(domain, np.array([[1.0], [0.0]]), np.array([0.0, 7.0]))


@pytest.mark.parametrize("parts", [[Box([0], [1]), Simplex(2)], [Ball([0.0, 0.0]), Orthant(1)]], ids=str)
def test_products_ask_every_block(parts, rng):
    blocks = consecutive([d.dim for d in parts])
    domain, points = product_of_domains(parts, blocks, 3), rng.uniform(-1, 1.5, (400, 3))
    wanted = np.all([d.belongs(points[:, block]) for d, block in zip(parts, blocks, strict=True)], axis=0)
    assert np.array_equal(domain.belongs(points), wanted) and wanted.any() and not wanted.all()
    assert domain.belongs(domain.interior_point())
