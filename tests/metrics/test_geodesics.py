"""Integrated geodesics: exp against log, energy, transport, and geodesics that leave the domain."""

import copy

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.metrics.geodesics import BatchedIVP
from geoflow.theorems import laws

POTENTIALS = gf.catalog.potentials
CLOSED = [
    ("simplex_entropy", 3), ("log_sum_exp", 3), ("gaussian_log_partition", 2), ("log_det_spd", 3),
    ("negative_entropy", 2), ("burg", 2), ("fermi_dirac", 2), ("hyperbolic_entropy", 2), ("quadratic_form", 3),
]  # fmt: skip
OPEN = [("quartic", 2), ("logistic_regression", 2), ("soft_max_affine", 2)]


def equipped(R, metric, **options):
    space = copy.copy(R.domain)
    space.equip_with_metric(metric, potential=R, **options)
    return space.metric


def points(R, n, rng, bound=0.25):
    return R.domain.random_point(n, bound=bound, rng=rng)


@pytest.mark.parametrize("name, d", CLOSED + OPEN)
def test_exp_log_energy_and_transport(name, d, rng):
    R = POTENTIALS[name](d)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w, y = points(R, 4, rng), points(R, 4, rng)
    v = metric.log(y, w)
    u = rng.standard_normal(w.shape)
    for law, arguments, tol in [
        (laws.exp_inverts_log, (metric, y, w), 1e-7),
        (laws.energy_is_constant, (metric, v, w), 1e-9),
        (laws.transport_is_isometry, (metric, u, w, v), 1e-9),
    ]:
        defect, scale = law(*arguments)
        assert defect <= tol * scale, law.__name__


def test_geomstats_euler_steps_fail_the_laws_that_ours_pass(rng):
    from geomstats.numerics.geodesic import ExpODESolver
    from geomstats.numerics.ivp import GSIVPIntegrator

    R = POTENTIALS["gaussian_log_partition"](2)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w, y = np.array([[0.0, -1.0]]), np.array([[1.0, -0.5]])
    metric.exp_solver = ExpODESolver(metric.domain, GSIVPIntegrator(n_steps=100))  # selectable, and coarse
    defect, scale = laws.exp_inverts_log(metric, y, w)
    assert defect > 1e-4 * scale
    defect, scale = laws.energy_is_constant(metric, metric.log(y, w), w)
    assert defect > 1e-4 * scale
    # plain vectors are not transported by leaving them alone
    metric.parallel_transport = lambda u, w, direction: u
    defect, scale = laws.transport_is_isometry(metric, np.ones((1, 2)), w, y - w)
    assert defect > 1e-2 * scale


def test_geodesics_that_leave_the_domain_are_refused_not_reflected():
    for name, w, v in [
        ("simplex_entropy", [0.3, 0.3], [-3.0, 0.0]),
        ("simplex_entropy", [0.3, 0.3], [-9.0, 0.0]),  # a great circle that has come back inside
        ("negative_entropy", [0.5, 0.5], [-3.0, 0.0]),
    ]:
        R = POTENTIALS[name](2)
        for metric in (R.metric, equipped(R, gf.HessianMetric, closed_forms=False)):
            with pytest.raises(gf.DomainError, match="geodesic leaves the domain"):
                metric.exp(np.array(v), np.array(w))
    metric = POTENTIALS["simplex_entropy"](2).metric
    with pytest.raises(gf.DomainError):
        metric.log([0.9, 0.9], [0.3, 0.3])
    with pytest.raises(gf.ShapeError):
        metric.exp([1.0, 2.0, 3.0], [0.3, 0.3])
    with pytest.raises(gf.ArgumentError, match="exactly one"):
        metric.parallel_transport([0.1, 0.1], [0.3, 0.3])


@pytest.mark.parametrize("end", [1.0, -0.5, 0.0])
def test_a_batch_of_states_is_integrated_at_once(end, rng):
    """x'' = -x: rotations of (x, v)."""
    state = rng.standard_normal((2, 3, 2, 4))

    def force(y, t):
        return np.stack([y[..., 1, :], -y[..., 0, :]], axis=-2)

    found = BatchedIVP().integrate(force, state, end_time=end)
    c, s = np.cos(end), np.sin(end)
    wanted = np.stack(
        [c * state[..., 0, :] + s * state[..., 1, :], c * state[..., 1, :] - s * state[..., 0, :]], axis=-2
    )
    assert np.allclose(found.y[-1], wanted, atol=1e-11) and np.array_equal(found.y[0], state)
    times = np.array([0.3, -0.2, 0.0, end])
    several = BatchedIVP().integrate_t(force, state, times).y
    assert several.shape == (2, 3, 4, 2, 4)
    assert np.allclose(several[..., 3, :, :], wanted, atol=1e-11) and np.array_equal(several[..., 2, :, :], state)


