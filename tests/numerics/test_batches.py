"""Blocks of an axis, and steps that are shortened entry by entry."""

import numpy as np
import pytest

from geoflow.numerics.batches import consecutive, halve, inverse_or_nan, solved_or_nan


@pytest.mark.parametrize("sizes", [[3], [1, 2, 3], [2, 0, 1]])
def test_consecutive_slices_cut_an_axis_without_gaps(sizes):
    x = np.arange(sum(sizes))
    blocks = consecutive(sizes)
    assert [len(x[block]) for block in blocks] == sizes
    assert np.array_equal(np.concatenate([x[block] for block in blocks]), x)
    assert blocks[-1].stop == sum(sizes)


def test_no_sizes_no_slices():
    assert consecutive([]) == []


def test_each_entry_takes_the_first_fraction_that_it_accepts():
    largest = np.array([2.0, 0.6, 0.25, 0.1])
    taken = np.full(4, np.nan)

    def accept(index, fraction):
        fine = fraction <= largest[index]
        taken[index[fine]] = fraction
        return fine

    assert len(halve(accept, np.arange(4), tries=10)) == 0
    assert np.array_equal(taken, [1.0, 0.5, 0.25, 0.0625])
    assert len(halve(accept, np.arange(4), tries=10, factor=0.1)) == 0
    assert np.allclose(taken, [1.0, 0.1, 0.1, 0.1], rtol=1e-15)


def test_entries_that_accept_nothing_are_returned_and_the_others_are_not_asked_again():
    asked = []

    def accept(index, fraction):
        asked.append(index.tolist())
        return index != 2

    assert halve(accept, np.array([0, 2, 5]), tries=3).tolist() == [2]
    assert asked == [[0, 2, 5], [2], [2]]
    assert halve(accept, np.array([], dtype=int), tries=3).size == 0 and len(asked) == 3


def test_a_solve_that_fails_gives_nan_at_its_own_entry_only():
    A = np.stack([2 * np.eye(2), np.zeros((2, 2)), np.diag([4.0, 5.0])])
    found = inverse_or_nan(A)
    assert np.array_equal(found[[0, 2]], np.linalg.inv(A[[0, 2]])) and np.isnan(found[1]).all()
    assert np.isnan(inverse_or_nan(A[1])).all()
    calls = []

    def solve(x):
        calls.append(len(x))
        return x

    assert np.array_equal(solved_or_nan(solve, np.ones((3, 2))), np.ones((3, 2))) and calls == [3]
