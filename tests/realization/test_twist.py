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


def test_lines_are_spread_and_span_the_matrices():
    for n, d in [(3, 2), (9, 3), (14, 4)]:
        lines = twist.spread_lines(n, d)
        assert lines.shape == (n, d) and np.allclose(np.linalg.norm(lines, axis=1), 1)
        upper = np.triu_indices(d)
        squares = np.stack([np.outer(a, a)[upper] for a in lines])
        assert np.linalg.matrix_rank(squares) == min(n, d * (d + 1) // 2)
        cosines = np.abs(lines @ lines.T) - np.eye(n)
        assert cosines.max() < 0.99


def test_higher_frequencies_make_smaller_errors():
    """The twist adds an error of the size of one over the frequency, which its corrections reduce."""
    R = gf.catalog.potentials["log_sum_exp"](2)
    box, errors = gf.domains.Box([-1, -1], [1, 1]), []
    for frequency in (2.0, 30.0):
        try:
            F = gf.realize(gf.LegendreFunction(R.potential, 2), box, tol=1e-13, method="twist", frequency=frequency)
        except gf.RealizationError as error:
            F = error.realization
        errors.append(F.certificate.metric_error)
    assert errors[1] < 0.1 * errors[0]


@pytest.mark.parametrize("n", [0, 1, 9])
def test_the_value_and_the_jacobian_alone_are_those_of_the_jet(realized, n):
    F = realized("twist, Gaussian")
    w = np.random.default_rng(2).uniform(F.region.lower, F.region.upper, (n, 2))
    value, J, _ = F.map.jet(w)
    assert value.shape == (n, F.ambient_dim) and J.shape == (n, F.ambient_dim, 2)
    assert np.allclose(F.map.value(w), value, rtol=1e-12, atol=1e-14)
    assert np.allclose(F.map.jacobian(w), J, rtol=1e-12, atol=1e-12)
