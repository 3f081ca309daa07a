"""Gradient flow: accuracy, batches, stiffness, early ends with a status, and bad input to either flow."""

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.spd_matrices import (
    SPDEuclideanMetric,
    SPDMatrices,
)
from squares import a, entropy, square, x0

import geoflow as gf


def quadratic(w):
    return anp.sum((w - a) ** 2) / 2


def exact(t):
    """w' = -4 w (w - a): the logistic equation."""
    w0, t = x0**2, np.asarray(t)[..., None]
    return a / (1 + (a / w0 - 1) * np.exp(-4 * a * t))


@pytest.mark.parametrize("method", ["auto", "RK45", "DOP853", "Radau", "LSODA", "BDF"])
def test_gradient_flow_against_the_exact_solution(method):
    t = np.linspace(0, 3, 13)
    flow = gf.gradient_flow(quadratic, square, x0, t, method=method)
    assert flow.success and flow.status == "success" and flow.unwrap() is flow
    assert np.abs(flow.w - exact(t)).max() < 2e-6 if method == "BDF" else np.abs(flow.w - exact(t)).max() < 2e-7
    assert np.array_equal(flow.t, t) and np.array_equal(flow.x[0], x0)
    middle = np.array([0.123, 1.7])
    assert np.abs(flow(middle) - exact(middle)).max() < 2e-6


def test_tolerance_controls_the_error():
    t = np.linspace(0, 3, 13)
    errors = [np.abs(gf.gradient_flow(quadratic, square, x0, t, rtol=r, atol=1e-15).w - exact(t)).max()
              for r in (1e-4, 1e-7, 1e-10)]  # fmt: skip
    assert errors[0] > 30 * errors[1] > 900 * errors[2]


def test_mu_of_gradient_flow_is_minus_the_integral_of_the_gradient():
    flow = gf.gradient_flow(lambda w, t: anp.cos(3 * t) * w[0] + t * w[1], square, x0, np.linspace(0, 2, 9))
    assert np.allclose(flow.mu[:, 0], -np.sin(3 * flow.t) / 3, atol=1e-9)
    assert np.allclose(flow.mu[:, 1], -(flow.t**2) / 2, atol=1e-9)
    assert np.allclose(flow.w, x0**2 * np.exp(4 * flow.mu), rtol=1e-8)


def test_batches_of_starting_points(rng):
    starts = rng.uniform(0.5, 1.5, size=(2, 3, 2))
    t = np.array([0.4, 1.0])
    together = gf.gradient_flow(quadratic, square, starts, t)
    assert together.w.shape == (2, 2, 3, 2) and together.loss.shape == (2, 2, 3)
    alone = gf.gradient_flow(quadratic, square, starts[1, 2], t)
    assert np.allclose(together.w[:, 1, 2], alone.w, atol=1e-8)
    mirror = gf.mirror_flow(quadratic, entropy, starts**2, t, coordinates="w")
    assert np.allclose(mirror.w, together.w, atol=1e-7)


def test_a_stiff_flow_finishes():
    loss = gf.LeastSquares(np.diag([1e3, 1e-2]), np.array([1.0, 1.0]))
    flow = gf.gradient_flow(loss, square, x0, [0.0, 1.0, 100.0])
    assert flow.success and flow.method == "LSODA"
    assert abs(flow.w[-1, 0] - 1e-3) < 1e-8


def test_a_scalar_time_means_101_times():
    assert len(gf.gradient_flow(quadratic, square, x0, 2.0).t) == 101


def test_flows_that_end_early_keep_what_they_have():
    cube = gf.Parametrization(lambda x: x**3, 1, 1)
    t = np.linspace(0, 1, 101)
    flow = gf.gradient_flow(lambda w: -anp.sum(w), cube, [1.0], t)  # x' = 3 x^2 ends at t = 1/3
    assert flow.status is gf.Status.BLOW_UP and abs(flow.t[-1] - 1 / 3) < 1e-6
    assert np.allclose(flow.x[:-2, 0], 1 / (1 - 3 * flow.t[:-2]), rtol=1e-6)
    with pytest.raises(gf.ConvergenceError, match="blow_up"):
        flow.unwrap()
    with pytest.raises(gf.ArgumentError, match="dense output"):
        flow(0.9)
    logarithm = gf.Parametrization(anp.log, 1, 1)
    flow = gf.gradient_flow(lambda w: anp.sum(w), logarithm, [1.0], t)  # x^2 = 1 - 2 t
    assert flow.status is gf.Status.LEFT_DOMAIN and abs(flow.t[-1] - 0.5) < 1e-6
    not_steep = gf.LegendreFunction(lambda w: anp.sum(w**2, -1) / 2, gf.domains.Orthant(1))
    flow = gf.mirror_flow(lambda w: anp.sum(w), not_steep, [1.0], 2.0)  # w = 1 - t
    assert flow.status is gf.Status.LEFT_DOMAIN and abs(flow.t[-1] - 1) < 1e-6
    assert np.allclose(flow.w[:-1, 0], 1 - flow.t[:-1], atol=1e-9)


