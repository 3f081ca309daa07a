"""Integrated geodesics: exp against log, energy, transport, and geodesics that leave the domain."""

import copy

import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

POTENTIALS = gf.catalog.potentials
CLOSED = [
    ("simplex_entropy", 3), ("log_sum_exp", 3), ("gaussian_log_partition", 2), ("log_det_spd", 3),
    ("negative_entropy", 2), ("burg", 2), ("fermi_dirac", 2), ("hyperbolic_entropy", 2), ("quadratic_form", 3),
]  # fmt: skip
OPEN = [("quartic", 2), ("logistic_regression", 2), ("soft_max_affine", 2)]


def equipped(R, metric, **options):
    space = copy.copy(R.domain)
    space.equip_with_metric(metric, potential=R, **options)
    return space.metric


def points(R, n, rng, bound=0.25):
    return R.domain.random_point(n, bound=bound, rng=rng)


@pytest.mark.parametrize("name, d", CLOSED + OPEN)
def test_exp_log_energy_and_transport(name, d, rng):
    R = POTENTIALS[name](d)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w, y = points(R, 4, rng), points(R, 4, rng)
    v = metric.log(y, w)
    u = rng.standard_normal(w.shape)
    for law, arguments, tol in [
        (laws.exp_inverts_log, (metric, y, w), 1e-7),
        (laws.energy_is_constant, (metric, v, w), 1e-9),
        (laws.transport_is_isometry, (metric, u, w, v), 1e-9),
    ]:
        defect, scale = law(*arguments)
        assert defect <= tol * scale, law.__name__


def test_geomstats_euler_steps_fail_the_laws_that_ours_pass(rng):
    from geomstats.numerics.geodesic import ExpODESolver
    from geomstats.numerics.ivp import GSIVPIntegrator

    R = POTENTIALS["gaussian_log_partition"](2)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w, y = np.array([[0.0, -1.0]]), np.array([[1.0, -0.5]])
    metric.exp_solver = ExpODESolver(metric.domain, GSIVPIntegrator(n_steps=100))  # selectable, and coarse
    defect, scale = laws.exp_inverts_log(metric, y, w)
    assert defect > 1e-4 * scale
    defect, scale = laws.energy_is_constant(metric, metric.log(y, w), w)
    assert defect > 1e-4 * scale
    # plain vectors are not transported by leaving them alone
    metric.parallel_transport = lambda u, w, direction: u
    defect, scale = laws.transport_is_isometry(metric, np.ones((1, 2)), w, y - w)
    assert defect > 1e-2 * scale


def test_geodesics_that_leave_the_domain_are_refused_not_reflected():
    for name, w, v in [
        ("simplex_entropy", [0.3, 0.3], [-3.0, 0.0]),
        ("simplex_entropy", [0.3, 0.3], [-9.0, 0.0]),  # a great circle that has come back inside
        ("negative_entropy", [0.5, 0.5], [-3.0, 0.0]),
    ]:
        R = POTENTIALS[name](2)
        for metric in (R.metric, equipped(R, gf.HessianMetric, closed_forms=False)):
            with pytest.raises(gf.DomainError, match="geodesic leaves the domain"):
                metric.exp(np.array(v), np.array(w))
    metric = POTENTIALS["simplex_entropy"](2).metric
    with pytest.raises(gf.DomainError):
        metric.log([0.9, 0.9], [0.3, 0.3])
    with pytest.raises(gf.ShapeError):
        metric.exp([1.0, 2.0, 3.0], [0.3, 0.3])
    with pytest.raises(gf.ArgumentError, match="exactly one"):
        metric.parallel_transport([0.1, 0.1], [0.3, 0.3])
