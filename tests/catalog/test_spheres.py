"""Squares on the sphere."""

import numpy as np

import geoflow as gf
from geoflow.theorems import direct as verify


def test_the_sphere_entry_stays_on_the_sphere():
    case = gf.catalog.parametrizations["sphere_squares"](4)
    assert type(case.parametrization.space).__name__ == "Hypersphere"
    loss = verify.standard_losses(case, np.random.default_rng(0))["quadratic"]
    flow = gf.gradient_flow(loss, case.parametrization, case.x0, np.linspace(0, 50, 200))
    assert flow.success and np.abs(np.linalg.norm(flow.x, axis=-1) - 1).max() <= 1e-9


def test_squares_on_the_sphere_induce_a_quarter_of_the_relative_entropy(rng):
    case = gf.catalog.parametrizations["sphere_squares"](2)
    R, w0, w = case.legendre, case.x0[:2] ** 2, case.reach(5, rng)
    assert abs((case.x0**2).sum() - 1) < 1e-15
    p, p0 = (np.concatenate([v, 1 - v.sum(-1, keepdims=True)], axis=-1) for v in (w, w0))
    assert np.allclose(R(w), (p * np.log(p / p0)).sum(-1) / 4, rtol=1e-13)
    x = case.sample(7, rng)
    assert np.allclose((x**2).sum(-1), 1) and (x > 0).all()
    assert np.allclose(case.parametrization(x), x[:, :2] ** 2)


def test_the_metric_of_the_sphere_matters():
    """The same squares on R^3, where nothing is conserved, have another cometric."""
    case = gf.catalog.parametrizations["sphere_squares"](2)
    flat = gf.Parametrization(lambda x: x[..., :2] ** 2, 3, 2)
    assert np.abs(flat.cometric(case.x0) - case.parametrization.cometric(case.x0)).max() > 0.1