@pytest.mark.parametrize(
    "change, error, words",
    [
        ({"loss": lambda w: (w - 1) ** 2}, gf.ShapeError, "scalar"),
        ({"loss": 3.0}, gf.ArgumentError, "callable"),
        ({"loss": lambda w: anp.sum(anp.log(-w))}, gf.NotFiniteError, "loss"),
        ({"loss": gf.LeastSquares(np.ones((1, 3)), [1.0])}, gf.ShapeError, "3 columns"),
        ({"t": -1.0}, gf.ArgumentError, "positive"),
        ({"t": [-1.0, 1.0]}, gf.ArgumentError, "nonnegative"),
        ({"t": [1.0, 0.5]}, gf.ArgumentError, "increasing"),
        ({"t": [0.0, 0.0]}, gf.ArgumentError, "increasing"),
        ({"t": [[0.0, 1.0]]}, gf.ShapeError, "times"),
        ({"t": [0.0, np.nan]}, gf.NotFiniteError, "times"),
        ({"rtol": -1.0}, gf.ArgumentError, "rtol"),
        ({"method": "Euler"}, gf.ArgumentError, "LSODA"),
        ({"start": [1.0, 1.0, 1.0]}, gf.ShapeError, r"\[..., 2\]"),
        ({"start": [1.0, np.inf]}, gf.NotFiniteError, "inf"),
    ],
)
@pytest.mark.parametrize("flow", ["gradient", "mirror"])
def test_bad_input_is_named(flow, change, error, words):
    call = {"loss": quadratic, "start": x0, "t": 1.0, **change}
    function, geometry = (gf.gradient_flow, square) if flow == "gradient" else (gf.mirror_flow, entropy)
    with pytest.raises(error, match=words):
        function(call.pop("loss"), geometry, call.pop("start"), call.pop("t"), **call)


def spd(n, metric):
    space = SPDMatrices(n, equip=False)
    space.equip_with_metric(metric)
    return space


def test_a_flow_that_leaves_the_cone_stops_there():
    G = gf.Parametrization(lambda X: X[..., 0, :1], spd(2, SPDEuclideanMetric), 1)
    flow = gf.gradient_flow(lambda w: w[0], G, np.eye(2), 2.0)  # x_11 falls at rate 1 and is 0 at t = 1
    assert flow.status is gf.Status.LEFT_DOMAIN and abs(flow.t[-1] - 1) < 1e-3
    with pytest.raises(gf.DomainError, match="ends before"):
        gf.joint_flow(G, np.eye(2), [-2.0])


def test_a_well_that_a_long_step_goes_over_is_seen_on_a_curved_manifold_too():
    width, sphere = 0.005, gf.Parametrization(lambda x: x[..., :1], Hypersphere(2), 1)

    def loss(w):
        return -0.1 * w[0] - width * anp.exp(-(((w[0] - 0.5) / width) ** 2))

    flow = gf.gradient_flow(loss, sphere, [0.0, 0.6, 0.8], [0, 8.0], rtol=1e-4, method="DOP853")
    assert flow.success and abs(flow.w[-1, 0] - 0.50025) < 1e-5  # it would rest at 0.9993 had it gone over


def test_a_start_at_the_origin_of_coordinates_asks_for_no_absolute_accuracy_there():
    """x(0) = F(1, 0, 1) is 0 but for rounding, and says nothing of how large x is on its way."""
    F = gf.realize(gf.catalog.potentials["log_det_spd"]())
    start, target = F.embedding([1.0, 0.0, 1.0]), np.array([1.1, 0.1, 0.9])
    assert np.abs(start).max() < 1e-12
    flow = gf.gradient_flow(lambda w: anp.sum((w - target) ** 2) / 2, F.parametrization, start, [0, 1.0])
    assert flow.success and flow.n_evaluations < 500


@pytest.mark.parametrize("starts", [1, 2, 3000])
def test_a_velocity_that_no_step_is_short_enough_for_is_told(starts):
    flow = gf.gradient_flow(lambda w: 1e300 * anp.sum(w, -1), square, np.ones((starts, 2)), [0, 1.0])
    assert flow.status == gf.Status.FAILURE and "velocity of 2.0e+300" in flow.message and flow.t[-1] == 0
    assert np.array_equal(flow.w[-1], np.ones((starts, 2))) and flow.sol(0.0).shape == (starts, 2)


def test_a_loss_that_overflows_is_no_blow_up():
    """x' = x log x: x = exp(log(2) e^t), finite at every time, and its square no number from 1e154 on."""
    line = gf.Parametrization(lambda x: x, 1, 1)
    flow = gf.gradient_flow(lambda w: -anp.sum(w**2 * anp.log(w) / 2 - w**2 / 4), line, [2.0], [0, 20.0], rtol=1e-6)
    assert flow.status == gf.Status.OVERFLOW and flow.w[-1, 0] > 1e150
    assert np.isclose(np.log(flow.w[-1, 0]), np.log(2) * np.exp(flow.t[-1]), rtol=1e-4)
