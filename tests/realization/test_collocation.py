"""The normal equations of the spectral solver, and damped steps in both precisions."""

from math import comb

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.chebyshev import ProductBasis, total_degree
from geoflow.realization import collocation
from geoflow.realization.collocation import Collocation, DampedEquations, damped_factor, damped_solve, degrees


@pytest.mark.parametrize("d, p", [(1, 9), (2, 6), (3, 4), (4, 3)])
def test_products_by_total_degree_have_it(d, p):
    k = total_degree(d, p)
    k = k[np.argsort(k.sum(axis=1), kind="stable")]
    assert np.array_equal(degrees(ProductBasis(-np.ones(d), np.ones(d), k)), k.sum(axis=1))
    assert comb(d + p, d) == len(k)


@pytest.mark.parametrize("d, D", [(1, 2), (2, 2), (2, 5), (3, 7)])
def test_the_normal_equations_are_those_of_the_derivative_of_the_residual(d, D, rng):
    basis = ProductBasis(-np.ones(d), np.ones(d), total_degree(d, 3))
    R, w = gf.catalog.potentials["log_sum_exp"](d), rng.uniform(-1, 1, (30, d))
    points, m = Collocation(R.kernel.derivative(2, w), basis, w), len(basis)
    x = rng.standard_normal((D, m))
    state = points.state(x)
    columns = []  # the residual is quadratic: a central difference of any length is its derivative
    for e in np.eye(D * m).reshape(-1, D, m):
        columns.append((points.state(x + e).r - points.state(x - e).r).ravel() / 2)
    M = np.array(columns).T
    N, gradient = points.normal_matrix(state.K), points.gradient(state).ravel()
    upper = np.triu_indices(D * m)  # what lies below is not filled
    assert np.abs(N[upper] - (M.T @ M)[upper]).max() <= 1e-13 * np.abs(M.T @ M).max()
    assert np.abs(gradient - M.T @ state.r.ravel()).max() <= 1e-13 * np.abs(gradient).max()
    damping = 1e-2 * float(np.trace(N)) / len(N)
    wanted = np.linalg.solve(M.T @ M + damping * np.eye(D * m), gradient)
    assert np.allclose(damped_solve(N, gradient, damping), wanted, rtol=1e-9, atol=1e-12 * np.abs(wanted).max())
    assert damped_solve(-N, gradient, 0.0) is None


# single precision -----------------------------------------------------------------------------------------------------


@pytest.fixture
def doubles(monkeypatch):
    """Every matrix is preconditioned, and those that are formed in double precision are counted."""
    monkeypatch.setattr(collocation, "MANY", 1)
    monkeypatch.setattr(collocation, "WORTH", 0.0)
    formed, plain = [], Collocation.normal_matrix

    def counted(points, K):
        formed.append(K.dtype)
        return plain(points, K)

    monkeypatch.setattr(Collocation, "normal_matrix", counted)
    return lambda: sum(kind == np.float64 for kind in formed)


def equations(rng, d=3, degree=4, D=9, scale=1.0):
    """A state near an embedding, as those that steps are taken from."""
    basis = ProductBasis(-np.ones(d), np.ones(d), total_degree(d, degree))
    w = rng.uniform(-1, 1, (int(1.7 * len(basis)), d))
    points = Collocation(scale * gf.catalog.potentials["log_sum_exp"](d).kernel.derivative(2, w), basis, w)
    x = scale**0.5 * rng.standard_normal((D, len(basis))) * np.exp(-total_degree(d, degree).sum(axis=1))
    return points, points.state(x)


