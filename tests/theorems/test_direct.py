"""Gradient flow through every commuting entry is mirror flow of its R, for three losses, in dimensions 1, 2 and 5.

Entries that exist in a few dimensions only are run in the largest.
"""

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
