"""Directions kept once, and entries that are functions of one variable."""

import numpy as np

from geoflow.potentials.terms import Quadratic, Ridge, Terms, Value


def test_parallel_directions_are_one():
    terms, a = Terms(), np.array([0.3, -1.2, 0.0])
    assert terms.place(a, 0.5) == (0, 1.0, 0.0)
    direction, c, o = terms.place(-2 * a, 3.0)
    assert (direction, c) == (0, -2.0) and abs(c * 0.5 + o - 3.0) < 1e-15
    assert terms.place(a + 1e-9 * np.eye(3)[2], 0.0)[0] != 0, "nearly parallel is not parallel"
    assert terms.place(np.array([0.0, 0.0, 1.0]), 0.0)[0] != 0


def test_an_entry_is_of_one_variable_or_not():
    terms = Terms()
    x, y = (terms.add(Ridge(terms.place(e, 0.0)[0], 1)) for e in np.eye(2))
    value = Value.of_rows(
        (3,), np.array([[2.0, 0], [0, 0], [0, 1.0]]), np.ones(3), [{x: 1.0}, {x: 1.0, y: 1.0}, {x: 1.0}]
    )
    direction, node = terms.single(value, 0)
    assert direction == 0 and terms.nodes.curve(node)(np.array([3.0])) == 9 + 6 + 1
    assert terms.single(value, 1) is None, "two directions of atoms"
    assert terms.single(value, 2) is None, "the slope is along another direction"
    assert terms.single(Value.of_rows((1,), np.zeros((1, 2)), np.ones(1), [{}]), 0)[0] is None


def test_values_add():
    terms = Terms()
    q = terms.add(Quadratic(np.eye(2)))
    one = Value.of_rows((2,), np.eye(2), np.zeros(2), [{q: 1.0}, {}])
    both = one.joined(one)
    assert both.row(0) == {q: 2.0} and both.row(1) == {} and np.array_equal(both.slopes, 2 * np.eye(2))
    assert one.columns.shape == (2, 4) and not one.affine