def off(points, state, step, damping):
    """How far a step is from the solution, in the norm of the equations, beside that solution; and the mean eigenvalue.

    Conjugate gradients bound this: what they leave, in the norm of the preconditioner, times the square root of what
    that one is above the equations.
    """
    N = points.normal_matrix(state.K)
    unit = float(np.trace(N)) / len(N)
    gap, wanted = (
        np.longdouble(v) for v in (step, damped_solve(N, points.gradient(state).ravel(), damping * unit))
    )  # fmt: skip
    gap = (gap - wanted) / np.abs(wanted).max()
    wanted = wanted / np.abs(wanted).max()
    A = (np.triu(N) + np.triu(N, 1).T) / unit + damping * np.eye(len(N))
    return float(np.sqrt((gap @ A @ gap) / (wanted @ A @ wanted))), unit


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
@pytest.mark.parametrize("damping", [1e-2, 1e-6, 1e-8])
def test_steps_by_a_factor_of_single_precision_are_those_by_one_of_double(doubles, scale, damping, rng):
    points, state = equations(rng, scale=scale)
    found = DampedEquations(points, state.K, damping)
    step = found.solve(points.gradient(state).ravel(), damping)
    assert doubles() == 0
    error, unit = off(points, state, step, damping)
    assert error <= 2 * collocation.REACHED * max(1.0, collocation.DEFINITE / damping) ** 0.5
    assert abs(found.unit - unit) <= 1e-5 * unit


def test_a_factor_is_used_until_the_damping_is_far_above_its_own(doubles, rng):
    points, state = equations(rng)
    gradient, found = points.gradient(state).ravel(), DampedEquations(points, state.K, 1e-7)
    factors, dampings = [], (1e-7, 1e-6, 5e-6, 1e-3, 2e-3)
    for damping in dampings:
        step = found.solve(gradient, damping)
        factors.append(found._factor)
        assert off(points, state, step, damping)[0] < 1e-4
    assert factors[0] is factors[1] is factors[2] is not factors[3] and factors[3] is factors[4]


def test_the_factor_is_of_the_least_damping_that_has_one_in_steps_of_two(doubles, monkeypatch, rng):
    monkeypatch.setattr(collocation, "DEFINITE", 1e-9)
    points, state = equations(rng, degree=6)
    found = DampedEquations(points, state.K, 3e-9)
    assert found.solve(points.gradient(state).ravel(), 3e-9) is not None and doubles() == 0
    assert found._added > 4e-9 and damped_factor(found._N, found._added * found._own) is not None
    assert damped_factor(found._N, found._added / 2 * found._own) is None


def test_where_nothing_is_to_be_done_nothing_is(doubles, rng):
    points, state = equations(rng)
    step = DampedEquations(points, state.K, 1e-3).solve(np.zeros(state.x.size), 1e-3)
    assert step.shape == (state.x.size,) and not step.any()


@pytest.mark.parametrize("name, value", [("STEPS", 1), ("LARGEST", 0.0)])
def test_where_single_precision_will_not_do_the_factor_is_one_of_double(doubles, monkeypatch, name, value, rng):
    """Conjugate gradients that do not arrive; and no damping with which there is a factor."""
    monkeypatch.setattr(collocation, name, value)
    if name == "LARGEST":
        monkeypatch.setattr(collocation, "DEFINITE", 1e-12)
    points, state = equations(rng, degree=6)
    gradient, found = points.gradient(state).ravel(), DampedEquations(points, state.K, 3e-9)
    step = found.solve(gradient, 3e-9)
    assert doubles() == 1
    wanted = damped_solve(points.normal_matrix(state.K), gradient, 3e-9 * found.unit)
    assert np.array_equal(step, wanted)
    found.solve(gradient, 1e-3)
    assert doubles() == 2  # that of this test, and no other


def test_few_unknowns_and_small_dampings_take_double_precision(doubles, monkeypatch, rng):
    points, state = equations(rng)
    monkeypatch.setattr(collocation, "WORTH", 0.5)
    for damping, doubled in ((1.01 * 0.5 / state.x.size**2, 0), (0.99 * 0.5 / state.x.size**2, 1)):
        DampedEquations(points, state.K, damping)
        assert doubles() == doubled
    for many, doubled in ((state.x.size, 1), (state.x.size + 1, 2)):
        monkeypatch.setattr(collocation, "MANY", many)
        DampedEquations(points, state.K, 1e-3)
        assert doubles() == doubled


def test_what_is_not_finite_has_no_step(doubles, rng):
    points, state = equations(rng)
    found = DampedEquations(points, np.full_like(state.K, np.nan), 1e-3)
    assert found.solve(points.gradient(state).ravel(), 1e-3) is None
