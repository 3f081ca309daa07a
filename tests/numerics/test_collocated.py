"""Radau IIA of nine stages against closed forms: its matrices, its order, stiff flows, poles, kinks and boundaries."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import geoflow as gf
from benchmarks.induced import InducedProblem
from geoflow.numerics.collocated import STAGES, Collocation, radau
from geoflow.numerics.integrate import Solver
from geoflow.numerics.runs import COLLOCATION, LARGEST_COLLOCATED, Problem


class Field:
    """y' = f(y), its jacobian by complex steps, and how often each is asked for."""

    def __init__(self, f):
        self.f, self.batches, self.states, self.jacobians = f, 0, 0, 0

    def many(self, t, states):
        assert states.ndim == 2
        self.batches, self.states = self.batches + 1, self.states + len(states)
        return self.f(states)

    def one(self, t, y):
        self.states += 1
        return self.f(y[None])[0]

    def jacobian(self, t, y):
        self.jacobians += 1
        return self.f(y + 1e-30j * np.eye(len(y))).imag.T / 1e-30

    def problem(self, start):
        return Problem(self.one, np.asarray(start, dtype=float), jac=self.jacobian, velocities=self._together)

    def _together(self, states):
        return self.many(0.0, states)


def solved(field, span, start, rtol=1e-10, atol=1e-13, max_step=np.inf, **options):
    with np.errstate(all="ignore"):
        return solve_ivp(
            field.one, span, start, method=Collocation, rtol=rtol, atol=atol, jac=field.jacobian,
            velocities=field.many, max_step=max_step, **options,
        )  # fmt: skip


def test_the_matrices_are_those_of_the_literature():
    """Hairer, Wanner, Solving Ordinary Differential Equations II, tables IV.5.5 and IV.5.6."""
    two, three, root = radau(2), radau(3), np.sqrt(6)
    assert np.allclose(two.nodes, [1 / 3, 1], atol=1e-15)
    assert np.allclose(two.A, [[5 / 12, -1 / 12], [3 / 4, 1 / 4]], atol=1e-15)
    assert np.allclose(three.nodes, [(4 - root) / 10, (4 + root) / 10, 1], atol=1e-15)
    first = [(88 - 7 * root) / 360, (296 - 169 * root) / 1800, (-2 + 3 * root) / 225]
    assert np.allclose(three.A[0], first, atol=1e-15)
    assert np.allclose(three.A[2], [(16 - root) / 36, (16 + root) / 36, 1 / 9], atol=1e-15)


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 5, STAGES])
def test_the_weights_are_taken_apart_and_integrate_polynomials(stages, rng):
    method = radau(stages)
    assert np.allclose((method.back * method.shifts @ method.into).real, method.A, atol=1e-13)
    for k in range(stages):
        assert np.allclose(method.A @ method.nodes**k, method.nodes ** (k + 1) / (k + 1), atol=1e-13)
    for k in range(2 * stages - 1):  # the last row is of order 2 s - 1
        assert abs(method.A[-1] @ method.nodes**k - 1 / (k + 1)) < 1e-13
    assert abs(method.A[-1] @ method.nodes ** (2 * stages - 1) - 1 / (2 * stages)) > 1e-13


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10, 1e-13])
def test_a_stiff_linear_flow_is_solved_to_what_is_asked_in_few_batches(rtol):
    rates = np.array([1.0, 3.0, 30.0, 1e3, 1e4])
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    J, times = -turn * rates @ turn.T, np.array([0.0, 1e-6, 1e-4, 0.03, 1.0, 100.0])
    field, start = Field(lambda y: y @ J), np.ones(5)
    found = solved(field, (0, 100.0), start, rtol, 1e-3 * rtol, t_eval=times)
    exact = np.stack([expm(t * J) @ start for t in times], axis=1)
    assert found.success and np.abs(found.y - exact).max() < 10 * rtol + 1e-11  # rounding of J is 1e-12
    assert field.batches < 500 and field.jacobians < 200


