"""Rows in a folder: one schema, whatever comes first, and whatever a writer was killed at."""

import functools

import numpy as np
import pytest

from geoflow.app.rowstore import RowStore, fingerprint

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
POINTS = [{"a": 1, "b": 0.5}, {"a": 2, "b": 1}, {"a": 3, "b": 2}]
DONE = {"seed": 2**32 - 1, "seconds": 0.1, "error": ""}


def test_rows_that_come_first_get_the_columns_of_those_after(tmp_path):
    store = RowStore(tmp_path, POINTS, 0, ("f", "1"))
    store.add(1, {**POINTS[1], **DONE, "error": "nothing yet"})
    store.add(0, {**POINTS[0], **DONE, "v": [1, 2.5], "n": 3, "fine": True, "none": None})
    table = pandas.read_parquet(tmp_path / "rows")
    assert table["a"].dtype == "int64" and table["b"].dtype == float and table["seed"][0] == 2**32 - 1
    assert table["n"][0] == 3.0 and list(table["v"][0]) == [1.0, 2.5] and np.isnan(table["n"][1])
    assert "none" not in table and list(table["error"]) == ["", "nothing yet"]
    again = RowStore(tmp_path, POINTS, 0, ("f", "1"))
    assert again.rows()[0]["n"] == 3 and again.rows()[1]["n"] is None


def test_a_writer_killed_between_two_files_leaves_a_table_to_mend(tmp_path):
    store = RowStore(tmp_path, POINTS, 0, ("f", "1"))
    store.add(0, {**POINTS[0], **DONE})
    store._rewrite = lambda: None  # killed before
    store.add(1, {**POINTS[1], **DONE, "v": 1.0})
    RowStore(tmp_path, POINTS, 0, ("f", "1")).rows()
    assert list(pandas.read_parquet(tmp_path / "rows")["v"].isna()) == [True, False]


def test_fingerprints_are_of_what_a_function_computes():
    def one(a, k=1):
        return a + k

    def same(a, k=1):
        return a + k  # in other words

    assert fingerprint(one) == fingerprint(same) and len(fingerprint(one)) == 64
    others = [functools.partial(one, k=1), functools.partial(one, k=2), functools.partial(one, k=[2]), abs, int, one]
    assert len({fingerprint(f) for f in others}) == len(others)
    notes = []
    assert fingerprint(lambda a: notes.append(a)) == (notes.append(1), fingerprint(lambda a: notes.append(a)))[1]
