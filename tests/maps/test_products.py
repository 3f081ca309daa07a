"""Products of parametrizations add their Legendre functions."""

import numpy as np
from geomstats.geometry.special_orthogonal import SpecialOrthogonal

import geoflow as gf
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
