"""Rows as tables, progress, and JSON."""

import json

import pytest

import geoflow as gf
from geoflow.app import tables

ROWS = [
    gf.Row(
        "x^2",
        {"gap": 1e-9, "bracket": 2e-13},
        {"gap": 1e-7},
        details={"d": 2, "source": "closed form", "laws": ["a", "b"]},
    ),
    gf.Row("[x]", {"gap": 1e-3}, {"gap": 1e-7}, details={"d": 3, "source": "induced", "laws": ["b", "c"]}),
    gf.Row("broken", error="DomainError: outside", details={"d": 1, "source": "induced"}),
    gf.Row("parabola", {"bracket": 0.5}, details={"d": 2, "expected": "refusal", "seen": "|[grad G_1, grad G_2]|"}),
]


def test_a_table_cuts_nothing_and_reads_brackets_as_they_are(capsys):
    long = "word " * 60
    tables.print_table("Title", ("name", "value"), [("[grad G_1, grad G_2]", long)])
    printed = capsys.readouterr().out
    assert "Title" in printed and "[grad G_1, grad G_2]" in printed and printed.count("word") == 60


@pytest.mark.parametrize("value, text", [(None, "-"), (0.0, "0.0e+00"), (1.234e-9, "1.2e-09"), (float("nan"), "nan")])
def test_numbers_have_two_digits(value, text):
    assert tables.number(value) == text


def test_verdicts_say_why():
    assert [tables.verdict(row) for row in ROWS] == ["pass", "FAIL: gap", "FAIL: see below", "pass"]


def test_rows_of_the_direct_theorem(capsys):
    tables.print_direct(ROWS)
    printed = capsys.readouterr().out
    for words in ("x^2", "[x]", "1.0e-09", "FAIL: gap", "broken: DomainError: outside", "refused", "|[grad G_1"):
        assert words in printed
    tables.print_direct([])
    assert capsys.readouterr().out == ""


def test_the_laws_that_were_run_are_named_once(capsys):
    tables.print_laws(ROWS)
    assert capsys.readouterr().out == "laws run: a, b, c\n"
    tables.print_laws(ROWS[2:])
    assert capsys.readouterr().out == ""


def test_rows_of_the_converse_theorem_and_of_the_bias(capsys):
    F = gf.realize(gf.catalog.potentials["burg"](2))
    row = gf.Row("burg", {"metric": 1e-15}, {"metric": 1e-8}, results={"realization": F})
    tables.print_converse([row, gf.Row("nothing", error="RealizationError: no")])
    printed = capsys.readouterr().out
    assert "exact" in printed and "1.0e-15" in printed and "nothing: RealizationError: no" in printed
    tables.print_bias([gf.Row("0.01", {"limit gap": 1e-9, "loss": 1e-20, "l1 ratio": 1.2, "rate": 0.5})])
    printed = capsys.readouterr().out
    assert "1.2000" in printed and "0.500" in printed


def test_progress_names_each_subject_once_in_a_log(capsys):
    with tables.progress() as advance:
        advance("square", "lift")
        advance("square", "flows")
        advance("cube", "lift")
    assert capsys.readouterr().err == "... square\n... cube\n"


def test_json_makes_its_folder(tmp_path):
    target = tmp_path / "a" / "b.json"
    tables.write_json(target, {"rows": [row.as_json() for row in ROWS]})
    assert [row["passed"] for row in json.loads(target.read_text())["rows"]] == [True, False, False, True]
    with pytest.raises(TypeError):
        tables.write_json(target, {"object": object()})


def test_every_column_of_numbers_is_put_in_words(capsys):
    assert set(tables.DIRECT_WORDS) == {*tables.DIRECT, "commuting"}
    tables.print_words(tables.DIRECT_WORDS, tables.DASH["direct"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(tables.DIRECT) + 3 and max(map(len, lines)) <= 140
    assert lines[-2].startswith("  '-': not asked for")
    tables.print_converse([gf.Row("r", {"metric": 1.0}, results={})])
    printed = capsys.readouterr().out.replace("\n", " ")
    assert all(word in printed for column in tables.CONVERSE_WORDS for word in column.split())
