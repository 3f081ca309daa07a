"""Quadratic measurements with commuting matrices, and the sum of exponentials that is their dual."""

import numpy as np
import pytest
from scipy.linalg import expm

import geoflow as gf
from geoflow.catalog.quadratic import commuting_matrices, exponential_sum


def test_matrices_with_a_common_eigenbasis_commute_and_are_independent():
    V, a = commuting_matrices(3, 5)
    assert np.allclose(V @ V.T, np.eye(5), atol=1e-14) and np.linalg.matrix_rank(a) == 3
    A, B, _ = np.einsum("ki,di,li->dkl", V, a, V)
    assert np.allclose(A @ B, B @ A, atol=1e-14)
    assert np.array_equal(commuting_matrices(3, 5)[1], a) and not np.array_equal(commuting_matrices(3, 5, seed=1)[1], a)


def test_the_dual_is_its_formula(rng):
    a, y, mu = rng.standard_normal((2, 3)), rng.uniform(0.5, 1, 3), rng.standard_normal((4, 2))
    Q = exponential_sum(a, y, 2.0)
    assert np.allclose(Q(mu), (y * (np.exp(2 * mu @ a) - 1)).sum(-1) / 4, rtol=1e-13)
    for law in (gf.laws.gradient_is_derivative, gf.laws.hessian_is_derivative):
        defect, scale = law(Q, mu)
        assert defect <= 1e-13 * scale
    assert np.allclose(Q(np.zeros(2)), 0, atol=1e-15)


@pytest.mark.parametrize("name, rate", [("quadratic", 1.0), ("matrix_sensing", 2.0)])
def test_the_flow_is_the_exponential_of_a_matrix(name, rate, rng):
    """psi(x0; mu) = expm(rate sum mu_i A_i) x0, for the measurements x^T A_i x / 2 and tr(A_i U U^T)."""
    case, mu = gf.catalog.parametrizations[name](2), np.array([0.2, -0.1])
    V, a = commuting_matrices(2, 3, seed=0 if name == "quadratic" else 1)
    A = np.einsum("ki,di,li->dkl", V, a, V)
    start = case.x0.reshape(3, -1)
    moved = gf.joint_flow(case.parametrization, case.x0, mu)
    assert np.allclose(moved.reshape(start.shape), expm(rate * np.einsum("d,dkl->kl", mu, A)) @ start, rtol=1e-10)
    measured = np.einsum("dkl,ka,la->d", A, start, start) * rate / 2
    assert np.allclose(case.parametrization(case.x0), measured, rtol=1e-13)


def test_matrices_that_do_not_commute_are_refused(rng):
    A = rng.standard_normal((2, 3, 3))
    A = A + np.swapaxes(A, 1, 2)
    G = gf.Parametrization(lambda x: gf.autodiff.einsum("...k,dkl,...l->...d", x, A, x) / 2, 3, 2)
    with pytest.raises(gf.NotCommutingError):
        gf.mirror_map(G, np.ones(3))
