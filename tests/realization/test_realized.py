"""Numerical realizations at points their solvers never saw."""

import numpy as np
import pytest

from geoflow.theorems import laws


@pytest.mark.parametrize(
    "name",
    [
        "twist, Gaussian",
        "twist, log-sum-exp",
        "spectral, quartic",
        "spectral, log-sum-exp",
        "spectral, a sphere",
        "auto",
    ],
)
def test_solvers_meet_tol_at_points_they_never_saw(name, realized):
    F = realized(name)
    assert F.certificate and not F.exact and F.stages
    w = np.random.default_rng(99).uniform(F.region.lower, F.region.upper, size=(2000, F.dim))
    assert laws.embedding_is_isometric(F, w)[0] <= F.certificate.tol
    inner = F.region.interior_point() + 0.9 * (w[:50] - F.region.interior_point())
    defect, scale = laws.embedding_jacobian_is_derivative(F, inner)
    assert defect <= 1e-6 * scale
    for offset in (0.0, 0.05):
        defect, scale = laws.nearest_point_inverts(F, inner, offset)
        assert defect <= 1e-9 * scale
