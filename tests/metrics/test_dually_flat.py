"""Dually flat manifolds: charts, connections, Pythagoras and projections."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import laws

THREE = [("negative_entropy", 3), ("log_sum_exp", 3), ("quartic", 3)]


@pytest.mark.parametrize("name, d", [*THREE, ("gaussian_log_partition", 2), ("simplex_entropy", 3)])
def test_connections_are_dual_and_levi_civita_is_their_mean(name, d, rng):
    M = gf.DuallyFlatManifold(gf.catalog.potentials[name](d))
    a, b = M.potential.domain.random_point(6, bound=0.3, rng=rng).reshape(2, 3, d)
    mean = (M.primal.christoffels(a) + M.dual.christoffels(a)) / 2
    assert np.allclose(mean, M.metric.christoffels(a), rtol=1e-10, atol=1e-12)
    assert np.allclose(M.primal_chart(M.dual_chart(a)), a, rtol=1e-9)
    for connection in (M.primal, M.dual):
        assert np.allclose(connection.exp(connection.log(b, a), a), b, rtol=1e-9, atol=1e-12)
        path = connection.geodesic(a, initial_tangent_vec=connection.log(b, a))(np.array([0.0, 0.5, 1.0]))
        straight = connection.chart(path)
        assert np.allclose(straight[:, 1], (straight[:, 0] + straight[:, 2]) / 2, rtol=1e-8, atol=1e-10)
    u, v = rng.standard_normal((2, 3, d))
    defect, scale = laws.transports_are_dual(M, u, v, a, b)
    assert defect <= 1e-9 * scale
    # the primal transport alone does not keep the metric
    kept = M.metric.inner_product(M.primal.parallel_transport(u, a, end_point=b), v, b)
    assert np.abs(kept - M.metric.inner_product(u, v, a)).max() > 1e-4


@pytest.mark.parametrize("name, d", THREE)
def test_pythagoras_and_both_projections(name, d, rng):
    M = gf.DuallyFlatManifold(gf.catalog.potentials[name](d))
    c, inside = M.potential.domain.random_point(2, bound=0.4, rng=rng)
    Z = rng.standard_normal((1, d))
    b = M.project_to_primal_flat(c, Z, Z @ inside)
    defect, scale = laws.pythagoras(M, inside, b, c)
    assert defect <= 1e-9 * scale and np.abs(Z @ (b - inside)).max() < 1e-9
    assert abs(M.metric.inner_product(M.primal.log(inside, b), M.dual.log(c, b), b)) < 1e-9

    mu = M.dual_chart(inside)
    b = M.project_to_dual_flat(c, Z, Z @ mu)
    assert np.abs(Z @ (M.dual_chart(b) - mu)).max() < 1e-9
    defect, scale = laws.pythagoras(M, c, b, inside)
    assert defect <= 1e-9 * scale
    # a point that is not the projection fails it
    defect, scale = laws.pythagoras(M, c, M.project_to_primal_flat(c, Z, Z @ inside + 0.1), inside)
    assert defect > 1e-4 * scale


def test_bad_input_is_answered():
    with pytest.raises(gf.ArgumentError, match="LegendreFunction"):
        gf.DuallyFlatManifold(3)
    M = gf.DuallyFlatManifold(gf.catalog.potentials["burg"](2))
    with pytest.raises(gf.DomainError, match="dual translations"):
        M.translations  # noqa: B018  the group exists only where grad R is onto
    with pytest.raises(gf.DomainError):
        M.primal.exp([-3.0, 0.0], [1.0, 1.0])
    with pytest.raises(gf.DomainError):
        M.dual.exp([5.0, 0.0], [1.0, 1.0])  # mu = -1/w would become positive
    with pytest.raises(gf.ArgumentError, match="exactly one"):
        M.dual.parallel_transport([1.0, 0.0], [1.0, 1.0])


def test_the_divergence_is_that_of_bregman_and_pythagoras_has_a_defect(rng):
    M = gf.DuallyFlatManifold(gf.catalog.potentials["negative_entropy"](2))
    a, b, c = rng.uniform(0.5, 2, (3, 4, 2))
    assert np.allclose(M.divergence(a, b), (a * np.log(a / b) - a + b).sum(-1), rtol=1e-12)
    defect = -np.einsum("ni,ni->n", a - b, np.log(c / b))
    assert np.allclose(M.pythagoras_defect(a, b, c), defect, rtol=1e-10, atol=1e-12)


def test_translations_of_the_dual_chart_are_a_group(rng):
    M = gf.DuallyFlatManifold(gf.catalog.potentials["negative_entropy"](2))
    group, a, b = M.translations, *rng.uniform(0.5, 2, (2, 3, 2))
    assert np.allclose(group.identity, 1) and np.allclose(group.compose(a, b), a * b, rtol=1e-12)
    assert np.allclose(group.compose(a, group.inverse(a)), 1, rtol=1e-12)
    v = group.log(b, a)
    assert np.allclose(group.exp(v, a), b, rtol=1e-12) and np.allclose(group.exp(group.log(b)), b, rtol=1e-12)
