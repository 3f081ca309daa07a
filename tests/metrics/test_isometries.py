"""Isometries of Hessian manifolds to products of space forms."""

import copy

import numpy as np
import pytest

import geoflow as gf

POTENTIALS = gf.catalog.potentials
CLOSED = [
    ("simplex_entropy", 3), ("log_sum_exp", 3), ("gaussian_log_partition", 2), ("log_det_spd", 3),
    ("negative_entropy", 2), ("burg", 2), ("fermi_dirac", 2), ("hyperbolic_entropy", 2), ("quadratic_form", 3),
]  # fmt: skip


def equipped(R, metric, **options):
    space = copy.copy(R.domain)
    space.equip_with_metric(metric, potential=R, **options)
    return space.metric


def points(R, n, rng, bound=0.25):
    return R.domain.random_point(n, bound=bound, rng=rng)


@pytest.mark.parametrize("name, d", CLOSED)
def test_closed_geodesics_are_the_integrated_ones(name, d, rng):
    R = POTENTIALS[name](d)
    closed, numeric = R.metric, equipped(R, gf.HessianMetric, closed_forms=False)
    assert closed.isometry is not None and numeric.isometry is None
    w, y = points(R, 5, rng), points(R, 5, rng)
    u = rng.standard_normal(w.shape)
    v = closed.log(y, w)
    assert np.abs(numeric.log(y, w) - v).max() <= 1e-9 * (1 + np.abs(v).max())
    assert np.abs(numeric.exp(v, w) - y).max() < 1e-9 and np.abs(closed.exp(v, w) - y).max() < 1e-10
    assert np.abs(numeric.dist(w, y) - closed.dist(w, y)).max() < 1e-9
    moved = closed.parallel_transport(u, w, direction=v)
    assert np.abs(moved - numeric.parallel_transport(u, w, end_point=y)).max() <= 1e-8 * (1 + np.abs(moved).max())
    path = closed.geodesic(w, initial_tangent_vec=v)(np.array([0.0, 0.5, 1.0]))
    assert np.abs(path - numeric.geodesic(w, initial_tangent_vec=v)(np.array([0.0, 0.5, 1.0]))).max() < 1e-9


def test_affine_images_scalings_and_products_keep_closed_forms(rng):
    A = np.array([[1.0, 0.5], [-0.3, 2.0]])
    R = gf.product(3.0 * POTENTIALS["simplex_entropy"](2), POTENTIALS["gaussian_log_partition"](2).compose_affine(A))
    w, y = points(R, 4, rng, 0.1), points(R, 4, rng, 0.1)
    numeric = equipped(R, gf.HessianMetric, closed_forms=False)
    assert R.metric.isometry is not None
    assert np.abs(R.metric.log(y, w) - numeric.log(y, w)).max() < 1e-9
