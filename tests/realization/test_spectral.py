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
from geoflow.realization.spectral import SpectralMap, degrees_up_to, products, solve


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


def unequal_metric(w):
    """Steepest in w_0 where it is g_00, and in w_1 where it is g_11: the larger of the two is a matter of units."""
    return np.stack([1 + 1 / (1 + 4 * w[:, 0] ** 2), 1 + 1 / (1 + 16 * w[:, 1] ** 2)], -1)[:, None] * np.eye(2)


@pytest.mark.parametrize("units", [(1e-6, 1e-6), (1e6, 1e6), (1e6, 1.0), (1.0, 1e3)])
@pytest.mark.parametrize("metric", [ridge_metric([0.3, 1.0]), unequal_metric])
def test_the_order_of_products_knows_no_units(metric, units):
    units = np.array(units)
    here = products(metric, BoxMap(-np.ones(2), np.ones(2)), 20, 6)
    there = products(lambda w: metric(w / units) / (units[:, None] * units), BoxMap(-units, units), 20, 6)
    assert np.array_equal(here[:150], there[:150])


def test_the_order_of_products_is_the_same_whichever_degree_is_the_last():
    orders = [products(ridge_metric([0.01, 3.0]), BoxMap(-np.ones(2), np.ones(2)), last, 6) for last in (20, 36, 48)]
    assert all(np.array_equal(order[: comb(22, 2)], orders[-1][: comb(22, 2)]) for order in orders)


def test_products_of_more_than_is_seen_come_by_how_far_each_variable_is_seen():
    """Of a metric without w_0 whose coefficients in w_1 are seen to degree 12: beyond, those of w_1 go first."""

    def metric(w):
        return np.eye(2) * (2 + 0.9 * np.cos(12 * np.arccos(np.clip(w[:, 1], -1, 1))))[:, None, None]

    first = products(metric, BoxMap(-np.ones(2), np.ones(2)), 20, 2)[: comb(14, 2)]
    assert first[:, 1].max() > 1.5 * first[:, 0].max()
    assert first[:, 0].max() >= 6  # half of the order is that of total degree


def test_coefficients_below_what_the_grid_is_too_coarse_for_do_not_order_products(rng):
    """Of a metric so steep that the last ones on the grid are large, noise far below these changes nothing."""
    box, metric = BoxMap(-np.ones(2), np.ones(2)), ridge_metric([0.2, 3.0])
    noise = 1e-7 * rng.uniform(-1, 1, (4096, 1, 1)) * np.eye(2)
    clean, noisy = products(metric, box, 30, 6), products(lambda w: metric(w) + noise, box, 30, 6)
    assert np.array_equal(clean[: comb(32, 2)], noisy[: comb(32, 2)])


@pytest.mark.parametrize("d", [2, 3, 4])
def test_points_of_faces_are_on_all_of_them_and_inside_the_box(d):
    box = BoxMap(np.arange(d) - 5.0, np.arange(d) + 7.0)
    w = spectral._on_faces(box, 3**d * 5, seed=3)
    unit = box.to_unit(w)
    side = np.where(np.abs(np.abs(unit) - 1) < 1e-12, np.sign(unit), 0).astype(int)
    faces, counts = np.unique(side, axis=0, return_counts=True)
    assert np.abs(unit).max() <= 1 and len(w) == 2**d + 3**d * 5
    assert len(faces) == 3**d - 1 and (side != 0).any(axis=1).all()
    corners = (faces != 0).all(axis=1)
    assert (counts[corners] == 1).all() and counts[~corners].min() >= 5 and np.ptp(counts[~corners]) <= 1


def test_points_of_faces_are_fitted_beyond_the_start_where_they_are_worth_it(monkeypatch):
    asked = []

    def errors(share):
        monkeypatch.setattr(spectral, "ON_FACES", {3: share})
        asked.clear()
        found = solve(task_of(metric, -np.ones(3), np.ones(3), max_degree=7))
        w = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
        return float(relative_metric_error(found.embedding.jacobian(w), inner(w)).max())

    inner = gf.catalog.potentials["log_sum_exp"](3).kernel.hessian

    def metric(w):
        asked.append(np.count_nonzero((np.abs(w) == 1).any(axis=1)))
        return inner(w)

    without = errors(0.0)
    assert not any(asked)
    assert errors(0.1) < 0.5 * without
    faces = [n > 0 for n in asked]
    assert faces.index(True) > 2 and faces.count(True) == 1  # at the second degree, not at the first


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
    back = errors(0.3, 0.0)  # where the first start is never stuck, no other is tried
    assert back == good


