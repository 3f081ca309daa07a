"""Integration that ends with a verdict: blow-up, the edge of a domain, budgets, and batches over unit time."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics import integrate, runs
from geoflow.numerics.integrate import Solver, integrate_batch, unit_time_flow
from geoflow.numerics.runs import Problem

TIMES = np.linspace(0.0, 2.0, 21)


@pytest.mark.parametrize("method", ["auto", "RK45", "DOP853", "Radau"])
def test_a_flow_that_ends_in_infinity(method):
    """y' = y^2 from 1 is 1 / (1 - t)."""
    found = Solver(method=method).integrate(Problem(lambda t, y: y**2, np.array([1.0])), TIMES)
    assert found.status is gf.Status.BLOW_UP and abs(found.t[-1] - 1) < 1e-6
    assert np.array_equal(found.t[:-1], TIMES[found.t[-1] > TIMES]) and np.isfinite(found.y).all()
    early = found.t < 0.95
    assert np.allclose(found.y[early, 0], 1 / (1 - found.t[early]), rtol=1e-5)


def test_a_flow_that_reaches_the_edge_of_its_domain():
    """y' = -1 / y from 1 is sqrt(1 - 2 t): log y has no value beyond t = 1/2."""

    def rhs(t, y):
        return np.where(y > 0, -1 / y, np.nan)

    found = Solver().integrate(Problem(rhs, np.array([1.0])), TIMES)
    assert found.status is gf.Status.LEFT_DOMAIN and abs(found.t[-1] - 0.5) < 1e-6
    assert np.allclose(found.y[:-1, 0], np.sqrt(1 - 2 * found.t[:-1]), rtol=1e-7)

    def raises(t, y):
        if not y[0] > 0:
            raise gf.DomainError("outside")
        return -np.ones(1)

    found = Solver().integrate(Problem(raises, np.array([1.0])), TIMES)  # y = 1 - t
    assert found.status is gf.Status.LEFT_DOMAIN and abs(found.t[-1] - 1) < 1e-6


def test_a_flow_that_exists_reaches_the_last_time_and_has_dense_output():
    found = Solver().integrate(Problem(lambda t, y: -y, np.array([1.0, 2.0])), TIMES)
    assert found.status is gf.Status.SUCCESS and np.array_equal(found.t, TIMES)
    assert np.allclose(found.y, np.exp(-TIMES)[:, None] * [1, 2], rtol=1e-7)
    between = np.array([0.123, 1.7])
    assert found.dense(between).shape == (2, 2) and found.dense(0.3).shape == (2,)
    assert np.allclose(found.dense(between), np.exp(-between)[:, None] * [1, 2], rtol=1e-6)
    start = Solver().integrate(Problem(lambda t, y: -y, np.array([3.0])), np.array([0.0]))
    assert start.status is gf.Status.SUCCESS and start.y.tolist() == [[3.0]] and start.n_evaluations == 0


def test_a_field_that_takes_too_many_evaluations_is_given_up(monkeypatch):
    monkeypatch.setattr(runs, "MAX_EVALUATIONS", 200)
    found = Solver(method="DOP853").integrate(Problem(lambda t, y: np.cos(1e4 * t) * y, np.array([1.0])), TIMES)
    assert found.status is gf.Status.FAILURE and "200 evaluations" in found.message and found.t[-1] < 2


def test_a_start_without_a_velocity_is_an_error():
    with pytest.raises(gf.NotFiniteError, match="starting point"):
        Solver().integrate(Problem(lambda t, y: np.log(y), np.array([-1.0])), TIMES)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"method": "Euler"}, "LSODA"),
        ({"rtol": 0.0}, "rtol > 0"),
        ({"rtol": float("nan")}, "rtol > 0"),
        ({"atol": -1e-9}, "atol >= 0"),
    ],
)
def test_a_solver_refuses_what_is_no_tolerance_and_no_method(options, words):
    with pytest.raises(gf.ArgumentError, match=words):
        Solver(**options)


def test_a_sharper_solver_is_the_same_with_smaller_tolerances():
    sharp = Solver(rtol=1e-4, atol=1e-6, method="RK45").sharper(0.25)
    assert sharp == Solver(rtol=0.25e-4, atol=0.25e-6, method="RK45")


