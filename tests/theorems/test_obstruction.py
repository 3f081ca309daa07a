"""How far from mirror flow: pairs of schedules, the best Hessian metric, time warps."""

import autograd.numpy as anp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import geoflow as gf
from geoflow.flows.losses import LinearSchedule
from geoflow.theorems import laws

SEEN = ["neuron", "matrix_square", "matrix_product", "parabola", "so_general", "ball_identity", "spd_bures_general"]


@pytest.mark.parametrize("name", SEEN)
def test_two_schedules_of_one_integral_end_apart(name):
    case = gf.catalog.noncommuting[name]()
    found = gf.schedule_gap(case.parametrization, case.x0, n=16)
    assert found and found.gap > 0.05 and found.dual_gap < 1e-7, str(found)
    # once more by an integrator and a field written here
    G = case.parametrization
    ends = []
    for schedule in found.schedules:
        x = case.x0.ravel()
        for force in schedule.forces:
            flow = solve_ivp(
                lambda s, y, u=force: np.einsum("i,i...->...", u, G.gradients(y.reshape(G.point_shape))).ravel(),
                (0, 1), x, rtol=1e-9, atol=1e-11,
            )  # fmt: skip
            x = flow.y[:, -1]
        ends.append(G(x.reshape(G.point_shape)))
    for end, flow in zip(ends, found.trajectories, strict=True):
        assert np.allclose(end, flow.w[-1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["hyperbolic", "quadratic", "sphere_squares", "so_torus", "spd_affine"])
def test_no_schedules_are_found_where_fields_commute(name):
    case = gf.catalog.parametrizations[name](2)
    found = gf.schedule_gap(case.parametrization, case.x0, n=16)
    assert not found and found.gap < 1e-6


@pytest.mark.parametrize("name", ["heisenberg", "stiefel_rows"])
def test_none_are_found_where_only_vertical_brackets_do_not_vanish(name):
    case = gf.catalog.noncommuting[name]()
    assert not gf.schedule_gap(case.parametrization, case.x0, n=16)


def test_the_hessian_fit_ranks_parametrizations():
    def misfit(case, **options):
        return gf.hessian_fit(case.parametrization, case.x0, **options).defect

    entries, refused = gf.catalog.parametrizations, gf.catalog.noncommuting
    good = [misfit(entries[n](2)) for n in ("hyperbolic", "sphere_squares", "product", "quadratic")]
    bad = [misfit(refused[n]()) for n in ("neuron", "matrix_square", "parabola", "ball_identity")]
    assert max(good) < 1e-3 < 5e-3 < min(bad)
    case = entries["hyperbolic"](2)
    assert misfit(case, degree=8) < 0.1 * misfit(case, degree=4)
    worse = [misfit(refused["matrix_square"](), degree=k) for k in (4, 6)]
    assert worse[1] > 0.5 * worse[0]  # no potential helps


def test_a_neuron_is_mirror_flow_in_warped_time():
    """a v from (a, v): the cometric a^2 I + v v^T is conformal to a Hessian one (Azulay et al. 2021)."""
    case = gf.catalog.noncommuting["neuron"]()
    loss = gf.LeastSquares([[1.0, -0.4]], [0.5])
    defect, scale = laws.warped_flow_is_mirror_flow(loss, case.parametrization, case.x0, 1.0)
    assert defect <= 1e-8 * scale
    w = case.parametrization(case.x0) + np.array([[0.1, 0.05], [-0.1, 0.1]])
    warp = gf.time_warp(case.parametrization, case.x0, w)
    assert warp.check and np.abs(warp.factor - 1).max() > 1e-2  # time really is warped
    three = gf.Parametrization(lambda x: x[..., :1] * x[..., 1:], 4, 3)
    x0 = np.array([0.9, 0.5, 0.7, 0.6])
    assert gf.time_warp(three, x0, three(x0) + 0.05 * np.array([[1.0, 0.5, -1.0], [0.3, -0.5, 1.0]])).check


def test_the_warped_law_fails_without_the_warp(monkeypatch):
    case = gf.catalog.noncommuting["neuron"]()
    loss = gf.LeastSquares([[1.0, -0.4]], [0.5])
    monkeypatch.setattr(
        "geoflow.theorems.obstruction.log_factor_gradient", lambda G, x: (np.zeros((len(x), 2)), np.zeros(len(x)))
    )
    defect, scale = laws.warped_flow_is_mirror_flow(loss, case.parametrization, case.x0, 1.0)
    assert defect > 1e-3 * scale


def test_a_commuting_map_needs_no_warp_and_a_general_one_has_none():
    case = gf.catalog.parametrizations["hyperbolic"](2)
    w = case.reach(3, np.random.default_rng(0))
    warp = gf.time_warp(case.parametrization, case.x0, w)
    assert warp.check and np.allclose(warp.factor, 1, atol=1e-9)
    assert np.allclose(warp.mu, case.legendre.gradient(w), atol=1e-9)
    wild = gf.Parametrization(
        lambda x: anp.stack([x[..., 0] + x[..., 1] ** 2 * x[..., 2], x[..., 1] + x[..., 0] * x[..., 2] ** 2, x[..., 2]
                            + x[..., 0] * x[..., 1]], -1), 3, 3,
    )  # fmt: skip
    x0 = np.array([0.4, 0.5, 0.3])
    with pytest.raises(gf.CheckError, match="Codazzi residual"):
        gf.time_warp(wild, x0, [wild(x0) + 0.05]).check.unwrap()


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda c: gf.hessian_fit(c.parametrization, c.x0, n=4), gf.ArgumentError, "raise n"),
        (lambda c: gf.hessian_fit(3, c.x0), gf.ArgumentError, "Parametrization"),
        (lambda c: gf.time_warp(c.parametrization, c.x0, [[1.0]]), gf.ShapeError, "shape"),
        (lambda c: gf.time_warp(gf.Parametrization(anp.exp, 1, 1), [0.0], [[1.1]]), gf.ArgumentError, "d >= 2"),
        (lambda c: LinearSchedule([1.0]), gf.ShapeError, "forces"),
    ],
)
def test_bad_input_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make(gf.catalog.parametrizations["square"](2))
