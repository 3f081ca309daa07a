"""Flows and descents that stop where a figure is small, and the statuses that say so."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.flows.until import as_until

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0, R = CASE.parametrization, CASE.x0, CASE.legendre
W0 = G(X0)
LOSS = gf.LeastSquares([[1.0, 0.5], [0.3, -1.0]], [0.4, 0.2])
SQUARE = gf.LegendreFunction(lambda w: (w**2).sum(-1) / 2, 1, name="square")
HALF = gf.LeastSquares([[1.0]], [0.0])
RUNS = {
    "gradient flow": lambda until: gf.gradient_flow(LOSS, G, X0, np.linspace(0, 20, 401), until=until),
    "mirror flow": lambda until: gf.mirror_flow(LOSS, R, W0, np.linspace(0, 20, 401), until=until),
    "gradient descent": lambda until: gf.gradient_descent(LOSS, G, X0, 0.05, 400, until=until),
    "mirror descent": lambda until: gf.mirror_descent(LOSS, R, W0, 0.05, 400, until=until),
    "natural gradient descent": lambda until: gf.natural_gradient_descent(LOSS, R, W0, 0.05, 400, until=until),
    "an induced R": lambda until: gf.mirror_descent(LOSS, gf.mirror_map(G, X0), W0, 0.05, 400, until=until),
}


@pytest.mark.parametrize("name", list(RUNS))
@pytest.mark.parametrize(
    "until, status, figure",
    [
        ({"loss": 1e-6}, "small_loss", lambda run: [float(LOSS(w)) for w in run.w]),
        ({"gradient": 1e-4}, "small_gradient", lambda run: np.linalg.norm(LOSS.gradient(run.w), axis=-1)),
        ({"change": 1e-4}, "small_change",
         lambda run: np.r_[np.inf, np.linalg.norm(np.diff(run.w, axis=0), axis=1) / np.linalg.norm(run.w[1:], axis=1)]),
    ],
)  # fmt: skip
def test_each_stops_at_its_first_point_below_a_bound(name, until, status, figure):
    run, whole = RUNS[name](until), RUNS[name](None)
    found, [bound] = np.asarray(figure(run)), until.values()
    assert run.status is gf.Status(status) and run.success and run.unwrap() is run
    assert found[-1] <= bound and (found[:-1] > bound).all()
    k = len(run.t)
    assert 2 < k < len(whole.t) and np.array_equal(run.w, whole.w[:k]) and np.array_equal(run.t, whole.t[:k])
    assert np.array_equal(run.mu, whole.mu[:k]) and np.array_equal(run.loss, whole.loss[:k])
    assert run.x is None or np.array_equal(run.x, whole.x[:k])
    assert np.allclose(run(run.t[-1]), run.w[-1], rtol=1e-8) and f"at most {bound:g}" in run.message
    with pytest.raises(gf.ArgumentError, match="dense output"):
        run(whole.t[-1])


@pytest.mark.parametrize("name", list(RUNS))
def test_what_is_never_met_is_no_success(name):
    run = RUNS[name]({"loss": 1e-300, "gradient": 1e-300})
    assert run.status is gf.Status.UNTIL_NOT_MET and not run.success and len(run.t) == 401
    assert "not 1e-300" in run.message and not run.status.early
    with pytest.raises(gf.ConvergenceError, match="more steps"):
        run.unwrap()


def test_the_time_of_a_stop_is_that_of_the_closed_form():
    """w' = -w: |w| falls below a bound at log(1 / bound)."""
    times = np.linspace(0, 10, 1001)
    run = gf.mirror_flow(HALF, SQUARE, [1.0], times, until={"gradient": 1e-3})
    assert run.t[-1] == times[np.searchsorted(times, np.log(1e3))]
    steps = gf.mirror_descent(HALF, SQUARE, [1.0], 0.5, 100, until={"gradient": 1e-3})
    assert len(steps.t) - 1 == 10 == steps.n_evaluations  # 2^-10 < 1e-3 < 2^-9
    at_once = gf.mirror_descent(HALF, SQUARE, [1e-4], 0.5, 100, until={"gradient": 1e-3})
    assert at_once.t.tolist() == [0.0] and at_once.success
    assert gf.mirror_flow(HALF, SQUARE, [1e-4], 1.0, until={"gradient": 1e-3}).t.tolist() == [0.0]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_bounds_have_the_units_of_the_loss(scale):
    run = gf.mirror_flow(HALF, SQUARE, [scale], np.linspace(0, 10, 101), until={"loss": 1e-4 * scale**2 / 2})
    assert abs(run.t[-1] - np.log(100.0)) <= 0.1 and run.success


