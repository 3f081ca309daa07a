"""How runs end: blow-up in finite time, overflow, kinks, and batches whose entries end one by one."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.integrate import Solver
from geoflow.numerics.runs import Problem, error_norm


def run(rhs, start, times, entries=1, **options):
    return Solver(**options).integrate(Problem(rhs, np.array(start, dtype=float), entries), np.atleast_1d(times))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_exponential_growth_is_no_blow_up(scale):
    """y' = y is y0 e^t: e^40 is more than 1e14 times the start, and e^1000 is no double."""
    found = run(lambda t, y: y, [scale], 40.0, atol=1e-20)
    assert found.status is gf.Status.SUCCESS and found.y[-1, 0] == pytest.approx(scale * np.exp(40), rel=1e-6)
    found = run(lambda t, y: y, [scale], 1000.0)
    assert found.status is gf.Status.OVERFLOW and found.t[-1] == pytest.approx(np.log(1e280 / scale), rel=1e-2)


def test_growth_of_growth_is_no_blow_up_and_slow_blow_up_is():
    """y' = y log y is e^{e^t}; y' = y^1.1 from 1 ends at t = 10."""
    found = run(lambda t, y: y * np.log(y), [2.0], 10.0)
    assert found.status is gf.Status.OVERFLOW and found.t[-1] == pytest.approx(
        np.log(280 * np.log(10) / np.log(2)), rel=1e-2
    )
    found = run(lambda t, y: y**1.1, [1.0], 20.0)
    assert found.status is gf.Status.BLOW_UP and found.t[-1] == pytest.approx(10.0, rel=1e-3)


@pytest.mark.parametrize("method", ["auto", "DOP853", "RK45", "Radau"])
def test_a_kink_along_which_a_flow_slides_is_said_soon(method):
    found = run(lambda t, y: np.r_[0.2 - np.sign(y[0]), -y[1]], [1.0, 1.0], 10.0, method=method)
    assert found.status is gf.Status.FAILURE and "kink" in found.message and found.t[-1] == pytest.approx(1.25)
    assert found.n_evaluations < 6000


def test_one_entry_that_ends_leaves_the_others_alone():
    """y' = y^2 from y0 is y0 / (1 - y0 t)."""
    start, times = np.array([1.0, 0.1, -1.0, 2.0]), np.linspace(0.0, 5.0, 11)
    found = run(lambda t, y: y**2, start, times, entries=4)
    assert found.statuses == [gf.Status.BLOW_UP, gf.Status.SUCCESS, gf.Status.SUCCESS, gf.Status.BLOW_UP]
    assert np.allclose(found.ends[[0, 3]], [1.0, 0.5], atol=1e-6) and np.isinf(found.ends[1:3]).all()
    fine = [1, 2]
    assert np.array_equal(found.t, times) and np.allclose(
        found.y[:, fine], start[fine] / (1 - start[fine] * times[:, None]), rtol=1e-6
    )
    before = times < 0.5
    assert np.allclose(found.y[before], start / (1 - start * times[before, None]), rtol=1e-6)
    assert found.status is gf.Status.BLOW_UP and "2 of 4" in found.message


def test_entries_at_the_edge_of_a_domain_end_and_all_may_end():
    """y' = -1 / y from y0 is sqrt(y0^2 - 2 t)."""
    found = run(lambda t, y: np.where(y > 0, -1 / y, np.nan), [1.0, 5.0, 2.0], np.linspace(0, 5, 11), entries=3)
    assert np.allclose(found.ends[[0, 2]], [0.5, 2.0], atol=1e-6) and found.statuses[1] is gf.Status.SUCCESS
    assert np.allclose(found.y[:, 1], np.sqrt(25 - 2 * found.t), rtol=1e-7)
    all_end = run(lambda t, y: y**2, [1.0, 2.0], np.linspace(0, 5, 11), entries=2)
    assert all_end.t[-1] == pytest.approx(1.0, abs=1e-6) and all(s is gf.Status.BLOW_UP for s in all_end.statuses)


