"""Blocks of an axis, and steps that are shortened entry by entry."""

import autograd.numpy as anp
import numpy as np
import pytest

from geoflow.numerics import autodiff
from geoflow.numerics.batches import consecutive, halve, inverse_or_nan, moments, pulled_back, solved_or_nan


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


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_moments_and_forms_in_other_coordinates_are_the_sums_written_out(batch, rng):
    p, a, A = rng.standard_normal((*batch, 4)), rng.standard_normal((4, 3)), rng.standard_normal((3, 2))
    own, wide = rng.standard_normal((*batch, 4, 3)), rng.standard_normal((*batch, 3, 2))
    sums = ("...k,...ki->...i", "...k,...ki,...kj->...ij", "...k,...ki,...kj,...kl->...ijl")
    forms = ("", "...ij,...ia,...jb->...ab", "...ijk,...ia,...jb,...kc->...abc")
    for order in (1, 2, 3):
        for rows in (a, own):
            assert np.allclose(moments(p, rows, order), np.einsum(sums[order - 1], p, *[rows] * order), rtol=1e-12)
        form = rng.standard_normal((*batch, *[3] * order))
        assert np.shape(pulled_back(form, A, order)) == (*batch, *[2] * order)
        for matrix in (A, wide)[: 1 if order == 1 else 2]:
            written = np.einsum(forms[order - 1] or "...i,ia->...a", form, *[matrix] * order)
            assert np.allclose(pulled_back(form, matrix, order), written, rtol=1e-12, atol=1e-13)
    first = autodiff.jacobian(lambda q: anp.reshape(moments(q, a, 2), (*np.shape(q)[:-1], 9)))(p)
    assert np.allclose(first, np.einsum("ki,kj->ijk", a, a).reshape(9, 4), rtol=1e-12)
