"""Time-dependent fields: jumps and pulses are found, and what steps are allowed around them."""

from itertools import pairwise

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.integrate import Solver
from geoflow.numerics.intervals import NONE, features, stretches
from geoflow.numerics.runs import Problem


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_jumps_are_found_to_rounding_in_any_units(scale, size):
    at = np.array([0.1234567, 3.3333, 9.9]) * scale

    def field(t):
        return size * np.array([np.cos(t / scale) + (t > at[0]) - 2 * (t > at[1]), 3.0 * (t >= at[2])])

    found = features(field, np.array([0.0, 10.0]) * scale)
    assert np.allclose(found.jumps, at, rtol=1e-11, atol=1e-11 * scale)


def test_a_smooth_field_has_no_jumps_and_few_more_times():
    found = features(lambda t: np.array([np.sin(t)]), np.linspace(0.0, 1.0, 101))
    assert found.jumps == [] and len(found.times) == 101
    assert len(features(lambda t: np.array([1.0]), np.array([0.0, 1.0])).times) == 65


def test_a_pulse_that_is_seen_gets_steps_shorter_than_itself():
    found = features(lambda t: np.array([np.exp(-(((t - 5.01) / 0.01) ** 2))]), np.array([0.0, 10.0]))
    near = [s for s in stretches(np.array([0.0, 10.0]), np.zeros(0), found, np.inf) if s.begin < 5.01 <= s.end]
    assert found.jumps == [] and near[0].max_step < 0.01


@pytest.mark.parametrize("last", [1e-3, 10.0, 1e5])
def test_a_pulse_of_a_250th_of_the_time_is_seen_and_the_steps_elsewhere_stay_long(last):
    def pulse(t):
        return np.array([1.0 if 0.5007 < t / last < 0.5048 else 0.0])

    ends = np.array([0.0, last])
    found = features(pulse, ends)
    assert np.allclose(found.jumps, np.array([0.5007, 0.5048]) * last, rtol=1e-9)
    steps = [part.max_step / last for part in stretches(ends, np.zeros(0), found, np.inf)]
    assert len(found.times) < 80 and steps[0] > 1 / 70 and steps[-1] > 1 / 400


def test_stretches_cover_the_time_and_end_at_breakpoints():
    parts = stretches(np.array([0.0, 4.0]), np.array([-1.0, 1.0, 3.0, 9.0]), NONE, 0.5)
    assert [(p.begin, p.end, p.final) for p in parts] == [(0, 1, False), (1, 3, False), (3, 4, True)]
    assert all(p.max_step == 0.5 for p in parts)
    found = features(lambda t: np.array([t]), np.r_[np.linspace(0, 1, 101), 100.0])
    parts = stretches(np.array([0.0, 100.0]), np.zeros(0), found, np.inf)
    assert parts[0].begin == 0 and parts[-1].end == 100 and all(a.end == b.begin for a, b in pairwise(parts))
    assert parts[0].max_step == pytest.approx(0.01) and parts[-1].max_step == pytest.approx(99 / 64, rel=0.1)


def box(t):
    return np.array([1000.0 if 5 < t < 5.001 else 0.0])


@pytest.mark.parametrize("method", ["auto", "DOP853", "RK45", "Radau"])
def test_a_pulse_is_integrated_where_it_is_told_or_seen(method):
    """The integral of a box of area 1; it is stepped over where nobody says anything, and that is the broken case."""
    problem = Problem(lambda t, y: box(t), np.zeros(1), drive=box)
    solver, ends = Solver(method=method, rtol=1e-6), np.array([0.0, 10.0])
    assert solver.integrate(problem, ends).y[-1] == 0
    told = Solver(method=method, rtol=1e-6, breakpoints=[5.0, 5.001]).integrate(problem, ends)
    seen = solver.integrate(problem, np.unique(np.r_[0.0, 10.0, np.linspace(4.99, 5.01, 101)]))
    assert np.allclose([told.y[-1], seen.y[-1]], 1.0, rtol=1e-9)
    assert np.allclose(told.dense(np.array([4.0, 5.0005, 7.0]))[:, 0], [0, 0.5, 1], atol=1e-6)
    if method == "Radau":  # scipy's does not get across a jump that it has not been told of, and says so
        return
    short = Solver(method=method, rtol=1e-6, max_step=5e-4).integrate(Problem(lambda t, y: box(t), np.zeros(1)), ends)
    assert abs(short.y[-1, 0] - 1) < 1e-2


@pytest.mark.parametrize("options", [{"max_step": 0.0}, {"max_step": np.nan}, {"breakpoints": [[1.0]]}])
def test_what_is_no_step_and_no_time_is_refused(options):
    with pytest.raises(gf.ArgumentError):
        Solver(**options)
    with pytest.raises(gf.NotFiniteError):
        Solver(breakpoints=[np.nan])