def test_a_flow_keeps_the_entries_that_go_on():
    """x' = 2 x (x^2) for L = -w^2 / 2 and w = x^2: 1 / x^2 falls as 1 / x0^2 - 4 t."""
    G, x0 = gf.Parametrization(lambda x: x**2, 1, 1), np.array([[0.1], [1.0], [0.2]])
    flow = gf.gradient_flow(lambda w: -(w**2).sum() / 2, G, x0, np.linspace(0, 2, 5))
    assert flow.statuses.tolist() == ["success", "blow_up", "success"] and np.isnan(flow.w[1:, 1]).all()
    assert np.allclose(flow.w[:, [0, 2], 0], 1 / (1 / x0[[0, 2], 0] ** 2 - 4 * flow.t[:, None]), rtol=1e-7)
    assert np.isfinite(flow.loss[:, [0, 2]]).all() and not flow.success
    with pytest.raises(gf.ArgumentError, match="within"):
        flow.sol(2.1)


def test_the_norm_of_an_error_is_that_of_the_worst_entry():
    assert error_norm([np.array([[3.0, 4.0], [0.0, 1.0]])]) == pytest.approx(np.sqrt(12.5))
    both = error_norm([np.array([[1.0]]), np.array([[10.0]])])
    assert both == pytest.approx(1 / np.sqrt(2)) and error_norm([np.zeros((2, 1)), np.zeros((2, 1))]) == 0


def test_a_velocity_that_grows_without_bound_is_a_blow_up_and_a_singular_one_is_not():
    """x' = e^x from 0 ends at t = 1 with x at 36 still small; x' = 1 / (1 - x) ends at x = 1, at t = 1/2."""
    solver = Solver(rtol=1e-9)
    runs_away = solver.integrate(Problem(lambda s, y: np.exp(y), np.zeros(1)), np.array([0.0, 5.0]))
    assert runs_away.status is gf.Status.BLOW_UP and abs(runs_away.t[-1] - 1) < 1e-6
    singular = solver.integrate(Problem(lambda s, y: 1 / (1 - y), np.zeros(1)), np.array([0.0, 5.0]))
    assert singular.status is gf.Status.LEFT_DOMAIN and abs(singular.t[-1] - 0.5) < 1e-6
    root = solver.integrate(Problem(lambda s, y: 1 / np.sqrt(1 - y), np.zeros(1)), np.array([0.0, 5.0]))
    assert root.status is gf.Status.LEFT_DOMAIN and abs(root.t[-1] - 2 / 3) < 1e-6


def test_a_kink_reached_by_a_curved_map_is_told_after_some_thousand_evaluations():
    G = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2)
    found = gf.gradient_flow(lambda w: anp.sum(anp.abs(w - 0.3), axis=-1), G, [1.0, 1.0, 0.5, 0.2], 20.0)
    assert not found.success and "kink" in found.message and found.n_evaluations < 50_000


def test_a_state_that_rounding_moves_to_and_fro_is_not_followed_step_by_step():
    """LSODA takes the jumps of a field for a Lipschitz constant, and would need half a million steps."""
    found = run(lambda t, y: np.where(y > 0, -1e-16, 1e-16), [0.0], 1.0)
    assert found.status is gf.Status.SUCCESS and abs(found.y[-1, 0]) < 1e-14 and found.n_evaluations < 2000
    moves = run(lambda t, y: np.where(y > 0, -1e-16, 1e-16) + 1e-3, [0.0], 1.0)
    assert moves.y[-1, 0] == pytest.approx(1e-3)


def test_short_steps_that_were_asked_for_are_no_reason_to_leave_lsoda():
    """At rest, and stiff: DOP853 would need a step of 1e-4 all the way."""
    found = run(lambda t, y: -1e4 * (y - 1.0), [0.0], 100.0, max_step=1e-2)
    assert found.status is gf.Status.SUCCESS and found.y[-1, 0] == pytest.approx(1.0, rel=1e-9)
    assert found.n_evaluations < 15_000 and found.method == "LSODA"
