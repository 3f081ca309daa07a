"""Gradient flow against mirror flow, integrated separately."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import direct as verify
from geoflow.theorems import laws

LOSSES = ("quadratic", "logistic", "time-dependent")


# closed forms exist for the first three; the last three have none
INDUCED = ("square", "hyperbolic", "sphere_squares", "power_difference", "quadratic", "matrix_sensing")


@pytest.mark.parametrize("name", INDUCED)
def test_with_r_induced_numerically(name):
    case = gf.catalog.parametrizations[name](2)
    losses = verify.standard_losses(case, np.random.default_rng(1))
    for loss_name in LOSSES:
        report = gf.verify_equivalence(losses[loss_name], case.parametrization, case.x0, np.linspace(0, 2, 21))
        assert report.gap <= 1e-7 and report.lift_gap <= 1e-8, (loss_name, str(report))


def test_at_default_tolerances():
    case = gf.catalog.parametrizations["cube"](5)
    t = np.linspace(0, 2, 21)
    for loss in verify.standard_losses(case, np.random.default_rng(0)).values():
        flow = gf.gradient_flow(loss, case.parametrization, case.x0, t)
        mirror = gf.mirror_flow(loss, case.legendre, case.parametrization(case.x0), t)
        assert np.abs(flow.w - mirror.w).max() <= 1e-7 * np.abs(flow.w - flow.w[0]).max()


def test_the_wrong_potential_is_found_out():
    """Mirror flow of another R is not the gradient flow; the report says so."""
    case, wrong = gf.catalog.parametrizations["square"](2), gf.catalog.parametrizations["cube"](2)
    loss = verify.standard_losses(case, np.random.default_rng(0))["quadratic"]
    w0 = case.parametrization(case.x0)
    R = gf.catalog.coordinatewise.power_legendre(3)(w0)
    report = gf.verify_equivalence(loss, case.parametrization, case.x0, 1.0, legendre=R)
    assert not report and report.gap > 1e-2
    assert laws.equivalence_gap(report)[0] > 1e-2
    with pytest.raises(gf.CheckError, match="gap"):
        report.unwrap()
    # a gradient flow of another map does not satisfy the dual law either
    assert wrong.parametrization.check_commuting(case.x0)


def test_a_report_of_flows_that_stop_compares_what_both_have():
    """Squares and a loss that pushes w to 0: both flows go on; with cubes pushed outward both blow up."""
    cube = gf.catalog.parametrizations["cube"](1)
    report = gf.verify_equivalence(lambda w: -w[0], cube.parametrization, cube.x0, 2.0, legendre=cube.legendre)
    assert not report and set(report.failures) & {"gradient flow", "mirror flow"}
    with pytest.raises(gf.ConvergenceError):
        report.unwrap()
    assert len(report.gap_over_time) < 101 and report.gap_over_time[:10].max() < 1e-6


def test_options_reach_both_integrations():
    case = gf.catalog.parametrizations["hyperbolic"](2)
    loss = gf.LeastSquares([[1.0, 0.5]], [0.4])
    sharp, coarse = (
        gf.verify_equivalence(loss, case.parametrization, case.x0, 1.0, case.legendre, **options)
        for options in ({}, {"rtol": 1e-4, "atol": 1e-6, "method": "RK45"})
    )
    assert sharp and sharp.gap < 1e-9 and coarse.gap > 100 * sharp.gap
    assert coarse.gradient_flow.method == coarse.mirror_flow.method == "RK45"
    assert not gf.verify_equivalence(loss, case.parametrization, case.x0, 1.0, case.legendre, tol=1e-16)


def test_a_map_outside_the_theorem_has_no_report():
    case = gf.catalog.noncommuting["parabola"]()
    with pytest.raises(gf.NotCommutingError):
        gf.verify_equivalence(lambda w: w[0], case.parametrization, case.x0, 1.0)


@pytest.mark.parametrize("off", [0.0, 1e-15, -2e-15])
def test_a_flow_that_stands_still_is_shown_to(off, rng):
    G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2)
    for _ in range(3):
        x0, Z = rng.uniform(0.3, 1.0, 4), rng.standard_normal((1, 2))
        assert gf.verify_equivalence(gf.LeastSquares(Z, Z @ G(x0) * (1 + off)), G, x0, t=1.0)
    assert gf.verify_equivalence(lambda w: 1.0, G, x0, t=1.0)
