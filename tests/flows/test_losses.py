"""Losses and their gradients."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.flows.losses import LinearModelLoss, LinearSchedule, PointwiseLoss, as_schedule, trajectory_of
from geoflow.numerics.integrate import Solver
from geoflow.numerics.runs import Problem


def test_losses_and_their_gradients(rng):
    Z, y = rng.standard_normal((5, 3)), np.array([1.0, -1, 1, 1, -1])
    w = rng.standard_normal((2, 4, 3))
    for loss in (gf.LeastSquares(Z, y), gf.LogisticLoss(Z, y)):
        assert loss(w).shape == (2, 4)
        assert np.allclose(loss.gradient(w), gf.autodiff.jacobian(loss)(w), atol=1e-13)
        z = w @ Z.T
        second = np.einsum("...ii->...i", gf.autodiff.hessian(loss.link)(z))
        assert np.allclose(loss.link_hessian(z), second, atol=1e-13)
    with pytest.raises(gf.ArgumentError, match="labels"):
        gf.LogisticLoss(Z, (y + 1) / 2)
    with pytest.raises(gf.ShapeError):
        gf.LeastSquares(Z, y[:3])
    with pytest.raises(gf.NotFiniteError):
        gf.LeastSquares(Z * np.nan, y)


def test_a_schedule_is_a_function_a_number_or_one():
    assert as_schedule(None, True)(3.0) == 1.0 and as_schedule(0.5, True)(3.0) == 0.5
    assert as_schedule(lambda t: np.float64(t**2), True)(3.0) == 9.0
    assert as_schedule(None, False)(0.0) == 1.0
    with pytest.raises(gf.ArgumentError, match="without a regularizer"):
        as_schedule(0.5, False)
    with pytest.raises(gf.ArgumentError, match="a number"):
        as_schedule([0.5, 0.5], True)
    with pytest.raises(gf.NotFiniteError):
        as_schedule(np.nan, True)


def test_a_linear_schedule_has_pulses_of_integral_one(rng):
    forces = rng.standard_normal((3, 2))
    loss = LinearSchedule(forces)
    t = np.linspace(0, 3, 3001)
    pulse = np.stack([loss.force(s) for s in t])
    assert np.allclose(np.trapezoid(pulse, t, axis=0), forces.sum(axis=0), atol=1e-5)
    assert np.allclose(pulse[[0, 1000, 2000, 3000]], 0, atol=1e-12)  # it rests between the pulses
    assert np.allclose(loss.force(1.5), forces[1] * 30 / 16)
    assert (loss.force(-1.0) == 0).all() and np.allclose(loss.force(7.0), 0)
    w = rng.standard_normal(2)
    assert np.allclose(loss(w, 0.3), -w @ loss.force(0.3)) and np.allclose(loss.gradient(w, 0.3), -loss.force(0.3))
    with pytest.raises(gf.ShapeError, match="forces"):
        LinearSchedule([1.0, 2.0])


@pytest.mark.parametrize(
    "loss, time_dependent",
    [
        (lambda w: anp.sum(w**2), False),
        (lambda w, t: anp.sum(w**2) * (1 + t), True),
        (lambda w, t=0.0: anp.sum(w**2) * (1 + t), True),
        (lambda w, scale=1.0: scale * anp.sum(w**2), False),
        (gf.LeastSquares(np.eye(2), [0.0, 0.0]), False),
        (LinearSchedule([[1.0, 2.0]]), True),
    ],
)
def test_a_loss_is_called_with_the_time_where_it_takes_one(loss, time_dependent, rng):
    pointwise, w, h = PointwiseLoss(loss, 2), rng.standard_normal((3, 2)), 1e-6
    assert pointwise.time_dependent is time_dependent
    pointwise.require_scalar(w[0], 0.5)
    values, gradients = pointwise.value(w, 0.5), pointwise.gradient(w, 0.5)
    assert values.shape == (3,) and gradients.shape == (3, 2)
    for k, e in enumerate(h * np.eye(2)):
        slope = (pointwise.value(w + e, 0.5) - pointwise.value(w - e, 0.5)) / (2 * h)
        assert np.allclose(gradients[:, k], slope, atol=1e-8)
    assert (np.abs(pointwise.value(w, 0.7) - values).max() > 1e-3) == time_dependent


def test_a_gradient_of_the_loss_itself_is_believed(rng):
    class Wrong:
        def __call__(self, w):
            return anp.sum(w**2)

        def gradient(self, w):
            return 7 * np.ones(2)

    assert (PointwiseLoss(Wrong(), 2).gradient(rng.standard_normal((3, 2)), 0.0) == 7).all()


def test_a_solution_becomes_a_trajectory_in_w():
    found = Solver().integrate(Problem(lambda t, y: -y, np.array([0.0, 1.0])), np.linspace(0, 1, 5))
    loss = PointwiseLoss(lambda w: anp.sum(w), 2)
    flow = trajectory_of(found, loss, np.exp, mu=found.y)
    assert isinstance(flow, gf.Trajectory) and flow.success and flow.x is None and flow.method == found.method
    assert np.array_equal(flow.w, np.exp(found.y)) and np.allclose(flow.loss, flow.w.sum(-1))
    assert np.allclose(flow([0.25, 0.5])[:, 1], np.exp(np.exp([-0.25, -0.5])), rtol=1e-7)


def test_a_model_without_a_link_is_no_loss():
    with pytest.raises(NotImplementedError):
        LinearModelLoss(np.eye(2), [1.0, 1.0])([1.0, 1.0])


def test_a_loss_that_takes_batches_is_called_once_and_one_that_does_not_point_by_point(rng):
    calls = []
    A = rng.standard_normal((3, 3))

    def batched(w):
        calls.append(w.shape)
        return anp.sum((w - 1) ** 2, axis=-1)

    losses = [
        batched,
        lambda w: anp.sum((w - 1) ** 2),  # sums over the batch
        lambda w: anp.sum((A @ w) ** 2),  # fits a batch of three, and is wrong there
        lambda w, t: anp.sum(w**2, axis=-1) * t,
        lambda w: anp.maximum(0.0, 1.0 - anp.sum(w)),  # linear near a point, and sums over the batch
        lambda w: anp.abs(anp.sum(w) - 1),
    ]
    for loss in losses:
        pointwise, w = PointwiseLoss(loss, 3), rng.standard_normal((3, 3))
        alone = [PointwiseLoss(loss, 3).gradient(p[None], 2.0)[0] for p in w]
        assert np.allclose(pointwise.gradient(w, 2.0), alone, rtol=1e-12)
        assert np.allclose(pointwise.value(w, 2.0), [PointwiseLoss(loss, 3).value(p[None], 2.0)[0] for p in w])
    pointwise = PointwiseLoss(batched, 3)
    pointwise.gradient(rng.standard_normal((50, 3)), 0.0)
    calls.clear()
    pointwise.gradient(rng.standard_normal((50, 3)), 0.0)
    assert len(calls) == 1


def test_a_gradient_of_a_subclass_is_the_one_that_is_used(rng):
    class Doubled(gf.LeastSquares):
        def gradient(self, w):
            return 2 * super().gradient(w)

    Z, y, w = rng.standard_normal((2, 3)), rng.standard_normal(2), rng.standard_normal((4, 3))
    once = PointwiseLoss(gf.LeastSquares(Z, y), 3).gradient(w, 0.0)
    assert np.allclose(PointwiseLoss(Doubled(Z, y), 3).gradient(w, 0.0), 2 * once)
