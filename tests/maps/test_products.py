"""Products of parametrizations add their Legendre functions."""

import numpy as np
import pytest
from geomstats.geometry.special_orthogonal import SpecialOrthogonal

import geoflow as gf
from geoflow.maps.products import product_of_maps
from geoflow.theorems import laws

CASE = gf.catalog.parametrizations["hyperbolic"](2)


def test_products_add():
    sphere = gf.catalog.parametrizations["sphere_squares"](1)
    rotations = gf.catalog.parametrizations["so_diagonal"](1)
    for one, other in [
        (CASE, gf.catalog.parametrizations["exponential"](1)),
        (sphere, rotations),
        (rotations, rotations),
    ]:
        both = gf.product(one.parametrization, other.parametrization)
        x0 = np.concatenate([one.x0.ravel(), other.x0.ravel()]).reshape(both.point_shape)
        parts = [gf.mirror_map(c.parametrization, c.x0) for c in (one, other)]
        rng = np.random.default_rng(1)
        w = np.concatenate([one.reach(3, rng), other.reach(3, rng)], axis=-1)
        defect, scale = laws.product_adds_legendre(both, x0, parts, w)
        assert defect <= 1e-9 * scale
        swapped = parts[::-1] if parts[0].dim == parts[1].dim else [parts[0], parts[0]]
        if one is not other and parts[0].dim == parts[1].dim:
            defect, scale = laws.product_adds_legendre(both, x0, swapped, w)
            assert defect > 1e-3 * scale
    assert gf.product(rotations.parametrization, rotations.parametrization).point_shape == (2, 2, 2)
    assert isinstance(rotations.parametrization.space, type(SpecialOrthogonal(2)))


def test_a_product_of_maps_acts_on_blocks_and_is_named_after_them(rng):
    square = gf.Parametrization(lambda x: x**2, 2, 2, name="square")
    cube = gf.Parametrization(lambda x: x**3, 1, 1, name="cube")
    both, x = product_of_maps(square, cube), rng.uniform(0.5, 1.5, (4, 3))
    assert both.name == "square x cube" and both.is_euclidean and (both.dim, both.codomain_dim) == (3, 3)
    assert np.array_equal(both(x), np.concatenate([square(x[:, :2]), cube(x[:, 2:])], axis=1))
    assert both.check_commuting(x)
    product_of_three = product_of_maps(both, cube)
    assert np.array_equal(product_of_three(np.c_[x, x[:, :1]])[:, 3], x[:, 0] ** 3)
    parabola = gf.catalog.noncommuting["parabola"]().parametrization
    assert not product_of_maps(cube, parabola).check_commuting(x)


def test_the_widest_tolerance_is_kept_and_factors_have_to_be_maps():
    square = gf.Parametrization(lambda x: x**2, 2, 2)
    loose = gf.Parametrization.from_kernel(square.kernel, 2, "loose", commuting_tol=1e-3)
    assert product_of_maps(square, loose).commuting_tol == 1e-3
    with pytest.raises(gf.ArgumentError, match="factor of a product"):
        product_of_maps(square, lambda x: x)
