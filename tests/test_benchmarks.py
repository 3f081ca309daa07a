"""The benchmarks at toy size, and that their harness marks what is wrong, slow, absent or dead.

How fast anything is depends on the machine, and is not asserted; how often a map is evaluated is, in
numerics/test_autodiff and maps/test_brackets.
"""

import contextlib
import importlib
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import geoflow as gf
from benchmarks import cells, commuting, digits, peers, realization_cost, report, verdicts
from benchmarks.__main__ import THEMES
from benchmarks.harness import ROUNDS, Goal, Task, Way, measure, relative_error

# both sides of a cell, and a reference of 1
SIZE = {"n": 3}


def a_task(*ways, **changes):
    task = Task("toy", lambda n: n, (SIZE,), (SIZE,), ways, lambda n: 1.0, tol=1e-6, budget=20.0)
    return replace(task, **changes)


def cell(*ways, skip=(), budget=20.0, **options):
    """The records of a cell by way, and the order in which the ways were called."""
    events = []
    measure(a_task(*ways), SIZE, budget, dict(skip), events.append, **options)
    return {e["way"]: e for e in events if "way" in e}, [e["begin"] for e in events if "begin" in e]


def constant(name, value):
    return Way(name, lambda n: lambda: value)


# the whole, at toy size -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smoke")
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--out", str(folder)]
    run = subprocess.run(command, cwd=cells.ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads((folder / "results.json").read_text()), (folder / "benchmarks.md").read_text(), run.stdout


@pytest.mark.parametrize("theme", THEMES)
def test_every_way_of_every_task_is_right_or_says_why_it_is_not_here(smoke, theme):
    found, _, printed = smoke
    records = {(r["task"], r["way"], json.dumps(r["size"])): r for r in found["records"][theme]}
    for task in importlib.import_module(f"benchmarks.{theme}").TASKS:
        for size in task.toy:
            for way in task.ways:
                record = records.pop((task.name, way.name, json.dumps(size)))
                assert record["status"] == (way.missing or "ok"), record
                assert way.missing or record["error"] <= task.tol
                assert f"{task.name}, {cells.describe(size)}: {way.name}: {record['status']}" in printed
    assert records == {}


def test_geoflow_and_what_is_installed_is_measured(smoke):
    statuses = {r["way"]: r["status"] for theme in smoke[0]["records"].values() for r in theme}
    assert {statuses[way] for way in ("geoflow", "scipy + autograd", "closed form by hand")} == {"ok"}
    assert any("geomstats" in way and status == "ok" for way, status in statuses.items())


def test_toy_figures_decide_nothing_and_say_so(smoke):
    found, page, _ = smoke
    assert "Toy sizes" in page
    assert {goal["verdict"] for goal in found["goals"]} == {"not run"}
    assert {s["axis"] for s in found["slopes"] if s["way"] == "geoflow"} == {"d", "D", "N"}


def test_the_page_shows_the_results_of_the_last_run():
    assert report.tables(json.loads(report.RESULTS.read_text())) in report.PAGE.read_text()


def test_goals_are_of_sizes_and_ways_that_are_measured():
    for theme in THEMES:
        for task in importlib.import_module(f"benchmarks.{theme}").TASKS:
            names = [way.name for way in task.ways]
            assert len(set(names)) == len(names)
            for goal in task.goals:
                assert goal.size in task.sizes and goal.way in names and goal.peer in ["", *names], (task.name, goal)


def test_an_unknown_theme_is_refused():
    with pytest.raises(SystemExit, match="no theme speed: choose among flows"):
        cells.order_of(["speed"], THEMES)
    assert cells.order_of(["kernels", "flows"], THEMES) == ["flows", "kernels"]


# one cell -------------------------------------------------------------------------------------------------------------


def test_ways_take_turns():
    records, order = cell(constant("a", 1.0), constant("b", 1.0))
    assert order == ["a", "b"] * (1 + ROUNDS)
    assert [r["rounds"] for r in records.values()] == [ROUNDS] * 2
    assert cell(constant("a", 1.0), constant("b", 1.0), most=0)[1] == ["a", "b"]


def test_a_wrong_answer_is_marked_however_fast():
    records, _ = cell(constant("right", 1.0 + 1e-9), constant("wrong", 1.001), constant("nan", np.nan))
    assert [r["status"] for r in records.values()] == ["ok", "WRONG", "WRONG"]
    assert records["wrong"]["error"] == pytest.approx(1e-3)
    assert math.isfinite(records["nan"]["error"])  # JSON has no infinity


def test_an_answer_that_goes_wrong_later_is_wrong():
    values = iter([1.0, 1.0, 5.0] + [1.0] * 10_000)
    records, _ = cell(Way("late", lambda n: (lambda: next(values), lambda value: value)))
    assert records["late"]["status"] == "WRONG"


def test_errors_are_relative_and_shapes_must_agree():
    assert relative_error([2.0, 4.0], [2.0, 5.0]) == pytest.approx(0.2)
    assert relative_error([1e-3], [0.0]) == 1e-3
    assert relative_error([1.0], [1.0, 1.0]) == np.inf


def test_a_call_over_budget_is_ended_and_the_others_go_on():
    def endless(n):
        def call():
            while True:
                with contextlib.suppress(Exception):
                    time.sleep(10)

        return call

    records, _ = cell(Way("endless", endless), constant("a", 1.0), budget=0.3)
    assert records["endless"] == {"way": "endless", "status": "over budget: 0.3 s"}
    assert records["a"]["status"] == "ok"


def test_errors_and_absences_are_rows():
    def failing(n):
        raise ValueError("no such map\nmore")

    def hungry(n):
        raise MemoryError

    away = Way("away", failing, needs=("no_such_module", "numpy"))
    records, order = cell(Way("failing", failing), Way("hungry", hungry), away, constant("a", 1), skip={"a": "x"})
    assert {r["way"]: r["status"] for r in records.values()} == {
        "failing": "failed: ValueError: no such map",
        "hungry": "over memory",
        "away": "not installed: no_such_module",
        "a": "x",
    }
    assert order == ["failing", "hungry"]


def test_what_must_not_be_reused_is_prepared_before_every_call():
    prepared, called = [], []

    def build(n):
        return lambda: prepared.append(n) or len(prepared), lambda count: called.append(count) or 1.0

    cell(Way("fresh", build))
    assert called == list(range(1, len(prepared) + 1)) and len(called) >= 1 + ROUNDS


def test_both_engines_are_ways():
    plain, jax = peers.engines(lambda p, options: options)
    assert (plain.build(None), jax.build(None)) == ({"engine": "autograd"}, {"engine": "jax"})
    assert not plain.needs and jax.needs == peers.DIFFRAX


# workers --------------------------------------------------------------------------------------------------------------

WORKED = """
import os
import numpy as np
from benchmarks.harness import Task, Way

def dead(n):
    os._exit(3)

CALLED = []

def hungry(n):
    CALLED.append(n)
    return lambda: np.ones(2**31).mean()

def good(n):
    return lambda: np.ones(10**7).mean() + len(CALLED)  # wrong in the process of the one that was over memory

TASKS = (Task("toy", lambda n: n, ({"n": 3}, {"n": 9}), (), (
    Way("dead", dead), Way("hungry", hungry), Way("good", good)
), lambda n: 1.0, tol=1e-6, budget=20.0, memory=True),)
"""


def test_a_worker_that_dies_costs_its_way_alone_and_memory_is_measured(tmp_path, monkeypatch):
    (tmp_path / "worked.py").write_text(WORKED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    (task,) = importlib.import_module("worked").TASKS
    said = []
    records = cells.run_task("worked", task, False, None, said.append)
    first = {r["way"]: r for r in records if r["size"] == {"n": 3}}
    assert first["dead"]["status"] == "failed: process ended with 3, no message"
    assert first["good"]["status"] == "ok" and first["good"]["error"] == 0.0
    assert first["good"]["peak_bytes"] - first["good"]["base_bytes"] > 7e7  # 80 MB of ones
    if sys.platform == "linux":
        assert first["hungry"]["status"] == "over memory"
        second = {r["way"]: r["status"] for r in records if r["size"] == {"n": 9}}
        assert second["hungry"] == "not tried: over memory at n = 3" and second["good"] == "ok"
    assert len(said) == 6


# what follows from the records ----------------------------------------------------------------------------------------


def record(way, seconds, size=None, status="ok", error=0.0, **more):
    row = {"task": "toy", "way": way, "size": size or SIZE, "status": status, "tol": 1e-6, **more}
    return row if seconds is None else {**row, "median_s": seconds, "once_s": 0.0, "rounds": 7, "error": error}


def test_slopes_are_along_one_axis_and_of_right_answers():
    sizes = [(d, N) for d in (100, 10, 1000) for N in (1, 8)]
    records = [record("geoflow", 1e-6 * d**1.5 * N**0.5, {"d": d, "N": N}) for d, N in sizes]
    records.append(record("geoflow", 1e-9, {"d": 10_000, "N": 1}, status="WRONG"))
    found = report.slopes(records)
    assert [(s["axis"], s["at"]) for s in found][:2] == [("d", {"N": 1}), ("d", {"N": 8})]
    for line in found:
        assert line["sizes"] == sorted(line["sizes"])
        assert line["slope"] == pytest.approx({"d": 1.5, "N": 0.5}[line["axis"]], abs=1e-10)
        assert line["last_slope"] == pytest.approx(line["slope"])


def memory(*grown, sizes=(1000, 100_000, 1_000_000)):
    """Records of a way whose peak memory is 300 MB, most of it of imports, and what it has grown by."""
    return [record("geoflow", 1.0, {"d": d}, peak_bytes=3 * 10**8 + int(g)) for d, g in zip(sizes, grown, strict=True)]


def test_the_size_at_8_gb_is_extrapolated_from_what_was_measured():
    room = 8 * 2**30 - 3 * 10**8
    (line,) = report.largest_sizes(memory(0, 1e8, 1e9))
    assert (line["measured"], line["peak_bytes"]) == (1_000_000, 13 * 10**8)
    assert line["exponent"] == pytest.approx(1.0) and line["extrapolated"] == float(f"{room / 1e3:.2g}")
    (line,) = report.largest_sizes(memory(0, 1e7, 1e9))  # once beyond noise: linear
    assert line["exponent"] == 1.0 and line["extrapolated"] == float(f"{room / 1e3:.2g}")
    (line,) = report.largest_sizes(memory(0, 4e7, 4e9))
    assert line["exponent"] == pytest.approx(2.0)
    assert line["extrapolated"] == float(f"{1e6 * (room / 4e9) ** 0.5:.2g}")
    (line,) = report.largest_sizes(memory(0, 1e6, 1e7))
    assert line["extrapolated"] is None


def test_a_size_over_memory_takes_the_place_of_an_extrapolation():
    over = record("geoflow", None, {"d": 10**7}, status="over memory")
    (line,) = report.largest_sizes([*memory(0, 1e8, 1e9), over])
    assert (line["over_memory"], line["extrapolated"], line["measured"]) == (10**7, None, 10**6)


@pytest.mark.parametrize(
    "ours, peer, verdict",
    [
        (record("geoflow", 1.0), record("peer", 0.6), "met"),
        (record("geoflow", 1.0), record("peer", 0.4), "missed"),
        (record("geoflow", 1.0, error=1e-7), record("peer", 0.6, error=1e-8), "missed: error 1.0e-07, of peer 1.0e-08"),
        (record("geoflow", 1.0, error=1e-13), record("peer", 0.6, error=1e-15), "met"),
        (record("geoflow", 0.1, status="WRONG", error=1e-3), record("peer", 0.6), "missed: error 1.0e-03"),
        (record("geoflow", 1.0, error=1e-7), record("peer", 0.6, status="WRONG", error=1e-3), "met"),
        (record("geoflow", None, status="over memory"), record("peer", 0.6), "missed: geoflow over memory"),
        (record("geoflow", 1.0), record("peer", None, status="not installed: jax"), "open: peer not installed: jax"),
        (record("geoflow", 1.0), record("other", 0.6), "not run"),
        (record("geoflow", 1.0), record("peer", None, status="not tried: over budget: 3.5 s at n = 2"),
         "met: peer takes more than 3.5 s, the ratio is below the one shown"),
        (record("geoflow", 8.0), record("peer", None, status="over budget: 3.5 s"), "open: peer over budget: 3.5 s"),
    ],
)  # fmt: skip
def test_goals(ours, peer, verdict):
    assert report.verdict(a_task(), Goal(SIZE, 2.0, "peer"), [ours, peer])["verdict"] == verdict


def test_a_goal_in_seconds():
    assert report.verdict(a_task(), Goal(SIZE, 2.0), [record("geoflow", 1.9)])["verdict"] == "met"
    assert report.verdict(a_task(), Goal(SIZE, 2.0), [record("geoflow", 2.1)])["verdict"] == "missed"


def test_no_ratio_to_a_wrong_answer_and_the_page_keeps_its_text(tmp_path):
    records = [record("geoflow", 2.0), record("peer", 1.0), record("fast", 1e-3, status="WRONG", error=1.0)]
    records.append(record("away", None, status="not installed: jax"))
    found = report.results({"toys": (a_task(),)}, {"toys": records}, {"toy": False, "budget": 5.0})
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write(found, tmp_path / "results.json", page)
    text = page.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert "No call was given more than 5 s" in text
    assert "| n = 3 | peer | 1 s | 0 us | 0.0e+00 | 2 |  | ok |" in text
    assert "| n = 3 | fast | 1 ms | 0 us | 1.0e+00 |  |  | **WRONG** |" in text
    assert "| any | away |  |  |  |  |  | not installed: jax |" in text
    assert json.loads((tmp_path / "results.json").read_text())["records"] == {"toys": records}


# the planted pairs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [commuting.bad_pairs, commuting.bad_dense])
def test_one_pair_is_bad_by_a_millionth(problem):
    p = problem(9)
    G = gf.Parametrization(p.map, space=p.D, codomain_dim=p.d)
    sizes = np.linalg.norm(G.brackets(p.x), axis=-1)
    (first, second), (i, j) = np.argwhere(sizes > 1e-6 * sizes.max()), p.pair
    assert sorted([tuple(first), tuple(second)]) == sorted([(i, j), (j, i)])
    rows, hessians = G.jacobian(p.x), gf.autodiff.hessian(p.map)(p.x)
    largest = np.linalg.norm(np.einsum("jpq,iq->ijp", hessians, rows), axis=-1).max()
    assert 0.3e-6 < sizes[i, j] / largest < 3e-6


def test_the_cost_of_a_realization_counts_what_the_solver_does(capsys):
    step = realization_cost.Step(2, 4, 5)
    m, P = 15, 38
    assert step.unknowns == 5 * m and step.normal().shape == (75, 75) and np.isfinite(step.solve()).all()
    assert step.normal_flops == (2 * 15 + 25) * P * m**2 and step.solve_flops == 75**3 / 3
    assert realization_cost.exponent([1, 2, 4, 8], [5.0, 8.0, 64.0, 512.0]) == pytest.approx(3.0)
    realization_cost.main({"degree, d = 2": [(2, p, 5) for p in (3, 4, 5)]}, rounds=1, n=50)
    printed = capsys.readouterr().out
    assert printed.count("unknowns") == 3 and "exponent of seconds" in printed and "exponent of flops" in printed


@pytest.mark.parametrize("family", digits.FAMILIES, ids=lambda family: family.name)
def test_closed_forms_of_the_catalogue_have_eight_digits(family):
    """At the ends of the scales; the whole table is `python -m benchmarks.digits`. Solvers are another matter."""
    table = digits.measure([family], (1e-12,) if family.solved else (1e-12, 1e12), draws=1, seed=1)
    assert len(table) >= 7
    for (_, operation), tally in table.items():
        if "solved" not in operation:
            assert tally.worst <= 1e-8, (operation, tally)
            assert tally.refused <= tally.count / 4, (operation, tally)


# verdicts on random maps ----------------------------------------------------------------------------------------------


def test_no_verdict_on_a_hundred_random_maps_is_wrong():
    """A hundredth of what `python -m benchmarks.verdicts` draws."""
    found = [verdicts.verdict(0, k) for k in range(100)]
    asked = [v for v in found if v.commuting is not None]
    assert len(asked) > 80 and sum(not v.commuting for v in asked) > 20
    assert [v for v in asked if v.said_commuting is not v.commuting] == []
    assert [v for v in found if v.said_regular is not v.regular] == []
    last = verdicts.table(found).splitlines()[-1]
    assert last.startswith(f"| all | 100 | {len(asked)} |")


def test_the_table_of_verdicts_counts_what_is_wrong():
    right, wrong = (verdicts.Verdict("mixed", 0.0, True, 1e-16, said, True, said) for said in (True, False))
    last = verdicts.table([right, wrong, wrong._replace(commuting=None)]).splitlines()[-1]
    assert last == "| all | 3 | 2 | 2 | 1 | 1e-16 | - | 2 |"


def test_brackets_of_a_draw_are_those_of_its_derivatives():
    for k in range(len(verdicts.FAMILIES)):
        draw = verdicts.FAMILIES[k](np.random.default_rng(k))
        x, d, D = draw.y * draw.inner, len(draw.outer), len(draw.inner)
        G = gf.Parametrization(lambda x, draw=draw: draw.map(x * draw.inner), D, d, check=False)
        H = gf.autodiff.hessian(G)(draw.y) / draw.inner[:, None] / draw.inner
        g = G.jacobian(draw.y) / draw.inner
        wanted = max(verdicts.relative_bracket(*each) for each in zip(g, H, x, strict=True))
        assert abs(draw.bracket() - wanted) < 1e-9 * (1 + wanted)