def test_the_geodesic_that_ends_early_is_named(rng):
    R = POTENTIALS["negative_entropy"](2)
    metric = equipped(R, gf.HessianMetric, closed_forms=False)
    w = np.ones((3, 2))
    v = np.array([[0.1, 0.1], [-4.0, 0.0], [0.2, 0.0]])  # sqrt w falls by v / 2 and is 0 at t = 1/2
    with pytest.raises(gf.DomainError, match=r"batch entry \(1,\)") as caught:
        metric.exp(v, w)
    assert caught.value.index == (1,) and abs(caught.value.s - 0.5) < 1e-4
    ends = metric.shoot(v, w)
    assert np.isnan(ends).all(axis=1).tolist() == [False, True, False]
    assert np.allclose(w[[0, 2]] + ends[[0, 2]], (1 + v[[0, 2]] / 2) ** 2, rtol=1e-9)


@pytest.mark.parametrize("engine", ["autograd", "jax"])
def test_a_metric_that_stops_being_positive_definite_on_the_way_is_refused(engine):
    if engine == "jax":
        pytest.importorskip("jax")
    # H = [[cos w_1, 0.05], [0.05, 1]] is positive definite up to cos w_1 = 0.0025
    R = gf.LegendreFunction(
        lambda w: -anp.cos(w[..., 0]) + w[..., 1] ** 2 / 2 + 0.05 * w[..., 0] * w[..., 1], 2, engine=engine
    )
    assert R.engine == engine
    metric, w, far = R.metric, np.array([0.3, 0.0]), np.array([3.0, 0.3])
    assert np.allclose(metric.exp(metric.log([1.2, 0.0], w), w), [1.2, 0.0], rtol=1e-9)
    for call in (
        lambda: metric.exp([[0.1, 0.2], [8.0, 0.2]], [w, w]),
        lambda: metric.parallel_transport([1.0, 1.0], w, direction=[3.0, 0.0]), lambda: metric.dist(w, far),
        lambda: metric.log(w, far), lambda: metric.norm([1.0, 0.0], far), lambda: metric.exp([0.1, 0.0], far),
    ):  # fmt: skip
        with pytest.raises(gf.NotLegendreError, match="not positive definite"):
            call()


def test_a_metric_that_changes_its_sign_at_a_jump_is_refused_at_the_end():
    R = gf.LegendreFunction(lambda w: anp.sum(w * anp.abs(w), axis=-1) / 2, 1, check=False)
    assert np.allclose(R.metric.exp([-0.5], [1.0]), 0.5, rtol=1e-12)
    with pytest.raises(gf.NotLegendreError):  # straight on, as if nothing were there
        R.metric.exp([-3.0], [1.0])


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_near_points_have_all_digits_of_their_distance(unit):
    R = gf.LegendreFunction(lambda w: anp.sum(anp.exp(w / unit), axis=-1), 2)  # Euclidean in 2 e^(w / (2 unit))
    v = unit * np.array([0.7, -2.0])
    for h in (1e-14, 1e-12, 1e-10, 1e-6, 1e-2, 1.0):
        w = v + h * unit * np.array([1.0, 0.5])
        wanted = np.linalg.norm(2 * np.exp(v / unit / 2) * np.expm1((w - v) / unit / 2))
        assert abs(R.metric.dist(w, v) - wanted) <= 1e-9 * wanted, h


def test_geodesics_ask_for_positive_definite_hessians():
    singular = gf.LegendreFunction(lambda w: anp.log(anp.sum(anp.exp(w), axis=-1)), 2)
    saddle = gf.LegendreFunction(lambda w: w[..., 0] ** 2 - w[..., 1] ** 2 / 2, 2)
    w, v = np.array([0.1, 0.2]), np.array([0.3, 0.1])
    for R in (singular, saddle):
        m, dual = R.metric, gf.DuallyFlatManifold(R).dual
        for call, arguments in (
            (m.exp, (v, w)), (m.log, (v, w)), (m.dist, (v, w)), (m.parallel_transport, (v, w, v)),
            (dual.christoffels, (w,)), (dual.log, (v, w)),
        ):  # fmt: skip
            with pytest.raises(gf.NotLegendreError, match="not positive definite"):
                call(*arguments)
