"""Flows in one compiled loop: against exact ones, every entry to its tolerance, and failures told as such."""

import numpy as np
import pytest

from geoflow.numerics.loops import CompiledFlow


@pytest.fixture(scope="module")
def jnp():
    pytest.importorskip("diffrax")
    import jax.numpy

    return jax.numpy


@pytest.fixture(scope="module")
def rotation(jnp):
    """y' = a (-y_2, y_1), observed as it is and by its first coordinate times t."""
    return CompiledFlow(lambda t, y, data: data[0] * jnp.array([-y[1], y[0]]), lambda t, y, data: (y, t * y[0]))


def exact_rotation(start, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return start @ turn.T


@pytest.mark.parametrize("n", [1, 5, 100])
def test_a_compiled_flow_against_the_exact_one(rotation, n, rng):
    start, times, speed = rng.standard_normal((n, 2)), np.array([0.0, 0.5, 0.5, 1.3]), 1.7
    (states, weighted), evaluations, success = rotation(start, times, 2.0, (np.array(speed),), (1e-11, 1e-13))
    assert success and evaluations > 0 and states.shape == (5, n, 2) and weighted.shape == (5, n)
    for t, state, first in zip([*times, 2.0], states, weighted, strict=True):
        assert np.allclose(state, exact_rotation(start, speed * t), rtol=0, atol=3e-9)
        assert np.allclose(first, t * state[:, 0], rtol=1e-13, atol=1e-14)
    assert np.array_equal(states[0], start)


def test_every_entry_of_a_block_meets_the_tolerance_and_blocks_are_solved_apart(rotation):
    """One entry that is a billion times larger than the others does not hide their errors."""
    start = np.full((20, 2), 1e-3)
    start[7] = 1e6
    (states, _), _, success = rotation(start, np.empty(0), 3.0, (np.array(1.0),), (1e-10, 1e-14))
    assert success
    assert np.all(np.abs(states[0] - exact_rotation(start, 3.0)) <= 1e-8 * np.abs(start).max(axis=1, keepdims=True))


def test_what_comes_after_the_first_numbers_does_not_dilute_their_error(jnp):
    """A rotation beside a thousand numbers at rest takes the steps of a rotation alone, on either side of `first`."""

    def turning(place, first):
        def rhs(t, y, data):
            turned = jnp.array([-y[place + 1], y[place]])
            return jnp.zeros_like(y).at[place : place + 2].set(turned)

        start = np.ones((1, 1002))
        (ends,), evaluations, success = CompiledFlow(rhs, lambda t, y, data: (y,), first)(
            start, np.empty(0), 20.0, (), (1e-8, 1e-10)
        )
        assert success
        error = np.abs(ends[-1, 0, place : place + 2] - exact_rotation(start[0, :2], 20.0)).max()
        return evaluations, error

    diluted, before, after = turning(0, None), turning(0, 2), turning(1000, 1000)
    assert before[0] == after[0] > 1.3 * diluted[0]
    assert before[1] <= 1e-7 < diluted[1] and after[1] <= 1e-7
    assert turning(0, 1002)[0] == turning(0, 0)[0] == diluted[0]  # a part of none is no part


def test_a_copy_tells_the_same_numbers_apart(jnp):
    flow = CompiledFlow(lambda t, y, data: y, lambda t, y, data: (y,), 3)
    make, arguments = flow.__reduce__()
    assert make is CompiledFlow and arguments[2] == 3


def test_a_flow_that_ends_is_no_success(jnp):
    blow_up = CompiledFlow(lambda t, y, data: y**2, lambda t, y, data: (y,))
    assert not blow_up(np.ones((3, 1)), np.empty(0), 2.0, (), (1e-8, 1e-10))[2]
    assert blow_up(np.ones((3, 1)), np.empty(0), 0.9, (), (1e-8, 1e-10))[2]
    growth = CompiledFlow(lambda t, y, data: 40 * y, lambda t, y, data: (y,))
    assert not growth(np.ones((1, 1)), np.empty(0), 1.0, (), (1e-8, 1e-10))[2]  # beyond 1e14 times its start
    undefined = CompiledFlow(lambda t, y, data: -1 / jnp.sqrt(y), lambda t, y, data: (y,))
    assert not undefined(np.ones((1, 1)), np.empty(0), 2.0, (), (1e-8, 1e-10))[2]
