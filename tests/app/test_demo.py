"""The demo: what it writes, and its exit status."""

import json
import sys

import pytest

import geoflow as gf
from geoflow import catalog
from geoflow.app import demo, diabetes, rows, tables
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
    assert main(["demo", "--jobs", "1", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["passed"] and content["seconds"] > 0
    assert len(content["rows"]) == 4 and len(content["diabetes"]["rows"]) == 2
    for row in content["rows"]:
        assert row["name"] in printed
    pictures = {"trajectories", "gap", "regularization_path", "joint_flow_grid", "holonomy", "surface",
                "flow_on_realization", "spectral_convergence", "spectral_error", "twist_error"}  # fmt: skip
    kinds = [f"{name}.{kind}" for name in pictures for kind in ("png", "svg")]
    assert {path.name for path in tmp_path.iterdir()} == {*kinds, "results.json"}
    for name in kinds:
        assert (tmp_path / name).stat().st_size > 10_000, name
    for words in (tables.DIRECT_WORDS, tables.CONVERSE_WORDS, tables.BIAS_WORDS):
        for column, meaning in words.items():
            assert printed.count(f"{column}  ") >= 1 and printed.count(meaning) == 1, column
    assert printed.count("'-': not asked for") == 3
    assert "figures" not in printed


def test_demo_exits_nonzero_when_a_row_fails(tmp_path, monkeypatch, capsys, small):
    monkeypatch.setitem(direct.TOLERANCES, "gap", 1e-30)
    monkeypatch.setattr(rows, "converse_cases", dict)
    assert main(["demo", "--jobs", "1", "--out", str(tmp_path)]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_rows_without_flows_draw_nothing(tmp_path):
    demo.draw_rows([gf.Row("refused", error="no")], tmp_path)
    demo.draw_bias([gf.Row("1")], tmp_path)
    demo.draw_converse([gf.Row("nothing", error="no")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_of_pictures_are_names_of_files(tmp_path):
    case = catalog.parametrizations["square"](1)
    report = gf.verify_equivalence(lambda w: w[0] ** 2, case.parametrization, case.x0, 0.5, case.legendre)
    demo.draw_rows([gf.Row("a/b (c)", results={"quadratic": report})], tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        f"a_b__c__{what}.{kind}" for what in ("trajectories", "gap") for kind in ("png", "svg")
    }


def test_rows_of_dimension_3_are_drawn_in_space(tmp_path):
    case = catalog.parametrizations["square"](3)
    report = gf.verify_equivalence(lambda w: (w**2).sum(), case.parametrization, case.x0, 0.5, case.legendre)
    demo.draw_rows([gf.Row("cube", details={"d": 3}, results={"quadratic": report})], tmp_path)
    assert (tmp_path / "cube_trajectories.png").exists()
