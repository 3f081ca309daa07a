"""Horizontal lifts, and leaves of commuting maps: restriction to them, and lifts of batches."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.lifts import LeafKernel, Lifted, joint_rate, lift_along, pushed
from geoflow.numerics.integrate import integrate_batch
from geoflow.theorems import laws

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0 = CASE.parametrization, CASE.x0
W = CASE.reach(3, np.random.default_rng(0))


def test_leaves_keep_the_function():
    case = gf.catalog.parametrizations["hyperbolic"](1)
    one, x0 = case.parametrization, case.x0
    w = one(x0) + np.array([0.2])
    defect, scale = laws.leaf_keeps_legendre(one, x0, w)
    assert defect <= 1e-9 * scale
    leaf = G.on_leaf(X0)
    assert leaf.dim == 2 and leaf.check_commuting(W).defect < 1e-8
    assert np.allclose(leaf.cometric(W), G.cometric(gf.mirror_map(G, X0).lift(W)), rtol=1e-9)
    other = X0 * np.array([1.0, 1.0, 0.5, 1.0])  # on another leaf, another function at the same w
    assert np.abs(G.on_leaf(other).cometric(W) - leaf.cometric(W)).max() > 1e-3


def test_a_leaf_of_another_start_fails_the_law(monkeypatch):
    case = gf.catalog.parametrizations["hyperbolic"](1)
    moved = case.x0 * np.array([1.0, 0.5])
    on_leaf = gf.Parametrization.on_leaf
    monkeypatch.setattr(gf.Parametrization, "on_leaf", lambda G, x0: on_leaf(G, moved))
    defect, scale = laws.leaf_keeps_legendre(case.parametrization, case.x0, case.parametrization(case.x0) + 0.1)
    assert defect > 1e-2 * scale


SQUARE = gf.Parametrization(lambda x: x**2, 2, 2)


def test_a_push_is_the_pullback_of_its_covector(rng):
    x, mu = rng.uniform(0.5, 1.5, (3, 2)), rng.standard_normal((3, 2))
    assert np.allclose(pushed(SQUARE.kernel, mu)(x), 2 * x * mu, rtol=1e-14)


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


def test_lift_or_nan_is_nan_only_at_the_entries_out_of_reach():
    leaf = SQUARE.leaf([1.0, 1.0])
    w = np.array([[0.5, 2.0], [-1.0, 1.0], [2.0, 0.3], [1.0, -3.0]])
    with pytest.raises(gf.DomainError):
        leaf.lift(w)
    for batch in (w, w.reshape(2, 2, 2)):
        found = leaf.lift_or_nan(batch)
        assert found.x.shape == batch.shape and found.Q.shape == batch.shape[:-1]
        fine = (batch > 0).all(axis=-1)
        for part in (found.x, found.mu, found.Q[..., None]):
            assert np.array_equal(np.isfinite(part).all(axis=-1), fine) and np.array_equal(
                np.isnan(part).any(-1), ~fine
            )
        assert np.allclose(found.x[fine], np.sqrt(batch[fine]), rtol=1e-10)
        assert np.allclose(found.mu[fine], np.log(batch[fine]) / 4, rtol=1e-10)
    assert np.isnan(leaf.lift_or_nan(w[1]).x).all() and leaf.lift_or_nan(w[1]).Q.shape == ()
    assert np.allclose(leaf.lift_or_nan(w[0]).mu, np.log(w[0]) / 4, rtol=1e-10)


def test_a_lift_is_remembered_and_what_is_given_out_can_be_changed(rng):
    leaf, w = SQUARE.leaf([1.0, 1.0]), rng.uniform(0.5, 2, (3, 2))
    first = leaf.lift(w)
    first.x[:] = 0.0
    assert np.allclose(leaf.lift(w).x, np.sqrt(w), rtol=1e-10)


def test_a_follower_continues_from_its_last_point(rng):
    follow = SQUARE.leaf([1.0, 1.0]).follower()
    for w in np.linspace([[1.0, 1.0]], [[3.0, 0.2]], 8):
        assert np.allclose(follow(w), np.sqrt(w), rtol=1e-9)
    assert np.isnan(follow(np.array([[-1.0, 1.0]]))).all()
    assert np.allclose(follow(np.array([[2.9, 0.3]])), np.sqrt([[2.9, 0.3]]), rtol=1e-9)


def test_the_kernel_of_a_leaf_has_the_cometric_of_the_map(rng):
    leaf = SQUARE.leaf([1.0, 1.0])
    kernel, w, v = LeafKernel(leaf), rng.uniform(0.5, 2, (4, 2)), rng.standard_normal((4, 3, 2))
    assert np.array_equal(kernel.value(w), w)
    assert np.allclose(kernel.gradients(w), 4 * w[..., None] * np.eye(2), rtol=1e-9, atol=1e-12)
    assert np.allclose(kernel.derivative_of_gradients(w, v), 4 * v[..., None] * np.eye(2), rtol=1e-8, atol=1e-9)
    assert np.isnan(kernel.gradients(np.array([[-1.0, 1.0]]))).all()


def test_a_leaf_in_its_coordinates_is_the_identity_and_nan_outside():
    leaf = gf.Parametrization(lambda x: x**2, 2, 2).on_leaf([1.0, 1.0])
    w = np.array([[1.0, 2.0], [0.5, 1.5]])
    assert np.array_equal(leaf.jacobian(w), np.tile(np.eye(2), (2, 1, 1)))
    assert np.array_equal(leaf.affine([[1.0, 1.0]]).jacobian(w[0]), [[1.0, 1.0]])
    assert np.allclose(leaf.kernel.pushforward(w, leaf.gradients(w)[:, 0]), leaf.cometric(w)[:, 0], rtol=1e-14)
    assert np.isnan(leaf.kernel.value(np.array([[-1.0, 2.0]]))).all()
    with pytest.raises(gf.NotOnManifoldError, match="range of"):
        leaf([-1.0, 2.0])


def test_one_point_out_of_reach_leaves_its_neighbours_alone():
    leaf = gf.Parametrization(lambda x: x**2, 2, 2).on_leaf([1.0, 1.0])
    batch = np.array([[[1.0, 2.0], [-1.0, 2.0], [np.inf, 1.0], [np.nan, 1.0]]])
    assert np.array_equal(leaf.space.belongs(batch), [[True, False, False, False]])
    assert np.allclose(leaf.kernel.cometric(batch)[0, 0], np.diag([4.0, 8.0]), rtol=1e-10)
    assert np.isnan(leaf.kernel.cometric(batch)[0, 1:]).all()


def test_a_bracket_that_vanishes_at_x0_alone_is_seen_along_the_lift():
    lucky = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 1] * (1 + x[..., 0] ** 2)], axis=-1), 2, 2)
    leaf = lucky.on_leaf([0.0, 0.0])
    with pytest.raises(gf.NotCommutingError):
        leaf.cometric([0.5, 0.7])
