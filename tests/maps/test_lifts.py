"""The two motions of points: lifted along curves in w, and pushed by covectors, in coordinates that suit both."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.maps import lifts
from geoflow.maps.lifts import Lifted, joint_motion, joint_rate, lift_along, log_like
from geoflow.numerics.integrate import integrate_batch

SQUARE = gf.Parametrization(lambda x: x**2, 2, 2)


def test_lifts_of_segments_are_known_for_squares(rng):
    """x = sqrt w and mu = log(w / w0) / 4."""
    w0, w = rng.uniform(0.5, 1.5, (2, 4, 2))
    end, stop = lift_along(SQUARE.kernel, Lifted(np.sqrt(w0), np.zeros((4, 2))), w - w0)
    assert stop is None
    assert np.allclose(end.x, np.sqrt(w), rtol=1e-11) and np.allclose(
        end.mu, np.log(w / w0) / 4, rtol=1e-10, atol=1e-12
    )
    curve, stop = lift_along(SQUARE.kernel, Lifted(np.sqrt(w0)), lambda s: 2 * s * (w - w0))  # the same end, faster
    assert stop is None and curve.mu is None and np.allclose(curve.x, np.sqrt(w), rtol=1e-11)


def test_a_weight_changes_mu_and_not_x():
    """With l' = w_1' / w_1 the weight is e^l = w_1 / w0_1, and mu_1' = e^l w_1' / (4 w_1) = w_1' / (4 w0_1)."""
    w0, w = np.array([[0.5, 1.0]]), np.array([[1.5, 1.0]])
    state = Lifted(np.sqrt(w0), np.zeros((1, 2)), np.zeros(1))
    end, stop = lift_along(
        SQUARE.kernel, state, w - w0, one_form=lambda x: np.stack([1 / x[:, 0] ** 2, 0 * x[:, 0]], -1)
    )
    assert stop is None
    assert np.allclose(end.x, np.sqrt(w), rtol=1e-11)
    assert np.allclose(end.mu, [[0.5, 0.0]], atol=1e-11) and np.allclose(end.log_weight, np.log(3.0), rtol=1e-11)


def test_a_lift_past_the_edge_says_where_it_ends():
    """Squares do not reach w < 0: from w = 1 towards -1 the lift ends half way."""
    x = np.ones((2, 2))
    velocity = np.array([[0.5, 0.5], [0.0, -2.0]])
    _, stop = lift_along(SQUARE.kernel, Lifted(x), velocity)
    assert stop.entry == 1 and abs(stop.s - 0.5) < 1e-6


def test_the_joint_rate_integrates_q_along(rng):
    """Q(mu) = sum (exp(4 mu) - 1) w0 / 4 for squares."""
    x0, mu = np.array([[1.0, 0.5]]), np.array([[0.3, -0.2]])
    end, stop = integrate_batch(joint_rate(SQUARE.kernel, mu), np.concatenate([x0, [[0.0]]], axis=1))
    assert stop is None and np.allclose(end[:, :2], x0 * np.exp(2 * mu), rtol=1e-11)
    assert np.allclose(end[:, 2], (x0**2 * (np.exp(4 * mu) - 1) / 4).sum(), rtol=1e-11)


def test_a_joint_motion_is_the_joint_flow_and_says_where_it_ends(rng):
    """x = x0 e^{2 mu} for squares; for cubes it ends where 3 x0 mu = 1."""
    x, mu = rng.uniform(0.5, 1.5, (3, 2)), rng.standard_normal((3, 2))
    end, stop = joint_motion(SQUARE.kernel, x, mu, 1e-12, 1e-14)
    assert stop is None and np.allclose(end, x * np.exp(2 * mu), rtol=1e-11)
    cube = gf.Parametrization(lambda x: x**3, 2, 2).kernel
    _, stop = joint_motion(cube, np.ones((2, 2)), np.array([[0.1, 0.1], [0.5, 0.1]]), 1e-10, 1e-12)
    assert stop is not None and stop.entry == 1 and abs(stop.s - 2 / 3) < 1e-6


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e6])
def test_growth_by_any_factor_takes_as_many_evaluations(size, monkeypatch):
    """Squares from `size` to 1000 times that, and back: in logarithmic coordinates the flow is a straight line."""
    calls, kernel = [], gf.Parametrization(lambda x: x**2, 3, 3).kernel
    pullback = kernel.pullback
    monkeypatch.setattr(kernel, "pullback", lambda x, mu: calls.append(1) or pullback(x, mu))
    x, mu = size * np.array([[1.0, -1.0, 0.0]]), np.log(1000) / 2 * np.array([[1.0, -1.0, 1.0]])
    end, stop = joint_motion(kernel, x, mu, 1e-12, 1e-14)
    assert stop is None and np.allclose(end, x * np.exp(2 * mu), rtol=1e-9)
    assert len(calls) < 300
    monkeypatch.setattr(lifts, "GROWS", np.inf)
    calls_of_linear = len(calls)
    calls.clear()
    joint_motion(kernel, x, mu, 1e-12, 1e-14)
    assert len(calls) > calls_of_linear


def test_coordinates_are_logarithmic_where_blocks_grow_and_undone_exactly(rng):
    kernel = gf.Parametrization(lambda x: x[..., :2] ** 2 - x[..., 2:] ** 2, 4, 2).kernel
    x = np.array([[1e-4, 0.5, -2e-4, 0.7]])
    assert log_like(kernel, x, np.array([[0.1, 0.2]])) is None
    chart = log_like(kernel, x, np.array([[9.0, 0.1]]))
    assert (
        np.allclose(chart.width[0, [0, 2]], 1e-3 * np.exp(-9) * np.array([1e-4, 2e-4]))
        and (chart.width[0, [1, 3]] > 10).all()
    )
    assert np.allclose(chart.point(chart.of(x)), x, rtol=1e-13, atol=0)
    v, h = rng.standard_normal((1, 4)), 1e-6
    numeric = (chart.of(x * (1 + h * v)) - chart.of(x * (1 - h * v))) / (2 * h)
    assert np.allclose(chart.rate(x, x * v), numeric, rtol=1e-7)
