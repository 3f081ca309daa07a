"""Lifts of loops: they close exactly where fields commute, and what they leave is area times bracket."""

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.maps.holonomy import curvature_of_lift, parallelogram
from geoflow.theorems import laws

NONCOMMUTING = list(gf.catalog.noncommuting)


@pytest.mark.parametrize("name", [n for n, e in gf.catalog.parametrizations.items() if not e.dims or 2 in e.dims])
def test_loops_close_where_fields_commute(name):
    case = gf.catalog.parametrizations[name](2)
    G, x0 = case.parametrization, case.x0
    size = 0.05 * np.sqrt(np.linalg.eigvalsh(G.cometric(x0))[0])
    loop = parallelogram(G(x0), [size, 0.3 * size], [-0.2 * size, size])
    defect, scale = laws.lift_closes(G, x0, loop)
    assert defect <= 1e-9 * scale
    _, in_mu = curvature_of_lift(G, x0)
    assert np.abs(in_mu).max() < 1e-9 * (1 + np.abs(np.linalg.inv(G.cometric(x0))).max() ** 2)


@pytest.mark.parametrize("name", NONCOMMUTING)
def test_the_displacement_is_area_times_bracket(name):
    case = gf.catalog.noncommuting[name]()
    law = gf.area_law(case.parametrization, case.x0)
    assert abs(law.slope - 2) < 0.1
    assert law.remainder_slope > 2.7 and law.limit_defect < 0.02
    size = law.sides[0]
    e = np.eye(case.parametrization.codomain_dim)
    loop = parallelogram(case.parametrization(case.x0), size * e[0], size * e[1])
    defect, scale = laws.lift_closes(case.parametrization, case.x0, loop)
    assert defect > 1e-5 * scale


def test_the_law_sees_a_wrong_bracket(monkeypatch):
    case = gf.catalog.noncommuting["matrix_square"]()
    good, _ = laws.holonomy_is_bracket(case.parametrization, case.x0)
    assert good < 0.1

    def wrong(G, x):
        in_x, in_mu = curvature_of_lift(G, x)
        return 1.3 * in_x, in_mu

    monkeypatch.setattr("geoflow.maps.holonomy.curvature_of_lift", wrong)
    assert laws.holonomy_is_bracket(case.parametrization, case.x0)[0] > 0.15


def test_x_alone_closes_for_every_diffeomorphism_and_mu_alone_for_vertical_brackets():
    parabola, group = (gf.catalog.noncommuting[n]() for n in ("parabola", "heisenberg"))
    loop = np.array([[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1], [0, 0]])
    w0 = parabola.parametrization(parabola.x0)
    dx, dmu = gf.lift_curve(parabola.parametrization, parabola.x0, w0 + loop).displacement
    assert np.abs(dx).max() < 1e-12 and np.abs(dmu).max() > 1e-3
    dx, dmu = gf.lift_curve(group.parametrization, group.x0, group.parametrization(group.x0) + loop).displacement
    assert np.allclose(dx, [0, 0, 0.01], atol=1e-12) and np.abs(dmu).max() < 1e-12  # the area


def test_a_smooth_loop_on_the_heisenberg_group_lifts_to_its_area():
    case = gf.catalog.noncommuting["heisenberg"]()
    w0 = case.parametrization(case.x0)

    def circle(s):
        return w0 + 0.3 * anp.stack([anp.cos(2 * anp.pi * s) - 1, anp.sin(2 * anp.pi * s)])

    lift = gf.lift_curve(case.parametrization, case.x0, circle)
    assert lift.x.shape == (65, 3) and lift.closed
    assert abs(lift.displacement[0][2] - np.pi * 0.09) < 1e-10


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda G, x: gf.lift_curve(G, x, [[0.0, 0.0], [1.0, 1.0]]), gf.DomainError, "starts at"),
        (lambda G, x: gf.lift_curve(G, x, [1.0, 2.0]), gf.ShapeError, "shape"),
        (lambda G, x: gf.lift_curve(G, x, [G(x), G(x) - 10]), gf.DomainError, "leg 1"),
        (lambda G, x: gf.lift_curve(G, x, [G(x), G(x) + 0.1]).displacement, gf.ArgumentError, "closed loop"),
        (lambda G, x: gf.area_law(G, x), gf.ArgumentError, "loops that close"),
    ],
)
def test_bad_input_is_named(make, error, words):
    case = gf.catalog.parametrizations["square"](2)
    with pytest.raises(error, match=words):
        make(case.parametrization, case.x0)
