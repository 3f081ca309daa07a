"""Open convex sets."""

import numpy as np
import pytest
from geomstats.geometry.base import VectorSpaceOpenSet
from geomstats.geometry.poincare_ball import PoincareBall

import geoflow as gf

DOMAINS = [
    (gf.domains.WholeSpace(3), [1e9, -4, 0], None),
    (gf.domains.Box([-1, -2, 0], [1, np.inf, 3]), [0, 5, 1], [2, 0, 1]),
    (gf.domains.Orthant(3), [1e-300, 1, 2], [1, -1e-12, 1]),
    (gf.domains.Simplex(3), [0.2, 0.3, 0.4], [0.5, 0.3, 0.3]),
    (gf.domains.Polytope([[1, 1, 0], [-1, 0, 0], [0, -1, 0]], [1, 0, 0]), [0.1, 0.1, 50], [1, 1, 0]),
    (gf.domains.Ball([0, 0, 1], 2.0), [0, 0, -0.9], [0, 0, 3.0]),
]


@pytest.mark.parametrize("domain, inside, outside", DOMAINS, ids=lambda v: str(v)[:20])
def test_membership_and_errors(domain, inside, outside):
    assert isinstance(domain, VectorSpaceOpenSet)
    assert domain.belongs(np.array(inside))
    assert domain.belongs(domain.interior_point())
    assert not domain.belongs(np.full(3, np.nan))
    if outside is not None:
        batch = np.array([inside, outside])
        assert list(domain.belongs(batch)) == [True, False]
        with pytest.raises(gf.DomainError, match=r"batch entry \(1,\)") as caught:
            domain.require(batch)
        assert np.array_equal(caught.value.point, outside)
        assert domain.belongs(domain.projection(np.array(outside, dtype=float)))
    points = domain.random_point(20, bound=10.0, rng=0)
    assert points.shape == (20, 3) and domain.belongs(points).all()
    assert np.array_equal(points, domain.random_point(20, bound=10.0, rng=0))


def test_bad_domains():
    with pytest.raises(gf.ArgumentError):
        gf.domains.Box([0, 1], [1, 1])
    with pytest.raises(gf.DomainError, match="empty"):
        gf.domains.Polytope([[1.0], [-1.0]], [0, -1])
    with pytest.raises(gf.ArgumentError):
        gf.domains.Ball([0.0], -1)
    with pytest.raises(gf.ArgumentError):
        gf.domains.Orthant(0)
    with pytest.raises(gf.ShapeError):
        gf.domains.Orthant(2).require(np.ones(3))


def test_regions_and_numbers_and_manifolds_as_domains():
    assert isinstance(gf.domains.as_domain(3), gf.domains.WholeSpace)
    cone = gf.domains.ImplicitDomain(2, lambda w: w[..., 0] > np.abs(w[..., 1]), [1.0, 0.0], "a cone")
    assert gf.domains.as_domain(cone) is cone and str(cone) == "a cone"
    assert cone.belongs(np.array([[1.0, 0.5], [0.5, 1.0], [np.nan, 0.0]])).tolist() == [True, False, False]
    disc = gf.domains.as_domain(PoincareBall(2))
    assert disc.belongs([0.5, 0.5]) and not disc.belongs([0.9, 0.9]) and disc.belongs(disc.interior_point())
    for bad in ("R2", True, 1.5):
        with pytest.raises(gf.ArgumentError, match="domain"):
            gf.domains.as_domain(bad)


def test_a_tolerance_accepts_the_boundary():
    box = gf.domains.Box([0.0], [1.0])
    assert not box.belongs([1.0]) and box.belongs([1.0], atol=1e-9) and not box.belongs([1.1], atol=1e-9)


def test_interior_points_are_at_the_centre():
    assert gf.domains.Box([0, -np.inf], [2, 1]).interior_point()[0] == 1
    assert np.allclose(gf.domains.Simplex(2).interior_point(), 1 / 3)
    centre = gf.domains.Polytope([[1.0, 0], [-1, 0], [0, 1], [0, -1]], [1, 1, 0.5, 0.5]).interior_point()
    assert abs(centre[1]) < 1e-9


def test_a_box_whose_width_is_no_number_is_refused():
    with pytest.raises(gf.ArgumentError, match="coordinate 2"):
        gf.domains.Box([0.0, -1e308], [1.0, 1e308])
    assert gf.domains.Box([-1e308], [np.inf]).dim == 1
