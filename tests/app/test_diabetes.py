"""Implicit bias on real data."""

import numpy as np
import pytest

from geoflow.app import diabetes

Z, y = diabetes.load()
OPTIMUM = diabetes.basis_pursuit(Z, y)


def test_the_data():
    assert Z.shape == (40, 65)
    assert np.allclose(Z.mean(0), 0, atol=1e-14) and np.allclose((Z**2).sum(0), 1)


@pytest.mark.parametrize("alpha", diabetes.INITIALIZATIONS)
def test_limit_rate_and_l1_norm(alpha):
    row = diabetes.verify_initialization(alpha, Z, y, OPTIMUM)
    assert row.passed, (row.failures, row.error)
    assert row.figures["limit gap"] <= 1e-8 and row.figures["rate"] <= 1
    assert row.figures["loss"] < 1e-20
    assert (row.figures["direct gap"] is not None) == (alpha >= 1e-2)
    assert row.figures["l1 ratio"] > 1 - 1e-9
    if alpha == 1e-4:
        assert row.figures["l1 ratio"] <= 1.01
    if alpha == 1:
        assert row.figures["l1 ratio"] > 1.05  # a large start is not sparse: the ratio is no foregone conclusion


def test_basis_pursuit_on_a_line():
    """min |w|_1 with w_1 + 2 w_2 = 2 is 1, at (0, 1)."""
    assert abs(diabetes.basis_pursuit(np.array([[1.0, 2.0]]), np.array([2.0])) - 1) < 1e-9
    assert np.array_equal(diabetes.load(seed=1)[0].shape, (40, 65)) and not np.allclose(diabetes.load(seed=1)[0], Z)


def test_a_flow_that_fails_is_a_row_that_fails():
    row = diabetes.verify_initialization(1.0, np.ones((2, 3)), np.array([1.0, 2.0]), 1.0)  # w1 + w2 + w3 = 1 and = 2
    assert not row and "Error" in row.error


def test_features_have_the_names_of_their_columns():
    Z, _ = diabetes.load()
    names = diabetes.names()
    assert len(names) == len(set(names)) == Z.shape[1] and names[0] == "age" and names[10] == "age^2"
    assert "bmi bp" in names
