"""The spectral solver: its maps, its degrees, and errors that fall with them."""

from itertools import groupby
from math import comb

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.chebyshev import BoxMap, ProductBasis, total_degree
from geoflow.realization import spectral
from geoflow.realization.certificate import relative_metric_error
from geoflow.realization.methods import Budget, Task
from geoflow.realization.spectral import Collocation, SpectralMap, damped_solve, degrees_up_to, products, solve


def task_of(metric, lower, upper, tol=1e-9, **budget):
    w = np.random.default_rng(5).uniform(lower, upper, (200, len(lower)))
    wanted = metric(w)
    return Task(metric, np.array(lower), np.array(upper), tol,
                lambda F: float(relative_metric_error(F.jacobian(w), wanted).max()), Budget(**budget))  # fmt: skip


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_degrees_rise_to_the_largest_that_is_allowed(d):
    default = degrees_up_to(d, None)
    assert list(default) == sorted(set(default))
    for largest in (1, 5, 9, default[-1], default[-1] + 9):
        degrees = degrees_up_to(d, largest)
        assert degrees[-1] == largest and list(degrees) == sorted(set(degrees))


def test_a_map_is_its_polynomials(rng):
    basis = ProductBasis([-1.0, 0.0], [1.0, 2.0], total_degree(2, 2))
    A = np.zeros((1, len(basis)))
    A[0, (basis.index == 1).all(axis=1)] = 2.0  # 2 T_1(t_1) T_1(t_2) = 2 w_1 (w_2 - 1)
    w = rng.uniform([-1, 0], [1, 2], (5, 2))
    value, J, S = SpectralMap(basis, A).jet(w)
    assert np.allclose(value[:, 0], 2 * w[:, 0] * (w[:, 1] - 1), rtol=1e-13, atol=1e-15)
    assert np.allclose(J[:, 0], np.stack([2 * (w[:, 1] - 1), 2 * w[:, 0]], -1), rtol=1e-13, atol=1e-15)
    assert np.allclose(S[:, 0], [[0, 2], [2, 0]], atol=1e-13)


def test_errors_fall_with_the_degree_until_the_metric_is_met():
    flat = task_of(lambda w: np.broadcast_to(np.diag([1.0, 4.0]), (len(w), 2, 2)), [-1.0, -1.0], [1.0, 1.0])
    found = solve(flat)
    assert found.stages[-1].fresh <= 1e-9 < found.stages[0].fresh
    curved = task_of(gf.catalog.potentials["log_sum_exp"](2).kernel.hessian, [-1.0, -1.0], [1.0, 1.0])
    found = solve(curved)
    errors = [stage.fresh for stage in found.stages]
    assert errors[-1] <= 1e-9 and errors[0] > 1e-5 and len(errors) > 1
    assert found.embedding.ambient_dim == 5 and "R^5" in found.reason


def test_a_curved_surface_does_not_fit_in_the_plane():
    metric = gf.catalog.potentials["gaussian_log_partition"](2).kernel.hessian
    found = solve(task_of(metric, [-1.0, -2.0], [1.0, -0.5], ambient_dim=2, max_degree=10))
    assert found.embedding.ambient_dim == 2 and min(stage.fresh for stage in found.stages) > 1e-3


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


def test_a_degree_is_left_when_fresh_points_gain_no_more():
    asked = []

    def fresh_error(F):
        asked.append(len(F.basis))
        return 1.0

    metric = gf.catalog.potentials["log_sum_exp"](2).kernel.hessian
    task = Task(metric, -np.ones(2), np.ones(2), 1e-9, fresh_error, Budget(max_degree=30))
    solve(task)
    # converged at the points long before forty steps; three degrees without gain end the search
    assert sorted(set(asked)) == [comb(p + 2, 2) for p in (6, 12, 18, 24)]
    runs = [len(list(run)) for _, run in groupby(asked)]
    assert len(runs) == 4 + 2 * 2 and max(runs) < 12  # the second degree is reached from two other starts, too


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_box_and_a_metric_of_any_scale_are_met_as_well(scale):
    def metric(w):
        return scale * gf.catalog.potentials["log_sum_exp"](2).kernel.hessian(w / scale)

    found = solve(task_of(metric, [-scale, -scale], [scale, scale], tol=1e-8))
    assert found.stages[-1].fresh <= 1e-8


