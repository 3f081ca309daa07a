"""The converse theorem run on exact and on numerical realizations."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems.converse import (
    converse_example,
    converse_figures,
    converse_losses,
    converse_tolerances,
    proved_gap,
    verify_potential,
)

P = gf.catalog.potentials


EXACT = {
    "negative_entropy": lambda: P["negative_entropy"](5),
    "simplex_entropy": lambda: P["simplex_entropy"](5),
    "barrier": lambda: gf.RidgeSum(-np.random.default_rng(0).standard_normal((12, 4)), 1.0, "log_barrier"),
    "conjugate of sum": lambda: (P["negative_entropy"](2) + P["quadratic_form"](2)).conjugate,
    "product": lambda: gf.product(P["burg"](2), P["log_sum_exp"](2)),
}


@pytest.mark.parametrize("name", P)
def test_the_theorem_on_the_catalogue(name):
    row = verify_potential(name, P[name](), largest_round_trip=5)
    assert row.passed, (row.failures, row.error, row.figures)


@pytest.mark.parametrize("name", ["spectral, log-sum-exp", "spectral, a sphere", "twist, Gaussian"])
def test_the_theorem_on_a_numerical_realization(name, realized):
    F = realized(name)
    figures = converse_figures(F, seed=4, round_trip=name != "twist, Gaussian")
    assert all(value <= converse_tolerances(F)[key] for key, value in figures.items()), figures


@pytest.mark.parametrize("name", EXACT)
def test_the_theorem_on_an_exact_realization(name):
    F = gf.realize(EXACT[name](), tol=1e-11)
    figures = converse_figures(F, seed=5)
    assert all(value <= converse_tolerances(F)[key] for key, value in figures.items()), figures


def test_a_row_of_the_converse_theorem():
    row = verify_potential("burg", P["burg"](2))
    assert row and row.details["d"] == row.details["D"] == 2 and "exact" in row.details["method"]
    F = row.results["realization"]
    assert set(converse_tolerances(F)) == {"metric", "gap", "distance", "bracket", "round trip"} <= set(row.figures)
    assert "round trip" not in verify_potential("burg", P["burg"](2), largest_round_trip=1).figures


def test_a_potential_that_cannot_be_realized_is_a_row_that_fails():
    refused = verify_potential("quartic", P["quartic"](2), method="spectral", max_degree=3)
    assert not refused and refused.error and refused.results["realization"].certificate.metric_error > 1e-8
    outside = verify_potential("burg", P["burg"](2), ([-1, -1], [1, 1]))
    assert not outside and "DomainError" in outside.error and not outside.results
    exact = verify_potential("quartic", P["quartic"](2), method="exact")
    assert not exact and exact.error and not exact.figures


def test_tolerances_follow_the_certified_error(realized):
    F = realized("spectral, a sphere")
    loose = converse_tolerances(F)
    assert loose["metric"] == F.certificate.tol and all(value >= F.certificate.metric_error for value in loose.values())


def test_losses_stay_in_the_region_and_a_flow_can_be_drawn(rng):
    F = gf.realize(P["simplex_entropy"](2), tol=1e-10)
    w0 = F.region.interior_point()
    assert set(converse_losses(F, w0, rng)) == {"quadratic", "logistic", "time-dependent"}
    flow, mirror = converse_example(F)
    assert flow.success and mirror.success and F.region.belongs(mirror.w).all()
    assert np.abs(flow.w - mirror.w).max() < 1e-6 and np.ptp(mirror.w, axis=0).min() > 1e-2


def test_the_gap_of_the_flows_is_below_what_is_proved_of_it():
    pytest.importorskip("flint")
    R, box = gf.catalog.potentials["quartic"](2), gf.domains.Box([-1.0, -1.0], [1.0, 1.0])
    F = gf.realize(R, box, method="spectral", tol=1e-4)
    bound, gap = proved_gap(F, F.prove())
    # far above what the integrators add, and below a bound that is not useless
    assert 1e-8 < gap <= bound < 1e-2


@pytest.mark.parametrize("w0", [[0.0, 0.0], [1e-9, 0.0]])
@pytest.mark.parametrize("profile", [lambda s: anp.cosh(s), lambda s: s**4 + s**2, lambda s: anp.exp(s) + s**2])
def test_a_separable_potential_of_ones_own_from_a_point_of_rounding_size(profile, w0):
    R = gf.LegendreFunction(lambda w: anp.sum(profile(w), axis=-1), 2)
    F = gf.realize(R)
    loss = gf.LeastSquares([[1.0, 2.0]], [0.5])
    assert F.exact and np.abs(F.embedding(w0)).max() < 1e-8
    assert gf.verify_equivalence(loss, F.parametrization, F.embedding(w0), t=2.0)
