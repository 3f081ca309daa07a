"""Tables in HTML: escaped, every number written, no longer than a screen."""

from html.parser import HTMLParser

import numpy as np
import pytest

import geoflow as gf
from geoflow import _html


class Cells(HTMLParser):
    """The rows of a table, as texts; and a complaint where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def cells(value):
    return Cells(value._repr_html_()).rows


@pytest.mark.parametrize(
    "value, text",
    [
        (float("nan"), "NaN"), (np.float64("nan"), "NaN"), (float("inf"), "infinity"), (-np.inf, "-infinity"),
        (None, "-"), (True, "yes"), (np.bool_(False), "no"), (3, "3"), (0.123456, "0.123"), (1e-300, "1e-300"),
        ("<script>&", "&lt;script&gt;&amp;"), (np.array([1.0, np.nan]), "[ 1. nan]"),
    ],
)  # fmt: skip
def test_every_value_is_written_and_escaped(value, text):
    assert _html.cell(value) == text


def test_long_tables_name_what_they_leave_out():
    text = _html.table("T", ("name", "n"), [(f"row{k}", k) for k in range(50)])
    rows = Cells(text).rows
    assert len(rows) == 1 + 20 and rows[19] == ["row18", "18"]
    assert rows[-1] == ["and 31 more: " + ", ".join(f"row{k}" for k in range(19, 50))]
    assert len(Cells(_html.table("T", ("name", "n"), [("a", 1)] * 20)).rows) == 21
    assert Cells(_html.table("T", ("a", "b", "c"), [("x",)])).rows[1] == ["x", "-", "-"]


def test_an_endless_cell_is_cut():
    assert len(_html.cell("x" * 100_000)) < 500


def test_checks_trajectories_and_reports_show_their_numbers():
    case = gf.catalog.parametrizations["hyperbolic"](2)
    report = gf.verify_equivalence(gf.LeastSquares([[1.0, 2.0]], [1.0]), case.parametrization, case.x0, 1.0)
    rows = cells(report)
    assert rows[0] == ["claim", "measured", "wanted", "verdict"]
    assert [row[1] for row in rows[-3:]] == [f"{g:.1e}" for g in (report.gap, report.lift_gap, report.dual_gap)]
    assert {row[3] for row in rows[1:]} == {"holds"}
    assert cells(report.commuting)[1][1] == f"{report.commuting.defect:.1e}"
    told = dict(cells(report.gradient_flow))
    assert told["status"] == "success" and "hyperbolic" in report.gradient_flow._repr_html_()
    assert told["loss at the last"] == f"{report.gradient_flow.loss[-1]:.3g}"


def test_what_fails_says_so_and_nan_is_no_blank():
    bad = gf.Check("<law>", float("nan"), 1.0, 1e-9, np.array([np.nan, 1.0]), detail="a & b")
    rows = cells(bad)
    assert rows[1][0].startswith("<law>") and rows[1][1] == "nan" and rows[1][3] == "FAILS"
    assert "[nan 1.]" in rows[2][1] and rows[3][1] == "a & b"
    row = gf.Row("r", {"gap": float("nan"), "none": None, "fact": float("nan")}, {"gap": 1e-7}, error="<b>")
    assert [r[3] for r in cells(row)[1:]] == ["FAILS", "-", "FAILS"] and cells(row)[2][1] == "NaN"


def test_realizations_and_their_certificates_show_the_same_claims():
    F = gf.realize(gf.catalog.potentials["burg"](2))
    rows = cells(F)
    assert rows[-len(F.certificate.claims) :] == cells(F.certificate)[1:]
    assert [row[1] for row in rows if row[0].startswith("reach")] == ["no bend was seen"]
    assert "certified" in F._repr_html_()


def test_entries_and_registries():
    for registry in (gf.catalog.parametrizations, gf.catalog.noncommuting, gf.catalog.potentials):
        rows = cells(registry)
        assert len(rows) <= 21
        shown = " ".join(" ".join(row) for row in rows)
        assert all(name in shown for name in registry)
    assert (
        dict(cells(gf.catalog.parametrizations["square"]))["formula"] == gf.catalog.parametrizations["square"].formula
    )
    assert dict(cells(gf.catalog.noncommuting["parabola"]))["why it does not commute"]
