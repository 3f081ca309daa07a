"""Blocks that are one function from one start."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.alike import Alike

D = 30


def network(x):
    return x[..., :D] ** 3 - x[..., D:] ** 3


def test_one_block_serves_all(rng):
    G = gf.Parametrization(network, 2 * D, D)
    alike = Alike.of(G.kernel, np.full(2 * D, 0.1))
    assert alike.kernel.codomain_dim == 1 and alike.kernel.dim == 2 and alike.slots == D
    w = rng.uniform(size=(3, D))
    assert np.array_equal(alike.scatter(alike.gather(w)), w)
    x = rng.uniform(size=(3 * D, 2))
    assert np.allclose(G(alike.scatter_points(x)), alike.scatter(alike.kernel.value(x)), rtol=1e-14)


def test_starts_and_weights_of_their_own_make_kinds_of_their_own(rng):
    c = np.r_[np.ones(D - 5), np.full(5, 2.0)]
    G = gf.Parametrization(lambda x: c * network(x), 2 * D, D)
    start = np.r_[np.full(10, 0.1), np.full(D - 10, 0.2), np.full(D, 0.3)]
    alike = Alike.of(G.kernel, start)
    assert alike.kernel.codomain_dim == 3 and alike.slots == D - 15
    w = rng.uniform(-0.5, 0.5, (4, D))
    assert np.array_equal(alike.scatter(alike.gather(w)), w)
    leaf = G.leaf(start)
    found = leaf.lift(w, with_Q=True)
    leaf.__dict__["alike"] = None  # every block for itself
    leaf._last.clear()
    other = leaf.lift(w, with_Q=True)
    assert np.allclose(found.x, other.x, rtol=1e-11) and np.allclose(found.mu, other.mu, rtol=1e-10)
    assert np.allclose(found.Q, other.Q, rtol=0, atol=1e-10 * np.abs(w * found.mu).sum())


@pytest.mark.parametrize("case", ["starts of their own", "outputs that mix", "a hidden difference"])
def test_what_is_not_alike_is_not_taken_for_it(case, rng):
    start = np.full(2 * D, 0.1)
    if case == "starts of their own":
        kernel, start = gf.Parametrization(network, 2 * D, D).kernel, rng.uniform(0.1, 0.2, 2 * D)
    elif case == "outputs that mix":
        kernel = gf.Parametrization(lambda x: anp.sum(x**2, axis=-1)[..., None] + network(x), 2 * D, D).kernel
    else:  # a record that no longer is the map
        weights = [1.0]
        kernel = gf.Parametrization(lambda x: weights[0] * network(x), 2 * D, D).kernel
        assert kernel.kinds is not None
        weights[0] = 1.5
    assert Alike.of(kernel, start) is None


@pytest.mark.parametrize("depth, signed", [(2, True), (3, True), (3, False)])
def test_a_network_of_many_inputs_is_lifted_at_the_cost_of_one_block(depth, signed, monkeypatch, rng):
    d = 2000
    case = gf.catalog.diagonal_network(d, depth=depth, alpha=1e-2, signed=signed)
    calls, kernel = [], case.parametrization.kernel
    lift = kernel.horizontal_lift
    monkeypatch.setattr(kernel, "horizontal_lift", lambda x, dw: calls.append(1) or lift(x, dw))
    w = rng.uniform(0.1, 1.0, d)
    x = case.parametrization.leaf(case.x0).lift(w).x
    assert np.allclose(case.parametrization(x), w, rtol=1e-13) and len(calls) <= 1