def test_a_batch_is_integrated_in_one_solve(rng):
    start, rates = rng.uniform(0.5, 2, (2, 3, 4)), rng.uniform(-1, 1, (2, 3, 1))
    end = unit_time_flow(lambda x: rates.reshape(6, 1) * x, start, 1e-12, 1e-14, "flow")
    assert np.allclose(end, np.exp(rates) * start, rtol=1e-11)
    empty = unit_time_flow(lambda x: x, np.zeros((0, 2)), 1e-12, 1e-14, "flow")
    assert empty.shape == (0, 2)


@pytest.mark.parametrize("entry", [(0, 0), (1, 2)])
def test_the_entry_that_ends_a_batch_is_named(entry):
    """x' = x^2 ends at s = 1 / x0."""
    start = np.full((2, 3, 1), 0.1)
    start[entry] = 4.0
    with pytest.raises(gf.DomainError, match="flow of squares ends") as caught:
        unit_time_flow(lambda x: x**2, start, 1e-12, 1e-14, "flow of squares")
    assert caught.value.index == entry and abs(caught.value.s - 0.25) < 1e-6 and str(entry) in str(caught.value)
    with pytest.raises(gf.DomainError) as caught:
        unit_time_flow(lambda x: x**2, np.array([2.0]), 1e-12, 1e-14, "flow")
    assert caught.value.index == () and "batch entry" not in str(caught.value)


def test_a_batch_with_no_velocity_at_its_start_stops_there():
    start = np.array([[1.0], [-1.0]])
    end, stop = integrate_batch(lambda s, x: np.log(x), start)
    assert np.array_equal(end, start) and stop.s == 0 and stop.entry == 1 and stop.index((2,)) == (1,)


def test_noise_above_the_tolerance_is_a_convergence_error(rng):
    with pytest.raises(gf.ConvergenceError, match="steps to s"):
        integrate_batch(lambda s, x: 1 + 1e-6 * rng.standard_normal(x.shape), np.ones((1, 2)))


def test_large_states_are_integrated_explicitly_and_their_dense_output_keeps_no_steps(monkeypatch):
    monkeypatch.setattr(integrate, "LARGEST_IMPLICIT", 3)
    monkeypatch.setattr(runs, "LARGEST_DENSE", 3)
    rates = np.array([1.0, 2.0, 3.0, 4.0])
    found = Solver().integrate(Problem(lambda t, y: -rates * y, np.ones(4)), TIMES)
    assert found.method == "DOP853" and found.status is gf.Status.SUCCESS
    assert np.allclose(found.y, np.exp(-TIMES[:, None] * rates), rtol=1e-7)
    between = np.array([[0.0, 0.123], [1.7, 2.0]])
    assert np.allclose(found.dense(between), np.exp(-between[..., None] * rates), rtol=1e-7)
    ends = Solver().integrate(Problem(lambda t, y: y**2, np.array([0.1, 0.2, 0.3, 1.0])), TIMES)
    assert ends.status is gf.Status.BLOW_UP and abs(ends.t[-1] - 1) < 1e-6 and ends.y.shape == (len(ends.t), 4)
    at_once = Solver().integrate(Problem(lambda t, y: 1e3 * y**2, np.ones(4)), np.array([0.5, 1.0]))
    assert at_once.status is gf.Status.BLOW_UP and at_once.y.shape == (1, 4)


def test_one_hard_entry_among_many_easy_ones_meets_the_tolerance():
    """The mean over the batch would hide its error by the square root of the batch."""
    frequencies = np.r_[60.0, np.full(9999, 0.01)]

    def worst(entries):
        problem = Problem(lambda t, y: frequencies * np.cos(frequencies * t), np.zeros(10000), entries)
        found = Solver(rtol=1e-6, atol=1e-6, method="DOP853").integrate(problem, np.array([0.0, 1.0]))
        return abs(found.y[-1, 0] - np.sin(60.0)), found.n_evaluations

    (diluted, few), (met, more) = worst(1), worst(10000)
    assert met < 1e-6 < diluted and more > few


@pytest.mark.parametrize("name", ["rtol", "atol", "max_step"])
def test_options_that_are_no_numbers_are_named(name):
    with pytest.raises(gf.ArgumentError, match=f"{name}.*wanted a number"):
        Solver(**{name: "a"})