def test_evaluations_come_nine_in_a_batch_and_batches_are_a_fraction_of_the_evaluations_of_lsoda():
    """van der Pol's equation, mu = 10, over two periods."""
    field = Field(lambda y: np.stack([y[:, 1], 10 * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], axis=1))
    start, span, plain = np.array([2.0, 0.0]), (0.0, 40.0), Field(field.f)
    found = solved(field, span, start)
    known = solve_ivp(plain.one, span, start, method="LSODA", rtol=1e-10, atol=1e-13, jac=plain.jacobian)
    sharp = solve_ivp(plain.one, span, start, method="DOP853", rtol=1e-13, atol=1e-15)
    error, theirs = (np.abs(one.y[:, -1] - sharp.y[:, -1]).max() for one in (found, known))
    assert found.success and error < 1e-10 and error < theirs < 1e-6
    assert 8 * field.batches <= field.states <= 9 * field.batches
    assert 3 * field.batches < known.nfev and found.nlu >= 5 * (len(found.t) - 1)


def test_between_its_steps_it_is_as_good_as_at_their_ends():
    """y' = y^2, with its pole at t = 1."""
    for rtol in (1e-5, 1e-8, 1e-11):
        found = solved(Field(lambda y: y**2), (0, 0.999), [1.0], rtol, 1e-3 * rtol, dense_output=True)
        s = np.linspace(0, 0.999, 5001)
        error = np.abs(found.sol(s)[0] * (1 - s) - 1)
        assert error.max() < 1e3 * 10 * rtol  # y(t) changes by 1e3 of its own relative error at the pole
        assert error[s < 0.5].max() < 10 * rtol


def test_no_step_is_longer_than_asked_and_the_last_one_ends_there():
    found = solved(Field(lambda y: -y), (0.0, 10.0), [1.0], max_step=0.37)
    assert np.diff(found.t).max() <= 0.37 * (1 + 1e-12) and found.t[-1] == 10.0
    assert abs(found.y[0, -1] - np.exp(-10)) < 1e-12


def test_a_flow_at_rest_stays_and_takes_few_steps():
    found = solved(Field(lambda y: 0 * y), (0.0, 1e6), [1.0, 0.0], atol=0.0)
    assert found.success and np.array_equal(found.y[:, -1], [1.0, 0.0]) and len(found.t) < 15


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_units_of_state_and_of_time_do_not_matter(size):
    """The logistic equation in other units, and where its time is another."""
    field = Field(lambda y: y * (size - y))
    found = solved(field, (0.0, 30 / size), [1e-6 * size], 1e-10, 1e-16 * size)
    exact = size / (1 + (1e6 - 1) * np.exp(-30.0))
    assert abs(found.y[0, -1] - exact) < 1e-7 * size and field.batches < 300


def test_kinks_cost_steps_and_no_digits():
    """y' = -1 above c, and -1 + 3 (c - y) below: from y = c on, c - y = (1 - e^(-3 s)) / 3.

    Where the kink lies before the first stage of a step, the velocity at the start tells of it: else 6e-8 is missed.
    """
    for c in np.linspace(0.2, 0.8, 13):
        field = Field(lambda y, c=c: -1 + 3 * np.where(y.real < c, c - y, 0.0))
        found = solved(field, (0.0, 2.0), [1.0])
        assert abs(found.y[0, -1] - (c - (1 - np.exp(-3 * (1 + c))) / 3)) < 1e-10 and field.batches < 1000


def test_steps_that_will_not_do_are_given_up_early_and_rounding_does_not_shorten_any():
    """nu' = y - Z grad Q(Z^T nu), stiff and at rest for most of its time; near a pole for L = 3."""

    def batches(L, rtol):
        p = InducedProblem(L, 10)
        field = Field(lambda nu: p.y - p.primal(nu @ p.Z) @ p.Z.T)
        found = solved(field, (0.0, p.t), np.zeros(len(p.y)), rtol, 1e-3 * rtol)
        assert found.success
        return field.batches

    assert batches(3, 1e-6) < 275  # 306 where every step that is tried is solved
    assert batches(2, 1e-13) < 500 and batches(2, 3e-14) < 1500  # 2,500 and 200,000 where rounding is an error


