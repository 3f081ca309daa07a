"""Isometries of Hessian manifolds to products of space forms."""

import copy

import numpy as np
import pytest

import geoflow as gf
from geoflow.metrics.isometries import isometry

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


@pytest.mark.parametrize(
    "R, curvatures",
    [
        (POTENTIALS["negative_entropy"](2), (0.0,)),
        (POTENTIALS["simplex_entropy"](3), (0.25,)),
        (4.0 * POTENTIALS["simplex_entropy"](3), (0.0625,)),
        (POTENTIALS["log_sum_exp"](2), (0.25,)),
        (POTENTIALS["gaussian_log_partition"](2), (-0.5,)),
        (POTENTIALS["log_det_spd"](3), (0.0, -0.5)),
        (POTENTIALS["burg"](2).tilt([1.0, 2.0]), (0.0,)),
        (POTENTIALS["simplex_entropy"](2).compose_affine(0.5, 0.1), (0.25,)),
        (gf.product(POTENTIALS["simplex_entropy"](2), POTENTIALS["burg"](1)), (0.25, 0.0)),
    ],
    ids=lambda v: getattr(v, "name", str(v)),
)
def test_an_isometry_pulls_the_inner_product_back_to_the_hessian(R, curvatures, rng):
    phi, w = isometry(R), R.domain.random_point(5, bound=0.1, rng=rng)
    assert np.allclose([form.curvature for form in phi.forms], curvatures, rtol=1e-14)
    J, weights = phi.jacobian(w), np.concatenate(phi.each("weights", phi.forward(w)), axis=-1)
    assert np.allclose(np.einsum("nDi,nD,nDj->nij", J, weights, J), R.hessian(w), rtol=1e-9, atol=1e-11)
    assert np.allclose(phi.inverse(phi.forward(w)), w, rtol=1e-9)
    h = 1e-5 * rng.standard_normal(w.shape) * np.abs(w)
    assert np.allclose(
        np.einsum("nDi,ni->nD", J, h), (phi.forward(w + h) - phi.forward(w - h)) / 2, rtol=1e-4, atol=1e-12
    )


def test_what_has_no_known_isometry_says_so():
    quartic = POTENTIALS["quartic"](2)
    for R in (quartic, 2 * quartic, quartic.tilt([0.0, 0.0]), quartic.compose_affine(2.0), gf.product(quartic, quartic),
              quartic + quartic, POTENTIALS["polytope_barrier"](2),
              POTENTIALS["log_sum_exp"](3).compose_affine([[1.0], [1.0], [0.0]])):  # fmt: skip
        assert isometry(R) is None
