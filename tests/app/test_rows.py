"""The rows of the demo, here and in other processes."""

import multiprocessing
import pickle
from multiprocessing.connection import wait

import numpy as np
import pytest

from geoflow import catalog
from geoflow.app import diabetes, rows
from geoflow.theorems.converse import converse_cases

SOME = [("direct", "identity"), ("converse", "burg"), ("direct", "parabola"), ("bias", "1")]


def test_every_entry_and_both_solvers_have_a_row():
    asked = rows.tasks()
    names = {table: [name for of, name in asked if of == table] for table in ("direct", "converse", "bias")}
    assert names["direct"] == [*catalog.parametrizations, *catalog.noncommuting]
    assert names["converse"] == [*catalog.potentials, "log_sum_exp, spectral", "log_sum_exp, twist"]
    assert [float(name) for name in names["bias"]] == list(diabetes.INITIALIZATIONS)
    assert list(converse_cases()) == names["converse"]


def test_processes_give_the_same_rows_in_the_same_order(monkeypatch):
    monkeypatch.setattr(diabetes, "DIRECT", ())
    told = []
    here = rows.rows_of(SOME[:3], 1, lambda subject, what: told.append(subject))
    assert "identity" in told
    there = rows.rows_of(SOME[:3], 2, lambda subject, what: told.append(what))
    assert told[-1] == "row 3 of 3"
    for table in ("direct", "converse", "bias"):
        assert [row.as_json() for row in there[table]] == [row.as_json() for row in here[table]]
    assert there["direct"][0].results["quadratic"].plot is not None  # and what they were taken from


def test_what_ends_a_run_ends_its_processes():
    before = set(multiprocessing.active_children())

    def stop(subject, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rows.rows_of(SOME * 3, 2, stop)
    for process in set(multiprocessing.active_children()) - before:
        assert wait([process.sentinel], 20), "it goes on"  # its exit status is the pool's to read


def test_the_number_of_processes():
    assert 1 <= rows.default_jobs() <= rows.MOST


def test_a_row_is_pickled_with_what_was_computed_along_a_record():
    """The quadratic map is an einsum, whose recorded step has keywords that Python alone does not pickle."""
    row = rows.row_of(("direct", "quadratic"))
    again = pickle.loads(pickle.dumps(row))
    assert again.as_json() == row.as_json()
    assert np.array_equal(again.results["logistic"].gradient_flow.w, row.results["logistic"].gradient_flow.w)