def ridge_metric(a):
    """I + f(<a, w>) with a peak of f whose pole is at a distance of 1 / 2."""
    a = np.asarray(a, dtype=float)
    return lambda w: np.eye(len(a)) * (1 + 1 / (1 + 4 * (w @ a) ** 2))[:, None, None]


@pytest.mark.parametrize("a, steeper", [([0.2, 1.0], 1), ([1.0, 0.2], 0), ([1.0, 1.0], None)])
def test_products_come_by_what_the_metric_is_made_of(a, steeper):
    k = products(ridge_metric(a), BoxMap(-np.ones(2), np.ones(2)), 20, 6)
    first = k[: comb(22, 2)]
    extents = first.max(axis=0)
    if steeper is None:
        assert extents[0] == extents[1]
    else:
        assert extents[steeper] > 1.4 * extents[1 - steeper]
    assert sorted(map(tuple, k[: comb(8, 2)])) == sorted(map(tuple, total_degree(2, 6)))
    assert len(np.unique(k, axis=0)) == len(k) >= comb(22, 2)
    some = set(map(tuple, first))  # with any all below it
    assert all((i, j) in some for a, b in some for i, j in ((max(a - 1, 0), b), (a, max(b - 1, 0))))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_order_of_products_knows_no_units(scale):
    metric = ridge_metric([0.3, 1.0])
    here = products(metric, BoxMap(-np.ones(2), np.ones(2)), 20, 6)
    there = products(lambda w: metric(w / scale) / scale**2, BoxMap(-scale * np.ones(2), scale * np.ones(2)), 20, 6)
    assert np.array_equal(here[:150], there[:150])


@pytest.mark.parametrize("d", [1, 3, 4])
def test_in_other_dimensions_products_come_by_total_degree(d):
    k = products(lambda w: pytest.fail("asked"), BoxMap(-np.ones(d), np.ones(d)), 4, 3)
    assert np.array_equal(k.sum(axis=1), np.sort(total_degree(d, 4).sum(axis=1)))


def test_a_map_that_is_bent_wrongly_gives_way_to_another_start(monkeypatch):
    """From a start that is flat, where quadratic terms have no derivative: the next one goes on."""
    metric = gf.catalog.potentials["log_sum_exp"](2).kernel.hessian

    def errors(*bends):
        monkeypatch.setattr(spectral, "BENDS", bends)
        return [stage.fresh for stage in solve(task_of(metric, [-1.0, -1.0], [1.0, 1.0], max_degree=18)).stages]

    stuck, good, both = errors(0.0), errors(0.3), errors(0.0, 0.3)
    assert min(good) < 1e-6 < min(stuck)
    assert len(both) > len(good) and min(both) < 1e-6


@pytest.mark.parametrize("fall, starts", [(0.5, 1), (0.9, 3)])
def test_degrees_that_rise_one_by_one_may_lower_the_error_by_less(monkeypatch, fall, starts):
    """In four variables from degree 7 on; a restart for an error that only halves would cost more than it gives."""
    monkeypatch.setattr(spectral, "DEGREES", {2: (2, 3, 4, 5)})
    climbs = []

    def fresh_error(F):
        return fall ** float(F.basis.degree)

    started = spectral._start
    monkeypatch.setattr(spectral, "_start", lambda *arguments: climbs.append(arguments[-1]) or started(*arguments))
    monkeypatch.setattr(spectral, "products", lambda metric, box, *degrees: by_total_degree(degrees[0]))
    metric = gf.catalog.potentials["log_sum_exp"](2).kernel.hessian
    solve(Task(metric, -np.ones(2), np.ones(2), 1e-9, fresh_error, Budget()))
    assert len(climbs) == starts


def by_total_degree(degree):
    k = total_degree(2, degree)
    return k[np.argsort(k.sum(axis=1), kind="stable")]


def test_a_degree_below_that_of_a_start_is_refused():
    metric = gf.catalog.potentials["log_sum_exp"](2).kernel.hessian
    with pytest.raises(gf.ArgumentError, match=r"max_degree.*at least 2"):
        solve(task_of(metric, [-1.0, -1.0], [1.0, 1.0], max_degree=1))
