"""Gradient flow through every commuting entry is mirror flow of its R, for three losses, in dimensions 1, 2 and 5.

Entries that exist in a few dimensions only are run in the largest.
"""

import dataclasses

import numpy as np
import pytest

import geoflow as gf
from geoflow.theorems import direct as verify
from geoflow.theorems import laws

DIMS = (1, 2, 5)
COMMUTING = [(name, d) for name, entry in gf.catalog.parametrizations.items() for d in entry.dims[-1:] or DIMS]
LOSSES = ("quadratic", "logistic", "time-dependent")


@pytest.mark.parametrize("name, d", COMMUTING)
def test_gradient_flow_is_mirror_flow(name, d):
    row = verify.verify_case(name, gf.catalog.parametrizations[name](d))
    assert row.passed, (row.failures, row.error, row.figures)
    assert set(row.results) == set(LOSSES)
    for report in row.results.values():
        assert report.passed and report.unwrap() is report, str(report)
        assert laws.equivalence_gap(report)[0] <= 1e-7
        assert laws.dual_coordinate_is_loss_integral(report)[0] <= 1e-8


def test_a_case_made_from_a_users_map_stays_in_reach(rng):
    G = gf.Parametrization(lambda x: x**3, 2, 2)
    case = verify.case_of(G, [1.0, 1.0])
    assert case.mu_bound < 1 / 4.5  # 3 mu x^2 = x' ends at s = 1 / (3 mu)
    assert case.sample(5, rng).shape == (5, 2) and case.reach(5, rng).shape == (5, 2) and case.legendre is None
    assert np.array_equal(case.x0, [1.0, 1.0])
    without = verify.case_of(G)
    assert ((without.x0 >= 0.5) & (without.x0 <= 1.5)).all()


def test_losses_of_a_case_are_of_three_kinds(rng):
    case = gf.catalog.parametrizations["square"](2)
    losses = verify.standard_losses(case, rng)
    assert tuple(losses) == LOSSES
    assert isinstance(losses["quadratic"], gf.LeastSquares) and isinstance(losses["logistic"], gf.LogisticLoss)
    w = case.parametrization(case.x0)
    assert losses["time-dependent"](w, 0.0) != losses["time-dependent"](w, 1.0)


def test_rows_of_maps_outside_the_theorem():
    for name, entry in gf.catalog.noncommuting.items():
        row = verify.verify_refusal(entry)
        if entry.known == "modulo fibres":
            assert row and row.figures["bracket"] < 1e-12 and row.figures["gap"] < 1e-8, str(row)
            continue
        assert row and row.details["refused"] and row.figures["bracket"] > 1e-3, name
    accepted = verify.verify_refusal(gf.catalog.parametrizations["square"])
    assert not accepted and accepted.error == "accepted"
    parabola = verify.verify_case("parabola", gf.catalog.noncommuting["parabola"]())
    assert not parabola and parabola.details["refused"] and parabola.figures["bracket"] > 1e-3
    degenerate = gf.Parametrization(lambda x: gf.autodiff.concatenate([x, x], axis=-1), 1, 2)
    row = verify.verify_case("twice", verify.case_of(degenerate, [1.0]))
    assert not row and "NotRegularError" in row.error


def test_a_row_names_its_steps_and_its_laws():
    steps = []
    row = verify.verify_case("square", gf.catalog.parametrizations["square"](1), advance=steps.append)
    assert steps[0] == "brackets" and "lift" in steps and f"flows, {LOSSES[0]} loss" in steps
    assert set(row.details["laws"]) <= set(laws.LAWS) and len(row.details["laws"]) >= 8
    assert row.details["source"] == "closed form" and row.details["d"] == 1


def test_a_wrong_closed_form_fails_its_row():
    case = gf.catalog.parametrizations["square"](2)
    wrong = dataclasses.replace(case, legendre=1.01 * case.legendre)
    row = verify.verify_case("square", wrong)
    assert not row and {"gap", "grad R"} <= set(row.failures)


def test_a_law_registered_later_decides_the_row():
    case = gf.catalog.parametrizations["square"](2)
    try:

        @laws.law("map", tol=1e-9, holds=lambda: (0.0, 1.0), broken=lambda: (1.0, 1.0), figure="always off")
        def always_off(G, x0):
            return 1.0, 1.0

        row = verify.verify_case("square", case)
    finally:
        laws.LAWS.pop("always_off", None)
    assert row.figures["always off"] == 1.0 and not row.passed and "always off" in row.failures
    assert "always_off" in row.details["laws"]


def test_a_row_that_ends_early_does_not_claim_the_laws_it_did_not_reach():
    row = verify.verify_case("parabola", gf.catalog.noncommuting["parabola"](), 0)
    assert row.details["refused"] and "equivalence_gap" not in row.details["laws"]


def test_a_row_says_what_is_proved_of_the_brackets_and_what_is_measured():
    maps, others = gf.catalog.parametrizations, gf.catalog.noncommuting
    for entry, known in (
        (maps["hyperbolic"], "proved"), (maps["sphere_squares"], "measured"), (maps["quadratic"], "to rounding"),
        (others["matrix_product"], "refuted"),
    ):  # fmt: skip
        assert verify.how_known(entry().parametrization) == known
    assert verify.verify_refusal(others["matrix_square"]).details["brackets"] == "refuted"
