"""The spectral solver: its maps, its degrees, and errors that fall with them."""

import numpy as np
import pytest

import geoflow as gf
from geoflow.numerics.chebyshev import TotalDegreeBasis
from geoflow.realization.certificate import relative_metric_error
from geoflow.realization.methods import Budget, Task
from geoflow.realization.spectral import SpectralMap, degrees_up_to, solve


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
    basis = TotalDegreeBasis([-1.0, 0.0], [1.0, 2.0], 2)
    A = np.zeros((1, len(basis)))
    A[0, basis.place[(1, 1)]] = 2.0  # 2 T_1(t_1) T_1(t_2) = 2 w_1 (w_2 - 1)
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
