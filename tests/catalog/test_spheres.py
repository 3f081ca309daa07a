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
