"""Bounds from a plan: whatever is in it, they are above the true error, or there are none."""

from dataclasses import replace

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.chebyshev import total_degree
from geoflow.realization.argument import bounds, slopes_degree

pytest.importorskip("flint")


@pytest.fixture(scope="module")
def proved():
    R = gf.catalog.potentials["log_sum_exp"](2)
    F = gf.realize(R, gf.domains.Box([-1.0, -1.0], [1.0, 1.0]), method="spectral", tol=1e-6)
    return F, F.prove()


@pytest.mark.parametrize("change", [
    {"degree": 10}, {"degree": 3}, {"degree": 60}, {"nodes": 60}, {"nodes": 400}, {"rho": 1.5}, {"rho": 2.5},
    {"white": 0.9}, {"white": 1e-3}, {"fine": True},
])  # fmt: skip
def test_any_plan_gives_a_bound_above_the_error_or_none(proved, change):
    F, proof = proved
    plan = proof.plan
    if "white" in change:  # P need not be near L^{-1}
        change = {"white": change["white"] * plan.white}
    found = bounds(replace(plan, **change), proof.box, F.map)
    w = F.region.random_point(4000, rng=1)
    assert found.eps >= F.metric_error(w).max()
    if found.eps < np.inf:
        assert found.least <= np.linalg.eigvalsh(F.metric_matrix(w)).min()
        assert found.largest >= np.linalg.eigvalsh(F.metric_matrix(w)).max()


@pytest.mark.parametrize("change", [
    {"rho": 40.0}, {"rho": 1.0}, {"rho": np.nan}, {"nodes": 10}, {"nodes": 10**6}, {"degree": 0}, {"degree": 10**7},
    {"white": np.full((3, 3, 4), np.nan)}, {"white": np.zeros((3, 3, 4))}, {"white": np.zeros((3, 3, 5))},
])  # fmt: skip
def test_a_plan_that_shows_nothing_gives_no_bound(proved, change):
    F, proof = proved
    found = bounds(replace(proof.plan, **change), proof.box, F.map)
    assert found.eps == np.inf and found.argument


def test_another_map_or_another_box_has_its_own_bound(proved):
    F, proof = proved
    rough = gf.realize(F.potential, F.region, method="spectral", tol=1e-2)
    found = bounds(replace(proof.plan, nodes=proof.plan.nodes), proof.box, rough.map)
    assert found.eps >= rough.metric_error(F.region.random_point(3000, rng=0)).max() > 100 * proof.eps


@pytest.mark.parametrize("index, degree", [
    (total_degree(2, 7), 6), (total_degree(3, 4), 3), ([[0, 0]], 0), ([[0, 9], [3, 0]], 8), ([[1, 9], [3, 0]], 9),
    ([[5, 5]], 5), ([[12]], 11),
])  # fmt: skip
def test_the_degree_of_slopes_is_that_of_their_products(index, degree):
    """Of a product T_1 T_9 the slope in the first variable has all of degree 9, which a total degree does not have."""
    assert slopes_degree(np.array(index)) == degree
