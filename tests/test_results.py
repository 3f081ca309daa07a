"""Results carry their own doubt: checks, trajectories, reports and rows."""

import dataclasses
import json

import numpy as np
import pytest

import geoflow as gf
from geoflow.results import Verdict, downward, upward

CASE = gf.catalog.parametrizations["hyperbolic"](2)


def check(**changes):
    fields = {
        "name": "law", "defect": 1e-3, "scale": 2.0, "tol": 1e-6, "witness": np.array([1.0, 2.0]), "detail": "seen"
    }  # fmt: skip
    return gf.Check(**{**fields, **changes})


def test_a_check_that_holds_is_true_and_unwraps_to_itself():
    good = check(defect=1e-9, n_points=7)
    assert good and good.passed and good.failures == [] and good.unwrap() is good
    assert str(good) == "law: holds, relative defect 1.0e-09 (tol 1e-06, 7 points)"
    assert check(defect=1e-6)  # at the tolerance


def test_a_check_that_fails_raises_what_it_was_told_to():
    bad = check(error=gf.NotCommutingError, evidence={"pair": (0, 1), "remedy": "change G"})
    assert not bad and bad.failures == ["law"] and "FAILS" in str(bad) and "seen" in str(bad)
    with pytest.raises(gf.NotCommutingError, match=r"law fails at \[1. 2.\]; got relative defect 1.000e-03") as caught:
        bad.unwrap()
    assert caught.value.pair == (0, 1) and caught.value.defect == 1e-3 and caught.value.tol == 1e-6
    assert caught.value.point.tolist() == [1.0, 2.0] and caught.value.remedy == "change G"


def test_a_nan_fails():
    assert not check(defect=np.nan)
    assert gf.Row("row", {"gap": np.nan}, {"gap": 1.0}).failures == ["gap"]
    with pytest.raises(NotImplementedError):
        bool(Verdict())


def test_a_status_is_its_word():
    ends, early = ["success", "small_loss", "small_gradient", "small_change", "until_not_met"], "left_domain blow_up"
    assert [str(s) for s in gf.Status if not s.early] == ends
    assert [str(s) for s in gf.Status if s.early] == [*early.split(), "overflow", "solver_failure"]
    assert gf.Status.SUCCESS == "success" and gf.Status("blow_up") is gf.Status.BLOW_UP


def test_a_trajectory_answers_between_its_times_and_not_beyond():
    flow = gf.gradient_flow(lambda w: w[0] ** 2, CASE.parametrization, CASE.x0, np.linspace(0, 1, 5))
    assert flow.success and flow.unwrap() is flow and flow(0.3).shape == (2,) and flow([0.1, 0.2]).shape == (2, 2)
    assert np.allclose(flow(flow.t), flow.w, rtol=1e-7)
    for late in (1.1, -0.1, [0.0, 2.0], np.nan):
        with pytest.raises(gf.ArgumentError, match="integrate further"):
            flow(late)
    assert str(flow) == "Trajectory(5 times to t = 1, success: reached the last time asked for)"
    stopped = dataclasses.replace(flow, status=gf.Status.LEFT_DOMAIN, message="the edge")
    assert not stopped.success
    with pytest.raises(gf.ConvergenceError, match="left_domain at t = 1: the edge") as caught:
        stopped.unwrap()
    assert caught.value.trajectory is stopped


@pytest.fixture(scope="module")
def report():
    loss = gf.LeastSquares([[1.0, 0.5]], [0.4])
    return gf.verify_equivalence(loss, CASE.parametrization, CASE.x0, 1.0, legendre=CASE.legendre)


def test_a_report_names_what_fails_in_it(report):
    assert report and report.failures == [] and report.unwrap() is report and "is mirror flow" in str(report)
    flow = dataclasses.replace(report.mirror_flow, status=gf.Status.FAILURE)
    for changes, failure, error in [
        ({"gap": 1.0}, "gap", gf.CheckError),
        ({"lift_gap": np.nan}, "lift gap", gf.CheckError),
        ({"dual_gap": 1.0}, "dual gap", gf.CheckError),
        ({"commuting": check(name="commuting", error=gf.NotCommutingError)}, "commuting", gf.NotCommutingError),
        ({"regular": check(name="regular", error=gf.NotRegularError)}, "regular", gf.NotRegularError),
        ({"mirror_flow": flow}, "mirror flow", gf.ConvergenceError),
    ]:
        broken = dataclasses.replace(report, **changes)
        assert not broken and broken.failures == [failure] and "NOT shown" in str(broken)
        with pytest.raises(error):
            broken.unwrap()


def test_a_row_passes_with_figures_that_meet_their_tolerances():
    row = gf.Row("x^2", {"gap": 1e-9, "time": 3.0, "asked not": None}, {"gap": 1e-7, "asked not": 1.0, "absent": 1.0})
    assert row and row.failures == []
    assert not gf.Row("x^2", {"gap": 1e-3}, {"gap": 1e-7})
    assert gf.Row("x^2").failures == ["no figures"]
    assert gf.Row("x^2", error="refused").failures == ["refused"]


def test_a_row_as_json_is_plain():
    row = gf.Row("x^2", {"gap": 1e-9}, {"gap": 1e-7, "absent": 1.0}, details={"d": 2}, results={"flow": object()})
    content = json.loads(json.dumps(row.as_json()))
    assert content == {
        "name": "x^2", "d": 2, "passed": True, "error": "", "failures": [], "figures": {"gap": 1e-9},
        "tolerances": {"gap": 1e-7},
    }  # fmt: skip


def test_verdicts_are_compared_figure_by_figure():
    def check(witness, defect=1e-3, evidence=None):
        return gf.Check("law", defect, 1.0, 1e-6, np.array(witness), "", 3, evidence or {"sizes": np.ones(2)})

    assert check([1.0, np.nan]) == check([1.0, np.nan]) and check([1.0, 2.0]) != check([1.0, 3.0])
    assert check([1.0], defect=np.nan) == check([1.0], defect=np.nan) and check([1.0]) != check([[1.0]])
    assert check([1.0]) != check([1.0], evidence={"sizes": np.zeros(2)}) and check([1.0]) != "law"


@pytest.mark.parametrize("value", [0.9998, 1.065, 2.4499999e-9, 1.0, 123456.0, 9.995e-310, 0.1])
@pytest.mark.parametrize("digits", [1, 2, 3])
def test_bounds_in_words_are_bounds(value, digits):
    low, high = float(downward(value, digits)), float(upward(value, digits))
    assert low <= value <= high and high - low <= 10.0 ** (1 - digits) * value * (1 + 1e-12)
    assert downward(0.0, 3) == "0" and upward(np.inf, 3) == "inf"


def test_proofs_print_no_more_than_they_prove():
    pytest.importorskip("flint")
    least = gf.LegendreFunction(lambda w: 0.4999 * w[..., 0] ** 2, 1).prove_legendre(gf.domains.Box([-1], [1]))
    assert "at least 0.999 " in str(least)
    margin = gf.realize(gf.RidgeSum([[1.065]], [0.0], ["quadratic"]), gf.domains.Box([-1], [1])).prove()
    assert float(str(margin).split("injective with margin ")[1].split(";")[0]) <= margin.injectivity <= 1.065
