"""Picard's iteration: as right as DOP853 in a fraction of its calls, up to where its steps would be short."""

import numpy as np
import pytest
from scipy.special import erf

from geoflow.errors import DomainError, UserCodeError
from geoflow.numerics import integrate
from geoflow.numerics.integrate import integrate_batch
from geoflow.numerics.picard import AT_ONCE, BETWEEN, LEAST_STEP, NODES, Picard, Rowwise, gauss
from geoflow.numerics.runs import Tolerances

START = np.array([[1.0, 2.0], [0.5, -0.1], [3e-3, 4.0]])


def turned(y):
    return np.stack([y[:, 1], -y[:, 0]], axis=1)


#: name: the field, and where it leads from START in unit time
FLOWS = {
    "rest": (lambda s, y: 0 * y, lambda y: y),
    "grows slowly": (lambda s, y: 0.3 * y, lambda y: np.exp(0.3) * y),
    "grows": (lambda s, y: 8 * y, lambda y: np.exp(8) * y),
    "decays": (lambda s, y: -12 * y, lambda y: np.exp(-12) * y),
    "turns": (lambda s, y: 20 * turned(y), lambda y: np.cos(20) * y + np.sin(20) * turned(y)),
    "of time": (lambda s, y: 9 * np.cos(9 * s) * y, lambda y: np.exp(np.sin(9)) * y),
    "has a pole at 1.25": (lambda s, y: 0.2 * y * y, lambda y: y / (1 - 0.2 * y)),
}


class Counted:
    """A field, its calls and the largest batch."""

    def __init__(self, field):
        self.calls, self.rows, self._field = 0, 0, field

    def __call__(self, s, y, *parameters):
        self.calls, self.rows = self.calls + 1, max(self.rows, len(y))
        return self._field(s, y, *parameters)


@pytest.mark.parametrize("name", FLOWS)
def test_closed_flows_take_a_fraction_of_the_calls(name):
    field, closed = FLOWS[name]
    one, other = Counted(field), Counted(field)
    end, stop = integrate_batch(Rowwise(one), START, 1e-12, 1e-14)
    plain, _ = integrate_batch(other, START, 1e-12, 1e-14)
    size, exact = np.linalg.norm(closed(START), axis=1, keepdims=True), closed(START)
    error, usual = (np.abs((found - exact) / size).max() for found in (end, plain))
    assert stop is None and error <= max(usual, 5e-13)
    assert 3 * one.calls < other.calls


@pytest.mark.parametrize("unit", [1e-150, 1e-6, 1e6, 1e150])
def test_units_change_no_digit_that_tolerances_ask_for(unit):
    field, closed = FLOWS["grows"]
    end, _ = integrate_batch(Rowwise(field), unit * START, 1e-12, 1e-14 * unit)
    assert np.allclose(end / unit, closed(START), rtol=5e-13, atol=0)


@pytest.mark.parametrize("rtol", [1e-4, 1e-8, 1e-12])
def test_errors_follow_the_tolerance(rtol):
    for field, closed in FLOWS.values():
        end, stop = integrate_batch(Rowwise(field), START, rtol, 1e-300)
        error = np.linalg.norm(end - closed(START), axis=1) / np.linalg.norm(closed(START), axis=1)
        assert stop is None and error.max() <= 30 * rtol


