"""Features of a field that are shorter than a step: seen inside the steps, and integrated over with shorter ones."""

import autograd.numpy as anp
import numpy as np
import pytest
from scipy.integrate import quad

import geoflow as gf
from geoflow.numerics import integrate
from geoflow.numerics.integrate import Solver
from geoflow.numerics.runs import Problem, Run
from geoflow.numerics.unseen import gap, overlooked

TIMES = np.array([0.0, 2.0])
WAY = 1 - np.exp(-2.0)


def speed(y, centre, width):
    return y * (1 + 5 * np.exp(-(((y - centre) / width) ** 2)))


def problem(centre, width, calls):
    def rhs(t, y):
        calls.append(t)
        return -speed(y, centre, width)

    return Problem(rhs, np.array([1.0]))


def time_error(found, centre, width):
    """By how much the time that a flow takes to where it ended is not the integral of 1 / speed."""
    end = float(found.y[-1, 0])
    near = [p for p in (centre - 3 * width, centre, centre + 3 * width) if end < p < 1]
    taken = quad(lambda y: 1 / speed(y, centre, width), end, 1, points=near or None, epsabs=1e-11, epsrel=1e-11)[0]
    return abs(taken - TIMES[-1])


@pytest.mark.parametrize("method", ["LSODA", "DOP853", "RK45", "Radau", "BDF"])
def test_every_feature_wider_than_the_gap_is_seen_wherever_it_is(method):
    plain = Run(problem(0.5, 1e-300, []), (1e-9, 1e-12), method, np.inf).run(TIMES)
    assert overlooked(problem(0.5, 1e-300, []), plain, 1e-9, 1e-12)[0] is None
    width = gap(plain) * WAY / 4.6  # the bump is more than the part that is looked for over 4.7 widths
    for centre in np.random.default_rng(0).uniform(0.25, 0.9, 8 if method in ("LSODA", "DOP853") else 2):
        calls = []
        found = Solver(method=method).integrate(problem(centre, width, calls), TIMES)
        assert found.status is gf.Status.SUCCESS and time_error(found, centre, width) < 1e-6
        assert found.n_evaluations == len(calls)


def test_a_flow_without_features_costs_a_tenth_more_and_is_the_same():
    for method in ("LSODA", "DOP853", "Radau"):
        plain = Run(problem(0.5, 1e-300, []), (1e-9, 1e-12), method, np.inf).run(TIMES)
        found = Solver(method=method).integrate(problem(0.5, 1e-300, []), TIMES)
        assert plain.n_evaluations < found.n_evaluations <= 1.1 * plain.n_evaluations + 4
        assert np.array_equal(found.y, plain.y)


def test_a_wall_in_a_loss_far_from_the_start_stops_the_flow():
    G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2)
    x0, target = np.array([1.0, 0.7, 0.5, 0.3]), np.array([3.0, -2.0])
    centre = gf.gradient_flow(lambda w: anp.sum((w - target) ** 2) / 2, G, x0, 1.0).sol(0.1)

    def loss(w):
        bump = anp.exp(-anp.sum((w - centre) ** 2) / 2 / 0.006**2)
        return anp.sum((w - target) ** 2) / 2 + 0.018 * bump

    times = [0.0, 0.05, 0.1, 0.2]
    found, plain = (gf.gradient_flow(f, G, x0, times) for f in (loss, lambda w: anp.sum((w - target) ** 2) / 2))
    exact = gf.gradient_flow(loss, G, x0, times, max_step=0.0005)
    assert np.abs(found.w - exact.w).max() < 1e-7 and found.status is gf.Status.SUCCESS
    assert np.abs(found.w - plain.w).max() > 1e-3


def test_a_band_where_the_field_has_no_value_is_not_stepped_over():
    def rhs(t, y):
        return np.where(np.abs(y - 0.5) < 0.02, np.nan, -y)

    assert Solver().integrate(Problem(rhs, np.array([1.0])), TIMES).status is gf.Status.LEFT_DOMAIN


def test_what_is_not_mended_is_told(monkeypatch):
    monkeypatch.setattr(integrate, "LOOKS", 0)
    found = Solver().integrate(problem(0.7242, 0.0038, []), TIMES)
    assert found.status is gf.Status.SUCCESS and "pass a shorter max_step" in found.message
    assert time_error(found, 0.7242, 0.0038) > 1e-3  # by the steps alone
    monkeypatch.undo()
    assert time_error(Solver().integrate(problem(0.7242, 0.0038, []), TIMES), 0.7242, 0.0038) < 1e-6


def test_an_implicit_method_whose_jacobian_breaks_has_a_status():
    """scipy's raise a ValueError where the jacobian by differences reaches over the edge of the domain."""
    case = gf.catalog.parametrizations["spd_euclidean"](2)
    loss = gf.LeastSquares(np.random.default_rng(0).standard_normal((1, 2)), [1.0])
    ends = []
    for method in ("Radau", "auto"):
        found = gf.gradient_flow(loss, case.parametrization, case.x0, 5.0, method=method)
        assert found.status is not gf.Status.SUCCESS and np.isfinite(found.w).all()
        ends.append(found.t[-1])
    assert abs(ends[0] - ends[1]) < 1e-2
    with pytest.raises(gf.NotFiniteError, match="jacobian of the flow"):
        Solver(method="Radau").integrate(Problem(lambda t, y: np.where(y == 1, -1.0, np.nan), np.array([1.0])), TIMES)


def test_an_untold_jump_in_time_is_integrated_by_every_method():
    exact = np.exp(-0.7123) + 5 * (2 - 0.7123)
    for method in ("auto", "Radau", "BDF", "RK45"):
        found = Solver(method=method).integrate(
            Problem(lambda t, y: np.where(t < 0.7123, -y, np.full(1, 5.0)), np.array([1.0])), TIMES
        )
        assert found.status is gf.Status.SUCCESS and abs(found.y[-1, 0] - exact) < 1e-7
