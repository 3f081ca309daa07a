"""Every law holds on a case of the theory and fails on a case made to break it; none is vacuous."""

import dataclasses
import importlib
import inspect
import pkgutil

import autograd.numpy as anp
import numpy as np
import pytest

import geoflow as gf
from geoflow.potentials.induced import InducedLegendreFunction
from geoflow.theorems import laws

CASE = gf.catalog.parametrizations["hyperbolic"](2)
G, X0 = CASE.parametrization, CASE.x0
R = gf.mirror_map(G, X0)
W = CASE.reach(4, np.random.default_rng(0))


class Shifted(InducedLegendreFunction):
    """An induced function whose lift and Hessian are off by a thousandth."""

    def lift(self, w):
        return super().lift(w) * 1.001

    def hessian(self, w):
        return super().hessian(w) * 1.001


SHIFTED = Shifted(G, X0)
OTHER = gf.catalog.parametrizations["hyperbolic"](2).legendre
WRONG = gf.LegendreFunction(lambda w: 1.001 * OTHER(w), 2)


@pytest.mark.parametrize(
    "law, good, bad",
    [
        (laws.regular, (G, X0), (G, np.zeros(4))),
        (laws.gradients_commute, (G, X0), (gf.catalog.noncommuting["parabola"]().parametrization, np.ones(2))),
        (laws.flows_commute, (G, X0), (gf.catalog.noncommuting["parabola"]().parametrization, np.ones(2))),
        (laws.lift_inverts, (R, W), (SHIFTED, W)),
        (laws.lift_is_joint_flow, (R, W), (SHIFTED, W)),
        (laws.lift_is_path_independent, (R, W), (SHIFTED, W)),
        (laws.inverse_hessian_is_cometric, (R, W), (SHIFTED, W)),
        (laws.induced_gradient_matches, (R, OTHER, W), (R, WRONG, W)),
        (laws.induced_value_matches, (R, OTHER, W), (R, WRONG, W)),
        (laws.induced_hessian_matches, (R, OTHER, W), (R, WRONG, W)),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_holds_and_fails(law, good, bad):
    defect, scale = law(*good)
    assert defect <= 1e-9 * scale
    defect, scale = law(*bad)
    assert defect > 1e-4 * scale


def test_cometric_is_gram():
    class Skewed(gf.Parametrization):
        def cometric(self, x):
            return 1.01 * super().cometric(x)

    def f(x):
        return x[..., :2] ** 2 - x[..., 2:] ** 2

    assert laws.cometric_is_gram(gf.Parametrization(f, 4, 2), X0)[0] <= 1e-14
    defect, scale = laws.cometric_is_gram(Skewed(f, 4, 2), X0)
    assert defect > 1e-3 * scale


def test_laws_of_reports_and_trajectories():
    loss = gf.LeastSquares([[1.0, 2.0]], [1.0])
    report = gf.verify_equivalence(loss, G, X0, 3.0, legendre=CASE.legendre)
    assert laws.equivalence_gap(report)[0] <= 1e-9
    assert laws.dual_coordinate_is_loss_integral(report)[0] <= 1e-9
    broken = dataclasses.replace(report, gap=1e-3, dual_gap=1e-3)
    assert not broken and laws.dual_coordinate_is_loss_integral(broken)[0] > 1e-4
    target = gf.bregman_projection(R, loss.Z, loss.y, G(X0))
    assert laws.rate_is_bounded(CASE.legendre, report.mirror_flow, loss, target)[0] == 0
    slow = dataclasses.replace(report.mirror_flow, t=report.mirror_flow.t * 100)  # as if it had taken longer
    assert laws.rate_is_bounded(CASE.legendre, slow, loss, target)[0] > 0.1


def test_dual_and_lift_gaps_see_a_flow_that_is_not_through_g():
    """The parabola's flow, reported against an induced function of another map, must not pass."""
    other = gf.catalog.parametrizations["product"](2)
    loss = gf.LeastSquares(np.eye(2), [0.5, 0.5])
    flow = gf.gradient_flow(loss, other.parametrization, other.x0, 1.0)
    assert np.abs(R.gradient(flow.w[1:]) - flow.mu[1:]).max() > 1e-2


def test_holonomy_is_seen_by_the_lift_alone():
    """Two lifts by different paths end apart when G does not commute, and the library refuses them."""
    parabola = gf.Parametrization(lambda x: anp.stack([x[..., 0], x[..., 0] ** 2 + x[..., 1]], -1), 2, 2)
    with pytest.raises(gf.NotCommutingError):
        laws.lift_is_path_independent(InducedLegendreFunction(parabola, np.array([0.5, 1.0])), [[1.0, 2.0]])


@pytest.mark.parametrize("name", laws.LAWS)
def test_each_law_holds_on_its_case(name):
    law = laws.LAWS[name]
    defect, scale = law.function(*law.holds())
    assert np.isfinite(defect) and scale > 0
    assert defect <= law.tol * scale


@pytest.mark.parametrize("name", laws.LAWS)
def test_each_law_fails_on_the_case_made_to_break_it(name):
    law = laws.LAWS[name]
    defect, scale = law.function(*law.broken())
    # a slope and a limit of shrinking loops are good to a tenth, and no wrong bracket is off by ten times that
    factor = 3 if law.tol >= 0.1 else 10
    assert defect > factor * law.tol * scale and defect > 0


def modules_of_laws():
    return [importlib.import_module(f"{laws.__name__}.{m.name}") for m in pkgutil.iter_modules(laws.__path__)]


def test_every_public_function_of_the_laws_is_registered():
    """What the modules of laws define is a law, but for the cases that laws are tried on and what a law is."""
    public = {
        name
        for module in modules_of_laws()
        if module.__name__.rpartition(".")[2] not in ("register", "cases", "flow_cases")
        for name, f in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and f.__module__ == module.__name__
    }
    assert public == set(laws.LAWS) and len(public) >= 40
    for name, law in laws.LAWS.items():
        assert law.name == name and law.statement and getattr(laws, name) is law.function


def test_a_second_law_of_a_name_is_refused():
    def regular(G, x):
        """Another one."""
        return 0.0, 1.0

    with pytest.raises(gf.ArgumentError, match="regular"):
        laws.law("map", 0.0, lambda: (), lambda: ())(regular)
    assert laws.LAWS["regular"].function is laws.regular


def test_a_law_in_relative_terms():
    law = laws.LAWS["gradients_commute"]
    defect, scale = law.function(*law.broken())
    assert law.relative(*law.broken()) == defect / scale > 1e-3
