"""flow.to_frame(): a row a time and entry, columns counted from 1, and what it says without pandas."""

import sys

import numpy as np
import pytest
from geomstats.geometry.spd_matrices import SPDMatrices

import geoflow as gf

pandas = pytest.importorskip("pandas")
CASE = gf.catalog.parametrizations["hyperbolic"](2)
LOSS = gf.LeastSquares([[1.0, 2.0]], [1.0])
TIMES = np.linspace(0, 1, 5)


def test_a_flow_of_one_start():
    flow = gf.gradient_flow(LOSS, CASE.parametrization, CASE.x0, TIMES)
    table = flow.to_frame()
    x = [f"x_{i}" for i in range(1, 5)]
    assert list(table.columns) == ["t", "loss", "w_1", "w_2", "mu_1", "mu_2", *x]
    assert np.array_equal(table[["w_1", "w_2"]], flow.w) and np.array_equal(table[x], flow.x)
    assert np.array_equal(table["t"], TIMES) and np.array_equal(table["loss"], flow.loss)
    mirror = gf.mirror_flow(LOSS, CASE.legendre, flow.w[0], TIMES).to_frame()
    assert list(mirror.columns) == ["t", "loss", "w_1", "w_2", "mu_1", "mu_2"]


def test_a_batch_has_a_row_a_time_and_an_entry():
    starts = np.array(CASE.x0) * np.array([[1.0], [0.5], [2.0]])
    flow = gf.gradient_flow(LOSS, CASE.parametrization, starts, TIMES)
    table = flow.to_frame()
    assert len(table) == 15 and set(table["status"]) == {"success"}
    for k in range(3):
        one = table[table["entry"] == k]
        assert np.array_equal(one["t"], TIMES) and np.array_equal(one[["w_1", "w_2"]], flow.w[:, k])
    grid = gf.gradient_flow(LOSS, CASE.parametrization, starts[:2, None], TIMES).to_frame()
    assert len(grid) == 10 and list(grid["entry_1"][:3]) == [0, 1, 0] and set(grid["entry_2"]) == {0}


def test_matrices_have_two_numbers_a_column():
    G = gf.Parametrization(lambda X: X[..., 0, :], SPDMatrices(2), 2)
    flow = gf.gradient_flow(LOSS, G, [[1.0, 0.2], [0.2, 0.8]], TIMES)
    table = flow.to_frame()
    assert flow.x.shape == (5, 2, 2) and np.array_equal(table["x_2_1"], flow.x[:, 1, 0])


def test_a_flow_that_ended_early_keeps_what_it_has():
    cube = gf.Parametrization(lambda x: x**3, 1, 1)
    flow = gf.gradient_flow(lambda w: -w[0], cube, [1.0], 1.0)
    assert flow.status == "blow_up" and len(flow.to_frame()) == len(flow.t)


def test_without_pandas_the_extra_is_named(monkeypatch):
    flow = gf.gradient_flow(LOSS, CASE.parametrization, CASE.x0, TIMES)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(gf.ArgumentError, match=r"no pandas.*pip install geoflow\[sweep\]") as caught:
        flow.to_frame()
    assert caught.value.help == "docs/faq.md#an-extra-is-not-installed"
