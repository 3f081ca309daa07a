"""Numerical realizations at points their solvers never saw."""

import numpy as np
import pytest

import geoflow as gf
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


def test_a_realization_knows_what_it_is(realized):
    F = realized("spectral, log-sum-exp")
    w = np.random.default_rng(0).uniform(-0.9, 0.9, size=(3, 4, 2))
    assert (F.dim, F.ambient_dim, F.method) == (2, 5, "spectral") and F.potential is F.target.potential
    assert F(w).shape == (3, 4, 5) and np.array_equal(F(w), F.embedding(w)) and F.jacobian(w).shape == (3, 4, 5, 2)
    assert np.allclose(F.metric_matrix(w), F.potential.hessian(w), rtol=1e-14)
    J = F.jacobian(w)
    gram = np.einsum("...Di,...Dj->...ij", J, J)
    assert np.abs(gram - F.metric_matrix(w)).max() < 1e-7 and F.metric_error(w).shape == (3, 4)
    assert F.metric_error(w).max() <= 1e-8
    assert "spectral" in repr(F) and "certified" in str(F)


def test_it_is_measured_again_at_other_points(realized):
    F = realized("spectral, log-sum-exp")
    again = F.certify(1e-8, n_points=500, seed=3)
    assert again and again.n_points == 500 and again.derivative_error != F.certificate.derivative_error
    assert not F.certify(1e-16, n_points=500, seed=3)


def test_points_outside_the_region_are_refused_and_a_little_room_is_given(realized):
    F = realized("spectral, log-sum-exp")
    assert F.usable(np.array([[1.0, 1.0], [1.0 + 1e-7, 0.0], [1.1, 0.0], [np.nan, 0.0]])).tolist() == [
        True, True, False, False
    ]  # fmt: skip
    with pytest.raises(gf.DomainError, match="larger box") as caught:
        F.metric_error([[0.0, 0.0], [1.1, 0.0]])
    assert caught.value.point.tolist() == [1.1, 0.0]
    with pytest.raises(gf.ShapeError):
        F.embedding([0.0])
    exact = gf.realize(gf.catalog.potentials["burg"](2))
    assert exact.exact and exact.usable(np.array([[1e-3, 5.0], [-1.0, 1.0]])).tolist() == [True, False]
    with pytest.raises(gf.DomainError):
        exact.jacobian([-1.0, 1.0])
