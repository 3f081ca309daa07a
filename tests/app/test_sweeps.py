"""Sweeps: the same table whatever runs it, and whatever ended it."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import geoflow as gf
from geoflow.app.cli import main

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
GRID = {"a": [1, 2, 3], "name": ["x", "y"]}


def noisy(a, name, seed):
    if (a, name) == (2, "y"):
        raise ZeroDivisionError("no figure here")
    return {"product": a * 2.0, "draw": float(np.random.default_rng(seed).standard_normal()), "where": name}


def without_time(found):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found.rows]


def test_rows_are_those_of_the_grid_in_its_order_and_a_failure_is_a_row():
    found = gf.sweep(noisy, GRID, jobs=1)
    assert [(row["a"], row["name"]) for row in found.rows] == [(a, n) for a in (1, 2, 3) for n in "xy"]
    assert found.failed == 1 and "ZeroDivisionError: no figure here" in found.rows[3]["error"]
    assert [row["product"] for row in found.rows if not row["error"]] == [2.0, 2.0, 4.0, 6.0, 6.0]
    assert len({row["draw"] for row in found.rows if not row["error"]}) == 5 and len(repr(found)) < 60
    frame = found.to_frame()
    assert frame.shape == (6, 8) and np.isnan(frame["draw"][3])


def test_any_number_of_processes_and_any_backend_give_the_same_table(tmp_path):
    import joblib

    serial = without_time(gf.sweep(noisy, GRID, jobs=1))
    assert without_time(gf.sweep(noisy, GRID, tmp_path / "two", jobs=2)) == serial
    with joblib.parallel_config(backend="threading"):
        assert without_time(gf.sweep(noisy, GRID, jobs=3)) == serial
    assert without_time(gf.sweep(noisy, GRID, seed=1, jobs=1)) != serial
    one = gf.sweep(lambda a: a**2, [{"a": 3}, {"a": 4}], jobs=1)
    assert [row["value"] for row in one.rows] == [9, 16]


def test_a_finished_row_is_never_computed_again(tmp_path):
    calls, told = [], []

    def counted(a):
        calls.append(a)
        return float(a)

    first = gf.sweep(counted, {"a": [1, 2, 3]}, tmp_path, jobs=1)
    (tmp_path / "rows" / "00000001.parquet").unlink()
    again = gf.sweep(counted, {"a": [1, 2, 3]}, tmp_path, jobs=1, progress=lambda *now: told.append(now))
    assert calls == [1, 2, 3, 2] and without_time(again) == without_time(first)
    assert [(done, total) for done, total, _ in told] == [(3, 3)]
    whole = pandas.read_parquet(tmp_path / "rows")
    assert sorted(whole["a"]) == [1, 2, 3] and list(whole["error"]) == ["", "", ""]
    with pytest.raises(gf.FileError, match="another function, grid or seed"):
        gf.sweep(counted, {"a": [1, 2]}, tmp_path, jobs=1)


def test_what_killed_writers_left_is_removed_and_what_one_writes_now_is_not(tmp_path):
    gf.sweep(noisy, GRID, tmp_path, jobs=1)
    stale, fresh = tmp_path / "rows" / ".00000001.0a0b.part", tmp_path / "rows" / ".00000002.0c0d.part"
    for part in (stale, fresh, tmp_path / ".sweep.0e0f.part"):
        part.write_bytes(b"half a row")
    for part in (stale, tmp_path / ".sweep.0e0f.part"):
        os.utime(part, (time.time() - 3600, time.time() - 3600))
    gf.sweep(noisy, GRID, tmp_path, jobs=1)
    assert [p.name for p in tmp_path.rglob("*.part")] == [fresh.name] and len(
        list(tmp_path.glob("rows/*.parquet"))
    ) == 6


SLOW = """
import time, numpy as np, geoflow as gf
def slow(a, seed):
    time.sleep(0.05)
    return {"draw": float(np.random.default_rng(seed).standard_normal())}
if __name__ == "__main__":
    gf.sweep(slow, {"a": list(range(12))}, "out", jobs=1)
