"""Bregman projection."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

entropy = gf.LegendreFunction(lambda w: anp.sum(w * anp.log(w) - w, -1), gf.domains.Orthant(4), name="entropy")
quadratic = gf.LegendreFunction(lambda w: anp.sum(np.arange(1, 5) * w**2, -1) / 2, 4, name="quadratic")
quartic = gf.LegendreFunction(lambda w: anp.sum(w**2, -1) / 2 + anp.sum(w**2, -1) ** 2 / 4, 4, name="quartic")


@pytest.mark.parametrize("R", [entropy, quadratic, quartic], ids=lambda R: R.name)
def test_projection_is_optimal_and_is_the_limit_of_the_flow(R, rng):
    Z, inside, w0 = rng.standard_normal((2, 4)), rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, 4)
    y = Z @ inside
    w = gf.bregman_projection(R, Z, y, w0)
    defect, _ = laws.projection_is_optimal(R, Z, y, w0, w)
    assert defect < 1e-9
    loss = gf.LeastSquares(Z, y)
    flow = gf.mirror_flow(loss, R, w0, np.r_[0.0, np.geomspace(1e-2, 5000.0, 60)])
    assert np.abs(flow.w[-1] - w).max() < 1e-7
    bound = gf.check_rate_bound(R, flow, loss, w)
    assert bound and bound.evidence["largest_ratio"] > 1e-3
    defect, scale = laws.bregman_decreases(R, flow, w)
    assert defect <= 1e-9 * scale


def test_projection_of_a_quadratic_is_linear_algebra(rng):
    Z, y, w0 = rng.standard_normal((2, 4)), rng.standard_normal(2), rng.standard_normal(4)
    C = np.diag(1 / np.arange(1, 5))
    expected = w0 + C @ Z.T @ np.linalg.solve(Z @ C @ Z.T, y - Z @ w0)
    assert np.allclose(gf.bregman_projection(quadratic, Z, y, w0), expected, rtol=1e-12)
    # dependent rows that agree change nothing
    doubled = gf.bregman_projection(quadratic, np.r_[Z, Z[:1] + Z[1:]], np.r_[y, y.sum()], w0)
    assert np.allclose(doubled, expected, rtol=1e-11)


def test_laws_fail_where_they_must(rng):
    Z, w0 = rng.standard_normal((2, 4)), rng.uniform(0.5, 2, 4)
    y = Z @ rng.uniform(0.5, 2, 4)
    w = gf.bregman_projection(entropy, Z, y, w0)
    kernel = np.linalg.svd(Z)[2][-1]
    assert laws.projection_is_optimal(entropy, Z, y, w0, w + 0.05 * kernel)[0] > 1e-3  # feasible, not optimal
    assert laws.projection_is_optimal(entropy, Z, y, w0, w0)[0] > 1e-3  # optimal, not feasible
    loss = gf.LeastSquares(Z, y)
    flow = gf.mirror_flow(loss, entropy, w0, np.linspace(0, 5, 50))
    nearby = w0 + 1e-3 * (w - w0)
    assert not gf.check_rate_bound(entropy, flow, lambda v: -1.0, nearby)  # a loss whose value at w* is not the flow's
    defect, scale = laws.bregman_decreases(entropy, flow, nearby)
    assert defect > scale  # the flow moves away from a point that is no minimiser


@pytest.mark.parametrize(
    "Z, y, error",
    [
        ([[1.0, 1, 1, 1], [1, 1, 1, 1]], [1.0, 2.0], gf.InfeasibleError),
        ([[1.0, 1, 1, 1]], [-1.0], gf.InfeasibleError),
        ([[1.0, 1, 1]], [1.0], gf.ShapeError),
        ([[1.0, 1, 1, 1]], [1.0, 1.0], gf.ShapeError),
        ([[1.0, 1, 1, np.nan]], [1.0], gf.NotFiniteError),
    ],
)
def test_bad_constraints_are_named(Z, y, error):
    with pytest.raises(error) as caught:
        gf.bregman_projection(entropy, Z, y, np.ones(4))
    assert caught.value.got and caught.value.wanted


def test_infeasible_where_no_linear_program_can_tell():
    ball = gf.LegendreFunction(lambda w: -anp.log(1 - anp.sum(w**2, -1)), gf.domains.Ball([0.0, 0.0]))
    with pytest.raises(gf.InfeasibleError):
        gf.bregman_projection(ball, [[1.0, 0.0]], [1.5], np.zeros(2))


@pytest.mark.parametrize("name", list(gf.catalog.potentials))
def test_random_projections_for_every_potential(name, rng):
    entry = gf.catalog.potentials[name]
    R = entry(entry.dims[0] if entry.dims else 3)
    for n in (1, 2, R.dim):
        w0, inside = R.domain.random_point(2, bound=0.8, rng=rng)
        Z = rng.standard_normal((n, R.dim))
        w = gf.bregman_projection(R, Z, Z @ inside, w0)
        assert laws.projection_is_optimal(R, Z, Z @ inside, w0, w)[0] <= 1e-8


def test_constraints_whose_terms_differ_by_fifty_orders_of_magnitude():
    R = gf.catalog.potentials["negative_entropy"](2)
    w = gf.bregman_projection(R, [[1.0, -1.0], [1.0, 1.0]], [0.0, 1.0], [1e-50, 1.0])
    assert np.allclose(w, 0.5, rtol=1e-14)
    assert np.allclose(gf.bregman_projection(R, [[1.0, 1.0]], [1e-30], [3.0, 1.0]), [0.75e-30, 0.25e-30], rtol=1e-12)
    for y in (-1e-9, 0.0):
        with pytest.raises(gf.InfeasibleError, match="margin"):
            gf.bregman_projection(R, [[1.0, 1.0]], [y], [1.0, 1.0])


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("R", [entropy, quartic], ids=lambda R: R.name)
def test_units_of_the_rows_change_nothing(R, unit, rng):
    Z, w0, inside = rng.standard_normal((2, 4)), rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, 4)
    units = np.array([unit, 1 / unit])
    scaled = gf.bregman_projection(R, units[:, None] * Z, units * (Z @ inside), w0)
    assert np.allclose(scaled, gf.bregman_projection(R, Z, Z @ inside, w0), rtol=1e-11)


@pytest.mark.parametrize("eps", [0.1, 0.01, 0.003, 0.001])
def test_entropic_optimal_transport(eps):
    """Rows and columns of a plan have given sums, one of them redundant: against Sinkhorn on logarithms, run long."""
    n, rng = 6, np.random.default_rng(3)
    places = rng.uniform(0, 0.55, (2, n, 2))
    cost = ((places[0][:, None] - places[1]) ** 2).sum(-1)
    a, b = rng.dirichlet(np.ones(n), 2)
    Z = np.concatenate([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    R = gf.catalog.potentials["negative_entropy"](n * n)
    plan = gf.bregman_projection(R, Z, np.r_[a, b], np.exp(-cost / eps).ravel()).reshape(n, n)
    f = g = np.zeros(n)
    for _ in range(20000):
        f = np.log(a) - np.logaddexp.reduce(-cost / eps + g, axis=1)
        g = np.log(b) - np.logaddexp.reduce(-cost / eps + f[:, None], axis=0)
    wanted = np.exp(-cost / eps + f[:, None] + g)
    assert np.allclose(plan, wanted, rtol=1e-9, atol=1e-200)
    assert np.abs(plan.sum(0) - b).max() < 1e-13 and np.abs(plan.sum(1) - a).max() < 1e-13
