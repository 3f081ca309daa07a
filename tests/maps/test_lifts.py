"""Horizontal lifts, and leaves of commuting maps: restriction to them, and lifts of batches."""

import numpy as np

import geoflow as gf
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
