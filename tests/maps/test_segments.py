"""Segments lifted one by one and along the curves that they share."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.segments import FEW, CurveEnd, Curves


def powers(d, degree):
    return gf.Parametrization(lambda x: x[..., :d] ** degree - x[..., d:] ** degree, 2 * d, d)


@pytest.mark.parametrize("degree", [2, 3, 4])
@pytest.mark.parametrize("alpha", [1e-6, 1e-3, 1.0])
def test_many_points_are_lifted_as_one_is(degree, alpha, rng):
    G = powers(3, degree)
    leaf, w = G.leaf(np.full(6, alpha)), rng.uniform(-0.4, 0.4, (20, 3))
    many, one = leaf.lift(w, with_Q=True), [G.leaf(np.full(6, alpha)).lift(point, with_Q=True) for point in w]
    x, mu, Q = (np.stack(part) for part in zip(*one, strict=True))
    assert np.allclose(many.x, x, rtol=1e-11, atol=0) and np.allclose(many.mu, mu, rtol=1e-11, atol=0)
    assert (np.abs(many.Q - Q) <= 1e-12 * np.sum(w * mu, axis=1)).all()


def test_points_of_all_sizes_keep_their_digits_beside_one_another(rng):
    """mu = asinh(w / 2 a^2) / 4 and R = (w asinh z - sqrt(4 a^4 + w^2) + 2 a^2) / 4 for u^2 - v^2 from a."""
    a, size = 1e-3, 10.0 ** rng.uniform(-12, 4, (60, 2))
    w = size * rng.choice([-1.0, 1.0], size.shape)
    leaf = powers(2, 2).leaf(np.full(4, a))
    found = leaf.lift(w, with_Q=True)
    z = w / (2 * a * a)
    R = np.sum(w * np.arcsinh(z) - w * z / (1 + np.sqrt(1 + z * z)), axis=1) / 4
    assert np.allclose(found.mu, np.arcsinh(z) / 4, rtol=1e-12, atol=0)
    assert np.allclose(np.sum(w * found.mu, axis=1) - found.Q, R, rtol=1e-11, atol=0)


def test_the_cost_of_many_points_is_that_of_two_and_one_step(monkeypatch, rng):
    G = powers(2, 3)
    calls, kernel = [], G.kernel
    lift = kernel.horizontal_lift
    monkeypatch.setattr(kernel, "horizontal_lift", lambda x, dw: calls.append(len(x)) or lift(x, dw))
    w = rng.uniform(-1, 1, (300, 2))
    G.leaf(np.full(4, 1e-3)).lift(w)
    assert sum(n > 2 for n in calls) <= 14  # twelve stages, and one correction
    assert sum(calls) <= 14 * len(w) + 2000


def test_outputs_and_inputs_in_any_order_and_unused_inputs_keep_their_places(rng):
    """Blocks are numbered by their labels: y = (x3^2, x0 + x4^3, x2) of x in R^5, where x1 is used by none."""
    G = gf.Parametrization(lambda x: anp.stack([x[..., 3] ** 2, x[..., 0] + x[..., 4] ** 3, x[..., 2]], -1), 5, 3)
    x0 = np.array([0.3, 7.0, -1.0, 0.5, 0.2])
    w = G(x0) + rng.uniform(-0.2, 2.0, (30, 3)) * np.array([0.5, 1.0, -1.0])
    found = G.leaf(x0).lift(w)
    assert np.allclose(G(found.x), w, rtol=1e-13) and np.allclose(found.x[:, 1], 7.0, rtol=1e-14)
    assert np.allclose(found.mu[:, 0], np.log(w[:, 0] / 0.25) / 4, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("outside", [True, False])
def test_curves_stop_where_a_point_is_out_of_reach_and_the_others_are_lifted(outside, rng):
    G = gf.Parametrization(lambda x: x**2, 2, 2)
    x0, w = np.array([1.0, 0.5]), rng.uniform(0.1, 2.0, (10, 2))
    if outside:
        w[3, 1] = -0.2
    curves = Curves.over(G.kernel, x0, w, False)
    assert isinstance(curves, CurveEnd if outside else Curves)
    if outside:
        assert (curves.side, curves.output) == (1, 1) and abs(curves.way - 0.25) <= 1e-9
    found = G.leaf(x0).lift_or_nan(w)
    inside = (w > 0).all(axis=1)
    assert np.allclose(found.x[inside], np.sqrt(w[inside]), rtol=1e-11) and np.isnan(found.x[~inside]).all()


@pytest.mark.parametrize("x0", [[1.0, 1.0], [1.0, 0.5]])  # one kind of blocks, and two
def test_an_end_is_looked_for_once_and_points_near_it_are_lifted_apart(x0, monkeypatch, rng):
    G, w = gf.Parametrization(lambda x: x**2, 2, 2), rng.uniform(0.1, 2.0, (400, 2))
    out = rng.choice(400, 60, replace=False)
    w[out[:50], 0] *= -1.0
    near, inside = out[50:], (w > 0).all(axis=1)
    w[near, 1] = 10.0 ** -np.arange(4.0, 24.0, 2)
    leaf, calls = G.leaf(np.array(x0)), []
    found = leaf.lift_or_nan(w)
    assert np.isnan(found.x[~inside]).all() and np.allclose(found.x[inside], np.sqrt(w[inside]), rtol=1e-8, atol=0)
    assert np.allclose(found.mu[inside], np.log(w[inside] / np.square(x0)) / 4, rtol=1e-8, atol=0)
    lift = G.kernel.horizontal_lift
    monkeypatch.setattr(G.kernel, "horizontal_lift", lambda x, dw: calls.append(len(x)) or lift(x, dw))
    w = rng.uniform(-2.0, 2.0, (1000, 2))
    assert np.array_equal(leaf.reaches(w), (w > 0).all(axis=1))
    few = sum(n for n in calls if n > 20)
    assert few <= 14 * (w > 0).all(axis=1).sum()  # none of the points out of reach, and no point more than once


def test_what_a_curve_did_not_reach_and_a_lift_does_is_no_end(monkeypatch, rng):
    G, w = gf.Parametrization(lambda x: x**3, 2, 2), rng.uniform(0.5, 2.0, (9, 2))
    monkeypatch.setattr(Curves, "over", lambda *args: CurveEnd(0, 0, 0.3))
    assert np.allclose(G.leaf(np.ones(2)).lift_or_nan(w).x, np.cbrt(w), rtol=1e-11)


def test_few_points_and_maps_that_mix_outputs_have_no_curves(rng):
    G = powers(2, 2)
    assert Curves.over(G.kernel, np.ones(4), rng.uniform(size=(FEW, 2)), False) is None
    mixed = gf.Parametrization(lambda x: anp.stack([x[..., 0] + x[..., 1], x[..., 0] - x[..., 1]], -1), 2, 2)
    assert Curves.over(mixed.kernel, np.ones(2), rng.uniform(size=(9, 2)), False) is None