# in the solver ------------------------------------------------------------------------------------------------------


def test_the_solver_takes_it_where_states_are_answered_at_once():
    field = Field(lambda y: -y * np.arange(1, 4))
    times = np.array([0.0, 1.0, 5.0])
    found = Solver().integrate(field.problem(np.ones(3)), times)
    assert found.method == COLLOCATION and found.status is gf.Status.SUCCESS
    assert np.abs(found.y - np.exp(-times[:, None] * np.arange(1, 4))).max() < 1e-9
    assert found.n_evaluations == field.states
    asked = Solver(method="LSODA").integrate(field.problem(np.ones(3)), times)
    many = Solver().integrate(Field(lambda y: -y).problem(np.ones(LARGEST_COLLOCATED + 1)), times)
    assert asked.method == many.method == "LSODA"


def test_a_boundary_ends_it_as_it_ends_lsoda():
    """y' = -1 / (2 y): y = sqrt(1 - t), which ends at t = 1."""
    field = Field(lambda y: np.where(y.real > 0, -0.5 / np.where(y.real > 0, y, 1.0), np.nan))
    found = Solver().integrate(field.problem([1.0]), np.array([0.0, 0.5, 2.0]))
    plain = Solver().integrate(Problem(field.one, np.ones(1)), np.array([0.0, 0.5, 2.0]))
    assert found.status is plain.status is gf.Status.LEFT_DOMAIN
    assert abs(found.t[-1] - 1) < 1e-9 and abs(found.y[1, 0] - np.sqrt(0.5)) < 1e-8


def test_a_blow_up_is_told():
    found = Solver().integrate(Field(lambda y: y**2).problem([1.0]), np.array([0.0, 2.0]))
    assert found.status is gf.Status.BLOW_UP and abs(found.t[-1] - 1) < 1e-6


def test_evaluations_of_a_method_that_gives_up_are_counted_too():
    field = Field(lambda y: -y)

    def lost(states):
        return np.nan * field.many(0.0, states)

    found = Solver().integrate(
        Problem(field.one, np.ones(2), jac=field.jacobian, velocities=lost), np.array([0.0, 1.0])
    )
    assert found.method == "LSODA" and found.n_evaluations + 2 * field.jacobians >= field.states > field.batches > 5


def test_a_jacobian_that_is_no_number_is_left_to_other_methods():
    field = Field(lambda y: -y)
    problem = Problem(field.one, np.ones(1), jac=lambda t, y: np.full((1, 1), np.nan), velocities=lambda y: -y)
    found = Solver().integrate(problem, np.array([0.0, 1.0]))
    assert found.status is gf.Status.SUCCESS and found.method == "LSODA"
    assert abs(found.y[-1, 0] - np.exp(-1.0)) < 1e-8


@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("centre, width", [(0.3, 0.02), (0.77, 0.02), (0.714, 0.005)])
def test_a_bump_that_its_long_steps_go_over_is_seen(centre, width, remembers):
    """y' = -y (1 + 5 exp(-((y - c) / width)^2)); the last of them no stage falls into."""
    field = Field(lambda y: -y * (1 + 5 * np.exp(-(((y - centre) / width) ** 2))))
    problem = dataclasses.replace(field.problem([1.0]), remembers=remembers)
    found = Solver().integrate(problem, np.array([0.0, 2.0]))
    plain = Solver(method="DOP853", max_step=2e-3).integrate(Problem(field.one, np.ones(1)), np.array([0.0, 2.0]))
    assert found.method == COLLOCATION and abs(found.y[-1, 0] - plain.y[-1, 0]) < 1e-7