def test_every_row_has_its_own_parameter_and_time():
    rates = np.array([[0.5], [-3.0], [7.0]])
    end, _ = integrate_batch(Rowwise(lambda s, y, r: r * np.cos(s) * y, rates), START)
    assert np.allclose(end, START * np.exp(rates * np.sin(1.0)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("centre", np.linspace(0.05, 0.95, 10))
@pytest.mark.parametrize("width", [0.03, 0.005])
def test_a_bump_between_the_nodes_is_seen(centre, width):
    def field(s, y):
        return y + np.exp(-(((s - centre) / width) ** 2))

    # int e^(1 - s) e^(-((s - c) / w)^2) ds: a Gaussian about c - w^2 / 2
    shift = centre - width**2 / 2
    part = (erf((1 - shift) / width) + erf(shift / width)) / 2
    exact = 0.1 * np.e + part * np.sqrt(np.pi) * width * np.exp(1 - centre + width**2 / 4)
    end, _ = integrate_batch(Rowwise(field), np.array([[0.1]]))
    assert np.allclose(end, exact, rtol=1e-11)


def test_a_pole_is_reached_by_the_other_method_and_a_kink_is_right():
    def square(s, y):
        return y * y

    one, other = (integrate_batch(field, START[:1], 1e-10, 1e-12) for field in (Rowwise(square), square))
    assert one[1] is not None and abs(one[1].s - 0.5) < 1e-8 and one[1].entry == other[1].entry == 0
    with np.errstate(all="ignore"):
        reached, y = Picard(Rowwise(square), Tolerances(1e-10, 1e-12, 1)).advance(START[:1], START[:1] ** 2)
    assert LEAST_STEP < 0.5 - reached < 10 * LEAST_STEP
    assert np.allclose(y, START[:1] / (1 - reached * START[:1]), rtol=1e-9)
    end, stop = integrate_batch(Rowwise(lambda s, y: np.abs(s - 1 / 3) + 0 * y), START)
    assert stop is None and np.allclose(end, START + 1 / 18 + 2 / 9, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("error", [DomainError, UserCodeError, FloatingPointError, None])
def test_a_field_that_is_undefined_where_a_trial_leads_is_tried_nearer(error):
    def field(s, y):
        if error is not None and np.any(np.abs(y) > 5):
            raise error("y", "large", "at most 5", "less") if error is DomainError else error("y is too large")
        return np.where(np.abs(y) > 5, np.nan, -12 * y)

    picard = Picard(Rowwise(field), Tolerances(1e-12, 1e-14, 3))
    reached, y = picard.advance(START, -12 * START)  # the first guess goes to -11 times the start
    assert reached == 1 and np.allclose(y, np.exp(-12) * START, rtol=1e-9)


def test_a_field_of_another_error_is_not_tried_again():
    def field(s, y):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        integrate_batch(Rowwise(field), START)


def test_states_that_are_passed_lie_on_the_flow():
    seen = []
    integrate_batch(Rowwise(FLOWS["grows"][0]), START, passing=lambda s, y: seen.append((s, y)))
    times = [s for s, _ in seen]
    assert times == sorted(times) and times[-1] == 1 and 0 < times[0] < times[1] <= 1
    assert all(np.allclose(y, np.exp(8 * s) * START, rtol=1e-11) for s, y in seen)


@pytest.mark.parametrize("wall", [0.48, 0.5, 0.9955, 0.997, 0.9999])
@pytest.mark.parametrize("gap", [0.0, 1e-5])
def test_a_flow_does_not_arrive_beyond_a_wall(wall, gap):
    """y' = 1 up to a wall, and no velocity from there on; also one that slows down beside the end."""
    stop = integrate_batch(Rowwise(lambda s, y: np.where(y > wall + gap, np.nan, 1.0)), np.zeros((1, 1)))[1]
    assert stop is not None and abs(stop.s - wall - gap) < 1e-6
    stop = integrate_batch(Rowwise(lambda s, y: 1 + 1e-3 * y + 0 * np.log(wall - y)), np.zeros((1, 1)))[1]
    assert stop is not None and abs(stop.s - 1e3 * np.log1p(1e-3 * wall)) < 1e-6


@pytest.mark.parametrize("place", [1e-5, 3e-4, 0.9997, 0.99995])
def test_a_jump_beside_the_ends_of_a_step_is_seen(place):
    end, stop = integrate_batch(Rowwise(lambda s, y: np.where(s < place, 0.0, 1.0) + 0 * y), np.ones((1, 1)))
    assert stop is None and np.allclose(end, 2 - place, rtol=1e-10)


def test_large_batches_go_one_state_at_a_time():
    few, many = Counted(lambda s, y: y), Counted(lambda s, y: y)
    integrate_batch(Rowwise(few), np.ones((3, 2)))
    n = AT_ONCE // NODES
    integrate_batch(Rowwise(many), np.ones((n + 1, 1)))
    assert few.rows == 3 * (BETWEEN * (NODES + 1) + 2) and many.rows == n + 1


def test_what_is_left_is_integrated_from_where_steps_get_short(monkeypatch):
    """A jump at 0.7: Picard's steps lead up to it, and DOP853 begins there and not at 0."""
    begins, made = [], integrate.batchwise

    def watched(entries):
        def begin(rhs, s, *args, **options):
            begins.append(s)
            return made(entries)(rhs, s, *args, **options)

        return begin

    monkeypatch.setattr(integrate, "batchwise", watched)
    end, _ = integrate_batch(Rowwise(lambda s, y: y * np.where(s < 0.7, 1.0, 3.0)), START)
    assert len(begins) == 1 and 0.6 < begins[0] < 0.7
    assert np.allclose(end, START * np.exp(0.7 + 0.9), rtol=1e-11)


def test_integrals_are_exact_for_polynomials():
    method = gauss(5)
    x = method.nodes
    for p in range(5):
        assert np.allclose(method.integrals @ x**p, np.append(x, 1) ** (p + 1) / (p + 1), atol=1e-14)
        series = method.series @ x**p
        assert np.allclose(method.seen @ series, method.between**p, atol=1e-13)
        assert np.allclose(method.moved @ series, method.between ** (p + 1) / (p + 1), atol=1e-13)
