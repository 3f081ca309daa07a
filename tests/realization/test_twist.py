"""The twist: positive decompositions of metrics."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.realization import twist


def test_analytic_centre_is_a_positive_decomposition_and_optimal():
    rng, lines = np.random.default_rng(0), twist.spread_lines(15, 3)
    B = 0.2 * rng.standard_normal((30, 3, 3))
    H = np.eye(3) + (B + np.swapaxes(B, 1, 2)) / 2
    c, _ = twist.analytic_centre(H, lines)
    assert (c > 0).all() and np.allclose(np.einsum("pk,ki,kj->pij", c, lines, lines), H, atol=1e-12)
    # optimal: 1/c is in the span of the constraints
    V = np.stack([lines[:, i] * lines[:, j] for i in range(3) for j in range(i, 3)], axis=-1)
    residual = 1 / c.T - V @ np.linalg.lstsq(V, 1 / c.T, rcond=None)[0]
    assert np.abs(residual).max() <= 1e-9 * np.abs(1 / c).max()
    with pytest.raises(gf.ConvergenceError):
        twist.analytic_centre(np.diag([1.0, -0.5, 1.0])[None], lines)
