"""Losses that jump in time: each for its while, and both flows still one."""

import pickle

import numpy as np
import pytest

import geoflow as gf
from geoflow.flows.piecewise import TiltedLoss

RNG = np.random.default_rng(0)
LOSS = gf.LeastSquares(RNG.standard_normal((6, 2)), RNG.standard_normal(6))


def test_the_loss_of_each_time():
    parts = [gf.LeastSquares(LOSS.Z[k : k + 1], LOSS.y[k : k + 1]) for k in range(3)]
    loss = gf.PiecewiseLoss(parts, 0.5)
    w = np.array([0.3, -0.2])
    for t, k in ((0.0, 0), (0.49, 0), (0.5, 1), (1.2, 2), (9.0, 2), (-1.0, 0)):
        assert loss(w, t) == parts[k](w)


def test_batches_have_the_loss_as_their_mean():
    w, many = np.array([0.3, -0.2]), gf.PiecewiseLoss.minibatches(LOSS, 2, 20000, 1.0)
    values = [part(w) for part in many.losses]
    assert abs(np.mean(values) - LOSS(w)) < 4 * np.std(values) / np.sqrt(len(values))
    whole = gf.PiecewiseLoss.minibatches(LOSS, 6, 1, 1.0)
    assert np.isclose(whole(w, 0.0), LOSS(w), rtol=1e-14)
    again = gf.PiecewiseLoss.minibatches(LOSS, 2, 3, 1.0, seed=5)
    assert np.array_equal(again.losses[2].Z, gf.PiecewiseLoss.minibatches(LOSS, 2, 3, 1.0, seed=5).losses[2].Z)


def test_noise_is_added_to_the_gradient():
    noise, w = RNG.standard_normal((3, 2)), np.array([0.3, -0.2])
    loss = gf.PiecewiseLoss.noisy(LOSS, noise, 0.1)
    slope = gf.autodiff.jacobian(lambda v: loss(v, 0.15)[..., None])(w)[0]
    assert np.allclose(slope, LOSS.gradient(w) + noise[1], rtol=1e-13)


@pytest.mark.parametrize("name", ["hyperbolic", "square", "product"])
def test_noisy_gradient_flow_is_noisy_mirror_flow(name):
    case = gf.catalog.parametrizations[name](2)
    loss = gf.PiecewiseLoss.noisy(LOSS, np.random.default_rng(1).standard_normal((5, 2)), 0.03)
    defect, scale = gf.laws.piecewise_flow_is_mirror_flow(loss, case.parametrization, case.legendre, case.x0)
    assert defect <= 1e-7 * scale


def test_the_flow_is_that_of_its_pieces():
    """The jumps are not smeared: integrated piece by piece, each from the end of the one before."""
    case = gf.catalog.parametrizations["hyperbolic"](2)
    loss = gf.PiecewiseLoss.minibatches(LOSS, 2, 4, 0.05)
    whole = gf.gradient_flow(loss, case.parametrization, case.x0, 0.2, rtol=1e-11, atol=1e-13).unwrap()
    x = case.x0
    for part in loss.losses:
        x = gf.gradient_flow(part, case.parametrization, x, [0.0, 0.05], rtol=1e-11, atol=1e-13).unwrap().x[-1]
    assert np.abs(whole.x[-1] - x).max() < 1e-8 * np.abs(x - case.x0).max()


def test_bad_input():
    for losses in ([], [3.0]):
        with pytest.raises(gf.ArgumentError, match="losses"):
            gf.PiecewiseLoss(losses, 1.0)
    for duration in (0.0, -1.0):
        with pytest.raises(gf.ArgumentError, match="duration"):
            gf.PiecewiseLoss([LOSS], duration)
    with pytest.raises(gf.NotFiniteError):
        gf.PiecewiseLoss([LOSS], np.inf)
    with pytest.raises(gf.ShapeError):
        gf.PiecewiseLoss.noisy(LOSS, [1.0, 2.0], 1.0)
    with pytest.raises(gf.ArgumentError, match="size"):
        gf.PiecewiseLoss.minibatches(LOSS, 7, 2, 1.0)
    with pytest.raises(gf.ArgumentError, match="LeastSquares"):
        gf.PiecewiseLoss.minibatches(lambda w: 0.0, 2, 2, 1.0)


def test_pickles():
    loss = gf.PiecewiseLoss([TiltedLoss(LOSS, [1.0, 2.0])], 0.5)
    assert pickle.loads(pickle.dumps(loss))(np.ones(2), 0.1) == loss(np.ones(2), 0.1)
