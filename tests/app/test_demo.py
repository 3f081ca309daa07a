"""The demo: what it writes, and its exit status."""

import json
import sys

import pytest

import geoflow as gf
from geoflow import catalog
from geoflow.app import demo, diabetes
from geoflow.app.cli import main
from geoflow.theorems import direct


@pytest.fixture
def small(monkeypatch):
    """A few entries of the catalogue: that every row of the whole one passes is tests/theorems and test_diabetes."""
    for registry, names in (
        (catalog.parametrizations, ("hyperbolic", "sphere_squares")),
        (catalog.noncommuting, ("neuron", "parabola")),
        (catalog.potentials, ("burg", "log_sum_exp", "negative_entropy", "simplex_entropy")),
    ):
        monkeypatch.setattr(registry, "entries", {name: registry[name] for name in names})
    monkeypatch.setattr(diabetes, "INITIALIZATIONS", (1.0, 1e-4))


def test_demo_writes_everything_it_prints(tmp_path, capsys, monkeypatch, small):
    monkeypatch.setattr(sys, "argv", ["geoflow"])
    assert main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "figures.json").read_text())
    assert content["passed"] and content["seconds"] > 0
    assert len(content["rows"]) == 4 and len(content["diabetes"]["rows"]) == 2
    for row in content["rows"]:
        assert row["name"] in printed
    for name in ("trajectories", "gap", "regularization_path", "joint_flow_grid", "holonomy"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_demo_exits_nonzero_when_a_row_fails(tmp_path, monkeypatch, capsys, small):
    monkeypatch.setitem(direct.TOLERANCES, "gap", 1e-30)
    monkeypatch.setattr(demo, "converse_demo", lambda advance: [])
    assert main(["demo", "--out", str(tmp_path)]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_rows_without_flows_draw_nothing(tmp_path):
    demo.draw_rows([gf.Row("refused", error="no")], tmp_path)
    demo.draw_bias([gf.Row("1")], tmp_path)
    demo.draw_converse([gf.Row("nothing", error="no")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_of_figures_are_names_of_files(tmp_path):
    case = catalog.parametrizations["square"](1)
    report = gf.verify_equivalence(lambda w: w[0] ** 2, case.parametrization, case.x0, 0.5, case.legendre)
    demo.draw_rows([gf.Row("a/b (c)", results={"quadratic": report})], tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"a_b__c__trajectories.png", "a_b__c__gap.png"}