def test_the_first_of_several_is_named():
    both = {"gradient": 1e-2, "loss": 1e-12}
    assert gf.mirror_flow(HALF, SQUARE, [1.0], 50.0, until=both).status is gf.Status.SMALL_GRADIENT
    assert gf.mirror_flow(HALF, SQUARE, [1.0], 50.0, until={**both, "loss": 1.0}).status is gf.Status.SMALL_LOSS


def test_every_point_of_a_batch_ends_by_itself():
    starts, times = np.array([[[1.0], [10.0]], [[100.0], [1e-9]]]), np.linspace(0, 20, 201)
    run = gf.mirror_flow(HALF, SQUARE, starts, times, until={"gradient": 1e-3})
    ends = np.maximum(np.ceil(np.log(starts[..., 0] / 1e-3) / 0.1) * 0.1, 0.0)
    assert abs(run.t[-1] - ends.max()) < 1e-9 and (run.statuses == "small_gradient").all() and run.success
    for index in np.ndindex(2, 2):
        alive = run.t <= ends[index] + 1e-9
        for figure in (run.w[..., 0], run.mu[..., 0], run.loss):
            assert np.array_equal(np.isfinite(figure[(slice(None), *index)]), alive)
    assert np.array_equal(np.isfinite(run(float(ends[0, 1]))[..., 0]), ends >= ends[0, 1])
    mixed = gf.mirror_flow(HALF, SQUARE, starts, np.linspace(0, 9, 91), until={"gradient": 1e-3})
    assert mixed.status is gf.Status.UNTIL_NOT_MET and "2 of 4" in mixed.message
    assert mixed.statuses.tolist() == [["small_gradient", "until_not_met"], ["until_not_met", "small_gradient"]]


def test_a_flow_that_ends_early_keeps_its_status_unless_it_met_a_bound_before():
    """L = -w^3 / 3: w' = w^2 blows up at t = 1; the loss falls below -1/3 from the start on."""

    def loss(w):
        return -(w[..., 0] ** 3) / 3

    assert gf.mirror_flow(loss, SQUARE, [1.0], 2.0, until={"gradient": 1e-3}).status is gf.Status.BLOW_UP
    met = gf.mirror_flow(loss, SQUARE, [1.0], np.linspace(0, 2, 21), until={"loss": -1.0})
    assert met.status is gf.Status.SMALL_LOSS and 0.3 < met.t[-1] < 0.5
    both = gf.mirror_flow(loss, SQUARE, [[1.0], [-1.0]], 2.0, until={"gradient": 0.2})
    assert both.statuses.tolist() == ["blow_up", "small_gradient"] and both.status is gf.Status.BLOW_UP


def test_on_a_curved_manifold_and_of_matrices():
    case = gf.catalog.parametrizations["sphere_squares"](2)
    loss = gf.LeastSquares([[1.0, 0.5]], [0.6])
    run = gf.gradient_flow(loss, case.parametrization, case.x0, 100.0, until={"loss": 1e-6})
    assert run.status is gf.Status.SMALL_LOSS and run.x.shape == (len(run.t), 3)


@pytest.mark.parametrize(
    "until, words",
    [
        ({}, "loss, gradient or change"), ({"losses": 1e-3}, "losses"), (1e-8, "dict"), ("loss", "dict"),
        ({"loss": np.nan}, "finite"), ({"loss": [1e-3]}, "number"), ({"gradient": 0.0}, "positive"),
        ({"change": -1.0}, "positive"), ({"gradient": True}, "positive"), ({"loss": "1"}, "number"),
        ({"loss": None}, "loss"), ({1: 2}, "'1'"),
    ],
)  # fmt: skip
def test_bounds_that_are_none_are_named(until, words):
    for name in ("gradient flow", "mirror flow", "mirror descent"):
        with pytest.raises((gf.ArgumentError, gf.NotFiniteError), match=words):
            RUNS[name](until)


def test_bounds_as_numbers():
    assert as_until(None) == {} and as_until({"change": 1, "loss": -2}) == {"loss": -2.0, "change": 1.0}
