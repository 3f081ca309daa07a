"""The named potentials: formulas written out, overflow, and data from a fixed seed."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.catalog.functions import log_sum_exp_of

P = gf.catalog.potentials
FORMULAS = {
    "negative_entropy": lambda w: (w * np.log(w) - w).sum(-1),
    "burg": lambda w: -np.log(w).sum(-1),
    "fermi_dirac": lambda w: (w * np.log(w) + (1 - w) * np.log(1 - w)).sum(-1),
    "hyperbolic_entropy": lambda w: (w * np.arcsinh(w) - np.sqrt(1 + w**2)).sum(-1),
    "log_sum_exp": lambda w: np.log(1 + np.exp(w).sum(-1)),
    "simplex_entropy": lambda w: (w * np.log(w)).sum(-1) + (1 - w.sum(-1)) * np.log(1 - w.sum(-1)),
    "quartic": lambda w: (w**2).sum(-1) / 2 + (w**2).sum(-1) ** 2 / 4,
    "power": lambda w: (w**4 / 4 + w**2 / 2).sum(-1),
    "gaussian_log_partition": lambda w: -(w[:, 0] ** 2) / (4 * w[:, 1]) - np.log(-2 * w[:, 1]) / 2,
    "log_det_spd": lambda w: -np.log(w[:, 0] * w[:, 2] - w[:, 1] ** 2),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_values_are_those_of_the_formula(name):
    entry = P[name]
    R = entry(entry.dims[0] if entry.dims else 3)
    w = R.domain.random_point(8, bound=0.2, rng=0)
    assert np.allclose(R(w), FORMULAS[name](w), rtol=1e-13, atol=1e-15)
    assert np.abs(R(w) - R(1.01 * w)).max() > 1e-4


@pytest.mark.parametrize("name", list(P))
def test_each_call_builds_the_same_function(name):
    one, other = P[name](), P[name]()
    w = one.domain.random_point(3, bound=0.3, rng=0)
    assert one is not other and np.array_equal(one(w), other(w)) and np.array_equal(one.hessian(w), other.hessian(w))


def test_log_sum_exp_does_not_overflow():
    w = np.array([[1e3, -1e3], [800.0, 801.0], [-1e4, -1e4]])
    R = P["log_sum_exp"](2)
    assert np.allclose(R(w), [1e3, 801 + np.log1p(np.exp(-1.0)), 0.0], rtol=1e-15)
    assert np.allclose(R.gradient(w).sum(-1), [1, 1, 0])
    assert log_sum_exp_of(np.array([1e308, 1e308])) == 1e308
    assert np.allclose(R.hessian(w)[1], np.array([[1, -1], [-1, 1]]) * np.exp(-1) / (1 + np.exp(-1)) ** 2, rtol=1e-12)


def test_simplex_entropy_and_log_sum_exp_are_conjugate(rng):
    primal, dual = P["simplex_entropy"](3), P["log_sum_exp"](3)
    q, mu = rng.dirichlet(np.ones(4), 5)[:, :3], rng.standard_normal((5, 3))
    assert np.allclose(primal.conjugate(mu), dual(mu), rtol=1e-14)
    assert np.allclose(dual.conjugate(q), primal(q), rtol=1e-13)
    young = primal(q) + dual(mu) - np.einsum("ni,ni->n", q, mu)
    assert (young > 0).all()


def test_the_polytope_is_bounded_and_its_barrier_blows_up_at_the_faces():
    R = P["polytope_barrier"](3)
    assert R.domain.belongs(np.zeros(3)) and not R.domain.belongs([1.0, 0, 0])
    direction = np.array([1.0, 0.3, -0.2])
    out = 1 / (1 - R.domain.slack(direction) / R.domain.slack(np.zeros(3))).max()  # where the ray meets a face
    assert R.domain.belongs(0.999 * out * direction) and not R.domain.belongs(1.001 * out * direction)
    for gap in (1e-3, 1e-6):  # one logarithm of the distance to the face
        slope = R.gradient((1 - gap) * out * direction) @ direction * out
        assert abs(slope * gap - 1) < 1e-2


def test_the_logarithm_of_the_determinant_is_one_of_matrices(rng):
    B = rng.standard_normal((5, 2, 2))
    X = B @ np.swapaxes(B, 1, 2) + 0.1 * np.eye(2)
    w = X[:, [0, 0, 1], [0, 1, 1]]
    R = P["log_det_spd"](3)
    assert np.allclose(R(w), -np.linalg.slogdet(X)[1], rtol=1e-12)
    inverse = np.linalg.inv(X)
    wanted = -np.stack([inverse[:, 0, 0], 2 * inverse[:, 0, 1], inverse[:, 1, 1]], axis=-1)
    assert np.allclose(R.gradient(w), wanted, rtol=1e-11)
    assert not R.domain.belongs([1.0, 2.0, 1.0]) and not R.domain.belongs([-1.0, 0.0, -1.0])