def test_points_of_faces_are_in_the_closed_box(monkeypatch):
    """To the last digit, for a metric that has no value outside; of this box lower + width is above upper."""
    monkeypatch.setattr(spectral, "ON_FACES", {2: 0.5})
    lower, upper = next(
        (low, high)
        for low, high in np.random.default_rng(0).uniform([-1, 0], [0, 1], (2000, 2, 2)).transpose(0, 2, 1)
        if (low + 2 / (2 / (high - low)) > high).all()
    )

    def metric(w):
        return (1 + 0 * np.sqrt(upper - w))[:, None] * np.eye(2)

    found = solve(task_of(metric, lower, upper, tol=1e-6, max_degree=12))
    assert found.stages[-1].fresh < 1e-6 and all(np.isfinite(stage.fitted) for stage in found.stages)


def test_faces_on_the_boundary_of_the_domain_are_left_out(monkeypatch):
    """Of entropy on a box that touches the orthant's boundary: 1 / w has no value there, and other faces are fitted."""
    monkeypatch.setattr(spectral, "ON_FACES", {2: 0.5})
    asked = []

    def metric(w):
        with np.errstate(all="ignore"):
            asked.append(1 / w)
            return asked[-1][:, None] * np.eye(2)

    found = solve(task_of(metric, [0.0, 0.5], [1.0, 1.0], max_degree=12))
    errors = [stage.fresh for stage in found.stages]
    assert errors[1] < errors[0] and np.isfinite(found.embedding.coefficients).all()
    assert any(np.isinf(values).any() for values in asked)


def climbs_of(monkeypatch, errors, tol=1e-9, bends=(0.3, 0.2, 0.45), **budget):
    """Stages (start, degree) and the result of a solver whose errors, {(start, degree): error}, are made up."""
    task = task_of(gf.catalog.potentials["log_sum_exp"](2).kernel.hessian, [-1.0, -1.0], [1.0, 1.0], tol, **budget)
    stages = []

    def at(climb, k, last, bend):
        stages.append((bends.index(bend) if last is None else last.map[0], climb.degrees[k]))
        climb.found.append(spectral._Found(climb.degrees[k], stages[-1], errors[stages[-1]]))
        return climb.found[-1]

    monkeypatch.setattr(spectral, "BENDS", bends)
    monkeypatch.setattr(spectral._Climb, "at", at)
    return stages, solve(task)


def test_the_better_of_two_starts_goes_on(monkeypatch):
    """The second and the third are worse at degree 12, and the first goes on from there."""
    errors = {(0, 6): 1e-1, (0, 12): 9e-2, (0, 18): 1e-10} | {(k, p): 1.0 for k in (1, 2) for p in (6, 12)}
    stages, found = climbs_of(monkeypatch, errors)
    assert stages == [(0, 6), (0, 12), (1, 6), (1, 12), (2, 6), (2, 12), (0, 18)]
    assert found.embedding == (0, 18)


def test_a_start_that_meets_tol_early_ends_the_search(monkeypatch):
    errors = {(0, 6): 1e-1, (0, 12): 9e-2, (1, 6): 1e-4}
    stages, found = climbs_of(monkeypatch, errors, tol=1e-3)
    assert stages == [(0, 6), (0, 12), (1, 6)] and found.embedding == (1, 6) and "degree 6" in found.reason


def test_what_meets_tol_is_no_reason_for_another_start(monkeypatch):
    stages, _ = climbs_of(monkeypatch, {(0, 6): 1.1e-3, (0, 12): 1e-3}, tol=1e-3)
    assert stages == [(0, 6), (0, 12)]


def test_the_best_map_of_any_start_and_degree_is_given(monkeypatch):
    errors = {(k, p): 1e-2 for k in range(3) for p in (6, 12, 18, 24)} | {(1, 6): 1e-4}
    _, found = climbs_of(monkeypatch, errors)
    assert found.embedding == (1, 6)


def test_where_there_is_nothing_to_bend_there_is_one_start(monkeypatch):
    errors = {(0, p): 1e-2 for p in (6, 12, 18, 24)}
    stages, _ = climbs_of(monkeypatch, errors, ambient_dim=2)
    assert stages == [(0, 6), (0, 12), (0, 18), (0, 24)]


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
