"""Gradient flow with a compiled kernel: the flow of scipy's integrators, and where it falls back to them."""

import sys

import autograd.numpy as anp
import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.spd_matrices import SPDMatrices

import geoflow as gf

D = 3
Z, Y = np.array([[1.0, 0.5, -0.2], [0.3, -1.0, 0.4]]), np.array([0.5, -0.3])
TALL = np.concatenate([Z, Z + 1.0])


def hyperbolic(x):
    return x[..., :D] ** 2 - x[..., D:] ** 2


@pytest.fixture(scope="module", autouse=True)
def jnp():
    pytest.importorskip("diffrax")
    return pytest.importorskip("jax").numpy


@pytest.fixture(scope="module")
def maps(jnp):
    return [gf.Parametrization(hyperbolic, 2 * D, D, engine=engine) for engine in ("jax", "autograd")]


def starts(n, rng):
    return rng.uniform(0.3, 1.0, (n, 2 * D))


LOSSES = {
    "least squares": gf.LeastSquares(Z, Y),
    "more rows than entries of w": gf.LeastSquares(TALL, np.r_[Y, Y]),
    "logistic": gf.LogisticLoss(Z, [1.0, -1.0]),
    "a function": lambda w: anp.sum(anp.cosh(w - 0.5)),
    "of time": lambda w, t: anp.sum((w - anp.cos(3 * t)) ** 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_flow_is_that_of_scipy(maps, name, rng):
    G, H = maps
    loss, x0, t = LOSSES[name], starts(2, rng), np.array([0.0, 0.3, 0.9, 1.4, 2.0])
    found = gf.gradient_flow(loss, G, x0, t, rtol=1e-10, atol=1e-13)
    expected = gf.gradient_flow(loss, H, x0, t, rtol=1e-12, atol=1e-14)
    assert found.method == "Dopri8" and found.success and found.message == expected.message
    assert found.n_evaluations > 0 and np.array_equal(found.t, t) and np.array_equal(found.x[0], x0)
    for what in ("x", "w", "mu", "loss"):
        a, b = getattr(found, what), getattr(expected, what)
        assert a.shape == b.shape and np.allclose(a, b, rtol=1e-8, atol=1e-8), what
    between = np.array([1.7, 0.1, 0.9, 0.0])  # dense output, in any order
    assert np.allclose(found(between), expected(between), rtol=1e-7, atol=1e-7)
    assert found(1.1).shape == expected(1.1).shape == (2, D)


def test_one_start_a_scalar_time_and_a_batch_with_two_axes(maps, rng):
    G, H = maps
    loss, x0 = LOSSES["least squares"], starts(6, rng)
    one, same = (gf.gradient_flow(loss, g, x0[0], 1.0) for g in (G, H))
    assert one.method == "Dopri8" and one.w.shape == same.w.shape == (101, D) and one.loss.shape == (101,)
    assert np.allclose(one.x, same.x, rtol=1e-7) and np.allclose(one.mu, same.mu, atol=1e-8)
    many = gf.gradient_flow(loss, G, x0.reshape(2, 3, -1), [0.5, 1.0])
    assert many.x.shape == (2, 2, 3, 2 * D) and many.mu.shape == (2, 2, 3, D) and many.loss.shape == (2, 2, 3)
    assert np.allclose(many.w[1, 0, 0], one.w[-1], rtol=1e-7) and many(0.7).shape == (2, 3, D)


def test_the_error_of_x_is_not_diluted_by_dual_coordinates_at_rest(jnp):
    """Three hundred outputs that the loss does not ask for let the steps be no longer."""
    seen = []
    for more in (0, 300):
        G = gf.Parametrization(
            lambda x, more=more: anp.concatenate([x**2, anp.repeat(x[..., :1], more, axis=-1)], axis=-1),
            2, 2 + more, engine="jax",
        )  # fmt: skip
        loss = gf.LeastSquares(np.diag(np.r_[3.0, 3.0, np.zeros(more)]), np.r_[1.0, 2.0, np.zeros(more)])
        flow = gf.gradient_flow(loss, G, [0.1, 0.2], 5.0, rtol=1e-8, atol=1e-10)
        assert "not by the compiled loop" not in flow.message
        seen.append(flow.n_evaluations)
    assert seen[1] > 0.9 * seen[0]


def test_mu_moves_x_by_the_joint_flow(maps, rng):
    """The flow of a commuting map ends where the joint flow of its dual coordinates does."""
    G, H = maps
    x0 = starts(1, rng)[0]
    for name in ("least squares", "more rows than entries of w"):
        flow = gf.gradient_flow(LOSSES[name], G, x0, [2.0], rtol=1e-11, atol=1e-14)
        assert np.allclose(gf.joint_flow(H, x0, flow.mu[-1]), flow.x[-1], rtol=1e-9)


def test_a_second_loss_of_the_kind_compiles_nothing_and_is_its_own(maps, rng):
    G, H = maps
    x0 = starts(1, rng)[0]
    gf.gradient_flow(gf.LeastSquares(Z, Y), G, x0, [1.0])
    known = len(G.kernel.remembered)
    for y in ([1.0, 2.0], [-1.0, 0.2]):
        other = gf.LeastSquares(2 * Z, y)
        found, expected = (gf.gradient_flow(other, g, x0, [1.0], rtol=1e-10).x for g in (G, H))
        assert np.allclose(found, expected, rtol=1e-8)
    assert len(G.kernel.remembered) == known


def test_a_loss_that_changed_after_it_was_compiled_is_compiled_again(maps, rng):
    class Target:
        to, offset = 0.5, 0.0

        def __call__(self, w):
            return anp.sum((w - self.to) ** 2) + self.offset

    (G, H), x0, loss = maps, starts(1, rng)[0], Target()
    first = gf.gradient_flow(loss, G, x0, [1.0])
    loss.to = 0.7
    second, expected = (gf.gradient_flow(loss, g, x0, [1.0], rtol=1e-10) for g in (G, H))
    assert second.method == "Dopri8" and np.allclose(second.x, expected.x, rtol=1e-8)
    assert np.abs(second.x - first.x).max() > 1e-3
    loss.offset = 1.0  # which no gradient shows
    assert np.allclose(gf.gradient_flow(loss, G, x0, [1.0], rtol=1e-10).loss, expected.loss + 1, rtol=1e-8)


def test_no_more_flows_are_remembered_than_said(maps, rng):
    G, x0 = maps[0], starts(1, rng)[0]
    for k in range(3):
        gf.gradient_flow(lambda w, k=k: anp.sum((w - k) ** 2), G, x0, [0.1])
    assert len(G.kernel.remembered) <= 16


def test_a_gradient_of_the_losss_own_is_used(maps, rng):
    class Skewed:
        def __call__(self, w):
            return anp.sum(w**2)

        def gradient(self, w):
            return 2 * w + 1.0  # not the derivative, so that one sees which is used

    x0 = starts(1, rng)[0]
    found, expected = (gf.gradient_flow(Skewed(), g, x0, [0.4], rtol=1e-10, check=False) for g in maps)
    assert found.method == "Dopri8" and np.allclose(found.x, expected.x, rtol=1e-8)


def test_a_loss_written_in_jax_numpy_with_either_engine(maps, jnp, rng):
    x0 = starts(1, rng)[0]
    flows = [gf.gradient_flow(lambda w: jnp.sum(jnp.cosh(w - 0.5)), g, x0, [0.5], rtol=1e-10) for g in maps]
    flows.append(gf.gradient_flow(LOSSES["a function"], maps[1], x0, [0.5], rtol=1e-10))
    assert [f.method for f in flows] == ["Dopri8", "LSODA", "LSODA"]
    for flow in flows[:2]:
        assert np.allclose(flow.x, flows[2].x, rtol=1e-8) and np.allclose(flow.loss, flows[2].loss, rtol=1e-8)


def test_regularizers_and_their_schedules(maps, rng):
    x0 = starts(2, rng)

    def decay(x):
        return anp.sum(x**2, axis=-1) / 2

    for alpha, method in ((None, "Dopri8"), (0.3, "Dopri8"), (lambda t: 0.3 * t, "LSODA")):
        found, expected = (
            gf.gradient_flow(LOSSES["least squares"], g, x0, [1.0], regularizer=decay, schedule=alpha, rtol=1e-10)
            for g in maps
        )
        assert found.method == method and np.allclose(found.x, expected.x, rtol=1e-8)
        assert np.allclose(found.mu, expected.mu, rtol=1e-8) and found.mu.shape == (1, 2, D)
    assert "schedule is a function of time" in found.message and "compiled" not in expected.message


def test_a_curved_space_and_an_open_one(jnp, rng):
    sphere = [gf.Parametrization(lambda x: x[..., :2] ** 2, Hypersphere(2), 2, engine=e) for e in ("jax", "autograd")]
    x0 = np.array([0.6, 0.48, 0.64])
    found, expected = (gf.gradient_flow(gf.LeastSquares(Z[:, :2], Y), G, x0, [0.5, 1.5]) for G in sphere)
    assert found.method == "Dopri8" and np.allclose(found.x, expected.x, rtol=1e-9)
    assert np.abs((found.x**2).sum(-1) - 1).max() < 1e-10
    cone = gf.Parametrization(lambda X: anp.linalg.det(X)[..., None], SPDMatrices(2), 1, engine="jax")
    flow = gf.gradient_flow(lambda w: anp.sum(w**2), cone, np.eye(2), [0.1])
    assert cone.engine == "jax" and flow.method == "LSODA" and "open manifold" in flow.message
    assert flow.success and flow.x.shape == (1, 2, 2)


def test_flows_that_end_end_as_with_scipy():
    cube = [gf.Parametrization(lambda x: x**3, 1, 1, engine=engine) for engine in ("jax", "autograd")]
    found, expected = (gf.gradient_flow(lambda w: -w[0], G, [1.0], t=1.0) for G in cube)
    assert found.status == expected.status == "blow_up" and abs(found.t[-1] - 1 / 3) < 1e-6
    assert "ended early" in found.message
    log = gf.Parametrization(anp.log, 1, 1, engine="jax")
    flow = gf.gradient_flow(lambda w: w[0], log, [1.0], t=1.0)  # x' = -1 / x
    assert flow.status == "left_domain" and abs(flow.t[-1] - 0.5) < 1e-6
    with pytest.raises(gf.NotFiniteError):
        gf.gradient_flow(lambda w: anp.sum(anp.sqrt(w)), cube[0], [0.0], t=1.0)


def test_a_method_of_scipy_a_loss_that_cannot_be_recorded_and_no_time(maps, rng):
    G, x0 = maps[0], starts(1, rng)[0]
    assert gf.gradient_flow(LOSSES["least squares"], G, x0, [1.0], method="RK45").method == "RK45"
    flow = gf.gradient_flow(lambda w: anp.sum(w**2) if w[0] > 0 else anp.sum(w**2) / 2, G, x0, [0.2])
    assert flow.method == "LSODA" and "truth of a value" in flow.message and flow.success
    assert gf.gradient_flow(LOSSES["least squares"], G, x0, [0.0]).w.shape == (1, D)
    with pytest.raises(gf.ShapeError, match="value of the loss"):
        gf.gradient_flow(lambda w: w, G, x0, [0.2])


def test_jax_without_diffrax(maps, rng, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffrax", None)  # as if it were not installed
    flow = gf.gradient_flow(LOSSES["least squares"], maps[0], starts(1, rng)[0], [0.2])
    assert flow.method == "LSODA" and "pip install geoflow[jax]" in flow.message


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scales(scale, rng):
    """u^2 - v^2 in units of u and v other than 1: the flow of a loss in those units, at another time."""
    G = gf.Parametrization(hyperbolic, 2 * D, D, engine="jax")
    x0, unit = starts(1, rng)[0], np.sqrt(scale)
    one = gf.gradient_flow(gf.LeastSquares(Z, Y), G, x0, [1.0], rtol=1e-10, atol=1e-14)
    other = gf.gradient_flow(gf.LeastSquares(Z, scale * Y), G, unit * x0, [1.0 / scale], rtol=1e-10, atol=1e-14 * unit)
    assert other.method == "Dopri8" and np.allclose(other.x, unit * one.x, rtol=1e-7)
    assert np.allclose(other.mu, one.mu, rtol=1e-6, atol=1e-9)


def test_the_start_among_the_times_costs_no_steps_and_what_is_between_them_is_as_good(maps, rng):
    (G, H), x0, loss = maps, starts(1, rng)[0], LOSSES["least squares"]
    alone, both, between = (gf.gradient_flow(loss, G, x0, t, rtol=1e-8) for t in ([2.0], [0.0, 2.0], [0.0, 1.0, 2.0]))
    assert alone.n_evaluations == both.n_evaluations < between.n_evaluations
    assert np.array_equal(both.x[0], x0) and np.array_equal(alone.x[-1], both.x[-1])
    expected = gf.gradient_flow(loss, H, x0, [0.0, 0.4, 1.1, 2.0], rtol=1e-11, atol=1e-13)
    for flow in (alone, both):
        assert np.allclose(flow(expected.t), expected.w, rtol=1e-7, atol=1e-7)