"""


def test_a_sweep_that_is_killed_goes_on_to_the_same_table(tmp_path, rng):
    (tmp_path / "slow.py").write_text(SLOW)
    for _ in range(3):  # at any moment, also while a row is written
        run = subprocess.Popen([sys.executable, "slow.py"], cwd=tmp_path, start_new_session=True)
        deadline, wanted = time.monotonic() + 60, int(rng.integers(1, 4))
        before = len(list(tmp_path.glob("out/rows/*.parquet")))
        while len(list(tmp_path.glob("out/rows/*.parquet"))) < before + wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    namespace = {"__name__": "slow"}
    exec(SLOW, namespace)
    resumed = gf.sweep(namespace["slow"], {"a": list(range(12))}, tmp_path / "out", jobs=1)
    assert without_time(resumed) == without_time(gf.sweep(namespace["slow"], {"a": list(range(12))}, jobs=1))
    assert len(list(tmp_path.glob("out/rows/*.parquet"))) == 12


def test_the_command_runs_a_function_of_a_file(tmp_path, capsys):
    (tmp_path / "study.py").write_text("def figure(a, b):\n    return {'sum': a + 1 / b}\n")
    (tmp_path / "plan.toml").write_text(
        'function = "study.py:figure"\nfolder = "rows_of"\n[grid]\na = [1, 2]\nb = [0, 4]\n'
    )
    assert main(["sweep", str(tmp_path / "plan.toml"), "--jobs", "2"]) == 1
    told = capsys.readouterr().out
    assert "4 rows" in told and "2 failed" in told and "a = 1, b = 0: ZeroDivisionError" in told
    assert len(list((tmp_path / "rows_of" / "rows").glob("*.parquet"))) == 4
    assert json.loads((tmp_path / "rows_of" / "sweep.json").read_text())["points"] == 4


@pytest.mark.parametrize(
    "text, words",
    [
        ("function = 3", "function"),
        ('function = "study.py:figure"', "no grid"),
        ('function = "none.py:f"\n[grid]\na = [1]', "none.py"),
        ('function = "study.py:figure"\n[grid]\nc = [1]', "keywords c"),
        ('function = "study.py:figure"\n[grid]\na = 1\nb = [1]', "sequence of values"),
        ("[grid", "TOML"),
        ('functoin = "study.py:figure"', "functoin"),
    ],
)
def test_a_wrong_plan_is_one_line(tmp_path, capsys, text, words):
    (tmp_path / "study.py").write_text("def figure(a, b):\n    return a\n")
    (tmp_path / "plan.toml").write_text(text)
    assert main(["sweep", str(tmp_path / "plan.toml")]) == 2
    told = capsys.readouterr().err.strip()
    assert words in told and "Traceback" not in told and len(told.splitlines()) == 1


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: gf.sweep(3, {"a": [1]}), "callable"),
        (lambda: gf.sweep(abs, {}), "no point"),
        (lambda: gf.sweep(lambda a: a, {"a": "word"}), "sequence of values"),
        (lambda: gf.sweep(lambda a: a, {"b": [1]}), "keywords b"),
        (lambda: gf.sweep(lambda a: a, {"a": [object()]}), "build the object"),
        (lambda: gf.sweep(lambda error: 1, {"error": [1]}), "column of the table"),
        (lambda: gf.sweep(lambda a: a, 7), "dict of sequences"),
        (lambda: gf.sweep(lambda a: a, {"a": [1]}, jobs=0), "jobs; got 0"),
        (lambda: gf.sweep(lambda a: a, {"a": [1]}, jobs="2"), "jobs; got '2'"),
        (lambda: gf.sweep(lambda a: a, {"a": [1]}, seed=-1), "seed; got -1"),
        (lambda: gf.sweep(lambda a: a, {"a": [1]}, seed="x"), "seed; got 'x'"),
        (lambda: gf.sweep(lambda a: a, {"a": [1]}, progress=3), "progress; got int"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(gf.ArgumentError, match=words):
        make()


def test_figures_that_no_table_keeps_are_an_error_of_their_row():
    found = gf.sweep(lambda a: {"a": 1} if a else {"map": object()}, {"a": [0, 1]}, jobs=1)
    assert found.failed == 2 and "ArgumentError" in found.rows[0]["error"]
    assert "has a column of that one" in found.rows[1]["error"]


def other(a):
    return {"value": a, "missing": None}


def test_the_rows_of_another_function_are_not_taken(tmp_path):
    first = gf.sweep(other, {"a": [1, 2]}, tmp_path / "s", jobs=1)
    assert gf.sweep(other, {"a": [1, 2]}, tmp_path / "s", jobs=1).rows == first.rows
    with pytest.raises(gf.FileError, match="another function"):
        gf.sweep(lambda a: {"value": 1000 * a}, {"a": [1, 2]}, tmp_path / "s", jobs=1)


def test_a_function_that_was_edited_is_another_and_a_comment_is_no_edit(tmp_path):
    for text, same in (("return 2 * a", True), ("return 2 * a  # twice", True), ("return 3 * a", False)):
        namespace = {}
        exec(f"def figure(a):\n    {text}\n", namespace)
        if same:
            found = gf.sweep(namespace["figure"], {"a": [1, 2]}, tmp_path, jobs=1)
            assert [row["value"] for row in found.rows] == [2, 4]
        else:
            with pytest.raises(gf.FileError, match="before it was edited"):
                gf.sweep(namespace["figure"], {"a": [1, 2]}, tmp_path, jobs=1)


def test_rows_with_an_error_are_computed_again_where_that_is_asked(tmp_path):
    calls = []

    def flaky(a):
        calls.append(a)
        if a == 2 and calls.count(2) == 1:
            sys.exit(3)  # ends its point, not the sweep
        return float(a)

    first = gf.sweep(flaky, {"a": [1, 2]}, tmp_path, jobs=1)
    assert first.failed == 1 and "SystemExit" in first.rows[1]["error"]
    assert gf.sweep(flaky, {"a": [1, 2]}, tmp_path, jobs=1).failed == 1 and calls == [1, 2]
    again = gf.sweep(flaky, {"a": [1, 2]}, tmp_path, jobs=1, retry=True)
    assert again.failed == 0 and calls == [1, 2, 2] and [row["value"] for row in again.rows] == [1.0, 2.0]


def test_folders_that_are_none_or_damaged_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(gf.FileError, match="wanted a folder"):
        gf.sweep(other, {"a": [1, 2]}, tmp_path / "file", jobs=1)
    gf.sweep(other, {"a": [1, 2]}, tmp_path / "s", jobs=1)
    row, plan = tmp_path / "s" / "rows" / "00000001.parquet", tmp_path / "s" / "sweep.json"
    whole = row.read_bytes()
    row.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(gf.FileError, match=r"00000001.parquet.*computed again"):
        gf.sweep(other, {"a": [1, 2]}, tmp_path / "s", jobs=1)
    row.unlink()
    assert gf.sweep(other, {"a": [1, 2]}, tmp_path / "s", jobs=1).failed == 0
    for text in ("{", "[]", "{}"):
        plan.write_text(text)
        with pytest.raises(gf.FileError, match="plan of a sweep"):
            gf.sweep(other, {"a": [1, 2]}, tmp_path / "s", jobs=1)


def base(a, k=0):
    return a + k


def scaled(a, k=0):
    return 1000 * a + k


class Times:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, a):
        return self.factor * a


def closed_over(k):
    return lambda a: a + k


def with_default(k):
    def figure(a, k=k):
        return a + k

    return figure


@pytest.mark.parametrize(
    "one, two",
    [
        (functools.partial(base, k=1), functools.partial(scaled, k=1)),
        (functools.partial(base, k=1), functools.partial(base, k=100)),
        (closed_over(1), closed_over(2)),
        (with_default(3), with_default(50)),
        (Times(1), Times(100)),
        (closed_over(np.array([1.0])), closed_over(np.array([2.0]))),
    ],
    ids=["function", "argument", "closure", "default", "attribute", "array"],
)
def test_rows_are_those_of_what_a_function_holds(one, two, tmp_path):
    plain = lambda found: [float(np.ravel(row["value"])[0]) for row in found.rows]  # noqa: E731
    first = plain(gf.sweep(one, {"a": [1, 2]}, tmp_path, jobs=1))
    assert plain(gf.sweep(one, {"a": [1, 2]}, tmp_path, jobs=1)) == first
    with pytest.raises(gf.FileError, match=r"edited|another function"):
        gf.sweep(two, {"a": [1, 2]}, tmp_path, jobs=1)


def uneven(alpha, depth):
    if alpha == 1:
        raise ZeroDivisionError("none yet")
    return {"v": 0 if alpha == 2 else 0.5, **({"late": "x"} if alpha == 0.1 else {}), "missing": None}


def test_the_folder_is_one_table_whatever_the_figures(tmp_path):
    found = gf.sweep(uneven, {"alpha": [1, 2, 0.3, 0.1], "depth": [2, 3]}, tmp_path, jobs=1)
    table = pandas.read_parquet(tmp_path / "rows")
    assert list(table["alpha"]) == [1, 1, 2, 2, 0.3, 0.3, 0.1, 0.1] and table["depth"].dtype == "int64"
    assert table["v"].isna().sum() == 2 and sorted(table["v"].dropna()) == [0, 0, 0.5, 0.5, 0.5, 0.5]
    assert list(table["late"].dropna()) == ["x", "x"] and found.failed == 2
    again = gf.sweep(uneven, {"alpha": [1, 2, 0.3, 0.1], "depth": [2, 3]}, tmp_path, jobs=1)
    assert without_time(again) == without_time(found)


def test_figures_of_two_kinds_are_an_error_of_the_second(tmp_path):
    def mixed(a):
        return {"v": "word" if a == 2 else 1.0}

    found = gf.sweep(mixed, {"a": [1, 2]}, tmp_path, jobs=1)
    assert found.failed == 1 and "another kind" in found.rows[1]["error"]
    assert without_time(gf.sweep(mixed, {"a": [1, 2]}, tmp_path, jobs=1)) == without_time(found)


@pytest.mark.parametrize("value", [[1, "a"], 2**70, [[1.0], 2.0], [True, 1]])
def test_what_no_column_holds_is_an_error_of_its_row(value, tmp_path):
    found = gf.sweep(lambda a: {"v": value}, {"a": [1]}, tmp_path, jobs=1)
    assert found.failed == 1 and "value of the figure v" in found.rows[0]["error"]


def dying(a):
    if a == 2:
        os._exit(9)
    return float(a)


def test_a_point_whose_process_ends_is_a_row(tmp_path):
    found = gf.sweep(dying, {"a": [1, 2, 3, 4]}, tmp_path, jobs=2)
    assert found.failed == 1 and "the process that computed it ended" in found.rows[1]["error"]
    assert [row["value"] for row in found.rows] == [1.0, None, 3.0, 4.0]
    assert len(pandas.read_parquet(tmp_path / "rows")) == 4
